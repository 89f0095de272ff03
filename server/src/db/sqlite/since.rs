//! What has changed since a number of the account's: itself where it has come to its place since, and the
//! folders that it is in.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::db::sqlite::paths::Upwards;
use crate::db::sqlite::rows::{all, one};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, EntryId, Modseq};

/// Entries that may have changed: each is looked at.
const CHANGED_MAX: usize = 20_000;

/// What has come to its place after a number, and the folders in which something was changed, however deep
/// below; each with one such entry. What is in the trash does not count. An error where that is too much to
/// look at.
pub(super) fn changed_below(
    conn: &Connection,
    account: AccountId,
    since: Modseq,
) -> Result<HashMap<EntryId, EntryId>> {
    let sql = "SELECT id, parent, placed > ?2 FROM entry
               WHERE account = ?1 AND modseq > ?2 AND removed = 0 ORDER BY modseq LIMIT ?3";
    let changed = all(conn, sql, (account, since, CHANGED_MAX + 1), |row| {
        Ok((row.get::<_, EntryId>(0)?, row.get::<_, Option<EntryId>>(1)?, row.get(2)?))
    })?;
    if changed.len() > CHANGED_MAX {
        return Err(Error::new(Kind::Aborted, "too much has changed meanwhile; nothing was done"));
    }
    let mut found = HashMap::new();
    for (id, parent, is_placed) in changed {
        if is_placed {
            found.insert(id, id);
        }
        let mut next = parent;
        while let Some(folder) = next.filter(|folder| !found.contains_key(folder)) {
            let sql = "SELECT parent FROM entry WHERE id = ?1 AND removed = 0";
            let Some(above) = one(conn, sql, [folder], |row| row.get(0))? else { break };
            found.insert(folder, id);
            next = above;
        }
    }
    Ok(found)
}

/// A path, for people.
pub(super) fn told(conn: &Connection, account: AccountId, id: EntryId) -> Result<String> {
    let place = Upwards::new(conn, account)?.place(id)?;
    Ok(place.map_or_else(|| id.to_string(), |(path, _)| path.to_string()))
}
