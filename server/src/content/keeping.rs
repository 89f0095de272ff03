//! The Fill calls that are open, and the chunks that each has announced. A client whose line broke comes
//! back at once and asks what is missing while its old calls are still being read, or their chunks are on
//! their way to the disk, or the break has not been noticed here; it is answered when the calls that
//! announced what it asks about have ended, so that it does not send it again.
//!
//! A client whose line holds asks about a chunk before it announces it, and not again: it waits for nobody.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::{AccountId, ChunkHash, UploadId};

/// A disk that takes longer is not waited for, nor is a line whose end nobody has told: sending again is
/// right then, too.
const WAITED: Duration = Duration::from_secs(5);

type Key = (AccountId, UploadId);

/// All that are open.
#[derive(Clone)]
pub(super) struct Keeping(Arc<watch::Sender<Calls>>);

#[derive(Default)]
struct Calls {
    begun: u64,
    open: Vec<Call>,
}

struct Call {
    number: u64,
    key: Key,
    chunks: HashSet<ChunkHash>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Calls::default())))
    }
}

/// One call, until this is dropped.
pub(super) struct Open {
    keeping: Keeping,
    number: u64,
}

impl Keeping {
    /// A call of this upload begins.
    pub(super) fn begin(&self, account: AccountId, upload: UploadId) -> Open {
        let mut number = 0;
        self.0.send_if_modified(|calls| {
            calls.begun += 1;
            number = calls.begun;
            calls.open.push(Call { number, key: (account, upload), chunks: HashSet::new() });
            false
        });
        Open { keeping: self.clone(), number }
    }

    /// Waits until no call of this upload is open that has announced one of these chunks.
    pub(super) async fn ended(&self, account: AccountId, upload: UploadId, hashes: &[ChunkHash]) {
        let key = (account, upload);
        let announced =
            |call: &Call| call.key == key && hashes.iter().any(|hash| call.chunks.contains(hash));
        let mut calls = self.0.subscribe();
        let ended = calls.wait_for(|calls| !calls.open.iter().any(announced));
        // Late or not, what is missing is looked up next.
        let _ = tokio::time::timeout(WAITED, ended).await;
    }
}

impl Open {
    /// The call announces chunks; nobody who waits for it need know.
    pub(super) fn announce(&self, chunks: impl Iterator<Item = ChunkHash>) {
        self.keeping.0.send_if_modified(|calls| {
            if let Some(call) = calls.open.iter_mut().find(|call| call.number == self.number) {
                call.chunks.extend(chunks);
            }
            false
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.keeping.0.send_modify(|calls| calls.open.retain(|call| call.number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Keeping;
    use crate::model::{AccountId, ChunkHash, UploadId};

    const ANN: AccountId = AccountId(1);
    const BOB: AccountId = AccountId(2);
    const ONE: ChunkHash = ChunkHash([1; 32]);
    const TWO: ChunkHash = ChunkHash([2; 32]);
    const NEW: ChunkHash = ChunkHash([3; 32]);

    #[tokio::test]
    async fn who_asks_waits_for_all_open_calls_that_announced_the_same_chunks() {
        let (keeping, upload) = (Keeping::default(), UploadId::new());
        let open = [(); 2].map(|()| keeping.begin(ANN, upload));
        open[0].announce([ONE].into_iter());
        open[1].announce([TWO].into_iter());
        let asked = tokio::spawn({
            let keeping = keeping.clone();
            async move { keeping.ended(ANN, upload, &[NEW, ONE, TWO]).await }
        });
        let [first, second] = open;
        drop(first);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!asked.is_finished());
        drop(second);
        asked.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_waits_for_other_chunks_uploads_or_accounts() {
        let (keeping, upload) = (Keeping::default(), UploadId::new());
        let open = keeping.begin(ANN, upload);
        open.announce([ONE].into_iter());
        let asked = async {
            keeping.ended(ANN, upload, &[NEW, TWO]).await;
            keeping.ended(ANN, UploadId::new(), &[ONE]).await;
            keeping.ended(BOB, upload, &[ONE]).await;
        };
        tokio::time::timeout(Duration::from_secs(1), asked).await.expect("it does not wait");
    }
}
