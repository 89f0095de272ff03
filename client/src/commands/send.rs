//! `depot send`: a message to accounts of this server, with attachments.

use clap::Args;

use crate::app::App;
use crate::error::Result;
use crate::mail::draft::{self, DraftArgs, Envelope};

/// What `depot send` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  depot send bob -s Q3 -m 'see attached' --attach-remote /reports/q3.pdf"
)]
pub(crate) struct Arguments {
    /// Accounts of this server
    #[arg(required = true, value_name = "TO")]
    to: Vec<String>,
    /// The subject
    #[arg(short, long)]
    subject: String,
    #[command(flatten)]
    draft: DraftArgs,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let to = Envelope { to: arguments.to, subject: arguments.subject, in_reply_to: String::new() };
    draft::send(app, &session, arguments.draft, to).await
}
