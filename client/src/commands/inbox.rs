//! `depot inbox`: the messages that came, the newest first. Changes nothing.

use clap::Args;
use depot_proto::mail::ListMessagesRequest;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::{Error, Result};
use crate::mail::summary;
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
    let mut page_token = String::new();
    while left > 0 {
        let page_size = u32::try_from(left).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
        let answer = session.call(Repeat::Always, || async {
            let page_token = page_token.clone();
            let request = ListMessagesRequest { page_size, page_token, unread: arguments.unread };
            session.mail().list_messages(request).await
        });
        let page = answer.await?;
        for message in page.messages.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            match app.output.is_json() {
                true => app.output.object(&MessageLine::new(message, None))?,
                false => app.output.line(&summary(message))?,
            }
        }
        left = left.saturating_sub(page.messages.len() as u64);
        if page.next_page_token.is_empty() {
            break;
        }
        if page.next_page_token == page_token {
            return Err(Error::bad_answer("the server's list does not end"));
        }
        page_token = page.next_page_token;
    }
    Ok(())
}
