//! Who is told of commits, in the stories: it remembers, and can keep a writer waiting in the middle of
//! telling, so that others queue up behind it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::db::Committed;
use crate::model::AccountId;

/// What was told, and whether the teller is to wait.
#[derive(Default)]
pub(super) struct Ears {
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    told: Vec<AccountId>,
    held: bool,
    waits: bool,
}

impl Ears {
    pub(super) fn committed(self: &Arc<Self>) -> Committed {
        let ears = Arc::clone(self);
        Arc::new(move |accounts| ears.hear(accounts))
    }

    fn hear(&self, accounts: &[AccountId]) {
        let mut heard = self.heard.lock().unwrap();
        heard.told.extend_from_slice(accounts);
        while heard.held {
            heard.waits = true;
            heard = self.changed.wait(heard).unwrap();
        }
        heard.waits = false;
    }

    /// All that was told since the last look, each account once.
    pub(super) fn take(&self) -> Vec<AccountId> {
        let mut told = std::mem::take(&mut self.heard.lock().unwrap().told);
        told.sort_unstable();
        told.dedup();
        told
    }

    /// Whoever commits next waits until the hold is dropped.
    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        self.heard.lock().unwrap().held = true;
        Hold(Arc::clone(self))
    }
}

/// Keeps the writer waiting; let go of before the store is closed, even by a story that fails.
pub(super) struct Hold(Arc<Ears>);

impl Hold {
    /// Until somebody has committed, and waits.
    pub(super) async fn until_it_waits(&self) {
        while !self.0.heard.lock().unwrap().waits {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.heard.lock().unwrap().held = false;
        self.0.changed.notify_all();
    }
}
