//! Uploads of which a call broke and is being kept. A client that comes back at once asks what is missing
//! while the chunks of the broken call are still on their way to the disk; it is answered when they are
//! there, so that it does not send them again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::{AccountId, UploadId};

/// A disk that takes longer is not waited for: sending again is right then, too.
const WAITED: Duration = Duration::from_secs(5);

type Key = (AccountId, UploadId);

/// The uploads.
#[derive(Clone)]
pub(super) struct Keeping(Arc<watch::Sender<Vec<Key>>>);

impl Default for Keeping {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

/// One call being kept, until this is dropped.
pub(super) struct Kept {
    keeping: Keeping,
    key: Key,
}

impl Keeping {
    /// A call of this upload broke.
    pub(super) fn begin(&self, account: AccountId, upload: UploadId) -> Kept {
        let key = (account, upload);
        self.0.send_modify(|keys| keys.push(key));
        Kept { keeping: self.clone(), key }
    }

    /// Waits until no call of this upload is being kept.
    pub(super) async fn ended(&self, account: AccountId, upload: UploadId) {
        let mut keys = self.0.subscribe();
        let ended = keys.wait_for(|keys| !keys.contains(&(account, upload)));
        // Late or not, what is missing is looked up next.
        let _ = tokio::time::timeout(WAITED, ended).await;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeping.0.send_modify(|keys| {
            if let Some(place) = keys.iter().position(|key| *key == self.key) {
                keys.swap_remove(place);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Keeping;
    use crate::model::{AccountId, UploadId};

    #[tokio::test]
    async fn who_asks_waits_for_all_broken_calls_of_the_same_upload() {
        let (keeping, upload) = (Keeping::default(), UploadId::new());
        let kept = [(); 2].map(|()| keeping.begin(AccountId(1), upload));
        keeping.ended(AccountId(2), upload).await;
        keeping.ended(AccountId(1), UploadId::new()).await;
        let asked = tokio::spawn({
            let keeping = keeping.clone();
            async move { keeping.ended(AccountId(1), upload).await }
        });
        let [first, second] = kept;
        drop(first);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!asked.is_finished());
        drop(second);
        asked.await.unwrap();
    }
}
