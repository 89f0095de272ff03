//! Streams of bytes that go out: Read, ReadManifest, ReadChunks and ReadMany. One that reads what another
//! account has shared ends soon after that is no longer so.

use bytes::Bytes;
use depot_proto::files::read_response::Part as ReadPart;
use depot_proto::files::{
    ReadChunksRequest, ReadChunksResponse, ReadManifestRequest, ReadManifestResponse, ReadManyPart,
    ReadManyRequest, ReadManyResponse, ReadRequest, ReadResponse,
};
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use tonic::Status;

use crate::error::{Error, Kind, Result};
use crate::files::{ByteRange, ByteStream, Files, Readable, Source};
use crate::model::{By, Content, Location, Node, Piece, Reader, VersionId};
use crate::rpc::DATA_BYTES;
use crate::rpc::convert::{entry, source};
use crate::rpc::files::Answers;
use crate::rpc::shared::answered;
use crate::rpc::status::status;

/// Chunks in one answer of ReadManifest: 144 KiB.
const MANIFEST_PIECES: usize = 4_096;

/// One file: its entry, then its bytes.
pub(super) async fn read(
    files: &Files,
    reader: &Reader,
    wanted: ReadRequest,
) -> Result<Answers<ReadResponse>> {
    let at = Location::parse(&wanted.path, "path")?;
    let found = files.stat(reader, &at).await?;
    let Node::File { content, version } = found.node else {
        return Err(Error::new(Kind::FailedPrecondition, format!("{at} is no file")));
    };
    let readable = match wanted.version.as_str() {
        "" => {
            let shared = reader.by() != By::Account(found.account);
            Readable { content, version: Some(version), shared }
        }
        id => files.source(reader, &Source::Version(VersionId::parse(id)?)).await?,
    };
    let content = readable.content;
    if wanted.offset > content.size {
        let message = format!("byte {} is past the end of {} bytes", wanted.offset, content.size);
        return Err(Error::new(Kind::OutOfRange, message));
    }
    let rest = content.size - wanted.offset;
    let length = wanted.length.map_or(rest, |length| length.min(rest));
    let bytes = files.read(reader, content, vec![ByteRange { offset: wanted.offset, length }])?;
    let info = ReadResponse { part: Some(ReadPart::Entry(entry(&at, found))) };
    let data = sliced(bytes).map_ok(|data| ReadResponse { part: Some(ReadPart::Data(data)) });
    Ok(answered(files, reader, &[readable], stream::iter([Ok(info)]).chain(data)))
}

/// The chunks of a content.
pub(super) async fn read_manifest(
    files: &Files,
    reader: &Reader,
    wanted: ReadManifestRequest,
) -> Result<Answers<ReadManifestResponse>> {
    let Readable { content, version, .. } = files.source(reader, &source(wanted.source)?).await?;
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
    reader: &Reader,
    wanted: ReadChunksRequest,
    ranges_max: usize,
) -> Result<Answers<ReadChunksResponse>> {
    if wanted.ranges.len() > ranges_max {
        let problem = format!("{} ranges, at most {ranges_max} are taken", wanted.ranges.len());
        return Err(Error::field("ranges", problem));
    }
    let readable = files.source(reader, &source(wanted.source)?).await?;
    let ranges = wanted
        .ranges
        .iter()
        .map(|range| ByteRange { offset: range.offset, length: range.length })
        .collect();
    let bytes = files.read(reader, readable.content, ranges)?;
    let answers = sliced(bytes).map_ok(|data| ReadChunksResponse { data });
    Ok(answered(files, reader, &[readable], answers))
}

/// Many contents; small ones share messages.
pub(super) async fn read_many(
    files: &Files,
    reader: &Reader,
    wanted: ReadManyRequest,
    ids_max: usize,
) -> Result<Answers<ReadManyResponse>> {
    if wanted.versions.len() > ids_max {
        let problem = format!("{} ids, at most {ids_max} are taken", wanted.versions.len());
        return Err(Error::field("versions", problem));
    }
    let ids = wanted.versions.iter().map(|id| VersionId::parse(id)).collect::<Result<Vec<_>>>()?;
    let readable = files.versions(reader, ids).await?;
    let contents = readable.iter().map(|readable| readable.content).collect();
    let (from, by) = (files.clone(), reader.clone());
    let parts = stream::iter(runs(contents)).map(move |run| run.parts(&from, &by)).flatten();
    Ok(answered(files, reader, &readable, gathered(Box::pin(parts))))
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
    fn parts(self, files: &Files, reader: &Reader) -> Parts {
        match self {
            Self::Small(first, contents) => {
                let whole = stream::iter(first..).zip(files.read_whole(reader, contents));
                let pieces = whole.map(|(index, data)| {
                    let data = data.map_err(status)?;
                    Ok::<_, Status>(stream::iter(pieces_of(index, data)).map(Ok))
                });
                Box::pin(pieces.try_flatten())
            }
            Self::Long(index, content) => {
                let whole = ByteRange { offset: 0, length: content.size };
                let last = ReadManyPart { index, data: Bytes::new(), last: true };
                match files.read(reader, content, vec![whole]) {
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
