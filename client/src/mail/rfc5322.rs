//! A message as the file that any mail reader opens: RFC 5322 and MIME, written as its parts arrive. Some
//! attachments are inside; of the others the text says how to save them.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use depot_proto::mail::Message;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use uuid::Uuid;

use crate::units::show_size;

/// Stands behind the `@` of a Message-ID. The UUID before it is unique by itself, and a message has one
/// id however its server was named.
const ID_DOMAIN: &str = "depot.invalid";

/// Bytes that make one line of base64 (RFC 2045, 6.8), and lines that are encoded at once.
const LINE_BYTES: usize = 57;
const LINES: usize = 1024;

/// A message that is being written. Nothing of an attachment is kept in memory.
pub(crate) struct Letter<W> {
    out: W,
    /// What stands between the parts; none where nothing is attached.
    boundary: Option<String>,
    /// Bytes of an attachment that make no whole line yet.
    rest: Vec<u8>,
    encoded: String,
}

impl<W: Write> Letter<W> {
    /// Writes all but the attachments. `inside` says which of them follow; `domain` stands behind the
    /// `@` of its addresses.
    pub(crate) fn begin(
        mut out: W,
        message: &Message,
        inside: &[bool],
        domain: &str,
    ) -> io::Result<Self> {
        let text = MimePart::new("text/plain", BodyPart::from(text(message, inside)));
        let head = head(message, domain);
        let boundary = inside.contains(&true).then(|| format!("depot-{}", Uuid::new_v4().simple()));
        let begun = match &boundary {
            None => head.body(text).write_to_vec()?,
            Some(boundary) => {
                let kind = ContentType::new("multipart/mixed").attribute("boundary", boundary);
                let mut begun = head.body(MimePart::new(kind, vec![text])).write_to_vec()?;
                let end = end_of(boundary);
                if !begun.ends_with(end.as_bytes()) {
                    return Err(io::Error::other("a message does not end as it should"));
                }
                begun.truncate(begun.len() - end.len());
                begun
            }
        };
        out.write_all(&begun)?;
        Ok(Self { out, boundary, rest: Vec::new(), encoded: String::new() })
    }

    /// Begins the next attachment.
    pub(crate) fn part(&mut self, name: &str) -> io::Result<()> {
        self.end_part()?;
        let boundary = self.boundary.as_deref().unwrap_or_default();
        let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
        let part = MimePart::new("application/octet-stream", BodyPart::from(&b""[..]));
        part.attachment(one_line(name)).write_part(&mut head);
        self.out.write_all(&head)
    }

    /// The next bytes of the attachment.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            let (missing, more) = bytes.split_at(bytes.len().min(LINE_BYTES - self.rest.len()));
            self.rest.extend_from_slice(missing);
            bytes = more;
            if self.rest.len() < LINE_BYTES {
                return Ok(());
            }
            let line = std::mem::take(&mut self.rest);
            self.lines(&line)?;
        }
        let (whole, rest) = bytes.split_at(bytes.len() / LINE_BYTES * LINE_BYTES);
        self.rest.extend_from_slice(rest);
        whole.chunks(LINE_BYTES * LINES).try_for_each(|lines| self.lines(lines))
    }

    /// It is whole.
    pub(crate) fn end(mut self) -> io::Result<W> {
        self.end_part()?;
        if let Some(boundary) = &self.boundary {
            self.out.write_all(end_of(boundary).as_bytes())?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_part(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.lines(&rest)
    }

    fn lines(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.encoded.clear();
        for line in bytes.chunks(LINE_BYTES) {
            STANDARD.encode_string(line, &mut self.encoded);
            self.encoded.push_str("\r\n");
        }
        self.out.write_all(self.encoded.as_bytes())
    }
}

fn end_of(boundary: &str) -> String {
    format!("\r\n--{boundary}--\r\n")
}

fn head(message: &Message, domain: &str) -> MessageBuilder<'static> {
    let id = |uuid: &str| format!("{uuid}@{ID_DOMAIN}");
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
    builder
}

/// The body, and what is not inside.
fn text(message: &Message, inside: &[bool]) -> String {
    let mut text = message.body.clone();
    let is_inside = |place: usize| inside.get(place).copied().unwrap_or_default();
    let attachments = message.attachments.iter().enumerate();
    let mut outside = attachments.filter(|(place, _)| !is_inside(*place)).peekable();
    if outside.peek().is_none() {
        return text;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("\n-- \nNot inside this message:\n");
    for (_, attachment) in outside {
        let (name, size) = (one_line(&attachment.name), show_size(attachment.size));
        text.push_str(&format!("  {name} ({size})\n"));
    }
    text.push_str(&format!("Save with: depot save {}\n", message.id));
    text
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
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use depot_proto::mail::{Attachment, Message};
    use prost_types::Timestamp;

    use super::Letter;

    fn message() -> Message {
        let attachment =
            |name: &str, size| Attachment { name: name.into(), size, ..Attachment::default() };
        Message {
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
        }
    }

    /// With these contents, each handed over in pieces of so many bytes.
    fn text(message: &Message, contents: &[Option<&[u8]>], piece: usize) -> String {
        let inside: Vec<bool> = contents.iter().map(Option::is_some).collect();
        let mut letter = Letter::begin(Vec::new(), message, &inside, "depot.example").unwrap();
        for (attachment, content) in message.attachments.iter().zip(contents) {
            let Some(content) = content else { continue };
            letter.part(&attachment.name).unwrap();
            content.chunks(piece).for_each(|bytes| letter.add(bytes).unwrap());
        }
        String::from_utf8(letter.end().unwrap()).unwrap()
    }

    #[test]
    fn a_letter_has_the_headers_that_readers_need() {
        let text = text(&message(), &[Some(b"abc"), None], 1);
        for wanted in [
            "From: <ann@depot.example>\r\n",
            "To: <bob@depot.example>, <\"e..ve\"@depot.example>\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Message-ID: <id-1@depot.invalid>\r\n",
            "In-Reply-To: <id-0@depot.invalid>\r\n",
            "References: <thread-1@depot.invalid>",
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
        let text = text(&message(), &[Some(b"abc"), None], 3);
        assert!(!text.contains("\nBcc"), "{text}");
        assert!(!text.contains("a\n.txt"), "{text}");
    }

    #[test]
    fn a_letter_without_attachments_is_plain_text() {
        let mut message = message();
        message.attachments.clear();
        let text = text(&message, &[], 1);
        assert!(text.contains("Content-Type: text/plain"), "{text}");
        assert!(text.ends_with("\r\n\r\nsee attached"), "{text}");
    }

    #[test]
    fn attachments_of_every_size_come_out_as_they_went_in() {
        let content: Vec<u8> = (0..70_000_u64).map(|n| (n * n / 7) as u8).collect();
        for (size, piece) in
            [(0, 1), (1, 1), (56, 10), (57, 57), (58, 1), (114, 5), (70_000, 999), (70_000, 70_000)]
        {
            let content = &content[..size];
            let text = text(&message(), &[Some(content), Some(b"end")], piece);
            let parts: Vec<&str> =
                text.split("Content-Transfer-Encoding: base64\r\n\r\n").collect();
            let [_, first, second] = parts[..] else { panic!("{text}") };
            let encoded = first.split("\r\n--").next().unwrap();
            assert!(encoded.lines().all(|line| line.len() <= 76));
            let decoded = STANDARD.decode(encoded.replace("\r\n", "")).unwrap();
            assert!(decoded == content, "{size} bytes in pieces of {piece}");
            assert!(second.starts_with("ZW5k\r\n\r\n--depot-"), "{second}");
            assert!(second.ends_with("--\r\n"), "{second}");
        }
    }
}
