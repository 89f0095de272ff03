//! `depot get`: files and trees from the server. Every byte is verified before it has its name here, and
//! nothing is written outside the target.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use clap::Args;
use depot_proto::files::{Entry, Kind};
use tokio::task::block_in_place;

use super::versions::meant;
use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::link::LinkArgs;
use crate::listing;
use crate::output::json;
use crate::path::RemotePath;
use crate::target::{self, Place, Source, Standing};
use crate::transfer::{Downloads, Wanted};
use crate::tree::beneath::{Attributes, Beneath};
use crate::tree::filter::{Filter, FilterArgs};
use crate::tree::listed::{Item, ItemKind, attributes, check};
use crate::tree::receive::{Received, Receiving};
use crate::tree::walk::kind_of;
use crate::units::{count, show_size};

/// What is said when the connection is lost in the middle.
const GOES_ON: &str = "what has arrived is kept; running it again goes on where it stopped";

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
    let mut paths: Vec<RemotePath> =
        arguments.sources.iter().map(|source| RemotePath::parse(source)).collect::<Result<_>>()?;
    let (session, root) = match arguments.link.open(app).await? {
        Some(opened) => (opened.session, Some(opened.leads_to.name)),
        None => (app.session().await?, None),
    };
    if paths.is_empty() {
        paths.push(RemotePath::parse("/")?);
    }
    let mut remotes = Vec::new();
    for path in paths {
        let entry = listing::stat(&session, &path).await?;
        if entry.kind() == Kind::Folder && !arguments.recursive {
            let message = format!("{path} is a folder; give -r to get it with all that is in it");
            return Err(Error::usage(message).at(path.to_string()));
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
    let Arguments { sync, checksum, xattrs, .. } = arguments;
    let is_known = arguments.link.link.is_none();
    let got = Get { app, session, is_known, sync, checksum, xattrs, filter };
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

struct Get<'a> {
    app: &'a App,
    session: Session,
    /// Whether it is an account that gets it, and not whoever has a link.
    is_known: bool,
    sync: bool,
    checksum: bool,
    xattrs: bool,
    filter: Filter,
}

impl Get<'_> {
    async fn all(&self, remotes: Vec<Remote>, aim: Aim) -> Result<()> {
        let mut items = Vec::new();
        let mut root = None;
        for (remote, name) in remotes.into_iter().zip(aim.names) {
            root = self.list(remote, name, &mut items).await?;
        }
        if !self.xattrs {
            let all = items.iter_mut().map(|item| &mut item.attributes).chain(&mut root);
            all.for_each(|attributes| attributes.xattrs = None);
        }
        let items = Arc::new(items);
        let failed = |error: io::Error| Error::file("make", &aim.folder, &error);
        if !aim.folder.as_os_str().is_empty() {
            fs::create_dir_all(&aim.folder).map_err(failed)?;
        }
        let beneath = Arc::new(Beneath::open(&aim.folder).map_err(failed)?);
        if root.is_some() {
            beneath.folder("").and_then(|folder| folder.admit()).map_err(failed)?;
        }
        let receiving = Receiving {
            session: self.session.clone(),
            downloads: Downloads::new(&self.session),
            beneath: beneath.clone(),
            progress: self.app.output.progress("get", Some(size(&items))),
            reads_all: self.checksum,

            state: self.is_known.then(|| self.app.state.clone()),
        };
        let received = receiving.all(&items).await;
        let received = received.map_err(|error| error.if_run_again(GOES_ON))?;
        receiving.progress.end();
        if let Some(attributes) = root {
            let done = beneath.folder("").and_then(|folder| folder.finish(&attributes));
            done.map_err(failed)?;
        }
        if self.sync {
            block_in_place(|| beneath.sync()).map_err(failed)?;
        }
        self.report(&receiving, &items, &received)?;
        self.finish(&items, &received.left_out)
    }

    /// What a source comes to: itself, or all that is in it. The attributes are those of the directory
    /// that is written beneath, where that is the source.
    async fn list(
        &self,
        remote: Remote,
        name: OsString,
        items: &mut Vec<Item>,
    ) -> Result<Option<Attributes>> {
        if remote.entry.kind() != Kind::Folder {
            items.push(Item::alone(remote.entry, name)?);
            return Ok(None);
        }
        let mut entries = listing::tree(&self.session, &remote.path).await?;
        let root_path = remote.path.below("");
        entries.retain(|entry| {
            let below = entry.path.strip_prefix(&root_path).unwrap_or(&entry.path);
            let is_folder = entry.kind() == Kind::Folder;
            !self.filter.leaves_out_remote(below.trim_start_matches('/'), is_folder)
        });
        let below = check(&remote.path, &name.to_string_lossy(), entries)?;
        let mut root = Some(attributes(&remote.entry));
        if !name.is_empty() {
            items.push(Item::alone(remote.entry, name)?);
            root = None;
        }
        items.extend(below);
        Ok(root)
    }

    fn report(&self, receiving: &Receiving, items: &[Item], received: &Received) -> Result<()> {
        let (mut files, mut size, mut fetched) = (0, 0, 0);
        for (item, bytes) in items.iter().zip(&received.bytes) {
            let (ItemKind::File { size: its, digest, .. }, Some(bytes)) = (&item.what, *bytes)
            else {
                continue;
            };
            (files, size, fetched) = (files + 1, size + its, fetched + bytes);
            if self.app.output.is_json() {
                self.app.output.object(&json::Got {
                    path: &item.path,
                    local: &receiving.shown(item).to_string_lossy(),
                    size: *its,
                    blake3: digest.to_hex(),
                    received_bytes: bytes,
                })?;
            }
        }
        if received.left_out.len() < items.len() {
            let (files, size) = (count(files, "file"), show_size(size));
            let told = format!("got {files}, {size} ({} received)", show_size(fetched));
            self.app.output.note(&told);
        }
        Ok(())
    }

    /// Names what was left out.
    fn finish(&self, items: &[Item], left_out: &[Error]) -> Result<()> {
        match (items, left_out) {
            (_, []) => Ok(()),
            // The only thing that was asked for: its own error says best what is wrong.
            ([_], [only]) => Err(only.clone()),
            _ => {
                for error in left_out {
                    self.app.output.error(error);
                }
                let left_out = count(left_out.len(), "thing");
                Err(Error::partial(format!("{left_out} left out; all else is here")))
            }
        }
    }
}

fn size(items: &[Item]) -> u64 {
    let sizes = items.iter().map(|item| match &item.what {
        ItemKind::File { size, .. } => *size,
        _ => 0,
    });
    sizes.sum()
}
