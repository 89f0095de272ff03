//! From a path to an entry and back. A path leads only through entries that are there: what is below a
//! removed folder, or in a tree that is still being staged, has none.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::db::sqlite::rows::{ENTRY, entry, one};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, Entry, EntryId, FileName, TreePath};

/// The root of an account's tree.
pub(super) fn root(conn: &Connection, account: AccountId) -> Result<EntryId> {
    one(conn, "SELECT root FROM account WHERE id = ?1", [account], |row| row.get(0))?
        .ok_or_else(|| Error::internal("paths.root", "no such account"))
}

/// An entry by its id, removed or not.
pub(super) fn by_id(conn: &Connection, id: EntryId) -> Result<Option<Entry>> {
    one(conn, &format!("SELECT {ENTRY} FROM entry WHERE id = ?1"), [id], entry)
}

/// The live entry of a folder whose name folds like this one.
pub(super) fn sibling(
    conn: &Connection,
    parent: EntryId,
    name: &FileName,
) -> Result<Option<Entry>> {
    let sql =
        format!("SELECT {ENTRY} FROM entry WHERE parent = ?1 AND name_key = ?2 AND removed = 0");
    one(conn, &sql, (parent, name.key()), entry)
}

/// The live entry of a folder with exactly this name.
pub(super) fn child(conn: &Connection, parent: EntryId, name: &FileName) -> Result<Option<Entry>> {
    Ok(sibling(conn, parent, name)?.filter(|entry| entry.name.as_ref() == Some(name)))
}

/// What stands at a path.
pub(super) fn find(
    conn: &Connection,
    account: AccountId,
    path: &TreePath,
) -> Result<Option<Entry>> {
    let mut current = by_id(conn, root(conn, account)?)?;
    for name in path.names() {
        let Some(folder) = current.filter(|entry| entry.node.is_folder()) else {
            return Ok(None);
        };
        current = child(conn, folder.id, name)?;
    }
    Ok(current)
}

/// What stands at a path, or `NotFound`.
pub(super) fn required(conn: &Connection, account: AccountId, path: &TreePath) -> Result<Entry> {
    find(conn, account, path)?.ok_or_else(|| Error::not_found(path))
}

/// An error for a name that folds like another one beside it.
pub(super) fn twin(wanted: &FileName, stands: &Entry) -> Error {
    let other = stands.name.as_ref().map_or("?", FileName::as_str);
    Error::new(
        Kind::NameTwin,
        format!("{wanted:?} and {other:?} would be one name on some machines; rename one of them"),
    )
}

/// Paths of entries, found upwards and remembered for their siblings.
pub(super) struct Upwards<'a> {
    conn: &'a Connection,
    root: EntryId,
    known: HashMap<EntryId, Option<Above>>,
}

/// What is known of a folder by looking upwards from it.
#[derive(Clone)]
pub(super) struct Above {
    /// Its path, without the slash at the end; empty for the root.
    pub(super) path: String,
    /// The highest number with which it or a folder above it came to its place.
    pub(super) placed: i64,
}

impl<'a> Upwards<'a> {
    pub(super) fn new(conn: &'a Connection, account: AccountId) -> Result<Self> {
        Ok(Self { conn, root: root(conn, account)?, known: HashMap::new() })
    }

    /// What is above an entry in this folder; `None` when that cannot be seen.
    pub(super) fn folder(&mut self, id: EntryId) -> Result<Option<Above>> {
        if id == self.root {
            return Ok(Some(Above { path: String::new(), placed: 0 }));
        }
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let sql = "SELECT parent, name, placed FROM entry WHERE id = ?1 AND removed = 0";
        let row = one(self.conn, sql, [id], |row| {
            Ok((row.get::<_, Option<EntryId>>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })?;
        let above = match row {
            Some((Some(parent), name, placed)) => self.folder(parent)?.map(|above| Above {
                path: format!("{}/{name}", above.path),
                placed: above.placed.max(placed),
            }),
            _ => None,
        };
        self.known.insert(id, above.clone());
        Ok(above)
    }
}
