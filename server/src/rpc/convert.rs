//! Between the protos' shapes and the model's values. Parsing happens here, once: what comes out is
//! well-formed.

use depot_proto::files::content_source::Source as ProtoSource;
use depot_proto::files::{
    ContentSource, Entry as ProtoEntry, FindRequest, Kind as ProtoKind, Xattr as ProtoXattr,
    Xattrs as ProtoXattrs,
};
use prost_types::Timestamp;

use crate::error::{Error, Result};
use crate::files::{EntryKind, Request, Source, UploadFor};
use crate::model::{
    AccountName, Condition, Digest, Entry, Etag, Filter, Kinds, Location, MessageId, Mode,
    NamePattern, Node, Piece, RequestId, TreePath, UploadId, VersionId, Xattrs,
};

const NANOS: i64 = 1_000_000_000;

/// A time of the server.
pub(super) fn time(milliseconds: i64) -> Timestamp {
    time_ns(milliseconds.saturating_mul(1_000_000))
}

/// A time of a file.
pub(super) fn time_ns(nanoseconds: i64) -> Timestamp {
    let nanos = i32::try_from(nanoseconds.rem_euclid(NANOS)).unwrap_or(0);
    Timestamp { seconds: nanoseconds.div_euclid(NANOS), nanos }
}

/// A file's time in nanoseconds; years 1677 to 2262 can be kept.
pub(super) fn nanoseconds(field: &str, time: Timestamp) -> Result<i64> {
    let whole = (0..NANOS).contains(&i64::from(time.nanos));
    time.seconds
        .checked_mul(NANOS)
        .and_then(|seconds| seconds.checked_add(i64::from(time.nanos)))
        .filter(|_| whole)
        .ok_or_else(|| Error::field(field, "a time from 1678 to 2261, with 0 to 999,999,999 nanos"))
}

/// Permission bits, where there are some.
pub(super) fn mode(field: &str, bits: Option<u32>) -> Result<Option<Mode>> {
    bits.map(|bits| Mode::parse(bits, field)).transpose()
}

/// A digest.
pub(super) fn digest(field: &str, bytes: &[u8]) -> Result<Digest> {
    bytes
        .try_into()
        .map(Digest)
        .map_err(|_| Error::field(field, format!("{} bytes; a BLAKE3 hash has 32", bytes.len())))
}

/// Chunks, 36 bytes each.
pub(super) fn pieces(field: &str, bytes: &[u8]) -> Result<Vec<Piece>> {
    Piece::decode_all(bytes)
        .ok_or_else(|| Error::field(field, format!("{} bytes; each chunk takes 36", bytes.len())))
}

/// What makes a request happen once; none where its id is empty.
pub(super) fn request(id: &str, digest: impl FnOnce() -> [u8; 32]) -> Result<Option<Request>> {
    if id.is_empty() {
        return Ok(None);
    }
    Ok(Some(Request { id: RequestId::parse(id)?, digest: digest() }))
}

/// What must be so for a change to happen.
pub(super) fn condition(
    if_generation: Option<u64>,
    (field, if_etag): (&str, &str),
) -> Result<Condition> {
    Ok(Condition { generation: if_generation, etag: etag(field, if_etag)? })
}

/// A tag that was asked for; none where it is empty.
pub(super) fn etag(field: &str, text: &str) -> Result<Option<Etag>> {
    if text.is_empty() { Ok(None) } else { Etag::parse(text, field).map(Some) }
}

/// What is looked for.
pub(super) fn filter(wanted: &FindRequest) -> Result<Filter> {
    let name = match wanted.name.as_str() {
        "" => None,
        pattern => Some(NamePattern::parse(pattern, wanted.ignore_case, "name")?),
    };
    let kinds = match wanted.kinds.is_empty() {
        true => Kinds::default(),
        false => Kinds {
            files: wanted.kinds().any(|kind| kind == ProtoKind::File),
            folders: wanted.kinds().any(|kind| kind == ProtoKind::Folder),
            symlinks: wanted.kinds().any(|kind| kind == ProtoKind::Symlink),
        },
    };
    let at = |field, time: Option<Timestamp>| time.map(|time| nanoseconds(field, time)).transpose();
    Ok(Filter {
        name,
        kinds,
        size_min: wanted.size_min,
        size_max: wanted.size_max,
        modified_from: at("modified_from", wanted.modified_from)?,
        modified_before: at("modified_before", wanted.modified_before)?,
    })
}

/// Extended attributes, where there are some.
pub(super) fn xattrs(field: &str, xattrs: Option<ProtoXattrs>) -> Result<Option<Xattrs>> {
    let pairs = |xattrs: ProtoXattrs| {
        let pairs = xattrs.xattrs.into_iter().map(|xattr| (xattr.name, xattr.value.to_vec()));
        Xattrs::parse(pairs.collect(), field)
    };
    xattrs.map(pairs).transpose()
}

/// An upload, and in whose tree it shall end.
pub(super) fn upload_for(id: &str, tree: &str) -> Result<UploadFor> {
    let tree = if tree.is_empty() { None } else { Some(AccountName::parse(tree)?) };
    Ok(UploadFor { id: UploadId::parse(id)?, tree })
}

/// The digest of everything a request asks for.
pub(super) fn digest_of(call: &str, message: &impl prost::Message) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(call.as_bytes());
    hasher.update(&message.encode_to_vec());
    hasher.finalize().into()
}

/// What to read the bytes of.
pub(super) fn source(source: Option<ContentSource>) -> Result<Source> {
    match source.and_then(|source| source.source) {
        Some(ProtoSource::Version(id)) => Ok(Source::Version(VersionId::parse(&id)?)),
        Some(ProtoSource::Path(path)) => Ok(Source::Path(Location::parse(&path, "source.path")?)),
        Some(ProtoSource::Attachment(file)) => {
            Ok(Source::Attachment(MessageId::parse(&file.message_id)?, file.index))
        }
        None => Err(Error::field("source", "a version, a path or an attachment")),
    }
}

/// What an entry is.
pub(super) fn kind(kind: EntryKind) -> ProtoKind {
    match kind {
        EntryKind::File => ProtoKind::File,
        EntryKind::Folder => ProtoKind::Folder,
        EntryKind::Symlink => ProtoKind::Symlink,
    }
}

/// An entry at its path.
pub(super) fn entry(at: &Location, entry: Entry) -> ProtoEntry {
    let etag = entry.etag().to_string();
    let xattr = |(name, value): &(String, Vec<u8>)| ProtoXattr {
        name: name.clone(),
        value: value.clone().into(),
    };
    let xattrs = entry.xattrs.pairs().iter().map(xattr).collect();
    let mut proto = ProtoEntry {
        path: at.to_string(),
        id: entry.id.to_string(),
        etag,
        modified_at: Some(time_ns(entry.modified_ns)),
        mode: entry.mode.bits(),
        xattrs,
        ..ProtoEntry::default()
    };
    match entry.node {
        Node::File { content, version } => {
            proto.set_kind(ProtoKind::File);
            proto.version = version.to_string();
            proto.generation = u64::try_from(entry.generation.0).unwrap_or(0);
            proto.size = content.size;
            proto.blake3 = content.digest.0.to_vec().into();
        }
        Node::Folder => proto.set_kind(ProtoKind::Folder),
        Node::Symlink { target } => {
            proto.set_kind(ProtoKind::Symlink);
            proto.symlink_target = target;
        }
    }
    proto
}

/// The same owner, another path.
pub(super) fn beside(at: &Location, path: TreePath) -> Location {
    Location { owner: at.owner.clone(), path }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use prost_types::Timestamp;

    use super::{nanoseconds, time_ns};

    proptest! {
        #[test]
        fn times_keep_their_nanoseconds(ns in any::<i64>()) {
            prop_assert_eq!(nanoseconds("t", time_ns(ns)).ok(), Some(ns));
        }
    }

    #[test]
    fn times_that_cannot_be_kept_are_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, 0)] {
            assert!(nanoseconds("t", Timestamp { seconds, nanos }).is_err());
        }
    }
}
