//! Accounts and logins: the rules. Who may log in, how often may be guessed, how long a token is good,
//! and which login a token belongs to.
//!
//! An unknown account, a wrong password and a disabled account get one answer after the same work. A
//! token that was revoked is refused at once: nothing is remembered of it past the revocation.

mod groups;
mod guesses;
mod known;
mod links;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::db::{Db, NewAccount, NewSession, Refreshed, Tokens};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountName, Caller, Limits, SessionId};
use crate::password::Passwords;
use crate::token::{PlainToken, Use};

pub use crate::db::{Account, EntryKind, Group, Link, LinkUse, Member, Session};
use guesses::{Guesses, remembered};
use known::Known;
pub use links::{LinkTerms, Opened};
pub use setup::SetupCode;

/// How often an open stream asks whether its login is still good.
const LOGIN_CHECKED: Duration = Duration::from_secs(1);

/// How long logins are good.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Of a token.
    pub token: Duration,
    /// Of a login that is not used.
    pub login: Duration,
}

/// The rules of accounts.
pub struct Accounts {
    db: Arc<dyn Db>,
    clock: Arc<dyn Clock>,
    passwords: Passwords,
    limits: Limits,
    lifetimes: Lifetimes,
    guesses: Guesses,
    known: Known,
    setup: SetupCode,
}

/// A login's secrets, in the clear, and what goes with them.
pub struct Credentials {
    /// As the owner writes it.
    pub account: AccountName,
    /// Goes with every call.
    pub token: PlainToken,
    /// Milliseconds since 1970.
    pub token_expires_at: i64,
    /// Is exchanged for new ones.
    pub refresh: PlainToken,
    /// Milliseconds since 1970.
    pub refresh_expires_at: i64,
    /// The login.
    pub session: SessionId,
}

impl Accounts {
    /// The rules over a store.
    pub fn new(
        db: Arc<dyn Db>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        lifetimes: Lifetimes,
        setup: SetupCode,
    ) -> Result<Self> {
        let passwords = Passwords::new(limits.password_hashes_max, limits.logins_waiting_max)?;
        let guesses = Guesses::new(limits.guesses_max);
        Ok(Self { db, clock, passwords, limits, lifetimes, guesses, known: Known::new(), setup })
    }

    /// Whether the first administrator is still to be made.
    pub async fn setup_required(&self) -> Result<bool> {
        Ok(!self.db.has_admin().await?)
    }

    /// The code that makes the first administrator, while there is none.
    pub fn setup_code(&self) -> Option<String> {
        self.setup.reveal()
    }

    /// Makes the first administrator and logs it in.
    pub async fn setup(
        &self,
        code: &SecretString,
        name: AccountName,
        password: SecretString,
        client: String,
    ) -> Result<Credentials> {
        let now = self.clock.now();
        if self.db.has_admin().await? {
            let message = "an administrator exists; log in, or ask them for an account";
            return Err(Error::new(Kind::FailedPrecondition, message));
        }
        self.guesses.begin("set-up code", now)?;
        if !self.setup.is(code) {
            let message = "this is not the set-up code; the server printed it when it started, \
                           and it is in the file setup-code of its data directory";
            return Err(Error::new(Kind::Unauthenticated, message));
        }
        self.guesses.forgive("set-up code");
        let password = self.hashed(password).await?;
        let new =
            NewAccount { name, password, admin: true, quota: None, only_first_admin: true, now };
        let account = self.db.create_account(new).await?;
        self.setup.spend();
        tracing::info!(account = %account.name, "the first administrator was made");
        self.begin_session(&account, client).await
    }

    /// Exchanges a password for a login.
    pub async fn login(
        &self,
        name: &str,
        password: SecretString,
        client: String,
    ) -> Result<Credentials> {
        let parsed = AccountName::parse(name).ok();
        let key = parsed.as_ref().map_or_else(|| name.to_ascii_lowercase(), AccountName::key);
        self.guesses.begin(&key, self.clock.now())?;
        let account = match &parsed {
            Some(name) => self.db.account(name).await?,
            None => None,
        };
        let stored = account.as_ref().map(|account| account.password.clone());
        let too_long = password.expose_secret().len() > self.limits.password_bytes_max;
        let password = if too_long { SecretString::from("") } else { password };
        let matches = self.passwords.verify(password, stored).await?;
        match account {
            Some(account) if matches && !account.disabled => {
                self.guesses.forgive(&key);
                let login = self.begin_session(&account, client).await?;
                tracing::info!(account = %login.account, session = %login.session, "logged in");
                Ok(login)
            }
            _ => {
                tracing::info!(account = ?remembered(name), "a login was refused");
                Err(Error::new(Kind::Unauthenticated, "the account or the password is wrong"))
            }
        }
    }

    /// Exchanges a refresh token for new secrets.
    pub async fn refresh(&self, refresh: &str) -> Result<Credentials> {
        let Some(old) = PlainToken::parse(refresh, Use::Refresh) else {
            return Err(ended());
        };
        let (token, refresh, tokens) = self.new_tokens()?;
        match self.db.refresh(old.hash(), tokens, self.clock.now()).await? {
            Refreshed::Renewed(session) => {
                self.known.forget_all();
                Ok(credentials(session.name, session.id, (token, refresh), tokens))
            }
            Refreshed::Unknown => Err(ended()),
            Refreshed::Reused => {
                self.known.forget_all();
                tracing::warn!("a refresh token was used twice; its login was ended");
                Err(ended())
            }
        }
    }

    /// Who a token belongs to.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        let refused = || {
            Error::new(Kind::Unauthenticated, "the token is not, or no longer, good; log in again")
        };
        let token = PlainToken::parse(token, Use::Access).ok_or_else(refused)?.hash();
        let now = self.clock.now();
        let session = match self.known.get(&token) {
            Some(session) => session,
            None => {
                let epoch = self.known.epoch();
                let session = self.db.session(token).await?.ok_or_else(refused)?;
                let session = Arc::new(self.noticed(session, now).await);
                self.known.put(epoch, token, Arc::clone(&session));
                session
            }
        };
        if session.disabled || now >= session.token_expires_at || now >= session.expires_at {
            return Err(refused());
        }
        Ok(Caller {
            account: session.account,
            name: session.name.clone(),
            admin: session.admin,
            session: session.id,
            token_expires_at: session.token_expires_at,
        })
    }

    /// Whether the token of a stream that was let in earlier has run out since.
    pub fn has_expired(&self, caller: &Caller) -> bool {
        self.clock.now() >= caller.token_expires_at
    }

    /// To be asked before a stream is let in, for [`Self::login_ended`].
    pub fn epoch(&self) -> u64 {
        self.known.epoch()
    }

    /// Waits until the login of a stream has ended that was let in at `epoch` or later. It costs a look-up
    /// only after some login was revoked.
    pub async fn login_ended(&self, caller: &Caller, mut epoch: u64) -> Error {
        loop {
            let now = self.known.epoch();
            if epoch != now {
                match self.db.session_is_good(caller.session, self.clock.now()).await {
                    Ok(true) => epoch = now,
                    Ok(false) => return ended(),
                    // It is asked again; a store that cannot be read serves no stream anyway.
                    Err(error) => tracing::debug!(%error, "a login could not be looked up"),
                }
            }
            tokio::time::sleep(LOGIN_CHECKED).await;
        }
    }

    /// Notes the use of a login, to the minute; the first use of a new token at once.
    async fn noticed(&self, mut session: Session, now: i64) -> Session {
        let good = !session.disabled && now < session.token_expires_at;
        if good && (!session.confirmed || now - session.used_at >= 60_000) {
            match self.db.touch_session(session.id, now).await {
                Ok(()) => (session.confirmed, session.used_at) = (true, now),
                // A store that takes no changes, or too many at once, can still be read.
                Err(error) => tracing::warn!(%error, "the use of a login was not noted"),
            }
        }
        session
    }

    /// Ends the caller's login.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        let ended = self.db.revoke_session(caller.account, caller.session).await;
        self.known.forget_all();
        ended
    }

    /// The caller's account.
    pub async fn own(&self, caller: &Caller) -> Result<Account> {
        self.required(&caller.name).await
    }

    /// The caller's logins, the newest first.
    pub async fn sessions(
        &self,
        caller: &Caller,
        before: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<Session>> {
        self.db.sessions(caller.account, before, self.clock.now(), limit).await
    }

    /// Ends one of the caller's logins.
    pub async fn revoke(&self, caller: &Caller, id: SessionId) -> Result<()> {
        let ended = self.db.revoke_session(caller.account, id).await;
        self.known.forget_all();
        ended
    }

    /// Ends all of the caller's logins but this one.
    pub async fn revoke_others(&self, caller: &Caller) -> Result<u32> {
        let ended = self.db.revoke_sessions(caller.account, Some(caller.session)).await;
        self.known.forget_all();
        ended
    }

    /// Sets the caller's password; the other logins end.
    pub async fn change_password(
        &self,
        caller: &Caller,
        old: SecretString,
        new: SecretString,
    ) -> Result<u32> {
        let key = caller.name.key();
        self.guesses.begin(&key, self.clock.now())?;
        let account = self.required(&caller.name).await?;
        if !self.passwords.verify(old, Some(account.password)).await? {
            return Err(Error::new(Kind::Unauthenticated, "the old password is wrong"));
        }
        self.guesses.forgive(&key);
        let hash = self.hashed(new).await?;
        let ended = self.db.set_password(caller.account, hash, Some(caller.session)).await;
        self.known.forget_all();
        tracing::info!(account = %caller.name, done = ended.is_ok(), "a password was changed");
        ended
    }

    /// Makes an account.
    pub async fn create(
        &self,
        name: AccountName,
        password: SecretString,
        admin: bool,
        quota: Option<u64>,
    ) -> Result<Account> {
        let password = self.hashed(password).await?;
        let now = self.clock.now();
        let new = NewAccount { name, password, admin, quota, only_first_admin: false, now };
        let account = self.db.create_account(new).await?;
        tracing::info!(account = %account.name, admin, "an account was made");
        Ok(account)
    }

    /// Accounts in the order of their names, those after `after`.
    pub async fn list(&self, after: &str, limit: usize) -> Result<Vec<Account>> {
        self.db.accounts(after, limit).await
    }

    /// Disables or enables an account.
    pub async fn set_disabled(&self, name: &AccountName, disabled: bool) -> Result<Account> {
        let account = self.db.set_disabled(name, disabled, self.clock.now()).await;
        self.known.forget_all();
        tracing::info!(account = %name, disabled, done = account.is_ok(), "an account was changed");
        account
    }

    /// Sets anybody's password; all their logins end.
    pub async fn set_password(&self, name: &AccountName, password: SecretString) -> Result<u32> {
        let account = self.required(name).await?;
        let hash = self.hashed(password).await?;
        let ended = self.db.set_password(account.id, hash, None).await;
        self.known.forget_all();
        tracing::info!(account = %name, done = ended.is_ok(), "a password was set");
        self.guesses.forgive(&name.key());
        ended
    }

    /// Sets or lifts a quota.
    pub async fn set_quota(&self, name: &AccountName, quota: Option<u64>) -> Result<Account> {
        self.db.set_quota(name, quota).await
    }

    async fn required(&self, name: &AccountName) -> Result<Account> {
        let account = self.db.account(name).await?;
        account.ok_or_else(|| Error::not_found(format_args!("account {name}")))
    }

    async fn hashed(&self, password: SecretString) -> Result<String> {
        let bytes = password.expose_secret().len();
        let (min, max) = (self.limits.password_bytes_min, self.limits.password_bytes_max);
        if bytes < min || bytes > max {
            let problem = format!("a password is {min} to {max} bytes long");
            return Err(Error::field("password", problem));
        }
        self.passwords.hash(password).await
    }

    async fn begin_session(&self, account: &Account, client: String) -> Result<Credentials> {
        let (token, refresh, tokens) = self.new_tokens()?;
        let id = SessionId::new();
        // For people to recognise; what a terminal could obey is no part of it.
        let client = client.chars().filter(|c| !c.is_control()).take(64).collect();
        let new = NewSession {
            id,
            account: account.id,
            client,
            tokens,
            sessions_max: self.limits.sessions_max,
            now: self.clock.now(),
        };
        if self.db.create_session(new).await? {
            self.known.forget_all();
        }
        Ok(credentials(account.name.clone(), id, (token, refresh), tokens))
    }

    fn new_tokens(&self) -> Result<(PlainToken, PlainToken, Tokens)> {
        let now = self.clock.now();
        let (token, refresh) = (PlainToken::new(Use::Access)?, PlainToken::new(Use::Refresh)?);
        let until = |lifetime: Duration| {
            now.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX))
        };
        let tokens = Tokens {
            token: token.hash(),
            token_expires_at: until(self.lifetimes.token),
            refresh: refresh.hash(),
            refresh_expires_at: until(self.lifetimes.login),
        };
        Ok((token, refresh, tokens))
    }
}

fn ended() -> Error {
    Error::new(Kind::Unauthenticated, "this login has ended; log in again")
}

fn credentials(
    account: AccountName,
    session: SessionId,
    (token, refresh): (PlainToken, PlainToken),
    tokens: Tokens,
) -> Credentials {
    Credentials {
        account,
        token,
        token_expires_at: tokens.token_expires_at,
        refresh,
        refresh_expires_at: tokens.refresh_expires_at,
        session,
    }
}
