//! A content that comes as plain bytes: the server cuts, hashes and stores it itself.

use std::mem;

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{FastCDC, Normalization};

use crate::content::Contents;
use crate::content::buffers::Held;
use crate::content::manifest::ManifestBuilder;
use crate::content::persist::Batch;
use crate::db::Upload;
use crate::error::{Detail, Error, Kind, Result};
use crate::model::{AccountId, ChunkHash, Content, Digest, NewChunk, Piece, UploadId, chunker};

/// Bytes that are cut and stored together: at least two chunks of the longest sort.
const GATHERED_BYTES: usize = 8 << 20;

/// Bytes that are coming in.
pub struct ContentWrite {
    contents: Contents,
    upload: Upload,
    expected: Option<u64>,
    gathered: BytesMut,
    hasher: blake3::Hasher,
    size: u64,
    builder: ManifestBuilder,
    held: Held,
}

impl Contents {
    /// Begins a content of so many bytes, where that is known, that shall end in the tree of `charged`;
    /// refused early when it does not fit.
    pub async fn write(
        &self,
        account: AccountId,
        charged: AccountId,
        expected: Option<u64>,
    ) -> Result<ContentWrite> {
        self.check_disk()?;
        let upload = self.upload(account, (UploadId::new(), charged));
        if let Some(bytes) = expected {
            self.db.reserve(upload, bytes).await?;
        }
        let bytes = expected.map_or(GATHERED_BYTES, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX).clamp(1, GATHERED_BYTES)
        });
        // What is gathered, and the piece that comes on top of it.
        let piece = bytes.min(chunker::CHUNK_BYTES_MAX as usize);
        let held = self.buffers.take(account, bytes + piece).await?;
        Ok(ContentWrite {
            contents: self.clone(),
            upload,
            expected,
            gathered: BytesMut::new(),
            hasher: blake3::Hasher::new(),
            size: 0,
            builder: ManifestBuilder::new(u64::MAX, Digest::of_nothing()),
            held,
        })
    }
}

impl ContentWrite {
    /// The upload that its chunks are counted to.
    pub fn upload(&self) -> UploadId {
        self.upload.id
    }

    /// Takes the next bytes.
    pub async fn push(&mut self, data: Bytes) -> Result<()> {
        self.size += data.len() as u64;
        if self.expected.is_some_and(|expected| self.size > expected) {
            return Err(Error::field("data", "more bytes than the header's size says"));
        }
        self.gathered.extend_from_slice(&data);
        if self.gathered.len() >= GATHERED_BYTES {
            self.cut(false).await?;
        }
        Ok(())
    }

    /// Ends the content: checked against what its sender says of it, stored, recorded.
    pub async fn finish(mut self, size: u64, digest: Option<Digest>) -> Result<Content> {
        if size != self.size {
            return Err(Error::new(
                Kind::Truncated,
                format!("{} bytes came of {size}; nothing was stored, send it again", self.size),
            ));
        }
        self.cut(true).await?;
        let actual = Digest(self.hasher.finalize().into());
        if digest.is_some_and(|digest| digest != actual) {
            let message = "the bytes that came are not those of the digest; send them again";
            return Err(Error::new(Kind::DigestMismatch, message).with(Detail::Field {
                name: "end.blake3".to_owned(),
                problem: "another digest".to_owned(),
            }));
        }
        self.builder.set_identity(size, actual);
        let account = self.upload.account;
        let complete = self.contents.end_pieces(account, self.builder).await?;
        drop(self.held);
        let recorded = self.contents.record(account, vec![complete]).await?;
        recorded.into_iter().next().ok_or_else(|| Error::internal("write", "no content"))
    }

    /// Gives up: nothing was made visible, and the quota is given back.
    pub async fn abandon(self) {
        let Upload { account, id, .. } = self.upload;
        if let Err(error) = self.contents.db.close_upload(account, id).await {
            tracing::debug!(%error, "a lease is left to run out");
        }
    }

    async fn cut(&mut self, last: bool) -> Result<()> {
        let gathered = mem::take(&mut self.gathered).freeze();
        let mut hasher = mem::take(&mut self.hasher);
        let work = move || {
            let (chunks, rest) = chunks_of(&gathered, last);
            hasher.update(&gathered);
            (chunks, rest, hasher)
        };
        let (chunks, rest, hasher) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::internal("write", error))?;
        self.hasher = hasher;
        self.gathered = BytesMut::from(rest.as_ref());
        let mut batch = Batch::default();
        for chunk in chunks {
            let piece = Piece { length: chunk.length, hash: chunk.hash };
            self.builder.push_trusted(piece, self.contents.limits.content_chunks_max)?;
            batch.push(chunk, None);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let upload = Upload { now: self.contents.clock.now(), ..self.upload };
        self.contents.persist(upload, batch).await
    }
}

/// Cuts as long as the next cut cannot depend on bytes that have not come yet; the chunks, and the rest.
fn chunks_of(bytes: &Bytes, last: bool) -> (Vec<NewChunk>, Bytes) {
    let [min, avg, max] =
        [chunker::CHUNK_BYTES_MIN, chunker::CHUNK_BYTES_AVG, chunker::CHUNK_BYTES_MAX]
            .map(|bytes| bytes as usize);
    let mut chunks = Vec::new();
    let mut rest = bytes.clone();
    while rest.len() >= max || (last && !rest.is_empty()) {
        let (_, cut) =
            FastCDC::with_level(&rest, min, avg, max, Normalization::Level1).cut(0, rest.len());
        let data = rest.split_to(cut);
        let length = u32::try_from(cut).unwrap_or(u32::MAX);
        chunks.push(NewChunk { hash: ChunkHash::of(&data), data: vec![data], length });
    }
    (chunks, rest)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

    use super::chunks_of;
    use crate::model::{ChunkHash, chunker};

    /// The same bytes on every machine.
    fn noise(seed: u64, bytes: usize) -> Bytes {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        Bytes::from(out)
    }

    fn cuts(bytes: &Bytes) -> Vec<(u32, ChunkHash)> {
        let (chunks, rest) = chunks_of(bytes, true);
        assert!(rest.is_empty());
        chunks.into_iter().map(|chunk| (chunk.length, chunk.hash)).collect()
    }

    #[test]
    fn the_cuts_are_pinned() {
        let lengths: Vec<u32> =
            cuts(&noise(1, 8 << 20)).into_iter().map(|(length, _)| length).collect();
        assert_eq!(lengths, GOLDEN);
        assert_eq!(lengths.iter().sum::<u32>(), 8 << 20);
    }

    const GOLDEN: [u32; 7] = [491_952, 1_049_634, 651_579, 532_654, 3_140_351, 1_903_252, 619_186];

    #[test]
    fn every_chunk_but_the_last_is_within_the_bounds() {
        let found = cuts(&noise(2, 32 << 20));
        let (last, others) = found.split_last().unwrap();
        assert!(last.0 <= chunker::CHUNK_BYTES_MAX);
        for (length, _) in others {
            assert!((chunker::CHUNK_BYTES_MIN..=chunker::CHUNK_BYTES_MAX).contains(length));
        }
    }

    #[test]
    fn a_byte_in_front_changes_the_first_cuts_alone() {
        let bytes = noise(3, 16 << 20);
        let shifted = Bytes::from([&[7], &bytes[..]].concat());
        let (before, after) = (cuts(&bytes), cuts(&shifted));
        let shared = after.iter().filter(|cut| before.contains(cut)).count();
        assert!(shared + 3 >= before.len(), "{shared} of {}", before.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn cuts_do_not_depend_on_how_the_bytes_arrive(
            seed in any::<u64>(),
            first in 0_usize..(12 << 20),
        ) {
            let bytes = noise(seed, 12 << 20);
            let (mut chunks, rest) = chunks_of(&bytes.slice(..first), false);
            let joined = Bytes::from([&rest[..], &bytes[first..]].concat());
            chunks.extend(chunks_of(&joined, true).0);
            let pieces: Vec<_> = chunks.into_iter().map(|c| (c.length, c.hash)).collect();
            prop_assert_eq!(pieces, cuts(&bytes));
        }
    }
}
