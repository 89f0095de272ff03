//! `depot put`: files and trees to the server, all of it at once or nothing. What can be found wrong is
//! found and named before anything is sent.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use clap::Args;
use depot_proto::auth::ServerInfoResponse;
use depot_proto::files::{CommitBegin, CommitResponse, Kind};
use rustix::io::Errno;
use tokio::task::{block_in_place, spawn_blocking};
use uuid::Uuid;

use super::conditions::Conditions;
use super::{dropped, quota};
use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::link::LinkArgs;
use crate::listing;
use crate::output::json;
use crate::path::RemotePath;
use crate::state::{KeptId, Purpose};
use crate::target::{self, Place, Source, Standing};
use crate::transfer::commit::{Tree, commit};
use crate::transfer::index::{Index, Recorder};
use crate::transfer::{Upload, UploadKey};
use crate::tree::filter::{Filter, FilterArgs};
use crate::tree::plan::{Files, Known, Prepared, Sent};
use crate::tree::walk::{Root, Walked};
use crate::units::{count, show_size};

/// How often a put begins again because what it builds on has changed meanwhile.
const TRIES_AGAIN: u32 = 3;

/// What is said when the connection is lost in the middle.
const GOES_ON: &str = "what was sent is kept; running it again goes on where it stopped";

/// What `depot put` takes.
#[derive(Args, Debug)]
#[command(
    allow_missing_positional = true,
    after_help = "The target is the new name; one that ends in / means into it.\n\
                  Examples:\n  depot put report.pdf /reports/\n  depot put -r photos /photos"
)]
pub(crate) struct Arguments {
    /// Files, folders with -r, or - for stdin
    #[arg(required_unless_present = "link", value_name = "LOCAL")]
    sources: Vec<OsString>,
    /// Where they go; one more file, where --link says that
    #[arg(value_name = "REMOTE")]
    target: OsString,
    /// Put folders, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Only if nothing is there
    #[arg(long, conflicts_with_all = ["if_generation", "if_etag"])]
    if_absent: bool,
    #[command(flatten)]
    conditions: Conditions,
    /// Read all files, also those that are as they were when they were read last
    #[arg(long)]
    checksum: bool,
    /// Leave out names that count as one with a name before them
    #[arg(long)]
    skip_twins: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Leave out what the .gitignore files of the tree say
    #[arg(long)]
    gitignore: bool,
    #[command(flatten)]
    link: LinkArgs,
}

/// Something that was named on the command line.
struct Local {
    typed: String,
    path: PathBuf,
    is_folder: bool,
}

/// Where all of it goes.
struct Aim {
    base: RemotePath,
    /// The names below the base, one for each source; empty for the base itself.
    names: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    if arguments.link.link.is_some() {
        let files: Vec<&OsString> = arguments.sources.iter().chain([&arguments.target]).collect();
        return dropped::put(app, &arguments.link, &files).await;
    }
    let mut target = arguments.target.to_string_lossy().into_owned();
    let remote = RemotePath::parse(&target)?;
    let (locals, mut left_out) = look(&arguments.sources, arguments.recursive)?;
    if !left_out.is_empty() && !target::says_into(&target) {
        // Several were named, so they go into it, also when one alone is there.
        target.push('/');
    }
    let session = app.session().await?;
    let info = session.server_info().await?;
    let aim = aim(&session, &target, &remote, &locals).await?;
    conditions(&arguments, &locals, &aim)?;
    let filter = arguments.filter.filter(arguments.gitignore)?;
    let walked = walk(&aim, locals, filter).await?;
    refuse(app, &walked, arguments.skip_twins)?;
    left_out.extend(walked.unreadable.iter().cloned());
    left_out
        .extend(walked.twins.iter().map(|twin| Error::partial(twin.message()).at(twin_path(twin))));
    let put = Put { app, session: &session, info: &info, aim: &aim, arguments: &arguments };
    let (prepared, response) = put.everything(walked, &mut left_out).await?;
    put.report(&prepared, response).await?;
    if aim.base.owner().is_none() {
        quota::warn(app, &session).await;
    }
    finish(app, &left_out)
}

/// What the sources are on this machine. Of several, those that are not there are left out.
fn look(sources: &[OsString], recursive: bool) -> Result<(Vec<Local>, Vec<Error>)> {
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

async fn aim(
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

fn conditions(arguments: &Arguments, locals: &[Local], aim: &Aim) -> Result<()> {
    let has_folder = locals.iter().any(|local| local.is_folder);
    let operands = locals.len();
    arguments.conditions.about_one(operands)?;
    if arguments.conditions.if_generation.is_some() && has_folder {
        return Err(Error::usage("--if-generation is about one file; a folder has an etag"));
    }
    if arguments.if_absent && has_folder && aim.names.len() > 1 {
        return Err(Error::usage("--if-absent is about files, or about one folder"));
    }
    Ok(())
}

async fn walk(aim: &Aim, locals: Vec<Local>, filter: Filter) -> Result<Walked> {
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
    let walked = spawn_blocking(move || Walked::walk(&base, roots, filter)).await;
    walked.map_err(|error| Error::io("walk the tree", &io::Error::other(error)))
}

/// Names all that stands against it, before anything is sent.
fn refuse(app: &App, walked: &Walked, skip_twins: bool) -> Result<()> {
    for warning in &walked.special {
        app.output.error(warning);
    }
    let twins = if skip_twins { &[][..] } else { &walked.twins };
    for problem in walked.invalid.iter().chain(twins) {
        app.output.error(problem);
    }
    if !walked.invalid.is_empty() {
        let names = count(walked.invalid.len(), "name");
        let message = format!("{names} cannot be put; nothing was sent");
        return Err(Error::new(Exit::Usage, "INVALID_NAME", message));
    }
    if !twins.is_empty() {
        let message = format!(
            "{} stood in the way of another; nothing was sent. Rename them, or leave them out with \
             --skip-twins",
            count(twins.len(), "name")
        );
        return Err(Error::new(Exit::Conflict, "NAME_TWIN", message));
    }
    Ok(())
}

fn twin_path(twin: &Error) -> String {
    twin.path().unwrap_or_default().to_owned()
}

fn finish(app: &App, left_out: &[Error]) -> Result<()> {
    for error in left_out {
        app.output.error(error);
    }
    match left_out.len() {
        0 => Ok(()),
        1 => Err(Error::partial("one of the sources was left out; all else is there")),
        many => {
            Err(Error::partial(format!("{many} of the sources were left out; all else is there")))
        }
    }
}

fn nothing_put(app: &App, left_out: &[Error]) -> Error {
    match left_out {
        // The only thing that was asked for: its own error says best what is wrong.
        [only] => only.clone(),
        _ => {
            left_out.iter().for_each(|error| app.output.error(error));
            Error::partial("nothing could be read, and nothing was put")
        }
    }
}

/// One put, once it is clear what goes where.
struct Put<'a> {
    app: &'a App,
    session: &'a Session,
    info: &'a ServerInfoResponse,
    aim: &'a Aim,
    arguments: &'a Arguments,
}

impl Put<'_> {
    async fn everything(
        &self,
        walked: Walked,
        left_out: &mut Vec<Error>,
    ) -> Result<(Prepared, CommitResponse)> {
        let address = self.session.address().to_string();
        let base = self.aim.base.to_string();
        let mut place = vec![address.as_bytes(), self.session.known_account().as_bytes()];
        place.push(base.as_bytes());
        place.extend(self.aim.names.iter().map(String::as_bytes));
        let upload_id = KeptId::take(&self.app.state, Purpose::Upload, &place);
        let walked = Arc::new(walked);
        let files = Files::of(walked.clone());
        let mut tries_left = if files.can_be_read_again() { TRIES_AGAIN } else { 0 };
        let mut sent_before = vec![0; files.len()];
        let index = match self.arguments.checksum {
            true => None,
            false => Index::open(&self.app.state),
        };
        let recorder = Arc::new(Recorder::start(&self.app.state));
        loop {
            let total = (walked.bytes > 0).then_some(walked.bytes);
            let progress = self.app.output.progress("put", total);
            let tree = self.aim.base.owner().unwrap_or_default().to_owned();
            let key = UploadKey { id: upload_id.id(), tree };
            let upload = Upload::new(self.session, self.info, key, progress)?;
            let upload = upload.recorded(recorder.clone());
            let mut known = block_in_place(|| files.known(index.as_ref(), upload.cutter()));
            upload.leave_present(&mut known).await?;
            let jobs = files.jobs(&known);
            let uploaded = upload.run(known, jobs).await;
            let mut uploaded = uploaded.map_err(|error| error.if_run_again(GOES_ON))?;
            uploaded.sent.iter_mut().zip(&sent_before).for_each(|(sent, before)| *sent += before);
            sent_before.clone_from(&uploaded.sent);
            let mut prepared = files.prepare(uploaded);
            if prepared.entries.is_empty() {
                left_out.append(&mut prepared.left_out);
                return Err(nothing_put(self.app, left_out));
            }
            self.condition(&mut prepared);
            match commit(self.session, self.tree(&upload_id, &mut prepared)).await {
                Err(error) if tries_left > 0 && self.has_changed_meanwhile(&error) => {
                    tries_left -= 1;
                }
                done => {
                    let response = done.map_err(|error| self.told(error).at(base.as_str()))?;
                    upload_id.done();
                    left_out.append(&mut prepared.left_out);
                    return Ok((prepared, response));
                }
            }
        }
    }

    /// An error of the commit, in the words of what was typed.
    fn told(&self, error: Error) -> Error {
        let is_there = self.arguments.if_absent && error.reason() == "GENERATION_MISMATCH";
        match &self.aim.names[..] {
            [only] if is_there => {
                let path = self.aim.base.below(only);
                let message = format!("{path} exists already, and --if-absent replaces nothing");
                error.with_message(message)
            }
            _ => error.if_run_again(GOES_ON),
        }
    }

    /// What was there has been collected, such as under another put's upload; or somebody has made the
    /// target, or moved it, and the next try merges into what stands now.
    fn has_changed_meanwhile(&self, error: &Error) -> bool {
        match error.reason() {
            "CHUNKS_MISSING" => true,
            "ABORTED" => !self.arguments.if_absent,
            _ => false,
        }
    }

    fn condition(&self, prepared: &mut Prepared) {
        let generation = match self.arguments.if_absent {
            true => Some(0),
            false => self.arguments.conditions.if_generation,
        };
        let etag = self.arguments.conditions.etag();
        for planned in &mut prepared.entries {
            if self.aim.names.contains(&planned.entry.path) && planned.entry.kind() == Kind::File {
                planned.entry.if_generation = generation;
                planned.entry.if_etag.clone_from(&etag);
            }
        }
    }

    fn tree(&self, upload_id: &KeptId, prepared: &mut Prepared) -> Arc<Tree> {
        let is_tree = self.aim.names.iter().all(String::is_empty);
        let begin = CommitBegin {
            request_id: Uuid::new_v4().to_string(),
            upload_id: upload_id.id(),
            base: self.aim.base.to_string(),
            if_absent: self.arguments.if_absent && is_tree,
            size: Some(prepared.bytes),
            removals_as_of: None,
            if_etag: if is_tree { self.arguments.conditions.etag() } else { String::new() },
        };
        Arc::new(Tree { begin, entries: std::mem::take(&mut prepared.entries) })
    }

    async fn report(&self, prepared: &Prepared, response: CommitResponse) -> Result<()> {
        let files = &prepared.files;
        let (size, sent) = files
            .iter()
            .fold((0, 0), |(size, sent), file| (size + file.size, sent + file.sent_bytes));
        let CommitResponse { changed, unchanged, .. } = response;
        // Folders and symlinks are no files, but may have changed.
        let entries = changed + unchanged;
        let of = match entries == files.len() as u64 {
            true => String::new(),
            false => format!("of {entries} entries "),
        };
        self.app.output.note(&format!(
            "put {}, {} ({} sent); {of}{changed} changed, {unchanged} unchanged",
            count(files.len(), "file"),
            show_size(size),
            show_size(sent),
        ));
        if self.app.output.is_json() { self.lines(files, response).await } else { Ok(()) }
    }

    /// One line for each file, in the order of the tree.
    async fn lines(&self, files: &[Sent], response: CommitResponse) -> Result<()> {
        let known: Vec<Option<Known>> = match response.entries.is_empty() {
            false => files
                .iter()
                .map(|file| {
                    response.entries.get(file.place).and_then(|entry| Known::of(entry, file))
                })
                .collect(),
            true => self.listed(files).await?,
        };
        for (file, known) in files.iter().zip(&known) {
            self.app.output.object(&json::Put {
                path: &self.aim.base.below(&file.path),
                id: known.as_ref().map(|known| known.id.as_str()),
                version: known.as_ref().map(|known| known.version.as_str()),
                generation: known.as_ref().map(|known| known.generation),
                size: file.size,
                blake3: file.digest.to_hex(),
                sent_bytes: file.sent_bytes,
                reused_bytes: file.size - file.sent_bytes,
            })?;
        }
        Ok(())
    }

    /// The files of a commit that was too large for its answer to hold them; of all else that is there,
    /// nothing is kept.
    async fn listed(&self, files: &[Sent]) -> Result<Vec<Option<Known>>> {
        let places: HashMap<String, usize> =
            (0..).zip(files).map(|(at, file)| (self.aim.base.below(&file.path), at)).collect();
        let mut known: Vec<Option<Known>> = Vec::new();
        known.resize_with(files.len(), || None);
        listing::pages(self.session, &self.aim.base, true, |page| {
            for entry in &page.entries {
                if let Some(&at) = places.get(&entry.path) {
                    known[at] = Known::of(entry, &files[at]);
                }
            }
            Ok(())
        })
        .await?;
        Ok(known)
    }
}
