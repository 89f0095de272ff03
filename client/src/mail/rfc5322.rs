//! A message as the file that any mail reader opens: RFC 5322 and MIME. Small attachments are inside;
//! of larger ones the text says how to save them.

use std::io;

use bytes::Bytes;
use depot_proto::mail::Message;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

use crate::units::show_size;

/// A message and those of its attachments that are to be inside.
pub(crate) struct Letter {
    pub(crate) message: Message,
    /// For each attachment its content, or none where it stays on the server.
    pub(crate) contents: Vec<Option<Bytes>>,
}

impl Letter {
    /// The file's bytes. `domain` stands behind the `@` of its addresses.
    pub(crate) fn to_bytes(&self, domain: &str) -> io::Result<Vec<u8>> {
        let message = &self.message;
        let id = |uuid: &str| format!("{uuid}@{domain}");
        let to = message.to.iter().map(|name| mailbox(name, domain)).collect();
        let sent_at = message.sent_at.as_ref().map_or(0, |time| time.seconds);
        let mut builder = MessageBuilder::new()
            .from(mailbox(&message.from, domain))
            .to(Address::new_list(to))
            .subject(one_line(&message.subject))
            .date(Date::new(sent_at))
            .message_id(id(&message.id));
        let mut references = vec![id(&message.thread)];
        if !message.in_reply_to.is_empty() {
            builder = builder.in_reply_to(id(&message.in_reply_to));
            references.push(id(&message.in_reply_to));
        }
        references.dedup();
        // The thread's own id comes first, so that readers show a conversation as one.
        if message.thread != message.id {
            builder = builder.references(references);
        }
        if message.number != 0 {
            builder = builder.header("X-Depot-Number", Raw::new(message.number.to_string()));
        }
        builder = builder.text_body(self.text());
        for (attachment, content) in message.attachments.iter().zip(&self.contents) {
            if let Some(content) = content {
                let name = one_line(&attachment.name);
                let part = MimePart::new("application/octet-stream", BodyPart::from(&content[..]));
                builder.attachments.get_or_insert_with(Vec::new).push(part.attachment(name));
            }
        }
        builder.write_to_vec()
    }

    /// The body, and what is not inside.
    fn text(&self) -> String {
        let mut text = self.message.body.clone();
        let attachments = self.message.attachments.iter().zip(&self.contents);
        let mut outside = attachments.filter(|(_, content)| content.is_none()).peekable();
        if outside.peek().is_none() {
            return text;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str("\n-- \nNot inside this message:\n");
        for (attachment, _) in outside {
            let (name, size) = (one_line(&attachment.name), show_size(attachment.size));
            text.push_str(&format!("  {name} ({size})\n"));
        }
        text.push_str(&format!("Save with: depot save {}\n", self.message.id));
        text
    }
}

/// `ann@domain`, quoted where a dot stands where RFC 5322 has none.
fn mailbox(name: &str, domain: &str) -> Address<'static> {
    let is_plain = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let address = match name.split('.').all(is_plain) {
        true => format!("{name}@{domain}"),
        false => {
            let quoted = one_line(name).replace(['"', '\\'], "_");
            format!("\"{quoted}\"@{domain}")
        }
    };
    Address::new_address(None::<String>, address)
}

/// Without controls: nothing can end a header early.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use depot_proto::mail::{Attachment, Message};
    use prost_types::Timestamp;

    use super::Letter;

    fn letter() -> Letter {
        let attachment =
            |name: &str, size| Attachment { name: name.into(), size, ..Attachment::default() };
        Letter {
            message: Message {
                number: 7,
                id: "id-1".into(),
                thread: "thread-1".into(),
                from: "ann".into(),
                to: vec!["bob".into(), "e..ve".into()],
                subject: "Q3\r\nBcc: eve".into(),
                sent_at: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
                body: "see attached".into(),
                in_reply_to: "id-0".into(),
                attachments: vec![attachment("a\n.txt", 3), attachment("big.iso", 5 << 30)],
                ..Message::default()
            },
            contents: vec![Some(Bytes::from_static(b"abc")), None],
        }
    }

    fn text(letter: &Letter) -> String {
        String::from_utf8(letter.to_bytes("depot.example").unwrap()).unwrap()
    }

    #[test]
    fn a_letter_has_the_headers_that_readers_need() {
        let text = text(&letter());
        for wanted in [
            "From: <ann@depot.example>\r\n",
            "To: <bob@depot.example>, <\"e..ve\"@depot.example>\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Message-ID: <id-1@depot.example>\r\n",
            "In-Reply-To: <id-0@depot.example>\r\n",
            "References: <thread-1@depot.example>",
            "X-Depot-Number: 7\r\n",
            "YWJj\r\n",
            "big.iso (5.0 GiB)",
            "depot save id-1",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }

    #[test]
    fn no_text_from_elsewhere_becomes_a_header() {
        let text = text(&letter());
        assert!(!text.contains("\nBcc"), "{text}");
        assert!(!text.contains("a\n.txt"), "{text}");
    }

    #[test]
    fn a_letter_without_attachments_is_plain_text() {
        let mut letter = letter();
        letter.message.attachments.clear();
        letter.contents.clear();
        let text = text(&letter);
        assert!(text.contains("Content-Type: text/plain"), "{text}");
        assert!(text.ends_with("\r\n\r\nsee attached"), "{text}");
    }
}
