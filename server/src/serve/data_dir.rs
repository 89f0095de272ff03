//! The data directory: whose it is, who may look into it, which format it has.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, StatxFlags, StatxTimestamp, flock, statx};

use crate::error::{Error, Kind, Result};
use crate::whole_file;

/// The format that this version writes.
const FORMAT: u32 = 1;

const DATABASE: &str = "meta.sqlite3";

/// What a data directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve it.
    Serve,
    /// To make an account in it.
    AddAccount,
    /// To look at accounts or to change them.
    Accounts,
    /// To check it.
    Verify,
    /// To give space back.
    Collect,
}

impl Purpose {
    /// Whether a store is made where there is none. Whoever checks one, or looks for somebody in it, has
    /// named the wrong directory.
    fn makes_store(self) -> bool {
        matches!(self, Self::Serve | Self::AddAccount)
    }

    /// What to do where a server holds the directory.
    fn when_in_use(self) -> &'static str {
        match self {
            Self::Serve => "stop it first, or give this one a directory of its own with --data",
            Self::AddAccount | Self::Accounts => {
                "use `depot admin account …` while it runs, or stop it first"
            }
            Self::Verify => "stop it first, or check a copy that was made while it was stopped",
            Self::Collect => "it gives back space by itself (store.gc_hours), or stop it first",
        }
    }
}

/// A data directory that this process holds alone until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes a directory; if it is not there it is made, or refused with `InvalidArgument`, as the purpose
    /// is. `PermissionDenied` when others can look into it, `FailedPrecondition` when another process
    /// holds it, it is of a newer format, or not ours.
    pub fn open(path: &Path, purpose: Purpose) -> Result<Self> {
        if !purpose.makes_store() {
            require(path, "VERSION")?;
        }
        make(path)?;
        let known = path.join("VERSION").exists();
        let entries = entries(path)?;
        let foreign = entries.iter().find(|name| !matches!(name.as_str(), "LOCK" | "setup-code"));
        check_mode(path, entries.is_empty())?;
        if let (false, Some(name)) = (known, foreign) {
            return Err(Error::new(
                Kind::FailedPrecondition,
                format!(
                    "{} holds {name:?} and is no data directory of Depot; give an empty or a new \
                     directory with --data",
                    path.display()
                ),
            ));
        }
        let lock = lock(path, purpose)?;
        match known {
            true => check_format(path)?,
            false => whole_file::write(&path.join("VERSION"), format!("{FORMAT}\n").as_bytes())?,
        }
        if !purpose.makes_store() {
            require(path, DATABASE)?;
        }
        for folder in ["packs", "tls"] {
            make(&path.join(folder))?;
            check_mode(&path.join(folder), false)?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Chunks.
    pub fn packs(&self) -> PathBuf {
        self.path.join("packs")
    }

    /// Certificates and keys.
    pub fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// Room that is kept free for removals.
    pub fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// Where the set-up code is while it is needed.
    pub fn setup_code(&self) -> PathBuf {
        self.path.join("setup-code")
    }

    /// Where this is, in words that a copy does not share, even one that was written over it: which file
    /// the database is, and since when VERSION, which is written once, is as it is. A directory that is
    /// moved on its disk stays where it was in this sense.
    pub fn home(&self) -> Result<String> {
        let (database, version) = (self.database(), self.path.join("VERSION"));
        let looked = |path: &Path| {
            statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)
                .map_err(|error| about(path, "cannot be looked at", error.into()))
        };
        let (file, mark) = (looked(&database)?, looked(&version)?);
        let time = |at: StatxTimestamp| format!("{}.{:09}", at.tv_sec, at.tv_nsec);
        Ok(format!(
            "{} {} {} {}",
            file.stx_ino,
            time(file.stx_btime),
            mark.stx_ino,
            time(mark.stx_ctime)
        ))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Refuses a directory without this file, which every store has.
fn require(path: &Path, file: &str) -> Result<()> {
    match path.join(file).try_exists() {
        Ok(true) => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotADirectory => {
            Err(about(path, "cannot be looked into", error))
        }
        _ => Err(Error::new(
            Kind::InvalidArgument,
            format!(
                "there is no store in {} (no {file}); name a data directory with --data",
                path.display()
            ),
        )),
    }
}

fn make(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| about(path, "cannot be made", error))
}

fn entries(path: &Path) -> Result<Vec<String>> {
    let listed = fs::read_dir(path).map_err(|error| about(path, "cannot be read", error))?;
    listed
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()
        .map_err(|error| about(path, "cannot be read", error))
}

/// An empty directory is made private; one that holds something is only looked at.
fn check_mode(path: &Path, empty: bool) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| about(path, "cannot be read", error))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    if empty {
        return fs::set_permissions(path, PermissionsExt::from_mode(0o700))
            .map_err(|error| about(path, "cannot be made private", error));
    }
    let shown = path.display();
    let message = format!("others can look into {shown}; run: chmod 700 {shown}");
    Err(Error::new(Kind::PermissionDenied, message))
}

fn lock(path: &Path, purpose: Purpose) -> Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join("LOCK"))
        .map_err(|error| about(&path.join("LOCK"), "cannot be opened", error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(
            Kind::FailedPrecondition,
            format!(
                "{} is in use by a running depot-server; {}",
                path.display(),
                purpose.when_in_use()
            ),
        )),
        Err(error) => Err(about(&path.join("LOCK"), "cannot be locked", error.into())),
    }
}

fn check_format(path: &Path) -> Result<()> {
    let file = path.join("VERSION");
    let text = fs::read_to_string(&file).map_err(|error| about(&file, "cannot be read", error))?;
    match text.trim().parse::<u32>() {
        Ok(FORMAT) => Ok(()),
        Ok(newer) => Err(Error::new(
            Kind::FailedPrecondition,
            format!(
                "{} has format {newer}, this depot-server knows {FORMAT}; use a newer one",
                path.display()
            ),
        )),
        Err(_) => Err(Error::new(
            Kind::FailedPrecondition,
            format!("{} does not hold the number of a format", file.display()),
        )),
    }
}

fn about(path: &Path, what: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
        std::io::ErrorKind::StorageFull => Kind::DiskFull,
        _ => Kind::InvalidArgument,
    };
    Error::new(kind, format!("{} {what}: {error}", path.display())).source(error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{DataDir, Purpose};
    use crate::error::Kind;

    fn refused(path: &std::path::Path) -> (Kind, String) {
        refused_to(Purpose::Serve, path)
    }

    fn refused_to(purpose: Purpose, path: &std::path::Path) -> (Kind, String) {
        let error = DataDir::open(path, purpose).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn only_who_serves_or_adds_an_account_makes_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, empty) = (dir.path().join("missing"), dir.path().join("empty"));
        fs::create_dir(&empty).unwrap();
        for purpose in [Purpose::Accounts, Purpose::Verify, Purpose::Collect] {
            for place in [&missing, &empty] {
                let (kind, message) = refused_to(purpose, place);
                assert_eq!(kind, Kind::InvalidArgument);
                let shown = place.display().to_string();
                let words = ["there is no store in", &shown, "--data"];
                assert!(words.iter().all(|word| message.contains(word)), "{message}");
            }
        }
        assert!(!missing.exists() && fs::read_dir(&empty).unwrap().next().is_none());
        for purpose in [Purpose::Serve, Purpose::AddAccount] {
            let place = dir.path().join(format!("{purpose:?}"));
            drop(DataDir::open(&place, purpose).unwrap());
            assert_eq!(refused_to(Purpose::Verify, &place).0, Kind::InvalidArgument);
            fs::write(place.join("meta.sqlite3"), "rows").unwrap();
            drop(DataDir::open(&place, Purpose::Verify).unwrap());
        }
    }

    #[test]
    fn an_empty_directory_is_made_private_and_a_used_one_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        drop(DataDir::open(dir.path(), Purpose::Serve).unwrap());
        let mode = || fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o750)).unwrap();
        let (kind, message) = refused(dir.path());
        assert_eq!(kind, Kind::PermissionDenied);
        assert!(message.contains("chmod 700"), "{message}");
        assert_eq!(mode(), 0o750);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path(), Purpose::Serve).unwrap();
        let (kind, message) = refused(dir.path());
        assert_eq!(kind, Kind::FailedPrecondition);
        assert!(message.contains("a directory of its own"), "{message}");
        fs::write(dir.path().join("meta.sqlite3"), "rows").unwrap();
        for (purpose, hint) in [
            (Purpose::AddAccount, "`depot admin account …`"),
            (Purpose::Accounts, "`depot admin account …`"),
            (Purpose::Verify, "check a copy"),
            (Purpose::Collect, "by itself"),
        ] {
            let (kind, message) = refused_to(purpose, dir.path());
            assert_eq!(kind, Kind::FailedPrecondition);
            assert!(message.contains("in use") && message.contains(hint), "{message}");
        }
        drop(held);
        assert!(DataDir::open(dir.path(), Purpose::Serve).is_ok());
    }

    #[test]
    fn a_copy_is_not_at_home_and_what_was_moved_is() {
        let dir = tempfile::tempdir().unwrap();
        let (place, other) = (dir.path().join("data"), dir.path().join("other"));
        let home =
            |path: &std::path::Path| DataDir::open(path, Purpose::Serve).unwrap().home().unwrap();
        drop(DataDir::open(&place, Purpose::Serve).unwrap());
        fs::write(place.join("meta.sqlite3"), "one").unwrap();
        let first = home(&place);
        fs::write(place.join("meta.sqlite3"), "two").unwrap();
        assert_eq!(home(&place), first, "it is written to all the time");
        fs::rename(&place, &other).unwrap();
        assert_eq!(home(&other), first, "it was moved");
        drop(DataDir::open(&place, Purpose::Serve).unwrap());
        fs::copy(other.join("meta.sqlite3"), place.join("meta.sqlite3")).unwrap();
        assert_ne!(home(&place), first, "it was copied");
        std::thread::sleep(std::time::Duration::from_millis(20));
        for name in ["VERSION", "meta.sqlite3"] {
            fs::copy(place.join(name), other.join(name)).unwrap();
        }
        assert_ne!(home(&other), first, "a copy was written over it");
    }

    #[test]
    fn newer_formats_and_other_peoples_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), Purpose::Serve).unwrap());
        fs::write(dir.path().join("VERSION"), "2\n").unwrap();
        assert_eq!(refused(dir.path()).0, Kind::FailedPrecondition);

        let other = tempfile::tempdir().unwrap();
        fs::set_permissions(other.path(), PermissionsExt::from_mode(0o700)).unwrap();
        fs::write(other.path().join("thesis.txt"), "x").unwrap();
        let (kind, message) = refused(other.path());
        assert_eq!(kind, Kind::FailedPrecondition);
        assert!(message.contains("thesis.txt"), "{message}");
    }
}
