//! Extended attributes of files and folders of this machine: those of `user.`, which are whoever's the file
//! is. What the system keeps in others (labels, access lists, capabilities) is this machine's own affair.

use std::io;
use std::path::Path;

use depot_proto::files::Xattr;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, listxattr,
    llistxattr,
};
use rustix::io::Errno;

const OURS: &str = "user.";

/// XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux: all names of a file, and one value.
const LIST_BYTES_MAX: usize = 64 << 10;
const VALUE_BYTES_MAX: usize = 64 << 10;

/// What the server takes of one entry, names and values together.
const BYTES_MAX: usize = 64 << 10;

/// Those of what stands at a path, by name; a symlink there is followed only where a person named it.
pub(crate) fn read(path: &Path, follows: bool) -> io::Result<Vec<Xattr>> {
    let xattrs = match follows {
        true => gather(|into| listxattr(path, into), |name, into| getxattr(path, name, into)),
        false => gather(|into| llistxattr(path, into), |name, into| lgetxattr(path, name, into)),
    }?;
    match is_too_much(&xattrs) {
        false => Ok(xattrs),
        true => Err(io::Error::other("its extended attributes take more than 64 KiB")),
    }
}

fn is_too_much(xattrs: &[Xattr]) -> bool {
    let bytes: usize = xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
    bytes > BYTES_MAX
}

/// Whether an open file has not these, or others too.
pub(super) fn is_other(fd: impl AsFd, wanted: &[Xattr]) -> io::Result<bool> {
    let (stands, wanted) = (of(fd.as_fd())?, ours(wanted));
    Ok(stands.len() != wanted.len() || wanted.into_iter().any(|new| !stands.contains(new)))
}

/// Lets an open file have these and no others.
pub(crate) fn write(fd: impl AsFd, wanted: &[Xattr]) -> io::Result<()> {
    let fd = fd.as_fd();
    let (stands, wanted) = (of(fd)?, ours(wanted));
    for gone in stands.iter().filter(|stands| !wanted.iter().any(|new| new.name == stands.name)) {
        fremovexattr(fd, &*gone.name)?;
    }
    for new in wanted.into_iter().filter(|new| !stands.contains(new)) {
        let set = fsetxattr(fd, &*new.name, &new.value, XattrFlags::empty());
        set.map_err(|error| {
            let told = io::Error::from(error);
            io::Error::new(told.kind(), format!("the extended attribute {}: {told}", new.name))
        })?;
    }
    Ok(())
}

fn of(fd: BorrowedFd<'_>) -> io::Result<Vec<Xattr>> {
    gather(|into| flistxattr(fd, into), |name, into| fgetxattr(fd, name, into))
}

fn ours(xattrs: &[Xattr]) -> Vec<&Xattr> {
    xattrs.iter().filter(|xattr| xattr.name.starts_with(OURS)).collect()
}

fn gather(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&str, &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Vec<Xattr>> {
    let mut names = vec![0; LIST_BYTES_MAX];
    let length = match list(&mut names) {
        Ok(length) => length,
        // A file system that has none.
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut xattrs = Vec::new();
    let mut value = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let Some(name) = str::from_utf8(name).ok().filter(|name| name.starts_with(OURS)) else {
            continue;
        };
        value.resize(VALUE_BYTES_MAX, 0);
        match get(name, &mut value) {
            Ok(length) => {
                let value = value[..length].to_vec().into();
                xattrs.push(Xattr { name: name.to_owned(), value });
            }
            // It has been removed since it was listed.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    xattrs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(xattrs)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use depot_proto::files::Xattr;
    use tempfile::TempDir;

    use super::{is_other, is_too_much, read, write};

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr { name: name.into(), value: value.to_vec().into() }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_left() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        assert_eq!(read(&path, false).unwrap(), []);
        let first = [xattr("user.a", b"1"), xattr("user.b", b""), xattr("user.\u{e9}", &[0, 255])];
        write(&file, &first).unwrap();
        assert_eq!(read(&path, false).unwrap(), first);
        let second = [xattr("user.b", b"2")];
        assert!(is_other(&file, &second).unwrap());
        write(&file, &second).unwrap();
        assert!(!is_other(&file, &second).unwrap());
        assert!(is_other(&file, &[]).unwrap());
        let link = dir.path().join("link");
        symlink("file", &link).unwrap();
        assert_eq!(read(&link, true).unwrap(), second);
        assert_eq!(read(&link, false).unwrap(), []);
        let folder = File::open(dir.path()).unwrap();
        write(&folder, &first).unwrap();
        assert_eq!(read(dir.path(), false).unwrap(), first);
    }

    #[test]
    fn the_server_takes_so_much_and_no_more() {
        let half = |name| xattr(name, &[7; 32 * 1024 - 6]);
        assert!(!is_too_much(&[half("user.a"), half("user.b")]));
        assert!(is_too_much(&[half("user.a"), half("user.b"), xattr("user.c", b"")]));
    }

    #[test]
    fn what_belongs_to_the_system_is_not_taken_from_a_server() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        write(&file, &[xattr("security.capability", b"x"), xattr("trusted.x", b"x")]).unwrap();
        assert_eq!(read(&path, false).unwrap(), []);
    }
}
