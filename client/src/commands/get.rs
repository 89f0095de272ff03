//! `depot get`: files and trees from the server. Every byte is verified before it has its name here, and
//! nothing is written outside the target.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use clap::Args;
use depot_proto::files::{Entry, Kind};
use tokio::task::block_in_place;

use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::output::json;
use crate::path::RemotePath;
use crate::target::{self, Place, Source, Standing};
use crate::transfer::{Downloads, Wanted};
use crate::tree::beneath::Beneath;
use crate::tree::listed::{Item, ItemKind, attributes, check};
use crate::tree::receive::{Received, Receiving};
use crate::units::show_size;

/// What `depot get` takes.
#[derive(Args, Debug)]
#[command(
    override_usage = "depot get [OPTIONS] REMOTE... LOCAL",
    after_help = "The target is the new name; one that ends in / means into it.\n\
                  Examples:\n  depot get /reports/q3.pdf .\n  depot get -r /photos photos"
)]
pub(crate) struct Arguments {
    /// Files, or folders with -r; then the target, or - for stdout
    #[arg(required = true, num_args = 2.., value_name = "REMOTE... LOCAL")]
    paths: Vec<OsString>,
    /// Get folders, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Return only when all is on disk
    #[arg(long)]
    sync: bool,
}

/// Something that was named on the command line.
struct Remote {
    path: RemotePath,
    entry: Entry,
}

/// Where the sources go: beneath which directory, and under which names.
struct Aim {
    folder: PathBuf,
    /// For each source; empty for the directory itself.
    names: Vec<OsString>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let Some((target, sources)) = arguments.paths.split_last() else {
        return Err(Error::usage("there is nothing to get"));
    };
    let paths: Vec<RemotePath> = sources
        .iter()
        .map(|source| RemotePath::parse(&source.to_string_lossy()))
        .collect::<Result<_>>()?;
    let session = app.session().await?;
    let mut remotes = Vec::new();
    for path in paths {
        let entry = listing::stat(&session, &path).await?;
        if entry.kind() == Kind::Folder && !arguments.recursive {
            let message = format!("{path} is a folder; give -r to get it with all that is in it");
            return Err(Error::usage(message).at(path.to_string()));
        }
        remotes.push(Remote { path, entry });
    }
    if target == "-" {
        return to_stdout(app, &session, &remotes).await;
    }
    let aim = aim(Path::new(target), &remotes)?;
    let got = Get { app, session, sync: arguments.sync };
    got.all(remotes, aim).await
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
            name: remote.path.name().map(str::to_owned),
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
            let name = target.file_name().unwrap_or(OsStr::new("-")).to_owned();
            let folder = target.parent().unwrap_or(Path::new("")).to_owned();
            Aim { folder, names: vec![name] }
        }
    })
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
    sync: bool,
}

impl Get<'_> {
    async fn all(&self, remotes: Vec<Remote>, aim: Aim) -> Result<()> {
        let mut lists = Vec::new();
        for (remote, name) in remotes.into_iter().zip(aim.names) {
            lists.push(self.items(remote, name).await?);
        }
        let failed = |error: io::Error| Error::file("make", &aim.folder, &error);
        if !aim.folder.as_os_str().is_empty() {
            fs::create_dir_all(&aim.folder).map_err(failed)?;
        }
        let beneath = Arc::new(Beneath::open(&aim.folder).map_err(failed)?);
        let downloads = Downloads::new(&self.session);
        let mut left_out = 0;
        for List { items, root } in lists {
            let receiving = Receiving {
                session: self.session.clone(),
                downloads: downloads.clone(),
                beneath: beneath.clone(),
                progress: self.app.output.progress("get", Some(size(&items))),
            };
            let received = receiving.all(&items).await?;
            if let Some(attributes) = root {
                let done = beneath.folder("").and_then(|folder| folder.finish(attributes));
                done.map_err(failed)?;
            }
            left_out += self.report(&receiving, &items, received)?;
        }
        if self.sync {
            block_in_place(|| beneath.sync()).map_err(failed)?;
        }
        match left_out {
            0 => Ok(()),
            many => Err(Error::partial(format!("{many} could not be written; all else is here"))),
        }
    }

    /// What a source comes to: itself, or all that is in it.
    async fn items(&self, remote: Remote, name: OsString) -> Result<List> {
        if remote.entry.kind() != Kind::Folder {
            let item = Item::alone(remote.entry, name)?;
            return Ok(List { items: Arc::new(vec![item]), root: None });
        }
        let entries = listing::tree(&self.session, &remote.path).await?;
        let mut items = Vec::new();
        let mut root = Some(attributes(&remote.entry));
        if !name.is_empty() {
            items.push(Item::alone(remote.entry, name.clone())?);
            root = None;
        }
        items.extend(check(&remote.path, &name.to_string_lossy(), entries)?);
        Ok(List { items: Arc::new(items), root })
    }

    /// Names what was left out; how much that was.
    fn report(&self, receiving: &Receiving, items: &[Item], received: Received) -> Result<usize> {
        let files = items.iter().zip(&received.bytes);
        let (mut count, mut size, mut fetched) = (0_u64, 0, 0);
        for (item, bytes) in files {
            let (ItemKind::File { size: its, digest, .. }, Some(bytes)) = (&item.what, *bytes)
            else {
                continue;
            };
            (count, size, fetched) = (count + 1, size + its, fetched + bytes);
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
        // The only thing that was asked for: its own error says best what is wrong.
        if let ([_], [only]) = (items, &received.left_out[..]) {
            return Err(only.clone());
        }
        for error in &received.left_out {
            self.app.output.error(error);
        }
        let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let (size, fetched) = (show_size(size), show_size(fetched));
        self.app.output.note(&format!("got {files}, {size} ({fetched} received)"));
        Ok(received.left_out.len())
    }
}

/// The entries of one source, and the attributes of the directory itself where it is one of them.
struct List {
    items: Arc<Vec<Item>>,
    root: Option<crate::tree::beneath::Attributes>,
}

fn size(items: &[Item]) -> u64 {
    let sizes = items.iter().map(|item| match &item.what {
        ItemKind::File { size, .. } => *size,
        _ => 0,
    });
    sizes.sum()
}
