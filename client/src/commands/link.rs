//! `depot link`: makes a link to what is in your tree, for whoever has it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use depot_proto::files::{Link, LinkUse, MakeLinkRequest};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::{Error, Result};
use crate::link::{LinkUrl, seconds};
use crate::output::json::kind_name;
use crate::password;
use crate::path::RemotePath;
use crate::units::{self, rfc3339, show_time};

/// What `depot link` takes.
#[derive(Args, Debug)]
#[command(after_help = "Whoever has the link can read what it leads to, without an account:\n  \
                  depot get --link URL .\n\
                  Examples:\n  depot link /reports/q3.pdf --expire 7d --max-downloads 3\n  \
                  depot link /incoming --drop --expire 1d")]
pub(crate) struct Arguments {
    /// What it leads to; of a folder all that is in it
    #[arg(value_name = "PATH")]
    path: String,
    /// For putting files into the folder, and seeing nothing of it
    #[arg(long)]
    drop: bool,
    /// It is good for so long, such as 7d; without this until `depot unlink`
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    expire: Option<Duration>,
    /// So many downloads
    #[arg(long, value_name = "N", conflicts_with = "drop", value_parser = clap::value_parser!(u32).range(1..))]
    max_downloads: Option<u32>,
    /// So many files may be put
    #[arg(long, value_name = "N", requires = "drop", value_parser = clap::value_parser!(u32).range(1..))]
    max_files: Option<u32>,
    /// It needs a password, which is asked for
    #[arg(long, conflicts_with = "password_file")]
    password: bool,
    /// It needs a password: this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What is said of a link with `--json`.
#[derive(Serialize)]
pub(super) struct LinkLine<'a> {
    id: &'a str,
    url: Option<&'a str>,
    path: &'a str,
    kind: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    password: bool,
    expires_at: Option<String>,
    uses_max: Option<u32>,
    uses: u32,
    made_at: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = RemotePath::parse(&arguments.path)?;
    let session = app.session().await?;
    let password = match &arguments.password_file {
        Some(file) => Some(password::from_file(file)?),
        None if arguments.password => {
            Some(password::ask_twice(app, "Password of the link", "--password-file FILE")?)
        }
        None => None,
    };
    // Not asked again once it may have been done: there would be two.
    let answer = session.call(Repeat::Unsent, || async {
        let mut request = MakeLinkRequest {
            path: path.to_string(),
            password: password.as_ref().map(|password| password.expose_secret().to_owned()),
            lifetime_seconds: arguments.expire.map(seconds),
            uses_max: arguments.max_downloads.or(arguments.max_files),
            ..MakeLinkRequest::default()
        };
        request.set_use(if arguments.drop { LinkUse::Drop } else { LinkUse::Read });
        session.sharing().make_link(request).await
    });
    let made = answer.await.map_err(|error| error.at(path.to_string()))?;
    let link = made.link.ok_or_else(|| Error::bad_answer("the server sent no link"))?;
    let pin = app.trusted_pin(session.address())?;
    let url = LinkUrl::new(session.address().clone(), made.secret, pin).to_string();
    if app.output.is_json() {
        return app.output.object(&line(&link, Some(&url)));
    }
    app.output.line(&url)?;
    if session.address().is_here() {
        app.output.note("the link names this machine; log in by the name that others know it by");
    }
    Ok(())
}

pub(super) fn line<'a>(link: &'a Link, url: Option<&'a str>) -> LinkLine<'a> {
    LinkLine {
        id: &link.id,
        url,
        path: &link.path,
        kind: kind_name(link.kind()),
        purpose: purpose(link),
        password: link.has_password,
        expires_at: rfc3339(link.expires_at.as_ref()),
        uses_max: link.uses_max,
        uses: link.uses,
        made_at: rfc3339(link.made_at.as_ref()),
    }
}

fn purpose(link: &Link) -> &'static str {
    match link.r#use() {
        LinkUse::Drop => "drop",
        _ => "read",
    }
}

/// For people.
pub(super) fn text(link: &Link) -> String {
    let most = link.uses_max.map_or_else(String::new, |most| format!(" of {most}"));
    let ends = match &link.expires_at {
        Some(at) => format!("ends {}", show_time(Some(at))),
        None => "does not end".to_owned(),
    };
    let password = if link.has_password { "  password" } else { "" };
    let (id, path, uses) = (&link.id, &link.path, link.uses);
    format!("{id}  {}  used {uses}{most}  {ends}{password}  {path}", purpose(link))
}
