//! The syncing thread of a lane: one fdatasync for all that was written since the last one, then all
//! answers. A sync that fails is never tried again: the kernel may have dropped the pages and would say
//! yes the second time. The store stops instead, and the file is cut back to its last durable record.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;

use super::Store;
use super::health::Failure;
use super::lane::WRITTEN_AHEAD_MAX;
use super::tail::Tail;
use crate::error::Result;
use crate::model::{ChunkPlace, PackId};

type Answer = (oneshot::Sender<Result<Vec<ChunkPlace>>>, Vec<ChunkPlace>);

/// What has been written and is not durable yet.
pub(super) struct Written {
    pack: PackId,
    file: Arc<OwnedFd>,
    start: u64,
    end: u64,
    sealed: bool,
    answers: Vec<Answer>,
}

impl Written {
    /// A batch that went into a pack from `start` on.
    pub(super) fn batch(tail: &Tail, start: u64, answers: Vec<Answer>) -> Self {
        let file = Arc::clone(&tail.file);
        Self { pack: tail.pack, file, start, end: tail.end, sealed: false, answers }
    }

    /// The footer that went there.
    pub(super) fn seal(tail: &Tail, start: u64) -> Self {
        Self { sealed: true, ..Self::batch(tail, start, Vec::new()) }
    }
}

/// The state of the thread.
pub(super) struct Syncer {
    store: Arc<Store>,
    batches: Receiver<Written>,
    held: Option<Written>,
}

impl Syncer {
    /// A syncer of what comes through here.
    pub(super) fn new(store: Arc<Store>, batches: Receiver<Written>) -> Self {
        Self { store, batches, held: None }
    }

    /// Works until the writer is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.held.take().or_else(|| self.batches.recv().ok()) {
            let group = self.gather(first);
            let outcome = self.sync(&group);
            for (answer, places) in group.into_iter().flat_map(|written| written.answers) {
                let _ = answer.send(outcome.map(|()| places).map_err(Into::into));
            }
        }
    }

    /// Adds what else was written to the same pack; no more than may wait, or a fast writer would keep
    /// the sync off.
    fn gather(&mut self, first: Written) -> Vec<Written> {
        let pack = first.pack;
        let mut group = vec![first];
        while group.len() < WRITTEN_AHEAD_MAX
            && let Ok(written) = self.batches.try_recv()
        {
            if written.pack != pack {
                self.held = Some(written);
                break;
            }
            group.push(written);
        }
        group
    }

    fn sync(&self, group: &[Written]) -> Result<(), Failure> {
        self.store.health.check()?;
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return Ok(());
        };
        match self.store.disk.sync(last.file.as_fd()) {
            Ok(()) => {
                self.store.table.set(last.pack, last.end, last.sealed);
                Ok(())
            }
            Err(errno) => {
                let failure = self.store.health.stop(last.pack, errno);
                self.cut_back(first);
                Err(failure)
            }
        }
    }

    /// Takes away what the next start would otherwise find valid in the page cache alone. It may fail
    /// too; recovery therefore reads from the disk as well as it can.
    fn cut_back(&self, first: &Written) {
        if let Err(errno) = self.store.disk.truncate(first.file.as_fd(), first.start) {
            tracing::error!(pack = %first.pack, %errno, "what was not synced could not be cut off");
        }
    }
}
