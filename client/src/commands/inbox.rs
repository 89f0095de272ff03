//! `depot inbox`: the messages that came, the newest first. Changes nothing.

use clap::Args;

use crate::app::App;
use crate::error::Result;
use crate::mail::{list, summary};
use crate::output::json::MessageLine;

/// Messages in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot inbox` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot inbox --unread --limit 20")]
pub(crate) struct Arguments {
    /// Only what is unread
    #[arg(long)]
    unread: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(());
    }
    let page_size = u32::try_from(left).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
    list(&session, page_size, arguments.unread, |page| {
        for message in page.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            match app.output.is_json() {
                true => app.output.object(&MessageLine::listed(message))?,
                false => app.output.line(&summary(message))?,
            }
        }
        left = left.saturating_sub(page.len() as u64);
        Ok(left > 0)
    })
    .await
}
