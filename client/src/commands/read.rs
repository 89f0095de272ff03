//! `depot read`: shows a message; it is then acknowledged, and read.

use clap::Args;

use crate::app::App;
use crate::error::Result;
use crate::mail::{ack, find, parse, show};
use crate::output::json::MessageLine;

/// What `depot read` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot read last")]
pub(crate) struct Arguments {
    /// The message: its number, its id, or last
    #[arg(value_name = "ID")]
    id: String,
    /// Leave it unread
    #[arg(long)]
    peek: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let which = parse(&arguments.id)?;
    let session = app.session().await?;
    let message = find(&session, &which).await?;
    match app.output.is_json() {
        true => app.output.object(&MessageLine::new(&message, None))?,
        false => app.output.text(&show(&message))?,
    }
    // Read is what has been shown.
    app.output.flush()?;
    // A message that the caller only sent has no delivery, and so nothing to mark.
    if !arguments.peek && message.number != 0 {
        ack(&session, &[message.id], true).await?;
    }
    Ok(())
}
