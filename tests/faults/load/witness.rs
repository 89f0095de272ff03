//! What may be seen at any time: everything that anybody ever tried to put at a path. Whoever reads sees
//! one of these as a whole, or nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::chance::Chance;

/// All tries so far, of all accounts.
#[derive(Default)]
pub(crate) struct Witness(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// By account and path: digests of what was tried there.
    files: HashMap<(usize, String), BTreeSet<[u8; 32]>>,
    /// By account: paths of committed trees, and the files that each has below it.
    trees: HashMap<usize, Vec<(String, BTreeSet<String>)>>,
}

impl Witness {
    /// Somebody is about to put a file.
    pub(crate) fn file(&self, account: usize, path: String, digest: [u8; 32]) {
        self.with(|seen| seen.files.entry((account, path)).or_default().insert(digest));
    }

    /// Somebody is about to let a tree appear.
    pub(crate) fn tree(&self, account: usize, path: String, files: BTreeSet<String>) {
        self.with(|seen| seen.trees.entry(account).or_default().push((path, files)));
    }

    /// A file that somebody of this account tried to put some time.
    pub(crate) fn some_file(&self, account: usize, chance: &mut Chance) -> Option<String> {
        self.with(|seen| {
            let paths = seen.files.keys().filter(|(of, _)| *of == account);
            let mut paths: Vec<String> = paths.map(|(_, path)| path.clone()).collect();
            paths.sort_unstable();
            chance.pick(&paths).cloned()
        })
    }

    /// A tree that somebody of this account committed some time.
    pub(crate) fn some_tree(
        &self,
        account: usize,
        chance: &mut Chance,
    ) -> Option<(String, BTreeSet<String>)> {
        self.with(|seen| chance.pick(seen.trees.get(&account)?).cloned())
    }

    /// Whether somebody tried to put this there.
    pub(crate) fn was_tried(&self, account: usize, path: &str, digest: &[u8]) -> bool {
        let key = (account, path.to_owned());
        self.with(|seen| {
            seen.files.get(&key).is_some_and(|tried| tried.iter().any(|one| one == digest))
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
