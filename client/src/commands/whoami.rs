//! `depot whoami`: the account behind the token, as the server sees it.

use clap::Args;
use depot_proto::auth::WhoAmIRequest;
use serde::Serialize;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::Result;
use crate::units::{rfc3339, show_size};

/// What `depot whoami` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot whoami -v")]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct WhoAmI<'a> {
    account: &'a str,
    server: &'a str,
    admin: bool,
    session_id: &'a str,
    token_expires_at: Option<String>,
    used_bytes: u64,
    quota_bytes: Option<u64>,
}

pub(crate) async fn run(_: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let answer = session
        .call(Repeat::Always, || async { session.auth().who_am_i(WhoAmIRequest {}).await })
        .await?;
    let server = session.address().to_string();
    if app.output.is_json() {
        return app.output.object(&WhoAmI {
            account: &answer.account,
            server: &server,
            admin: answer.admin,
            session_id: &answer.session_id,
            token_expires_at: rfc3339(answer.token_expires_at.as_ref()),
            used_bytes: answer.used_bytes,
            quota_bytes: answer.quota_bytes,
        });
    }
    app.output.line(&answer.account)?;
    if app.output.is_verbose() {
        let role = if answer.admin { ", an administrator" } else { "" };
        app.output.detail(&format!("at {server}{role}"));
        let quota = answer
            .quota_bytes
            .map_or("no quota".to_owned(), |quota| format!("of {}", show_size(quota)));
        app.output.detail(&format!("holds {}, {quota}", show_size(answer.used_bytes)));
    }
    Ok(())
}
