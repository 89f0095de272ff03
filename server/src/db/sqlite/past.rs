//! What is past, as transactions: versions, the trash, undoing. Each has its rows in a file of its own.

use async_trait::async_trait;

use crate::db::sqlite::requests::once;
use crate::db::sqlite::{Sqlite, trash, undo, versions};
use crate::db::{Listed, Past, Purge, Removed, Restoration, Reversion, Undo, Undone, Version};
use crate::error::Result;
use crate::model::{AccountId, At, Entry, EntryId, Modseq};

#[async_trait]
impl Past for Sqlite {
    async fn file_versions(
        &self,
        by: AccountId,
        at: &At,
        before: Option<Modseq>,
        limit: usize,
    ) -> Result<Vec<Version>> {
        let at = at.clone();
        self.read("past.versions", move |conn| versions::list(conn, by, &at, before, limit)).await
    }

    async fn revert(&self, reversion: Reversion) -> Result<Entry> {
        let is_own = reversion.by == reversion.at.account;
        self.write_in_quota("past.revert", is_own, move |tx| {
            let request = reversion.request.as_ref();
            once(tx, reversion.by, request, reversion.now, |tx| versions::revert(tx, &reversion))
        })
        .await
    }

    async fn trash(
        &self,
        account: AccountId,
        before: Option<(i64, EntryId)>,
        limit: usize,
    ) -> Result<Vec<Removed>> {
        self.read("past.trash", move |conn| trash::list(conn, account, before, limit)).await
    }

    async fn restore(&self, restoration: Restoration) -> Result<Listed> {
        let to = restoration.clone();
        // A look at all that is below; the writer must not stand still for so long.
        let fits = self.read_long("past.restore_fits", move |conn| trash::fits(conn, &to)).await?;
        self.write("past.restore", move |tx| {
            let (to, request) = (&restoration, restoration.request.as_ref());
            once(tx, to.account, request, to.now, |tx| trash::restore(tx, to, fits))
        })
        .await
    }

    async fn empty_trash(&self, account: AccountId, only: Option<EntryId>) -> Result<Purge> {
        self.write("past.empty_trash", move |tx| trash::empty(tx, account, only)).await
    }

    async fn undo(&self, undo: Undo) -> Result<Undone> {
        let to = undo.clone();
        // The same request may have been answered before, whatever is in its way now.
        let looked = self.read("past.undo_look", move |conn| undo::look(conn, &to)).await.ok();
        let is_own = undo.by == undo.at.account;
        self.write_in_quota("past.undo", is_own, move |tx| {
            let request = undo.request.as_ref();
            once(tx, undo.by, request, undo.now, |tx| undo::undo(tx, &undo, looked.as_ref()))
        })
        .await
    }
}
