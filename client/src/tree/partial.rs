//! Files that are not whole yet, beside their place, under a name that nothing else may have there. What an
//! earlier try left is gone on with.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::beneath::{Attributes, Folder, file_mode, note, times};

/// What is written and not whole yet has this behind its name.
const PARTIAL: &str = ".depot-partial";

/// The longest name that file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What becomes of a file that stands at the place of a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Replace,
    Refuse,
}

/// A file that is being written beside its place.
pub(crate) struct Partial {
    folder: Arc<Folder>,
    temporary: OsString,
    pub(crate) file: File,
    /// Whether it holds bytes of an earlier try.
    pub(crate) is_resumed: bool,
}

impl Folder {
    /// What an earlier try left of a file, if it did.
    pub(crate) fn left(&self, name: &OsStr) -> Option<File> {
        let file = self.read(&temporary_name(name)).ok()?;
        is_ours(&fs::fstat(&file).ok()?).then_some(file)
    }

    /// Begins a file, or goes on with one that was begun earlier and not finished.
    pub(crate) fn begin(self: &Arc<Self>, name: &OsStr) -> io::Result<Partial> {
        self.gives_way(name)?;
        let temporary = temporary_name(name);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fresh = flags | OFlags::CREATE | OFlags::EXCL;
        let private = Mode::RUSR | Mode::WUSR;
        let (fd, is_resumed) = match fs::openat(&self.fd, &*temporary, fresh, private) {
            Ok(fd) => (fd, false),
            Err(Errno::EXIST) => self.begun(&temporary, flags)?,
            Err(error) => return Err(error.into()),
        };
        fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).map_err(|_| in_use())?;
        if is_resumed {
            self.is_still_there(&temporary, &fd)?;
        }
        Ok(Partial { folder: self.clone(), temporary, file: File::from(fd), is_resumed })
    }

    /// Opens what an earlier try left, and whether it is that: anything else is replaced.
    fn begun(&self, temporary: &OsStr, flags: OFlags) -> io::Result<(OwnedFd, bool)> {
        if let Ok(fd) = fs::openat(&self.fd, temporary, flags, Mode::empty()) {
            let stat = fs::fstat(&fd)?;
            if is_ours(&stat) {
                return Ok((fd, true));
            }
        }
        fs::unlinkat(&self.fd, temporary, AtFlags::empty())?;
        let fresh = flags | OFlags::CREATE | OFlags::EXCL;
        Ok((fs::openat(&self.fd, temporary, fresh, Mode::RUSR | Mode::WUSR)?, false))
    }

    /// Whoever had the file before us may have finished it in between.
    fn is_still_there(&self, temporary: &OsStr, fd: &OwnedFd) -> io::Result<()> {
        let ours = fs::fstat(fd)?;
        match self.standing(temporary)? {
            Some(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => Ok(()),
            _ => Err(in_use()),
        }
    }
}

impl Partial {
    /// The file is whole: it gets its permissions, its time and its name.
    pub(crate) fn finish(
        self,
        name: &OsStr,
        attributes: &Attributes,
        existing: Existing,
    ) -> io::Result<()> {
        note(&self.file, attributes)?;
        fs::fchmod(&self.file, file_mode(attributes.mode))?;
        if let Some(times) = times(attributes) {
            fs::futimens(&self.file, &times)?;
        }
        let renamed = self.rename(name, existing);
        if renamed.is_err() {
            // What is in the way stays; what was written for nothing does not.
            self.discard();
        }
        renamed
    }

    fn rename(&self, name: &OsStr, existing: Existing) -> io::Result<()> {
        let folder = &self.folder.fd;
        let renamed = match existing {
            Existing::Replace => {
                self.folder.gives_way(name)?;
                fs::renameat(folder, &*self.temporary, folder, name)
            }
            Existing::Refuse => {
                let flags = RenameFlags::NOREPLACE;
                match fs::renameat_with(folder, &*self.temporary, folder, name, flags) {
                    // A file system without it: the look before is all there is.
                    Err(Errno::INVAL | Errno::NOSYS) if self.folder.standing(name)?.is_none() => {
                        fs::renameat(folder, &*self.temporary, folder, name)
                    }
                    renamed => renamed,
                }
            }
        };
        renamed.map_err(io::Error::from)
    }

    /// Nothing of it is worth keeping.
    pub(crate) fn discard(self) {
        let _ = fs::unlinkat(&self.folder.fd, &*self.temporary, AtFlags::empty());
    }
}

/// `.NAME.depot-partial`, or a hash in place of a name that would become too long.
pub(super) fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".");
    if name.len() + 1 + PARTIAL.len() <= NAME_BYTES_MAX {
        temporary.push(name);
    } else {
        temporary.push(&blake3::hash(name.as_encoded_bytes()).to_hex()[..32]);
    }
    temporary.push(PARTIAL);
    temporary
}

/// Whether a name is one that something unfinished has here: nothing else may have it.
pub(crate) fn is_reserved(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(PARTIAL.as_bytes())
}

/// Whether an earlier try of the same person can have left it. A file of another's would stay theirs to
/// change after it has its name.
fn is_ours(stat: &Stat) -> bool {
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_file && stat.st_nlink == 1 && stat.st_uid == geteuid().as_raw()
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another depot is writing it")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, chown};

    use rustix::fs::{CWD, Mode, mkfifoat};
    use tempfile::TempDir;

    use super::{Existing, is_ours};
    use crate::error::{Error, Exit};
    use crate::tree::beneath::tests::{ATTRIBUTES, write};
    use crate::tree::beneath::{Attributes, Beneath};

    #[test]
    fn a_file_comes_whole_with_its_permissions_and_time() {
        let dir = TempDir::new().unwrap();
        Beneath::open(dir.path()).unwrap().make_folder("a").unwrap();
        write(dir.path(), "a", "x", b"new").unwrap();
        let metadata = fs::metadata(dir.path().join("a/x")).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o640);
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_000_000, 7));
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn what_was_begun_is_gone_on_with_by_one_alone() {
        let dir = TempDir::new().unwrap();
        let folder = Beneath::open(dir.path()).unwrap().folder("").unwrap();
        let name = OsStr::new("x");
        let mut first = folder.begin(name).unwrap();
        first.file.write_all(b"half").unwrap();
        assert!(folder.begin(name).is_err(), "somebody writes it");
        drop(first);
        let second = folder.begin(name).unwrap();
        assert!(second.is_resumed);
        assert_eq!(second.file.metadata().unwrap().len(), 4);
        second.finish(name, &ATTRIBUTES, Existing::Refuse).unwrap();
        let third = folder.begin(name).unwrap();
        assert!(!third.is_resumed);
        assert!(third.finish(name, &ATTRIBUTES, Existing::Refuse).is_err(), "it stands already");
    }

    #[test]
    fn what_somebody_else_began_is_not_gone_on_with() {
        let dir = TempDir::new().unwrap();
        let (name, planted) = (OsStr::new("x"), dir.path().join(".x.depot-partial"));
        fs::write(&planted, b"half").unwrap();
        let mut stat = rustix::fs::stat(&planted).unwrap();
        assert!(is_ours(&stat));
        stat.st_uid += 1;
        assert!(!is_ours(&stat));
        // Only root can make a file another's.
        if chown(&planted, Some(stat.st_uid), None).is_ok() {
            let folder = Beneath::open(dir.path()).unwrap().folder("").unwrap();
            let partial = folder.begin(name).unwrap();
            assert!(!partial.is_resumed);
            assert_eq!(partial.file.metadata().unwrap().len(), 0);
            partial.finish(name, &ATTRIBUTES, Existing::Replace).unwrap();
            assert_ne!(fs::metadata(dir.path().join("x")).unwrap().uid(), stat.st_uid);
        }
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let dir = TempDir::new().unwrap();
        let folder = Beneath::open(dir.path()).unwrap().folder("").unwrap();
        let name = OsStr::new("x");
        // One that is made while the file is on its way stays too.
        let early = folder.begin(name).unwrap();
        mkfifoat(CWD, dir.path().join("x"), Mode::RWXU).unwrap();
        let late = early.finish(name, &ATTRIBUTES, Existing::Replace).unwrap_err();
        let refused = folder.begin(name).err().unwrap();
        let linked = folder.symlink(name, "elsewhere", &ATTRIBUTES).unwrap_err();
        for error in [late, refused, linked] {
            assert!(error.to_string().contains("a pipe"), "{error}");
            assert_eq!(Error::io("write", &error).exit(), Exit::Conflict);
        }
        assert!(fs::symlink_metadata(dir.path().join("x")).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn set_user_id_is_not_fetched() {
        let dir = TempDir::new().unwrap();
        let folder = Beneath::open(dir.path()).unwrap().folder("").unwrap();
        let partial = folder.begin(OsStr::new("x")).unwrap();
        let attributes = Attributes { mode: 0o6755, ..Attributes::default() };
        partial.finish(OsStr::new("x"), &attributes, Existing::Replace).unwrap();
        assert_eq!(fs::metadata(dir.path().join("x")).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn the_longest_name_has_room_for_its_partial() {
        let dir = TempDir::new().unwrap();
        write(dir.path(), "", &"x".repeat(255), b"").unwrap();
    }
}
