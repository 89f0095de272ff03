//! The writing thread of a lane: gathers what is queued into a batch, sees that there is a pack with
//! room for it, writes it and hands it to the syncer. It answers only what failed.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc::Receiver;

use super::Store;
use super::blocks::Blocks;
use super::health::Failure;
use super::lane::{Append, Limits};
use super::record::{BLOCK_BYTES, HEAD_BYTES};
use super::syncer::Written;
use super::tail::Tail;

/// The state of the thread.
pub(super) struct Writer {
    store: Arc<Store>,
    limits: Limits,
    tail: Option<Tail>,
    /// Of a lane that writes in blocks.
    blocks: Option<Blocks>,
    queue: Queue,
    written: SyncSender<Written>,
}

impl Writer {
    /// A writer that begins with this pack.
    pub(super) fn new(
        store: Arc<Store>,
        limits: Limits,
        tail: Option<Tail>,
        appends: Receiver<Append>,
        written: SyncSender<Written>,
    ) -> Self {
        let queue = Queue { appends, held: None };
        let blocks = limits.in_blocks.then(Blocks::new);
        if let (Some(tail), Some(_)) = (&tail, &blocks) {
            Blocks::take(tail.file.as_fd());
        }
        Self { store, limits, tail, blocks, queue, written }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.next() {
            if let Err(failure) = self.make_room(first.bytes) {
                first.fail(failure);
                continue;
            }
            let room = self.tail.as_ref().map_or(0, |tail| self.room(tail));
            let batch = self.queue.gather(first, room.min(self.limits.batch_bytes_max));
            self.write(batch);
        }
    }

    /// Rolls over to a new pack if an append does not fit into this one. An append is never split, so
    /// one that fits into no pack gets a longer one of its own.
    fn make_room(&mut self, bytes: u64) -> Result<(), Failure> {
        self.store.health.check()?;
        let in_blocks = self.blocks.is_some();
        let empty = if in_blocks { BLOCK_BYTES } else { HEAD_BYTES } as u64;
        let is_full = |tail: &Tail| tail.end > empty && self.room(tail) < bytes;
        if self.tail.as_ref().is_some_and(is_full)
            && let Some(mut tail) = self.tail.take()
        {
            let start = tail.end;
            tail.write_footer(&self.store, self.blocks.as_mut())?;
            self.hand_over(Written::seal(&tail, start));
        }
        if self.tail.is_none() {
            self.tail = Some(Tail::create(&self.store, in_blocks)?);
        }
        Ok(())
    }

    /// Bytes of records that still fit into a pack.
    fn room(&self, tail: &Tail) -> u64 {
        let padding_max = if self.blocks.is_some() { 2 * BLOCK_BYTES } else { 0 };
        self.store.room(tail).saturating_sub(padding_max as u64)
    }

    fn write(&mut self, batch: Vec<Append>) {
        let Some(tail) = &mut self.tail else { return };
        let start = tail.end;
        let chunks: Vec<_> = batch.iter().map(|append| append.chunks.as_slice()).collect();
        match tail.write(&self.store, &chunks, self.blocks.as_mut()) {
            Ok(places) => {
                let answers = batch.into_iter().map(|append| append.answer).zip(places).collect();
                let written = Written::batch(tail, start, answers);
                self.hand_over(written);
            }
            Err(failure) => batch.into_iter().for_each(|append| append.fail(failure)),
        }
    }

    fn hand_over(&self, written: Written) {
        // It fails only after the syncer panicked; those who wait hear of it as their senders go.
        let _ = self.written.send(written);
    }
}

/// The queue, and the one append that was taken from it but did not fit.
struct Queue {
    appends: Receiver<Append>,
    held: Option<Append>,
}

impl Queue {
    fn next(&mut self) -> Option<Append> {
        self.held.take().or_else(|| self.appends.blocking_recv())
    }

    /// Adds what else is queued, up to so many bytes in all.
    fn gather(&mut self, first: Append, bytes_max: u64) -> Vec<Append> {
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while let Ok(append) = self.appends.try_recv() {
            if bytes + append.bytes > bytes_max {
                self.held = Some(append);
                break;
            }
            bytes += append.bytes;
            batch.push(append);
        }
        batch
    }
}
