//! What a server lists, checked before anything is written: every entry is below what was asked for, has
//! a name that a folder can hold, and comes once, after the folder that it is in.

use std::collections::HashSet;
use std::ffi::OsString;

use depot_proto::files::{Entry, Kind};

use super::beneath::Attributes;
use crate::error::{Error, Result};
use crate::names;
use crate::path::RemotePath;
use crate::transfer::Digest;

/// One entry, and where it goes.
#[derive(Debug)]
pub(crate) struct Item {
    /// On the server.
    pub(crate) path: String,
    /// The folder that it goes into, below the one that is written beneath.
    pub(crate) folder: String,
    pub(crate) name: OsString,
    pub(crate) what: ItemKind,
    pub(crate) attributes: Attributes,
}

/// What an entry is.
#[derive(Debug)]
pub(crate) enum ItemKind {
    Folder,
    File { version: String, size: u64, digest: Digest },
    Symlink(String),
}

impl Item {
    /// One entry by itself, which goes to `name`.
    pub(crate) fn alone(entry: Entry, name: OsString) -> Result<Self> {
        Self::of(entry, String::new(), name)
    }

    /// The relative path of a folder.
    pub(crate) fn relative(&self) -> String {
        join(&self.folder, &self.name.to_string_lossy())
    }

    fn of(entry: Entry, folder: String, name: OsString) -> Result<Self> {
        let what = match entry.kind() {
            Kind::Folder => ItemKind::Folder,
            Kind::Symlink => ItemKind::Symlink(entry.symlink_target.clone()),
            Kind::File => ItemKind::File {
                size: entry.size,
                digest: Digest::parse(&entry.blake3)?,
                version: entry.version.clone(),
            },
            Kind::Unspecified => {
                let message = format!("{} is of a kind that this depot does not know", entry.path);
                return Err(Error::bad_answer(message).at(entry.path));
            }
        };
        let attributes = attributes(&entry);
        Ok(Self { path: entry.path, folder, name, what, attributes })
    }
}

/// Permissions, time and extended attributes of an entry.
fn attributes(entry: &Entry) -> Attributes {
    let modified = entry.modified_at.as_ref().map(|time| (time.seconds, i64::from(time.nanos)));
    // Anything else would make the kernel refuse the file, or mean "now".
    let modified = modified.filter(|(_, nanos)| (0..1_000_000_000).contains(nanos));
    let xattrs = Some(entry.xattrs.clone());
    Attributes { mode: entry.mode & 0o7777, modified, xattrs }
}

/// The entries below `base`, which go below `prefix`.
pub(crate) fn check(base: &RemotePath, prefix: &str, entries: Vec<Entry>) -> Result<Vec<Item>> {
    let root = base.to_string();
    let mut folders = HashSet::from([String::new()]);
    let mut seen: HashSet<String> = HashSet::with_capacity(entries.len());
    let mut items = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.path == root {
            continue;
        }
        let Some(below) = relative(&root, &entry.path) else {
            return Err(unasked(&root, &entry.path));
        };
        let (parent, name) = below.rsplit_once('/').unwrap_or(("", below));
        let is_good = folders.contains(parent)
            && below.split('/').all(|name| names::problem(name).is_none())
            && below.split('/').count() <= names::DEPTH_MAX
            && seen.insert(below.to_owned());
        if !is_good {
            return Err(unasked(&root, &entry.path));
        }
        if entry.kind() == Kind::Folder {
            folders.insert(below.to_owned());
        }
        let (folder, name) = (join(prefix, parent), OsString::from(name));
        items.push(Item::of(entry, folder, name)?);
    }
    Ok(items)
}

fn relative<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root)?;
    match root.ends_with('/') {
        true => Some(rest),
        false => rest.strip_prefix('/'),
    }
}

fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", _) => name.to_owned(),
        (_, "") => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

fn unasked(root: &str, path: &str) -> Error {
    let message =
        format!("the server listed {path}, which cannot be below {root}; nothing was written");
    Error::bad_answer(message).at(path)
}

#[cfg(test)]
mod tests {
    use depot_proto::files::{Entry, Kind};

    use super::{attributes, check};
    use crate::path::RemotePath;

    fn entry(path: &str, kind: Kind) -> Entry {
        let blake3 = vec![0; 32].into();
        Entry { path: path.into(), kind: kind.into(), blake3, ..Entry::default() }
    }

    fn checked(base: &str, entries: &[(&str, Kind)]) -> Option<Vec<(String, String)>> {
        let base = RemotePath::parse(base).unwrap();
        let entries = entries.iter().map(|(path, kind)| entry(path, *kind)).collect();
        let items = check(&base, "new", entries).ok()?;
        Some(items.into_iter().map(|i| (i.folder, i.name.into_string().unwrap())).collect())
    }

    #[test]
    fn an_honest_list_goes_below_the_prefix() {
        let listed = [("/x/a", Kind::Folder), ("/x/a/b", Kind::File), ("/x/c", Kind::Symlink)];
        let wanted = [("new", "a"), ("new/a", "b"), ("new", "c")];
        let wanted: Vec<_> = wanted.map(|(folder, name)| (folder.into(), name.into())).into();
        assert_eq!(checked("/x", &listed), Some(wanted));
        assert!(checked("/", &[("/a", Kind::File)]).is_some());
        assert!(checked("ann:/x", &[("ann:/x/a", Kind::File)]).is_some());
    }

    #[test]
    fn a_list_that_leads_elsewhere_is_refused_as_a_whole() {
        let file = Kind::File;
        for listed in [
            vec![("/y/a", file)],
            vec![("/xa", file)],
            vec![("/x/../a", file)],
            vec![("/x/.", file)],
            vec![("/x//a", file)],
            vec![("/x/", file)],
            vec![("a", file)],
            vec![("/x/a\0b", file)],
            vec![("/x/\u{1b}[2J", file)],
            vec![("/x/a/b", file)],
            vec![("/x/a", file), ("/x/a/b", file)],
            vec![("/x/l", Kind::Symlink), ("/x/l/b", file)],
            vec![("/x/a", file), ("/x/a", file)],
            vec![("/x/a", Kind::Unspecified)],
        ] {
            assert_eq!(checked("/x", &listed), None, "{listed:?}");
        }
    }

    #[test]
    fn a_time_that_the_kernel_would_take_for_now_is_none() {
        let mut odd = entry("/x", Kind::File);
        odd.modified_at = Some(prost_types::Timestamp { seconds: 1, nanos: (1 << 30) - 1 });
        assert_eq!(attributes(&odd).modified, None);
    }
}
