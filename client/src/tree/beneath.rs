//! Writes beneath one directory and nowhere else, whatever the server says and whatever stands there.
//!
//! Folders are opened with `openat2` so that no symlink and no `..` on the way is followed (one name at
//! a time where the kernel lacks it). A symlink that stands at a file's place is replaced, never followed.
//! What is neither (a device, a pipe, a socket) is never replaced.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use depot_proto::files::Xattr;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps,
    UTIME_OMIT,
};
use rustix::io::Errno;

use super::partial::temporary_name;
use super::xattrs;

/// A directory that things are written beneath.
pub(crate) struct Beneath {
    root: Arc<Folder>,
    /// For messages.
    path: PathBuf,
    /// The folder that was opened last: a tree is written folder by folder.
    last: Mutex<Option<(String, Arc<Folder>)>>,
}

/// A directory that is open.
pub(crate) struct Folder {
    pub(super) fd: OwnedFd,
}

/// Permission bits, time of modification and extended attributes of what is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    /// Seconds and nanoseconds; none leaves the time as it is.
    pub(crate) modified: Option<(i64, i64)>,
    /// None leaves them as they are.
    pub(crate) xattrs: Option<Vec<Xattr>>,
}

impl Beneath {
    /// `path` is a directory, or a symlink to one: a person named it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::openat(CWD, shown, flags, Mode::empty())?;
        Ok(Self { root: Arc::new(Folder { fd }), path: path.to_owned(), last: Mutex::new(None) })
    }

    /// The folder at `relative`, such as `a/b`; empty for the directory itself.
    pub(crate) fn folder(&self, relative: &str) -> io::Result<Arc<Folder>> {
        if relative.is_empty() {
            return Ok(self.root.clone());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, folder)) = &*last
            && path == relative
        {
            return Ok(folder.clone());
        }
        let fd = open_beneath(&self.root.fd, relative)?;
        let folder = Arc::new(Folder { fd });
        *last = Some((relative.to_owned(), folder.clone()));
        Ok(folder)
    }

    /// Where something is, for messages.
    pub(crate) fn shown(&self, folder: &str, name: &OsStr) -> PathBuf {
        match folder {
            "" => self.path.join(name),
            _ => self.path.join(folder).join(name),
        }
    }

    /// Returns when all that was written is on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.root.fd)?)
    }

    /// Removes what stands at `relative`; a folder only when nothing is in it. Whether it is gone: a folder
    /// that is not empty stays.
    pub(crate) fn remove(&self, relative: &str, is_folder: bool) -> io::Result<bool> {
        let (parent, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        let folder = self.folder(parent)?;
        folder.admit()?;
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match fs::unlinkat(&folder.fd, name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) if is_folder => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the folder at `relative`, whose parent stands, unless it stands itself. It can be written
    /// into until its own permissions are set, which is done when it is full.
    pub(crate) fn make_folder(&self, relative: &str) -> io::Result<()> {
        let (parent, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        match fs::mkdirat(&self.folder(parent)?.fd, name, Mode::RWXU) {
            Err(Errno::EXIST) => {}
            made => return made.map_err(io::Error::from),
        }
        self.folder(relative)?.admit()
    }
}

impl Folder {
    /// What stands at a name, itself: a symlink is not followed.
    pub(crate) fn standing(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether what stands at a name, if anything does, may give way to a file or a symlink.
    pub(super) fn gives_way(&self, name: &OsStr) -> io::Result<()> {
        let Some(stat) = self.standing(name)? else { return Ok(()) };
        let what = match FileType::from_raw_mode(stat.st_mode) {
            // A folder is not replaced by a rename.
            FileType::RegularFile | FileType::Symlink | FileType::Directory => return Ok(()),
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        let problem = format!("it is {what}, which is not replaced");
        Err(io::Error::new(io::ErrorKind::ResourceBusy, problem))
    }

    /// Opens a regular file to read it.
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(&self.fd, name, flags, Mode::empty())?))
    }

    /// The target of a symlink.
    pub(crate) fn target(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(&self.fd, name, Vec::new())?.into_bytes())
    }

    /// Makes a symlink, in place of a file or a symlink that stands there.
    pub(crate) fn symlink(
        &self,
        name: &OsStr,
        target: &str,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let standing = fs::readlinkat(&self.fd, name, Vec::new());
        if !standing.is_ok_and(|standing| standing.as_bytes() == target.as_bytes()) {
            self.gives_way(name)?;
            let temporary = temporary_name(name);
            match fs::unlinkat(&self.fd, &*temporary, AtFlags::empty()) {
                Err(error) if error != Errno::NOENT => return Err(error.into()),
                _ => {}
            }
            fs::symlinkat(target, &self.fd, &*temporary)?;
            if let Err(error) = fs::renameat(&self.fd, &*temporary, &self.fd, name) {
                let _ = fs::unlinkat(&self.fd, &*temporary, AtFlags::empty());
                return Err(error.into());
            }
        }
        if let Some(times) = times(attributes) {
            fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Sets the permissions, the time and the extended attributes of a file that stands as it should, if they
    /// are others.
    pub(crate) fn adjust(
        &self,
        name: &OsStr,
        stat: &Stat,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let is_other = has_other_mode(stat, attributes);
        if is_other || attributes.xattrs.is_some() {
            let file = self.read(name)?;
            note(&file, attributes)?;
            if is_other {
                fs::fchmod(&file, file_mode(attributes.mode))?;
            }
        }
        match times(attributes) {
            Some(times) if has_other_time(stat, attributes) => {
                Ok(fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            _ => Ok(()),
        }
    }

    /// Whether a file or a folder at a name has other extended attributes than it should.
    pub(crate) fn has_other_xattrs(
        &self,
        name: &OsStr,
        attributes: &Attributes,
    ) -> io::Result<bool> {
        let Some(wanted) = &attributes.xattrs else { return Ok(false) };
        xattrs::is_other(self.read(name)?, wanted)
    }

    /// Lets its owner write into it, until it gets its own permissions.
    pub(crate) fn admit(&self) -> io::Result<()> {
        let mode = Mode::from_raw_mode(fs::fstat(&self.fd)?.st_mode & 0o7777);
        match mode.contains(Mode::RWXU) {
            true => Ok(()),
            false => Ok(fs::fchmod(&self.fd, mode | Mode::RWXU)?),
        }
    }

    /// Sets the folder's own permissions and time, once it is full.
    pub(crate) fn finish(&self, attributes: &Attributes) -> io::Result<()> {
        note(&self.fd, attributes)?;
        fs::fchmod(&self.fd, Mode::from_raw_mode(attributes.mode & 0o7777))?;
        if let Some(times) = times(attributes) {
            fs::futimens(&self.fd, &times)?;
        }
        Ok(())
    }
}

fn open_beneath(root: &OwnedFd, relative: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match fs::openat2(root, relative, flags, Mode::empty(), resolve) {
        // Not in this kernel, or not in this sandbox.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => open_by_name(root, relative),
        opened => Ok(opened?),
    }
}

/// One name after the other, none of them a symlink.
fn open_by_name(root: &OwnedFd, relative: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut at = root.as_fd().try_clone_to_owned()?;
    for name in relative.split('/') {
        if matches!(name, "" | "." | "..") {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        at = fs::openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at)
}

/// Without set-user-id and set-group-id: a file that was fetched gives nobody more than they had.
pub(super) fn file_mode(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o1777)
}

/// Whether a file has other permissions than it should.
pub(crate) fn has_other_mode(stat: &Stat, attributes: &Attributes) -> bool {
    Mode::from_raw_mode(stat.st_mode & 0o1777) != file_mode(attributes.mode)
}

/// Whether anything has another time than it should.
pub(crate) fn has_other_time(stat: &Stat, attributes: &Attributes) -> bool {
    attributes.modified.is_some_and(|wanted| wanted != (stat.st_mtime, stat.st_mtime_nsec as i64))
}

/// Before the permissions, which may allow no more changes.
pub(super) fn note(fd: impl AsFd, attributes: &Attributes) -> io::Result<()> {
    attributes.xattrs.as_ref().map_or(Ok(()), |wanted| xattrs::write(fd, wanted))
}

pub(super) fn times(attributes: &Attributes) -> Option<Timestamps> {
    let (tv_sec, tv_nsec) = attributes.modified?;
    Some(Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec, tv_nsec },
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    use rustix::fd::OwnedFd;
    use tempfile::TempDir;

    use super::{Attributes, Beneath, open_beneath, open_by_name};
    use crate::tree::partial::Existing;

    pub(in crate::tree) const ATTRIBUTES: Attributes =
        Attributes { mode: 0o640, modified: Some((1_000_000, 7)), xattrs: None };

    pub(in crate::tree) fn write(
        root: &Path,
        folder: &str,
        name: &str,
        text: &[u8],
    ) -> std::io::Result<()> {
        let beneath = Beneath::open(root)?;
        let mut partial = beneath.folder(folder)?.begin(OsStr::new(name))?;
        partial.file.write_all(text)?;
        partial.finish(OsStr::new(name), &ATTRIBUTES, Existing::Replace)
    }

    #[test]
    fn a_symlink_on_the_way_is_not_followed() {
        let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        symlink(outside.path(), dir.path().join("a")).unwrap();
        let beneath = Beneath::open(dir.path()).unwrap();
        assert!(beneath.folder("a").is_err());
        assert!(beneath.make_folder("a").is_err());
        assert!(beneath.make_folder("a/b").is_err());
        assert!(write(dir.path(), "a", "x", b"").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_symlink_at_the_place_is_replaced_and_its_target_left_alone() {
        let dir = TempDir::new().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, b"old").unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        symlink(&outside, dir.path().join("in/x")).unwrap();
        symlink(&outside, dir.path().join("in/.y.depot-partial")).unwrap();
        write(dir.path(), "in", "x", b"new").unwrap();
        write(dir.path(), "in", "y", b"new").unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"old");
        assert_eq!(fs::read(dir.path().join("in/x")).unwrap(), b"new");
        assert!(fs::symlink_metadata(dir.path().join("in/y")).unwrap().is_file());
    }

    #[test]
    fn nothing_above_can_be_reached() {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("root/a")).unwrap();
        let root = OwnedFd::from(fs::File::open(dir.path().join("root")).unwrap());
        for path in ["..", "a/../..", "/", "/tmp", "../root", "a/.."] {
            assert!(open_by_name(&root, path).is_err(), "{path}");
        }
        for path in ["..", "a/../..", "/", "/tmp", "../root"] {
            assert!(open_beneath(&root, path).is_err(), "{path}");
        }
        assert!(open_beneath(&root, "a").is_ok() && open_by_name(&root, "a").is_ok());
    }

    #[test]
    fn symlinks_are_made_as_they_are() {
        let dir = TempDir::new().unwrap();
        let folder = Beneath::open(dir.path()).unwrap().folder("").unwrap();
        fs::write(dir.path().join("x"), b"old").unwrap();
        for target in ["../outside", "elsewhere"] {
            folder.symlink(OsStr::new("x"), target, &ATTRIBUTES).unwrap();
            assert_eq!(fs::read_link(dir.path().join("x")).unwrap(), Path::new(target));
        }
        assert_eq!(fs::symlink_metadata(dir.path().join("x")).unwrap().mtime(), 1_000_000);
    }
}
