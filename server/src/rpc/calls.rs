//! What goes on in one connection: how many calls, and whether one of them stands still because the
//! other side does not read. HTTP/2 gives no hook for that: a body that the peer leaves unread is simply
//! never polled again, so the time since is looked at from outside.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The calls of one connection.
pub struct Calls {
    peer: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: u64,
    open: HashMap<u64, Option<Instant>>,
    ended: Option<Instant>,
}

/// One call; it ends when this is dropped.
pub(super) struct Open {
    calls: Arc<Calls>,
    number: u64,
}

impl Calls {
    /// None yet, of this peer.
    pub fn of(peer: SocketAddr) -> Self {
        Self { peer, state: Mutex::default() }
    }

    /// Who calls.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Notes that a call begins.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        let mut state = self.lock();
        state.begun += 1;
        let number = state.begun;
        state.open.insert(number, None);
        Open { calls: Arc::clone(self), number }
    }

    /// Whether there ever was one.
    pub fn begun(&self) -> bool {
        self.lock().begun > 0
    }

    /// For how long there has been none; `None` while there is one.
    pub fn idle(&self) -> Option<Duration> {
        let state = self.lock();
        match state.open.is_empty() {
            true => state.ended.map(|at| at.elapsed()),
            false => None,
        }
    }

    /// Whether a call's answer has been left unread for longer than this.
    pub fn stalled(&self, limit: Duration) -> bool {
        let state = self.lock();
        state.open.values().flatten().any(|unread_since| unread_since.elapsed() > limit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// A piece of the answer was handed over; the next poll says that it has left.
    pub(super) fn handed_over(&self) {
        self.set(Some(Instant::now()));
    }

    /// The other side has asked for more, and it is this side that has none yet.
    pub(super) fn waiting_for_us(&self) {
        self.set(None);
    }

    fn set(&self, unread_since: Option<Instant>) {
        self.calls.lock().open.insert(self.number, unread_since);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.calls.lock();
        state.open.remove(&self.number);
        state.ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Calls;

    #[test]
    fn an_unread_answer_stalls_and_a_late_one_does_not() {
        let calls = Arc::new(Calls::of(([127, 0, 0, 1], 1).into()));
        assert!(!calls.begun());
        let open = calls.begin();
        assert!(calls.idle().is_none());
        open.waiting_for_us();
        assert!(!calls.stalled(Duration::ZERO));
        open.handed_over();
        std::thread::yield_now();
        assert!(calls.stalled(Duration::ZERO));
        assert!(!calls.stalled(Duration::from_secs(60)));
        drop(open);
        assert!(!calls.stalled(Duration::ZERO));
        assert!(calls.idle().is_some());
    }
}
