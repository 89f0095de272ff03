//! When the fault began, and what an answer is worth that comes after that.

use std::sync::atomic::{AtomicBool, Ordering};

/// What answers that come after the fault began are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// They count: whoever gave them had done it.
    Count,
    /// They race the fault, and say nothing.
    Race,
}

/// A fault that is to come.
#[derive(Debug)]
pub(crate) struct Fault {
    begun: AtomicBool,
    late: Answers,
}

impl Fault {
    /// One after which answers are worth this.
    pub(crate) fn new(late: Answers) -> Self {
        Self { begun: AtomicBool::new(false), late }
    }

    /// From now on calls may fail, and no new ones are made.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    /// Whether calls may fail.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether an answer that is here now says that it was done.
    pub(crate) fn counts(&self) -> bool {
        self.late == Answers::Count || !self.has_begun()
    }
}
