//! `depot cp`: a second entry of the same content, made on the server: no bytes move.

use clap::Args;
use depot_proto::files::CopyRequest;
use uuid::Uuid;

use super::mv::steps;
use crate::app::App;
use crate::connect::Repeat;
use crate::error::{Error, Result};
use crate::output::json;

/// What `depot cp` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot cp /reports/q3.pdf /reports/q3-draft.pdf")]
pub(crate) struct Arguments {
    /// What is copied
    #[arg(required = true, value_name = "PATH")]
    sources: Vec<String>,
    /// Where it goes
    #[arg(value_name = "TARGET")]
    target: String,
    /// Folders too, with all that is in them
    #[arg(short, long)]
    recursive: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let recursive = arguments.recursive;
    for step in steps(&session, &arguments.sources, &arguments.target, recursive).await? {
        let request_id = Uuid::new_v4().to_string();
        let answer = session.call(Repeat::Always, || async {
            let request = CopyRequest {
                source: step.source.to_string(),
                target: step.target.to_string(),
                request_id: request_id.clone(),
                recursive,
            };
            session.files().copy(request).await
        });
        let entry = answer.await.map_err(|error| error.at(step.source.to_string()))?.entry;
        let entry = entry.ok_or_else(|| Error::bad_answer("the server sent no entry"))?;
        if app.output.is_json() {
            app.output.object(&json::Listed::from(&entry))?;
        }
        app.output.detail(&format!("copied {} to {}", step.source, step.target));
    }
    Ok(())
}
