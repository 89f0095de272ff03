//! `depot cp`: a second entry of the same content, made on the server: no bytes move.

use clap::Args;
use depot_proto::files::CopyRequest;
use uuid::Uuid;

use super::mkdir::report;
use super::mv::Asked;
use crate::app::App;
use crate::batch::Batch;
use crate::connect::Repeat;
use crate::error::Result;

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
    /// Only if nothing is there
    #[arg(long)]
    if_absent: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let recursive = arguments.recursive;
    let mut batch = Batch::new(app, arguments.sources.len());
    let asked = Asked { sources: &arguments.sources, target: &arguments.target };
    for step in asked.steps(&session, recursive, &mut batch).await? {
        let request_id = Uuid::new_v4().to_string();
        let answer = session.call(Repeat::Always, || async {
            let request = CopyRequest {
                source: step.source.to_string(),
                target: step.target.to_string(),
                request_id: request_id.clone(),
                recursive,
                if_absent: arguments.if_absent,
            };
            session.files().copy(request).await
        });
        let copied = answer.await.map(|answer| answer.entry);
        let copied = copied.map_err(|error| error.about(&step.source.to_string()));
        let detail = format!("copied {} to {}", step.source, step.target);
        batch.took(copied.and_then(|entry| report(app, entry, &detail)))?;
    }
    batch.ended()
}
