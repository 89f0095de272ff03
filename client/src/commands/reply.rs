//! `depot reply`: answers a message, in its conversation.

use clap::Args;
use depot_proto::mail::Message;

use crate::app::App;
use crate::error::Result;
use crate::mail::draft::{self, DraftArgs, Envelope};
use crate::mail::{find, parse};

/// What `depot reply` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot reply last -m 'thank you'")]
pub(crate) struct Arguments {
    /// The message: its number, its id, or last
    #[arg(value_name = "ID")]
    id: String,
    /// To everybody who got it, too
    #[arg(long)]
    all: bool,
    /// Another subject than `Re: …`
    #[arg(short, long)]
    subject: Option<String>,
    #[command(flatten)]
    draft: DraftArgs,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let which = parse(&arguments.id)?;
    let session = app.session().await?;
    let message = find(&session, &which).await?;
    let own = session.account().await?;
    let to = Envelope {
        to: recipients(&message, &own, arguments.all),
        subject: arguments.subject.unwrap_or_else(|| answer_to(&message.subject)),
        in_reply_to: message.id,
    };
    draft::send(app, &session, arguments.draft, to).await
}

/// Whoever wrote it; to one's own message, those who got it.
fn recipients(message: &Message, own: &str, all: bool) -> Vec<String> {
    let is_own = |name: &str| name.eq_ignore_ascii_case(own);
    let mut to: Vec<String> = Vec::new();
    if !is_own(&message.from) {
        to.push(message.from.clone());
    }
    if all || to.is_empty() {
        to.extend(message.to.iter().filter(|name| !is_own(name)).cloned());
    }
    if to.is_empty() {
        to.push(message.from.clone());
    }
    let mut seen = std::collections::HashSet::new();
    to.retain(|name| seen.insert(name.to_ascii_lowercase()));
    to
}

fn answer_to(subject: &str) -> String {
    let is_answer = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if is_answer { subject.to_owned() } else { format!("Re: {subject}") }
}

#[cfg(test)]
mod tests {
    use depot_proto::mail::Message;

    use super::{answer_to, recipients};

    #[test]
    fn an_answer_goes_to_whoever_is_meant() {
        let message = Message {
            from: "ann".into(),
            to: vec!["bob".into(), "eve".into(), "ann".into()],
            ..Message::default()
        };
        assert_eq!(recipients(&message, "bob", false), ["ann"]);
        assert_eq!(recipients(&message, "Bob", true), ["ann", "eve"]);
        assert_eq!(recipients(&message, "ann", false), ["bob", "eve"]);
        let note = Message { from: "ann".into(), to: vec!["ann".into()], ..Message::default() };
        assert_eq!(recipients(&note, "ann", false), ["ann"]);
    }

    #[test]
    fn re_stands_once() {
        assert_eq!(answer_to("Q3"), "Re: Q3");
        assert_eq!(answer_to("RE: Q3"), "RE: Q3");
        assert_eq!(answer_to("é"), "Re: é");
    }
}
