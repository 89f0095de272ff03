//! The pack format, version 1: what every byte of a pack means. It can be read, verified and indexed
//! again without any database. Nothing in here touches a file.
//!
//! A pack is a file header, then records without gaps, then (once sealed) a footer. Numbers are
//! little-endian; bytes marked *zero* are written as zero and refused otherwise, so that a later
//! version may use them.
//!
//! | file header | bytes | content                                                         |
//! |-------------|-------|-----------------------------------------------------------------|
//! | 0           | 8     | magic `DEPOTPAK`                                                |
//! | 8           | 4     | format version, 1                                               |
//! | 12          | 4     | zero                                                            |
//! | 16          | 16    | pack id, the same as in the file's name                         |
//! | 32          | 24    | zero                                                            |
//! | 56          | 8     | check: first bytes of BLAKE3(bytes 0 to 55)                     |
//!
//! | record      | bytes | content                                                         |
//! |-------------|-------|-----------------------------------------------------------------|
//! | 0           | 4     | magic `DREC`                                                    |
//! | 4           | 1     | kind: 1 chunk, 2 footer, 3 padding                              |
//! | 5           | 1     | codec: 0 plain                                                  |
//! | 6           | 2     | zero                                                            |
//! | 8           | 4     | key id: 0 not encrypted                                         |
//! | 12          | 4     | length of the bytes that follow: of a chunk 1 to 16 MiB, of a   |
//! |             |       | footer 0, of padding less than 4096                             |
//! | 16          | 8     | zero                                                            |
//! | 24          | 32    | BLAKE3 of the chunk; zero in others                             |
//! | 56          | 8     | check: first bytes of BLAKE3(bytes 0 to 55, pack id, offset u64) |
//! | 64          | len   | the chunk; of padding anything                                  |
//!
//! The check covers the place as well, so a record that a disk put elsewhere, or bytes of a chunk that
//! only look like a record, are none. The footer is a record without bytes and the last 64 bytes of the
//! file. It is only a hint that nothing was to follow: a pack without one loses nothing. Padding is
//! skipped: with it a write ends at a block of the disk, as writes past the page cache must.

use std::fmt;

use crate::model::{ChunkHash, PackId};

/// Bytes of a file header, of a record before its chunk, and of a footer.
pub(super) const HEAD_BYTES: usize = 64;

/// What a write must begin and end at to go past the page cache, on all disks but the rarest.
pub(super) const BLOCK_BYTES: usize = 4096;

/// The longest chunk a record may hold, in bytes. It bounds what a reader of a pack must allocate.
pub const CHUNK_BYTES_MAX: u32 = 16 << 20;

const FILE_MAGIC: [u8; 8] = *b"DEPOTPAK";
const FILE_VERSION: u32 = 1;
const RECORD_MAGIC: [u8; 4] = *b"DREC";
const KIND_CHUNK: u8 = 1;
const KIND_FOOTER: u8 = 2;
const KIND_PADDING: u8 = 3;
const CODEC_PLAIN: u8 = 0;
const KEY_NONE: u32 = 0;
const CHECK_AT: usize = 56;

/// The fixed part of a file header, record or footer.
pub(super) type Head = [u8; HEAD_BYTES];

/// What a record's head says, once its check has been found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// So many bytes of the chunk with this name follow.
    Chunk { hash: ChunkHash, length: u32 },
    /// The pack was sealed here.
    Footer,
    /// So many bytes that mean nothing follow.
    Padding { length: u32 },
}

/// Why a head is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// It is none, or not the one for this place: never written, torn, or damaged.
    NotOne,
    /// It is sound, but of a kind that only a newer server writes.
    Unknown { what: &'static str, value: u32 },
}

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOne => f.write_str("no valid record header"),
            Self::Unknown { what, value } => {
                write!(f, "{what} {value}, which this server is too old for")
            }
        }
    }
}

/// The head of a new pack file.
pub(super) fn file_head(pack: PackId) -> Head {
    let mut head = [0; HEAD_BYTES];
    put(&mut head, 0, FILE_MAGIC);
    put(&mut head, 8, FILE_VERSION.to_le_bytes());
    put(&mut head, 16, *pack.as_bytes());
    let check = file_check(&head);
    put(&mut head, CHECK_AT, check);
    head
}

/// Whether this is the head of this pack's file.
pub(super) fn parse_file_head(head: &Head, pack: PackId) -> Result<(), BadHead> {
    if take(head, 0) != FILE_MAGIC || take(head, CHECK_AT) != file_check(head) {
        return Err(BadHead::NotOne);
    }
    let version = u32::from_le_bytes(take(head, 8));
    if version != FILE_VERSION {
        return Err(BadHead::Unknown { what: "pack format", value: version });
    }
    if *head == file_head(pack) { Ok(()) } else { Err(BadHead::NotOne) }
}

/// The head of a chunk's record at this offset.
pub(super) fn chunk_head(pack: PackId, offset: u64, hash: ChunkHash, length: u32) -> Head {
    let mut head = record_head(KIND_CHUNK);
    put(&mut head, 12, length.to_le_bytes());
    put(&mut head, 24, hash.0);
    let check = record_check(&head, pack, offset);
    put(&mut head, CHECK_AT, check);
    head
}

/// The footer of a pack whose records end at this offset.
pub(super) fn footer(pack: PackId, offset: u64) -> Head {
    let mut head = record_head(KIND_FOOTER);
    let check = record_check(&head, pack, offset);
    put(&mut head, CHECK_AT, check);
    head
}

/// Padding from this offset on, head and all, so that what comes after it and has `before_block` bytes
/// ends with a block; empty if that is so without any.
pub(super) fn padding(pack: PackId, offset: u64, before_block: usize) -> Vec<u8> {
    let block = BLOCK_BYTES as u64;
    let over = ((offset + before_block as u64) % block) as usize;
    let bytes = match (BLOCK_BYTES - over) % BLOCK_BYTES {
        0 => return Vec::new(),
        // Too little for a head: one block more.
        little @ 1..HEAD_BYTES => little + BLOCK_BYTES,
        bytes => bytes,
    };
    let mut head = record_head(KIND_PADDING);
    put(&mut head, 12, ((bytes - HEAD_BYTES) as u32).to_le_bytes());
    let check = record_check(&head, pack, offset);
    put(&mut head, CHECK_AT, check);
    let mut padding = head.to_vec();
    padding.resize(bytes, 0);
    padding
}

/// What the head at this offset says.
pub(super) fn parse_head(head: &Head, pack: PackId, offset: u64) -> Result<Entry, BadHead> {
    if take(head, 0) != RECORD_MAGIC || take(head, CHECK_AT) != record_check(head, pack, offset) {
        return Err(BadHead::NotOne);
    }
    let (kind, codec) = (head[4], head[5]);
    let key = u32::from_le_bytes(take(head, 8));
    let spare = u32::from(take::<2>(head, 6) != [0; 2] || take::<8>(head, 16) != [0; 8]);
    let known = [
        ("codec", codec.into(), CODEC_PLAIN.into()),
        ("key", key, KEY_NONE),
        ("spare field", spare, 0),
    ];
    if let Some((what, value, _)) = known.into_iter().find(|(_, is, known)| is != known) {
        return Err(BadHead::Unknown { what, value });
    }
    let length = u32::from_le_bytes(take(head, 12));
    match kind {
        KIND_CHUNK if (1..=CHUNK_BYTES_MAX).contains(&length) => {
            Ok(Entry::Chunk { hash: ChunkHash(take(head, 24)), length })
        }
        KIND_FOOTER if length == 0 => Ok(Entry::Footer),
        KIND_PADDING if length < BLOCK_BYTES as u32 => Ok(Entry::Padding { length }),
        KIND_CHUNK | KIND_FOOTER | KIND_PADDING => Err(BadHead::NotOne),
        other => Err(BadHead::Unknown { what: "record kind", value: other.into() }),
    }
}

fn record_head(kind: u8) -> Head {
    let mut head = [0; HEAD_BYTES];
    put(&mut head, 0, RECORD_MAGIC);
    put(&mut head, 4, [kind, CODEC_PLAIN]);
    put(&mut head, 8, KEY_NONE.to_le_bytes());
    head
}

fn file_check(head: &Head) -> [u8; 8] {
    first_bytes(blake3::hash(&head[..CHECK_AT]))
}

fn record_check(head: &Head, pack: PackId, offset: u64) -> [u8; 8] {
    let mut covered = [0; CHECK_AT + 16 + 8];
    covered[..CHECK_AT].copy_from_slice(&head[..CHECK_AT]);
    covered[CHECK_AT..CHECK_AT + 16].copy_from_slice(pack.as_bytes());
    covered[CHECK_AT + 16..].copy_from_slice(&offset.to_le_bytes());
    first_bytes(blake3::hash(&covered))
}

fn first_bytes(hash: blake3::Hash) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    first
}

fn put<const N: usize>(head: &mut Head, at: usize, field: [u8; N]) {
    head[at..at + N].copy_from_slice(&field);
}

fn take<const N: usize>(head: &Head, at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&head[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{
        BLOCK_BYTES, BadHead, CHECK_AT, CHUNK_BYTES_MAX, Entry, chunk_head, file_head, footer,
        padding, parse_file_head, parse_head, put, record_check,
    };
    use crate::model::{ChunkHash, PackId};

    proptest! {
        #[test]
        fn a_head_says_what_was_put_in_and_only_at_its_place(
            id: [u8; 16], offset in 0..u64::MAX, hash: [u8; 32], length in 1..=CHUNK_BYTES_MAX,
        ) {
            let (pack, hash) = (PackId::from_bytes(id), ChunkHash(hash));
            let head = chunk_head(pack, offset, hash, length);
            prop_assert_eq!(parse_head(&head, pack, offset), Ok(Entry::Chunk { hash, length }));
            prop_assert_eq!(parse_head(&head, pack, offset + 1), Err(BadHead::NotOne));
            prop_assert_eq!(parse_head(&head, PackId::new(), offset), Err(BadHead::NotOne));
        }

        #[test]
        fn no_flipped_bit_goes_unseen(id: [u8; 16], hash: [u8; 32], bit in 0..512_usize) {
            let pack = PackId::from_bytes(id);
            let heads = [chunk_head(pack, 64, ChunkHash(hash), 9), footer(pack, 64), file_head(pack)];
            for (index, mut head) in heads.into_iter().enumerate() {
                head[bit / 8] ^= 1 << (bit % 8);
                let refused = match index {
                    2 => parse_file_head(&head, pack).is_err(),
                    _ => parse_head(&head, pack, 64).is_err(),
                };
                prop_assert!(refused, "head {} with bit {} flipped", index, bit);
            }
        }

        #[test]
        fn padding_brings_what_follows_it_to_the_end_of_a_block(
            id: [u8; 16], offset in 0..1_u64 << 40, follows in 0..200_usize,
        ) {
            let pack = PackId::from_bytes(id);
            let bytes = padding(pack, offset, follows);
            prop_assert_eq!((offset as usize + bytes.len() + follows) % BLOCK_BYTES, 0);
            if let Some((head, rest)) = bytes.split_first_chunk() {
                let length = rest.len() as u32;
                prop_assert_eq!(parse_head(head, pack, offset), Ok(Entry::Padding { length }));
            }
        }

        #[test]
        fn any_bytes_are_refused_quietly(bytes: [u8; 32], more: [u8; 32], offset in any::<u64>()) {
            let mut head = [0; 64];
            put(&mut head, 0, bytes);
            put(&mut head, 32, more);
            prop_assert!(parse_head(&head, PackId::new(), offset).is_err());
        }
    }

    #[test]
    fn what_a_newer_server_wrote_is_told_from_damage() {
        let pack = PackId::new();
        for (at, value, what) in
            [(5, 3, "codec"), (8, 7, "key"), (6, 1, "spare field"), (4, 9, "record kind")]
        {
            let mut head = chunk_head(pack, 64, ChunkHash::of(b"x"), 1);
            head[at] = value;
            let check = record_check(&head, pack, 64);
            put(&mut head, CHECK_AT, check);
            let told = parse_head(&head, pack, 64);
            assert_eq!(told, Err(BadHead::Unknown { what, value: value.into() }));
        }
    }

    #[test]
    fn a_chunk_of_no_bytes_or_too_many_is_none() {
        let pack = PackId::new();
        for length in [0, CHUNK_BYTES_MAX + 1, u32::MAX] {
            let head = chunk_head(pack, 64, ChunkHash::of(b""), length);
            assert_eq!(parse_head(&head, pack, 64), Err(BadHead::NotOne), "{length} bytes");
        }
    }

    /// The bytes on people's disks: when this fails, the format has changed and needs a new version.
    #[test]
    fn the_format_is_the_one_that_was_released() {
        let pack = PackId::from_bytes([7; 16]);
        let mut all = Vec::new();
        all.extend_from_slice(&file_head(pack));
        all.extend_from_slice(&chunk_head(pack, 64, ChunkHash::of(b"depot"), 5));
        all.extend_from_slice(b"depot");
        all.extend_from_slice(&padding(pack, 133, 64));
        all.extend_from_slice(&footer(pack, 4032));
        assert_eq!(
            ChunkHash::of(&all).to_string(),
            "ee35f99d6658e826a95636ba2751a031771b7f9593d24dd096d785e75e5523b3"
        );
    }
}
