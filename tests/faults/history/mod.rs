//! What several people asked of one folder and were answered, and in which order: each asking and each
//! answer has a tick, and no tick is given twice. `check` says whether one order of single steps explains
//! all of it.

mod check;
#[cfg(test)]
mod tests;

pub(crate) use check::{Checked, check};

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A place in the folder.
pub(crate) type Key = usize;

/// What is put somewhere, by a number: no two puts have the same.
pub(crate) type Content = u64;

/// A file as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) content: Content,
    pub(crate) generation: u64,
    pub(crate) etag: String,
}

/// What must be true of a place for a change to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Anything,
    Something,
    /// 0: nothing is there.
    Generation(u64),
    Etag(String),
}

/// What a change makes of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Content(Content),
    /// What stood at this place before.
    From(Key),
    Nothing,
}

/// A part of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) key: Key,
    pub(crate) want: Want,
    pub(crate) make: Make,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All steps were done, at one moment; what they made, as far as that was told.
    Done(Vec<(Key, Seen)>),
    /// Nothing was done: one of the places was not what was wanted.
    Refused,
    /// What stood at these places, at one moment.
    Saw(Vec<(Key, Option<Seen>)>),
    /// Nobody knows: done as a whole, or not at all.
    Unknown,
}

/// Something that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Nothing where somebody only looked.
    pub(crate) steps: Vec<Step>,
    pub(crate) answer: Answer,
    pub(crate) called: u64,
    pub(crate) returned: u64,
}

/// What has happened so far, for many to write in.
#[derive(Default)]
pub(crate) struct Log {
    ticks: AtomicU64,
    contents: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    operations: Vec<Operation>,
    digests: HashMap<[u8; 32], Content>,
}

impl Log {
    /// The next moment.
    pub(crate) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// A content that nobody has put before.
    pub(crate) fn content(&self) -> Content {
        let content = self.contents.fetch_add(1, Ordering::SeqCst);
        let digest = *blake3::hash(&bytes(content)).as_bytes();
        self.with(|kept| kept.digests.insert(digest, content));
        content
    }

    /// The content of this digest; `None` for one that nobody ever put.
    pub(crate) fn content_of(&self, digest: &[u8]) -> Option<Content> {
        let digest: [u8; 32] = digest.try_into().ok()?;
        self.with(|kept| kept.digests.get(&digest).copied())
    }

    /// Keeps what was answered.
    pub(crate) fn keep(&self, operation: Operation) {
        self.with(|kept| kept.operations.push(operation));
    }

    /// How many were answered.
    pub(crate) fn answered(&self) -> usize {
        self.with(|kept| kept.operations.len())
    }

    /// Everything.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.with(|kept| kept.operations.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bytes that a content stands for.
pub(crate) fn bytes(content: Content) -> Vec<u8> {
    format!("content {content}\n").into_bytes()
}
