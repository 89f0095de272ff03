//! Tokens seen a moment ago, so that a client with many calls costs one look-up a second. Forgotten as a
//! whole at every revocation; what was being looked up meanwhile is not remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::db::Session;

const REMEMBERED: Duration = Duration::from_secs(1);
const TOKENS_MAX: usize = 10_000;

/// Logins by the hash of their token.
#[derive(Default)]
pub(super) struct Known {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    epoch: u64,
    sessions: HashMap<[u8; 32], (Instant, Arc<Session>)>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn get(&self, token: &[u8; 32]) -> Option<Arc<Session>> {
        let state = self.lock();
        let (at, session) = state.sessions.get(token)?;
        (at.elapsed() < REMEMBERED).then(|| Arc::clone(session))
    }

    /// To be asked before a look-up, and given with what that finds.
    pub(super) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    pub(super) fn put(&self, epoch: u64, token: [u8; 32], session: Arc<Session>) {
        let mut state = self.lock();
        if state.epoch != epoch {
            return;
        }
        if state.sessions.len() >= TOKENS_MAX {
            state.sessions.clear();
        }
        state.sessions.insert(token, (Instant::now(), session));
    }

    pub(super) fn forget_all(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.sessions.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
