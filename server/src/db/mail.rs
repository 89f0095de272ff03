//! Messages and their deliveries.

use async_trait::async_trait;

use crate::db::Request;
use crate::error::Result;
use crate::model::{
    AccountId, AccountName, At, Body, Content, Message, MessageId, Recipient, ThreadId, UploadId,
};

/// Where an attachment's bytes come from.
#[derive(Clone, Debug)]
pub enum AttachmentSource {
    /// A file that the sender may read, as it is when the message is stored.
    Path(At),
    /// A content of chunks that the sender has sent.
    Content(Content),
}

/// A file that shall go with a message.
#[derive(Clone, Debug)]
pub struct NewAttachment {
    /// A file name.
    pub name: String,
    /// Its bytes.
    pub source: AttachmentSource,
}

/// A message to be stored and delivered.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Who sends it.
    pub sender: AccountId,
    /// Makes it happen once.
    pub request: Option<Request>,
    /// The upload that brought chunks of its attachments; it ends.
    pub upload: Option<UploadId>,
    /// To whom, each once.
    pub to: Vec<AccountName>,
    /// One line.
    pub subject: String,
    /// The text.
    pub body: Body,
    /// Files that go with it.
    pub attachments: Vec<NewAttachment>,
    /// A message of the sender's that it answers.
    pub in_reply_to: Option<MessageId>,
    /// Milliseconds since 1970.
    pub now: i64,
}

/// Characters of a body that a list shows.
pub const PREVIEW_CHARS: usize = 200;

/// A message that was stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SendOutcome {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub thread: ThreadId,
    /// What became of it for each.
    pub recipients: Vec<Recipient>,
    /// Milliseconds since 1970.
    pub sent_at: i64,
}

/// Which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The delivery with this number.
    Number(u64),
    /// By its id; sent or received.
    Id(MessageId),
    /// The newest delivery.
    Last,
}

/// Transactions on mail.
#[async_trait]
pub trait Mail {
    /// Stores a message and delivers it. `UnknownRecipient` names all that cannot get it; then nothing
    /// is stored.
    async fn send(&self, message: NewMessage) -> Result<SendOutcome>;

    /// The highest number an account has given to a delivery.
    async fn last_number(&self, account: AccountId) -> Result<u64>;

    /// Unread deliveries with numbers after `after` and up to `through`, the oldest first; at most
    /// `limit`, and no more than about `bytes` of bodies.
    async fn unread(
        &self,
        account: AccountId,
        range: (u64, u64),
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Message>>;

    /// Marks deliveries by their messages; how many were unread. `NotFound` when the account has not
    /// received one of them; then nothing is marked.
    async fn ack(
        &self,
        account: AccountId,
        ids: Vec<MessageId>,
        read: bool,
        now: i64,
    ) -> Result<u32>;

    /// Marks unread deliveries with numbers after `range.0` and up to `range.1`, at most `limit` of
    /// them; how many, and where to go on.
    async fn ack_range(
        &self,
        account: AccountId,
        range: (u64, u64),
        limit: usize,
        now: i64,
    ) -> Result<(u32, Option<u64>)>;

    /// Deliveries, the newest first, with numbers below `before`; at most `limit`, and no more than about
    /// `bytes`. Of a body that lies in its row the first [`PREVIEW_CHARS`] alone. Whether there may be
    /// more.
    async fn messages(
        &self,
        account: AccountId,
        before: Option<u64>,
        unread: bool,
        page: (usize, usize),
    ) -> Result<(Vec<Message>, bool)>;

    /// One message that the account sent or received.
    async fn message(&self, account: AccountId, which: Which) -> Result<Message>;

    /// The content of an attachment of a message that the account sent or received.
    async fn attachment(
        &self,
        account: AccountId,
        message: MessageId,
        index: u32,
    ) -> Result<Content>;
}
