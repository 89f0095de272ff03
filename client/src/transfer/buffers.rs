//! The buffers that file contents are read into: a fixed number of them, used again and again, so that
//! an upload of any size has the same memory. Chunks are slices of a buffer; the buffer comes back when
//! the last of them has been dropped.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;

/// A bounded number of buffers of one size.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    buffer_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: Vec<Box<[u8]>>,
    /// How many more may be made.
    to_make: usize,
    closed: bool,
}

/// One buffer, on its way back when it is dropped.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    pool: Pool,
}

impl Pool {
    pub(super) fn new(buffers: usize, buffer_bytes: usize) -> Self {
        let state = State { free: Vec::new(), to_make: buffers, closed: false };
        Self(Arc::new(Inner { buffer_bytes, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Waits for a buffer; `None` once the pool is closed. Its bytes are what was last in it.
    pub(super) fn take(&self) -> Option<Buffer> {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |state: &mut State| !state.closed && state.free.is_empty() && state.to_make == 0;
        let waited = self.0.changed.wait_while(state, wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        let bytes = match state.free.pop() {
            Some(bytes) => bytes,
            None => {
                state.to_make -= 1;
                vec![0; self.0.buffer_bytes].into_boxed_slice()
            }
        };
        Some(Buffer { bytes, pool: self.clone() })
    }

    /// Nobody waits for a buffer any more.
    pub(super) fn close(&self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.0.changed.notify_all();
    }
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// From now on it is only read, by many.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut state = self.pool.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.free.push(bytes);
        drop(state);
        self.pool.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::Pool;

    #[test]
    fn a_buffer_comes_back_with_its_last_slice() {
        let pool = Pool::new(1, 16);
        let frozen = pool.take().unwrap().freeze();
        let slice = frozen.slice(3..5);
        drop(frozen);
        let waiting = {
            let pool = pool.clone();
            thread::spawn(move || pool.take().is_some())
        };
        assert!(!waiting.is_finished());
        drop(slice);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn closing_ends_the_wait() {
        let pool = Pool::new(1, 16);
        let taken = pool.take();
        let waiting = {
            let pool = pool.clone();
            thread::spawn(move || pool.take().is_none())
        };
        pool.close();
        assert!(waiting.join().unwrap());
        drop(taken);
    }
}
