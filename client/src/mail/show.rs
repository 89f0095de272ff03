//! A message as a person reads it. Escaping is not done here but where it is printed.

use depot_proto::mail::Message;

use crate::units::{show_size, show_time};

/// All of it.
pub(crate) fn show(message: &Message) -> String {
    let mut shown = String::new();
    let mut line = |name: &str, value: &str| {
        // A line break in a header would look like another header.
        let value = value.replace(['\n', '\r'], " ");
        shown.push_str(&format!("{name:<12}{value}\n"));
    };
    let unread = if message.unread { " (unread)" } else { "" };
    match message.number {
        0 => line("message", &message.id),
        number => line("message", &format!("{number}{unread}")),
    }
    line("from", &message.from);
    line("to", &message.to.join(", "));
    line("sent", &show_time(message.sent_at.as_ref()));
    line("subject", &message.subject);
    for attachment in &message.attachments {
        line("attachment", &format!("{} ({})", attachment.name, show_size(attachment.size)));
    }
    shown.push('\n');
    shown.push_str(&message.body);
    if !message.body.is_empty() && !message.body.ends_with('\n') {
        shown.push('\n');
    }
    shown
}

/// One line of it.
pub(crate) fn summary(message: &Message) -> String {
    let unread = if message.unread { '*' } else { ' ' };
    let attached = match message.attachments.len() {
        0 => String::new(),
        1 => "  (1 attachment)".to_owned(),
        many => format!("  ({many} attachments)"),
    };
    let time = show_time(message.sent_at.as_ref());
    let (number, from) = (message.number, &message.from);
    format!("{number:>6} {unread}  {time}  {from:<16}  {}{attached}", message.subject)
}

#[cfg(test)]
mod tests {
    use depot_proto::mail::{Attachment, Message};

    use super::{show, summary};

    fn message() -> Message {
        Message {
            number: 7,
            from: "ann".into(),
            to: vec!["bob".into(), "eve".into()],
            subject: "Q3\nfrom        eve".into(),
            unread: true,
            body: "see attached".into(),
            attachments: vec![Attachment {
                name: "q3.pdf".into(),
                size: 3,
                ..Attachment::default()
            }],
            ..Message::default()
        }
    }

    #[test]
    fn a_message_is_shown_with_all_it_has() {
        let shown = show(&message());
        assert_eq!(
            shown,
            "message     7 (unread)\nfrom        ann\nto          bob, eve\nsent        -\n\
             subject     Q3 from        eve\nattachment  q3.pdf (3 B)\n\nsee attached\n"
        );
        assert!(summary(&message()).contains("7 *"));
    }
}
