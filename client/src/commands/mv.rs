//! `depot mv`: gives entries another path. Where each goes is the target rule, shared with `depot cp`.

use clap::Args;
use depot_proto::files::{Kind, MakeFolderRequest, MoveRequest};
use uuid::Uuid;

use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::output::json;
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
}

/// An entry and the path that it, or its copy, gets.
pub(super) struct Step {
    pub(super) source: RemotePath,
    pub(super) target: RemotePath,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    for step in steps(&session, &arguments.sources, &arguments.target, true).await? {
        let request_id = Uuid::new_v4().to_string();
        let answer = session.call(Repeat::Always, || async {
            let request = MoveRequest {
                source: step.source.to_string(),
                target: step.target.to_string(),
                request_id: request_id.clone(),
            };
            session.files().r#move(request).await
        });
        let entry = answer.await.map_err(|error| error.at(step.source.to_string()))?.entry;
        let entry = entry.ok_or_else(|| Error::bad_answer("the server sent no entry"))?;
        if app.output.is_json() {
            app.output.object(&json::Listed::from(&entry))?;
        }
        app.output.detail(&format!("moved {} to {}", step.source, step.target));
    }
    Ok(())
}

/// Where each source goes; the folders on the way are made.
pub(super) async fn steps(
    session: &Session,
    sources: &[String],
    typed: &str,
    takes_folders: bool,
) -> Result<Vec<Step>> {
    let target = RemotePath::parse(typed)?;
    let sources: Vec<RemotePath> =
        sources.iter().map(|source| RemotePath::parse(source)).collect::<Result<_>>()?;
    let mut things = Vec::new();
    for source in &sources {
        let entry = listing::stat(session, source).await?;
        let is_folder = entry.kind() == Kind::Folder;
        if is_folder && !takes_folders {
            let message =
                format!("{source} is a folder; give -r to copy it with all that is in it");
            return Err(Error::usage(message).at(source.to_string()));
        }
        things.push((source.to_string(), source.name().map(str::to_owned), is_folder));
    }
    let things: Vec<Source<'_>> = things
        .iter()
        .map(|(typed, name, is_folder)| Source { typed, name: name.clone(), is_folder: *is_folder })
        .collect();
    let standing = match listing::find(session, &target).await? {
        Some(entry) if entry.kind() == Kind::Folder => Standing::Folder,
        Some(_) => Standing::File,
        None => Standing::Nothing,
    };
    let place = target::place(typed, &things, standing)?;
    if let Some(&(later, earlier)) = target::same_names(&place).first() {
        let message = format!("{} and {} would have one name", sources[later], sources[earlier]);
        return Err(Error::new(Exit::Conflict, "NAME_TWIN", message).at(sources[later].to_string()));
    }
    let folder = if place == Place::Exactly { target.parent() } else { target.clone() };
    if standing == Standing::Nothing {
        make(session, &folder).await?;
    }
    let targets: Vec<RemotePath> = match place {
        Place::Exactly => vec![target],
        Place::Into(names) => names.iter().map(|name| target.join(name)).collect::<Result<_>>()?,
    };
    let steps = sources.into_iter().zip(targets);
    Ok(steps.map(|(source, target)| Step { source, target }).collect())
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
