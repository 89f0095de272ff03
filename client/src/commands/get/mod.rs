//! `depot get`: files and trees from the server. Every byte is verified before it has its name here, and
//! nothing is written outside the target.

mod getting;
mod report;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use depot_proto::files::{Entry, Kind};

use self::getting::Get;
use super::versions::meant;
use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::link::LinkArgs;
use crate::listing;
use crate::path::RemotePath;
use crate::target::{self, Place, Source, Standing};
use crate::transfer::{Downloads, Wanted};
use crate::tree::filter::FilterArgs;
use crate::tree::walk::kind_of;

/// Less than this comes by one call.
const LARGE_BYTES: u64 = 4 << 20;

/// What `depot get` takes.
#[derive(Args, Debug)]
#[command(
    allow_missing_positional = true,
    after_help = "The target is the new name; one that ends in / means into it.\n\
                  Examples:\n  depot get /reports/q3.pdf .\n  depot get -r /photos photos"
)]
pub(crate) struct Arguments {
    /// Files, or folders with -r
    #[arg(required_unless_present = "link", value_name = "REMOTE")]
    sources: Vec<String>,
    /// Where they go; - for stdout
    #[arg(value_name = "LOCAL")]
    target: OsString,
    /// Get folders, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// An earlier version, by its id or its generation; of one file
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Remove for good what is in the folder here and not in the one that is got; what is left out stays
    #[arg(long, requires = "recursive")]
    delete: bool,
    /// Change nothing, but say what would be written, received and removed
    #[arg(long)]
    dry_run: bool,
    /// Read all files that stand here, also those that are as they were when they were read last
    #[arg(long)]
    checksum: bool,
    /// Extended attributes too: those of user.
    #[arg(short = 'X', long)]
    xattrs: bool,
    /// Return only when all is on disk
    #[arg(long)]
    sync: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    link: LinkArgs,
}

/// Something that was named on the command line.
struct Remote {
    path: RemotePath,
    /// The name that it has here; none for a root.
    name: Option<String>,
    entry: Entry,
}

/// Where the sources go: beneath which directory, and under which names.
struct Aim {
    folder: PathBuf,
    /// For each source; empty for the directory itself.
    names: Vec<OsString>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths = RemotePath::parse_all(&arguments.sources)?;
    let (session, root) = match arguments.link.open(app).await? {
        Some(opened) => (opened.session, Some(opened.leads_to.name)),
        None => (app.session().await?, None),
    };
    let mut remotes = Vec::new();
    for path in paths {
        let entry = listing::stat(&session, &path).await?;
        if entry.kind() == Kind::Folder && !arguments.recursive {
            let message = format!("{path} is a folder; give -r to get it with all that is in it");
            return Err(Error::usage(message).at(path.to_string()));
        }
        if entry.kind() == Kind::Folder || entry.size >= LARGE_BYTES {
            session.connect_all();
        }
        let name = path.name().map(str::to_owned).or_else(|| root.clone());
        remotes.push(Remote { path, name, entry });
    }
    if let Some(version) = &arguments.version {
        take_version(&session, &mut remotes, version).await?;
    }
    if arguments.target == "-" {
        return to_stdout(app, &session, &remotes).await;
    }
    let aim = aim(Path::new(&arguments.target), &remotes)?;
    let filter = arguments.filter.filter(false)?;
    if arguments.delete && !remotes.iter().any(|remote| remote.entry.kind() == Kind::Folder) {
        return Err(Error::usage("--delete is about folders"));
    }
    let got = Get { app, session, arguments: &arguments, filter };
    got.all(remotes, aim).await
}

/// Takes an earlier version in place of the current one.
async fn take_version(session: &Session, remotes: &mut [Remote], version: &str) -> Result<()> {
    let [remote] = remotes else {
        return Err(Error::usage("--version is about one file"));
    };
    let found = meant(session, &remote.path, version).await?;
    let entry = &mut remote.entry;
    (entry.version, entry.generation) = (found.version, found.generation);
    (entry.size, entry.blake3) = (found.size, found.blake3);
    (entry.modified_at, entry.mode) = (found.modified_at, found.mode);
    Ok(())
}

/// Where everything goes, from what stands here.
fn aim(target: &Path, remotes: &[Remote]) -> Result<Aim> {
    let standing = match fs::metadata(target) {
        Ok(metadata) if metadata.is_dir() => Standing::Folder,
        Ok(_) => Standing::File,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::Nothing,
        Err(error) => return Err(Error::file("read", target, &error)),
    };
    let typed: Vec<String> = remotes.iter().map(|remote| remote.path.to_string()).collect();
    let sources: Vec<Source<'_>> = remotes
        .iter()
        .zip(&typed)
        .map(|(remote, typed)| Source {
            typed,
            name: remote.name.clone(),
            is_folder: remote.entry.kind() == Kind::Folder,
        })
        .collect();
    let place = target::place(&target.to_string_lossy(), &sources, standing)?;
    if let Some(&(later, earlier)) = target::same_names(&place).first() {
        let message = format!("{} and {} would have one name", typed[later], typed[earlier]);
        return Err(Error::new(Exit::Conflict, "NAME_TWIN", message).at(typed[later].as_str()));
    }
    Ok(match place {
        Place::Into(names) => {
            let names = names.into_iter().map(OsString::from).collect();
            Aim { folder: target.to_owned(), names }
        }
        Place::Exactly if sources[0].is_folder => {
            Aim { folder: target.to_owned(), names: vec![OsString::new()] }
        }
        Place::Exactly => {
            replaceable(target)?;
            let name = target.file_name().unwrap_or(OsStr::new("-")).to_owned();
            let folder = target.parent().unwrap_or(Path::new("")).to_owned();
            Aim { folder, names: vec![name] }
        }
    })
}

/// A device, a pipe or a socket is not replaced by a file; whoever names one means to write to it.
fn replaceable(target: &Path) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(target) else { return Ok(()) };
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_symlink() || kind.is_dir() {
        return Ok(());
    }
    let shown = target.to_string_lossy();
    let message = format!(
        "{shown} is {}, which is not replaced; `-` in its place writes to stdout",
        kind_of(kind)
    );
    Err(Error::new(Exit::Conflict, "LOCAL_IN_THE_WAY", message).at(shown))
}

async fn to_stdout(app: &App, session: &Session, remotes: &[Remote]) -> Result<()> {
    let [remote] = remotes else {
        return Err(Error::usage("stdout takes one file; `depot cat` takes several"));
    };
    if app.output.is_json() {
        return Err(Error::usage("stdout cannot carry a file and --json at once"));
    }
    if remote.entry.kind() != Kind::File {
        return Err(Error::usage(format!("{} is no file", remote.path)));
    }
    let entry = &remote.entry;
    let wanted = Wanted::version(&entry.version, entry.size, &entry.blake3)?;
    let downloads = Downloads::new(session);
    downloads.in_order(&wanted, 0..entry.size, |bytes| app.output.bytes(bytes)).await?;
    app.output.flush()
}
