//! Chunks: bytes named by their BLAKE3, where they lie, and how contents are cut into them.

use std::fmt;

use bytes::Bytes;

use crate::model::PackId;

/// BLAKE3 of a chunk's bytes; its only name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a chunk's record begins, and how long the chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkPlace {
    /// The pack it lies in.
    pub pack: PackId,
    /// First byte of its record (not of its data).
    pub offset: u64,
    /// Bytes of the chunk itself.
    pub length: u32,
}

/// A chunk on its way into a store: its bytes have been checked against its hash.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// The name of the bytes.
    pub hash: ChunkHash,
    /// The bytes, in as many pieces as they arrived in; at least one, none empty.
    pub data: Vec<Bytes>,
    /// Sum of the pieces' lengths.
    pub length: u32,
}
