//! Brings contents to the server: reads, cuts and hashes them on two threads, asks which chunks are
//! missing, and has those sent, all at the same time. Memory is bounded by the buffers.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use bytes::Bytes;
use depot_proto::auth::{Limits, ServerInfoResponse};
use depot_proto::files::MissingRequest;
use futures_util::stream::{self, FuturesOrdered, StreamExt as _};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

use super::buffers::Pool;
use super::chunk::{ChunkRef, Digest, PLACE_BYTES};
use super::cut::Cutter;
use super::fill::{self, Filling};
use super::hash::{self, Chunk};
use super::index::Recorder;
use super::read::{Job, Reader};
use super::waiting::Waiting;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};
use crate::output::Progress;

pub(crate) use super::hash::{Content, Outcome};

/// The memory of an upload: what is read, hashed and on its way.
const BUFFERED_BYTES: usize = 96 << 20;
const BUFFER_BYTES: usize = 8 << 20;

/// Chunks that are hashed and not asked about yet.
const CHUNKS_QUEUED: usize = 8192;

/// Of those, taken at once.
const FRESH_MAX: usize = 512;

/// Questions that are under way at once: over a long distance, one after the other would have what is read
/// wait for its answer.
const ASKED_AT_ONCE: usize = 8;

/// What a further question is worth asking for, while others are under way.
const ASKED_BYTES_MIN: usize = 4 << 20;
const ASKED_CHUNKS_MIN: usize = 512;

/// What names an upload at the server.
#[derive(Clone)]
pub(crate) struct UploadKey {
    /// A UUID that holds its chunks together.
    pub(crate) id: String,
    /// The account in whose tree it ends; empty for one's own.
    pub(crate) tree: String,
}

/// An upload to one server.
pub(crate) struct Upload {
    session: Session,
    cutter: Cutter,
    limits: Limits,
    key: UploadKey,
    progress: Arc<Progress>,
    recorder: Option<Arc<Recorder>>,
    /// Whether it is only counted what would be sent.
    is_counting: bool,
}

/// What became of each slot.
pub(crate) struct Uploaded {
    pub(crate) outcomes: Vec<Outcome>,
    /// Bytes of the chunks that were sent for it.
    pub(crate) sent: Vec<u64>,
}

impl Upload {
    pub(crate) fn new(
        session: &Session,
        info: &ServerInfoResponse,
        key: UploadKey,
        progress: Progress,
    ) -> Result<Self> {
        Ok(Self {
            session: session.clone(),
            cutter: Cutter::of(info.chunker.as_ref())?,
            limits: info.limits.unwrap_or_default(),
            key,
            progress: Arc::new(progress),
            recorder: None,
            is_counting: false,
        })
    }

    /// How contents are cut.
    pub(crate) fn cutter(&self) -> &Cutter {
        &self.cutter
    }

    /// Has what is read kept for another time.
    pub(crate) fn recorded(self, recorder: Arc<Recorder>) -> Self {
        Self { recorder: Some(recorder), ..self }
    }

    /// Sends nothing, and says what would be sent.
    pub(crate) fn counting(self) -> Self {
        Self { is_counting: true, ..self }
    }

    /// Of contents that are known without having been read, leaves those that the server has all chunks of.
    pub(crate) async fn leave_present(&self, known: &mut [Option<Content>]) -> Result<()> {
        let mut asked = Vec::new();
        for (slot, content) in known.iter().enumerate() {
            let Some(content) = content else { continue };
            asked.extend(content.chunks.chunks_exact(PLACE_BYTES).map(|place| (slot, place)));
        }
        let asked_max = self.asked_max();
        let hashes: Vec<Digest> = asked
            .iter()
            .map(|(_, place)| ChunkRef::parse(place).map(|chunk| chunk.hash))
            .collect::<Result<_>>()?;
        let parts: Vec<Vec<Digest>> = hashes.chunks(asked_max).map(<[Digest]>::to_vec).collect();
        let mut answers = stream::iter(parts)
            .map(|part| missing(&self.session, &self.key, part))
            .buffered(ASKED_AT_ONCE);
        let mut is_missing = Vec::with_capacity(asked.len());
        while let Some(answer) = answers.next().await {
            is_missing.extend(answer?);
        }
        drop(answers);
        let absent = asked.iter().zip(is_missing).filter(|(_, is_missing)| *is_missing);
        let absent: Vec<usize> = absent.map(|((slot, _), _)| *slot).collect();
        for slot in absent {
            known[slot] = None;
        }
        let bytes = known.iter().flatten().map(|content| content.seen.size).sum();
        self.progress.add(bytes);
        Ok(())
    }

    /// Brings the contents of all jobs. Of each slot that none of them is for, the content is known.
    pub(crate) async fn run(
        &self,
        known: Vec<Option<Content>>,
        jobs: impl Iterator<Item = Job> + Send + 'static,
    ) -> Result<Uploaded> {
        let slots = known.len();
        let known = known.into_iter().map(|content| content.map(Outcome::Read)).collect();
        let buffer_bytes = BUFFER_BYTES.max(2 * self.cutter.max());
        let pool = Pool::new((BUFFERED_BYTES / buffer_bytes).max(3), buffer_bytes);
        let (batches, batches_in) = sync_channel(2);
        let (chunks, chunks_in) = channel(CHUNKS_QUEUED);
        let (outcomes, outcomes_in) = oneshot::channel();
        let reader = Reader::new(pool.clone(), self.cutter.clone(), batches);
        start("read", move || reader.run(jobs))?;
        let keeping = self.recorder.clone().map(|recorder| (recorder, self.cutter.clone()));
        start("hash", move || {
            let _ = outcomes.send(hash::run(&batches_in, &chunks, known, keeping.as_ref()));
        })?;
        let sent = self.negotiate(chunks_in, slots).await;
        // After a failure nothing comes back to the pool that anybody should wait for.
        pool.close();
        let sent = sent?;
        let outcomes = outcomes_in.await.ok().into_iter().flatten().collect::<Option<Vec<_>>>();
        match outcomes {
            Some(outcomes) if outcomes.len() == slots => Ok(Uploaded { outcomes, sent }),
            _ => Err(Error::io("read the files", &std::io::Error::other("a thread ended early"))),
        }
    }

    /// Asks about each chunk once, and passes on what is missing.
    async fn negotiate(&self, mut chunks: Receiver<Chunk>, slots: usize) -> Result<Vec<u64>> {
        let filling = Filling {
            session: self.session.clone(),
            key: self.key.clone(),
            bytes_max: usize::try_from(self.limits.fill_bytes_max).unwrap_or(usize::MAX),
            progress: self.progress.clone(),
        };
        let (to_send, sending) = channel(4);
        let filler = tokio::spawn(fill::run(filling, sending));
        let mut sent = vec![0; slots];
        let mut asked = HashSet::new();
        let mut waiting = Waiting::default();
        let mut fresh = Vec::new();
        let mut asking = FuturesOrdered::new();
        let mut is_open = true;
        while is_open || !waiting.is_empty() || !asking.is_empty() {
            // While answers are on their way, a few chunks more wait for others to be asked about with them.
            let is_enough = waiting.bytes() >= ASKED_BYTES_MIN || waiting.len() >= ASKED_CHUNKS_MIN;
            let is_due = is_enough || asking.is_empty() || !is_open;
            if is_due && !waiting.is_empty() && asking.len() < ASKED_AT_ONCE {
                let batch = waiting.take(usize::MAX, self.asked_max());
                asking.push_back(async {
                    let hashes = batch.iter().map(|chunk| chunk.hash).collect();
                    let answer = missing(&self.session, &self.key, hashes).await;
                    answer.map(|answer| (batch, answer))
                });
                continue;
            }
            tokio::select! {
                Some(answered) = asking.next() => {
                    let (batch, answer) = answered?;
                    let load = self.load(batch, &answer, &mut sent);
                    if !load.is_empty() && to_send.send(load).await.is_err() {
                        // The filler has given up, and says why.
                        break;
                    }
                }
                count = chunks.recv_many(&mut fresh, FRESH_MAX), if is_open && waiting.len() < CHUNKS_QUEUED => {
                    is_open = count > 0;
                    fresh.retain(|chunk: &Chunk| {
                        let is_new = asked.insert(chunk.hash);
                        if !is_new {
                            self.progress.add(chunk.length() as u64);
                        }
                        is_new
                    });
                    waiting.add(fresh.drain(..));
                }
            }
        }
        drop(asking);
        drop(to_send);
        fill::joined(filler.await)?;
        Ok(sent)
    }

    /// What of a batch is to be sent.
    fn load(&self, batch: Vec<Chunk>, is_missing: &[bool], sent: &mut [u64]) -> Vec<Chunk> {
        let mut load = Vec::new();
        for (chunk, is_missing) in batch.into_iter().zip(is_missing) {
            if *is_missing {
                sent[chunk.slot] += chunk.length() as u64;
            }
            match *is_missing && !self.is_counting {
                true => load.push(chunk),
                false => self.progress.add(chunk.length() as u64),
            }
        }
        load
    }

    /// Chunks that are asked about at once.
    fn asked_max(&self) -> usize {
        (self.limits.missing_hashes_max as usize).clamp(1, 4096)
    }
}

/// For each chunk whether it must be sent.
pub(super) async fn missing(
    session: &Session,
    key: &UploadKey,
    chunks: Vec<Digest>,
) -> Result<Vec<bool>> {
    if chunks.is_empty() {
        return Ok(Vec::new());
    }
    let hashes: Vec<u8> = chunks.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let hashes = Bytes::from(hashes);
    let answer = session.call(Repeat::Always, || async {
        let UploadKey { id, tree } = key.clone();
        let request = MissingRequest { upload_id: id, hashes: hashes.clone(), tree };
        session.files().missing(request).await
    });
    let bitmap = answer.await?.bitmap;
    let bit = |place: usize| {
        let byte = bitmap.get(place / 8).ok_or_else(|| {
            Error::bad_answer("the server did not say of every chunk whether it is missing")
        })?;
        Ok(byte >> (place % 8) & 1 == 1)
    };
    (0..chunks.len()).map(bit).collect()
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| Error::io("start a thread", &error))
}
