//! `depot versions`: the contents that a file has had.

use clap::Args;
use depot_proto::files::{ListVersionsRequest, Version};
use serde::Serialize;

use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::output::json::hex;
use crate::path::RemotePath;
use crate::units::{rfc3339, show_size, show_time};

/// Versions in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot versions` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot versions /reports/q3.pdf\n  \
                  depot get --version 17 /reports/q3.pdf earlier.pdf\n  \
                  depot restore /reports/q3.pdf --version 17")]
pub(crate) struct Arguments {
    /// The file
    #[arg(value_name = "PATH")]
    path: String,
}

#[derive(Serialize)]
struct VersionLine<'a> {
    path: &'a str,
    version: &'a str,
    generation: u64,
    size: u64,
    blake3: String,
    modified: Option<String>,
    replaced_at: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = RemotePath::parse(&arguments.path)?;
    let session = app.session().await?;
    let shown = path.to_string();
    each(&session, &path, |version| {
        match app.output.is_json() {
            true => app.output.object(&line(&shown, version))?,
            false => app.output.line(&text(version))?,
        }
        Ok(true)
    })
    .await
}

/// The version of a file that was meant: by its id, or by the generation that the file had with it.
pub(super) async fn meant(session: &Session, path: &RemotePath, text: &str) -> Result<Version> {
    let mut found = None;
    each(session, path, |version| {
        if version.version == text || version.generation.to_string() == text {
            found = Some(version.clone());
        }
        Ok(found.is_none())
    })
    .await?;
    found.ok_or_else(|| {
        let message = format!("{path} has no version {text}; `depot versions {path}` lists them");
        Error::new(Exit::NotFound, "NOT_FOUND", message).at(path.to_string())
    })
}

/// Versions from the newest on, until one is enough.
async fn each(
    session: &Session,
    path: &RemotePath,
    mut take: impl FnMut(&Version) -> Result<bool>,
) -> Result<()> {
    let mut page_token = String::new();
    loop {
        let answer = session.call(Repeat::Always, || async {
            let (path, page_token) = (path.to_string(), page_token.clone());
            let request = ListVersionsRequest { path, page_size: PAGE_SIZE, page_token };
            session.history().list_versions(request).await
        });
        let page = answer.await.map_err(|error| error.at(path.to_string()))?;
        for version in &page.versions {
            if !take(version)? {
                return Ok(());
            }
        }
        if page.next_page_token.is_empty() || page.next_page_token == page_token {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}

fn line<'a>(path: &'a str, version: &'a Version) -> VersionLine<'a> {
    VersionLine {
        path,
        version: &version.version,
        generation: version.generation,
        size: version.size,
        blake3: hex(&version.blake3),
        modified: rfc3339(version.modified_at.as_ref()),
        replaced_at: rfc3339(version.replaced_at.as_ref()),
    }
}

fn text(version: &Version) -> String {
    let Version { generation, size, .. } = version;
    let until = match &version.replaced_at {
        Some(at) => format!("until {}", show_time(Some(at))),
        None => "current".to_owned(),
    };
    let modified = show_time(version.modified_at.as_ref());
    format!("{generation:>8}  {:>10}  modified {modified}  {until}", show_size(*size))
}
