//! What is put, and where it goes.

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use depot_proto::files::Kind;
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::path::RemotePath;
use crate::target::{self, Place, Source, Standing};
use crate::tree::filter::Filter;
use crate::tree::walk::{Root, Walked};

/// Less than this is sent by one call.
const LARGE_BYTES: u64 = 4 << 20;

/// Something that was named on the command line.
pub(super) struct Local {
    pub(super) typed: String,
    path: PathBuf,
    pub(super) is_folder: bool,
}

impl Local {
    /// Whether it may be worth more than one connection.
    pub(super) fn is_large(&self) -> bool {
        let bytes = || fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        self.is_folder || bytes() >= LARGE_BYTES
    }
}

/// Where all of it goes.
pub(super) struct Aim {
    pub(super) base: RemotePath,
    /// The names below the base, one for each source; empty for the base itself.
    pub(super) names: Vec<String>,
}

/// What the sources are on this machine. Of several, those that are not there are left out.
pub(super) fn look(sources: &[OsString], recursive: bool) -> Result<(Vec<Local>, Vec<Error>)> {
    let mut locals = Vec::new();
    let mut absent = Vec::new();
    for source in sources {
        let path = PathBuf::from(source);
        let typed = path.to_string_lossy().into_owned();
        if typed == "-" {
            locals.push(Local { typed, path, is_folder: false });
            continue;
        }
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
            // What a shell makes of `<(…)` is a symlink to a pipe, and has somebody who writes.
            let message = format!("{typed} is a pipe; give - and send it to stdin: - <{typed}");
            return Err(Error::usage(message).at(typed));
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && !recursive => {
                let message =
                    format!("{typed} is a folder; give -r to put it with all that is in it");
                return Err(Error::usage(message).at(typed));
            }
            Ok(metadata) => locals.push(Local { typed, path, is_folder: metadata.is_dir() }),
            Err(error) if sources.len() > 1 => {
                let told = unreadable(&path, &error);
                let message = format!("{}; it is left out", told.message());
                absent.push(Error::partial(message).at(typed));
            }
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    match locals.is_empty() {
        true => Err(Error::new(Exit::NotFound, "LOCAL_NOT_FOUND", "none of the sources is there")),
        false => Ok((locals, absent)),
    }
}

/// A symlink that was named is followed, so that one that is in the way is one of a loop.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    let told = Error::file("read", path, error);
    match Errno::from_io_error(error) {
        Some(Errno::LOOP) => {
            let message = format!("cannot read {}: its symlinks are a loop", path.display());
            told.with_message(message)
        }
        _ => told,
    }
}

pub(super) async fn aim(
    session: &Session,
    target: &str,
    remote: &RemotePath,
    locals: &[Local],
) -> Result<Aim> {
    let sources: Vec<Source<'_>> = locals.iter().map(source).collect();
    let standing = match target::depends_on_target(target, &sources) {
        true => match listing::find(session, remote).await? {
            Some(entry) if entry.kind() == Kind::Folder => Standing::Folder,
            Some(_) => Standing::File,
            None => Standing::Nothing,
        },
        false => Standing::Nothing,
    };
    let is_folder = matches!(locals, [only] if only.is_folder);
    match target::place(target, &sources, standing)? {
        Place::Exactly if is_folder => Ok(Aim { base: remote.clone(), names: vec![String::new()] }),
        Place::Exactly => {
            let name = remote.name().ok_or_else(|| Error::usage("the target has no name"))?;
            Ok(Aim { base: remote.parent(), names: vec![name.to_owned()] })
        }
        // One folder is a tree of its own wherever it goes, so that --if-absent is about it.
        Place::Into(names) if is_folder => {
            Ok(Aim { base: remote.join(&names[0])?, names: vec![String::new()] })
        }
        Place::Into(names) => {
            for name in &names {
                remote.join(name)?;
            }
            Ok(Aim { base: remote.clone(), names })
        }
    }
}

fn source(local: &Local) -> Source<'_> {
    let name = match local.path.file_name() {
        _ if local.typed == "-" => None,
        Some(name) => Some(name.to_owned()),
        // `.` and `..` have the names of the folders that they are.
        None => fs::canonicalize(&local.path)
            .ok()
            .and_then(|full| full.file_name().map(ToOwned::to_owned)),
    };
    // A name that is no text can be kept nowhere; the target must give another.
    let name = name.and_then(|name| name.into_string().ok());
    Source { typed: &local.typed, name, is_folder: local.is_folder }
}

pub(super) async fn walk(
    aim: &Aim,
    locals: Vec<Local>,
    filter: Filter,
    with_xattrs: bool,
) -> Result<Walked> {
    if let [only] = &locals[..]
        && only.typed == "-"
    {
        return Ok(Walked::stdin(&aim.names[0]));
    }
    let names = aim.names.iter().cloned();
    let roots = locals
        .into_iter()
        .zip(names)
        .map(|(local, name)| Root { local: local.path, name })
        .collect();
    let base = aim.base.clone();
    let walked = spawn_blocking(move || Walked::walk(&base, roots, filter, with_xattrs)).await;
    walked.map_err(|error| Error::io("walk the tree", &io::Error::other(error)))
}
