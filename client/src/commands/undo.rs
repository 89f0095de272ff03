//! `depot undo`: takes back what the last put into a tree did.

use clap::Args;
use depot_proto::files::UndoRequest;
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::Result;
use crate::path::RemotePath;
use crate::units::{rfc3339, show_time};

/// What `depot undo` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "What the last put or cp into the folder, or into one below it, has made goes to the \
                  trash,\nand what it has replaced is there again. When something of it has changed since, \
                  nothing is done.\nExample:\n  depot undo /photos"
)]
pub(crate) struct Arguments {
    /// The folder
    #[arg(value_name = "PATH")]
    path: String,
}

#[derive(Serialize)]
struct UndoneLine<'a> {
    path: &'a str,
    committed_at: Option<String>,
    removed: u64,
    restored: u64,
    adjusted: u64,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = RemotePath::parse(&arguments.path)?;
    let session = app.session().await?;
    let request_id = Uuid::new_v4().to_string();
    let answer = session.call(Repeat::Always, || async {
        let request = UndoRequest { path: path.to_string(), request_id: request_id.clone() };
        session.history().undo(request).await
    });
    let undone = answer.await.map_err(|error| error.at(path.to_string()))?;
    if app.output.is_json() {
        return app.output.object(&UndoneLine {
            path: &undone.base,
            committed_at: rfc3339(undone.committed_at.as_ref()),
            removed: undone.removed,
            restored: undone.restored,
            adjusted: undone.adjusted,
        });
    }
    app.output.note(&format!(
        "undid what was put into {} at {}: {} removed, {} restored, {} with their former modes and times",
        undone.base,
        show_time(undone.committed_at.as_ref()),
        undone.removed,
        undone.restored,
        undone.adjusted,
    ));
    Ok(())
}
