//! A chunk by name, and the 36 bytes that stand for one in a manifest: its length as a little-endian
//! u32, then its BLAKE3.

use crate::error::{Error, Result};
use crate::output::json::hex;

/// Bytes of one chunk in a manifest.
pub(crate) const PLACE_BYTES: usize = 36;

/// BLAKE3 of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// As the server sent it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let hash = <[u8; 32]>::try_from(bytes);
        hash.map(Self).map_err(|_| Error::bad_answer("the server sent a hash that is none"))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

/// One chunk of a content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChunkRef {
    pub(crate) length: u32,
    pub(crate) hash: Digest,
}

impl ChunkRef {
    pub(crate) fn append_to(&self, manifest: &mut Vec<u8>) {
        manifest.extend_from_slice(&self.length.to_le_bytes());
        manifest.extend_from_slice(self.hash.as_bytes());
    }

    /// `place` is `PLACE_BYTES` long.
    pub(crate) fn parse(place: &[u8]) -> Result<Self> {
        let wrong = || Error::bad_answer("the server sent a manifest that is none");
        let (length, hash) = place.split_first_chunk::<4>().ok_or_else(wrong)?;
        Ok(Self { length: u32::from_le_bytes(*length), hash: Digest::parse(hash)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkRef, Digest, PLACE_BYTES};

    #[test]
    fn a_chunk_reads_back_from_its_36_bytes() {
        let chunk = ChunkRef { length: 0x0102_0304, hash: Digest::from(blake3::hash(b"x")) };
        let mut place = Vec::new();
        chunk.append_to(&mut place);
        assert_eq!(place.len(), PLACE_BYTES);
        assert_eq!(place[..4], [4, 3, 2, 1]);
        assert!(ChunkRef::parse(&place).unwrap() == chunk);
        assert!(ChunkRef::parse(&place[..35]).is_err());
    }
}
