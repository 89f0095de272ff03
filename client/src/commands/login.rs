//! `depot login`: proves who you are to a server, and remembers it, the account and the tokens. What
//! setup does after its own first call is the same, and stands here too.

use std::path::PathBuf;

use clap::Args;
use depot_proto::auth::{Credentials, LoginRequest};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::app::App;
use crate::connect::{Address, Asked, Pin, Repeat, Trusted, lock, tokens};
use crate::error::{Error, Result};
use crate::password::PasswordArgs;
use crate::state::Remembered;

/// What `depot login` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot login --server depot.example:7420 --account ann")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    password: PasswordArgs,
}

/// Which server, which account, and how the server is recognised.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// The server (also DEPOT_SERVER); the one of the last login
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// The account (also DEPOT_ACCOUNT)
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Trust the authority in this file (also DEPOT_CA)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust the authority with this pin (also DEPOT_PIN)
    #[arg(long, value_name = "PIN")]
    pin: Option<String>,
}

/// A server that has been recognised, before anybody is logged in to it.
pub(crate) struct Met {
    pub(crate) address: Address,
    pub(crate) account: String,
    pub(crate) trusted: Trusted,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let met = meet(&arguments.server, app).await?;
    let prompt = format!("Password of {} at {}", met.account, met.address);
    let password = arguments.password.or_environment(app).current(app, &prompt)?;
    let session = app.guest(&met.address, &met.trusted)?;
    let answer = session.call(Repeat::Unsent, || async {
        let request = LoginRequest {
            account: met.account.clone(),
            password: password.expose_secret().to_owned(),
            client: client_name(),
        };
        session.auth().login(request).await
    });
    remember(app, &met, answer.await?.credentials).await
}

/// Finds out which server and account are meant, and whether the server is who it should be.
pub(crate) async fn meet(arguments: &ServerArgs, app: &App) -> Result<Met> {
    let remembered = app.state.load()?;
    let named = arguments.server.as_deref().or(app.environment.server.as_deref());
    if named.is_none() && remembered.server.is_none() {
        return Err(Error::usage("which server? give --server HOST:PORT"));
    }
    let address = app.address(arguments.server.as_deref(), &remembered)?;
    let known = app.known(&address, &remembered);
    let account = arguments.account.clone().or_else(|| app.environment.account.clone());
    let account = account.or_else(|| known.and_then(|known| known.account.clone()));
    let account = account.ok_or_else(|| Error::usage("which account? give --account NAME"))?;
    let mut asked = app.asked(known)?;
    if arguments.ca.is_some() || arguments.pin.is_some() {
        let pin = arguments.pin.as_deref().map(str::parse::<Pin>).transpose()?;
        asked = Asked { ca: arguments.ca.clone(), pin, ..asked };
    }
    let trusted = Trusted::establish(app, &address, asked).await?;
    Ok(Met { address, account, trusted })
}

/// Keeps what a login handed out.
pub(crate) async fn remember(app: &App, met: &Met, credentials: Option<Credentials>) -> Result<()> {
    let credentials = credentials.ok_or_else(|| Error::bad_answer("the server sent no token"))?;
    let lock = lock(&app.state).await?;
    let remembered = Remembered {
        server: Some(met.address.to_string()),
        account: Some(credentials.account.clone()),
        ca: Some(met.trusted.to_pem()),
        tokens: Some(tokens(&credentials)),
    };
    app.state.save(&lock, &remembered)?;
    if app.output.is_json() {
        return app.output.object(&LoggedIn {
            account: &credentials.account,
            server: &met.address.to_string(),
            session_id: &credentials.session_id,
        });
    }
    app.output.note(&format!("logged in to {} as {}", met.address, credentials.account));
    Ok(())
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    account: &'a str,
    server: &'a str,
    session_id: &'a str,
}

/// What `depot sessions` shows for this machine.
pub(crate) fn client_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    format!("depot {} on {host}", env!("CARGO_PKG_VERSION"))
}
