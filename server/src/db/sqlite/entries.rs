//! An entry's row being written: made, removed, and what it was kept as a version. Whether that may be, and
//! what else must be true, is for those who call.

use crate::db::sqlite::rows::{FILE, FOLDER, SYMLINK, encoded};
use crate::db::sqlite::writer::Tx;
use crate::error::Result;
use crate::model::{Content, Entry, FileName, Modseq, Node, VersionId};

/// Writes a new entry's row.
pub(super) fn insert_row(tx: &Tx<'_>, entry: &Entry) -> Result<()> {
    let (kind, content, version, target) = match &entry.node {
        Node::File { content, version } => (FILE, Some(*content), Some(*version), None),
        Node::Folder => (FOLDER, None, None, None),
        Node::Symlink { target } => (SYMLINK, None, None, Some(target)),
    };
    tx.execute(
        "INSERT INTO entry (id, account, parent, name, name_key, kind, mode, modified_ns, size,
                            digest, content, version, target, made, generation, placed, modseq,
                            changed_at, xattrs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?16, ?14, ?15, ?16, ?17, ?18)",
        rusqlite::params![
            entry.id,
            entry.account,
            entry.parent,
            entry.name.as_ref().map_or("", FileName::as_str),
            entry.name.as_ref().map_or_else(String::new, FileName::key),
            kind,
            entry.mode.bits(),
            entry.modified_ns,
            content.map(|content| content.size),
            content.map(|content| content.digest),
            content.and_then(|content| content.manifest),
            version,
            target,
            entry.generation,
            entry.placed,
            entry.modseq,
            entry.changed_at,
            encoded(&entry.xattrs)?,
        ],
    )
    .map(drop)
}

/// Removes an entry, softly, with the number that its removal has: it keeps its row, its content and what it
/// counts.
pub(super) fn remove_row(tx: &Tx<'_>, entry: &Entry, (number, now): (Modseq, i64)) -> Result<()> {
    tx.execute(
        "UPDATE entry SET removed = ?2, removed_at = ?3, modseq = ?2, changed_at = ?3
         WHERE id = ?1",
        (entry.id, number, now),
    )
    .map(drop)
}

/// Keeps what an entry was before it got another content.
pub(super) fn keep_version(
    tx: &Tx<'_>,
    entry: &Entry,
    (version, content): (VersionId, Content),
    now: i64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO version (id, entry, account, generation, size, digest, content, mode,
                              modified_ns, xattrs, replaced_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        (
            version,
            entry.id,
            entry.account,
            entry.generation,
            content.size,
            content.digest,
            content.manifest,
            entry.mode.bits(),
            entry.modified_ns,
            encoded(&entry.xattrs)?,
            now,
        ),
    )
    .map(drop)
}
