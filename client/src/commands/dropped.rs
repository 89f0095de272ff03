//! `depot put --link`: files into a folder that only its owner sees.

use std::ffi::OsString;
use std::path::Path;

use depot_proto::files::{Entry, LinkUse};

use crate::app::App;
use crate::batch::Batch;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::link::LinkArgs;
use crate::output::json::{self, hex};
use crate::transfer::drop;
use crate::units::show_size;

/// Puts each file; one that fails is named and the rest goes on.
pub(super) async fn put(app: &App, link: &LinkArgs, files: &[&OsString]) -> Result<()> {
    let opened = link.open(app).await?.ok_or_else(|| Error::usage("there is no link"))?;
    if opened.leads_to.r#use() != LinkUse::Drop {
        let message = "this link is for reading: depot get --link URL";
        return Err(Error::new(Exit::Permission, "PERMISSION_DENIED", message));
    }
    let mut batch = Batch::new(app, files.len());
    for file in files {
        let local = Path::new(file);
        let put = one(&opened.session, local).await;
        batch.took(put.and_then(|entry| report(app, local, &entry)))?;
    }
    batch.ended()
}

async fn one(session: &Session, local: &Path) -> Result<Entry> {
    let shown = local.display();
    let metadata = std::fs::metadata(local).map_err(|error| Error::file("read", local, &error))?;
    if !metadata.is_file() {
        return Err(Error::usage(format!("{shown} is no file; a link takes files one by one")));
    }
    let name = local.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::usage(format!("the name of {shown} is no text")))?;
    drop::send(session, local, name).await.map_err(|error| error.about(&shown.to_string()))
}

fn report(app: &App, local: &Path, entry: &Entry) -> Result<()> {
    let name = entry.path.trim_start_matches('/');
    if app.output.is_json() {
        return app.output.object(&json::Put {
            path: &entry.path,
            id: Some(&entry.id),
            version: Some(&entry.version),
            generation: Some(entry.generation),
            size: entry.size,
            blake3: hex(&entry.blake3),
            sent_bytes: entry.size,
            reused_bytes: 0,
        });
    }
    app.output.note(&format!("put {}, {}, as {name}", local.display(), show_size(entry.size)));
    Ok(())
}
