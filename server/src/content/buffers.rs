//! The allowance of memory for file data. Whoever wants to hold bytes takes from it first and gives back
//! when the bytes have left; nobody waits for more while holding what others wait for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// What one permit stands for.
const UNIT_BYTES: usize = 1024;

/// The allowance.
#[derive(Clone)]
pub(super) struct Buffers(Arc<Semaphore>);

/// A part of the allowance, given back when dropped.
pub(super) struct Held(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Buffers {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max / UNIT_BYTES)))
    }

    /// Waits for room for so many bytes. The caller must hold none meanwhile.
    pub(super) async fn take(&self, bytes: usize) -> Result<Held> {
        let permit = Arc::clone(&self.0).acquire_many_owned(units(bytes)).await;
        permit.map(Held).map_err(|error| Error::internal("buffers", error))
    }

    /// Room for so many bytes, if there is some now.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Held> {
        Arc::clone(&self.0).try_acquire_many_owned(units(bytes)).ok().map(Held)
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

    use super::{Buffers, holding};

    #[tokio::test]
    async fn the_allowance_comes_back_with_the_last_slice() {
        let buffers = Buffers::new(4096);
        let bytes = holding(Bytes::from(vec![7; 4096]), buffers.take(4096).await.unwrap());
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert!(buffers.try_take(1).is_none());
        drop(slice);
        assert!(buffers.try_take(4096).is_some());
    }
}
