//! Streams of bytes: Write and Fill in, Read, ReadManifest, ReadChunks and ReadMany out.

use std::time::Duration;

use bytes::Bytes;
use depot_proto::files::read_response::Part as ReadPart;
use depot_proto::files::write_request::Part as WritePart;
use depot_proto::files::{
    Entry as ProtoEntry, FillRequest, FillResponse, ReadChunksRequest, ReadChunksResponse,
    ReadManifestRequest, ReadManifestResponse, ReadManyPart, ReadManyRequest, ReadManyResponse,
    ReadRequest, ReadResponse, WriteHeader as ProtoWriteHeader, WriteRequest,
};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use prost::Message;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::error::{Error, Kind, Result};
use crate::files::{ByteRange, ByteStream, Files, Fill, Source, Write, WriteHeader};
use crate::model::{Caller, ChunkHash, Content, Entry, Location, Node, Piece, VersionId};
use crate::rpc::DATA_BYTES;
use crate::rpc::convert::{digest, entry, mode, nanoseconds, request, source, upload};
use crate::rpc::files::Answers;
use crate::rpc::status::status;

/// Chunks in one answer of ReadManifest: 144 KiB.
const MANIFEST_PIECES: usize = 4_096;

/// How long complete chunks wait in memory for others to be stored with.
const WAITED_FOR_MORE: Duration = Duration::from_secs(1);

/// Takes one file to its end and makes it visible; one that breaks leaves nothing.
pub(super) async fn write(
    files: &Files,
    caller: &Caller,
    mut parts: Streaming<WriteRequest>,
) -> Result<ProtoEntry, Status> {
    let Some(WritePart::Header(header)) = parts.message().await?.and_then(|first| first.part)
    else {
        return Err(status(Error::field("header", "a write begins with it")));
    };
    let parsed = write_header(&header).map_err(status)?;
    let at = parsed.path.clone();
    let expected = parsed.size;
    let mut writing = files.write(caller, parsed).await.map_err(status)?;
    match write_parts(&mut writing, &mut parts, expected).await {
        Ok((size, blake3)) => {
            let finished = finish_write(writing, &header, (size, blake3)).await;
            finished.map(|written| entry(&at, written)).map_err(status)
        }
        Err(refusal) => {
            writing.abandon().await;
            Err(refusal)
        }
    }
}

fn write_header(header: &ProtoWriteHeader) -> Result<WriteHeader> {
    Ok(WriteHeader {
        path: Location::parse(&header.path, "header.path")?,
        size: header.size,
        if_generation: header.if_generation,
        mode: mode("header.mode", header.mode)?,
        modified_ns: header
            .modified_at
            .map(|time| nanoseconds("header.modified_at", time))
            .transpose()?,
    })
}

/// The size and digest that the stream ends with.
async fn write_parts(
    writing: &mut Write,
    parts: &mut Streaming<WriteRequest>,
    expected: Option<u64>,
) -> Result<(u64, Option<Bytes>), Status> {
    while let Some(message) = parts.message().await? {
        match message.part {
            Some(WritePart::Data(data)) => writing.push(data).await.map_err(status)?,
            Some(WritePart::End(end)) if expected.is_some_and(|size| size != end.size) => {
                return Err(status(Error::field("end.size", "not the size that the header says")));
            }
            Some(WritePart::End(end)) => return Ok((end.size, end.blake3)),
            Some(WritePart::Header(_)) | None => {
                return Err(status(Error::field("part", "data, then an end")));
            }
        }
    }
    match expected {
        Some(size) => Ok((size, None)),
        None => Err(status(Error::new(
            Kind::Truncated,
            "the stream stopped without its end; nothing was stored, send it again",
        ))),
    }
}

async fn finish_write(
    writing: Write,
    header: &ProtoWriteHeader,
    (size, blake3): (u64, Option<Bytes>),
) -> Result<Entry> {
    let wanted = blake3.map(|bytes| digest("end.blake3", &bytes)).transpose()?;
    let once = |content: &Content| {
        request(&header.request_id, || {
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"Write").update(&header.encode_to_vec()).update(&content.digest.0);
            hasher.finalize().into()
        })
    };
    writing.finish(size, wanted, once).await
}

/// Takes chunks; those that came whole stay, whatever becomes of the call.
pub(super) async fn fill(
    files: &Files,
    caller: &Caller,
    mut parts: Streaming<FillRequest>,
) -> Result<FillResponse, Status> {
    let Some(first) = parts.message().await? else {
        return Err(status(Error::field("upload_id", "a fill begins with it")));
    };
    let upload = upload(&first.upload_id, &first.tree).map_err(status)?;
    let mut filling = files.fill(caller, upload).await.map_err(status)?;
    if let Err(refusal) = fill_parts(&mut filling, first, &mut parts).await {
        if let Err(error) = filling.keep().await {
            tracing::debug!(%error, "chunks of a broken fill were not kept");
        }
        return Err(refusal);
    }
    let (chunks, bytes) = filling.finish().await.map_err(status)?;
    Ok(FillResponse { chunks, bytes })
}

async fn fill_parts(
    filling: &mut Fill,
    first: FillRequest,
    parts: &mut Streaming<FillRequest>,
) -> Result<(), Status> {
    let mut next = Some(first);
    while let Some(FillRequest { heads, data, .. }) = next {
        if !heads.is_empty() {
            let heads = heads.into_iter().map(|head| {
                let hash = digest("heads.hash", &head.hash)?;
                Ok(Piece { length: head.length, hash: ChunkHash(hash.0) })
            });
            let heads = heads.collect::<Result<Vec<_>>>().map_err(status)?;
            filling.announce(heads).await.map_err(status)?;
        }
        filling.push(data).await.map_err(status)?;
        next = match timeout(WAITED_FOR_MORE, parts.message()).await {
            Ok(next) => next?,
            Err(_) => {
                // A slow line: what came whole is stored rather than kept in memory until there is more.
                filling.flush().await.map_err(status)?;
                parts.message().await?
            }
        };
    }
    Ok(())
}

/// One file: its entry, then its bytes.
pub(super) async fn read(
    files: &Files,
    caller: &Caller,
    wanted: ReadRequest,
) -> Result<Answers<ReadResponse>> {
    let at = Location::parse(&wanted.path, "path")?;
    let found = files.stat(caller, &at).await?;
    let Node::File { content, .. } = found.node else {
        return Err(Error::new(Kind::FailedPrecondition, format!("{at} is no file")));
    };
    let content = match wanted.version.as_str() {
        "" => content,
        id => files.source(caller, &Source::Version(VersionId::parse(id)?)).await?.0,
    };
    if wanted.offset > content.size {
        let message = format!("byte {} is past the end of {} bytes", wanted.offset, content.size);
        return Err(Error::new(Kind::OutOfRange, message));
    }
    let rest = content.size - wanted.offset;
    let length = wanted.length.map_or(rest, |length| length.min(rest));
    let bytes = files.read(caller, content, vec![ByteRange { offset: wanted.offset, length }])?;
    let info = ReadResponse { part: Some(ReadPart::Entry(entry(&at, found))) };
    let data = sliced(bytes).map_ok(|data| ReadResponse { part: Some(ReadPart::Data(data)) });
    Ok(Box::pin(stream::iter([Ok(info)]).chain(data)))
}

/// The chunks of a content.
pub(super) async fn read_manifest(
    files: &Files,
    caller: &Caller,
    wanted: ReadManifestRequest,
) -> Result<Answers<ReadManifestResponse>> {
    let (content, version) = files.source(caller, &source(wanted.source)?).await?;
    let first = ReadManifestResponse {
        size: content.size,
        blake3: content.digest.0.to_vec().into(),
        version: version.map(|id| id.to_string()).unwrap_or_default(),
        chunks: Bytes::new(),
    };
    let files = files.clone();
    let rest = stream::try_unfold(0, move |offset| {
        let files = files.clone();
        async move {
            let (begins, pieces) =
                files.pieces(content, offset, MANIFEST_PIECES).await.map_err(status)?;
            let bytes: u64 = pieces.iter().map(|piece| u64::from(piece.length)).sum();
            if pieces.is_empty() {
                return Ok::<_, Status>(None);
            }
            let mut chunks = Vec::with_capacity(pieces.len() * Piece::ENCODED_BYTES);
            pieces.iter().for_each(|piece| piece.encode_to(&mut chunks));
            let answer =
                ReadManifestResponse { chunks: chunks.into(), ..ReadManifestResponse::default() };
            Ok(Some((answer, begins + bytes)))
        }
    });
    Ok(Box::pin(stream::iter([Ok(first)]).chain(rest)))
}

/// Ranges of a content.
pub(super) async fn read_chunks(
    files: &Files,
    caller: &Caller,
    wanted: ReadChunksRequest,
    ranges_max: usize,
) -> Result<Answers<ReadChunksResponse>> {
    if wanted.ranges.len() > ranges_max {
        let problem = format!("{} ranges, at most {ranges_max} are taken", wanted.ranges.len());
        return Err(Error::field("ranges", problem));
    }
    let (content, _) = files.source(caller, &source(wanted.source)?).await?;
    let ranges = wanted
        .ranges
        .iter()
        .map(|range| ByteRange { offset: range.offset, length: range.length })
        .collect();
    let bytes = files.read(caller, content, ranges)?;
    Ok(Box::pin(sliced(bytes).map_ok(|data| ReadChunksResponse { data })))
}

/// Many contents; small ones share messages.
pub(super) async fn read_many(
    files: &Files,
    caller: &Caller,
    wanted: ReadManyRequest,
    ids_max: usize,
) -> Result<Answers<ReadManyResponse>> {
    if wanted.versions.len() > ids_max {
        let problem = format!("{} ids, at most {ids_max} are taken", wanted.versions.len());
        return Err(Error::field("versions", problem));
    }
    let ids = wanted.versions.iter().map(|id| VersionId::parse(id)).collect::<Result<Vec<_>>>()?;
    let contents = files.versions(caller, ids).await?;
    let (files, caller) = (files.clone(), caller.clone());
    let parts = stream::iter(runs(contents)).map(move |run| run.parts(&files, &caller)).flatten();
    Ok(Box::pin(gathered(Box::pin(parts))))
}

/// Neighbours in a ReadMany: one-chunk contents are read together, a longer one is streamed by itself.
enum Run {
    Small(u32, Vec<Content>),
    Long(u32, Content),
}

type Parts = Answers<ReadManyPart>;

fn runs(contents: Vec<Content>) -> Vec<Run> {
    let mut runs = Vec::new();
    for (index, content) in (0..).zip(contents) {
        match runs.last_mut() {
            _ if content.manifest.is_some() => runs.push(Run::Long(index, content)),
            Some(Run::Small(_, run)) => run.push(content),
            _ => runs.push(Run::Small(index, vec![content])),
        }
    }
    runs
}

impl Run {
    fn parts(self, files: &Files, caller: &Caller) -> Parts {
        match self {
            Self::Small(first, contents) => {
                let whole = stream::iter(first..).zip(files.read_whole(caller, contents));
                let pieces = whole.map(|(index, data)| {
                    let data = data.map_err(status)?;
                    Ok::<_, Status>(stream::iter(pieces_of(index, data)).map(Ok))
                });
                Box::pin(pieces.try_flatten())
            }
            Self::Long(index, content) => {
                let whole = ByteRange { offset: 0, length: content.size };
                let last = ReadManyPart { index, data: Bytes::new(), last: true };
                match files.read(caller, content, vec![whole]) {
                    Ok(bytes) => {
                        let part = move |data| ReadManyPart { index, data, last: false };
                        Box::pin(sliced(bytes).map_ok(part).chain(stream::iter([Ok(last)])))
                    }
                    Err(error) => Box::pin(stream::iter([Err(status(error))])),
                }
            }
        }
    }
}

fn pieces_of(index: u32, mut data: Bytes) -> Vec<ReadManyPart> {
    let mut pieces = Vec::new();
    while data.len() > DATA_BYTES {
        pieces.push(ReadManyPart { index, data: data.split_to(DATA_BYTES), last: false });
    }
    pieces.push(ReadManyPart { index, data, last: true });
    pieces
}

/// Puts pieces together until a message is worth sending.
fn gathered(parts: Parts) -> impl Stream<Item = Result<ReadManyResponse, Status>> + Send {
    stream::try_unfold((parts, None), |(mut parts, mut kept)| async move {
        let mut message: Vec<ReadManyPart> = Vec::new();
        let mut bytes = 0;
        loop {
            let next = match kept.take() {
                Some(part) => Some(part),
                None => parts.try_next().await?,
            };
            match next {
                Some(part) if message.is_empty() || bytes + part.data.len() <= DATA_BYTES => {
                    bytes += part.data.len();
                    message.push(part);
                }
                Some(part) => {
                    let answer = ReadManyResponse { parts: message };
                    return Ok(Some((answer, (parts, Some(part)))));
                }
                None if message.is_empty() => return Ok(None),
                None => return Ok(Some((ReadManyResponse { parts: message }, (parts, None)))),
            }
        }
    })
}

/// Chunks in slices that fit into a message.
fn sliced(bytes: ByteStream) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    bytes
        .map_ok(|chunk| {
            let slices = (0..chunk.len()).step_by(DATA_BYTES);
            let slice = move |at: usize| chunk.slice(at..(at + DATA_BYTES).min(chunk.len()));
            stream::iter(slices.map(slice).collect::<Vec<_>>()).map(Ok)
        })
        .try_flatten()
        .map_err(status)
}
