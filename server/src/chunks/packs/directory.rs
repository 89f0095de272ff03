//! The directory of the packs: names, and the whole-file rule by which a pack comes to have its name
//! only when its header is durable. It knows no records.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, fsync, mkdirat, open, openat, renameat, unlinkat,
};
use rustix::io::{Errno, Result};

use crate::model::PackId;

/// Where the packs are.
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens it; the last part of the path is made if it is absent.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                mkdirat(CWD, path, Mode::RWXU)?;
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                fsync(open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())?)?;
                open(path, flags, Mode::empty()).map(Self)
            }
            other => other.map(Self),
        }
    }

    /// All packs by age; what a crash left half made is removed on the way.
    pub(super) fn packs(&self) -> Result<Vec<PackId>> {
        let mut packs = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if let Some(stem) = name.strip_suffix(".tmp").filter(|stem| pack_of(stem).is_some()) {
                tracing::info!(file = stem, "removing a pack that was never finished");
                unlinkat(&self.0, entry.file_name(), AtFlags::empty())?;
            } else if let Some(pack) = pack_of(&name) {
                packs.push(pack);
            } else if name != "." && name != ".." {
                tracing::warn!(file = %name.escape_debug(), "not a pack: left alone");
            }
        }
        packs.sort_unstable();
        Ok(packs)
    }

    /// Opens a pack for reading.
    pub(super) fn reader(&self, pack: PackId) -> Result<OwnedFd> {
        openat(&self.0, name_of(pack), OPEN | OFlags::RDONLY, Mode::empty())
    }

    /// Opens a pack for reading past the page cache, if its filesystem can do that.
    pub(super) fn direct_reader(&self, pack: PackId) -> Result<OwnedFd> {
        let flags = OPEN | OFlags::RDONLY | OFlags::DIRECT;
        openat(&self.0, name_of(pack), flags, Mode::empty())
    }

    /// Opens a pack for reading and writing.
    pub(super) fn writer(&self, pack: PackId) -> Result<OwnedFd> {
        openat(&self.0, name_of(pack), OPEN | OFlags::RDWR, Mode::empty())
    }

    /// Begins a new pack under a name that the next start would remove; see `publish`.
    pub(super) fn create(&self, pack: PackId) -> Result<OwnedFd> {
        let flags = OPEN | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        openat(&self.0, temporary_name_of(pack), flags, Mode::RUSR | Mode::WUSR)
    }

    /// Gives a new pack, whose header has been synced, its name. Durable after `sync`.
    pub(super) fn publish(&self, pack: PackId) -> Result<()> {
        renameat(&self.0, temporary_name_of(pack), &self.0, name_of(pack))
    }

    /// Takes back a `create`.
    pub(super) fn discard(&self, pack: PackId) {
        if let Err(errno) = unlinkat(&self.0, temporary_name_of(pack), AtFlags::empty()) {
            tracing::warn!(%pack, %errno, "an unfinished pack stays until the next start");
        }
    }

    /// Unlinks a pack; one that is gone is no error. Durable after a sync of the directory.
    pub(super) fn unlink(&self, pack: PackId) -> Result<()> {
        match unlinkat(&self.0, name_of(pack), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);

fn name_of(pack: PackId) -> String {
    format!("{pack}.pack")
}

fn temporary_name_of(pack: PackId) -> String {
    format!("{pack}.pack.tmp")
}

fn pack_of(name: &str) -> Option<PackId> {
    let pack = PackId::parse(name.strip_suffix(".pack")?).ok()?;
    (name_of(pack) == name).then_some(pack)
}
