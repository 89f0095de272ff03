//! Whoever holds a link: what they download is counted, and ends when the link is taken back.

use crate::db::Ticket;
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::model::{Location, Reader, TreePath, Visitor};

impl Files {
    /// Begins the download of somebody who holds a link, if it is not under way: it takes one of its uses.
    pub async fn begin_download(&self, visitor: &Visitor) -> Result<()> {
        let now = self.clock.now();
        let Ticket { size, .. } = self.valid(visitor).await?;
        if size.is_some() {
            return Ok(());
        }
        let root = Location { owner: None, path: TreePath::default() };
        let top = self.stat(&Reader::Visitor(*visitor), &root).await?;
        let size = self.db.size_below(top.id).await?;
        self.db.begin_download(visitor.ticket, size, now).await
    }

    /// Counts what a download has served.
    pub async fn note_served(&self, visitor: &Visitor, bytes: u64) -> Result<()> {
        self.db.note_served(visitor.ticket, bytes, self.clock.now()).await
    }

    /// Refuses when a link was taken back, or has ended.
    pub async fn still_open(&self, visitor: &Visitor) -> Result<()> {
        self.valid(visitor).await.map(drop)
    }

    pub(super) async fn valid(&self, visitor: &Visitor) -> Result<Ticket> {
        let ticket = self.db.ticket(visitor.ticket, self.clock.now()).await?;
        ticket.ok_or_else(|| {
            Error::new(Kind::Unauthenticated, "this link was taken back, or has ended")
        })
    }
}
