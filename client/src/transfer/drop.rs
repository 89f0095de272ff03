//! Puts one file through a link, as plain bytes: whoever holds a link has no account that could be asked which
//! chunks it has sent.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use depot_proto::files::write_request::Part;
use depot_proto::files::{Entry, WriteEnd, WriteHeader, WriteRequest};
use prost_types::Timestamp;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;

use super::seen::Seen;
use crate::connect::Session;
use crate::error::{Error, Result};

/// File bytes in one message.
const DATA_BYTES: usize = 508 * 1024;

/// Sends a file under a name; the entry that it became.
pub(crate) async fn send(session: &Session, local: &Path, name: &str) -> Result<Entry> {
    let failed = |error: io::Error| Error::file("read", local, &error);
    let file = File::open(local).map_err(failed)?;
    let before = Seen::of(&file.metadata().map_err(failed)?);
    let header = WriteHeader {
        path: format!("/{name}"),
        mode: Some(before.mode),
        modified_at: Some(Timestamp {
            seconds: before.modified.0,
            nanos: i32::try_from(before.modified.1).unwrap_or(0),
        }),
        ..WriteHeader::default()
    };
    let (parts, stream) = channel(4);
    let reading = spawn_blocking(move || read(file, before, header, &parts));
    // Not asked again: a file that was put before would be there twice.
    let answer = session.bulk().write(ReceiverStream::new(stream)).await;
    let read = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    match (answer, read) {
        (_, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
        (Ok(answer), _) => {
            let entry = answer.into_inner().entry;
            entry.ok_or_else(|| Error::bad_answer("the server sent no entry"))
        }
        (Err(status), _) => Err(Error::from(status)),
    }
}

/// All parts of a file that is the same at its end as it was at its beginning; else no end, and nothing is
/// there.
fn read(
    mut file: File,
    before: Seen,
    header: WriteHeader,
    parts: &Sender<WriteRequest>,
) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    let send = |part| parts.blocking_send(WriteRequest { part: Some(part) }).map_err(gone);
    send(Part::Header(header))?;
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    loop {
        let mut data = Vec::with_capacity(DATA_BYTES);
        (&mut file).take(DATA_BYTES as u64).read_to_end(&mut data)?;
        if data.is_empty() {
            break;
        }
        hasher.update(&data);
        size += data.len() as u64;
        send(Part::Data(data.into()))?;
    }
    if size != before.size || Seen::of(&file.metadata()?) != before {
        return Err(io::Error::other("it changed while it was read; put it again"));
    }
    let blake3 = Some(Bytes::copy_from_slice(hasher.finalize().as_bytes()));
    send(Part::End(WriteEnd { size, blake3 }))
}
