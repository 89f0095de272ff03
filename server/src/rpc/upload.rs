//! Streams of bytes that come in: Write and Fill.

use std::time::Duration;

use bytes::Bytes;
use depot_proto::files::write_request::Part as WritePart;
use depot_proto::files::{
    Entry as ProtoEntry, FillRequest, FillResponse, WriteHeader as ProtoWriteHeader, WriteRequest,
};
use prost::Message;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::error::{Error, Kind, Result};
use crate::files::{Files, Fill, Write, WriteHeader};
use crate::model::{Caller, ChunkHash, Content, Entry, Location, Piece, Reader, TreePath};
use crate::rpc::convert::{condition, digest, entry, mode, nanoseconds, request, upload_for};
use crate::rpc::status::status;

/// How long complete chunks wait in memory for others to be stored with.
const WAITED_FOR_MORE: Duration = Duration::from_secs(1);

/// Takes one file to its end and makes it visible; one that breaks leaves nothing.
pub(super) async fn write(
    files: &Files,
    reader: &Reader,
    mut parts: Streaming<WriteRequest>,
) -> Result<ProtoEntry, Status> {
    let Some(WritePart::Header(header)) = parts.message().await?.and_then(|first| first.part)
    else {
        return Err(status(Error::field("header", "a write begins with it")));
    };
    let parsed = write_header(&header).map_err(status)?;
    let at = parsed.path.clone();
    let expected = parsed.size;
    let mut writing = files.write(reader, parsed).await.map_err(status)?;
    match write_parts(&mut writing, &mut parts, expected).await {
        Ok((size, blake3)) => {
            let finished = finish_write(writing, &header, (size, blake3)).await;
            finished.map(|written| entry(&named(at, &written), written)).map_err(status)
        }
        Err(refusal) => {
            writing.abandon().await;
            Err(refusal)
        }
    }
}

/// Where a file is: one that was put through a link may have got another name.
fn named(at: Location, written: &Entry) -> Location {
    let mut names = at.path.names().to_vec();
    if let (Some(last), Some(name)) = (names.last_mut(), &written.name) {
        last.clone_from(name);
    }
    Location { path: TreePath::from(names), ..at }
}

fn write_header(header: &ProtoWriteHeader) -> Result<WriteHeader> {
    Ok(WriteHeader {
        path: Location::parse(&header.path, "header.path")?,
        size: header.size,
        condition: condition(header.if_generation, ("header.if_etag", &header.if_etag))?,
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
    let upload = upload_for(&first.upload_id, &first.tree).map_err(status)?;
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
