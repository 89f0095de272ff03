//! The shapes of `--json`: one object a line, every key always there, `null` where one does not apply.
//! Scripts rely on them word for word.

use depot_proto::files::{Entry, Kind};
use depot_proto::mail::{Message, RecipientState, SendResponse};
use serde::Serialize;

use crate::error::Error;
use crate::units::rfc3339;

/// An error, on stderr.
#[derive(Serialize)]
pub(crate) struct ErrorLine<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    reason: &'a str,
    message: &'a str,
    request_id: Option<&'a str>,
    path: Option<&'a str>,
    exit: u8,
}

impl<'a> From<&'a Error> for ErrorLine<'a> {
    fn from(error: &'a Error) -> Self {
        Self {
            error: ErrorBody {
                reason: error.reason(),
                message: error.message(),
                request_id: error.request_id(),
                path: error.path(),
                exit: error.exit() as u8,
            },
        }
    }
}

/// One file that was put.
#[derive(Serialize)]
pub(crate) struct Put<'a> {
    pub(crate) path: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) generation: Option<u64>,
    pub(crate) size: u64,
    pub(crate) blake3: String,
    pub(crate) sent_bytes: u64,
    pub(crate) reused_bytes: u64,
}

/// One file that was got, or one attachment that was saved.
#[derive(Serialize)]
pub(crate) struct Got<'a> {
    pub(crate) path: &'a str,
    pub(crate) local: &'a str,
    pub(crate) size: u64,
    pub(crate) blake3: String,
    pub(crate) received_bytes: u64,
}

/// An entry of ls and stat.
#[derive(Serialize)]
pub(crate) struct Listed<'a> {
    path: &'a str,
    kind: &'static str,
    id: &'a str,
    version: Option<&'a str>,
    generation: Option<u64>,
    size: Option<u64>,
    blake3: Option<String>,
    modified: Option<String>,
}

impl<'a> From<&'a Entry> for Listed<'a> {
    fn from(entry: &'a Entry) -> Self {
        let is_file = entry.kind() == Kind::File;
        Self {
            path: &entry.path,
            kind: kind_name(entry.kind()),
            id: &entry.id,
            version: is_file.then_some(&entry.version),
            generation: is_file.then_some(entry.generation),
            size: is_file.then_some(entry.size),
            blake3: is_file.then(|| hex(&entry.blake3)),
            modified: rfc3339(entry.modified_at.as_ref()),
        }
    }
}

/// The word for a kind, in JSON and for people.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "folder",
        Kind::Symlink => "symlink",
        Kind::File | Kind::Unspecified => "file",
    }
}

/// What send and reply did.
#[derive(Serialize)]
pub(crate) struct Sent<'a> {
    id: &'a str,
    thread: &'a str,
    recipients: Vec<SentTo<'a>>,
    attachments: &'a [SentAttachment],
}

#[derive(Serialize)]
struct SentTo<'a> {
    account: &'a str,
    state: &'static str,
    via: Option<&'a str>,
}

/// One attachment of a message that was sent.
#[derive(Serialize)]
pub(crate) struct SentAttachment {
    pub(crate) name: String,
    /// None where it could not be asked for.
    pub(crate) size: Option<u64>,
    pub(crate) sent_bytes: u64,
}

impl<'a> Sent<'a> {
    pub(crate) fn new(response: &'a SendResponse, attachments: &'a [SentAttachment]) -> Self {
        let recipients = response.recipients.iter().map(|recipient| SentTo {
            account: &recipient.account,
            state: state_name(recipient.state()),
            via: (!recipient.via.is_empty()).then_some(recipient.via.as_str()),
        });
        Self {
            id: &response.id,
            thread: &response.thread,
            recipients: recipients.collect(),
            attachments,
        }
    }
}

/// The word for what became of a delivery.
pub(crate) fn state_name(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Refused => "refused",
        RecipientState::Delivered | RecipientState::Unspecified => "delivered",
    }
}

/// A message of fetch, inbox and read.
#[derive(Serialize)]
pub(crate) struct MessageLine<'a> {
    number: Option<u64>,
    id: &'a str,
    thread: &'a str,
    from: &'a str,
    to: &'a [String],
    subject: &'a str,
    sent_at: Option<String>,
    unread: bool,
    body: Option<&'a str>,
    attachments: Vec<AttachmentLine<'a>>,
    file: Option<&'a str>,
}

#[derive(Serialize)]
struct AttachmentLine<'a> {
    name: &'a str,
    size: u64,
    blake3: String,
}

/// Characters that a list has of a body at most.
const PREVIEW_CHARS: usize = 200;

impl<'a> MessageLine<'a> {
    /// A message of a list, whose body may have been cut: nobody can tell one that is from one that is
    /// just as long.
    pub(crate) fn listed(message: &'a Message) -> Self {
        let is_whole = message.body.chars().nth(PREVIEW_CHARS - 1).is_none();
        Self { body: is_whole.then_some(&message.body), ..Self::new(message, None) }
    }

    /// `file` is where fetch kept it.
    pub(crate) fn new(message: &'a Message, file: Option<&'a str>) -> Self {
        let attachments = message.attachments.iter().map(|attachment| AttachmentLine {
            name: &attachment.name,
            size: attachment.size,
            blake3: hex(&attachment.blake3),
        });
        Self {
            number: (message.number != 0).then_some(message.number),
            id: &message.id,
            thread: &message.thread,
            from: &message.from,
            to: &message.to,
            subject: &message.subject,
            sent_at: rfc3339(message.sent_at.as_ref()),
            unread: message.unread,
            body: Some(&message.body),
            attachments: attachments.collect(),
            file,
        }
    }
}

/// A change that watch saw.
#[derive(Serialize)]
pub(crate) struct ChangeLine<'a> {
    pub(crate) cursor: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) op: &'static str,
    pub(crate) subtree: bool,
    pub(crate) id: &'a str,
    pub(crate) path: Option<&'a str>,
    pub(crate) at: Option<String>,
}

/// Lowercase hexadecimal, as `b3sum` prints a hash.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use depot_proto::files::{Entry, Kind};
    use depot_proto::mail::{Attachment, Message, Recipient, RecipientState, SendResponse};

    use super::{ErrorLine, Got, Listed, MessageLine, Put, Sent, SentAttachment};
    use crate::error::{Error, Exit};

    fn shown(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn an_error_has_all_its_keys() {
        let error = Error::new(Exit::NotFound, "NOT_FOUND", "/x: not found").at("/x");
        assert_eq!(
            shown(&ErrorLine::from(&error)),
            r#"{"error":{"reason":"NOT_FOUND","message":"/x: not found","request_id":null,"path":"/x","exit":3}}"#
        );
    }

    #[test]
    fn a_file_that_was_put_or_got_has_all_its_keys() {
        let put = Put {
            path: "/a",
            id: Some("i"),
            version: Some("v"),
            generation: Some(7),
            size: 3,
            blake3: "ab".into(),
            sent_bytes: 1,
            reused_bytes: 2,
        };
        assert_eq!(
            shown(&put),
            r#"{"path":"/a","id":"i","version":"v","generation":7,"size":3,"blake3":"ab","sent_bytes":1,"reused_bytes":2}"#
        );
        let got = Got { path: "/a", local: "a", size: 3, blake3: "ab".into(), received_bytes: 3 };
        assert_eq!(
            shown(&got),
            r#"{"path":"/a","local":"a","size":3,"blake3":"ab","received_bytes":3}"#
        );
    }

    #[test]
    fn an_entry_has_all_its_keys_whatever_it_is() {
        let mut entry = Entry {
            path: "/a".into(),
            id: "i".into(),
            kind: Kind::File.into(),
            version: "v".into(),
            generation: 7,
            size: 3,
            blake3: vec![0xab].into(),
            modified_at: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Entry::default()
        };
        assert_eq!(
            shown(&Listed::from(&entry)),
            r#"{"path":"/a","kind":"file","id":"i","version":"v","generation":7,"size":3,"blake3":"ab","modified":"1970-01-01T00:00:00Z"}"#
        );
        entry.kind = Kind::Folder.into();
        entry.modified_at = None;
        assert_eq!(
            shown(&Listed::from(&entry)),
            r#"{"path":"/a","kind":"folder","id":"i","version":null,"generation":null,"size":null,"blake3":null,"modified":null}"#
        );
    }

    #[test]
    fn mail_has_all_its_keys() {
        let response = SendResponse {
            id: "m".into(),
            thread: "t".into(),
            recipients: vec![Recipient {
                account: "bob".into(),
                state: RecipientState::Delivered.into(),
                via: String::new(),
            }],
            sent_at: None,
        };
        let attachments = [SentAttachment { name: "q3.pdf".into(), size: Some(3), sent_bytes: 0 }];
        assert_eq!(
            shown(&Sent::new(&response, &attachments)),
            r#"{"id":"m","thread":"t","recipients":[{"account":"bob","state":"delivered","via":null}],"attachments":[{"name":"q3.pdf","size":3,"sent_bytes":0}]}"#
        );
        let mut message = Message {
            number: 1,
            id: "m".into(),
            thread: "t".into(),
            from: "ann".into(),
            to: vec!["bob".into()],
            subject: "Q3".into(),
            unread: true,
            body: "hi".into(),
            attachments: vec![Attachment {
                index: 0,
                name: "q3.pdf".into(),
                size: 3,
                blake3: vec![1].into(),
            }],
            ..Message::default()
        };
        assert_eq!(
            shown(&MessageLine::new(&message, None)),
            r#"{"number":1,"id":"m","thread":"t","from":"ann","to":["bob"],"subject":"Q3","sent_at":null,"unread":true,"body":"hi","attachments":[{"name":"q3.pdf","size":3,"blake3":"01"}],"file":null}"#
        );
        message.body = "é".repeat(199);
        assert!(shown(&MessageLine::listed(&message)).contains(&message.body));
        message.body.push('é');
        assert!(shown(&MessageLine::listed(&message)).contains(r#""body":null"#));
    }
}
