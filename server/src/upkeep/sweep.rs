//! What has run out: answers to old requests, leases, logins, commits that nobody finished, the trash, past
//! versions, tombstones.

use crate::db::{Held, REQUEST_KEPT_MS};
use crate::error::Result;
use crate::upkeep::{DAY_MS, JOB_ROWS, Upkeep};

/// Uploads that nothing was heard of for this long have ended.
const LEASE_MS: i64 = 7 * DAY_MS;
/// Since it was opened: no chunk that came after that is collected while it lasts, of anybody's.
const LEASE_AGE_MS: i64 = 14 * DAY_MS;
/// Commits that take longer than this are given up.
const STAGING_MS: i64 = DAY_MS;

/// What was swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Answers to requests.
    pub requests: usize,
    /// Leases and logins.
    pub expired: usize,
    /// Commits.
    pub commits: usize,
    /// Entries of the trash, each with all below it.
    pub trashed: usize,
    /// Past versions, and commits that can no longer be undone.
    pub past: usize,
    /// Tombstones.
    pub tombstones: usize,
}

impl Upkeep {
    /// Sweeps once. Commits begun before `left_before` were left by a process that has ended: nobody
    /// will finish them.
    pub async fn sweep(&self, left_before: Option<i64>) -> Result<Swept> {
        let now = self.clock.now();
        let mut swept = Swept::default();
        loop {
            let some = self.db.forget_requests(now - REQUEST_KEPT_MS, JOB_ROWS).await?;
            swept.requests += some;
            if some < JOB_ROWS {
                break;
            }
        }
        swept.expired = self.db.end_leases(now - LEASE_MS, now - LEASE_AGE_MS).await?
            + self.db.end_sessions(now).await?;
        let before = left_before.unwrap_or(i64::MIN).max(now - STAGING_MS);
        for commit in self.db.abandoned(before).await? {
            while self.db.abandon(commit, JOB_ROWS).await? {}
            swept.commits += 1;
        }
        while self.db.purge_trash(before_days(now, self.terms.trash_days)).await? {
            swept.trashed += 1;
        }
        let before = before_days(now, self.terms.version_days);
        let undone_before = before_days(now, self.terms.trash_days);
        loop {
            let some = self.db.expire_past(before, undone_before, JOB_ROWS).await?;
            swept.past += some;
            if some == 0 {
                break;
            }
        }
        let before = before_days(now, self.terms.tombstone_days);
        loop {
            let some = self.db.prune_tombstones(before, JOB_ROWS).await?;
            swept.tombstones += some;
            if some < JOB_ROWS {
                return Ok(swept);
            }
        }
    }

    /// Ends uploads that nothing was heard of for so long, all of them when that is no time; how many.
    /// Only for a store that no server serves: they would hold back what they were told of.
    pub async fn end_uploads(&self, idle_ms: i64) -> Result<usize> {
        let before = match idle_ms {
            0 => i64::MAX,
            _ => self.clock.now().saturating_sub(idle_ms),
        };
        self.db.end_leases(before, i64::MIN).await
    }

    /// What is kept although nobody can see it.
    pub async fn held(&self) -> Result<Held> {
        self.db.held().await
    }
}

fn before_days(now: i64, days: u64) -> i64 {
    now.saturating_sub(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS))
}
