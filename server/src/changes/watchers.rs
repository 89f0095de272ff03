//! Who waits for which account. A commit wakes them and says nothing more: what changed is read from the
//! store, so a missed or doubled wake-up does no harm.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::AccountId;

/// The bells of the accounts that somebody waits for.
#[derive(Default)]
pub struct Watchers {
    bells: Mutex<HashMap<AccountId, watch::Sender<()>>>,
}

impl Watchers {
    /// Wakes all who wait for these accounts.
    pub fn wake(&self, accounts: &[AccountId]) {
        let mut bells = self.lock();
        for account in accounts {
            if let Some(bell) = bells.get(account) {
                bell.send_replace(());
                if bell.is_closed() {
                    bells.remove(account);
                }
            }
        }
    }

    pub(super) fn subscribe(&self, account: AccountId) -> watch::Receiver<()> {
        self.lock().entry(account).or_default().subscribe()
    }

    /// How many wait for an account.
    pub fn waiting(&self, account: AccountId) -> usize {
        self.lock().get(&account).map_or(0, watch::Sender::receiver_count)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, watch::Sender<()>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
