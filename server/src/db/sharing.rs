//! Sharing: what the owner of a tree lets others do in it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::db::{EntryKind, Request};
use crate::error::Result;
use crate::model::{AccountId, AccountName, EntryId, Grantee, Right, TreePath};

/// A grant as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The entry, which may have been moved since.
    pub entry: EntryId,
    /// Whose tree it is in.
    pub owner: AccountName,
    /// Where it is now.
    pub path: TreePath,
    /// What it is; of a folder all that is below is shared too.
    pub kind: EntryKind,
    /// For whom.
    pub grantee: Grantee,
    /// To do what.
    pub right: Right,
    /// Milliseconds since 1970.
    pub granted_at: i64,
}

/// A grant to be made.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Whose tree: nobody else may grant anything in it.
    pub owner: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// On what.
    pub path: TreePath,
    /// For whom.
    pub grantee: Grantee,
    /// To do what; takes the place of what they had there.
    pub right: Right,
    /// Grants that an owner may have made.
    pub grants_max: u32,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// Where a list of grants goes on: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantKey {
    /// The entry.
    pub entry: EntryId,
    /// Whether the grantee is a group.
    pub group: bool,
    /// Its number.
    pub grantee: i64,
}

/// Some grants.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// In order.
    pub grants: Vec<Grant>,
    /// Where to go on; `None` at the end.
    pub next: Option<GrantKey>,
}

/// Transactions on sharing.
#[async_trait]
pub trait Sharing {
    /// Grants. `NotFound` for a path, an account or a group that does not exist.
    async fn grant(&self, new: NewGrant) -> Result<Grant>;

    /// Takes a grant back. `NotFound` where there is none.
    async fn revoke(&self, owner: AccountId, path: &TreePath, grantee: &Grantee) -> Result<()>;

    /// What an owner has granted, on one entry or in the whole tree; not in the trash.
    async fn grants(
        &self,
        owner: AccountId,
        path: Option<&TreePath>,
        after: Option<GrantKey>,
        limit: usize,
    ) -> Result<Grants>;

    /// What was granted to an account, by itself or as a member of a group; not in a trash.
    async fn shared_with(
        &self,
        account: AccountId,
        after: Option<GrantKey>,
        limit: usize,
    ) -> Result<Grants>;
}
