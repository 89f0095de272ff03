//! What is new in an account: the rules of cursors, and waiting for the next commit.

mod cursor;
mod watchers;

use std::sync::Arc;

use tokio::sync::watch;

use crate::db::{Db, Span, Start};
use crate::error::Result;
use crate::model::{AccountId, Caller, Modseq};

pub use crate::db::{Change, ChangeItem, EntryKind, EntryOp};
pub use cursor::Cursor;
pub use watchers::Watchers;

/// Rows looked at in one reading.
const ROWS: usize = 500;

/// The rules of changes.
#[derive(Clone)]
pub struct Changes {
    db: Arc<dyn Db>,
    watchers: Arc<Watchers>,
}

/// A way along an account's changes.
pub struct Follow {
    db: Arc<dyn Db>,
    account: AccountId,
    start: Start,
    /// What the reader knew when it began to catch up.
    since: Modseq,
    after: Modseq,
    /// Up to here it hears of everything there is, and of nothing that is gone.
    full_until: Modseq,
    /// Whether it has caught up.
    complete: bool,
    woken: watch::Receiver<()>,
}

impl Changes {
    /// The rules over a store.
    pub fn new(db: Arc<dyn Db>, watchers: Arc<Watchers>) -> Self {
        Self { db, watchers }
    }

    /// Begins after a cursor; without one, with everything there is.
    pub async fn since(&self, caller: &Caller, cursor: Option<&str>) -> Result<Follow> {
        let account = caller.account;
        // Before looking, so that no commit falls between.
        let woken = self.watchers.subscribe(account);
        let start = self.db.start(account).await?;
        let known = cursor.and_then(Cursor::parse).and_then(|cursor| cursor.judge(account, &start));
        let (since, after) = known.unwrap_or_default();
        Ok(Follow {
            db: Arc::clone(&self.db),
            account,
            full_until: if known.is_none() { start.modseq } else { Modseq(0) },
            start,
            since,
            after,
            complete: false,
            woken,
        })
    }

    /// Begins with what comes from now on.
    pub async fn from_now(&self, caller: &Caller) -> Result<Follow> {
        let mut follow = self.since(caller, None).await?;
        let now = follow.start.modseq;
        (follow.since, follow.after, follow.full_until) = (now, now, Modseq(0));
        Ok(follow)
    }
}

impl Follow {
    /// Whether this begins with everything there is rather than with a difference.
    pub fn is_full(&self) -> bool {
        self.after < self.full_until
    }

    /// Where to go on from after what was given.
    pub fn cursor(&self) -> Cursor {
        self.cursor_at(self.after)
    }

    /// Where to go on from after this number.
    pub fn cursor_at(&self, modseq: Modseq) -> Cursor {
        let Start { store, epoch, .. } = self.start;
        // Whoever has caught up knows everything up to there.
        let knows = self.complete && modseq >= self.after;
        let since = if knows { modseq } else { self.since };
        Cursor { store, epoch, account: self.account, modseq, since }
    }

    /// The next changes that are there already; `None` when all have been given.
    pub async fn next(&mut self) -> Result<Option<Vec<Change>>> {
        if self.complete {
            self.since = self.after;
        }
        let span = Span { since: self.since, after: self.after, silent: self.full_until };
        let page = self.db.changes(self.account, span, ROWS).await?;
        let got_on = page.through > self.after;
        (self.after, self.complete) = (page.through, page.complete);
        Ok(got_on.then_some(page.changes))
    }

    /// Waits for a commit that touches the account.
    pub async fn woken(&mut self) {
        if self.woken.changed().await.is_err() {
            // The server is stopping; whoever waits for that will end this.
            std::future::pending::<()>().await;
        }
    }
}
