//! What was and can be again: the rules of versions, of the trash, and of undoing.

use crate::db::{Listed, Purge, Removed, Request, Restoration, Reversion, Undo, Undone, Version};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::model::{Caller, Condition, Entry, EntryId, Location, Modseq, TreePath, VersionId};

impl Files {
    /// A file's versions, the newest first: those with a lower generation than `before`.
    pub async fn file_versions(
        &self,
        caller: &Caller,
        at: &Location,
        before: Option<Modseq>,
        limit: usize,
    ) -> Result<Vec<Version>> {
        let at = self.at(caller, at).await?;
        self.db.file_versions(caller.account, &at, before, limit).await
    }

    /// Makes an earlier version of a file its current one again.
    pub async fn revert(
        &self,
        caller: &Caller,
        at: &Location,
        version: Option<VersionId>,
        condition: Condition,
        request: Option<Request>,
    ) -> Result<Entry> {
        let (by, at, now) = (caller.account, self.at(caller, at).await?, self.clock.now());
        self.db.revert(Reversion { by, request, at, version, condition, now }).await
    }

    /// What the caller has removed, the latest first.
    pub async fn trash(
        &self,
        caller: &Caller,
        before: Option<(i64, EntryId)>,
        limit: usize,
    ) -> Result<Vec<Removed>> {
        self.db.trash(caller.account, before, limit).await
    }

    /// Brings something back from the caller's trash.
    pub async fn restore(
        &self,
        caller: &Caller,
        id: EntryId,
        target: Option<&Location>,
        request: Option<Request>,
    ) -> Result<Listed> {
        let target = target.map(|at| own(caller, at)).transpose()?;
        let (account, now) = (caller.account, self.clock.now());
        self.db.restore(Restoration { account, request, id, target, now }).await
    }

    /// Removes the caller's trash, or one thing in it, for good; bytes that this sets free.
    pub async fn empty_trash(&self, caller: &Caller, only: Option<EntryId>) -> Result<u64> {
        let mut freed = 0;
        loop {
            let Purge { bytes, more } = self.db.empty_trash(caller.account, only).await?;
            freed += bytes;
            if !more {
                tracing::info!(owner = %caller.name, freed, "trash was emptied");
                return Ok(freed);
            }
        }
    }

    /// Takes back what the last commit of a tree did.
    pub async fn undo(
        &self,
        caller: &Caller,
        at: &Location,
        request: Option<Request>,
    ) -> Result<Undone> {
        let (by, at, now) = (caller.account, self.at(caller, at).await?, self.clock.now());
        self.db.undo(Undo { by, request, at, now }).await
    }
}

fn own(caller: &Caller, at: &Location) -> Result<TreePath> {
    match &at.owner {
        Some(owner) if owner.key() != caller.name.key() => {
            Err(Error::field("target", "what was yours comes back to your own tree"))
        }
        _ => Ok(at.path.clone()),
    }
}
