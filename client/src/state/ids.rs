//! Ids that outlive the run that made them, so that a command that was interrupted, cut or killed and is
//! run again does the same thing once: the upload that a put to some place belongs to, and the request of
//! a send whose outcome nobody knows.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use super::{StateDir, private_file};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an id is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Upload,
    Send,
}

impl Purpose {
    fn folder(self) -> &'static str {
        match self {
            Self::Upload => "uploads",
            Self::Send => "sends",
        }
    }

    /// The server itself remembers both for 7 days. An upload that it has forgotten does no harm; a
    /// request that it has forgotten must not pass for one that it knows.
    fn remembered(self) -> Duration {
        match self {
            Self::Upload => 8 * DAY,
            Self::Send => 7 * DAY,
        }
    }
}

/// An id, kept until what it is for is done.
pub(crate) struct KeptId {
    id: Uuid,
    kept: Option<(PathBuf, File)>,
}

impl KeptId {
    /// The id that an earlier run for the same thing left, or a fresh one. `parts` say what is the same:
    /// server, account, and so on. A second run for it at the same time gets an id of its own. Where
    /// nothing can be kept, all works the same; only its continuation has another id.
    pub(crate) fn take(state: &StateDir, purpose: Purpose, parts: &[&[u8]]) -> Self {
        Self::kept(state, purpose, parts).unwrap_or_else(|_| Self::fresh())
    }

    /// An id that is not kept.
    pub(crate) fn fresh() -> Self {
        Self { id: Uuid::new_v4(), kept: None }
    }

    fn kept(state: &StateDir, purpose: Purpose, parts: &[&[u8]]) -> io::Result<Self> {
        state.make().map_err(io::Error::other)?;
        let folder = state.path.join(purpose.folder());
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        forget_old(&folder, purpose.remembered());
        let path = folder.join(name(parts));
        let mut file = private_file(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let mut text = String::new();
        (&file).take(64).read_to_string(&mut text)?;
        if let Ok(id) = Uuid::try_parse(&text) {
            return Ok(Self { id, kept: Some((path, file)) });
        }
        let id = Uuid::new_v4();
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(id.to_string().as_bytes())?;
        file.sync_data()?;
        Ok(Self { id, kept: Some((path, file)) })
    }

    pub(crate) fn id(&self) -> String {
        self.id.to_string()
    }

    /// What it was for is done: the next one is another.
    pub(crate) fn done(self) {
        if let Some((path, file)) = self.kept {
            // Emptied too, for whoever has opened it already and waits for nothing.
            let _ = file.set_len(0);
            let _ = fs::remove_file(path);
        }
    }
}

/// What was given up leaves nothing behind for ever.
fn forget_old(folder: &Path, remembered: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
        if matches!(age, Ok(Ok(age)) if age > remembered) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn name(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use tempfile::TempDir;

    use super::{DAY, KeptId, Purpose, StateDir};

    const X: &[&[u8]] = &[b"server", b"ann", b"/x"];

    fn take(state: &StateDir, parts: &[&[u8]]) -> KeptId {
        KeptId::take(state, Purpose::Upload, parts)
    }

    #[test]
    fn what_was_interrupted_goes_on_and_what_is_done_does_not() {
        let dir = TempDir::new().unwrap();
        let state = StateDir { path: dir.path().join("state") };
        let first = take(&state, X);
        let meanwhile = take(&state, X);
        assert_ne!(first.id(), meanwhile.id());
        let id = first.id();
        drop(first);
        let again = take(&state, X);
        assert_eq!(again.id(), id);
        assert_ne!(take(&state, &[b"server", b"ann", b"/y"]).id(), id);
        assert_ne!(take(&state, &[b"server", b"ann/", b"x"]).id(), id);
        assert_ne!(KeptId::take(&state, Purpose::Send, X).id(), id);
        again.done();
        assert_ne!(take(&state, X).id(), id);
    }

    #[test]
    fn a_send_that_the_server_has_forgotten_is_another_one() {
        let dir = TempDir::new().unwrap();
        let state = StateDir { path: dir.path().join("state") };
        let mut last = String::new();
        for (days, is_same) in [(0, false), (6, true), (8, false)] {
            for entry in fs::read_dir(dir.path().join("state/sends")).into_iter().flatten() {
                let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
                file.set_modified(SystemTime::now() - days * DAY).unwrap();
            }
            let id = KeptId::take(&state, Purpose::Send, X).id();
            assert_eq!(id == last, is_same, "after {days} days");
            last = id;
        }
    }
}
