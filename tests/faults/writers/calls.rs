//! The calls that steps take: which call does what these steps are, under which number, and what its
//! answer says.

use bytes::Bytes;
use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    ChunkHead, CommitBegin, CommitEnd, CommitRequest, EntriesPart, Entry, FillRequest, Kind,
    ListRequest, MoveRequest, NewEntry, RemoveRequest, StatRequest, WriteHeader,
};
use depot_tests::caller::Caller;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::history::{Answer, Content, Key, Log, Make, Seen, Step, Want, bytes};

/// Something that may be asked again under its number.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) request: Uuid,
    pub(super) steps: Vec<Step>,
}

/// The folder as one of the accounts names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder {
    pub(super) path: &'static str,
    /// In whose tree it is, where that is not the caller's.
    pub(super) tree: &'static str,
}

impl Folder {
    fn at(self, key: Key) -> String {
        format!("{}/k{key}", self.path)
    }

    /// What stands at one place.
    pub(super) async fn look(
        self,
        calls: &Caller,
        log: &Log,
        key: Key,
    ) -> Result<Option<Seen>, Status> {
        match calls.files().stat(StatRequest { path: self.at(key) }).await {
            Ok(answer) => Ok(Some(seen(log, &answer.into_inner().entry.unwrap_or_default()))),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// What stands at all places.
    pub(super) async fn look_at_all(
        self,
        calls: &Caller,
        log: &Log,
        places: usize,
    ) -> Result<Vec<(Key, Option<Seen>)>, Status> {
        let request = ListRequest { path: self.path.to_owned(), ..ListRequest::default() };
        let entries = calls.files().list(request).await?.into_inner().entries;
        let at = |key| entries.iter().find(|entry| entry.path == self.at(key));
        Ok((0..places).map(|key| (key, at(key).map(|entry| seen(log, entry)))).collect())
    }

    /// Asks for a change: how it was answered, or why nobody knows.
    pub(super) async fn ask(
        self,
        calls: &Caller,
        log: &Log,
        asked: &Asked,
    ) -> Result<Answer, Status> {
        let request_id = asked.request.to_string();
        let done = match &asked.steps[..] {
            [Step { key, want, make: Make::Content(content) }] => {
                self.write(calls, request_id, (*key, want, *content)).await.map(|entry| vec![entry])
            }
            [Step { key, want, make: Make::Nothing }] => {
                let request = RemoveRequest {
                    path: self.at(*key),
                    request_id,
                    if_generation: generation(want),
                    if_etag: etag(want),
                    ..RemoveRequest::default()
                };
                calls.files().remove(request).await.map(|_| Vec::new())
            }
            [from, Step { key, want, make: Make::From(_) }] => {
                let request = MoveRequest {
                    source: self.at(from.key),
                    target: self.at(*key),
                    request_id,
                    if_generation: generation(&from.want),
                    if_etag: etag(&from.want),
                    if_absent: *want == Want::Generation(0),
                };
                let moved = calls.files().r#move(request).await;
                moved.map(|answer| answer.into_inner().entry.into_iter().collect())
            }
            steps => self.commit(calls, request_id, steps).await,
        };
        match done {
            Ok(entries) => {
                Ok(Answer::Done(entries.iter().map(|entry| self.made(log, entry)).collect()))
            }
            Err(status) if is_refused(&status) => Ok(Answer::Refused),
            Err(status) => Err(status),
        }
    }

    async fn write(
        self,
        calls: &Caller,
        request_id: String,
        (key, want, content): (Key, &Want, Content),
    ) -> Result<Entry, Status> {
        let header = WriteHeader {
            path: self.at(key),
            request_id,
            if_generation: generation(want),
            if_etag: etag(want),
            ..WriteHeader::default()
        };
        calls.write(header, &bytes(content)).await
    }

    async fn commit(
        self,
        calls: &Caller,
        request_id: String,
        steps: &[Step],
    ) -> Result<Vec<Entry>, Status> {
        let contents: Vec<Bytes> =
            steps.iter().filter_map(put).map(bytes).map(Bytes::from).collect();
        if !contents.is_empty() {
            let head = |bytes: &Bytes| ChunkHead { hash: hash(bytes), length: bytes.len() as u32 };
            let first = FillRequest {
                upload_id: request_id.clone(),
                tree: self.tree.to_owned(),
                heads: contents.iter().map(head).collect(),
                data: contents.concat().into(),
            };
            calls.files().fill(tokio_stream::iter([first])).await?;
        }
        let begin = CommitBegin {
            upload_id: request_id.clone(),
            request_id,
            base: self.path.to_owned(),
            ..CommitBegin::default()
        };
        let entries: Vec<NewEntry> = steps.iter().map(new_entry).collect();
        let end = CommitEnd { entries: entries.len() as u64 };
        let parts = [Part::Begin(begin), Part::Entries(EntriesPart { entries }), Part::End(end)];
        let parts = parts.map(|part| CommitRequest { part: Some(part) });
        Ok(calls.files().commit(tokio_stream::iter(parts)).await?.into_inner().entries)
    }

    fn made(self, log: &Log, entry: &Entry) -> (Key, Seen) {
        // A commit's answer may name its entries from its base on.
        let key = entry.path.rsplit_once('k').and_then(|(_, key)| key.parse().ok());
        (key.expect("one of our places"), seen(log, entry))
    }
}

fn new_entry(step: &Step) -> NewEntry {
    let bytes = put(step).map(bytes).unwrap_or_default();
    let mut entry = NewEntry {
        path: format!("k{}", step.key),
        mode: 0o644,
        size: bytes.len() as u64,
        blake3: hash(&bytes),
        if_generation: generation(&step.want),
        if_etag: etag(&step.want),
        remove: step.make == Make::Nothing,
        ..NewEntry::default()
    };
    entry.set_kind(Kind::File);
    entry
}

fn put(step: &Step) -> Option<Content> {
    if let Make::Content(content) = step.make { Some(content) } else { None }
}

fn hash(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(blake3::hash(bytes).as_bytes())
}

fn generation(want: &Want) -> Option<u64> {
    if let Want::Generation(generation) = want { Some(*generation) } else { None }
}

fn etag(want: &Want) -> String {
    if let Want::Etag(etag) = want { etag.clone() } else { String::new() }
}

fn seen(log: &Log, entry: &Entry) -> Seen {
    let content = log.content_of(&entry.blake3);
    let content = content.unwrap_or_else(|| panic!("{entry:?} holds what nobody put"));
    Seen { content, generation: entry.generation, etag: entry.etag.clone() }
}

/// Whether the server says that something was not as it was wanted.
fn is_refused(status: &Status) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason);
    match status.code() {
        Code::Aborted => reason.as_deref() == Some("GENERATION_MISMATCH"),
        code => code == Code::NotFound,
    }
}
