//! The messages that came, the newest first, page by page. Their bodies are cut.

use depot_proto::mail::{ListMessagesRequest, Message};

use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};

/// Hands each page to `each`, until that wants no more.
pub(crate) async fn list(
    session: &Session,
    page_size: u32,
    unread: bool,
    mut each: impl FnMut(Vec<Message>) -> Result<bool>,
) -> Result<()> {
    let mut page_token = String::new();
    loop {
        let answer = session.call(Repeat::Always, || async {
            let page_token = page_token.clone();
            let request = ListMessagesRequest { page_size, page_token, unread };
            session.mail().list_messages(request).await
        });
        let page = answer.await?;
        if !each(page.messages)? || page.next_page_token.is_empty() {
            return Ok(());
        }
        if page.next_page_token == page_token {
            return Err(Error::bad_answer("the server's list does not end"));
        }
        page_token = page.next_page_token;
    }
}
