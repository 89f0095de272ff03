//! Files with holes: what was never written of a file reads as zeros, and takes no room on its disk. Holes
//! are read without asking the disk for them, and a run of zeros is left a hole where a file is written.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::chunk::Digest;

/// File systems keep holes of whole blocks.
const BLOCK_BYTES: usize = 4096;

/// Bytes of a block as `stat` counts them.
const STAT_BLOCK_BYTES: u64 = 512;

/// A file from its beginning to its end.
pub(super) struct Holey<'a> {
    file: &'a File,
    at: u64,
    size: u64,
    /// Where the data that `at` is in or before begins and ends; all before it, from `at` on, is a hole.
    data: (u64, u64),
}

impl<'a> Holey<'a> {
    /// A file that takes as many blocks as its size needs has no holes to look for.
    pub(super) fn new(file: &'a File, metadata: &Metadata) -> Self {
        let size = metadata.len();
        let is_full = metadata.blocks().saturating_mul(STAT_BLOCK_BYTES) >= size;
        let data = if is_full { (0, u64::MAX) } else { (0, 0) };
        Self { file, at: 0, size, data }
    }

    /// Asks where the next data is.
    fn look(&mut self) -> io::Result<()> {
        let start = match seek(self.file, SeekFrom::Data(self.at)) {
            Ok(start) => start,
            // There is no more data: the rest is a hole.
            Err(Errno::NXIO) => self.size.max(self.at),
            // A file system that knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.data = (self.at, u64::MAX);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let end = match seek(self.file, SeekFrom::Hole(start)) {
            Ok(end) => end,
            Err(Errno::NXIO) => start,
            Err(error) => return Err(error.into()),
        };
        self.data = (start, end);
        Ok(())
    }
}

impl Read for Holey<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.data.1 && self.at < self.size {
            self.look()?;
        }
        let read = match self.data.0.min(self.size).checked_sub(self.at) {
            Some(hole @ 1..) => {
                let length = usize::try_from(hole).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..length].fill(0);
                length
            }
            _ => {
                let data =
                    usize::try_from(self.data.1.saturating_sub(self.at)).unwrap_or(usize::MAX);
                let length = data.min(buffer.len());
                self.file.read_at(&mut buffer[..length], self.at)?
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

/// The digest of zeros, of the length that was asked for last.
#[derive(Default)]
pub(super) struct Zeros(Option<(usize, Digest)>);

impl Zeros {
    pub(super) fn digest(&mut self, length: usize) -> Digest {
        match self.0 {
            Some((known, digest)) if known == length => digest,
            _ => {
                let mut hasher = blake3::Hasher::new();
                for_each_zero(length as u64, |zeros| {
                    hasher.update(zeros);
                    Ok(())
                })
                .unwrap_or_default();
                let digest = Digest::from(hasher.finalize());
                self.0 = Some((length, digest));
                digest
            }
        }
    }
}

/// So many zeros, some at a time.
pub(super) fn for_each_zero(
    count: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    static ZEROS: [u8; 128 << 10] = [0; 128 << 10];
    let mut left = count;
    while left > 0 {
        let length = left.min(ZEROS.len() as u64);
        each(&ZEROS[..length as usize])?;
        left -= length;
    }
    Ok(())
}

/// Whether there is nothing but zeros; of anything else, that mostly shows at its ends.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let is_nothing = |part: &[u8]| part.iter().fold(0, |all, byte| all | byte) == 0;
    let ends = bytes.len().min(16);
    is_nothing(&bytes[..ends])
        && is_nothing(&bytes[bytes.len() - ends..])
        && bytes.chunks(BLOCK_BYTES).all(is_nothing)
}

/// Writes to a place where nothing was ever written: whole blocks of zeros are left out.
pub(super) fn write_around_zeros(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut start = 0;
    let mut block = at.next_multiple_of(BLOCK_BYTES as u64).abs_diff(at) as usize;
    while let Some(bytes_of_block) = bytes.get(block..block + BLOCK_BYTES) {
        let end = block + BLOCK_BYTES;
        if is_zero(bytes_of_block) {
            file.write_all_at(&bytes[start..block], at + start as u64)?;
            start = end;
        }
        block = end;
    }
    file.write_all_at(&bytes[start..], at + start as u64)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::{BLOCK_BYTES, Digest, Holey, Zeros, is_zero, write_around_zeros};

    const KIB: usize = 1024;

    /// What `Holey` reads of a file that has these bytes at these places.
    fn read(parts: &[(usize, &[u8])], size: usize) -> (File, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size as u64).unwrap();
        for (at, bytes) in parts {
            file.write_all_at(bytes, *at as u64).unwrap();
        }
        let mut bytes = Vec::new();
        let metadata = file.metadata().unwrap();
        Holey::new(&file, &metadata).read_to_end(&mut bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn a_file_reads_the_same_with_its_holes() {
        let data = [7; 5 * KIB];
        for parts in [
            &[][..],
            &[(0, &data[..])],
            &[(300 * KIB, &data)],
            &[(0, &data), (128 * KIB, &data), (995 * KIB, &data)],
        ] {
            let (file, bytes) = read(parts, 1000 * KIB);
            let mut expected = vec![0; 1000 * KIB];
            file.read_exact_at(&mut expected, 0).unwrap();
            assert!(bytes == expected, "{parts:?}");
        }
        assert_eq!(read(&[], 0).1, b"");
    }

    #[test]
    fn a_file_that_became_shorter_or_longer_reads_as_it_is_by_then() {
        let (file, _) = read(&[(0, &[7; 9])], 9);
        let before = file.metadata().unwrap();
        file.set_len(4).unwrap();
        let mut bytes = Vec::new();
        Holey::new(&file, &before).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 4]);
    }

    #[test]
    fn zeros_are_known_by_their_digest() {
        let mut zeros = Zeros::default();
        for length in [0, 1, 4 * KIB, 300 * KIB + 1, 4 << 20] {
            assert_eq!(zeros.digest(length), Digest::from(blake3::hash(&vec![0; length])));
        }
    }

    #[test]
    fn one_bit_is_no_zero() {
        assert!(is_zero(b"") && is_zero(&[0; 9999]));
        for place in [0, 15, 16, 5000, 9998] {
            let mut bytes = [0; 9999];
            bytes[place] = 1;
            assert!(!is_zero(&bytes), "{place}");
        }
    }

    #[test]
    fn blocks_of_zeros_become_holes_and_all_else_is_written() {
        let mut content = vec![0; 100 * BLOCK_BYTES];
        for place in [0, 5 * BLOCK_BYTES, 20 * BLOCK_BYTES - 1, 60 * BLOCK_BYTES, 99 * BLOCK_BYTES]
        {
            content[place] = 1;
        }
        for piece in [1000, BLOCK_BYTES, 3 * BLOCK_BYTES + 5, content.len()] {
            let file = tempfile::tempfile().unwrap();
            for (turn, bytes) in content.chunks(piece).enumerate() {
                write_around_zeros(&file, bytes, (turn * piece) as u64).unwrap();
            }
            let mut written = vec![9; content.len()];
            file.set_len(content.len() as u64).unwrap();
            file.read_exact_at(&mut written, 0).unwrap();
            assert!(written == content, "{piece}");
            let taken = file.metadata().unwrap().blocks() * 512;
            // Where two pieces meet within a block, that is written.
            assert!(piece < BLOCK_BYTES || taken <= 60 * BLOCK_BYTES as u64, "{piece}: {taken}");
        }
    }
}
