//! What the client remembers between runs: the server, the account, the tokens and the certificate
//! authority it trusts, in a directory of the user's own (0700, files 0600).
//!
//! The file is replaced as a whole, under a lock that all `depot`s of this directory share, so that two
//! of them never spend the same refresh token. A directory that others can read is refused: the tokens
//! in it are as good as the password.

mod ids;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use rustix::fs::{FlockOperation, OFlags, flock};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::{Error, Exit, Result};
use crate::settings::Environment;
pub(crate) use ids::{KeptId, Purpose};

const STATE_FILE: &str = "state.json";

/// What is known from earlier runs.
#[derive(Clone, Default)]
pub(crate) struct Remembered {
    /// `host:port`.
    pub(crate) server: Option<String>,
    pub(crate) account: Option<String>,
    /// What the server's certificate must lead to, in PEM.
    pub(crate) ca: Option<String>,
    pub(crate) tokens: Option<Tokens>,
}

/// A login that is still good, as far as we know.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) token: SecretString,
    /// Seconds since 1970.
    pub(crate) expires_at: i64,
    pub(crate) refresh_token: SecretString,
}

/// As it is in the file.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct StateFile {
    server: Option<String>,
    account: Option<String>,
    ca: Option<String>,
    token: Option<Zeroizing<String>>,
    token_expires_at: Option<i64>,
    refresh_token: Option<Zeroizing<String>>,
}

/// The directory; it is made when something is first remembered.
#[derive(Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

/// Held while the state is read and written again; the lock goes with the file.
pub(crate) struct StateLock {
    _file: File,
}

impl StateDir {
    #[cfg(test)]
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// `DEPOT_STATE_DIR`, or `depot` in the XDG state directory.
    pub(crate) fn locate(environment: &Environment) -> Result<Self> {
        if let Some(path) = &environment.state_dir {
            return Ok(Self { path: path.clone() });
        }
        let homeless = || Error::usage("there is no home directory; set DEPOT_STATE_DIR");
        let base = etcetera::choose_base_strategy().map_err(|_| homeless())?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(Self { path: state.join("depot") })
    }

    /// What is remembered; nothing, where nothing has been.
    pub(crate) fn load(&self) -> Result<Remembered> {
        let path = self.path.join(STATE_FILE);
        if !self.check()? {
            return Ok(Remembered::default());
        }
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Remembered::default());
            }
            Err(error) => return Err(Error::file("read", &path, &error)),
        };
        private(&path, 0o600)?;
        let state: StateFile = serde_json::from_slice(&text).map_err(|error| {
            let shown = path.display();
            let message = format!("{shown} is damaged ({error}); remove it and log in again");
            Error::new(Exit::Other, "STATE_DAMAGED", message).at(shown.to_string())
        })?;
        Ok(Remembered::from(state))
    }

    /// Replaces what is remembered. The caller holds the lock.
    pub(crate) fn save(&self, _lock: &StateLock, remembered: &Remembered) -> Result<()> {
        let state = StateFile::from(remembered);
        let text = serde_json::to_vec_pretty(&state).map(Zeroizing::new);
        let text = text.map_err(|error| Error::io("write JSON", &io::Error::other(error)))?;
        let path = self.path.join(STATE_FILE);
        replace(&path, &text).map_err(|error| Error::file("write", &path, &error))
    }

    /// Waits for other `depot`s of this directory. Blocks.
    pub(crate) fn lock(&self) -> Result<StateLock> {
        self.make()?;
        let path = self.path.join("lock");
        let file = private_file(&path).map_err(|error| Error::file("open", &path, &error))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| Error::file("lock", &path, &error.into()))?;
        Ok(StateLock { _file: file })
    }

    /// A new file of ours, for the text of a message until it has been sent.
    pub(crate) fn draft(&self) -> Result<PathBuf> {
        self.make()?;
        let folder = self.path.join("drafts");
        let path = folder.join(format!("{}.txt", Uuid::new_v4()));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let made = made.and_then(|()| private_file(&path));
        made.map(drop).map_err(|error| Error::file("make", &path, &error))?;
        Ok(path)
    }

    /// Where it is kept what files held when they were read.
    pub(crate) fn index(&self) -> PathBuf {
        self.path.join("index.sqlite3")
    }

    /// The same, to be written.
    pub(crate) fn ready_index(&self) -> Result<PathBuf> {
        self.make()?;
        let path = self.index();
        // SQLite gives what it makes beside a file the permissions of that file.
        private_file(&path).map_err(|error| Error::file("open", &path, &error))?;
        Ok(path)
    }

    /// Whether the directory is there; an error where others can look into it.
    fn check(&self) -> Result<bool> {
        match fs::metadata(&self.path) {
            Ok(_) if is_empty(&self.path) => Ok(true),
            Ok(_) => private(&self.path, 0o700).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::file("read", &self.path, &error)),
        }
    }

    fn make(&self) -> Result<()> {
        self.check()?;
        let failed = |error: io::Error| Error::file("make", &self.path, &error);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.path).map_err(failed)?;
        if is_empty(&self.path) {
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(&self.path, mode).map_err(failed)?;
        }
        Ok(())
    }
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Refuses what others can read, and says how to mend it.
fn private(path: &Path, mode: u32) -> Result<()> {
    let found = fs::metadata(path).map_err(|error| Error::file("read", path, &error))?.mode();
    if found & 0o077 == 0 {
        return Ok(());
    }
    let shown = path.display();
    let message =
        format!("{shown} holds secrets and others can read it; run: chmod {mode:o} {shown}");
    Err(Error::new(Exit::Permission, "STATE_NOT_PRIVATE", message).at(shown.to_string()))
}

/// Opens a file of ours, made with 0600.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// The file holds the old text or the new one, never a part.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private_file(&fresh)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

impl From<StateFile> for Remembered {
    fn from(mut state: StateFile) -> Self {
        let tokens = match (state.token.take(), state.refresh_token.take()) {
            (Some(token), Some(refresh_token)) => Some(Tokens {
                token: SecretString::from(token.as_str()),
                expires_at: state.token_expires_at.unwrap_or_default(),
                refresh_token: SecretString::from(refresh_token.as_str()),
            }),
            _ => None,
        };
        Self { server: state.server, account: state.account, ca: state.ca, tokens }
    }
}

impl From<&Remembered> for StateFile {
    fn from(remembered: &Remembered) -> Self {
        let exposed = |secret: &SecretString| Zeroizing::new(secret.expose_secret().to_owned());
        let tokens = remembered.tokens.as_ref();
        Self {
            server: remembered.server.clone(),
            account: remembered.account.clone(),
            ca: remembered.ca.clone(),
            token: tokens.map(|tokens| exposed(&tokens.token)),
            token_expires_at: tokens.map(|tokens| tokens.expires_at),
            refresh_token: tokens.map(|tokens| exposed(&tokens.refresh_token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::{ExposeSecret as _, SecretString};
    use tempfile::TempDir;

    use super::{Remembered, STATE_FILE, StateDir, Tokens};
    use crate::error::Exit;

    fn state_in(dir: &TempDir) -> StateDir {
        StateDir { path: dir.path().join("state") }
    }

    fn ann() -> Remembered {
        Remembered {
            server: Some("localhost:7420".into()),
            account: Some("ann".into()),
            ca: None,
            tokens: Some(Tokens {
                token: SecretString::from("dpt_a"),
                expires_at: 7,
                refresh_token: SecretString::from("dpr_b"),
            }),
        }
    }

    #[test]
    fn what_is_saved_is_remembered_and_private() {
        let dir = TempDir::new().unwrap();
        let state = state_in(&dir);
        assert!(state.load().unwrap().server.is_none());
        let lock = state.lock().unwrap();
        state.save(&lock, &ann()).unwrap();
        let again = state.load().unwrap();
        assert_eq!(again.account.as_deref(), Some("ann"));
        assert_eq!(again.tokens.unwrap().token.expose_secret(), "dpt_a");
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.path), 0o700);
        for entry in fs::read_dir(&state.path).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }

    #[test]
    fn what_others_can_read_is_refused_with_what_to_do() {
        let dir = TempDir::new().unwrap();
        let state = state_in(&dir);
        let lock = state.lock().unwrap();
        state.save(&lock, &ann()).unwrap();
        let widen = |path: &std::path::Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        widen(&state.path, 0o750);
        let error = state.load().err().unwrap();
        assert_eq!(error.exit(), Exit::Permission);
        assert!(error.message().contains("chmod 700"), "{error}");
        widen(&state.path, 0o700);
        widen(&state.path.join(STATE_FILE), 0o644);
        assert!(state.load().err().unwrap().message().contains("chmod 600"));
    }

    #[test]
    fn an_empty_directory_is_made_private() {
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let state = StateDir { path: dir.path().to_owned() };
        state.lock().unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
