//! `depot mv`: gives entries another path. Where each goes is the target rule, shared with `depot cp`.

use clap::Args;
use depot_proto::files::{Kind, MakeFolderRequest, MoveRequest};
use uuid::Uuid;

use super::conditions::Conditions;
use super::mkdir::report;
use crate::app::App;
use crate::batch::Batch;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::path::RemotePath;
use crate::target::{self, Place, Source, Standing};

/// What `depot mv` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot mv /reports/q3.pdf /archive/")]
pub(crate) struct Arguments {
    /// What is moved
    #[arg(required = true, value_name = "PATH")]
    sources: Vec<String>,
    /// Where it goes
    #[arg(value_name = "TARGET")]
    target: String,
    /// Only if nothing is there
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    conditions: Conditions,
}

/// An entry and the path that it, or its copy, gets.
pub(super) struct Step {
    pub(super) source: RemotePath,
    pub(super) target: RemotePath,
}

/// What was typed for a move or a copy.
pub(super) struct Asked<'a> {
    pub(super) sources: &'a [String],
    pub(super) target: &'a str,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    arguments.conditions.about_one(arguments.sources.len())?;
    let session = app.session().await?;
    let mut batch = Batch::new(app, arguments.sources.len());
    let asked = Asked { sources: &arguments.sources, target: &arguments.target };
    for step in asked.steps(&session, true, &mut batch).await? {
        let request_id = Uuid::new_v4().to_string();
        let answer = session.call(Repeat::Always, || async {
            let request = MoveRequest {
                source: step.source.to_string(),
                target: step.target.to_string(),
                request_id: request_id.clone(),
                if_generation: arguments.conditions.if_generation,
                if_etag: arguments.conditions.etag(),
                if_absent: arguments.if_absent,
            };
            session.files().r#move(request).await
        });
        let moved = answer.await.map(|answer| answer.entry);
        let moved = moved.map_err(|error| error.about(&step.source.to_string()));
        let detail = format!("moved {} to {}", step.source, step.target);
        batch.took(moved.and_then(|entry| report(app, entry, &detail)))?;
    }
    batch.ended()
}

impl Asked<'_> {
    /// Where each source that is there goes; the folders on the way are made.
    pub(super) async fn steps(
        &self,
        session: &Session,
        takes_folders: bool,
        batch: &mut Batch<'_>,
    ) -> Result<Vec<Step>> {
        let target = RemotePath::parse(self.target)?;
        let sources: Vec<RemotePath> =
            self.sources.iter().map(|source| RemotePath::parse(source)).collect::<Result<_>>()?;
        let mut things = Vec::new();
        for source in sources {
            match look(session, &source, takes_folders).await {
                Ok(is_folder) => things.push((source.to_string(), source, is_folder)),
                // A command line that is wrong is refused as a whole.
                Err(error) if error.exit() == Exit::Usage => return Err(error),
                Err(error) => batch.took(Err(error.about(&source.to_string())))?,
            }
        }
        if things.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<Source<'_>> = things
            .iter()
            .map(|(typed, source, is_folder)| {
                let name = source.name().map(str::to_owned);
                Source { typed, name, is_folder: *is_folder }
            })
            .collect();
        let standing = match listing::find(session, &target).await? {
            Some(entry) if entry.kind() == Kind::Folder => Standing::Folder,
            Some(_) => Standing::File,
            None => Standing::Nothing,
        };
        let place = target::place(&self.into(), &found, standing)?;
        if let Some(&(later, earlier)) = target::same_names(&place).first() {
            let (later, earlier) = (&things[later].0, &things[earlier].0);
            let message = format!("{later} and {earlier} would have one name");
            return Err(Error::new(Exit::Conflict, "NAME_TWIN", message).at(later));
        }
        let folder = if place == Place::Exactly { target.parent() } else { target.clone() };
        if standing == Standing::Nothing {
            make(session, &folder).await?;
        }
        let targets: Vec<RemotePath> = match place {
            Place::Exactly => vec![target],
            Place::Into(names) => {
                names.iter().map(|name| target.join(name)).collect::<Result<_>>()?
            }
        };
        let steps = things.into_iter().zip(targets);
        Ok(steps.map(|((_, source, _), target)| Step { source, target }).collect())
    }

    /// Several were named, so they go into it, also when one alone is there.
    fn into(&self) -> String {
        match self.sources.len() > 1 && !target::says_into(self.target) {
            true => format!("{}/", self.target),
            false => self.target.to_owned(),
        }
    }
}

/// Whether a source is a folder, if it is there and may be taken.
async fn look(session: &Session, source: &RemotePath, takes_folders: bool) -> Result<bool> {
    let is_folder = listing::stat(session, source).await?.kind() == Kind::Folder;
    if is_folder && !takes_folders {
        let message = format!("{source} is a folder; give -r to copy it with all that is in it");
        return Err(Error::usage(message).at(source.to_string()));
    }
    Ok(is_folder)
}

async fn make(session: &Session, folder: &RemotePath) -> Result<()> {
    if folder.is_root() {
        return Ok(());
    }
    let answer = session.call(Repeat::Always, || async {
        let request = MakeFolderRequest { path: folder.to_string(), parents: true, mode: None };
        session.files().make_folder(request).await
    });
    answer.await.map(drop).map_err(|error| error.at(folder.to_string()))
}
