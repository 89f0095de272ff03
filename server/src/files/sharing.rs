//! Sharing: the rules. Only the owner of a tree grants anything in it, and takes it back.

use crate::db::{Grant, GrantKey, Grants, NewGrant, Request};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::model::{Caller, Grantee, Location, Right, TreePath};

impl Files {
    /// Grants a right on an entry of the caller's tree.
    pub async fn grant(
        &self,
        caller: &Caller,
        at: &Location,
        grantee: Grantee,
        right: Right,
        request: Option<Request>,
    ) -> Result<Grant> {
        let path = own(caller, at)?;
        let new = NewGrant {
            owner: caller.account,
            request,
            path,
            grantee,
            right,
            grants_max: self.limits.grants_max,
            now: self.clock.now(),
        };
        let granted = self.db.grant(new).await;
        tracing::info!(owner = %caller.name, path = %at, ?right, done = granted.is_ok(), "shared");
        granted
    }

    /// Takes a grant back.
    pub async fn revoke(&self, caller: &Caller, at: &Location, grantee: &Grantee) -> Result<()> {
        let path = own(caller, at)?;
        let revoked = self.db.revoke(caller.account, &path, grantee).await;
        tracing::info!(owner = %caller.name, path = %at, done = revoked.is_ok(), "unshared");
        revoked
    }

    /// What the caller has granted, on one entry or in the whole tree.
    pub async fn grants(
        &self,
        caller: &Caller,
        at: Option<&Location>,
        after: Option<GrantKey>,
        limit: usize,
    ) -> Result<Grants> {
        let path = at.map(|at| own(caller, at)).transpose()?;
        self.db.grants(caller.account, path.as_ref(), after, limit).await
    }

    /// What was granted to the caller.
    pub async fn shared_with(
        &self,
        caller: &Caller,
        after: Option<GrantKey>,
        limit: usize,
    ) -> Result<Grants> {
        self.db.shared_with(caller.account, after, limit).await
    }
}

/// A path in the caller's own tree.
fn own(caller: &Caller, at: &Location) -> Result<TreePath> {
    match &at.owner {
        Some(owner) if owner.key() != caller.name.key() => {
            Err(Error::field("path", format!("{at} is not yours to share; ask {owner}")))
        }
        _ => Ok(at.path.clone()),
    }
}
