//! The upload that a put to some place belongs to: a put that was interrupted and is run again goes on
//! under the same id, so that the server keeps the chunks that have arrived together.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use super::{StateDir, private_file};

/// An upload's id, kept until the upload has been committed.
pub(crate) struct UploadId {
    id: Uuid,
    kept: Option<(PathBuf, File)>,
}

impl UploadId {
    /// The id of the put to `place` (server, account and target) that was interrupted, or a fresh one.
    /// A second put to the same place at the same time gets one of its own. Where nothing can be kept,
    /// the upload works all the same; only its continuation has another id.
    pub(crate) fn take(state: &StateDir, place: &[&str]) -> Self {
        Self::kept(state, place).unwrap_or_else(|_| Self { id: Uuid::new_v4(), kept: None })
    }

    fn kept(state: &StateDir, place: &[&str]) -> io::Result<Self> {
        state.make().map_err(io::Error::other)?;
        let folder = state.path.join("uploads");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        forget_old(&folder);
        let path = folder.join(name(place));
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
        Ok(Self { id, kept: Some((path, file)) })
    }

    pub(crate) fn id(&self) -> String {
        self.id.to_string()
    }

    /// The upload has been committed.
    pub(crate) fn done(self) {
        if let Some((path, _file)) = self.kept {
            let _ = fs::remove_file(path);
        }
    }
}

/// The server itself remembers an upload for 7 days.
const REMEMBERED: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Puts that were given up leave nothing behind for ever.
fn forget_old(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
        if matches!(age, Ok(Ok(age)) if age > REMEMBERED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn name(place: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in place {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{StateDir, UploadId};

    #[test]
    fn an_interrupted_put_goes_on_and_a_finished_one_does_not() {
        let dir = TempDir::new().unwrap();
        let state = StateDir { path: dir.path().join("state") };
        let first = UploadId::take(&state, &["server", "ann", "/x"]);
        let meanwhile = UploadId::take(&state, &["server", "ann", "/x"]);
        assert_ne!(first.id(), meanwhile.id());
        let id = first.id();
        drop(first);
        let again = UploadId::take(&state, &["server", "ann", "/x"]);
        assert_eq!(again.id(), id);
        assert_ne!(UploadId::take(&state, &["server", "ann", "/y"]).id(), id);
        again.done();
        assert_ne!(UploadId::take(&state, &["server", "ann", "/x"]).id(), id);
    }
}
