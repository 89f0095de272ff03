//! Keeps a login going: exchanges the refresh token for a new pair when the token has expired, once for
//! all the `depot`s that share a state directory.

use std::time::{Duration, Instant};

use depot_proto::auth::{Credentials, RefreshRequest};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::Session;
use crate::error::{Error, Exit, Result};
use crate::state::{StateDir, StateLock, Tokens};

/// Calls that fail together need one new token, not one each.
const SAME_FAILURE: Duration = Duration::from_secs(2);

/// Renews the tokens that are kept in a state directory.
pub(crate) struct Keeper {
    state: StateDir,
    renewing: Mutex<Renewing>,
}

struct Renewing {
    current: SecretString,
    at: Option<Instant>,
}

impl Keeper {
    /// `current` is the token that the calls carry now.
    pub(crate) fn new(state: StateDir, current: SecretString) -> Self {
        Self { state, renewing: Mutex::new(Renewing { current, at: None }) }
    }

    /// A token that is good.
    pub(crate) async fn renew(&self, session: &Session) -> Result<SecretString> {
        let mut renewing = self.renewing.lock().await;
        if renewing.at.is_some_and(|at| at.elapsed() < SAME_FAILURE) {
            return Ok(renewing.current.clone());
        }
        let lock = lock(&self.state).await?;
        let mut remembered = self.state.load()?;
        let Some(tokens) = &remembered.tokens else {
            return Err(ended(session));
        };
        // Another `depot` was faster: its token is as good as one of our own.
        if tokens.token.expose_secret() == renewing.current.expose_secret() {
            let fresh = refresh(session, &tokens.refresh_token).await?;
            remembered.tokens = Some(fresh);
            self.state.save(&lock, &remembered)?;
        }
        let token = remembered.tokens.map(|tokens| tokens.token).ok_or_else(|| ended(session))?;
        *renewing = Renewing { current: token.clone(), at: Some(Instant::now()) };
        Ok(token)
    }
}

/// The state's lock, waited for where waiting holds nobody up.
pub(crate) async fn lock(state: &StateDir) -> Result<StateLock> {
    let state = state.clone();
    let locked = spawn_blocking(move || state.lock()).await;
    locked.map_err(|error| Error::io("lock the state", &std::io::Error::other(error)))?
}

/// What of a login is kept.
pub(crate) fn tokens(credentials: &Credentials) -> Tokens {
    let expires = credentials.token_expires_at.as_ref();
    Tokens {
        token: SecretString::from(credentials.token.as_str()),
        expires_at: expires.map_or(i64::MAX, |time| time.seconds),
        refresh_token: SecretString::from(credentials.refresh_token.as_str()),
    }
}

async fn refresh(session: &Session, refresh_token: &SecretString) -> Result<Tokens> {
    let mut patience = session.patience();
    let answer = loop {
        let request = RefreshRequest { refresh_token: refresh_token.expose_secret().to_owned() };
        match session.auth().refresh(request).await.map_err(Error::from) {
            Ok(answer) => break answer.into_inner(),
            Err(error) if error.exit() == Exit::Unauthenticated => return Err(ended(session)),
            Err(error) => patience.wait(error).await?,
        }
    };
    let credentials = answer.credentials.as_ref().map(tokens);
    credentials.ok_or_else(|| Error::bad_answer("the server sent no token"))
}

fn ended(session: &Session) -> Error {
    let message = format!(
        "the login at {} has ended; run: depot login --server {}",
        session.address(),
        session.address()
    );
    Error::new(Exit::Unauthenticated, "UNAUTHENTICATED", message)
}
