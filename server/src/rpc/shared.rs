//! Answers that read what somebody else has shared: they end soon after that is no longer so, and what goes
//! through a link is counted.

use std::pin::Pin;
use std::time::{Duration, Instant};

use depot_proto::files::read_response::Part;
use depot_proto::files::{ReadChunksResponse, ReadManyResponse, ReadResponse};
use futures_util::stream::{self, Stream, TryStreamExt};
use tonic::Status;

use crate::error::Result;
use crate::files::{Files, Readable};
use crate::model::{Reader, VersionId, Visitor};
use crate::rpc::files::Answers;
use crate::rpc::status::status;

/// How often it is looked up whether what is being read is still shared.
const CHECKED: Duration = Duration::from_secs(1);
/// How often it is noted how much of a download has gone.
const NOTED: Duration = Duration::from_secs(10);

/// An answer with file data in it.
pub(super) trait Payload {
    /// Bytes of file data.
    fn bytes(&self) -> u64;
}

impl Payload for ReadResponse {
    fn bytes(&self) -> u64 {
        match &self.part {
            Some(Part::Data(data)) => data.len() as u64,
            _ => 0,
        }
    }
}

impl Payload for ReadChunksResponse {
    fn bytes(&self) -> u64 {
        self.data.len() as u64
    }
}

impl Payload for ReadManyResponse {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.data.len() as u64).sum()
    }
}

/// The answers, for as long as what they read may be read.
pub(super) fn answered<T: Payload + Send + 'static>(
    files: &Files,
    reader: &Reader,
    readable: &[Readable],
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Answers<T> {
    let shared = readable.iter().filter(|readable| readable.shared);
    let versions: Vec<VersionId> = shared.filter_map(|readable| readable.version).collect();
    if versions.is_empty() {
        return Box::pin(answers);
    }
    let shared = Shared {
        answers: Box::pin(answers),
        files: files.clone(),
        reader: reader.clone(),
        versions,
        checked: Instant::now(),
        served: Served::new(files, reader),
    };
    Box::pin(stream::try_unfold(shared, |mut shared| async move {
        Ok(shared.next().await?.map(|answer| (answer, shared)))
    }))
}

struct Shared<T> {
    answers: Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>,
    files: Files,
    reader: Reader,
    versions: Vec<VersionId>,
    checked: Instant,
    served: Option<Served>,
}

impl<T: Payload> Shared<T> {
    async fn next(&mut self) -> Result<Option<T>, Status> {
        let next = self.answers.try_next().await?;
        if self.checked.elapsed() >= CHECKED {
            self.check().await.map_err(status)?;
            self.checked = Instant::now();
        }
        if let (Some(served), Some(answer)) = (&mut self.served, &next) {
            served.add(answer.bytes()).await.map_err(status)?;
        }
        Ok(next)
    }

    async fn check(&mut self) -> Result<()> {
        if let Reader::Visitor(visitor) = &self.reader {
            self.files.still_open(visitor).await?;
        }
        self.files.versions(&self.reader, self.versions.clone()).await.map(drop)
    }
}

/// What goes through a link in one call; the rest of it is noted when the call ends, however it does.
struct Served {
    files: Files,
    visitor: Visitor,
    begun: bool,
    bytes: u64,
    noted: Instant,
}

impl Served {
    fn new(files: &Files, reader: &Reader) -> Option<Self> {
        match reader {
            Reader::Account(_) => None,
            Reader::Visitor(visitor) => Some(Self {
                files: files.clone(),
                visitor: *visitor,
                begun: false,
                bytes: 0,
                noted: Instant::now(),
            }),
        }
    }

    /// Before these bytes leave.
    async fn add(&mut self, bytes: u64) -> Result<()> {
        if bytes > 0 && !self.begun {
            self.files.begin_download(&self.visitor).await?;
            self.begun = true;
        }
        self.bytes += bytes;
        if self.noted.elapsed() >= NOTED {
            self.noted = Instant::now();
            let bytes = std::mem::take(&mut self.bytes);
            self.files.note_served(&self.visitor, bytes).await?;
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (true, Ok(runtime)) = (self.bytes > 0, runtime) {
            let (files, visitor, bytes) = (self.files.clone(), self.visitor, self.bytes);
            runtime.spawn(async move {
                if let Err(error) = files.note_served(&visitor, bytes).await {
                    tracing::debug!(%error, "the end of a download was not noted");
                }
            });
        }
    }
}
