//! Which chunks were read lately. What is read once, as by a backup or a sync, would only push what is
//! read often out of the page cache; what is read again is worth its room there.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::model::ChunkHash;

/// A fixed number of names, of which the oldest is forgotten first.
pub(super) struct Recent {
    names_max: usize,
    names: Mutex<(HashSet<ChunkHash>, VecDeque<ChunkHash>)>,
}

impl Recent {
    /// None yet.
    pub(super) fn new(names_max: usize) -> Self {
        Self { names_max, names: Mutex::default() }
    }

    /// Notes a chunk; whether it was noted already.
    pub(super) fn note(&self, hash: ChunkHash) -> bool {
        let mut guard = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let (names, order) = &mut *guard;
        if !names.insert(hash) {
            return true;
        }
        order.push_back(hash);
        if order.len() > self.names_max
            && let Some(oldest) = order.pop_front()
        {
            names.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;
    use crate::model::ChunkHash;

    #[test]
    fn the_oldest_name_is_forgotten() {
        let recent = Recent::new(2);
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| ChunkHash::of(bytes));
        assert_eq!([a, b, a, b].map(|hash| recent.note(hash)), [false, false, true, true]);
        assert_eq!([c, b, a].map(|hash| recent.note(hash)), [false, true, false]);
    }
}
