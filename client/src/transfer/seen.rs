//! A file as it stood when it was looked at, by which a later look knows it again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// Times of files are this coarse at worst (FAT's). A file that was changed later than this ago could
/// change once more and look the same.
const COARSEST_NS: i64 = 2_000_000_000;

/// What `stat` says of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
    /// When anything of it was changed last, which nobody can set; seconds and nanoseconds.
    pub(crate) changed: (i64, i64),
    pub(crate) mode: u32,
}

impl Seen {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode() & 0o7777,
        }
    }

    pub(crate) fn of_stat(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
            mode: stat.st_mode & 0o7777,
        }
    }

    /// Whether every change from `now` on would show.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let last = nanoseconds(self.modified).max(nanoseconds(self.changed));
        last.saturating_add(COARSEST_NS) <= now
    }
}

/// Since 1970.
pub(super) fn nanoseconds((seconds, rest): (i64, i64)) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::Seen;

    #[test]
    fn what_was_just_changed_may_change_unseen() {
        let seen = Seen { modified: (1000, 0), changed: (1000, 500_000_000), ..Seen::default() };
        let at = |milliseconds| UNIX_EPOCH + Duration::from_millis(milliseconds);
        assert!(!seen.is_settled(at(1_000_600)));
        assert!(!seen.is_settled(at(1_002_499)));
        assert!(seen.is_settled(at(1_002_500)));
        assert!(!seen.is_settled(at(0)), "it is from the future");
    }
}
