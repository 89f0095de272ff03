//! `depot rm`: removes entries, softly; folders with `-r` only.

use std::collections::BTreeSet;

use clap::Args;
use depot_proto::files::{AccessGrant, Kind, RemoveRequest};
use uuid::Uuid;

use super::conditions::Conditions;
use super::shares::{Whose, granted};
use crate::app::App;
use crate::batch::Batch;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::path::RemotePath;

/// What `depot rm` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot rm /reports/q3.pdf\n  depot rm -r /photos")]
pub(crate) struct Arguments {
    /// What is removed
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Folders too, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    conditions: Conditions,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths: Vec<RemotePath> =
        arguments.paths.iter().map(|path| RemotePath::parse(path)).collect::<Result<_>>()?;
    arguments.conditions.about_one(paths.len())?;
    let session = app.session().await?;
    let mut batch = Batch::new(app, paths.len());
    let mut standing = Vec::with_capacity(paths.len());
    for path in &paths {
        match is_removable(&session, path, &arguments).await {
            Ok(()) => standing.push(path),
            // A command line that is wrong is refused as a whole.
            Err(error) if error.exit() == Exit::Usage => return Err(error),
            absent => batch.took(absent)?,
        }
    }
    let granted = match standing.iter().any(|path| path.owner().is_none()) {
        true => granted(&session, Whose::Own("")).await?,
        false => Vec::new(),
    };
    for path in standing {
        let removed = remove(&session, path, &arguments).await;
        batch.took(removed.inspect(|()| {
            app.output.detail(&format!("removed {path}"));
            if let Some(told) = lost(path, &granted) {
                app.output.note(&told);
            }
        }))?;
    }
    batch.ended()
}

/// Who loses what was shared with them.
fn lost(path: &RemotePath, granted: &[AccessGrant]) -> Option<String> {
    let root = path.to_string();
    let is_gone = |grant: &&AccessGrant| {
        let below = grant.path.strip_prefix(&root);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    };
    let who: BTreeSet<&str> = granted.iter().filter(is_gone).map(|g| g.grantee.as_str()).collect();
    let who = Vec::from_iter(who).join(", ");
    (!who.is_empty()).then(|| {
        format!(
            "{path} was shared, or something in it, with {who}: they lose it too, until \
             `depot trash restore` brings it back"
        )
    })
}

async fn is_removable(session: &Session, path: &RemotePath, arguments: &Arguments) -> Result<()> {
    if !arguments.recursive && listing::stat(session, path).await?.kind() == Kind::Folder {
        let message = format!("{path} is a folder; give -r to remove it with all that is in it");
        return Err(Error::usage(message).at(path.to_string()));
    }
    Ok(())
}

async fn remove(session: &Session, path: &RemotePath, arguments: &Arguments) -> Result<()> {
    let request_id = Uuid::new_v4().to_string();
    let answer = session.call(Repeat::Always, || async {
        let request = RemoveRequest {
            path: path.to_string(),
            recursive: arguments.recursive,
            request_id: request_id.clone(),
            if_generation: arguments.conditions.if_generation,
            if_etag: arguments.conditions.etag(),
        };
        session.files().remove(request).await
    });
    answer.await.map(drop).map_err(|error| error.about(&path.to_string()))
}
