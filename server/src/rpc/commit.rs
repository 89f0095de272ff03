//! Commit: the parts of a stream become entries of one change.

use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    CommitBegin, CommitRequest, CommitResponse, ContentPart, Kind as ProtoKind,
    NewEntry as ProtoNewEntry,
};
use prost::Message;
use tonic::{Status, Streaming};

use crate::error::{Error, Kind, Result};
use crate::files::{
    Attributes, Commit, CommitOutcome, CommitStart, EntryContent, Files, NewEntry, Request,
};
use crate::model::{Caller, Digest, Location, Mode, Modseq, TreePath, UploadId};
use crate::rpc::convert::{
    beside, condition, digest, entry, etag, nanoseconds, pieces, request, xattrs,
};
use crate::rpc::status::status;

/// Reads a commit to its end and publishes it; one that breaks leaves nothing.
pub(super) async fn commit(
    files: &Files,
    caller: &Caller,
    mut parts: Streaming<CommitRequest>,
) -> Result<CommitResponse, Status> {
    let mut hasher = blake3::Hasher::new();
    let first = parts.message().await?;
    let Some(Part::Begin(begin)) = note(&mut hasher, first) else {
        return Err(status(Error::field("begin", "a commit begins with it")));
    };
    let base = Location::parse(&begin.base, "begin.base").map_err(status)?;
    // Judged before the entries come; the digest is known when they have.
    let once = request(&begin.request_id, Default::default).map_err(status)?;
    let started = begun(files, caller, &begin, &base).await;
    let mut commit = started.map_err(status)?;
    read(&mut commit, &mut hasher, parts).await?;
    let digest = hasher.finalize().into();
    let once = once.map(|once| Request { digest, ..once });
    let outcome = commit.publish(once).await.map_err(status)?;
    Ok(response(&base, outcome))
}

async fn begun(
    files: &Files,
    caller: &Caller,
    begin: &CommitBegin,
    base: &Location,
) -> Result<Commit> {
    let upload = match begin.upload_id.as_str() {
        "" => None,
        id => Some(UploadId::parse(id)?),
    };
    let base = files.at(caller, base).await?;
    let if_etag = etag("begin.if_etag", &begin.if_etag)?;
    let CommitBegin { if_absent, size, .. } = *begin;
    let removals_as_of = match begin.removals_as_of {
        Some(number) => Some(i64::try_from(number).map(Modseq).map_err(|_| {
            Error::field("begin.removals_as_of", format!("{number} is no list's number"))
        })?),
        None => None,
    };
    let start = CommitStart { base, upload, if_absent, if_etag, removals_as_of, size };
    files.commit(caller, start).await
}

async fn read(
    commit: &mut Commit,
    hasher: &mut blake3::Hasher,
    mut parts: Streaming<CommitRequest>,
) -> Result<(), Status> {
    loop {
        let message = parts.message().await?;
        match note(hasher, message) {
            Some(Part::Content(part)) => content(commit, part).await.map_err(status)?,
            Some(Part::Entries(part)) => {
                for new in part.entries {
                    put(commit, new).await.map_err(status)?;
                }
            }
            Some(Part::End(end)) if end.entries == commit.entries() => return Ok(()),
            Some(Part::End(end)) => {
                let problem = format!("{} entries came of {}", commit.entries(), end.entries);
                return Err(status(Error::new(Kind::Truncated, problem)));
            }
            Some(Part::Begin(_)) => {
                return Err(status(Error::field("begin", "a commit begins once")));
            }
            None => {
                let message = "the commit stopped before its end; nothing was changed";
                return Err(status(Error::new(Kind::Truncated, message)));
            }
        }
    }
}

/// Adds a part to what tells two requests with one id apart.
fn note(hasher: &mut blake3::Hasher, message: Option<CommitRequest>) -> Option<Part> {
    let message = message?;
    // The upload is how the bytes came, not what is asked for.
    let mut noted = message.clone();
    if let Some(Part::Begin(begin)) = &mut noted.part {
        begin.upload_id.clear();
    }
    hasher.update(&noted.encode_length_delimited_to_vec());
    message.part
}

async fn content(commit: &mut Commit, part: ContentPart) -> Result<()> {
    let begin = match part.blake3.is_empty() {
        true => None,
        false => Some((part.size, digest("content.blake3", &part.blake3)?)),
    };
    let pieces = pieces("content.chunks", &part.chunks)?;
    commit.content(part.number, begin, &pieces, part.last).await
}

async fn put(commit: &mut Commit, new: ProtoNewEntry) -> Result<()> {
    let path = TreePath::parse_relative(&new.path, "entries.path")?;
    let node = match new.kind() {
        _ if new.remove => NewEntry::Nothing,
        ProtoKind::File if new.content > 0 => NewEntry::File(EntryContent::Numbered(new.content)),
        ProtoKind::File if new.size == 0 => {
            NewEntry::File(EntryContent::Single { size: 0, digest: Digest::of_nothing() })
        }
        ProtoKind::File => NewEntry::File(EntryContent::Single {
            size: new.size,
            digest: digest("entries.blake3", &new.blake3)?,
        }),
        ProtoKind::Folder => NewEntry::Folder,
        ProtoKind::Symlink => NewEntry::Symlink(new.symlink_target),
        ProtoKind::Unspecified => {
            return Err(Error::field("entries.kind", "a file, a folder or a symlink"));
        }
    };
    let mode = match node {
        NewEntry::Symlink(_) | NewEntry::Nothing => Mode::SYMLINK,
        _ => Mode::parse(new.mode, "entries.mode")?,
    };
    let modified = new.modified_at.unwrap_or_default();
    let modified_ns = nanoseconds("entries.modified_at", modified)?;
    let xattrs = xattrs("entries.xattrs", new.xattrs)?;
    let condition = condition(new.if_generation, ("entries.if_etag", &new.if_etag))?;
    commit.entry(path, node, Attributes { mode, modified_ns, xattrs }, condition).await
}

fn response(base: &Location, outcome: CommitOutcome) -> CommitResponse {
    CommitResponse {
        changed: outcome.changed,
        unchanged: outcome.unchanged,
        entries: outcome
            .entries
            .into_iter()
            .map(|listed| entry(&beside(base, listed.path), listed.entry))
            .collect(),
        modseq: u64::try_from(outcome.modseq.0).unwrap_or(0),
        used_bytes: outcome.usage.map(|usage| usage.used),
        quota_bytes: outcome.usage.and_then(|usage| usage.quota),
    }
}
