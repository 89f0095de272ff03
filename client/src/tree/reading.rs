//! Reads files of this machine for their digests, several at once: one core hashes less than a disk gives.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use crate::transfer::index::Recorder;
use crate::transfer::{Digest, Seen};

/// Files that are read at once.
const AT_ONCE: usize = 8;

/// Does something for each of some places, several at once; what came of it, in their order. Blocks.
pub(crate) fn for_each<T: Send>(places: &[usize], work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(&place) = places.get(turn) else { return done };
            done.push((turn, work(place)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(AT_ONCE);
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(places.len())).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others = others
            .into_iter()
            .flat_map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        own.into_iter().chain(others).collect()
    });
    done.sort_unstable_by_key(|(turn, _)| *turn);
    done.into_iter().map(|(_, done)| done).collect()
}

/// What a file holds, and how it was when that was read; it is kept if the file stayed as it was seen.
pub(crate) fn digest(file: &File, seen: &Seen, recorder: &Recorder) -> io::Result<(Digest, Seen)> {
    let is_settled = seen.is_settled(SystemTime::now());
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    let digest = Digest::from(hasher.finalize());
    let after = Seen::of(&file.metadata()?);
    if is_settled && after == *seen {
        recorder.whole(seen, digest);
    }
    Ok((digest, after))
}

#[cfg(test)]
mod tests {
    use super::for_each;

    #[test]
    fn what_comes_of_each_is_in_its_place() {
        let places: Vec<usize> = (0..1000).rev().collect();
        assert_eq!(
            for_each(&places, |place| place * 2),
            places.iter().map(|p| p * 2).collect::<Vec<_>>()
        );
        assert_eq!(for_each(&[], |place| place), [] as [usize; 0]);
    }
}
