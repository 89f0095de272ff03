//! The chunks that make a content, as the server lists them. The list is checked before it is believed:
//! a server cannot make the client keep more in memory than the content's size allows.

use depot_proto::files::content_source::Source;
use depot_proto::files::{Attachment, ContentSource, ReadManifestRequest};

use super::chunk::{ChunkRef, Digest, PLACE_BYTES};
use crate::connect::{Patience, Session};
use crate::error::{Error, Result};

/// No chunk is longer, on any server.
const CHUNK_BYTES_MAX: u32 = 16 << 20;

/// No content has more chunks than fit in memory here.
const CHUNKS_MAX: usize = 8 << 20;

/// A content that is to be fetched: where it is, and what it must be.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) source: ContentSource,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

impl Wanted {
    /// One version of a file.
    pub(crate) fn version(version: &str, size: u64, digest: &[u8]) -> Result<Self> {
        let source = Source::Version(version.to_owned());
        Ok(Self {
            source: ContentSource { source: Some(source) },
            size,
            digest: Digest::parse(digest)?,
        })
    }

    /// One attachment of a message.
    pub(crate) fn attachment(message: &str, of: &depot_proto::mail::Attachment) -> Result<Self> {
        let attachment = Attachment { message_id: message.to_owned(), index: of.index };
        let source = Source::Attachment(attachment);
        Ok(Self {
            source: ContentSource { source: Some(source) },
            size: of.size,
            digest: Digest::parse(&of.blake3)?,
        })
    }
}

/// The chunks of `wanted`, in order.
pub(super) async fn read(session: &Session, wanted: &Wanted) -> Result<Vec<ChunkRef>> {
    let mut patience = session.patience();
    loop {
        match attempt(session, wanted, &mut patience).await {
            Ok(chunks) => return Ok(chunks),
            Err(error) => session.recover(error, &mut patience).await?,
        }
    }
}

async fn attempt(
    session: &Session,
    wanted: &Wanted,
    patience: &mut Patience,
) -> Result<Vec<ChunkRef>> {
    let request = ReadManifestRequest { source: Some(wanted.source.clone()) };
    let mut answer = session.bulk().read_manifest(request).await?.into_inner();
    let mut list = List::default();
    let mut is_first = true;
    while let Some(part) = answer.message().await? {
        if is_first && (part.size != wanted.size || part.blake3 != wanted.digest.as_bytes()[..]) {
            return Err(Error::bad_answer("the server lists the chunks of another content"));
        }
        is_first = false;
        list.extend(&part.chunks, wanted.size)?;
        patience.progressed();
    }
    match list.bytes == wanted.size {
        true => Ok(list.chunks),
        false => Err(Error::cut("the list of chunks has no end")),
    }
}

#[derive(Default)]
struct List {
    chunks: Vec<ChunkRef>,
    bytes: u64,
}

impl List {
    fn extend(&mut self, places: &[u8], size: u64) -> Result<()> {
        let wrong = || Error::bad_answer("the server sent a list of chunks that is none");
        if !places.len().is_multiple_of(PLACE_BYTES) {
            return Err(wrong());
        }
        for place in places.chunks_exact(PLACE_BYTES) {
            let chunk = ChunkRef::parse(place)?;
            self.bytes += u64::from(chunk.length);
            let is_good = (1..=CHUNK_BYTES_MAX).contains(&chunk.length) && self.bytes <= size;
            if !is_good || self.chunks.len() == CHUNKS_MAX {
                return Err(wrong());
            }
            self.chunks.push(chunk);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkRef, Digest, List, PLACE_BYTES};

    fn places(lengths: &[u32]) -> Vec<u8> {
        let mut places = Vec::new();
        for &length in lengths {
            ChunkRef { length, hash: Digest::from(blake3::hash(b"")) }.append_to(&mut places);
        }
        places
    }

    #[test]
    fn a_list_may_not_be_longer_than_its_content() {
        let mut list = List::default();
        assert!(list.extend(&places(&[10, 20]), 40).is_ok());
        assert!(list.extend(&places(&[11]), 40).is_err());
        assert!(List::default().extend(&places(&[0]), 40).is_err(), "an empty chunk");
        assert!(List::default().extend(&places(&[u32::MAX]), u64::MAX).is_err(), "a huge chunk");
        assert!(List::default().extend(&places(&[1])[..PLACE_BYTES - 1], 40).is_err());
    }
}
