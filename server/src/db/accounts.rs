//! Accounts and their logins.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{AccountId, AccountName, SessionId};

/// An account as it stands.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its key in the store.
    pub id: AccountId,
    /// As its owner writes it.
    pub name: AccountName,
    /// The password's argon2id hash, in PHC form.
    pub password: String,
    /// Whether it may use AdminService.
    pub admin: bool,
    /// Whether nobody may log in or send to it.
    pub disabled: bool,
    /// Logical bytes it holds: every file and past version, removed ones too, and mail.
    pub used: u64,
    /// Logical bytes it may hold; `None` for no limit.
    pub quota: Option<u64>,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// What an account holds and may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Logical bytes: every file and past version, removed ones too, and mail.
    pub used: u64,
    /// Bytes that uploads under way have brought.
    pub staged: u64,
    /// Logical bytes it may hold; `None` for no limit.
    pub quota: Option<u64>,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// The password's argon2id hash, in PHC form.
    pub password: String,
    /// Whether it may use AdminService.
    pub admin: bool,
    /// Logical bytes it may hold.
    pub quota: Option<u64>,
    /// Make it only while there is no administrator (`Kind::FailedPrecondition` otherwise).
    pub only_first_admin: bool,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// The hashes of a login's secrets, and until when those are good.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    /// SHA-256 of the token.
    pub token: [u8; 32],
    /// Milliseconds since 1970.
    pub token_expires_at: i64,
    /// SHA-256 of the refresh token.
    pub refresh: [u8; 32],
    /// Milliseconds since 1970.
    pub refresh_expires_at: i64,
}

/// A login to be recorded.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// What the client called itself.
    pub client: String,
    /// Its secrets.
    pub tokens: Tokens,
    /// Logins an account may have; the longest unused one ends for the next.
    pub sessions_max: u32,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// A login and its account, as found by a token.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// Their name.
    pub name: AccountName,
    /// Whether they may use AdminService.
    pub admin: bool,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// What the client called itself.
    pub client: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970, to the minute.
    pub used_at: i64,
    /// When the token ends, in milliseconds since 1970.
    pub token_expires_at: i64,
    /// When the login ends, in milliseconds since 1970.
    pub expires_at: i64,
    /// Whether the current token has been used; until then the refresh token before it is good too.
    pub confirmed: bool,
}

/// What became of a refresh token.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// The login goes on with the new secrets.
    Renewed(Session),
    /// No such token, or its login has ended.
    Unknown,
    /// It had been used, and the secrets it gave had been used too: somebody has a copy, so the login
    /// was ended.
    Reused,
}

/// Transactions on accounts and logins.
#[async_trait]
pub trait Accounts {
    /// Makes an account and the root of its tree. `AlreadyExists` when the name is taken.
    async fn create_account(&self, new: NewAccount) -> Result<Account>;

    /// Whether an administrator exists who is not disabled.
    async fn has_admin(&self) -> Result<bool>;

    /// By name, without case.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>>;

    /// In the order of their folded names, those after `after`.
    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>>;

    /// Disables (and ends all logins) or enables. `FailedPrecondition` for the last administrator.
    async fn set_disabled(&self, name: &AccountName, disabled: bool, now: i64) -> Result<Account>;

    /// Sets a password hash and ends all logins but `keep`; how many ended.
    async fn set_password(
        &self,
        account: AccountId,
        password: String,
        keep: Option<SessionId>,
    ) -> Result<u32>;

    /// Sets or lifts a quota.
    async fn set_quota(&self, name: &AccountName, quota: Option<u64>) -> Result<Account>;

    /// What an account holds and may hold.
    async fn usage(&self, account: AccountId) -> Result<Usage>;

    /// Records a login; whether another one, of too many, ended for it.
    async fn create_session(&self, new: NewSession) -> Result<bool>;

    /// The login a token belongs to, whether or not it is still good.
    async fn session(&self, token: [u8; 32]) -> Result<Option<Session>>;

    /// Whether a login goes on, and its account is not disabled.
    async fn session_is_good(&self, id: SessionId, now: i64) -> Result<bool>;

    /// Exchanges a refresh token for new secrets.
    async fn refresh(&self, refresh: [u8; 32], new: Tokens, now: i64) -> Result<Refreshed>;

    /// Notes that a login was used; its earlier refresh token is no longer good from then on.
    async fn touch_session(&self, id: SessionId, now: i64) -> Result<()>;

    /// An account's logins that are good at `now`, the newest first, those older than `before`.
    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionId>,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Session>>;

    /// Ends one login of an account; `NotFound` when it has no such login.
    async fn revoke_session(&self, account: AccountId, id: SessionId) -> Result<()>;

    /// Ends all logins of an account but `keep`; how many ended.
    async fn revoke_sessions(&self, account: AccountId, keep: Option<SessionId>) -> Result<u32>;
}
