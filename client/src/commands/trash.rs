//! `depot trash`: what was removed, bringing it back, and removing it for good.

use clap::{Args, Subcommand};
use depot_proto::files::{
    EmptyTrashRequest, Kind, ListTrashRequest, RemovedEntry, RestoreRemovedRequest,
};
use serde::Serialize;
use uuid::Uuid;

use super::restore::report;
use crate::app::App;
use crate::batch::Batch;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::output::json::kind_name;
use crate::path::RemotePath;
use crate::units::{rfc3339, show_size, show_time};

/// Entries in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot trash` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "What was removed is kept for 30 days, unless the server's operator or your quota \
                  say otherwise.\n\
                  Examples:\n  depot trash ls\n  depot trash restore /reports/q3.pdf\n  \
                  depot trash empty"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List what was removed, the latest first
    #[command(after_help = "Example:\n  depot trash ls")]
    Ls,
    /// Bring something back, with all that was in it
    #[command(after_help = "Of several that stood at one path, the latest comes back.\n\
                      Example:\n  depot trash restore /reports/q3.pdf --to /reports/q3-again.pdf")]
    Restore(Restore),
    /// Remove all of it for good, or some
    #[command(after_help = "Examples:\n  depot trash empty\n  depot trash empty /reports/q3.pdf")]
    Empty(Empty),
}

#[derive(Args, Debug)]
struct Restore {
    /// Where it stood, or its id
    #[arg(value_name = "PATH|ID")]
    what: String,
    /// Where it goes; without this, where it stood
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
}

#[derive(Args, Debug)]
struct Empty {
    /// Only what stood at these paths, or has these ids
    #[arg(value_name = "PATH|ID")]
    what: Vec<String>,
}

#[derive(Serialize)]
struct RemovedLine<'a> {
    path: &'a str,
    kind: &'static str,
    id: &'a str,
    size: Option<u64>,
    removed_at: Option<String>,
}

#[derive(Serialize)]
struct EmptiedLine {
    freed_bytes: u64,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let trash = Trash { app, session: app.session().await? };
    match arguments.action {
        Action::Ls => trash.list().await,
        Action::Restore(restore) => trash.restore(restore).await,
        Action::Empty(empty) => trash.empty(&empty.what).await,
    }
}

struct Trash<'a> {
    app: &'a App,
    session: Session,
}

impl Trash<'_> {
    async fn list(&self) -> Result<()> {
        self.each(|removed| {
            match self.app.output.is_json() {
                true => self.app.output.object(&line(removed))?,
                false => self.app.output.line(&text(removed))?,
            }
            Ok(true)
        })
        .await
    }

    async fn restore(&self, restore: Restore) -> Result<()> {
        let target = restore.to.as_deref().map(RemotePath::parse).transpose()?;
        let target = target.map(|path| path.to_string()).unwrap_or_default();
        let found = self.meant(&restore.what).await?;
        let request_id = Uuid::new_v4().to_string();
        let answer = self.session.call(Repeat::Always, || async {
            let request = RestoreRemovedRequest {
                id: found.id.clone(),
                target: target.clone(),
                request_id: request_id.clone(),
            };
            self.session.history().restore_removed(request).await
        });
        let entry = answer.await.map_err(|error| error.at(found.path.as_str()))?.entry;
        let at = entry.as_ref().map_or(String::new(), |entry| format!(" at {}", entry.path));
        report(self.app, entry, &format!("{} is back{at}", found.path))
    }

    async fn empty(&self, what: &[String]) -> Result<()> {
        if what.is_empty() {
            return match self.app.confirm("Remove all of your trash for good?")? {
                true => self.purge("").await,
                false if self.app.is_interactive() => {
                    Err(Error::new(Exit::Interrupted, "INTERRUPTED", "nothing was removed"))
                }
                false => Err(Error::usage(
                    "nothing was removed, as nobody can be asked; give --yes to empty all of the trash",
                )),
            };
        }
        let mut batch = Batch::new(self.app, what.len());
        for what in what {
            let purged = match self.meant(what).await {
                Ok(found) => self.purge(&found.id).await,
                Err(error) => Err(error),
            };
            batch.took(purged)?;
        }
        batch.ended()
    }

    async fn purge(&self, id: &str) -> Result<()> {
        let answer = self.session.call(Repeat::Unsent, || async {
            self.session.history().empty_trash(EmptyTrashRequest { id: id.to_owned() }).await
        });
        let freed_bytes = answer.await?.freed_bytes;
        if self.app.output.is_json() {
            return self.app.output.object(&EmptiedLine { freed_bytes });
        }
        self.app.output.note(&format!("{} were set free", show_size(freed_bytes)));
        Ok(())
    }

    /// What was meant: by its id, or the latest that stood at a path.
    async fn meant(&self, what: &str) -> Result<RemovedEntry> {
        let path = match what.starts_with('/') {
            true => Some(RemotePath::parse(what)?.to_string()),
            false => None,
        };
        let mut found = None;
        self.each(|removed| {
            if removed.id == what || Some(&removed.path) == path.as_ref() {
                found = Some(removed.clone());
            }
            Ok(found.is_none())
        })
        .await?;
        found.ok_or_else(|| {
            let message = format!("{what} is not in the trash; `depot trash ls` lists what is");
            Error::new(Exit::NotFound, "NOT_FOUND", message).at(what)
        })
    }

    /// What was removed, the latest first, until one is enough.
    async fn each(&self, mut take: impl FnMut(&RemovedEntry) -> Result<bool>) -> Result<()> {
        let mut page_token = String::new();
        loop {
            let answer = self.session.call(Repeat::Always, || async {
                let page_token = page_token.clone();
                let request = ListTrashRequest { page_size: PAGE_SIZE, page_token };
                self.session.history().list_trash(request).await
            });
            let page = answer.await?;
            for removed in &page.entries {
                if !take(removed)? {
                    return Ok(());
                }
            }
            if page.next_page_token.is_empty() || page.next_page_token == page_token {
                return Ok(());
            }
            page_token = page.next_page_token;
        }
    }
}

fn line(removed: &RemovedEntry) -> RemovedLine<'_> {
    RemovedLine {
        path: &removed.path,
        kind: kind_name(removed.kind()),
        id: &removed.id,
        size: removed.size,
        removed_at: rfc3339(removed.removed_at.as_ref()),
    }
}

fn text(removed: &RemovedEntry) -> String {
    let at = show_time(removed.removed_at.as_ref());
    let size = removed.size.map_or_else(|| kind_name(removed.kind()).to_owned(), show_size);
    let slash = if removed.kind() == Kind::Folder { "/" } else { "" };
    format!("{at}  {size:>10}  {}{slash}", removed.path)
}
