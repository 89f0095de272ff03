//! What stands here and is not in a list from the server: what goes when a tree is made like the server's.
//! What was left out, and what no server holds, stays, with the folders that it is in.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::beneath::Beneath;
use super::compare::{gone, is_below};
use super::filter::Filter;
use super::listed::{Item, ItemKind};
use super::walk::{Root, Walked};
use crate::path::RemotePath;

/// Something that goes, with all that is in it.
pub(crate) struct Extra {
    /// Beneath the directory that is written beneath.
    pub(crate) path: String,
    pub(crate) is_folder: bool,
    /// Whether something of the list takes its place.
    pub(crate) is_in_the_way: bool,
    /// All that is in it, folders before what is in them; each with whether it is one.
    below: Vec<(String, bool)>,
}

/// What is in the folder `name` beneath `folder`, and not among the items.
pub(crate) fn find(folder: &Path, name: &str, items: &[Item], filter: Filter) -> Vec<Extra> {
    let root = Root { local: folder.join(name), name: name.to_owned() };
    // How deep it is counts from here.
    let walked = Walked::walk(&RemotePath::root(), vec![root], filter, false);
    let listed: Vec<(String, bool)> =
        items.iter().map(|item| (item.relative(), matches!(item.what, ItemKind::Folder))).collect();
    let mut stays: HashMap<&str, bool> =
        listed.iter().map(|(path, is_folder)| (path.as_str(), *is_folder)).collect();
    stays.insert(name, true);
    let all: Vec<(&str, bool)> = walked.all().collect();
    let found = walked.here();
    let extra = |path: &str| Extra {
        path: path.to_owned(),
        is_folder: found.get(path) == Some(&true),
        is_in_the_way: stays.contains_key(path),
        below: all
            .iter()
            .filter(|(other, _)| is_below(other, path))
            .map(|(other, is_folder)| ((*other).to_owned(), *is_folder))
            .collect(),
    };
    gone(&all, &stays, |path, _| walked.skips(path)).into_iter().map(extra).collect()
}

impl Extra {
    /// Whether it is gone: a folder that something has come into meanwhile stays.
    pub(crate) fn remove(&self, beneath: &Beneath) -> io::Result<bool> {
        for (path, is_folder) in self.below.iter().rev() {
            beneath.remove(path, *is_folder)?;
        }
        beneath.remove(&self.path, self.is_folder)
    }
}
