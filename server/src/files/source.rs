//! What is read: versions and attachments that whoever asks may see, and their bytes. What is read in another's
//! tree is looked for again while it is read, so that a grant that is taken back ends it.

use futures_util::stream::Stream;

use crate::content::{ByteRange, ByteStream};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::model::{By, Content, Location, MessageId, Node, Piece, Reader, VersionId};

/// What to read the bytes of.
#[derive(Clone, Debug)]
pub enum Source {
    /// A version, by its id.
    Version(VersionId),
    /// A file's current version.
    Path(Location),
    /// A file that came with a message the caller sent or received.
    Attachment(MessageId, u32),
}

/// What may be read.
#[derive(Clone, Copy, Debug)]
pub struct Readable {
    /// Its bytes.
    pub content: Content,
    /// Which version it is, of a file.
    pub version: Option<VersionId>,
    /// Whether the file is in another's tree.
    pub shared: bool,
}

impl Files {
    /// What may be read.
    pub async fn source(&self, reader: &Reader, source: &Source) -> Result<Readable> {
        match source {
            Source::Version(id) => self.version(reader, *id).await,
            Source::Attachment(message, index) => {
                let Reader::Account(caller) = reader else {
                    return Err(Error::not_found(format_args!("message {message}")));
                };
                let content = self.db.attachment(caller.account, *message, *index).await?;
                Ok(Readable { content, version: None, shared: false })
            }
            Source::Path(at) => {
                let entry = self.stat(reader, at).await?;
                let shared = reader.by() != By::Account(entry.account);
                match entry.node {
                    Node::File { content, version } => {
                        Ok(Readable { content, version: Some(version), shared })
                    }
                    _ => Err(Error::new(Kind::FailedPrecondition, format!("{at} is no file"))),
                }
            }
        }
    }

    async fn version(&self, reader: &Reader, id: VersionId) -> Result<Readable> {
        let found = self.versions(reader, vec![id]).await?;
        found.into_iter().next().ok_or_else(|| Error::internal("files.version", "a version"))
    }

    /// Many versions; `NotFound` when one of them cannot be seen.
    pub async fn versions(&self, reader: &Reader, ids: Vec<VersionId>) -> Result<Vec<Readable>> {
        let found = self.db.versions(reader.by(), ids.clone()).await?;
        let readable = |(seen, id): (Option<crate::db::Seen>, VersionId)| {
            let seen = seen.ok_or_else(|| Error::not_found(format_args!("version {id}")))?;
            let shared = reader.by() != By::Account(seen.owner);
            Ok(Readable { content: seen.content, version: Some(id), shared })
        };
        found.into_iter().zip(ids).map(readable).collect()
    }

    /// Bytes of ranges of a content that may be read.
    pub fn read(
        &self,
        reader: &Reader,
        content: Content,
        ranges: Vec<ByteRange>,
    ) -> Result<ByteStream> {
        self.contents.read(reader.account(), content, ranges)
    }

    /// Chunks of a content that may be read, from byte `offset` on.
    pub async fn pieces(
        &self,
        content: Content,
        offset: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Piece>)> {
        self.contents.pieces(content, offset, limit).await
    }

    /// All bytes of contents of at most one chunk each.
    pub fn read_whole(
        &self,
        reader: &Reader,
        contents: Vec<Content>,
    ) -> impl Stream<Item = Result<bytes::Bytes>> + Send + use<> {
        self.contents.read_whole(reader.account(), contents)
    }
}
