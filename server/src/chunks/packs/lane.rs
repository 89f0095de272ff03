//! A lane: a bounded queue of appends, a thread that writes them and one that syncs them, so that the
//! next batch is written while the one before is on its way to the disk. Dropping a lane finishes what
//! is queued and waits for it.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};

use tokio::sync::{mpsc as queue, oneshot};

use super::Store;
use super::health::Failure;
use super::syncer::Syncer;
use super::tail::{Tail, record_bytes};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::model::{ChunkPlace, NewChunk};

/// Batches that may be written ahead of the sync. All of them share the next one, so this and the batch
/// size bound the dirty bytes that a caller waits for.
pub(super) const WRITTEN_AHEAD_MAX: usize = 4;

/// What a lane takes.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Its name in the list of threads; at most 9 letters, the kernel cuts at 15.
    pub(super) name: &'static str,
    /// Appends that wait in the queue; the next ones wait for a place in it.
    pub(super) queued_max: usize,
    /// Bytes of appends that are gathered into one write. A longer append goes alone.
    pub(super) batch_bytes_max: u64,
    /// Whether it writes past the page cache.
    pub(super) in_blocks: bool,
}

/// One append on its way.
pub(super) struct Append {
    /// What is to be written.
    pub(super) chunks: Vec<NewChunk>,
    /// Bytes that takes in a pack.
    pub(super) bytes: u64,
    /// Who waits; nobody any more if the request was dropped.
    pub(super) answer: oneshot::Sender<Result<Vec<ChunkPlace>>>,
}

impl Append {
    /// Answers that it was not done.
    pub(super) fn fail(self, failure: Failure) {
        let _ = self.answer.send(Err(failure.into()));
    }
}

/// The handle of a lane.
pub(super) struct LaneThreads {
    queue: Option<queue::Sender<Append>>,
    threads: Vec<JoinHandle<()>>,
}

impl LaneThreads {
    /// Starts a lane that goes on with this pack, or makes one when the first append comes.
    pub(super) fn start(
        store: &Arc<Store>,
        limits: Limits,
        tail: Option<Tail>,
    ) -> io::Result<Self> {
        let (queue, appends) = queue::channel(limits.queued_max);
        let (written, batches) = mpsc::sync_channel(WRITTEN_AHEAD_MAX);
        let syncer = Syncer::new(Arc::clone(store), batches);
        let writer = Writer::new(Arc::clone(store), limits, tail, appends, written);
        let threads = vec![
            thread(limits.name, "write").spawn(move || writer.run())?,
            thread(limits.name, "sync").spawn(move || syncer.run())?,
        ];
        Ok(Self { queue: Some(queue), threads })
    }

    /// Queues an append and waits until it is durable. When the wait is given up, it may still happen.
    pub(super) async fn append(&self, chunks: Vec<NewChunk>) -> Result<Vec<ChunkPlace>> {
        let (answer, answered) = oneshot::channel();
        let append = Append { bytes: record_bytes(&chunks), chunks, answer };
        let gone = || Error::internal("chunks.append", "a thread of the chunk store is gone");
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(append).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Drop for LaneThreads {
    fn drop(&mut self) {
        self.queue.take();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the chunk store panicked");
            }
        }
    }
}

fn thread(lane: &str, task: &str) -> Builder {
    Builder::new().name(format!("{lane}-{task}"))
}
