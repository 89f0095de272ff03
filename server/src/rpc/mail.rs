//! MailService: the words of messages.

use std::pin::Pin;

use depot_proto::mail::mail_service_server::MailService;
use depot_proto::mail::new_attachment::Source as ProtoSource;
use depot_proto::mail::read_message_request::Which as ProtoWhich;
use depot_proto::mail::{
    AckRequest, AckResponse, Attachment as ProtoAttachment, FetchUnreadRequest,
    FetchUnreadResponse, ListMessagesRequest, ListMessagesResponse, Message as ProtoMessage,
    NewAttachment, ReadMessageRequest, ReadMessageResponse, Recipient as ProtoRecipient,
    RecipientState as ProtoState, SendRequest, SendResponse,
};
use futures_util::stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, async_trait};

use crate::error::{Error, Result};
use crate::mail::{AckToken, Attached, Draft, Fetch, Mail, SendOutcome, Which};
use crate::model::{
    Body, Caller, Location, Message, MessageId, Recipient, RecipientState, UploadId,
};
use crate::rpc::auth_layer::caller;
use crate::rpc::convert::{digest, digest_of, pieces, request as once, time};
use crate::rpc::status::status;
use crate::rpc::{Rooms, page_token};

/// Answers MailService.
pub(super) struct MailRpc(Rooms);

impl MailRpc {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }

    async fn send(&self, caller: &Caller, wanted: SendRequest) -> Result<SendResponse> {
        self.0.mail.send(caller, draft(wanted)?).await.map(sent)
    }

    async fn list(
        &self,
        caller: &Caller,
        wanted: ListMessagesRequest,
    ) -> Result<ListMessagesResponse> {
        let before = page_token::decode(&wanted.page_token)?
            .map(|number| {
                number.parse().map_err(|_| Error::field("page_token", "not a token of this list"))
            })
            .transpose()?;
        let size = page_token::size(wanted.page_size, 100, 1_000);
        let (found, more) = self.0.mail.list(caller, before, wanted.unread, size).await?;
        let last = found.last().filter(|_| more).map(|m| m.number.to_string());
        let mut messages = Vec::with_capacity(found.len());
        for mut found in found {
            found.body = Body::Inline(self.0.mail.preview(caller, found.body).await?);
            messages.push(message(&self.0.mail, caller, found).await?);
        }
        let next_page_token = page_token::encode(last.as_deref());
        Ok(ListMessagesResponse { messages, next_page_token })
    }

    async fn read(&self, caller: &Caller, wanted: ReadMessageRequest) -> Result<ProtoMessage> {
        let which = match wanted.which {
            Some(ProtoWhich::Number(number)) => Which::Number(number),
            Some(ProtoWhich::Id(id)) => Which::Id(MessageId::parse(&id)?),
            Some(ProtoWhich::Last(true)) => Which::Last,
            _ => return Err(Error::field("which", "a number, an id, or last")),
        };
        message(&self.0.mail, caller, self.0.mail.read(caller, which).await?).await
    }

    async fn ack(&self, caller: &Caller, wanted: AckRequest) -> Result<u32> {
        let ids = wanted.ids.iter().map(|id| MessageId::parse(id)).collect::<Result<Vec<_>>>()?;
        let token = match wanted.token.as_str() {
            "" => None,
            token => Some(AckToken::parse(token)?),
        };
        if token.is_some() && wanted.read {
            return Err(Error::field("read", "of messages by their ids alone"));
        }
        let by_id = match ids.is_empty() {
            true => 0,
            false => self.0.mail.ack(caller, ids, wanted.read).await?,
        };
        let by_token = match token {
            None => 0,
            Some(token) => self.0.mail.ack_token(caller, &token).await?,
        };
        Ok(by_id + by_token)
    }
}

#[async_trait]
impl MailService for MailRpc {
    type FetchUnreadStream =
        Pin<Box<dyn Stream<Item = Result<FetchUnreadResponse, Status>> + Send>>;

    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
        let caller = caller(&request)?;
        self.send(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn fetch_unread(
        &self,
        request: Request<FetchUnreadRequest>,
    ) -> Result<Response<Self::FetchUnreadStream>, Status> {
        let caller = caller(&request)?;
        let limit = request.into_inner().limit as usize;
        let fetch = self.0.mail.fetch(&caller, limit).await.map_err(status)?;
        let state = Some((self.0.mail.clone(), caller, fetch));
        let answers = stream::try_unfold(state, |state| async move {
            let Some((mail, caller, fetch)) = state else {
                return Ok(None);
            };
            page(mail, caller, fetch).await.map(Some).map_err(status)
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn ack(&self, request: Request<AckRequest>) -> Result<Response<AckResponse>, Status> {
        let caller = caller(&request)?;
        let acked = self.ack(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(AckResponse { acked }))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let caller = caller(&request)?;
        self.list(&caller, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn read_message(
        &self,
        request: Request<ReadMessageRequest>,
    ) -> Result<Response<ReadMessageResponse>, Status> {
        let caller = caller(&request)?;
        let message = self.read(&caller, request.into_inner()).await.map_err(status)?;
        Ok(Response::new(ReadMessageResponse { message: Some(message) }))
    }
}

type Fetching = Option<(Mail, Caller, Fetch)>;

/// The next answer of a fetch; the last one has the token and nothing else.
async fn page(
    mail: Mail,
    caller: Caller,
    mut fetch: Fetch,
) -> Result<(FetchUnreadResponse, Fetching)> {
    let found = fetch.next().await?;
    if found.is_empty() {
        let ack_token = fetch.token().map(|token| token.to_string()).unwrap_or_default();
        return Ok((FetchUnreadResponse { messages: Vec::new(), ack_token }, None));
    }
    let mut messages = Vec::with_capacity(found.len());
    for found in found {
        messages.push(message(&mail, &caller, found).await?);
    }
    Ok((FetchUnreadResponse { messages, ack_token: String::new() }, Some((mail, caller, fetch))))
}

fn draft(wanted: SendRequest) -> Result<Draft> {
    // The upload is how bytes came, not what is asked for.
    let noted = SendRequest { upload_id: String::new(), ..wanted.clone() };
    let request = once(&wanted.request_id, || digest_of("Send", &noted))?;
    let in_reply_to = match wanted.in_reply_to.as_str() {
        "" => None,
        id => Some(MessageId::parse(id)?),
    };
    let upload = match wanted.upload_id.as_str() {
        "" => None,
        id => Some(UploadId::parse(id)?),
    };
    Ok(Draft {
        request,
        to: wanted.to,
        subject: wanted.subject,
        body: wanted.body,
        attachments: wanted.attachments.into_iter().map(attached).collect::<Result<_>>()?,
        in_reply_to,
        upload,
    })
}

fn attached(file: NewAttachment) -> Result<(String, Attached)> {
    let attached = match file.source {
        Some(ProtoSource::Path(path)) => {
            Attached::Path(Location::parse(&path, "attachments.path")?)
        }
        Some(ProtoSource::Content(content)) => Attached::Content {
            size: content.size,
            digest: digest("attachments.content.blake3", &content.blake3)?,
            pieces: pieces("attachments.content.chunks", &content.chunks)?,
        },
        None => return Err(Error::field("attachments.source", "a path or a content")),
    };
    Ok((file.name, attached))
}

fn sent(outcome: SendOutcome) -> SendResponse {
    SendResponse {
        id: outcome.id.to_string(),
        thread: outcome.thread.to_string(),
        recipients: outcome.recipients.into_iter().map(recipient).collect(),
        sent_at: Some(time(outcome.sent_at)),
    }
}

fn recipient(recipient: Recipient) -> ProtoRecipient {
    let state = match recipient.state {
        RecipientState::Delivered => ProtoState::Delivered,
        RecipientState::Refused => ProtoState::Refused,
    };
    ProtoRecipient {
        account: recipient.account.to_string(),
        state: state.into(),
        via: String::new(),
    }
}

async fn message(mail: &Mail, caller: &Caller, message: Message) -> Result<ProtoMessage> {
    let attachments = (0..).zip(message.attachments).map(|(index, file)| ProtoAttachment {
        index,
        name: file.name,
        size: file.content.size,
        blake3: file.content.digest.0.to_vec().into(),
    });
    Ok(ProtoMessage {
        number: message.number,
        id: message.id.to_string(),
        thread: message.thread.to_string(),
        from: message.from,
        to: message.to,
        subject: message.subject,
        sent_at: Some(time(message.sent_at)),
        unread: message.unread,
        attachments: attachments.collect(),
        body: mail.text(caller, message.body).await?,
        in_reply_to: message.in_reply_to.map(|id| id.to_string()).unwrap_or_default(),
    })
}
