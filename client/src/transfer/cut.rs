//! Where a content is cut into chunks: FastCDC 2020 with normalization level 1 and no seed, in exactly
//! the sizes that the server names. Other cuts would be accepted, but would share nothing with what is
//! stored already. The table and the masks are those of `fastcdc`; the bytes are hashed by `gearhash`,
//! several streams at a time: on AVX2, 3.7 GB/s instead of 1.9.

use depot_proto::auth::Chunker;
use fastcdc::v2020::{
    AVERAGE_MAX, AVERAGE_MIN, MASKS, MAXIMUM_MAX, MAXIMUM_MIN, MINIMUM_MAX, MINIMUM_MIN,
    get_gear_with_seed,
};
use gearhash::{Hasher, Table};

use crate::error::{Error, Result};

/// The chunk sizes of a server, and what is left to chance between them.
#[derive(Clone, Debug)]
pub(crate) struct Cutter {
    min: usize,
    average: usize,
    max: usize,
    /// What a hash must have no bits in to end a chunk that is still below the average, and one above.
    masks: [u64; 2],
    gear: Box<Table>,
}

/// How far the chunk that a window begins with has been looked at.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    seen: usize,
    hash: u64,
}

impl Cutter {
    /// Accepts only what this client cuts in the same way as every other.
    pub(crate) fn of(chunker: Option<&Chunker>) -> Result<Self> {
        let unknown = || {
            Error::bad_answer(
                "the server cuts files in a way that this depot does not know; update depot",
            )
        };
        let chunker = chunker.ok_or_else(unknown)?;
        let min = chunker.chunk_bytes_min as usize;
        let average = chunker.chunk_bytes_avg as usize;
        let max = chunker.chunk_bytes_max as usize;
        let in_range = (MINIMUM_MIN..=MINIMUM_MAX).contains(&min)
            && (AVERAGE_MIN..=AVERAGE_MAX).contains(&average)
            && (MAXIMUM_MIN..=MAXIMUM_MAX).contains(&max);
        let ordered = min <= average && average <= max;
        let even = [min, average, max].iter().all(|size| size % 2 == 0);
        if !(chunker.algorithm == "fastcdc2020" && in_range && ordered && even) {
            return Err(unknown());
        }
        let bits = (average as f64).log2().round() as usize;
        let (gear, _) = get_gear_with_seed(0);
        let gear = Table::try_from(&*gear).map_err(|_| unknown())?;
        Ok(Self { min, average, max, masks: [MASKS[bits + 1], MASKS[bits - 1]], gear: gear.into() })
    }

    /// What another cutter that cuts in the same way has too.
    pub(super) fn id(&self) -> i64 {
        let sizes = format!("fastcdc2020 {} {} {}", self.min, self.average, self.max);
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::hash(sizes.as_bytes()).as_bytes()[..8]);
        i64::from_le_bytes(id)
    }

    /// A content that is no longer than this is one chunk.
    pub(super) fn min(&self) -> usize {
        self.min
    }

    /// The longest chunk.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Length of the chunk that `window` begins with; `None` while its end has not come yet. The cuts are
    /// the same however the content arrives: `scan` goes with the window, and what has been looked at is
    /// not looked at again.
    pub(crate) fn cut(&self, scan: &mut Scan, window: &[u8], is_end: bool) -> Option<usize> {
        // The algorithm looks at pairs of bytes: a last one that is left over is no place to cut.
        let pairs = &window[..window.len() & !1];
        let cut = self.look(scan, pairs).or(match window.len() {
            length if length >= self.max => Some(self.max),
            length if length > 0 && is_end => Some(length),
            _ => None,
        });
        if cut.is_some() {
            *scan = Scan::default();
        }
        cut
    }

    fn look(&self, scan: &mut Scan, window: &[u8]) -> Option<usize> {
        let mut hasher = Hasher::new(&self.gear);
        hasher.set_hash(scan.hash);
        for (ends, mask) in [(self.average, self.masks[0]), (self.max, self.masks[1])] {
            let fresh = scan.seen.max(self.min)..window.len().min(ends);
            if fresh.is_empty() {
                continue;
            }
            if let Some(passed) = hasher.next_match(&window[fresh.clone()], mask) {
                // The byte that made the hash is the first of the next chunk.
                return Some(fresh.start + passed - 1);
            }
            scan.seen = fresh.end;
        }
        scan.hash = hasher.get_hash();
        None
    }
}

#[cfg(test)]
mod tests {
    use depot_proto::auth::Chunker;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{Cutter, Scan};

    fn cutter(min: u32, avg: u32, max: u32) -> Cutter {
        Cutter::of(Some(&Chunker {
            algorithm: "fastcdc2020".into(),
            chunk_bytes_min: min,
            chunk_bytes_avg: avg,
            chunk_bytes_max: max,
        }))
        .unwrap()
    }

    /// BLAKE3 in counter mode: the same bytes everywhere.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(b"depot").finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Cuts `content` as it arrives in reads of the given sizes.
    fn cuts(cutter: &Cutter, content: &[u8], mut read: impl FnMut() -> usize) -> Vec<usize> {
        let (mut start, mut filled, mut cuts) = (0, 0, Vec::new());
        let mut scan = Scan::default();
        loop {
            let is_end = filled == content.len();
            while let Some(length) = cutter.cut(&mut scan, &content[start..filled], is_end) {
                cuts.push(length);
                start += length;
            }
            if is_end {
                return cuts;
            }
            filled = (filled + read()).min(content.len());
        }
    }

    #[test]
    fn a_known_content_is_cut_at_known_places() {
        let content = noise(8 << 20);
        let cuts = cuts(&cutter(256 << 10, 1 << 20, 4 << 20), &content, || 1 << 20);
        assert_eq!(cuts.iter().sum::<usize>(), content.len());
        assert_eq!(cuts, GOLDEN);
        let library = fastcdc::v2020::FastCDC::new(&content, 256 << 10, 1 << 20, 4 << 20);
        assert!(library.map(|chunk| chunk.length).eq(GOLDEN));
    }

    /// From `FastCDC::with_level(&content, 256 KiB, 1 MiB, 4 MiB, Level1)` over the whole content.
    const GOLDEN: [usize; 5] = [2_269_146, 2_019_180, 1_520_067, 873_919, 1_706_296];

    #[test]
    fn sizes_that_would_cut_differently_are_refused() {
        let refused = |algorithm: &str, min, avg, max| {
            Cutter::of(Some(&Chunker {
                algorithm: algorithm.into(),
                chunk_bytes_min: min,
                chunk_bytes_avg: avg,
                chunk_bytes_max: max,
            }))
            .is_err()
        };
        assert!(refused("fastcdc2016", 4096, 16384, 65536));
        assert!(refused("fastcdc2020", 4097, 16384, 65536));
        assert!(refused("fastcdc2020", 16384, 4096, 65536));
        assert!(refused("fastcdc2020", 0, 16384, 65536));
        assert!(Cutter::of(None).is_err());
    }

    proptest! {
        #[test]
        fn the_cuts_are_the_library_s_however_the_bytes_arrive(
            length in 0_usize..300_000,
            reads in proptest::collection::vec(1_usize..70_000, 1..20),
            zeros in 0_usize..100_000,
        ) {
            let mut content = noise(length);
            content[..zeros.min(length)].fill(0);
            for (min, average, max) in [(1024, 4096, 16384), (64, 256, 1024), (4096, 16384, 65536)] {
                let cutter = cutter(min as u32, average as u32, max as u32);
                let mut turn = 0;
                let piecemeal = cuts(&cutter, &content, || {
                    turn += 1;
                    reads[turn % reads.len()]
                });
                let library = fastcdc::v2020::FastCDC::new(&content, min, average, max);
                let whole: Vec<usize> = library.map(|chunk| chunk.length).collect();
                prop_assert_eq!(piecemeal, whole);
            }
        }
    }
}
