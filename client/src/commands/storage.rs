//! `depot admin storage`: what the server holds, and what that takes of its disk.

use depot_proto::admin::{StorageRequest, StorageResponse};
use serde::Serialize;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::Result;
use crate::units::{rfc3339, show_size, show_time};

#[derive(Serialize)]
struct StorageLine {
    accounts: u64,
    entries: u64,
    messages: u64,
    logical_bytes: u64,
    chunks: u64,
    chunk_bytes: u64,
    packs: u64,
    pack_bytes: u64,
    dead_bytes: u64,
    dead_share: f64,
    condemned_chunks: u64,
    condemned_bytes: u64,
    compaction_bytes: u64,
    trash_bytes: u64,
    staged_bytes: u64,
    metadata_bytes: u64,
    disk_bytes: u64,
    disk_free_bytes: u64,
    collected_at: Option<String>,
}

pub(super) async fn show(app: &App) -> Result<()> {
    let session = app.session().await?;
    let answer =
        session.call(Repeat::Always, || async { session.admin().storage(StorageRequest {}).await });
    let found = answer.await?;
    if app.output.is_json() {
        return app.output.object(&line(&found));
    }
    let physical = found.pack_bytes + found.metadata_bytes;
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    for (name, value, what) in [
        ("logical", found.logical_bytes, "as quotas count it, of all accounts".to_owned()),
        ("physical", physical, "on the disk: packs and the database".to_owned()),
        ("chunks", found.chunk_bytes, format!("{} of them, each once", found.chunks)),
        ("packs", found.pack_bytes, format!("{} of them", found.packs)),
        ("dead", found.dead_bytes, format!("of the packs: {}", percent(dead_share(&found)))),
        (
            "condemned",
            found.condemned_bytes,
            "nothing refers to it; it goes when a day has passed".to_owned(),
        ),
        ("to move", found.compaction_bytes, "out of packs that are mostly dead".to_owned()),
        ("trash", found.trash_bytes, "removed, and kept for its time".to_owned()),
        ("uploads", found.staged_bytes, "under way".to_owned()),
        (
            "database",
            found.metadata_bytes,
            format!(
                "{} entries, {} messages, {} accounts",
                found.entries, found.messages, found.accounts
            ),
        ),
        ("disk free", found.disk_free_bytes, format!("of {}", show_size(found.disk_bytes))),
    ] {
        app.output.line(&format!("{name:<11}{:>10}  {what}", show_size(value)))?;
    }
    app.output.line(&format!("collected  {}", show_time(found.collected_at.as_ref())))
}

fn dead_share(found: &StorageResponse) -> f64 {
    match found.pack_bytes {
        0 => 0.0,
        bytes => found.dead_bytes as f64 / bytes as f64,
    }
}

fn line(found: &StorageResponse) -> StorageLine {
    StorageLine {
        accounts: found.accounts,
        entries: found.entries,
        messages: found.messages,
        logical_bytes: found.logical_bytes,
        chunks: found.chunks,
        chunk_bytes: found.chunk_bytes,
        packs: found.packs,
        pack_bytes: found.pack_bytes,
        dead_bytes: found.dead_bytes,
        dead_share: dead_share(found),
        condemned_chunks: found.condemned_chunks,
        condemned_bytes: found.condemned_bytes,
        compaction_bytes: found.compaction_bytes,
        trash_bytes: found.trash_bytes,
        staged_bytes: found.staged_bytes,
        metadata_bytes: found.metadata_bytes,
        disk_bytes: found.disk_bytes,
        disk_free_bytes: found.disk_free_bytes,
        collected_at: rfc3339(found.collected_at.as_ref()),
    }
}
