//! `depot ack`: marks messages as no longer unread. All of them, or none where one is not there.

use clap::Args;
use depot_proto::mail::read_message_request::Which;
use serde::Serialize;

use crate::app::App;
use crate::error::Result;
use crate::mail::{ack, find, parse};

/// Ids in one call.
const IDS_MAX: usize = 1000;

/// What `depot ack` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot ack 1 2 3")]
pub(crate) struct Arguments {
    /// The messages: their numbers, their ids, or last
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Acked {
    acked: u32,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let which: Vec<Which> = arguments.ids.iter().map(|id| parse(id)).collect::<Result<_>>()?;
    let session = app.session().await?;
    let mut ids = Vec::with_capacity(which.len());
    for which in &which {
        ids.push(match which {
            Which::Id(id) => id.clone(),
            _ => find(&session, which).await?.id,
        });
    }
    let mut acked = 0;
    for ids in ids.chunks(IDS_MAX) {
        acked += ack(&session, ids, false).await?;
    }
    if app.output.is_json() {
        return app.output.object(&Acked { acked });
    }
    app.output.note(&format!("{acked} of {} were unread until now", ids.len()));
    Ok(())
}
