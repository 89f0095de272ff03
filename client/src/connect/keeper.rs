//! Keeps a login going: exchanges the refresh token for a new pair when the token has expired, once for
//! all the `depot`s that share a state directory. Somebody else may have logged in there meanwhile, or at
//! another server: then the login that was begun with has ended, and theirs is never used.

use std::time::{Duration, Instant};

use depot_proto::auth::{Credentials, RefreshRequest};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{Address, Session};
use crate::error::{Error, Exit, Result};
use crate::state::{Remembered, StateDir, StateLock, Tokens};

/// Calls that fail together need one new token, not one each.
const SAME_FAILURE: Duration = Duration::from_secs(2);

/// Who is logged in, and where.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) address: Address,
    pub(crate) account: String,
}

impl Login {
    /// Whether it is this one that is remembered, and no other that has taken its place.
    pub(crate) fn is_in(&self, remembered: &Remembered) -> bool {
        let server = remembered.server.as_deref().and_then(|server| Address::parse(server).ok());
        let account = remembered.account.as_deref().unwrap_or_default();
        server.as_ref() == Some(&self.address) && account.eq_ignore_ascii_case(&self.account)
    }
}

/// Renews the tokens that are kept in a state directory.
pub(crate) struct Keeper {
    state: StateDir,
    login: Login,
    renewing: Mutex<Renewing>,
}

struct Renewing {
    current: SecretString,
    at: Option<Instant>,
}

impl Keeper {
    /// `current` is the token that the calls carry now.
    pub(crate) fn new(state: StateDir, login: Login, current: SecretString) -> Self {
        Self { state, login, renewing: Mutex::new(Renewing { current, at: None }) }
    }

    /// A token that is good.
    pub(crate) async fn renew(&self, session: &Session) -> Result<SecretString> {
        let mut renewing = self.renewing.lock().await;
        if renewing.at.is_some_and(|at| at.elapsed() < SAME_FAILURE) {
            return Ok(renewing.current.clone());
        }
        let lock = lock(&self.state).await?;
        let mut remembered = self.state.load()?;
        let Some(tokens) = remembered.tokens.as_ref().filter(|_| self.login.is_in(&remembered))
        else {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use secrecy::{ExposeSecret as _, SecretString};
    use tempfile::TempDir;

    use super::{Keeper, Login};
    use crate::connect::{Address, Dialer, Opening, Session};
    use crate::error::Exit;
    use crate::settings::Environment;
    use crate::state::{Remembered, StateDir, Tokens};

    fn state_in(dir: &TempDir) -> StateDir {
        let state_dir = Some(dir.path().join("state"));
        StateDir::locate(&Environment { state_dir, ..Environment::default() }).unwrap()
    }

    /// Somebody logs in, in this state directory.
    fn log_in(state: &StateDir, server: &str, account: &str, token: &str) {
        let remembered = Remembered {
            server: Some(server.to_owned()),
            account: Some(account.to_owned()),
            ca: None,
            tokens: Some(Tokens {
                token: SecretString::from(token),
                expires_at: i64::MAX,
                refresh_token: SecretString::from("refresh"),
            }),
        };
        let lock = state.lock().unwrap();
        state.save(&lock, &remembered).unwrap();
    }

    /// What becomes of ann's session when its token is to be renewed; nothing is called.
    async fn renewed(state: &StateDir) -> Result<String, Exit> {
        let address = Address::parse("localhost:1").unwrap();
        let authority = CertificateDer::from_pem_slice(include_bytes!("testdata/ca.pem")).unwrap();
        let login = Login { address: address.clone(), account: "ann".to_owned() };
        let keeper = Keeper::new(state.clone(), login, SecretString::from("ann's"));
        let session = Session::open(Opening {
            dialer: Dialer::new(address.clone(), &[authority], Duration::ZERO).unwrap(),
            address,
            account: Some("ann".to_owned()),
            token: None,
            keeper: None,
            connections: 1,
            retry_for: Duration::ZERO,
            bwlimit: None,
            output: None,
        })
        .unwrap();
        let token = keeper.renew(&session).await.map_err(|error| error.exit())?;
        Ok(token.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn nobody_goes_on_under_the_login_of_another() {
        let dir = TempDir::new().unwrap();
        let state = state_in(&dir);
        log_in(&state, "localhost:1", "Ann", "ann's next");
        assert_eq!(renewed(&state).await, Ok("ann's next".to_owned()));
        for (server, account) in [("localhost:1", "bob"), ("localhost:2", "ann"), ("?", "ann")] {
            log_in(&state, server, account, "another's");
            assert_eq!(renewed(&state).await, Err(Exit::Unauthenticated), "{account} at {server}");
        }
    }
}
