//! `depot shares`: what you have shared, and what was shared with you.

use clap::Args;
use depot_proto::files::{AccessGrant, ListGrantsRequest, ListSharedRequest};

use super::share::{line, right};
use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::Result;
use crate::path::RemotePath;

/// Grants in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot shares` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  depot shares\n  depot shares /reports\n  depot shares --with-me"
)]
pub(crate) struct Arguments {
    /// Only what was granted on this
    #[arg(value_name = "PATH", conflicts_with = "with_me")]
    path: Option<String>,
    /// What others have shared with you
    #[arg(long)]
    with_me: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = arguments.path.as_deref().map(RemotePath::parse).transpose()?;
    let path = path.map(|path| path.to_string()).unwrap_or_default();
    let session = app.session().await?;
    let whose = match arguments.with_me {
        true => Whose::Others,
        false => Whose::Own(&path),
    };
    for grant in granted(&session, whose).await? {
        match app.output.is_json() {
            true => app.output.object(&line(&grant))?,
            false => app.output.line(&shown(&grant))?,
        }
    }
    Ok(())
}

/// Whose grants are asked for.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Those that were made on this path; on anything, where it is empty.
    Own(&'a str),
    /// Those that others made.
    Others,
}

/// All grants of these.
pub(super) async fn granted(session: &Session, whose: Whose<'_>) -> Result<Vec<AccessGrant>> {
    let mut granted = Vec::new();
    let mut page_token = String::new();
    loop {
        let (grants, next) = match whose {
            Whose::Own(path) => made(session, path, &page_token).await?,
            Whose::Others => had(session, &page_token).await?,
        };
        granted.extend(grants);
        if next.is_empty() || next == page_token {
            return Ok(granted);
        }
        page_token = next;
    }
}

type Page = (Vec<AccessGrant>, String);

async fn made(session: &Session, path: &str, page_token: &str) -> Result<Page> {
    let answer = session.call(Repeat::Always, || async {
        let (path, page_token) = (path.to_owned(), page_token.to_owned());
        let request = ListGrantsRequest { path, page_size: PAGE_SIZE, page_token };
        session.sharing().list_grants(request).await
    });
    let answer =
        answer.await.map_err(|error| if path.is_empty() { error } else { error.at(path) })?;
    Ok((answer.grants, answer.next_page_token))
}

async fn had(session: &Session, page_token: &str) -> Result<Page> {
    let answer = session.call(Repeat::Always, || async {
        let page_token = page_token.to_owned();
        session.sharing().list_shared(ListSharedRequest { page_size: PAGE_SIZE, page_token }).await
    });
    let answer = answer.await?;
    Ok((answer.grants, answer.next_page_token))
}

fn shown(grant: &AccessGrant) -> String {
    format!("{:<5}  {:<16}  {}", right(grant), grant.grantee, grant.path)
}
