//! `depot watch`: what changes, as it happens, from now on or from a cursor. A connection that breaks is
//! made again, and the watch goes on where it was.

use clap::Args;
use depot_proto::changes::{Change, ChangeKind, ChangeOp, WatchRequest, WatchResponse};

use crate::app::App;
use crate::connect::{Patience, Session};
use crate::error::{Error, Exit, Result};
use crate::output::json::ChangeLine;
use crate::units::{rfc3339, show_time};

/// What `depot watch` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot watch --json\n  depot watch --cursor CURSOR")]
pub(crate) struct Arguments {
    /// Go on from here, as an earlier watch printed it
    #[arg(long, value_name = "C")]
    cursor: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let mut cursor = arguments.cursor.unwrap_or_default();
    let mut patience = session.patience();
    loop {
        let Err(error) = follow(app, &session, &mut cursor, &mut patience).await else {
            return Ok(());
        };
        session.recover(error, &mut patience).await?;
        app.output.detail("the connection was cut; going on from where it was");
    }
}

/// Prints what comes, and keeps the cursor; it ends only with an error.
async fn follow(
    app: &App,
    session: &Session,
    cursor: &mut String,
    patience: &mut Patience,
) -> Result<()> {
    let request = WatchRequest { cursor: cursor.clone() };
    let mut answers = session.changes().watch(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        patience.progressed();
        if answer.full && !cursor.is_empty() {
            app.output.error(&begun_anew());
        }
        print(app, &answer)?;
        if !answer.cursor.is_empty() {
            app.say_after_interrupt(format!("go on with --cursor {}", answer.cursor));
            *cursor = answer.cursor;
        }
    }
    Err(Error::cut("the server ended the watch"))
}

/// Whoever follows by a cursor must drop what they do not see again, so this is said in any case.
fn begun_anew() -> Error {
    let message = "the cursor is too old, or of another store: all that is there follows, and what \
                   does not follow is gone";
    Error::new(Exit::Fine, "CURSOR_RESET", message)
}

fn print(app: &App, answer: &WatchResponse) -> Result<()> {
    for change in &answer.changes {
        match app.output.is_json() {
            true => app.output.object(&line(change))?,
            false => app.output.line(&shown(change))?,
        }
    }
    // Whoever reads it wants it now.
    app.output.flush()
}

fn line(change: &Change) -> ChangeLine<'_> {
    ChangeLine {
        cursor: &change.cursor,
        kind: kind(change),
        op: op(change),
        subtree: change.subtree,
        id: &change.id,
        path: (!change.path.is_empty()).then_some(change.path.as_str()),
        at: rfc3339(change.at.as_ref()),
    }
}

fn shown(change: &Change) -> String {
    let subtree = if change.subtree { " and all below" } else { "" };
    let what = if change.path.is_empty() { &change.id } else { &change.path };
    let at = show_time(change.at.as_ref());
    format!("{at}  {:<8} {:<8} {what}{subtree}", op(change), kind(change))
}

fn kind(change: &Change) -> &'static str {
    match change.kind() {
        ChangeKind::Folder => "folder",
        ChangeKind::Message => "message",
        ChangeKind::Symlink => "symlink",
        ChangeKind::File | ChangeKind::Unspecified => "file",
    }
}

fn op(change: &Change) -> &'static str {
    match change.op() {
        ChangeOp::Remove => "remove",
        ChangeOp::Move => "move",
        ChangeOp::Deliver => "deliver",
        ChangeOp::Ack => "ack",
        ChangeOp::Put | ChangeOp::Unspecified => "put",
    }
}

#[cfg(test)]
mod tests {
    use depot_proto::changes::{Change, ChangeKind, ChangeOp};

    use super::line;

    #[test]
    fn a_change_has_all_its_keys() {
        let change = Change {
            kind: ChangeKind::Message.into(),
            op: ChangeOp::Deliver.into(),
            id: "m".into(),
            cursor: "c".into(),
            at: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Change::default()
        };
        assert_eq!(
            serde_json::to_string(&line(&change)).unwrap(),
            r#"{"cursor":"c","kind":"message","op":"deliver","subtree":false,"id":"m","path":null,"at":"1970-01-01T00:00:00Z"}"#
        );
    }
}
