//! Chunks that wait for enough others to go with: to be asked about, or to be sent.

use std::collections::VecDeque;

use super::hash::Chunk;

/// In the order in which they came.
#[derive(Default)]
pub(super) struct Waiting {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = Chunk>) {
        for chunk in more {
            self.bytes += chunk.length();
            self.chunks.push_back(chunk);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// As many as fit, and one at the least.
    pub(super) fn take(&mut self, bytes_max: usize, count_max: usize) -> Vec<Chunk> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.chunks.front() {
            let is_full = bytes + next.length() > bytes_max || taken.len() == count_max;
            if is_full && !taken.is_empty() {
                break;
            }
            bytes += next.length();
            taken.extend(self.chunks.pop_front());
        }
        self.bytes -= bytes;
        taken
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Waiting;
    use crate::transfer::hash::Chunk;

    #[test]
    fn what_is_taken_stays_within_its_limits() {
        let buffer = Bytes::from(vec![7; 10_000]);
        let chunk = |range: std::ops::Range<usize>| Chunk {
            hash: blake3::hash(&buffer[range.clone()]).into(),
            buffer: buffer.clone(),
            range,
            slot: 0,
        };
        let mut waiting = Waiting::default();
        waiting.add([0..4000, 4000..8000, 8000..10_000].map(chunk));
        assert_eq!(waiting.take(8000, 9).len(), 2);
        assert_eq!(waiting.bytes(), 2000);
        assert_eq!(waiting.take(1, 9).len(), 1, "one chunk always goes");
        assert!(waiting.is_empty() && waiting.take(1, 9).is_empty());
        waiting.add((0..10).map(|at| chunk(at..at + 1)));
        assert_eq!((waiting.take(usize::MAX, 9).len(), waiting.len()), (9, 1));
    }
}
