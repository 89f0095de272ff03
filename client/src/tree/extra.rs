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
    if !walked.is_folder(name) {
        return Vec::new();
    }
    let listed: Vec<(String, bool)> =
        items.iter().map(|item| (item.relative(), matches!(item.what, ItemKind::Folder))).collect();
    let mut stays: HashMap<&str, bool> =
        listed.iter().map(|(path, is_folder)| (path.as_str(), *is_folder)).collect();
    stays.insert(name, true);
    let all: Vec<(&str, bool)> = walked.all().collect();
    let places: HashMap<&str, usize> =
        all.iter().enumerate().map(|(place, (path, _))| (*path, place)).collect();
    let extra = |path: &str| {
        // Folders come before what is in them.
        let (_, rest) = all.split_at(places[path]);
        let below = rest[1..].iter().take_while(|(other, _)| is_below(other, path));
        Extra {
            path: path.to_owned(),
            is_folder: rest[0].1,
            is_in_the_way: stays.contains_key(path),
            below: below.map(|(other, is_folder)| ((*other).to_owned(), *is_folder)).collect(),
        }
    };
    let gone = gone(&all, &stays, |path, _| walked.skips(path));
    // What was skipped stays, and whatever of the list wants its place is left out and named.
    let skipped = walked.folders_with_skipped();
    let goes = |path: &&str| !walked.skips(path) && !skipped.contains(*path);
    gone.into_iter().filter(goes).map(extra).collect()
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
