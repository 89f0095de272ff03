//! From a path to an entry and back. A path leads only through entries that are there; the way back also
//! leads through removed folders, and says so. What is still being staged has no path at all.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::db::EntryKind;
use crate::db::sqlite::changes::entry_kind;
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::rows::{ENTRY, FOLDER, all, entry, one};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, Entry, EntryId, FileName, Modseq, PATH_BYTES_MAX, PATH_DEPTH_MAX, Right, TreePath,
};

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

/// Whether all that is below an entry will have paths within their limits when that one is at `path`.
pub(super) fn fits_below(conn: &Connection, top: EntryId, path: &TreePath) -> Result<bool> {
    let (depth, bytes) = size_of(path);
    let mut folders = vec![(top, depth, bytes)];
    while let Some((folder, depth, bytes)) = folders.pop() {
        let sql = "SELECT id, length(CAST(name AS BLOB)), kind FROM entry
                   WHERE parent = ?1 AND removed = 0";
        let below = all(conn, sql, [folder], |row| {
            Ok((row.get::<_, EntryId>(0)?, row.get::<_, usize>(1)?, row.get::<_, i64>(2)?))
        })?;
        for (id, length, kind) in below {
            let (depth, bytes) = (depth + 1, bytes + 1 + length);
            if depth > PATH_DEPTH_MAX || bytes > PATH_BYTES_MAX {
                return Ok(false);
            }
            if kind == FOLDER {
                folders.push((id, depth, bytes));
            }
        }
    }
    Ok(true)
}

/// A path's names, and its bytes with a slash before each.
pub(super) fn size_of(path: &TreePath) -> (usize, usize) {
    let names = path.names();
    (names.len(), names.iter().map(|name| name.as_str().len() + 1).sum())
}

/// An error for a name that folds like another one beside it.
pub(super) fn twin(wanted: &FileName, stands: &Entry) -> Error {
    let other = stands.name.as_ref().map_or("?", FileName::as_str);
    Error::new(
        Kind::NameTwin,
        format!(
            "{:?} and {other:?} would be one name on some machines; rename one of them",
            wanted.as_str()
        ),
    )
}

/// Paths of entries, found upwards and remembered for their siblings.
pub(super) struct Upwards<'a> {
    conn: &'a Connection,
    reach: Reach<'a>,
    since: Modseq,
    known: HashMap<EntryId, Option<Above>>,
}

/// What is known of a folder by looking upwards from it.
#[derive(Clone)]
pub(super) struct Above {
    /// Its path, without the slash at the end; empty for the root.
    pub(super) path: String,
    /// The highest number of those of it and the folders above it that have come to their place since.
    pub(super) told_at: Modseq,
    /// Whether it or a folder above it was removed.
    pub(super) gone: bool,
    /// What is allowed on it and all below it.
    pub(super) right: Option<Right>,
}

struct Step {
    id: EntryId,
    name: String,
    placed: Modseq,
    modseq: Modseq,
    removed: bool,
}

/// More folders than this above each other are a damaged tree.
const STEPS_MAX: usize = 4_096;

impl<'a> Upwards<'a> {
    /// As the owner sees it.
    pub(super) fn new(conn: &'a Connection, account: AccountId) -> Result<Self> {
        Self::since(conn, account, Modseq(i64::MAX))
    }

    /// For an owner who knew everything up to `since`.
    pub(super) fn since(conn: &'a Connection, account: AccountId, since: Modseq) -> Result<Self> {
        Ok(Self::within(Reach::own(conn, account)?, since))
    }

    /// For somebody who may do that, and knew everything up to `since`.
    pub(super) fn within(reach: Reach<'a>, since: Modseq) -> Self {
        Self { conn: reach.conn(), reach, since, known: HashMap::new() }
    }

    /// What is allowed on an entry in this folder; `None` too where that is gone.
    pub(super) fn right(&mut self, folder: EntryId, entry: EntryId) -> Result<Option<Right>> {
        if entry == self.reach.top() {
            // A link's own file: what is above it is nothing to whoever holds the link.
            return Ok(self.reach.on(entry));
        }
        let above = self.folder(folder)?.filter(|above| !above.gone);
        Ok(above.and_then(|above| above.right.max(self.reach.on(entry))))
    }

    /// Where an entry is and what it is; `None` in the trash.
    pub(super) fn place(&mut self, id: EntryId) -> Result<Option<(TreePath, EntryKind)>> {
        let sql = "SELECT parent, name, kind FROM entry WHERE id = ?1 AND removed = 0";
        let row = one(self.conn, sql, [id], |row| {
            Ok((row.get::<_, Option<EntryId>>(0)?, row.get::<_, String>(1)?, row.get(2)?))
        })?;
        let Some((parent, name, kind)) = row else {
            return Ok(None);
        };
        let Some(parent) = parent else {
            return Ok(Some((TreePath::default(), EntryKind::Folder)));
        };
        let above = self.folder(parent)?.filter(|above| !above.gone);
        let Some(above) = above else {
            return Ok(None);
        };
        let path = format!("{}/{name}", above.path);
        let path = TreePath::parse_relative(path.trim_start_matches('/'), "path")?;
        Ok(Some((path, entry_kind(kind))))
    }

    /// What is above an entry in this folder; `None` in a tree that is still being staged.
    pub(super) fn folder(&mut self, id: EntryId) -> Result<Option<Above>> {
        let mut steps = Vec::new();
        let mut next = id;
        let mut above = loop {
            if next == self.reach.top() {
                let right = self.reach.on(next);
                break Some(Above { path: String::new(), told_at: Modseq(0), gone: false, right });
            }
            if let Some(known) = self.known.get(&next) {
                break known.clone();
            }
            match self.step(next)? {
                Some((step, parent)) if steps.len() < STEPS_MAX => {
                    steps.push(step);
                    next = parent;
                }
                _ => break None,
            }
        };
        for step in steps.into_iter().rev() {
            above = above.map(|above| Above {
                path: format!("{}/{}", above.path, step.name),
                told_at: match step.placed > self.since {
                    true => above.told_at.max(step.modseq),
                    false => above.told_at,
                },
                gone: above.gone || step.removed,
                right: above.right.max(self.reach.on(step.id)),
            });
            self.known.insert(step.id, above.clone());
        }
        Ok(above)
    }

    /// An entry and the folder it is in.
    fn step(&self, id: EntryId) -> Result<Option<(Step, EntryId)>> {
        let sql = "SELECT parent, name, placed, modseq, removed <> 0 FROM entry WHERE id = ?1";
        let found = one(self.conn, sql, [id], |row| {
            let step = Step {
                id,
                name: row.get(1)?,
                placed: row.get(2)?,
                modseq: row.get(3)?,
                removed: row.get(4)?,
            };
            Ok((step, row.get::<_, Option<EntryId>>(0)?))
        })?;
        Ok(found.and_then(|(step, parent)| Some((step, parent?))))
    }
}
