//! What somebody asks a server to change, what that makes of their folder, and the calls that it takes.
//! A deed that is done again under its number is one deed.

use std::collections::BTreeMap;

use bytes::Bytes;
use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    ChunkHead, CommitBegin, CommitEnd, CommitRequest, ContentPart, EntriesPart, FillRequest, Kind,
    MissingRequest, MoveRequest, NewEntry, RemoveRequest, WriteHeader,
};
use depot_proto::mail::new_attachment::Source;
use depot_proto::mail::{AckRequest, NewAttachment, SendRequest};
use depot_tests::caller::Caller;
use tonic::Status;
use uuid::Uuid;

use super::content::{Content, PIECE_BYTES, text};

/// What stands in a folder, by its path below it.
pub(crate) type Tree = BTreeMap<String, Node>;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    File(Content),
}

/// A change.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Put { path: String, content: Content },
    Commit { base: String, files: Vec<(String, Content)> },
    Remove { path: String },
    Move { from: String, to: String },
    Send(Letter),
    Ack { ids: Vec<String> },
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) tag: String,
    /// Names of accounts.
    pub(crate) to: Vec<&'static str>,
    /// Bytes of text after the tag.
    pub(crate) filling: usize,
    /// A file of the sender's, and what is in it.
    pub(crate) attached: Option<(String, Content)>,
}

/// A deed under a number of its own.
#[derive(Clone, Debug)]
pub(crate) struct Doing {
    pub(crate) request: Uuid,
    pub(crate) deed: Deed,
}

impl Deed {
    /// The folder afterwards.
    pub(crate) fn after(&self, tree: &Tree) -> Tree {
        let mut after = tree.clone();
        match self {
            Self::Put { path, content } => {
                after.insert(path.clone(), Node::File(*content));
            }
            Self::Commit { base, files } => {
                after.insert(base.clone(), Node::Folder);
                for (path, content) in files {
                    if let Some((folder, _)) = path.rsplit_once('/') {
                        after.insert(format!("{base}/{folder}"), Node::Folder);
                    }
                    after.insert(format!("{base}/{path}"), Node::File(*content));
                }
            }
            Self::Remove { path } => after.retain(|name, _| !is_at(name, path)),
            Self::Move { from, to } => {
                after.retain(|name, _| !is_at(name, from));
                for (name, node) in tree.iter().filter(|(name, _)| is_at(name, from)) {
                    after.insert(format!("{to}{}", &name[from.len()..]), *node);
                }
            }
            Self::Send(_) | Self::Ack { .. } => {}
        }
        after
    }
}

/// Whether a path is this one or below it.
fn is_at(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Doing {
    /// Something that was not done before.
    pub(crate) fn new(deed: Deed) -> Self {
        Self { request: Uuid::new_v4(), deed }
    }

    /// Asks for it in the folder `home`; a message's id, where it is one.
    pub(crate) async fn perform(
        &self,
        calls: &Caller,
        home: &str,
    ) -> Result<Option<String>, Status> {
        let request_id = self.request.to_string();
        let at = |path: &str| format!("{home}/{path}");
        match &self.deed {
            Deed::Put { path, content } => {
                let header = WriteHeader { path: at(path), request_id, ..WriteHeader::default() };
                calls.write(header, &content.bytes()).await?;
            }
            Deed::Commit { base, files } => self.commit(calls, &at(base), files).await?,
            Deed::Remove { path } => {
                let request = RemoveRequest {
                    path: at(path),
                    recursive: true,
                    request_id,
                    ..RemoveRequest::default()
                };
                calls.files().remove(request).await?;
            }
            Deed::Move { from, to } => {
                let request = MoveRequest {
                    source: at(from),
                    target: at(to),
                    request_id,
                    ..MoveRequest::default()
                };
                calls.files().r#move(request).await?;
            }
            Deed::Send(letter) => {
                let request = letter.request(home, request_id);
                return Ok(Some(calls.mail().send(request).await?.into_inner().id));
            }
            Deed::Ack { ids } => {
                let request = AckRequest { ids: ids.clone(), ..AckRequest::default() };
                calls.mail().ack(request).await?;
            }
        }
        Ok(None)
    }

    /// Negotiate, fill, commit.
    async fn commit(
        &self,
        calls: &Caller,
        base: &str,
        files: &[(String, Content)],
    ) -> Result<(), Status> {
        let upload_id = self.request.to_string();
        let tree = base.split_once(':').map(|(owner, _)| owner).unwrap_or_default();
        let bytes: Vec<Vec<u8>> = files.iter().map(|(_, content)| content.bytes()).collect();
        let pieces: Vec<&[u8]> = bytes.iter().flat_map(|bytes| bytes.chunks(PIECE_BYTES)).collect();
        let hashes: Vec<Bytes> = pieces.iter().map(|piece| hash(piece)).collect();
        let request = MissingRequest {
            upload_id: upload_id.clone(),
            hashes: hashes.concat().into(),
            tree: tree.to_owned(),
        };
        let bitmap = calls.files().missing(request).await?.into_inner().bitmap;
        let missing = |place: &usize| bitmap[place / 8] >> (place % 8) & 1 == 1;
        let wanted: Vec<usize> = (0..pieces.len()).filter(missing).collect();
        if !wanted.is_empty() {
            let head = |&place: &usize| ChunkHead {
                hash: hashes[place].clone(),
                length: pieces[place].len() as u32,
            };
            let heads = wanted.iter().map(head).collect();
            let first = FillRequest {
                upload_id: upload_id.clone(),
                tree: tree.to_owned(),
                heads,
                ..FillRequest::default()
            };
            let data = wanted.iter().map(|&place| FillRequest {
                data: Bytes::copy_from_slice(pieces[place]),
                ..FillRequest::default()
            });
            let messages: Vec<FillRequest> = [first].into_iter().chain(data).collect();
            calls.files().fill(tokio_stream::iter(messages)).await?;
        }
        let parts = commit_parts(base, &upload_id, files, &bytes);
        calls.files().commit(tokio_stream::iter(parts)).await?;
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(blake3::hash(bytes).as_bytes())
}

fn commit_parts(
    base: &str,
    upload_id: &str,
    files: &[(String, Content)],
    bytes: &[Vec<u8>],
) -> Vec<CommitRequest> {
    let begin = CommitBegin {
        request_id: upload_id.to_owned(),
        upload_id: upload_id.to_owned(),
        base: base.to_owned(),
        ..CommitBegin::default()
    };
    let mut parts = vec![Part::Begin(begin)];
    let mut entries = Vec::new();
    let mut contents = 0;
    for ((path, _), bytes) in files.iter().zip(bytes) {
        let mut entry = NewEntry { mode: 0o644, ..NewEntry::default() };
        if bytes.len() > PIECE_BYTES {
            contents += 1;
            parts.push(Part::Content(content_part(contents, bytes)));
            entry.content = contents;
        } else {
            (entry.size, entry.blake3) = (bytes.len() as u64, hash(bytes));
        }
        if let Some((folder, _)) = path.rsplit_once('/') {
            let mut folder = NewEntry { path: folder.to_owned(), mode: 0o755, ..entry.clone() };
            (folder.content, folder.size, folder.blake3) = (0, 0, Bytes::new());
            folder.set_kind(Kind::Folder);
            entries.push(folder);
        }
        entry.path.clone_from(path);
        entry.set_kind(Kind::File);
        entries.push(entry);
    }
    let end = CommitEnd { entries: entries.len() as u64 };
    parts.extend([Part::Entries(EntriesPart { entries }), Part::End(end)]);
    parts.into_iter().map(|part| CommitRequest { part: Some(part) }).collect()
}

fn content_part(number: u32, bytes: &[u8]) -> ContentPart {
    let place = |piece: &[u8]| [&(piece.len() as u32).to_le_bytes()[..], &hash(piece)].concat();
    let chunks: Vec<u8> = bytes.chunks(PIECE_BYTES).flat_map(place).collect();
    let size = bytes.len() as u64;
    ContentPart { number, size, blake3: hash(bytes), chunks: chunks.into(), last: true }
}

impl Letter {
    fn request(&self, home: &str, request_id: String) -> SendRequest {
        let attach = |(path, _): &(String, Content)| NewAttachment {
            name: "attached".to_owned(),
            source: Some(Source::Path(format!("{home}/{path}"))),
        };
        SendRequest {
            request_id,
            to: self.to.iter().map(|&name| name.to_owned()).collect(),
            subject: "a fault test".to_owned(),
            body: text(&self.tag, self.filling),
            attachments: self.attached.iter().map(attach).collect(),
            ..SendRequest::default()
        }
    }
}
