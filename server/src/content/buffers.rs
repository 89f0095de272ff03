//! The allowance of memory for file data. Whoever wants to hold bytes takes from it first and gives back
//! when the bytes have left; nobody waits for more while holding what others wait for. An account has at
//! most a share of it: its slow lines keep its own bytes waiting, not everybody's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::model::AccountId;

/// What one permit stands for.
const UNIT_BYTES: usize = 1024;
/// One account has at most this part of it.
const SHARES: usize = 3;

/// The allowance.
#[derive(Clone)]
pub(super) struct Buffers {
    all: Arc<Semaphore>,
    units: usize,
    shares: Arc<Mutex<HashMap<AccountId, Weak<Semaphore>>>>,
}

/// A part of the allowance, given back when dropped.
pub(super) struct Held {
    #[expect(dead_code, reason = "held for its drop")]
    permits: [OwnedSemaphorePermit; 2],
}

impl Buffers {
    pub(super) fn new(bytes_max: usize) -> Self {
        let units = bytes_max / UNIT_BYTES;
        Self { all: Arc::new(Semaphore::new(units)), units, shares: Arc::default() }
    }

    /// Waits for room for so many bytes. The caller must hold none meanwhile that an earlier call of
    /// the same account does not let go by itself.
    pub(super) async fn take(&self, account: AccountId, bytes: usize) -> Result<Held> {
        let failed = |error| Error::internal("buffers", error);
        let share = self.share(account).acquire_many_owned(units(bytes)).await.map_err(failed)?;
        let all = Arc::clone(&self.all).acquire_many_owned(units(bytes)).await.map_err(failed)?;
        Ok(Held { permits: [share, all] })
    }

    /// Room for so many bytes, if there is some now.
    pub(super) fn try_take(&self, account: AccountId, bytes: usize) -> Option<Held> {
        let share = self.share(account).try_acquire_many_owned(units(bytes)).ok()?;
        let all = Arc::clone(&self.all).try_acquire_many_owned(units(bytes)).ok()?;
        Some(Held { permits: [share, all] })
    }

    fn share(&self, account: AccountId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&account).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.units / SHARES));
        shares.insert(account, Arc::downgrade(&share));
        share
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// Bytes that give back their part of the allowance when the last slice of them is gone.
pub(super) fn holding(bytes: Bytes, held: Held) -> Bytes {
    struct Owner {
        bytes: Bytes,
        _held: Held,
    }

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    Bytes::from_owner(Owner { bytes, _held: held })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Buffers, SHARES, holding};
    use crate::model::AccountId;

    const ANN: AccountId = AccountId(1);
    const BOB: AccountId = AccountId(2);
    const SHARE: usize = 4096;

    #[tokio::test]
    async fn the_allowance_comes_back_with_the_last_slice() {
        let buffers = Buffers::new(SHARES * SHARE);
        let held = buffers.take(ANN, SHARE).await.unwrap();
        let bytes = holding(Bytes::from(vec![7; SHARE]), held);
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert!(buffers.try_take(ANN, 1).is_none());
        drop(slice);
        assert!(buffers.try_take(ANN, SHARE).is_some());
    }

    #[tokio::test]
    async fn nobody_takes_what_others_need() {
        let buffers = Buffers::new(SHARES * SHARE);
        let of_ann = buffers.take(ANN, SHARE).await.unwrap();
        assert!(buffers.try_take(ANN, 1).is_none());
        let of_bob = buffers.try_take(BOB, SHARE);
        assert!(of_bob.is_some());
        assert!(buffers.shares.lock().unwrap().len() == 2);
        drop((of_ann, of_bob));
        drop(buffers.share(AccountId(3)));
        drop(buffers.share(AccountId(4)));
        assert_eq!(buffers.shares.lock().unwrap().len(), 1, "who holds nothing is forgotten");
    }
}
