//! Who is behind one request.

use crate::model::{AccountId, AccountName, SessionId};

/// An account that has proved itself with a token.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its key in the store.
    pub account: AccountId,
    /// As its owner writes it.
    pub name: AccountName,
    /// Whether it may use AdminService.
    pub admin: bool,
    /// The login the token belongs to.
    pub session: SessionId,
    /// When the token ends, in milliseconds since 1970.
    pub token_expires_at: i64,
}
