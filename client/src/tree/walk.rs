//! Walks local trees: what is in them, in the order of a commit (parents before children, each folder
//! sorted), and everything that stands against putting it, found before anything is sent.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use depot_proto::files::Xattr;

use super::filter::Filter;
use super::partial::is_reserved;
use super::xattrs;
use crate::error::{Error, Exit};
use crate::names;
use crate::path::RemotePath;
use crate::transfer::Seen;

/// The longest target of a symlink.
const SYMLINK_BYTES_MAX: usize = 4095;

/// One thing of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Below the base of the commit; empty for the base itself.
    pub(crate) path: String,
    pub(crate) what: What,
    pub(crate) seen: Seen,
    /// Its extended attributes, where they were asked for.
    pub(crate) xattrs: Option<Vec<Xattr>>,
    root: usize,
}

/// What a thing of a tree is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    Folder,
    File,
    Symlink(String),
}

/// A file or a folder that was named, and the name it has below the base.
pub(crate) struct Root {
    pub(crate) local: PathBuf,
    pub(crate) name: String,
}

/// What a walk found.
pub(crate) struct Walked {
    roots: Vec<Root>,
    pub(crate) found: Vec<Found>,
    /// Sum of the files' sizes.
    pub(crate) bytes: u64,
    /// Names that the server cannot have: nothing is put.
    pub(crate) invalid: Vec<Error>,
    /// Names that count as one with another in their folder: nothing is put, unless they are left out.
    pub(crate) twins: Vec<Error>,
    /// What could not be read: all else is put.
    pub(crate) unreadable: Vec<Error>,
    /// Sockets, devices and the like, which no tree on the server holds, and what a get left unfinished.
    pub(crate) special: Vec<Error>,
    /// Paths below the base of what is here and none of what was found, whatever the reason.
    skipped: HashSet<String>,
    filter: Filter,
}

impl Walked {
    /// Walks all `roots`, which are to stand below `base`.
    pub(crate) fn walk(
        base: &RemotePath,
        roots: Vec<Root>,
        filter: Filter,
        with_xattrs: bool,
    ) -> Self {
        let walked = Self { filter, ..Self::nothing() };
        let mut walker = Walker { base, walked, with_xattrs };
        let names = roots.iter().map(|root| root.name.as_str());
        let twins = names::twins(names);
        walker.walked.roots = roots;
        for root in 0..walker.walked.roots.len() {
            match twins.iter().find(|(later, _)| *later == root) {
                Some(&(later, earlier)) => {
                    let shown =
                        |place: usize| walker.walked.roots[place].local.display().to_string();
                    let pair = twin(&shown(later), &shown(earlier));
                    walker.walked.twins.push(pair);
                }
                None => walker.root(root),
            }
        }
        walker.walked
    }

    /// A single file that comes from stdin.
    pub(crate) fn stdin(name: &str) -> Self {
        let (name, local) = (name.to_owned(), PathBuf::from("-"));
        let seen = Seen { mode: 0o644, ..Seen::default() };
        let found = Found { path: name.clone(), what: What::File, seen, xattrs: None, root: 0 };
        Self { roots: vec![Root { local, name }], found: vec![found], ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            roots: Vec::new(),
            found: Vec::new(),
            bytes: 0,
            invalid: Vec::new(),
            twins: Vec::new(),
            unreadable: Vec::new(),
            special: Vec::new(),
            skipped: HashSet::new(),
            filter: Filter::none(),
        }
    }

    /// Where a thing is on this machine.
    pub(crate) fn local(&self, found: &Found) -> PathBuf {
        let root = &self.roots[found.root];
        match self.is_root(found) {
            true => root.local.clone(),
            false if root.name.is_empty() => root.local.join(&found.path),
            false => root.local.join(&found.path[root.name.len() + 1..]),
        }
    }

    /// All that was found, with whether it is a folder.
    pub(crate) fn here(&self) -> HashMap<&str, bool> {
        let paths = self.found.iter();
        paths.map(|found| (found.path.as_str(), found.what == What::Folder)).collect()
    }

    /// All that is here, with whether it is a folder: first what was found, folders before what is in them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, bool)> {
        let found =
            self.found.iter().map(|found| (found.path.as_str(), found.what == What::Folder));
        found.chain(self.skipped.iter().map(|path| (path.as_str(), false)))
    }

    /// Whether a folder was found at this path.
    pub(crate) fn is_folder(&self, path: &str) -> bool {
        let found = self.found.iter().find(|found| found.path == path);
        found.is_some_and(|found| found.what == What::Folder)
    }

    /// Whether something on the server that was not found here was not looked for either: it would be left
    /// out, or is here and no file.
    pub(crate) fn spares(&self, path: &str, is_folder: bool) -> bool {
        if self.skips(path) {
            return true;
        }
        let below = |root: &Root| match root.name.as_str() {
            "" => Some(path.to_owned()),
            name => path.strip_prefix(name)?.strip_prefix('/').map(str::to_owned),
        };
        let root = self.roots.iter().find_map(|root| Some((root, below(root)?)));
        root.is_some_and(|(root, below)| {
            self.filter.leaves_out_below(&below, &root.local, is_folder)
        })
    }

    /// Whether something that is here was skipped, or a folder that it is in.
    pub(crate) fn skips(&self, path: &str) -> bool {
        let mut ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.any(|end| self.skipped.contains(&path[..end]))
    }

    /// The folders that have something in them that was skipped, however deep.
    pub(crate) fn folders_with_skipped(&self) -> HashSet<&str> {
        let ends = self
            .skipped
            .iter()
            .flat_map(|path| path.match_indices('/').map(move |(end, _)| &path[..end]));
        ends.collect()
    }

    /// Whether it was named itself.
    pub(crate) fn is_root(&self, found: &Found) -> bool {
        found.path == self.roots[found.root].name
    }
}

struct Walker<'a> {
    base: &'a RemotePath,
    walked: Walked,
    with_xattrs: bool,
}

/// One entry of a folder, before its kind is looked at.
struct Child {
    name: String,
    local: PathBuf,
}

impl Walker<'_> {
    fn root(&mut self, root: usize) {
        let Root { local, name } = &self.walked.roots[root];
        let (local, name) = (local.clone(), name.clone());
        // A symlink that was named stands for what it leads to.
        match fs::metadata(&local) {
            Ok(metadata) => self.thing(root, name, &local, &metadata),
            Err(error) => self.unreadable(name, &local, &error),
        }
    }

    fn thing(&mut self, root: usize, path: String, local: &Path, metadata: &Metadata) {
        if let Some(problem) = self.too_far(&path) {
            return self.invalid(local, problem);
        }
        let is_root = path == self.walked.roots[root].name;
        let what = match metadata.file_type() {
            kind if kind.is_dir() => What::Folder,
            // What a person names may be a pipe; it is read to its end.
            kind if kind.is_file() || is_root => What::File,
            kind if kind.is_symlink() => match symlink_target(local) {
                Ok(target) => What::Symlink(target),
                Err(error) => return self.unreadable(path, local, &error),
            },
            kind => {
                let shown = local.to_string_lossy();
                let message = format!("{shown} is {}; skipped", kind_of(kind));
                let warning = Error::new(Exit::Fine, "SPECIAL_FILE", message).at(shown);
                self.walked.special.push(warning);
                self.walked.skipped.insert(path);
                return;
            }
        };
        let xattrs = match &what {
            What::File | What::Folder if self.with_xattrs => match xattrs::read(local, is_root) {
                Ok(xattrs) => Some(xattrs),
                Err(error) => return self.unreadable(path, local, &error),
            },
            _ => None,
        };
        let children = match &what {
            What::Folder => {
                self.walked.filter.enter(local);
                match self.children(root, &path, local) {
                    Ok(children) => children,
                    Err(error) => {
                        self.walked.filter.leave();
                        return self.unreadable(path, local, &error);
                    }
                }
            }
            What::File => {
                self.walked.bytes += metadata.len();
                Vec::new()
            }
            What::Symlink(_) => Vec::new(),
        };
        let seen = Seen::of(metadata);
        let parent = path.clone();
        let is_folder = what == What::Folder;
        self.walked.found.push(Found { path, what, seen, xattrs, root });
        for child in children {
            self.child(root, &parent, child);
        }
        if is_folder {
            self.walked.filter.leave();
        }
    }

    fn child(&mut self, root: usize, parent: &str, child: Child) {
        // On the server it would stand in the way of every get.
        if is_reserved(OsStr::new(&child.name)) {
            let shown = child.local.to_string_lossy();
            let message = format!("{shown} is what a get that was interrupted left; skipped");
            let warning = Error::new(Exit::Fine, "UNFINISHED_FILE", message).at(shown);
            self.walked.skipped.insert(join(parent, &child.name));
            return self.walked.special.push(warning);
        }
        let path = join(parent, &child.name);
        match fs::symlink_metadata(&child.local) {
            Ok(metadata) => self.thing(root, path, &child.local, &metadata),
            Err(error) => self.unreadable(path, &child.local, &error),
        }
    }

    /// What is in a folder, sorted, without names that are no good.
    fn children(&mut self, root: usize, path: &str, local: &Path) -> io::Result<Vec<Child>> {
        let mut names: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(local)? {
            let entry = entry?;
            let name = entry.file_name();
            match !self.walked.filter.is_none() && self.is_left_out(root, path, &entry)? {
                true => drop(self.walked.skipped.insert(join(path, &name.to_string_lossy()))),
                false => names.push(name),
            }
        }
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        let mut children = Vec::with_capacity(names.len());
        for name in names {
            let local = local.join(&name);
            let problem = match name.to_str() {
                None => Some("a name is UTF-8 text"),
                Some(name) => names::problem(name),
            };
            let name = name.to_string_lossy().into_owned();
            match problem {
                Some(problem) => {
                    self.walked.skipped.insert(join(path, &name));
                    self.invalid(&local, problem);
                }
                None => children.push(Child { name, local }),
            }
        }
        let twins = names::twins(children.iter().map(|child| child.name.as_str()));
        for &(later, earlier) in &twins {
            let shown = |place: usize| children[place].local.display().to_string();
            self.walked.twins.push(twin(&shown(later), &shown(earlier)));
            self.walked.skipped.insert(join(path, &children[later].name));
        }
        let mut place = 0;
        children.retain(|_| {
            place += 1;
            twins.binary_search_by_key(&(place - 1), |&(later, _)| later).is_err()
        });
        Ok(children)
    }

    fn is_left_out(&self, root: usize, parent: &str, entry: &DirEntry) -> io::Result<bool> {
        // As it is below the folder that was named, whatever that is called on the server.
        let base = &self.walked.roots[root].name;
        let below = parent.strip_prefix(base.as_str()).unwrap_or(parent).trim_start_matches('/');
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = join(below, &name);
        Ok(self.walked.filter.leaves_out(&path, &entry.path(), entry.file_type()?.is_dir()))
    }

    fn too_far(&self, path: &str) -> Option<&'static str> {
        let depth = if path.is_empty() { 0 } else { path.split('/').count() };
        let bytes = if path.is_empty() { 0 } else { path.len() + 1 };
        if self.base.names().len() + depth > names::DEPTH_MAX {
            return Some("a path is at most 128 names deep");
        }
        let is_long = self.base.bytes() + bytes > names::PATH_BYTES_MAX;
        is_long.then_some("a path is at most 4,096 bytes long")
    }

    fn invalid(&mut self, local: &Path, problem: &str) {
        let shown = local.to_string_lossy();
        let message = format!("{shown}: {problem}");
        self.walked.invalid.push(Error::new(Exit::Usage, "INVALID_NAME", message).at(shown));
    }

    fn unreadable(&mut self, path: String, local: &Path, error: &io::Error) {
        let problem = Error::file("read", local, error);
        let message = format!("{}; it is left out", problem.message());
        self.walked.unreadable.push(Error::partial(message).at(local.to_string_lossy()));
        self.walked.skipped.insert(path);
    }
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

fn twin(later: &str, earlier: &str) -> Error {
    let message = format!("{later} and {earlier} count as one name");
    Error::new(Exit::Conflict, "NAME_TWIN", message).at(later)
}

fn symlink_target(local: &Path) -> io::Result<String> {
    let target = fs::read_link(local)?.into_os_string().into_string();
    match target {
        Ok(target) if target.len() <= SYMLINK_BYTES_MAX => Ok(target),
        Ok(_) => Err(io::Error::other("its target is longer than 4,095 bytes")),
        Err(_) => Err(io::Error::other("its target is not UTF-8 text")),
    }
}

/// What stands there, of what is neither a file, a folder nor a symlink.
pub(crate) fn kind_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        _ if kind.is_socket() => "a socket",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "no file",
    }
}

/// Whether it can be read only once, from its beginning to its end.
pub(crate) fn is_stream(metadata: &Metadata) -> bool {
    // S_IFMT, S_IFIFO and S_IFCHR of POSIX.
    matches!(metadata.mode() & 0o170_000, 0o010_000 | 0o020_000)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::{Filter, Root, Walked, What};
    use crate::path::RemotePath;

    fn walk(local: &Path, name: &str) -> Walked {
        let base = RemotePath::parse("/base").unwrap();
        let root = Root { local: local.to_owned(), name: name.to_owned() };
        Walked::walk(&base, vec![root], Filter::none(), false)
    }

    fn paths(walked: &Walked) -> Vec<&str> {
        walked.found.iter().map(|found| found.path.as_str()).collect()
    }

    #[test]
    fn a_tree_is_walked_in_the_order_of_a_commit() {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("b/empty")).unwrap();
        for name in ["b/z", "b-", "a", "b/a"] {
            fs::write(dir.path().join(name), b"12").unwrap();
        }
        symlink("../outside", dir.path().join("link")).unwrap();
        let walked = walk(dir.path(), "");
        assert_eq!(paths(&walked), ["", "a", "b", "b/a", "b/empty", "b/z", "b-", "link"]);
        assert_eq!(walked.bytes, 8);
        assert_eq!(walked.found[7].what, What::Symlink("../outside".into()));
        assert_eq!(walked.local(&walked.found[3]), dir.path().join("b/a"));
        assert!(walked.is_root(&walked.found[0]) && !walked.is_root(&walked.found[1]));
    }

    #[test]
    fn a_root_may_have_another_name() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("a"), b"").unwrap();
        let walked = walk(dir.path(), "new");
        assert_eq!(paths(&walked), ["new", "new/a"]);
        assert_eq!(walked.local(&walked.found[1]), dir.path().join("a"));
    }

    #[test]
    fn every_twin_and_every_bad_name_is_named() {
        let dir = TempDir::new().unwrap();
        for name in ["README", "readme", "ReadMe", "\u{e9}", "e\u{301}", "bad\nname", "good"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let broken = std::ffi::OsStr::from_bytes(b"broken\xff");
        fs::write(dir.path().join(broken), b"").unwrap();
        let walked = walk(dir.path(), "");
        assert_eq!(walked.twins.len(), 3);
        assert_eq!(walked.invalid.len(), 2);
        assert_eq!(paths(&walked), ["", "README", "e\u{301}", "good"]);
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_what_is_special_is_skipped() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("good"), b"").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        fs::write(dir.path().join(".good.depot-partial"), b"").unwrap();
        let walked = walk(dir.path(), "");
        assert_eq!(paths(&walked), ["", "good"]);
        assert_eq!(walked.special.len(), 2);
        let absent = walk(&dir.path().join("absent"), "x");
        assert_eq!((absent.found.len(), absent.unreadable.len()), (0, 1));
    }

    #[test]
    fn what_is_too_deep_is_named() {
        let dir = TempDir::new().unwrap();
        let deep = dir.path().join("d/".repeat(128));
        fs::create_dir_all(deep).unwrap();
        let walked = walk(dir.path(), "");
        assert_eq!(walked.invalid.len(), 1);
        assert_eq!(walked.found.len(), 128, "the base and 127 names below it");
    }
}
