//! `depot sessions`: the logins of your account, and ending them.

use clap::{Args, Subcommand};
use depot_proto::auth::revoke_session_request::Target;
use depot_proto::auth::{ListSessionsRequest, RevokeSessionRequest, Session as Login};
use serde::Serialize;

use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::Result;
use crate::units::{count, rfc3339, show_time};

/// Logins in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot sessions` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot sessions\n  depot sessions revoke --others")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List them, the newest first
    #[command(after_help = "Example:\n  depot sessions list --json")]
    List,
    /// End one of them, or all but this one
    #[command(after_help = "Example:\n  depot sessions revoke --others")]
    Revoke(Revoke),
}

#[derive(Args, Debug)]
struct Revoke {
    /// The login, as listed
    #[arg(value_name = "ID", required_unless_present = "others", conflicts_with = "others")]
    id: Option<String>,
    /// All but this one
    #[arg(long)]
    others: bool,
}

#[derive(Serialize)]
struct LoginLine<'a> {
    id: &'a str,
    client: &'a str,
    created_at: Option<String>,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    current: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    match arguments.action {
        None | Some(Action::List) => list(app, &session).await,
        Some(Action::Revoke(revoke)) => end(app, &session, revoke).await,
    }
}

async fn list(app: &App, session: &Session) -> Result<()> {
    let mut page_token = String::new();
    loop {
        let answer = session.call(Repeat::Always, || async {
            let page_token = page_token.clone();
            let request = ListSessionsRequest { page_size: PAGE_SIZE, page_token };
            session.auth().list_sessions(request).await
        });
        let page = answer.await?;
        for login in &page.sessions {
            match app.output.is_json() {
                true => app.output.object(&line(login))?,
                false => app.output.line(&shown(login))?,
            }
        }
        if page.next_page_token.is_empty() || page.next_page_token == page_token {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}

async fn end(app: &App, session: &Session, revoke: Revoke) -> Result<()> {
    let target = match revoke.id {
        Some(id) => Target::Id(id),
        None => Target::AllOthers(true),
    };
    let answer = session.call(Repeat::Always, || async {
        let request = RevokeSessionRequest { target: Some(target.clone()) };
        session.auth().revoke_session(request).await
    });
    let revoked = answer.await?.revoked;
    app.output.note(&format!("ended {}", count(revoked as usize, "login")));
    Ok(())
}

fn line(login: &Login) -> LoginLine<'_> {
    LoginLine {
        id: &login.id,
        client: &login.client,
        created_at: rfc3339(login.created_at.as_ref()),
        last_used_at: rfc3339(login.last_used_at.as_ref()),
        expires_at: rfc3339(login.expires_at.as_ref()),
        current: login.current,
    }
}

fn shown(login: &Login) -> String {
    let current = if login.current { '*' } else { ' ' };
    let used = show_time(login.last_used_at.as_ref());
    format!("{} {current}  last used {used}  {}", login.id, login.client)
}
