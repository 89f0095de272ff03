//! Fetches what is unread, once each, going on after a cut: the stream of messages, and those of their
//! attachments that are to be kept with them.

use std::collections::HashSet;

use depot_proto::mail::{Attachment, FetchUnreadRequest, FetchUnreadResponse, Message};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::task::block_in_place;
use tonic::Streaming;

use super::maildir::{Maildir, Writing, Written};
use crate::connect::{Patience, Session};
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
    Ok(session.mail().fetch_unread(FetchUnreadRequest { limit }).await?.into_inner())
}

/// A message on its way into a Maildir.
pub(crate) enum Arrived {
    /// Nothing is to be fetched for it.
    Alone(Message),
    /// It is written, with what is attached to it.
    Whole(Written),
}

/// Where messages are written with what is attached to them, and how much of that.
pub(crate) struct Attaching<'a> {
    pub(crate) downloads: &'a Downloads,
    pub(crate) maildir: &'a Maildir,
    /// Bytes of attachments inside one message.
    pub(crate) inline_max: u64,
}

impl Attaching<'_> {
    /// The messages in order, and what is wrong with attachments of theirs. Attachments are written as
    /// they arrive; none is in memory as a whole.
    pub(crate) fn letters(
        &self,
        messages: Vec<Message>,
    ) -> impl Stream<Item = Result<(Arrived, Vec<Error>)>> {
        stream::iter(messages.into_iter().map(|message| self.letter(message)))
            .buffered(ATTACHED_AT_ONCE)
    }

    async fn letter(&self, message: Message) -> Result<(Arrived, Vec<Error>)> {
        let mut inside = fitting(&message.attachments, self.inline_max);
        let mut problems = Vec::new();
        while inside.contains(&true) && !self.maildir.holds(&message) {
            let mut writing = block_in_place(|| self.maildir.begin(&message, &inside))?;
            match self.attach(&message, &inside, &mut writing).await {
                Ok(()) => {
                    let written = block_in_place(|| writing.end(message))?;
                    return Ok((Arrived::Whole(written), problems));
                }
                // The message itself is whole, and what comes after it should not wait for ever: it is
                // written once more, without what is damaged.
                Err((place, error)) if error.exit() == Exit::DataLoss => {
                    let (number, name) = (message.number, &message.attachments[place].name);
                    let told = format!("message {number}: {name}: {}", error.message());
                    problems.push(error.with_message(told));
                    inside[place] = false;
                }
                Err((_, error)) => return Err(error),
            }
        }
        Ok((Arrived::Alone(message), problems))
    }

    /// Fetches what is to be inside; an error is about the attachment at its place.
    async fn attach(
        &self,
        message: &Message,
        inside: &[bool],
        writing: &mut Writing,
    ) -> Result<(), (usize, Error)> {
        for (place, attachment) in message.attachments.iter().enumerate() {
            if inside[place] {
                let attached = self.attach_one(message, attachment, writing).await;
                attached.map_err(|error| (place, error))?;
            }
        }
        Ok(())
    }

    async fn attach_one(
        &self,
        message: &Message,
        attachment: &Attachment,
        writing: &mut Writing,
    ) -> Result<()> {
        let wanted = Wanted::attachment(&message.id, attachment)?;
        writing.part(&attachment.name)?;
        self.downloads.in_order(&wanted, 0..wanted.size, |bytes| writing.add(bytes)).await
    }
}

/// Which attachments are inside a message that has room for so many bytes of them.
fn fitting(attachments: &[Attachment], inline_max: u64) -> Vec<bool> {
    let mut left = inline_max;
    let fits = attachments.iter().map(|attachment| match left.checked_sub(attachment.size) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    fits.collect()
}

#[cfg(test)]
mod tests {
    use depot_proto::mail::Attachment;

    use super::fitting;

    #[test]
    fn what_is_inside_a_message_shares_one_room() {
        let sizes = [10, 0, 16, 15, 1];
        let attachments = sizes.map(|size| Attachment { size, ..Attachment::default() });
        assert_eq!(fitting(&attachments, 25), [true, true, false, true, false]);
        assert_eq!(fitting(&attachments, 0), [false, true, false, false, false]);
        assert_eq!(fitting(&attachments, u64::MAX), [true; 5]);
        assert_eq!(fitting(&[], 25), [true; 0]);
    }
}
