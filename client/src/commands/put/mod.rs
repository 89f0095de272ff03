//! `depot put`: files and trees to the server, all of it at once or nothing. What can be found wrong is
//! found and named before anything is sent.

mod report;
mod sending;
mod sources;

use std::ffi::OsString;

use clap::Args;
use futures_util::future::try_join;

use self::sending::Put;
use self::sources::{Aim, Local, aim, look, walk};
use super::conditions::Conditions;
use super::{dropped, quota};
use crate::app::App;
use crate::error::{Error, Exit, Result};
use crate::link::LinkArgs;
use crate::path::RemotePath;
use crate::target;
use crate::tree::filter::FilterArgs;
use crate::tree::walk::Walked;
use crate::units::count;

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
    /// Remove what is below the target and not in the folder that is put: to the trash. What is left out
    /// here stays there
    #[arg(long, requires = "recursive")]
    delete: bool,
    /// Change nothing, but say what would be put, sent and removed
    #[arg(long, conflicts_with = "link")]
    dry_run: bool,
    /// Where more would change than the server does at once, do it in several steps
    #[arg(long)]
    no_atomic: bool,
    /// Read all files, also those that are as they were when they were read last
    #[arg(long)]
    checksum: bool,
    /// Extended attributes too: those of user.
    #[arg(short = 'X', long)]
    xattrs: bool,
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
    if locals.iter().any(Local::is_large) {
        session.connect_all();
    }
    let aiming = aim(&session, &target, &remote, &locals);
    let (info, aim) = try_join(session.server_info(), aiming).await?;
    conditions(&arguments, &locals, &aim)?;
    let filter = arguments.filter.filter(arguments.gitignore)?;
    let walked = walk(&aim, locals, filter, arguments.xattrs).await?;
    refuse(app, &walked, arguments.skip_twins)?;
    left_out.extend(walked.unreadable.iter().cloned());
    left_out
        .extend(walked.twins.iter().map(|twin| Error::partial(twin.message()).at(twin_path(twin))));
    let put = Put { app, session: &session, info: &info, aim: &aim, arguments: &arguments };
    if let Some(done) = put.everything(walked, &mut left_out).await? {
        let (used, quota) = (done.response.used_bytes, done.response.quota_bytes);
        put.report(done).await?;
        if let (Some(used), Some(quota)) = (used, quota) {
            quota::warn(app, used, quota);
        }
    }
    finish(app, &left_out)
}

fn conditions(arguments: &Arguments, locals: &[Local], aim: &Aim) -> Result<()> {
    let has_folder = locals.iter().any(|local| local.is_folder);
    let operands = locals.len();
    arguments.conditions.about_one(operands)?;
    if arguments.conditions.if_generation.is_some() && has_folder {
        return Err(Error::usage("--if-generation is about one file; a folder has an etag"));
    }
    if arguments.delete && !has_folder {
        return Err(Error::usage("--delete is about folders"));
    }
    if arguments.if_absent && has_folder && aim.names.len() > 1 {
        return Err(Error::usage("--if-absent is about files, or about one folder"));
    }
    Ok(())
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
