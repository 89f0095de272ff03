//! Lists of chunks on their way in: checked against the rules of cutting, kept in memory while short and
//! written down in parts when long.

use std::mem;

use crate::content::Contents;
use crate::db::NewContent;
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, Content, Digest, ManifestHasher, ManifestKey, Piece, chunker};

/// Pieces kept in memory before a list is written down in parts: 576 KiB.
const PIECES_IN_MEMORY: usize = 16 * 1024;

/// A content whose list is coming in.
pub struct ManifestBuilder {
    size: u64,
    digest: Digest,
    hasher: ManifestHasher,
    pieces: Vec<Piece>,
    count: u64,
    bytes: u64,
    last_length: u32,
    written: Option<Written>,
}

struct Written {
    key: ManifestKey,
    offset: u64,
}

/// A content whose list has come in.
pub enum Complete {
    /// It is recorded, or needs no record.
    Recorded(Content),
    /// It is still to be recorded; several are at once.
    New(NewContent),
}

impl ManifestBuilder {
    /// Begins a content of `size` bytes.
    pub fn new(size: u64, digest: Digest) -> Self {
        Self {
            size,
            digest,
            hasher: ManifestHasher::new(size, &digest),
            pieces: Vec::new(),
            count: 0,
            bytes: 0,
            last_length: chunker::CHUNK_BYTES_MAX,
            written: None,
        }
    }

    fn check(&mut self, piece: Piece, chunks_max: u64) -> Result<()> {
        if self.last_length < chunker::CHUNK_BYTES_MIN {
            return Err(Error::field(
                "chunks",
                format!(
                    "a chunk of {} bytes before the last one; all but the last have at least {}",
                    self.last_length,
                    chunker::CHUNK_BYTES_MIN
                ),
            ));
        }
        if !(1..=chunker::CHUNK_BYTES_MAX).contains(&piece.length) {
            let problem = format!(
                "a chunk of {} bytes; chunks have 1 to {} bytes",
                piece.length,
                chunker::CHUNK_BYTES_MAX
            );
            return Err(Error::field("chunks", problem));
        }
        self.count += 1;
        self.bytes += u64::from(piece.length);
        self.last_length = piece.length;
        if self.count > chunks_max {
            let message = format!("a content of more than {chunks_max} chunks; split the file");
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        if self.bytes > self.size {
            return Err(Error::field("chunks", "the chunks are longer than the content's size"));
        }
        Ok(())
    }

    /// The chunks cut by the server itself need no second look.
    pub(super) fn push_trusted(&mut self, piece: Piece, chunks_max: u64) -> Result<()> {
        self.check(piece, chunks_max)?;
        self.pieces.push(piece);
        Ok(())
    }

    /// Sets what is only known at the end of a stream that the server cuts itself.
    pub(super) fn set_identity(&mut self, size: u64, digest: Digest) {
        (self.size, self.digest) = (size, digest);
        self.hasher = ManifestHasher::new(size, &digest);
    }
}

impl Contents {
    /// Adds chunks to a list.
    pub async fn add_pieces(
        &self,
        account: AccountId,
        builder: &mut ManifestBuilder,
        pieces: &[Piece],
    ) -> Result<()> {
        for piece in pieces {
            builder.check(*piece, self.limits.content_chunks_max)?;
        }
        builder.pieces.extend_from_slice(pieces);
        if builder.pieces.len() >= PIECES_IN_MEMORY {
            self.write_down(account, builder).await?;
        }
        Ok(())
    }

    /// Ends a list: `Truncated` when its chunks are not as long as the content.
    pub async fn end_pieces(
        &self,
        account: AccountId,
        mut builder: ManifestBuilder,
    ) -> Result<Complete> {
        if builder.bytes != builder.size {
            return Err(Error::new(
                Kind::Truncated,
                format!(
                    "the chunks of a content are {} bytes long, it has {}",
                    builder.bytes, builder.size
                ),
            ));
        }
        let (size, digest) = (builder.size, builder.digest);
        if builder.written.is_some() {
            self.write_down(account, &mut builder).await?;
        }
        if let Some(written) = builder.written {
            let key = self.db.close_content(written.key, builder.hasher.finish()).await?;
            return Ok(Complete::Recorded(Content { size, digest, manifest: Some(key) }));
        }
        Ok(match *builder.pieces {
            [] => Complete::Recorded(Content::empty()),
            // Its digest is its chunk's name, whatever the sender says it is.
            [only] => {
                Complete::Recorded(Content { size, digest: Digest(only.hash.0), manifest: None })
            }
            _ => {
                hash(&mut builder.hasher, &builder.pieces);
                let id = builder.hasher.finish();
                Complete::New(NewContent { size, digest, id, pieces: builder.pieces })
            }
        })
    }

    /// Records contents; in order.
    pub async fn record(
        &self,
        account: AccountId,
        complete: Vec<Complete>,
    ) -> Result<Vec<Content>> {
        let mut new = Vec::new();
        let mut contents = Vec::new();
        for item in complete {
            contents.push(match item {
                Complete::Recorded(content) => Ok(content),
                Complete::New(content) => {
                    new.push(content);
                    Err(new.len() - 1)
                }
            });
        }
        let sizes: Vec<(u64, Digest)> = new.iter().map(|c| (c.size, c.digest)).collect();
        let keys = match new.is_empty() {
            true => Vec::new(),
            false => self.db.add_contents(account, new, self.clock.now()).await?,
        };
        let recorded = |at: usize| {
            let ((size, digest), key) = (sizes.get(at)?, keys.get(at)?);
            Some(Content { size: *size, digest: *digest, manifest: Some(*key) })
        };
        contents
            .into_iter()
            .map(|content| {
                content.or_else(|at| {
                    recorded(at).ok_or_else(|| Error::internal("record", "fewer keys than asked"))
                })
            })
            .collect()
    }

    async fn write_down(&self, account: AccountId, builder: &mut ManifestBuilder) -> Result<()> {
        let pieces = mem::take(&mut builder.pieces);
        hash(&mut builder.hasher, &pieces);
        let written = match &mut builder.written {
            Some(written) => written,
            None => {
                let now = self.clock.now();
                let key = self.db.open_content(builder.size, builder.digest, now).await?;
                builder.written.insert(Written { key, offset: 0 })
            }
        };
        let bytes = pieces.iter().map(|piece| u64::from(piece.length)).sum::<u64>();
        self.db.append_pieces(account, written.key, written.offset, pieces).await?;
        written.offset += bytes;
        Ok(())
    }
}

fn hash(hasher: &mut ManifestHasher, pieces: &[Piece]) {
    let mut encoded = Vec::with_capacity(pieces.len() * Piece::ENCODED_BYTES);
    pieces.iter().for_each(|piece| piece.encode_to(&mut encoded));
    hasher.update(&encoded);
}
