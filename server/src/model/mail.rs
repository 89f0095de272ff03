//! Messages, as a caller sees them.

use serde::{Deserialize, Serialize};

use crate::model::{AccountName, Content, MessageId, ThreadId};

/// A message and, where the caller received it, its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The delivery's number in the caller's account; 0 for one that was only sent.
    pub number: u64,
    /// The same for the sender and all recipients.
    pub id: MessageId,
    /// The conversation.
    pub thread: ThreadId,
    /// Who sent it.
    pub from: String,
    /// To whom, as the sender wrote it.
    pub to: Vec<String>,
    /// One line.
    pub subject: String,
    /// Milliseconds since 1970, by the server's clock.
    pub sent_at: i64,
    /// Not acknowledged yet.
    pub unread: bool,
    /// The text.
    pub body: Body,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
    /// What it answers.
    pub in_reply_to: Option<MessageId>,
}

/// A message's text: short ones lie in the row, longer ones are contents like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// At most 64 KiB.
    Inline(String),
    /// More; its bytes are UTF-8.
    Stored(Content),
}

/// A file that came with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// A file name.
    pub name: String,
    /// Its bytes.
    pub content: Content,
}

/// What became of a message for one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Who.
    pub account: AccountName,
    /// Whether they have it.
    pub state: RecipientState,
}

/// Whether a recipient has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientState {
    /// In the mailbox.
    Delivered,
    /// It does not fit into the recipient's quota.
    Refused,
}
