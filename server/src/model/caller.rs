//! Who is behind one request.

use crate::model::{AccountId, AccountName, LinkId, SessionId};

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

/// Whoever holds a link and has opened it: they have no account.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// The link.
    pub link: LinkId,
    /// SHA-256 of their ticket.
    pub ticket: [u8; 32],
    /// Whose tree the link leads into.
    pub owner: AccountId,
    /// Whether it is for putting files into a folder, and for nothing else.
    pub drops: bool,
}

/// Who asks for what can be read by a link, too.
#[derive(Clone, Debug)]
pub enum Reader {
    /// An account.
    Account(Caller),
    /// Whoever holds a link.
    Visitor(Visitor),
}

/// Who asks, as far as rights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An account.
    Account(AccountId),
    /// Whoever holds this link.
    Link(LinkId),
}

impl Reader {
    /// As far as rights go.
    pub fn by(&self) -> By {
        match self {
            Self::Account(caller) => By::Account(caller.account),
            Self::Visitor(visitor) => By::Link(visitor.link),
        }
    }

    /// Whose share of the memory their calls take: that of the account, or of the link's owner.
    pub fn account(&self) -> AccountId {
        match self {
            Self::Account(caller) => caller.account,
            Self::Visitor(visitor) => visitor.owner,
        }
    }
}

impl From<AccountId> for By {
    fn from(account: AccountId) -> Self {
        Self::Account(account)
    }
}
