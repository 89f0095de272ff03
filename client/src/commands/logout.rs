//! `depot logout`: ends this login at the server and forgets its tokens. The server and its certificate
//! authority stay remembered.

use clap::Args;
use depot_proto::auth::LogoutRequest;

use crate::app::App;
use crate::connect::{Login, Repeat, lock};
use crate::error::{Exit, Result};

/// What `depot logout` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot logout")]
pub(crate) struct Arguments {}

pub(crate) async fn run(_: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let ended = session
        .call(Repeat::Always, || async { session.auth().logout(LogoutRequest {}).await })
        .await;
    match ended {
        // It had ended already, which is what was asked for.
        Err(error) if error.exit() == Exit::Unauthenticated => {}
        other => {
            other?;
        }
    }
    if app.environment.token.is_none() {
        let account = session.known_account().to_owned();
        forget(app, &Login { address: session.address().clone(), account }).await?;
    }
    app.output.note(&format!("logged out of {}", session.address()));
    Ok(())
}

/// Forgets the tokens of this login. Whoever has logged in here meanwhile stays so.
async fn forget(app: &App, login: &Login) -> Result<()> {
    let lock = lock(&app.state).await?;
    let mut remembered = app.state.load()?;
    if login.is_in(&remembered) {
        remembered.tokens = None;
        app.state.save(&lock, &remembered)?;
    }
    Ok(())
}
