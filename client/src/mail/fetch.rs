//! Fetches what is unread, once each, going on after a cut: the stream of messages, and their small
//! attachments where those are to be kept with them.

use std::collections::HashSet;

use bytes::Bytes;
use depot_proto::mail::{Attachment, FetchUnreadRequest, FetchUnreadResponse, Message};
use futures_util::stream::{self, Stream, StreamExt as _};
use tonic::Streaming;

use super::rfc5322::Letter;
use crate::connect::{Patience, Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::transfer::{Downloads, Wanted};

/// Messages whose attachments are fetched at once.
const ATTACHED_AT_ONCE: usize = 2;

/// All that was unread when it began, the oldest first.
pub(crate) struct Unread {
    session: Session,
    /// How many more are wanted; 0: all.
    limit: u32,
    /// What has been handed out already, and may come again after a cut.
    seen: HashSet<String>,
    answers: Option<Streaming<FetchUnreadResponse>>,
    is_at_end: bool,
    patience: Patience,
}

impl Unread {
    pub(crate) fn new(session: &Session, limit: Option<u32>) -> Self {
        Self {
            session: session.clone(),
            limit: limit.unwrap_or(0),
            seen: HashSet::new(),
            answers: None,
            is_at_end: false,
            patience: session.patience(),
        }
    }

    /// The next messages; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Message>>> {
        loop {
            match self.attempt().await {
                Ok(messages) => return Ok(messages),
                Err(error) => {
                    self.answers = None;
                    self.session.recover(error, &mut self.patience).await?;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Vec<Message>>> {
        loop {
            if self.is_at_end {
                return Ok(None);
            }
            let answers = match &mut self.answers {
                Some(answers) => answers,
                none => none.insert(begin(&self.session, self.limit, self.seen.len()).await?),
            };
            let Some(answer) = answers.message().await? else {
                return Err(Error::cut("the messages have no end"));
            };
            self.patience.progressed();
            // The last answer has nothing but the token.
            self.is_at_end = answer.messages.is_empty() || !answer.ack_token.is_empty();
            let mut messages = answer.messages;
            messages.retain(|message| self.seen.insert(message.id.clone()));
            if self.limit > 0 && self.seen.len() >= self.limit as usize {
                self.is_at_end = true;
                messages.truncate(messages.len() - (self.seen.len() - self.limit as usize));
            }
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
        }
    }
}

/// After a cut, what was handed out may not be acknowledged yet, and is asked for along with the rest.
async fn begin(
    session: &Session,
    limit: u32,
    seen: usize,
) -> Result<Streaming<FetchUnreadResponse>> {
    let seen = u32::try_from(seen).unwrap_or(u32::MAX);
    let limit = if limit == 0 { 0 } else { limit.saturating_add(seen) };
    session
        .call(Repeat::Always, || async {
            session.mail().fetch_unread(FetchUnreadRequest { limit }).await
        })
        .await
}

/// The messages in order, with those attachments inside that are not larger than `inline_max`, and
/// what is wrong with others. Only a few are in memory at once: attachments are large.
pub(crate) fn letters(
    downloads: &Downloads,
    messages: Vec<Message>,
    inline_max: u64,
) -> impl Stream<Item = Result<(Letter, Vec<Error>)>> {
    let letters = messages.into_iter().map(move |message| letter(downloads, message, inline_max));
    stream::iter(letters).buffered(ATTACHED_AT_ONCE)
}

async fn letter(
    downloads: &Downloads,
    message: Message,
    inline_max: u64,
) -> Result<(Letter, Vec<Error>)> {
    let mut contents = Vec::with_capacity(message.attachments.len());
    let mut problems = Vec::new();
    for attachment in &message.attachments {
        contents.push(match attachment.size <= inline_max {
            true => match content(downloads, &message.id, attachment).await {
                Ok(content) => Some(content),
                // The message itself is whole, and what comes after it should not wait for ever.
                Err(error) if error.exit() == Exit::DataLoss => {
                    let (number, name) = (message.number, &attachment.name);
                    let told = format!("message {number}: {name}: {}", error.message());
                    problems.push(error.with_message(told));
                    None
                }
                Err(error) => return Err(error),
            },
            false => None,
        });
    }
    Ok((Letter { message, contents }, problems))
}

async fn content(downloads: &Downloads, message: &str, attachment: &Attachment) -> Result<Bytes> {
    let wanted = Wanted::attachment(message, attachment)?;
    let mut content = Vec::new();
    let all = 0..wanted.size;
    downloads
        .in_order(&wanted, all, |bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })
        .await?;
    Ok(content.into())
}
