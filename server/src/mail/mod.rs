//! Messages: the rules. What may be sent, what is unread, what an acknowledgement covers.
//!
//! Nothing is marked by being sent to a client. A fetch fixes its upper number at the start, and its
//! token acknowledges what that fetch sent, never what came later.

mod ack_token;

use std::sync::Arc;

use futures_util::StreamExt;

use crate::clock::Clock;
use crate::content::{ByteRange, Complete, Contents, ManifestBuilder};
use crate::db::{AttachmentSource, Db, NewAttachment, NewMessage, PREVIEW_CHARS};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountName, Body, Caller, Content, Digest, FileName, Limits, Location, Message, MessageId,
    Piece, UploadId,
};

pub use crate::db::{Request, SendOutcome, Which};
pub use ack_token::AckToken;

/// Bodies up to this size lie in their row; longer ones are contents.
const INLINE_BODY_BYTES: usize = 64 << 10;
/// Messages read at once.
const FETCHED: usize = 500;
/// Bytes of bodies read at once, more or less.
const FETCHED_BYTES: usize = 1 << 20;
/// Acknowledgements of one transaction.
const ACKED: usize = 500;

/// The rules of mail.
#[derive(Clone)]
pub struct Mail {
    db: Arc<dyn Db>,
    contents: Contents,
    clock: Arc<dyn Clock>,
    limits: Arc<Limits>,
}

/// Where an attachment's bytes come from.
#[derive(Clone, Debug)]
pub enum Attached {
    /// A file the sender may read.
    Path(Location),
    /// Chunks the sender has filled.
    Content {
        /// Bytes.
        size: u64,
        /// BLAKE3 of them.
        digest: Digest,
        /// Its chunks.
        pieces: Vec<Piece>,
    },
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Makes it happen once.
    pub request: Option<Request>,
    /// Names of accounts.
    pub to: Vec<String>,
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Names and where their bytes are.
    pub attachments: Vec<(String, Attached)>,
    /// A message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// The upload that brought chunks.
    pub upload: Option<UploadId>,
}

/// A fetch under way.
pub struct Fetch {
    mail: Mail,
    caller: Caller,
    after: u64,
    through: u64,
    left: usize,
    first: u64,
}

impl Mail {
    /// The rules over the stores.
    pub fn new(
        db: Arc<dyn Db>,
        contents: Contents,
        clock: Arc<dyn Clock>,
        limits: Arc<Limits>,
    ) -> Self {
        Self { db, contents, clock, limits }
    }

    /// Stores a message for all its recipients.
    pub async fn send(&self, caller: &Caller, draft: Draft) -> Result<SendOutcome> {
        self.check(&draft)?;
        self.contents.check_disk()?;
        let to = recipients(&draft.to)?;
        let attachments = self.attachments(caller, draft.attachments).await?;
        let body = self.body(caller, draft.body).await?;
        let message = NewMessage {
            sender: caller.account,
            request: draft.request,
            upload: draft.upload,
            to,
            subject: draft.subject,
            body,
            attachments,
            in_reply_to: draft.in_reply_to,
            now: self.clock.now(),
        };
        self.db.send(message).await
    }

    /// Begins to fetch what is unread now.
    pub async fn fetch(&self, caller: &Caller, limit: usize) -> Result<Fetch> {
        let through = self.db.last_number(caller.account).await?;
        let left = if limit == 0 { usize::MAX } else { limit };
        Ok(Fetch { mail: self.clone(), caller: caller.clone(), after: 0, through, left, first: 0 })
    }

    /// Acknowledges messages by their ids; how many were unread.
    pub async fn ack(&self, caller: &Caller, ids: Vec<MessageId>, read: bool) -> Result<u32> {
        let max = self.limits.ack_ids_max as usize;
        if ids.len() > max {
            let problem = format!("{} ids in one call, at most {max} are taken", ids.len());
            return Err(Error::field("ids", problem));
        }
        self.db.ack(caller.account, ids, read, self.clock.now()).await
    }

    /// Acknowledges what a fetch sent; how many were unread.
    pub async fn ack_token(&self, caller: &Caller, token: &AckToken) -> Result<u32> {
        if token.account != caller.account {
            return Err(Error::field("token", "the token of another account's fetch"));
        }
        let (mut after, mut acked) = (token.first.saturating_sub(1), 0);
        loop {
            let range = (after, token.last);
            let now = self.clock.now();
            let (some, more) = self.db.ack_range(caller.account, range, ACKED, now).await?;
            acked += some;
            match more {
                Some(reached) => after = reached,
                None => return Ok(acked),
            }
        }
    }

    /// Deliveries, the newest first, with the beginnings of short bodies; whether there may be more.
    pub async fn list(
        &self,
        caller: &Caller,
        before: Option<u64>,
        unread: bool,
        limit: usize,
    ) -> Result<(Vec<Message>, bool)> {
        let page = (limit, FETCHED_BYTES);
        let (found, cut) = self.db.messages(caller.account, before, unread, page).await?;
        let more = cut || found.len() == limit;
        Ok((found, more))
    }

    /// One message that the caller sent or received.
    pub async fn read(&self, caller: &Caller, which: Which) -> Result<Message> {
        self.db.message(caller.account, which).await
    }

    /// The text of a message.
    pub async fn text(&self, caller: &Caller, body: Body) -> Result<String> {
        let content = match body {
            Body::Inline(text) => return Ok(text),
            Body::Stored(content) => content,
        };
        let bytes = self.beginning(caller, content, content.size).await?;
        String::from_utf8(bytes).map_err(|error| Error::internal("mail.text", error))
    }

    /// The first characters of a message's text.
    pub async fn preview(&self, caller: &Caller, body: Body) -> Result<String> {
        let text = match body {
            Body::Inline(text) => text,
            Body::Stored(content) => {
                // No character has more than four bytes; one that is cut is past those that are shown.
                let bytes = self.beginning(caller, content, 4 * PREVIEW_CHARS as u64).await?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        Ok(text.chars().take(PREVIEW_CHARS).collect())
    }

    async fn beginning(&self, caller: &Caller, content: Content, length: u64) -> Result<Vec<u8>> {
        let range = ByteRange { offset: 0, length: length.min(content.size) };
        let mut bytes = Vec::new();
        let mut stream = self.contents.read(caller.account, content, vec![range])?;
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    fn check(&self, draft: &Draft) -> Result<()> {
        let limits = &self.limits;
        within("to", "recipients", draft.to.len(), limits.message_recipients_max.into())?;
        let subject_max = limits.message_subject_bytes_max.into();
        within("subject", "bytes", draft.subject.len(), subject_max)?;
        within("body", "bytes", draft.body.len(), limits.message_body_bytes_max)?;
        let files_max = limits.message_attachments_max.into();
        within("attachments", "files", draft.attachments.len(), files_max)?;
        let chunks = |file: &(String, Attached)| match &file.1 {
            Attached::Content { pieces, .. } => pieces.len(),
            Attached::Path(_) => 0,
        };
        let chunks = draft.attachments.iter().map(chunks).sum();
        let chunks_max = limits.message_attached_chunks_max.into();
        within("attachments.content", "chunks", chunks, chunks_max)?;
        if draft.to.is_empty() {
            return Err(Error::field("to", "a message needs a recipient"));
        }
        if draft.subject.contains(['\r', '\n', '\0']) {
            return Err(Error::field("subject", "a subject is one line"));
        }
        Ok(())
    }

    async fn attachments(
        &self,
        caller: &Caller,
        files: Vec<(String, Attached)>,
    ) -> Result<Vec<NewAttachment>> {
        let mut attachments = Vec::with_capacity(files.len());
        for (name, attached) in files {
            let name = FileName::parse(&name).map_err(|problem| {
                Error::field("attachments.name", format!("{name:?}: {problem}"))
            })?;
            let source = match attached {
                Attached::Path(at) => AttachmentSource::Path(self.db.at(caller, &at).await?),
                Attached::Content { size, digest, pieces } => {
                    let mut builder = ManifestBuilder::new(size, digest);
                    self.contents.add_pieces(caller.account, &mut builder, &pieces).await?;
                    let complete = self.contents.end_pieces(caller.account, builder).await?;
                    AttachmentSource::Content(self.record(caller, complete).await?)
                }
            };
            attachments.push(NewAttachment { name: name.as_str().to_owned(), source });
        }
        Ok(attachments)
    }

    async fn record(&self, caller: &Caller, complete: Complete) -> Result<Content> {
        let recorded = self.contents.record(caller.account, vec![complete]).await?;
        recorded.into_iter().next().ok_or_else(|| Error::internal("mail", "no content"))
    }

    async fn body(&self, caller: &Caller, text: String) -> Result<Body> {
        if text.len() <= INLINE_BODY_BYTES {
            return Ok(Body::Inline(text));
        }
        let size = text.len() as u64;
        let account = caller.account;
        let mut write = self.contents.write(account, account, Some(size)).await?;
        write.push(text.into()).await?;
        let upload = write.upload();
        let content = write.finish(size, None).await?;
        // The sender is charged for the message itself.
        self.db.close_upload(account, upload).await?;
        Ok(Body::Stored(content))
    }
}

impl Fetch {
    /// The next messages, the oldest first; none when all have been given.
    pub async fn next(&mut self) -> Result<Vec<Message>> {
        if self.left == 0 {
            return Ok(Vec::new());
        }
        let range = (self.after, self.through);
        let limit = self.left.min(FETCHED);
        let account = self.caller.account;
        let messages = self.mail.db.unread(account, range, limit, FETCHED_BYTES).await?;
        if let (Some(first), Some(last)) = (messages.first(), messages.last()) {
            if self.first == 0 {
                self.first = first.number;
            }
            self.after = last.number;
            self.left -= messages.len();
        }
        Ok(messages)
    }

    /// What acknowledges all that was given; `None` when that was nothing.
    pub fn token(&self) -> Option<AckToken> {
        let account = self.caller.account;
        (self.first > 0).then_some(AckToken { account, first: self.first, last: self.after })
    }
}

fn within(field: &str, unit: &str, found: usize, max: u64) -> Result<()> {
    if found as u64 <= max {
        return Ok(());
    }
    Err(Error::field(field, format!("{found} {unit}, at most {max} are taken")))
}

/// Some of the names, on one line and not longer than that, whatever is in them.
fn shown(names: &[&str]) -> String {
    let short = |name: &&str| name.chars().take(64).collect::<String>().escape_debug().to_string();
    let mut shown: Vec<String> = names.iter().take(5).map(short).collect();
    if names.len() > shown.len() {
        shown.push(format!("{} more", names.len() - shown.len()));
    }
    shown.join(", ")
}

fn recipients(names: &[String]) -> Result<Vec<AccountName>> {
    let parsed: Vec<_> = names.iter().map(|name| AccountName::parse(name)).collect();
    let unknown: Vec<&str> = names
        .iter()
        .zip(&parsed)
        .filter(|(_, name)| name.is_err())
        .map(|(text, _)| text.as_str())
        .collect();
    if !unknown.is_empty() {
        let message = format!("nobody can send to {}; nothing was sent to anyone", shown(&unknown));
        return Err(Error::new(Kind::UnknownRecipient, message));
    }
    Ok(parsed.into_iter().flatten().collect())
}
