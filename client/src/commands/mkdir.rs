//! `depot mkdir`: makes folders.

use clap::Args;
use depot_proto::files::{Entry, MakeFolderRequest};

use crate::app::App;
use crate::batch::Batch;
use crate::connect::Repeat;
use crate::error::{Error, Exit, Result};
use crate::output::json;
use crate::path::RemotePath;

/// What `depot mkdir` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot mkdir -p /reports/2026/q3")]
pub(crate) struct Arguments {
    /// The new folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Make missing parents too; a folder that stands already is no error
    #[arg(short, long)]
    parents: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths: Vec<RemotePath> =
        arguments.paths.iter().map(|path| RemotePath::parse(path)).collect::<Result<_>>()?;
    let session = app.session().await?;
    let parents = arguments.parents;
    // Without -p the second of two calls would say that the folder stands already.
    let repeat = if parents { Repeat::Always } else { Repeat::Unsent };
    let mut batch = Batch::new(app, paths.len());
    for path in &paths {
        let answer = session.call(repeat, || async {
            let request = MakeFolderRequest { path: path.to_string(), parents, mode: None };
            session.files().make_folder(request).await
        });
        let made = answer.await.map(|answer| answer.entry);
        let made = made.map_err(|error| with_hint(error, parents).about(&path.to_string()));
        batch.took(made.and_then(|entry| report(app, entry, &format!("made {path}"))))?;
    }
    batch.ended()
}

fn with_hint(error: Error, parents: bool) -> Error {
    match error.exit() {
        Exit::NotFound if !parents => {
            let message = format!("{}; -p makes the folders on the way too", error.message());
            error.with_message(message)
        }
        _ => error,
    }
}

/// Prints what an entry is now.
pub(super) fn report(app: &App, entry: Option<Entry>, detail: &str) -> Result<()> {
    let entry = entry.ok_or_else(|| Error::bad_answer("the server sent no entry"))?;
    if app.output.is_json() {
        app.output.object(&json::Listed::from(&entry))?;
    }
    app.output.detail(detail);
    Ok(())
}
