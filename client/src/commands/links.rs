//! `depot links`: the links that you have made.

use clap::Args;
use depot_proto::files::ListLinksRequest;

use super::link::{line, text};
use crate::app::App;
use crate::connect::Repeat;
use crate::error::Result;

/// Links in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot links` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot links")]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let mut page_token = String::new();
    loop {
        let answer = session.call(Repeat::Always, || async {
            let page_token = page_token.clone();
            session
                .sharing()
                .list_links(ListLinksRequest { page_size: PAGE_SIZE, page_token })
                .await
        });
        let page = answer.await?;
        for link in &page.links {
            match app.output.is_json() {
                true => app.output.object(&line(link, None))?,
                false => app.output.line(&text(link))?,
            }
        }
        if page.next_page_token.is_empty() || page.next_page_token == page_token {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}
