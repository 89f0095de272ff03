//! `depot du`: how much is in folders, as quotas count it.

use clap::Args;
use depot_proto::files::{Kind, MeasureRequest, MeasureResponse};
use serde::Serialize;

use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::Result;
use crate::listing;
use crate::path::RemotePath;
use crate::units::show_size;

/// What `depot du` takes.
#[derive(Args, Debug)]
#[command(after_help = "Two files of one content count twice, as in quotas.\n\
                  Examples:\n  depot du /photos\n  depot du --each /")]
pub(crate) struct Arguments {
    /// Files or folders; / without any
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// What is in each of these folders too, one by one
    #[arg(long)]
    each: bool,
}

#[derive(Serialize)]
struct MeasureLine<'a> {
    path: &'a str,
    files: u64,
    folders: u64,
    symlinks: u64,
    bytes: u64,
    version_bytes: u64,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths = RemotePath::parse_all(&arguments.paths)?;
    let session = app.session().await?;
    for path in &paths {
        if arguments.each {
            for below in inside(&session, path).await? {
                show(app, &session, &RemotePath::parse(&below)?).await?;
            }
        }
        show(app, &session, path).await?;
    }
    Ok(())
}

/// The folders and files in a folder; none in a file.
async fn inside(session: &Session, path: &RemotePath) -> Result<Vec<String>> {
    if listing::stat(session, path).await?.kind() != Kind::Folder {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    listing::pages(session, path, false, |page| {
        found.extend(page.entries.into_iter().map(|entry| entry.path));
        Ok(())
    })
    .await?;
    Ok(found)
}

async fn show(app: &App, session: &Session, path: &RemotePath) -> Result<()> {
    let answer = session.call(Repeat::Always, || async {
        session.files().measure(MeasureRequest { path: path.to_string() }).await
    });
    let found = answer.await.map_err(|error| error.at(path.to_string()))?;
    let path = path.to_string();
    if app.output.is_json() {
        let MeasureResponse { files, folders, symlinks, bytes, version_bytes } = found;
        let line = MeasureLine { path: &path, files, folders, symlinks, bytes, version_bytes };
        return app.output.object(&line);
    }
    app.output.line(&format!("{:>10}  {path}", show_size(found.bytes)))
}
