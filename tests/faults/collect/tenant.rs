//! Who uses a house: puts contents by each of the ways there are, copies, removes for good, removes and
//! brings back, and reads. There are few contents, and lists of them that share chunks.

use bytes::Bytes;
use depot_server::content::ByteRange;
use depot_server::error::{Error, Kind, Result};
use depot_server::files::{
    Attributes, CommitStart, EntryContent, Files, NewEntry, Source, UploadFor, WriteHeader,
};
use depot_server::model::{
    Caller, ChunkHash, Condition, Digest, Location, Mode, Node, Piece, Reader, UploadId,
};
use futures_util::TryStreamExt;

use super::house::{Time, location};
use crate::chance::Chance;

/// Places that things are put to.
const PLACES: u64 = 4;
/// Chunks that there are of each sort: those of about this length may be followed by others.
const CHUNKS: u64 = 3;
const LONG_BYTES: u64 = 256 << 10;
const SHORT_BYTES: u64 = 20_000;

/// See above.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(super) files: Files,
    pub(super) caller: Caller,
    time: Time,
}

/// A content by its chunks.
type Chunked = Vec<Bytes>;

impl Tenant {
    pub(super) fn new(files: Files, caller: Caller, time: Time) -> Self {
        Self { files, caller, time }
    }

    /// Does one thing after the other.
    ///
    /// # Panics
    ///
    /// When something is refused that must not be.
    pub(crate) async fn does_some(self, mut chance: Chance, things: usize) {
        for _ in 0..things {
            self.does_something(&mut chance).await;
        }
    }

    /// Does one thing.
    ///
    /// # Panics
    ///
    /// When it is refused, and must not be.
    pub(crate) async fn does_something(&self, chance: &mut Chance) {
        let (at, content) = (place(chance), content(chance));
        let (what, done) = match chance.of(0..100) {
            0..15 => ("a write", self.writes(&at, &content).await),
            15..40 => ("an upload", self.uploads(&at, &content).await),
            40..65 => ("a commit of what is there", self.commits_at_once(&at, &content).await),
            65..72 => ("a copy", others_may_win(self.copies(&at, &place(chance)).await)),
            72..92 => ("a removal", others_may_win(self.removes(&at, chance).await)),
            _ => ("a read", self.reads(&at).await),
        };
        if let Err(error) = done {
            let count = content.len();
            panic!("lost or refused: {what} of {count} chunks: {error} ({})", error.chain());
        }
    }

    /// As any language does it.
    async fn writes(&self, at: &Location, content: &Chunked) -> Result<()> {
        let _still = self.time.stands_still().await;
        let bytes = Bytes::from(content.concat());
        let header = WriteHeader {
            path: at.clone(),
            size: None,
            condition: Condition::default(),
            mode: None,
            modified_ns: None,
        };
        let mut write = self.files.write(&self.reader(), header).await?;
        write.push(bytes.clone()).await?;
        write.finish(bytes.len() as u64, None, |_| Ok(None)).await.map(drop)
    }

    /// As the client does it: asks what is missing, sends that, commits. Days may pass in between.
    async fn uploads(&self, at: &Location, content: &Chunked) -> Result<()> {
        let id = UploadId::new();
        let upload = || UploadFor { id, tree: None };
        let hashes = content.iter().map(|bytes| ChunkHash::of(bytes)).collect();
        let missing = {
            let _still = self.time.stands_still().await;
            self.files.missing(&self.caller, upload(), hashes).await?
        };
        for (bytes, _) in content.iter().zip(missing).filter(|(_, missing)| *missing) {
            let _still = self.time.stands_still().await;
            let mut fill = self.files.fill(&self.caller, upload()).await?;
            fill.announce(vec![piece(bytes)]).await?;
            fill.push(bytes.clone()).await?;
            fill.finish().await?;
        }
        self.commits(at, content, Some(id)).await
    }

    /// Without asking, of what was sent once: it may be on its way out. Where it has gone it is sent again.
    async fn commits_at_once(&self, at: &Location, content: &Chunked) -> Result<()> {
        match self.commits(at, content, None).await {
            Err(error) if error.kind() == Kind::ChunksMissing => self.uploads(at, content).await,
            done => done,
        }
    }

    async fn commits(
        &self,
        at: &Location,
        content: &Chunked,
        upload: Option<UploadId>,
    ) -> Result<()> {
        let _still = self.time.stands_still().await;
        let start = CommitStart {
            base: self.files.at(&self.caller, &location("/")).await?,
            upload,
            if_absent: false,
            if_etag: None,
            removals_as_of: None,
            size: None,
        };
        let mut commit = self.files.commit(&self.caller, start).await?;
        let bytes = content.concat();
        let (size, digest) = (bytes.len() as u64, Digest(*blake3::hash(&bytes).as_bytes()));
        let what = if content.len() == 1 {
            EntryContent::Single { size, digest }
        } else {
            let pieces: Vec<Piece> = content.iter().map(piece).collect();
            commit.content(1, Some((size, digest)), &pieces, true).await?;
            EntryContent::Numbered(1)
        };
        let attributes = Attributes { mode: Mode::FILE, modified_ns: 5, xattrs: None };
        let (file, any) = (NewEntry::File(what), Condition::default());
        commit.entry(at.path.clone(), file, attributes, any).await?;
        commit.publish(None).await.map(drop)
    }

    async fn copies(&self, from: &Location, to: &Location) -> Result<()> {
        let _still = self.time.stands_still().await;
        self.files.copy(&self.caller, from, to, false, (false, None)).await.map(drop)
    }

    /// For good, or to bring it back from the trash.
    async fn removes(&self, at: &Location, chance: &mut Chance) -> Result<()> {
        let is_for_good = chance.once_in(2);
        {
            let _still = self.time.stands_still().await;
            self.files.remove(&self.caller, at, false, Condition::default(), None).await?;
        }
        let _still = self.time.stands_still().await;
        if is_for_good {
            return self.files.empty_trash(&self.caller, None).await.map(drop);
        }
        let trash = self.files.trash(&self.caller, None, 10).await?;
        let Some(removed) = chance.pick(&trash) else { return Ok(()) };
        self.files.restore(&self.caller, removed.id, Some(&place(chance)), None).await.map(drop)
    }

    async fn reads(&self, at: &Location) -> Result<()> {
        let _still = self.time.stands_still().await;
        match read(&self.files, &self.reader(), at).await {
            Ok(()) => Ok(()),
            Err(problem) => Err(Error::new(Kind::DataLoss, problem)),
        }
    }

    fn reader(&self) -> Reader {
        Reader::Account(self.caller.clone())
    }
}

/// Reads what stands at a place, if anything does, and holds it against its digest.
pub(super) async fn read(
    files: &Files,
    reader: &Reader,
    at: &Location,
) -> std::result::Result<(), String> {
    let lost = |error: Error| format!("lost: {at}: {error} ({})", error.chain());
    let entry = match files.stat(reader, at).await {
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        entry => entry.map_err(lost)?,
    };
    let Node::File { content, version } = entry.node else { return Ok(()) };
    let readable = match files.source(reader, &Source::Version(version)).await {
        // Put over and removed for good meanwhile.
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        readable => readable.map_err(lost)?,
    };
    let all = vec![ByteRange { offset: 0, length: content.size }];
    let stream = files.read(reader, readable.content, all).map_err(lost)?;
    let bytes: Vec<Bytes> = stream.try_collect().await.map_err(lost)?;
    let is_same = *blake3::hash(&bytes.concat()).as_bytes() == content.digest.0;
    if is_same { Ok(()) } else { Err(format!("lost: {at} is not what its digest says")) }
}

fn place(chance: &mut Chance) -> Location {
    location(&format!("/{}", chance.of(0..PLACES)))
}

/// One chunk, or a list of two of them.
fn content(chance: &mut Chance) -> Chunked {
    let number = |chance: &mut Chance| chance.of(0..CHUNKS);
    let last = chunk(SHORT_BYTES + number(chance));
    match chance.once_in(2) {
        true => vec![last],
        false => vec![chunk(LONG_BYTES + number(chance)), last],
    }
}

/// The chunk that has so many bytes.
fn chunk(length: u64) -> Bytes {
    let mut bytes = vec![0; length as usize];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn piece(bytes: &Bytes) -> Piece {
    Piece { length: bytes.len() as u32, hash: ChunkHash::of(bytes) }
}

/// What is not there, or is in the way, is what others have done meanwhile.
fn others_may_win(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::AlreadyExists) => Ok(()),
        done => done,
    }
}
