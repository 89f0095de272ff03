//! `depot passwd`: sets a new password for your own account. Every other login of it ends.

use std::path::PathBuf;

use clap::Args;
use depot_proto::auth::ChangePasswordRequest;
use secrecy::ExposeSecret as _;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::Result;
use crate::password::{self, PasswordArgs};
use crate::units::count;

/// What `depot passwd` takes. With `--password-stdin` the new password is the second line.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot passwd")]
pub(crate) struct Arguments {
    #[command(flatten)]
    current: PasswordArgs,
    /// The new password is this file's first line; with --password-stdin it is the second line of stdin
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let from_stdin = arguments.current.password_stdin;
    let old = arguments.current.or_environment(app).current(app, "Password until now")?;
    let new = match &arguments.new_password_file {
        Some(path) => password::from_file(path)?,
        None if from_stdin => password::from_stdin()?,
        None => password::ask_twice(app, "New password", "--new-password-file FILE")?,
    };
    let answer = session.call(Repeat::Unsent, || async {
        let request = ChangePasswordRequest {
            old_password: old.expose_secret().to_owned(),
            new_password: new.expose_secret().to_owned(),
        };
        session.auth().change_password(request).await
    });
    let revoked = answer.await?.revoked;
    let others = count(revoked as usize, "other login");
    app.output.note(&format!("the password is changed, and {others} ended"));
    Ok(())
}
