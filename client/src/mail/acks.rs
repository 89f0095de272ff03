//! Acknowledges messages in batches, beside the fetch that keeps them: whoever hands an id in says that
//! the message is kept.

use depot_proto::mail::AckRequest;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};

/// Ids in one call; the server takes so many.
const IDS_MAX: usize = 1000;

/// Batches that wait while one is on its way.
const BATCHES_QUEUED: usize = 16;

/// What was kept, on its way to the server.
pub(crate) struct Acks {
    kept: Sender<Vec<String>>,
    done: JoinHandle<Result<()>>,
}

impl Acks {
    pub(crate) fn start(session: &Session) -> Self {
        let (kept, mut batches) = channel::<Vec<String>>(BATCHES_QUEUED);
        let session = session.clone();
        let done = tokio::spawn(async move {
            let mut ids = Vec::new();
            while let Some(batch) = batches.recv().await {
                ids.extend(batch);
                // What came meanwhile goes along.
                while let Ok(batch) = batches.try_recv() {
                    ids.extend(batch);
                }
                ack(&session, &ids, false).await?;
                ids.clear();
            }
            Ok(())
        });
        Self { kept, done }
    }

    /// These are kept. An error means that acknowledging has failed; `finish` says why.
    pub(crate) async fn kept(&self, ids: Vec<String>) -> Result<()> {
        let failed = |_| Error::io("acknowledge", &std::io::Error::other("it has failed already"));
        self.kept.send(ids).await.map_err(failed)
    }

    /// For threads: what `kept` does, waiting where no task can.
    pub(crate) fn sender(&self) -> Sender<Vec<String>> {
        self.kept.clone()
    }

    /// Returns when all that was handed in is acknowledged.
    pub(crate) async fn finish(self) -> Result<()> {
        drop(self.kept);
        crate::transfer::joined(self.done.await)
    }
}

/// Acknowledges messages; how many were unread.
pub(crate) async fn ack(session: &Session, ids: &[String], read: bool) -> Result<u32> {
    let mut acked = 0;
    for ids in ids.chunks(IDS_MAX) {
        let answer = session.call(Repeat::Always, || async {
            let request = AckRequest { ids: ids.to_vec(), token: String::new(), read };
            session.mail().ack(request).await
        });
        acked += answer.await?.acked;
    }
    Ok(acked)
}
