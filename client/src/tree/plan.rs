//! From a walk to a commit: what is read for it, and the entries that it makes.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use depot_proto::files::{Entry, Kind, NewEntry, Xattrs};
use prost_types::Timestamp;

use super::walk::{Found, Walked, What, is_stream};
use crate::error::Error;
use crate::transfer::commit::{Manifest, Planned};
use crate::transfer::index::{Index, Kept};
use crate::transfer::{Content, Cutter, Digest, Input, Job, Outcome, PLACE_BYTES, Uploaded};

/// The files of a walk in its order; a file's place here is its slot.
pub(crate) struct Files {
    walked: Arc<Walked>,
    places: Arc<Vec<usize>>,
}

/// A file whose content is at the server.
pub(crate) struct Sent {
    /// Below the base.
    pub(crate) path: String,
    /// That of its entry in the commit.
    pub(crate) place: usize,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) sent_bytes: u64,
}

/// What is to be committed, and what became of the files.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) entries: Vec<Planned>,
    /// What was sent for those of them that are files.
    pub(crate) files: Vec<Sent>,
    pub(crate) left_out: Vec<Error>,
    pub(crate) bytes: u64,
}

impl Files {
    pub(crate) fn of(walked: Arc<Walked>) -> Self {
        let is_file = |place: &usize| walked.found[*place].what == What::File;
        let places = (0..walked.found.len()).filter(is_file).collect();
        Self { walked, places: Arc::new(places) }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The contents that are known from an earlier time; none of those that have changed since. Blocks.
    pub(crate) fn known(&self, index: Option<&Index>, cutter: &Cutter) -> Vec<Option<Content>> {
        let known = |&place: &usize| {
            let seen = self.walked.found[place].seen;
            let Kept { digest, chunks } = index?.content(&seen, cutter)?;
            Some(Content { seen, digest, chunks })
        };
        self.places.iter().map(known).collect()
    }

    /// What to read, found out as it is asked for: all that is not known.
    pub(crate) fn jobs(
        &self,
        known: &[Option<Content>],
    ) -> impl Iterator<Item = Job> + Send + 'static {
        let (walked, places) = (self.walked.clone(), self.places.clone());
        let slots: Vec<usize> = (0..known.len()).filter(|&slot| known[slot].is_none()).collect();
        slots.into_iter().map(move |slot| {
            let found = &walked.found[places[slot]];
            Job { slot, input: input(&walked, found) }
        })
    }

    /// Whether everything can be read a second time.
    pub(crate) fn can_be_read_again(&self) -> bool {
        self.places.iter().all(|&place| {
            let found = &self.walked.found[place];
            matches!(input(&self.walked, found), Input::File(_) | Input::Named(_))
        })
    }

    /// The entries of the commit, without files that could not be read.
    pub(crate) fn prepare(&self, uploaded: Uploaded) -> Prepared {
        let mut prepared = Prepared::default();
        let mut outcomes = uploaded.outcomes.into_iter().zip(uploaded.sent);
        for found in &self.walked.found {
            let planned = match &found.what {
                What::Folder | What::Symlink(_) => described(found, None),
                What::File => match outcomes.next() {
                    Some((Outcome::Read(content), sent_bytes)) => {
                        let size = content.seen.size;
                        prepared.bytes += size;
                        prepared.files.push(Sent {
                            path: found.path.clone(),
                            place: prepared.entries.len(),
                            size,
                            digest: content.digest,
                            sent_bytes: sent_bytes.min(size),
                        });
                        file(found, content)
                    }
                    Some((Outcome::Failed(error), _)) => {
                        prepared.left_out.push(left_out(&self.walked.local(found), &error));
                        continue;
                    }
                    None => continue,
                },
            };
            prepared.entries.push(planned);
        }
        prepared
    }
}

/// What the server made of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) generation: u64,
}

impl Known {
    /// Nothing, where something else stands in the file's place by now.
    pub(crate) fn of(entry: &Entry, file: &Sent) -> Option<Self> {
        let is_it = entry.kind() == Kind::File && entry.blake3[..] == file.digest.as_bytes()[..];
        is_it.then(|| Self {
            id: entry.id.clone(),
            version: entry.version.clone(),
            generation: entry.generation,
        })
    }
}

fn input(walked: &Walked, found: &Found) -> Input {
    let local = walked.local(found);
    if !walked.is_root(found) {
        return Input::File(local);
    }
    if local == Path::new("-") {
        return Input::Stream(Box::new(io::stdin()));
    }
    match fs::metadata(&local) {
        Ok(metadata) if is_stream(&metadata) => Input::Pipe(local),
        _ => Input::Named(local),
    }
}

fn left_out(local: &Path, error: &Error) -> Error {
    let shown = local.to_string_lossy();
    let told = error.message();
    let message = match told.ends_with("left out") {
        true => told.to_owned(),
        false => format!("{told}; it is left out"),
    };
    Error::partial(message).at(shown)
}

fn file(found: &Found, content: Content) -> Planned {
    let mut planned = entry(found, Kind::File);
    // As it was while it was read, not as it was when the tree was walked.
    planned.entry.mode = content.seen.mode;
    planned.entry.modified_at = Some(timestamp(content.seen.modified));
    let digest = Bytes::copy_from_slice(content.digest.as_bytes());
    let size = content.seen.size;
    if content.chunks.len() > PLACE_BYTES {
        let chunks = Bytes::from(content.chunks);
        planned.manifest = Some(Manifest { size, digest, chunks });
    } else {
        (planned.entry.size, planned.entry.blake3) = (size, digest);
    }
    planned
}

/// An entry to compare with: of files with their digest, where that is known.
pub(crate) fn described(found: &Found, digest: Option<Digest>) -> Planned {
    let kind = match &found.what {
        What::Folder => Kind::Folder,
        What::File => Kind::File,
        What::Symlink(_) => Kind::Symlink,
    };
    let mut planned = entry(found, kind);
    if let What::Symlink(target) = &found.what {
        planned.entry.symlink_target.clone_from(target);
    }
    if let Some(digest) = digest {
        planned.entry.blake3 = Bytes::copy_from_slice(digest.as_bytes());
    }
    planned
}

fn entry(found: &Found, kind: Kind) -> Planned {
    let entry = NewEntry {
        path: found.path.clone(),
        kind: kind.into(),
        mode: found.seen.mode,
        modified_at: Some(timestamp(found.seen.modified)),
        xattrs: found.xattrs.clone().map(|xattrs| Xattrs { xattrs }),
        ..NewEntry::default()
    };
    Planned { entry, manifest: None }
}

fn timestamp((seconds, nanos): (i64, i64)) -> Timestamp {
    Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use depot_proto::files::{Entry, Kind};

    use super::{Known, Sent};
    use crate::transfer::Digest;

    #[test]
    fn the_id_of_another_content_is_not_told() {
        let digest = |content: &[u8]| Digest::from(blake3::hash(content));
        let entry = |content: &[u8], kind: Kind| Entry {
            id: "i".into(),
            version: "v".into(),
            generation: 7,
            kind: kind.into(),
            blake3: digest(content).as_bytes().to_vec().into(),
            ..Entry::default()
        };
        let path = "x".to_owned();
        let ours = Sent { path, place: 0, size: 1, digest: digest(b"x"), sent_bytes: 0 };
        let known = Known { id: "i".into(), version: "v".into(), generation: 7 };
        assert_eq!(Known::of(&entry(b"x", Kind::File), &ours), Some(known));
        assert_eq!(Known::of(&entry(b"y", Kind::File), &ours), None);
        assert_eq!(Known::of(&entry(b"x", Kind::Folder), &ours), None);
    }
}
