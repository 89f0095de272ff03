//! `depot setup`: makes the first administrator of a new server, with the code that the server printed,
//! and logs in.

use std::io::BufRead as _;
use std::path::PathBuf;

use clap::Args;
use depot_proto::auth::SetupRequest;
use secrecy::{ExposeSecret as _, SecretString};

use super::login::{ServerArgs, client_name, meet, remember};
use crate::app::App;
use crate::connect::Repeat;
use crate::error::{Error, Exit, Result};
use crate::password::{self, PasswordArgs};

/// What `depot setup` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot setup --server localhost:7420 --account ann")]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArgs,
    /// The code that the server printed
    #[arg(long, value_name = "CODE", conflicts_with = "code_file")]
    code: Option<String>,
    /// A file with the code: setup-code in the server's data
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let met = meet(&arguments.server, app).await?;
    let session = app.guest(&met.address, &met.trusted)?;
    if !session.server_info().await?.setup_required {
        let address = &met.address;
        let message = format!(
            "an administrator exists at {address} already; ask them for an account, or log in: depot \
             login --server {address} --account {}",
            met.account
        );
        return Err(Error::new(Exit::Conflict, "FAILED_PRECONDITION", message));
    }
    let code = code(&arguments, app)?;
    let prompt = format!("New password of {}", met.account);
    let password = arguments.password.or_environment(app).fresh(app, &prompt)?;
    let answer = session.call(Repeat::Unsent, || async {
        let request = SetupRequest {
            code: code.expose_secret().to_owned(),
            account: met.account.clone(),
            password: password.expose_secret().to_owned(),
            client: client_name(),
        };
        session.auth().setup(request).await
    });
    remember(app, &met, answer.await?.credentials).await
}

fn code(arguments: &Arguments, app: &App) -> Result<SecretString> {
    if let Some(code) = &arguments.code {
        return Ok(SecretString::from(code.trim()));
    }
    if let Some(path) = &arguments.code_file {
        let line = password::from_file(path)?;
        return Ok(SecretString::from(line.expose_secret().trim()));
    }
    if !app.is_interactive() {
        return Err(Error::usage("there is no set-up code; give --code CODE or --code-file FILE"));
    }
    app.output.notice("The set-up code that the server printed:");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Error::io("read the set-up code", &error))?;
    Ok(SecretString::from(line.trim()))
}
