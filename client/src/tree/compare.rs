//! A tree of this machine beside the one on the server: what is new, what differs, and what only the
//! server has.

use std::collections::{HashMap, HashSet};

use depot_proto::files::{Entry, Kind};

use crate::path::RemotePath;
use crate::transfer::commit::Planned;

/// How an entry that is to be put differs from what stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Nothing stands there.
    New,
    /// Something of another kind does.
    Kind,
    /// Another content, or the target of a symlink.
    Content,
    /// Permission bits, time or extended attributes alone.
    Attributes,
}

/// What stands on the server, by its path below a base.
pub(crate) struct There {
    /// The path of the base.
    root: String,
    entries: HashMap<String, Entry>,
    /// Those paths as they were listed: folders before what is in them.
    order: Vec<String>,
}

impl There {
    /// Entries with whole paths, folders before what is in them; what is not below `base` is none of it.
    pub(crate) fn new(base: &RemotePath, listed: impl IntoIterator<Item = Entry>) -> Self {
        let mut there = Self { root: base.below(""), entries: HashMap::new(), order: Vec::new() };
        for entry in listed {
            if let Some(relative) = there.relative(&entry).map(str::to_owned) {
                there.order.push(relative.clone());
                there.entries.insert(relative, entry);
            }
        }
        there
    }

    /// What stands at a path below the base.
    pub(crate) fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The path of an entry of these below the base.
    pub(crate) fn below<'a>(&self, entry: &'a Entry) -> &'a str {
        self.relative(entry).unwrap_or_default()
    }

    fn relative<'a>(&self, entry: &'a Entry) -> Option<&'a str> {
        let rest = entry.path.strip_prefix(&self.root)?;
        match rest {
            "" => Some(""),
            rest if self.root.ends_with('/') => Some(rest),
            rest => rest.strip_prefix('/'),
        }
    }

    /// How a planned entry differs from what stands there; nothing, where it does not.
    pub(crate) fn difference(&self, planned: &Planned) -> Option<Difference> {
        let new = &planned.entry;
        let Some(stands) = self.entries.get(&new.path) else {
            return Some(Difference::New);
        };
        if stands.kind() != new.kind() {
            return Some(Difference::Kind);
        }
        let digest = planned.manifest.as_ref().map_or(&new.blake3, |manifest| &manifest.digest);
        let same = match new.kind() {
            Kind::File => stands.blake3 == *digest,
            Kind::Symlink => {
                return (stands.symlink_target != new.symlink_target)
                    .then_some(Difference::Content);
            }
            Kind::Folder | Kind::Unspecified => true,
        };
        let same_xattrs = new.xattrs.as_ref().is_none_or(|new| new.xattrs == stands.xattrs);
        match same {
            false => Some(Difference::Content),
            true if stands.mode != new.mode
                || stands.modified_at != new.modified_at
                || !same_xattrs =>
            {
                Some(Difference::Attributes)
            }
            true => None,
        }
    }

    /// What stands there and is to go, for the tree to be as it is here.
    pub(crate) fn gone(
        &self,
        here: &HashMap<&str, bool>,
        is_spared: impl Fn(&str, bool) -> bool,
    ) -> Vec<&Entry> {
        let is_folder = |path: &str| self.entries[path].kind() == Kind::Folder;
        let all: Vec<(&str, bool)> =
            self.order.iter().map(|path| (path.as_str(), is_folder(path))).collect();
        gone(&all, here, is_spared).into_iter().map(|path| &self.entries[path]).collect()
    }
}

/// Of all that stands in one place, what is to go for it to be as it is in another: of folders that go as a
/// whole, only the folder. `all` has folders before what is in them, each path with whether it is a folder,
/// and `stays` has those of the other place; what is spared stays too, with the folders that it is in.
pub(crate) fn gone<'a>(
    all: &[(&'a str, bool)],
    stays: &HashMap<&str, bool>,
    is_spared: impl Fn(&str, bool) -> bool,
) -> Vec<&'a str> {
    let mut kept: HashSet<&str> = HashSet::new();
    for &(path, is_folder) in all.iter().rev() {
        let is_same_kind = stays.get(path) == Some(&is_folder);
        let is_spared = !stays.contains_key(path) && is_spared(path, is_folder);
        if path.is_empty() || is_same_kind || is_spared || kept.contains(path) {
            kept.insert(path);
            // With what it is in, unless something else takes that place.
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if stays.get(parent) != Some(&false) {
                kept.insert(parent);
            }
        }
    }
    let mut gone: Vec<&str> = Vec::new();
    for &(path, _) in all {
        let last = gone.last().copied();
        if !kept.contains(path) && !last.is_some_and(|last| is_below(path, last)) {
            gone.push(path);
        }
    }
    gone
}

/// Whether a path leads into a folder.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use depot_proto::files::{Entry, Kind, NewEntry};

    use super::{Difference, There};
    use crate::path::RemotePath;
    use crate::transfer::commit::Planned;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.into(), kind: kind.into(), mode: 0o644, ..Entry::default() }
    }

    fn there(base: &str, paths: &[&str]) -> There {
        let kind = |path: &str| if path.ends_with('/') { Kind::Folder } else { Kind::File };
        let entries = paths.iter().map(|path| entry(path.trim_end_matches('/'), kind(path)));
        There::new(&RemotePath::parse(base).unwrap(), entries)
    }

    fn gone(there: &There, here: &[&str], spared: &[&str]) -> Vec<String> {
        let here: HashMap<&str, bool> =
            here.iter().map(|path| (path.trim_end_matches('/'), path.ends_with('/'))).collect();
        let gone = there.gone(&here, |path, _| spared.contains(&path));
        gone.into_iter().map(|entry| entry.path.clone()).collect()
    }

    #[test]
    fn folders_go_as_a_whole_unless_something_in_them_stays() {
        let all = ["/t/a", "/t/b/", "/t/b/x/", "/t/b/x/1", "/t/b/y", "/t/b2", "/t/c/", "/t/c/1"];
        let there = there("/t", &all);
        assert_eq!(
            gone(&there, &["a", "b/", "b/x/", "b/x/1", "b/y", "b2", "c/", "c/1"], &[]),
            [""; 0]
        );
        assert_eq!(gone(&there, &["a"], &[]), ["/t/b", "/t/b2", "/t/c"]);
        assert_eq!(gone(&there, &["a", "b/"], &[]), ["/t/b/x", "/t/b/y", "/t/b2", "/t/c"]);
        assert_eq!(gone(&there, &["a"], &["b/x/1"]), ["/t/b/y", "/t/b2", "/t/c"]);
        assert_eq!(gone(&there, &[], &["b"]), ["/t/a", "/t/b/x", "/t/b/y", "/t/b2", "/t/c"]);
    }

    #[test]
    fn what_is_of_another_kind_goes() {
        let there = there("/", &["/a/", "/a/x", "/b", "/c/", "/c/x"]);
        assert_eq!(gone(&there, &["a", "b/", "b/y", "c/", "c/x"], &[]), ["/a", "/b"]);
        assert_eq!(gone(&there, &["a", "b", "c/"], &["a/x"]), ["/a", "/c/x"], "it is in the way");
    }

    #[test]
    fn differences_are_named_by_the_gravest() {
        let mut stands = entry("/t/a", Kind::File);
        stands.blake3 = vec![1].into();
        let there = There::new(&RemotePath::parse("/t").unwrap(), [stands]);
        let same = NewEntry {
            path: "a".into(),
            kind: Kind::File.into(),
            mode: 0o644,
            blake3: vec![1].into(),
            ..NewEntry::default()
        };
        let difference = |entry: NewEntry| there.difference(&Planned { entry, manifest: None });
        assert_eq!(difference(same.clone()), None);
        for (new, expected) in [
            (NewEntry { mode: 0o600, ..same.clone() }, Difference::Attributes),
            (NewEntry { blake3: vec![2].into(), mode: 0o600, ..same.clone() }, Difference::Content),
            (NewEntry { kind: Kind::Folder.into(), ..same.clone() }, Difference::Kind),
            (NewEntry { path: "b".into(), ..same.clone() }, Difference::New),
        ] {
            assert_eq!(difference(new), Some(expected));
        }
    }
}
