//! Contents: the identity of a file's or an attachment's bytes.

use serde::{Deserialize, Serialize};

use crate::model::ChunkHash;

/// The cutting of contents into chunks, in force since the first release: FastCDC 2020 with
/// normalization level 1 and the gear table of the paper. Sizes are powers of two.
pub mod chunker {
    /// Every chunk but a content's last has at least this many bytes.
    pub const CHUNK_BYTES_MIN: u32 = 256 << 10;
    /// What the cut points aim at.
    pub const CHUNK_BYTES_AVG: u32 = 1 << 20;
    /// No chunk has more bytes.
    pub const CHUNK_BYTES_MAX: u32 = 4 << 20;
    /// The name of the algorithm, as clients know it.
    pub const ALGORITHM: &str = "fastcdc2020";
}

/// BLAKE3 of all bytes of a content. Asserted by an uploader where there is more than one chunk, so it
/// is never used to look up, to share or to grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of no bytes at all.
    pub fn of_nothing() -> Self {
        Self(blake3::hash(b"").into())
    }
}

/// The store's key of a list of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ManifestKey(pub i64);

/// What an entry, a version or an attachment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of them.
    pub digest: Digest,
    /// Where there is more than one chunk. Otherwise the one chunk is named like the content (the
    /// digest is checked by the server then), and an empty content has none.
    pub manifest: Option<ManifestKey>,
}

impl Content {
    /// A content without bytes.
    pub fn empty() -> Self {
        Self { size: 0, digest: Digest::of_nothing(), manifest: None }
    }

    /// The chunk it consists of, where it is just one.
    pub fn only_chunk(&self) -> Option<Piece> {
        (self.manifest.is_none() && self.size > 0).then(|| Piece {
            length: u32::try_from(self.size).unwrap_or(u32::MAX),
            hash: ChunkHash(self.digest.0),
        })
    }

    /// Whether both are the same bytes, by what the server itself knows.
    pub fn same_as(&self, other: &Self) -> bool {
        self.size == other.size && self.digest == other.digest && self.manifest == other.manifest
    }
}

/// One entry of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the chunk.
    pub length: u32,
    /// Its name.
    pub hash: ChunkHash,
}

impl Piece {
    /// Bytes of an encoded piece: the length as a little-endian u32, then the hash.
    pub const ENCODED_BYTES: usize = 36;

    /// Appends the encoded form, which the wire and the store share.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.hash.0);
    }

    /// Decodes a list; `None` when its length is no multiple of a piece's.
    pub fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (pieces, rest) = bytes.as_chunks::<{ Self::ENCODED_BYTES }>();
        rest.is_empty().then(|| pieces.iter().map(Self::decode).collect())
    }

    fn decode(bytes: &[u8; Self::ENCODED_BYTES]) -> Self {
        let mut length = [0; 4];
        let mut hash = [0; 32];
        length.copy_from_slice(&bytes[..4]);
        hash.copy_from_slice(&bytes[4..]);
        Self { length: u32::from_le_bytes(length), hash: ChunkHash(hash) }
    }
}

/// The identity of a content of several chunks, computed while its pieces come in:
/// BLAKE3(tag, format, chunker parameters, size, digest, (length, hash)…).
#[derive(Debug)]
pub struct ManifestHasher(blake3::Hasher);

impl ManifestHasher {
    /// Begins with what is known before the pieces.
    pub fn new(size: u64, digest: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"depot manifest\0");
        for number in [
            1, // format
            chunker::CHUNK_BYTES_MIN,
            chunker::CHUNK_BYTES_AVG,
            chunker::CHUNK_BYTES_MAX,
        ] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&size.to_le_bytes());
        hasher.update(&digest.0);
        Self(hasher)
    }

    /// Adds pieces in their encoded form.
    pub fn update(&mut self, encoded: &[u8]) {
        self.0.update(encoded);
    }

    /// The identity.
    pub fn finish(&self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{ChunkHash, Content, Digest, ManifestHasher, Piece};

    proptest! {
        #[test]
        fn pieces_survive_their_encoding(raw in vec((any::<u32>(), any::<[u8; 32]>()), 0..50)) {
            let pieces: Vec<Piece> = raw
                .into_iter()
                .map(|(length, hash)| Piece { length, hash: ChunkHash(hash) })
                .collect();
            let mut bytes = Vec::new();
            pieces.iter().for_each(|piece| piece.encode_to(&mut bytes));
            prop_assert_eq!(Piece::decode_all(&bytes), Some(pieces));
        }
    }

    #[test]
    fn a_torn_list_is_no_list() {
        assert_eq!(Piece::decode_all(&[0; 35]), None);
        assert_eq!(Piece::decode_all(&[0; 37]), None);
    }

    #[test]
    fn the_identity_depends_on_every_part() {
        let digest = Digest([7; 32]);
        let base = ManifestHasher::new(10, &digest).finish();
        assert_ne!(base, ManifestHasher::new(11, &digest).finish());
        assert_ne!(base, ManifestHasher::new(10, &Digest([8; 32])).finish());
        let mut longer = ManifestHasher::new(10, &digest);
        longer.update(&[1]);
        assert_ne!(base, longer.finish());
        // Pinned: a change of this value is a new manifest format.
        assert_eq!(
            blake3::Hash::from(base).to_hex().as_str(),
            "064489a855fac218148562c56a800ddac210d9370bb9b7bd5527aa95e05d00b1"
        );
    }

    #[test]
    fn an_empty_content_has_no_chunk() {
        assert_eq!(Content::empty().only_chunk(), None);
    }
}
