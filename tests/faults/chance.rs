//! Chance that can be had again: every try has a seed that is printed, and `DEPOT_SEED` makes that one
//! try alone. What is done and when is the same then; how the machine interleaves it is not.

use std::env;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether the long tier runs, as before a release.
pub(crate) fn is_long() -> bool {
    env::var("DEPOT_LONG").is_ok_and(|value| value == "1")
}

/// How many tries of a table's row are made.
pub(crate) fn tries(ci: usize, long: usize) -> usize {
    if is_long() { long } else { ci }
}

/// The seeds of so many runs, or the one that was asked for.
///
/// # Panics
///
/// When `DEPOT_SEED` is no number.
pub(crate) fn seeds(runs: usize) -> Vec<u64> {
    if let Ok(text) = env::var("DEPOT_SEED") {
        return vec![text.parse().expect("DEPOT_SEED is a number")];
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    let mut chance = Chance::new(now.as_nanos() as u64);
    // Short enough to be typed.
    (0..runs).map(|_| chance.next() % 1_000_000_000).collect()
}

/// A source of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The source with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A source of its own for somebody else.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number of a range.
    pub(crate) fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// A place in a list that is not empty.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        self.of(0..length as u64) as usize
    }

    /// One of some, if there are any.
    pub(crate) fn pick<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        (!some.is_empty()).then(|| &some[self.place(some.len())])
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.of(0..times) == 0
    }

    /// A time between these, in milliseconds.
    pub(crate) fn time(&mut self, milliseconds: Range<u64>) -> Duration {
        Duration::from_millis(self.of(milliseconds))
    }
}

#[test]
fn the_same_seed_is_the_same_chance() {
    let numbers = |seed| {
        let mut chance = Chance::new(seed);
        (0..100).map(|_| chance.of(10..1_000)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
}
