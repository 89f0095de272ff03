//! `depot stat`: all that is known about an entry.

use clap::Args;
use depot_proto::files::{Entry, Kind};
use serde::Serialize;

use super::ls::show_mode;
use crate::app::App;
use crate::error::Result;
use crate::listing;
use crate::output::json::{self, hex, kind_name};
use crate::path::RemotePath;
use crate::units::rfc3339;

/// What `depot stat` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot stat /reports/q3.pdf\n  \
                  depot mv /a /b --if-etag \"$(depot stat --etag /a)\"")]
pub(crate) struct Arguments {
    /// Files, folders or symlinks
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Only its etag, which changes with every change of the entry
    #[arg(long)]
    etag: bool,
}

#[derive(Serialize)]
struct EtagLine<'a> {
    path: &'a str,
    etag: &'a str,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths: Vec<RemotePath> =
        arguments.paths.iter().map(|path| RemotePath::parse(path)).collect::<Result<_>>()?;
    let session = app.session().await?;
    for path in &paths {
        let entry = listing::stat(&session, path).await?;
        match (app.output.is_json(), arguments.etag) {
            (true, false) => app.output.object(&json::Listed::from(&entry))?,
            (true, true) => {
                let line = EtagLine { path: &entry.path, etag: &entry.etag };
                app.output.object(&line)?;
            }
            (false, true) => app.output.line(&entry.etag)?,
            (false, false) => show(app, &entry)?,
        }
    }
    Ok(())
}

fn show(app: &App, entry: &Entry) -> Result<()> {
    let line = |name: &str, value: &str| app.output.line(&format!("{name:<11}{value}"));
    line("path", &entry.path)?;
    line("kind", kind_name(entry.kind()))?;
    line("id", &entry.id)?;
    match entry.kind() {
        Kind::Folder => {}
        Kind::Symlink => line("leads to", &entry.symlink_target)?,
        Kind::File | Kind::Unspecified => {
            line("size", &entry.size.to_string())?;
            line("blake3", &hex(&entry.blake3))?;
            line("version", &entry.version)?;
            line("generation", &entry.generation.to_string())?;
        }
    }
    line("mode", &format!("{:04o} {}", entry.mode, show_mode(entry)))?;
    line("modified", &rfc3339(entry.modified_at.as_ref()).unwrap_or_default())?;
    line("etag", &entry.etag)
}
