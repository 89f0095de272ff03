//! A Bloom filter over chunk names: who is surely not referred to. It takes the same memory whatever the
//! store holds; a false "maybe" keeps a chunk until the next run, which has another salt.

use crate::model::ChunkHash;

/// Bits set for one name: 10 bits a name and 7 of them set give one false "maybe" in about 120.
const PROBES: u64 = 7;
const BITS_A_NAME: u64 = 10;
const BITS_MIN: u64 = 1 << 20;
/// 256 MiB would be 200 million chunks, about 200 TiB; past that it only gets less sharp.
const BITS_MAX: u64 = 256 << 23;

/// Names that may be referred to.
pub(super) struct Filter {
    words: Vec<u64>,
    salt: u64,
}

impl Filter {
    /// For about so many names.
    pub(super) fn new(names: u64, salt: u64) -> Self {
        let bits = names.saturating_mul(BITS_A_NAME).clamp(BITS_MIN, BITS_MAX);
        let words = usize::try_from(bits.div_ceil(64)).unwrap_or(usize::MAX);
        Self { words: vec![0; words], salt }
    }

    pub(super) fn add(&mut self, name: &ChunkHash) {
        for (word, bit) in self.places(name) {
            self.words[word] |= bit;
        }
    }

    pub(super) fn may_have(&self, name: &ChunkHash) -> bool {
        self.places(name).all(|(word, bit)| self.words[word] & bit != 0)
    }

    fn places(&self, name: &ChunkHash) -> impl Iterator<Item = (usize, u64)> + use<> {
        // A name is a hash already: two of its words, salted, stand for two hash functions
        // (Kirsch and Mitzenmacher, 2006).
        let (words, _) = name.0.as_chunks::<8>();
        let mix = |word: &[u8; 8]| {
            (u64::from_le_bytes(*word) ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let (first, step) = (mix(&words[0]), mix(&words[1]) | 1);
        let bits = self.words.len() as u64 * 64;
        (0..PROBES).map(move |probe| {
            let hash = first.wrapping_add(probe.wrapping_mul(step));
            let bit = ((u128::from(hash) * u128::from(bits)) >> 64) as u64;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::model::ChunkHash;

    #[test]
    fn what_was_added_is_never_missed_and_little_else_is_found() {
        let name = |number: u32| ChunkHash::of(&number.to_le_bytes());
        let mut filter = Filter::new(200_000, 42);
        (0..200_000).for_each(|number| filter.add(&name(number)));
        assert!((0..200_000).all(|number| filter.may_have(&name(number))));
        let false_ones = (200_000..300_000).filter(|n| filter.may_have(&name(*n))).count();
        assert!(false_ones < 2_000, "{false_ones} of 100,000");
    }
}
