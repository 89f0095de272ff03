//! `depot save`: the attachments of a message as files. Changes nothing on the server.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use depot_proto::mail::{Attachment, Message};

use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::mail::{find, parse};
use crate::names;
use crate::output::json::Got;
use crate::transfer::{Downloads, Wanted};
use crate::tree::beneath::{Attributes, Beneath};
use crate::tree::partial::{Existing, is_reserved};
use crate::tree::receive::{Destination, receive};
use crate::units::count;

/// Permissions of what is saved.
const MODE: u32 = 0o644;

/// What `depot save` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot save 1 --into saved")]
pub(crate) struct Arguments {
    /// The message: its number, its id, or last
    #[arg(value_name = "ID")]
    id: String,
    /// Only the attachments of these names
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The directory they go into; it is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// Replace files that stand there
    #[arg(long)]
    force: bool,
}

/// An attachment, and the name it gets here.
struct Saving<'a> {
    attachment: &'a Attachment,
    name: OsString,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let which = parse(&arguments.id)?;
    let session = app.session().await?;
    let message = find(&session, &which).await?;
    let chosen = choose(&message, &arguments.names)?;
    if chosen.is_empty() {
        app.output.note("the message has no attachments");
        return Ok(());
    }
    let failed = |error: io::Error| Error::file("make", &arguments.into, &error);
    fs::create_dir_all(&arguments.into).map_err(failed)?;
    let beneath = Beneath::open(&arguments.into).map_err(failed)?;
    if !arguments.force {
        refuse_standing(&beneath, &arguments.into, &chosen)?;
    }
    let existing = if arguments.force { Existing::Replace } else { Existing::Refuse };
    let place = Place { app, session: &session, beneath: &beneath, existing };
    let mut damaged = Vec::new();
    for saving in &chosen {
        match place.save(&message, saving).await {
            // The others can be saved all the same.
            Err(error) if error.exit() == Exit::DataLoss => damaged.push(error),
            saved => saved?,
        }
    }
    match (&chosen[..], &damaged[..]) {
        (_, []) => Ok(()),
        ([_], [only]) => Err(only.clone()),
        _ => {
            damaged.iter().for_each(|error| app.output.error(error));
            let attachments = count(damaged.len(), "attachment");
            Err(Error::partial(format!("{attachments} left out; all else is saved")))
        }
    }
}

/// The attachments that were named, or all; two of one name get different ones.
fn choose<'a>(message: &'a Message, named: &[String]) -> Result<Vec<Saving<'a>>> {
    for name in named {
        if !message.attachments.iter().any(|attachment| attachment.name == *name) {
            let message = format!("the message has no attachment {name}");
            return Err(Error::new(Exit::NotFound, "NOT_FOUND", message).at(name.as_str()));
        }
    }
    let mut taken = HashSet::new();
    let mut chosen = Vec::new();
    for attachment in &message.attachments {
        let is_named = named.contains(&attachment.name);
        let name = unique(&base_name(attachment, is_named), &mut taken);
        if named.is_empty() || is_named {
            chosen.push(Saving { attachment, name: name.into() });
        }
    }
    Ok(chosen)
}

/// The last part of the name, if that is a name at all: an attachment never says where it goes, nor that
/// it is one of the files that programs read unasked, unless a person has named it so.
fn base_name(attachment: &Attachment, is_named: bool) -> String {
    let last = attachment.name.rsplit('/').next().unwrap_or_default();
    match names::problem(last).is_none() && !is_reserved(OsStr::new(last)) {
        true => match last.strip_prefix('.') {
            Some(rest) if !is_named => format!("_{rest}"),
            _ => last.to_owned(),
        },
        false => format!("attachment-{}", attachment.index + 1),
    }
}

fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 2;
    while !taken.insert(names::fold(&unique)) {
        let (stem, dot, end) = match name.rfind('.') {
            Some(at) if at > 0 => (&name[..at], ".", &name[at + 1..]),
            _ => (name, "", ""),
        };
        unique = format!("{stem} ({number}){dot}{end}");
        number += 1;
    }
    unique
}

/// Before anything is fetched.
fn refuse_standing(beneath: &Beneath, into: &Path, chosen: &[Saving<'_>]) -> Result<()> {
    let failed = |error: io::Error| Error::file("read", into, &error);
    let folder = beneath.folder("").map_err(failed)?;
    for saving in chosen {
        if folder.standing(&saving.name).map_err(failed)?.is_some() {
            let path = into.join(&saving.name);
            let message = format!("{} stands already; --force replaces it", path.display());
            let error = Error::new(Exit::Conflict, "LOCAL_ALREADY_EXISTS", message);
            return Err(error.at(path.to_string_lossy()));
        }
    }
    Ok(())
}

struct Place<'a> {
    app: &'a App,
    session: &'a Session,
    beneath: &'a Beneath,
    existing: Existing,
}

impl Place<'_> {
    async fn save(&self, message: &Message, saving: &Saving<'_>) -> Result<()> {
        let Saving { attachment, name } = saving;
        let wanted = Wanted::attachment(&message.id, attachment)?;
        let progress = self.app.output.progress(&attachment.name, Some(attachment.size));
        let modified = message.sent_at.as_ref().map(|time| (time.seconds, i64::from(time.nanos)));
        let to = Destination {
            folder: "",
            name,
            attributes: &Attributes { mode: MODE, modified, xattrs: None },
            existing: self.existing,
        };
        let downloads = Downloads::new(self.session);
        let received = receive(&downloads, self.beneath, &wanted, to, &progress).await;
        drop(progress);
        let received_bytes = received.map_err(|error| error.about(&attachment.name))?;
        let local = self.beneath.shown("", name);
        let local = local.to_string_lossy();
        if self.app.output.is_json() {
            return self.app.output.object(&Got {
                path: &attachment.name,
                local: &local,
                size: attachment.size,
                blake3: wanted.digest.to_hex(),
                received_bytes,
            });
        }
        self.app.output.line(&local)
    }
}

#[cfg(test)]
mod tests {
    use depot_proto::mail::{Attachment, Message};

    use super::choose;

    fn message(names: &[&str]) -> Message {
        let attachments = (0..).zip(names).map(|(index, name)| Attachment {
            index,
            name: (*name).to_owned(),
            ..Attachment::default()
        });
        Message { attachments: attachments.collect(), ..Message::default() }
    }

    fn saved(message: &Message, named: &[&str]) -> Option<Vec<String>> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let chosen = choose(message, &named).ok()?;
        Some(chosen.into_iter().map(|saving| saving.name.into_string().unwrap()).collect())
    }

    #[test]
    fn an_attachment_never_says_where_it_goes() {
        let message = message(&["/etc/passwd", "../../x", "..", "a\u{1b}b", "q3.pdf"]);
        let names = saved(&message, &[]).unwrap();
        assert_eq!(names, ["passwd", "x", "attachment-3", "attachment-4", "q3.pdf"]);
    }

    #[test]
    fn two_of_one_name_are_both_saved() {
        let message = message(&["a.txt", "A.txt", "a.txt", ".x", ".x"]);
        let names = saved(&message, &[]).unwrap();
        assert_eq!(names, ["a.txt", "A (2).txt", "a (3).txt", "_x", "_x (2)"]);
    }

    #[test]
    fn only_what_is_named_is_saved_and_what_is_named_must_be_there() {
        let message = message(&["a", "b"]);
        assert_eq!(saved(&message, &["b"]).unwrap(), ["b"]);
        assert_eq!(saved(&message, &["c"]), None);
    }

    #[test]
    fn a_hidden_file_is_made_only_where_it_is_asked_for() {
        let message = message(&[".bash_login", "x/.profile", "."]);
        let names = saved(&message, &[]).unwrap();
        assert_eq!(names, ["_bash_login", "_profile", "attachment-3"]);
        assert_eq!(saved(&message, &[".bash_login"]).unwrap(), [".bash_login"]);
    }
}
