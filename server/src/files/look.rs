//! Looking: what is in a tree, and how much.

use crate::content::Disk;
use crate::db::{Finding, Holdings, Measure, Position};
use crate::error::Result;
use crate::files::Files;
use crate::model::{Caller, Filter, Location, Reader};

impl Files {
    /// What is below a folder and is looked for; a page of it.
    pub async fn find(
        &self,
        caller: &Caller,
        at: &Location,
        filter: Filter,
        from: Position,
        limit: usize,
    ) -> Result<Finding> {
        let at = self.at(caller, at).await?;
        self.db.find(caller.account.into(), &at, filter, from, limit).await
    }

    /// How much is at and below a path.
    pub async fn measure(&self, caller: &Caller, at: &Location) -> Result<Measure> {
        let at = self.read_at(&Reader::Account(caller.clone()), at).await?;
        self.db.measure(caller.account.into(), &at).await
    }

    /// What the caller's bytes consist of.
    pub async fn holdings(&self, caller: &Caller) -> Result<Holdings> {
        self.db.holdings(caller.account).await
    }

    /// The file system that the contents are on.
    pub fn disk(&self) -> Result<Disk> {
        self.contents.disk()
    }
}
