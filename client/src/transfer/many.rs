//! Brings small files by the hundred: one call for many, verified one by one.

use bytes::{Bytes, BytesMut};
use depot_proto::files::{ReadManyPart, ReadManyRequest};

use super::chunk::Digest;
use super::download::SMALL_BYTES;
use crate::connect::Session;
use crate::error::{Error, Result};

/// Files and bytes in one call.
const FILES_MAX: usize = 512;
const BYTES_MAX: u64 = 4 << 20;

/// A small file, by its version.
#[derive(Clone)]
pub(crate) struct Small {
    /// Of the caller's own list.
    pub(crate) place: usize,
    pub(crate) version: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// Whether a file of this size comes with others.
pub(crate) fn is_small(size: u64) -> bool {
    size <= SMALL_BYTES
}

/// Groups files so that a call has enough to do.
pub(crate) fn batches(session: &Session, files: Vec<Small>) -> Vec<Vec<Small>> {
    grouped(files, session.stride(BYTES_MAX))
}

fn grouped(files: Vec<Small>, bytes_max: u64) -> Vec<Vec<Small>> {
    let mut batches: Vec<Vec<Small>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        match batches.last_mut() {
            Some(batch) if batch.len() < FILES_MAX && bytes + file.size <= bytes_max => {
                bytes += file.size;
                batch.push(file);
            }
            _ => {
                bytes = file.size;
                batches.push(vec![file]);
            }
        }
    }
    batches
}

/// The contents of one batch, in its order, each verified.
pub(crate) async fn fetch(session: &Session, batch: &[Small]) -> Result<Vec<Bytes>> {
    let mut patience = session.patience();
    let mut got = Vec::with_capacity(batch.len());
    while got.len() < batch.len() {
        let before = got.len();
        let done = attempt(session, &batch[before..], &mut got).await;
        if got.len() > before {
            patience.progressed();
        }
        if let Err(error) = done {
            session.recover(error, &mut patience).await?;
        }
    }
    Ok(got)
}

async fn attempt(session: &Session, files: &[Small], got: &mut Vec<Bytes>) -> Result<()> {
    let versions = files.iter().map(|file| file.version.clone()).collect();
    session.paced(files.iter().map(|file| file.size).sum()).await;
    let mut answer = session.bulk().read_many(ReadManyRequest { versions }).await?.into_inner();
    let mut reading = Reading { files, next: 0, content: BytesMut::new() };
    while let Some(message) = answer.message().await? {
        for part in message.parts {
            if let Some(content) = reading.add(part)? {
                got.push(content);
            }
        }
    }
    match reading.next == files.len() {
        true => Ok(()),
        false => Err(Error::cut("the data has no end")),
    }
}

struct Reading<'a> {
    files: &'a [Small],
    next: usize,
    content: BytesMut,
}

impl Reading<'_> {
    /// The content that this part was the last one of.
    fn add(&mut self, part: ReadManyPart) -> Result<Option<Bytes>> {
        let Some(file) = self.files.get(self.next).filter(|_| part.index as usize == self.next)
        else {
            return Err(Error::bad_answer("the server sent a file that was not asked for"));
        };
        if (self.content.len() + part.data.len()) as u64 > file.size {
            return Err(Error::bad_answer("the server sent more than it was asked for"));
        }
        if !part.last {
            self.content.extend_from_slice(&part.data);
            return Ok(None);
        }
        let content = match self.content.is_empty() {
            true => part.data,
            false => {
                self.content.extend_from_slice(&part.data);
                self.content.split().freeze()
            }
        };
        if Digest::from(blake3::hash(&content)) != file.digest {
            return Err(Error::data_loss(
                "the server sent bytes that are not what their hash says",
            ));
        }
        self.next += 1;
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use depot_proto::files::ReadManyPart;

    use super::{BYTES_MAX, Digest, FILES_MAX, Reading, Small, grouped};
    use crate::error::Exit;

    fn small(place: usize, content: &[u8]) -> Small {
        let digest = Digest::from(blake3::hash(content));
        Small { place, version: place.to_string(), size: content.len() as u64, digest }
    }

    fn part(index: u32, data: &'static [u8], last: bool) -> ReadManyPart {
        ReadManyPart { index, data: Bytes::from_static(data), last }
    }

    #[test]
    fn batches_are_bounded_both_ways() {
        let many = (0..FILES_MAX + 1).map(|place| small(place, b"x")).collect();
        assert_eq!(
            grouped(many, BYTES_MAX).iter().map(Vec::len).collect::<Vec<_>>(),
            [FILES_MAX, 1]
        );
        let half = Small { size: BYTES_MAX / 2 + 1, ..small(0, b"") };
        assert_eq!(grouped(vec![half.clone(), half], BYTES_MAX).len(), 2);
    }

    #[test]
    fn contents_are_put_together_from_their_pieces() {
        let files = [small(0, b"hello"), small(1, b""), small(2, b"x")];
        let mut reading = Reading { files: &files, next: 0, content: BytesMut::new() };
        assert!(reading.add(part(0, b"he", false)).unwrap().is_none());
        assert_eq!(reading.add(part(0, b"llo", true)).unwrap().unwrap(), "hello");
        assert_eq!(reading.add(part(1, b"", true)).unwrap().unwrap(), "");
        assert_eq!(reading.add(part(2, b"x", true)).unwrap().unwrap(), "x");
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let files = [small(0, b"hello"), small(1, b"x")];
        let refused = |part| {
            let mut reading = Reading { files: &files, next: 0, content: BytesMut::new() };
            reading.add(part).unwrap_err().exit()
        };
        assert_eq!(refused(part(1, b"x", true)), Exit::Other);
        assert_eq!(refused(part(7, b"x", true)), Exit::Other);
        assert_eq!(refused(part(0, b"hello!", false)), Exit::Other);
        assert_eq!(refused(part(0, b"hullo", true)), Exit::DataLoss);
    }
}
