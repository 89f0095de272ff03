//! Where a content is cut into chunks: FastCDC 2020 with normalization level 1 and no seed, in exactly
//! the sizes that the server names. Other cuts would be accepted, but would share nothing with what is
//! stored already.

use depot_proto::auth::Chunker;
use fastcdc::v2020::{
    AVERAGE_MAX, AVERAGE_MIN, FastCDC, MAXIMUM_MAX, MAXIMUM_MIN, MINIMUM_MAX, MINIMUM_MIN,
    Normalization,
};

use crate::error::{Error, Result};

/// The chunk sizes of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutter {
    min: usize,
    average: usize,
    max: usize,
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
        let cutter = Self {
            min: chunker.chunk_bytes_min as usize,
            average: chunker.chunk_bytes_avg as usize,
            max: chunker.chunk_bytes_max as usize,
        };
        let in_range = (MINIMUM_MIN..=MINIMUM_MAX).contains(&cutter.min)
            && (AVERAGE_MIN..=AVERAGE_MAX).contains(&cutter.average)
            && (MAXIMUM_MIN..=MAXIMUM_MAX).contains(&cutter.max);
        let ordered = cutter.min <= cutter.average && cutter.average <= cutter.max;
        let even = [cutter.min, cutter.average, cutter.max].iter().all(|size| size % 2 == 0);
        match chunker.algorithm == "fastcdc2020" && in_range && ordered && even {
            true => Ok(cutter),
            false => Err(unknown()),
        }
    }

    /// The longest chunk.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Length of the chunk that `window` begins with; `None` while bytes that are not there yet could
    /// move the cut, so that the cuts are the same however the content arrives.
    pub(crate) fn cut(&self, window: &[u8], is_end: bool) -> Option<usize> {
        if window.is_empty() || (window.len() < self.max && !is_end) {
            return None;
        }
        let window = &window[..window.len().min(self.max)];
        let cdc =
            FastCDC::with_level(window, self.min, self.average, self.max, Normalization::Level1);
        Some(cdc.cut(0, window.len()).1)
    }
}

#[cfg(test)]
mod tests {
    use depot_proto::auth::Chunker;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::Cutter;

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
    fn cuts(cutter: Cutter, content: &[u8], mut read: impl FnMut() -> usize) -> Vec<usize> {
        let (mut start, mut filled, mut cuts) = (0, 0, Vec::new());
        loop {
            let is_end = filled == content.len();
            while let Some(length) = cutter.cut(&content[start..filled], is_end) {
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
        let cuts = cuts(cutter(256 << 10, 1 << 20, 4 << 20), &content, || 1 << 20);
        assert_eq!(cuts.iter().sum::<usize>(), content.len());
        assert_eq!(cuts, GOLDEN);
        let library = fastcdc::v2020::FastCDC::new(&content, 256 << 10, 1 << 20, 4 << 20);
        assert!(library.map(|chunk| chunk.length).eq(GOLDEN));
    }

    /// From `FastCDC::with_level(&content, 256 KiB, 1 MiB, 4 MiB, Level1)` over the whole content.
    const GOLDEN: [usize; 5] = [2_269_146, 2_019_180, 1_520_067, 873_919, 1_706_296];

    #[test]
    fn the_library_cuts_the_whole_content_in_the_same_way() {
        let content = noise(3 << 20);
        let whole: Vec<usize> =
            fastcdc::v2020::FastCDC::new(&content, 4096, 16384, 65536).map(|c| c.length).collect();
        assert_eq!(cuts(cutter(4096, 16384, 65536), &content, || 10_000), whole);
    }

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
        fn the_cuts_do_not_depend_on_how_the_bytes_arrive(
            length in 0_usize..300_000,
            reads in proptest::collection::vec(1_usize..70_000, 1..20),
        ) {
            let content = noise(length);
            let cutter = cutter(1024, 4096, 16384);
            let mut turn = 0;
            let piecemeal = cuts(cutter, &content, || {
                turn += 1;
                reads[turn % reads.len()]
            });
            prop_assert_eq!(&piecemeal, &cuts(cutter, &content, || usize::MAX / 2));
            prop_assert_eq!(piecemeal.iter().sum::<usize>(), length);
        }
    }
}
