//! `depot verify`: compares files of this machine with the server's. All here is read, nothing is fetched:
//! the server has the digest of each file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::{fs, io};

use clap::Args;
use depot_proto::files::{Entry, Kind};
use serde::Serialize;
use tokio::task::block_in_place;

use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::output::Progress;
use crate::output::json::kind_name;
use crate::path::RemotePath;
use crate::transfer::index::Recorder;
use crate::transfer::{Digest, Seen, open};
use crate::tree::compare::{Difference, There};
use crate::tree::filter::{Filter, FilterArgs};
use crate::tree::plan::described;
use crate::tree::reading::{digest, for_each};
use crate::tree::walk::{Found, Root, Walked, What};
use crate::units::{count, show_size};

/// What `depot verify` takes.
#[derive(Args, Debug)]
#[command(after_help = "Exits with 0 where nothing differs, and with 1 where something does.\n\
                  Examples:\n  depot verify photos /photos\n  depot verify --attributes src /src")]
pub(crate) struct Arguments {
    /// A file or a folder of this machine
    #[arg(value_name = "LOCAL")]
    local: OsString,
    /// What it is compared with
    #[arg(value_name = "REMOTE")]
    remote: String,
    /// Compare permissions and times too
    #[arg(long)]
    attributes: bool,
    /// Compare permissions, times and extended attributes: those of user.
    #[arg(short = 'X', long)]
    xattrs: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Leave out what the .gitignore files of the tree say
    #[arg(long)]
    gitignore: bool,
}

/// Something that is not the same.
#[derive(Serialize)]
struct Line<'a> {
    difference: &'a str,
    path: &'a str,
    kind: &'static str,
}

/// What a comparison came to.
#[derive(Default)]
struct Compared {
    files: usize,
    bytes: u64,
    different: usize,
    unread: Vec<Error>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let remote = RemotePath::parse(&arguments.remote)?;
    let filter = arguments.filter.filter(arguments.gitignore)?;
    let local = PathBuf::from(&arguments.local);
    fs::metadata(&local).map_err(|error| Error::file("read", &local, &error))?;
    let session = app.session().await?;
    let there = There::new(&remote, listed(&session, &remote).await?);
    let (shown, remote_shown) = (local.to_string_lossy().into_owned(), remote.to_string());
    let verify = Verify { app, arguments: &arguments, remote, there };
    let compared = block_in_place(|| verify.all(local, filter))?;
    for error in &compared.unread {
        app.output.error(error);
    }
    let (files, size) = (count(compared.files, "file"), show_size(compared.bytes));
    app.output.note(&format!("compared {files}, {size}: {} differ", compared.different));
    match (compared.different, compared.unread.len()) {
        (0, 0) => Ok(()),
        (0, unread) => {
            let unread = count(unread, "thing");
            Err(Error::partial(format!("{unread} could not be read; all else is the same")))
        }
        _ => {
            let message = format!("{shown} and {remote_shown} are not the same");
            Err(Error::new(Exit::Other, "DIFFERENT", message))
        }
    }
}

/// What was named, and all that is below it.
async fn listed(session: &Session, remote: &RemotePath) -> Result<Vec<Entry>> {
    let entry = listing::stat(session, remote).await?;
    let mut entries = match entry.kind() {
        Kind::Folder => listing::tree(session, remote).await?,
        _ => Vec::new(),
    };
    entries.push(entry);
    Ok(entries)
}

struct Verify<'a> {
    app: &'a App,
    arguments: &'a Arguments,
    remote: RemotePath,
    there: There,
}

impl Verify<'_> {
    fn all(&self, local: PathBuf, filter: Filter) -> Result<Compared> {
        let root = Root { local, name: String::new() };
        let mut walked = Walked::walk(&self.remote, vec![root], filter, self.arguments.xattrs);
        for warning in &walked.special {
            self.app.output.error(warning);
        }
        let mut compared =
            Compared { unread: std::mem::take(&mut walked.unreadable), ..Compared::default() };
        for problem in walked.invalid.iter().chain(&walked.twins) {
            // The server cannot have these.
            self.app.output.error(problem);
            compared.different += 1;
        }
        let mut read = self.read(&walked);
        for (place, found) in walked.found.iter().enumerate() {
            if found.what == What::File {
                compared.files += 1;
                compared.bytes += found.seen.size;
            }
            let digest = match read.remove(&place).transpose() {
                Ok(digest) => digest,
                Err(error) => {
                    compared.unread.push(error);
                    continue;
                }
            };
            let described = described(found, digest);
            let Some(difference) = self.there.difference(&described) else { continue };
            let name = match difference {
                Difference::New => "only here",
                Difference::Kind => "kind",
                Difference::Content => "content",
                Difference::Attributes if self.compares_attributes() => "attributes",
                Difference::Attributes => continue,
            };
            compared.different += 1;
            self.tell(name, &self.remote.below(&found.path), described.entry.kind())?;
        }
        let here = walked.here();
        for entry in self.there.gone(&here, |path, is_folder| walked.spares(path, is_folder)) {
            // What is of another kind has been told.
            if !here.contains_key(self.there.below(entry)) {
                compared.different += 1;
                self.tell("only there", &entry.path, entry.kind())?;
            }
        }
        Ok(compared)
    }

    fn compares_attributes(&self) -> bool {
        self.arguments.attributes || self.arguments.xattrs
    }

    /// The digests of the files of which the server has one of the same size: of others it is clear that
    /// they differ.
    fn read(&self, walked: &Walked) -> HashMap<usize, Result<Digest>> {
        let is_worth_it = |found: &Found| {
            let stands = self.there.entry(&found.path);
            found.what == What::File
                && stands.is_some_and(|stands| {
                    stands.kind() == Kind::File && stands.size == found.seen.size
                })
        };
        let places: Vec<usize> =
            (0..walked.found.len()).filter(|&place| is_worth_it(&walked.found[place])).collect();
        let total = places.iter().map(|&place| walked.found[place].seen.size).sum();
        let progress = self.app.output.progress("verify", Some(total));
        let recorder = Recorder::start(&self.app.state);
        let read =
            for_each(&places, |place| read(walked, &walked.found[place], &recorder, &progress));
        progress.end();
        places.into_iter().zip(read).collect()
    }

    fn tell(&self, difference: &str, path: &str, kind: Kind) -> Result<()> {
        if self.app.output.is_json() {
            let difference = &difference.replace(' ', "_");
            return self.app.output.object(&Line { difference, path, kind: kind_name(kind) });
        }
        self.app.output.line(&format!("{difference:<10}  {path}"))
    }
}

fn read(
    walked: &Walked,
    found: &Found,
    recorder: &Recorder,
    progress: &Progress,
) -> Result<Digest> {
    let local = walked.local(found);
    let failed = |error: io::Error| {
        let told = Error::file("read", &local, &error);
        Error::partial(told.message()).at(local.to_string_lossy())
    };
    let (file, metadata) = open(&local, walked.is_root(found)).map_err(failed)?;
    let seen = Seen::of(&metadata);
    let (digest, after) = digest(&file, &seen, recorder).map_err(failed)?;
    progress.add(seen.size);
    match after == seen {
        true => Ok(digest),
        false => Err(failed(io::Error::other("it changed while it was read"))),
    }
}
