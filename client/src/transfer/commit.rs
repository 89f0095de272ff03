//! Makes entries of contents whose chunks are at the server, all at once: the messages of a Commit, made
//! as they are sent, so that it can be asked again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    CommitBegin, CommitEnd, CommitRequest, CommitResponse, ContentPart, EntriesPart, NewEntry,
};

use uuid::Uuid;

use super::chunk::PLACE_BYTES;
use crate::connect::{Repeat, Session};
use crate::error::Result;

/// Entries and bytes of them in one message.
const ENTRIES_MAX: usize = 500;
const ENTRIES_BYTES_MAX: usize = 512 * 1024;

/// An entry on the wire without its texts, rounded up.
const ENTRY_BYTES: usize = 80;

/// Chunks in one part of a content.
const PART_CHUNKS: usize = 8192;

/// All of a commit.
pub(crate) struct Tree {
    pub(crate) begin: CommitBegin,
    pub(crate) entries: Vec<Planned>,
}

/// An entry, and the manifest of its content where that has more than one chunk.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) entry: NewEntry,
    pub(crate) manifest: Option<Manifest>,
}

/// The chunks of a content.
#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) size: u64,
    pub(crate) digest: Bytes,
    /// 36 bytes each.
    pub(crate) chunks: Bytes,
}

/// Asks until it is settled: the same request id is one commit.
pub(crate) async fn commit(session: &Session, tree: Arc<Tree>) -> Result<CommitResponse> {
    session
        .call(Repeat::Always, || async {
            session.bulk().commit(tokio_stream::iter(Parts::new(tree.clone()))).await
        })
        .await
}

/// The same in several commits of at most so many entries: where one of them is refused, those before it
/// stand. The answer is what all of them changed.
pub(crate) async fn commit_in_parts(
    session: &Session,
    tree: &Tree,
    entries_max: usize,
) -> Result<CommitResponse> {
    let mut all = CommitResponse::default();
    for part in tree.parts(entries_max) {
        let done = commit(session, Arc::new(part)).await?;
        all.changed += done.changed;
        all.unchanged += done.unchanged;
        all.modseq = done.modseq;
        (all.used_bytes, all.quota_bytes) = (done.used_bytes, done.quota_bytes);
    }
    Ok(all)
}

impl Tree {
    /// The first ends the upload, so that its bytes do not count twice, and is the one that asks for the base
    /// as it was.
    fn parts(&self, entries_max: usize) -> impl Iterator<Item = Self> {
        self.entries.chunks(entries_max.max(1)).enumerate().map(|(turn, entries)| {
            let mut begin = self.begin.clone();
            begin.request_id = Uuid::new_v4().to_string();
            begin.size = None;
            if turn > 0 {
                begin.upload_id.clear();
                begin.if_etag.clear();
            }
            Self { begin, entries: entries.to_vec() }
        })
    }
}

/// The messages of a commit, in order.
struct Parts {
    tree: Arc<Tree>,
    ready: VecDeque<Part>,
    next: usize,
    contents: u32,
    has_ended: bool,
}

impl Parts {
    fn new(tree: Arc<Tree>) -> Self {
        let ready = VecDeque::from([Part::Begin(tree.begin.clone())]);
        Self { tree, ready, next: 0, contents: 0, has_ended: false }
    }

    /// The contents of the next entries, then those entries.
    fn prepare(&mut self) {
        let tree = self.tree.clone();
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(planned) = tree.entries.get(self.next) {
            if entries.len() == ENTRIES_MAX || bytes >= ENTRIES_BYTES_MAX {
                break;
            }
            let mut entry = planned.entry.clone();
            if let Some(manifest) = &planned.manifest {
                self.contents += 1;
                entry.content = self.contents;
                self.ready.extend(content_parts(self.contents, manifest).map(Part::Content));
            }
            bytes += entry.path.len() + entry.symlink_target.len() + ENTRY_BYTES;
            entries.push(entry);
            self.next += 1;
        }
        if !entries.is_empty() {
            self.ready.push_back(Part::Entries(EntriesPart { entries }));
        } else if !self.has_ended {
            self.has_ended = true;
            self.ready.push_back(Part::End(CommitEnd { entries: tree.entries.len() as u64 }));
        }
    }
}

fn content_parts(number: u32, manifest: &Manifest) -> impl Iterator<Item = ContentPart> {
    let step = PART_CHUNKS * PLACE_BYTES;
    let starts = (0..manifest.chunks.len()).step_by(step);
    starts.map(move |start| {
        let end = (start + step).min(manifest.chunks.len());
        let is_first = start == 0;
        ContentPart {
            number,
            size: if is_first { manifest.size } else { 0 },
            blake3: if is_first { manifest.digest.clone() } else { Bytes::new() },
            chunks: manifest.chunks.slice(start..end),
            last: end == manifest.chunks.len(),
        }
    })
}

impl Iterator for Parts {
    type Item = CommitRequest;

    fn next(&mut self) -> Option<CommitRequest> {
        if self.ready.is_empty() {
            self.prepare();
        }
        let part = self.ready.pop_front()?;
        Some(CommitRequest { part: Some(part) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use bytes::Bytes;
    use depot_proto::files::commit_request::Part;
    use depot_proto::files::{CommitBegin, NewEntry};

    use super::{Manifest, PART_CHUNKS, PLACE_BYTES, Parts, Planned, Tree};

    fn planned(path: &str, chunks: usize) -> Planned {
        let manifest = (chunks > 1).then(|| Manifest {
            size: 9,
            digest: Bytes::from_static(&[1; 32]),
            chunks: Bytes::from(vec![0; chunks * PLACE_BYTES]),
        });
        Planned { entry: NewEntry { path: path.into(), ..NewEntry::default() }, manifest }
    }

    #[test]
    fn contents_come_before_their_entries_and_count_up() {
        let entries = vec![planned("a", 2), planned("b", 1), planned("c", PART_CHUNKS + 1)];
        let tree = Arc::new(Tree { begin: CommitBegin::default(), entries });
        let parts: Vec<Part> = Parts::new(tree).filter_map(|message| message.part).collect();
        let shown: Vec<String> = parts
            .iter()
            .map(|part| match part {
                Part::Begin(_) => "begin".into(),
                Part::Content(c) => {
                    format!("{} {} {} {}", c.number, c.size, c.chunks.len() / 36, c.last)
                }
                Part::Entries(e) => {
                    e.entries.iter().map(|e| format!("{}={} ", e.path, e.content)).collect()
                }
                Part::End(end) => format!("end {}", end.entries),
            })
            .collect();
        let wanted =
            ["begin", "1 9 2 true", "2 9 8192 false", "2 0 1 true", "a=1 b=0 c=2 ", "end 3"];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_tree_in_parts_ends_its_upload_and_asks_for_its_base_once() {
        let entries = (0..5).map(|i| planned(&i.to_string(), 0)).collect();
        let begin = CommitBegin {
            upload_id: "u".into(),
            if_etag: "e".into(),
            removals_as_of: Some(7),
            ..CommitBegin::default()
        };
        let parts: Vec<Tree> = Tree { begin, entries }.parts(2).collect();
        let shown: Vec<_> = parts
            .iter()
            .map(|Tree { begin, entries }| (&*begin.upload_id, &*begin.if_etag, entries.len()))
            .collect();
        assert_eq!(shown, [("u", "e", 2), ("", "", 2), ("", "", 1)]);
        assert!(parts.iter().all(|part| part.begin.removals_as_of == Some(7)));
        let ids: HashSet<_> = parts.iter().map(|part| &part.begin.request_id).collect();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn many_entries_come_in_parts() {
        let entries = (0..1201).map(|i| planned(&i.to_string(), 0)).collect();
        let tree = Arc::new(Tree { begin: CommitBegin::default(), entries });
        let sizes: Vec<usize> = Parts::new(tree)
            .filter_map(|message| match message.part {
                Some(Part::Entries(part)) => Some(part.entries.len()),
                _ => None,
            })
            .collect();
        assert_eq!(sizes, [500, 500, 201]);
    }
}
