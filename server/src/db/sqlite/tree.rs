//! Trees as rows: looking up, writing one file, making, moving, copying and removing entries.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::db::sqlite::contents::end_upload;
use crate::db::sqlite::merge::{Merge, check_generation, remove_row};
use crate::db::sqlite::paths::{Upwards, find, required, root, sibling, twin};
use crate::db::sqlite::requests::once;
use crate::db::sqlite::rows::{FOLDER, all, content, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, journal, walk};
use crate::db::{FileWrite, Listing, NewNode, Position, Relocation, Removal, StagedEntry, Tree};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, Content, Entry, EntryId, Mode, Node, PATH_BYTES_MAX, PATH_DEPTH_MAX, TreePath,
    VersionId,
};

#[async_trait]
impl Tree for Sqlite {
    async fn entry(&self, account: AccountId, path: &TreePath) -> Result<Entry> {
        let path = path.clone();
        self.read("tree.entry", move |conn| required(conn, account, &path)).await
    }

    async fn version(&self, account: AccountId, version: VersionId) -> Result<Content> {
        let found = self.versions(account, vec![version]).await?.pop().flatten();
        found.ok_or_else(|| Error::not_found(format_args!("version {version}")))
    }

    async fn versions(
        &self,
        account: AccountId,
        versions: Vec<VersionId>,
    ) -> Result<Vec<Option<Content>>> {
        self.read("tree.versions", move |conn| {
            let mut upwards = Upwards::new(conn, account)?;
            versions.iter().map(|id| version_content(conn, &mut upwards, account, *id)).collect()
        })
        .await
    }

    async fn list(
        &self,
        account: AccountId,
        path: &TreePath,
        recursive: bool,
        from: Position,
        limit: usize,
    ) -> Result<Listing> {
        let path = path.clone();
        self.read("tree.list", move |conn| {
            walk::list(conn, account, (&path, recursive), &from, limit)
        })
        .await
    }

    async fn write_file(&self, write: FileWrite) -> Result<Entry> {
        self.write_in_quota("tree.write_file", move |tx| {
            once(tx, write.account, write.request.as_ref(), write.now, |tx| write_file(tx, &write))
        })
        .await
    }

    async fn make_folder(
        &self,
        account: AccountId,
        path: &TreePath,
        parents: bool,
        mode: Option<Mode>,
        now: i64,
    ) -> Result<Entry> {
        let path = path.clone();
        self.write("tree.make_folder", move |tx| {
            make_folder(tx, account, &path, (parents, mode), now)
        })
        .await
    }

    async fn move_entry(&self, relocation: Relocation) -> Result<Entry> {
        let to = relocation.clone();
        // A look at all that is below; the writer must not stand still for so long.
        let fits = self.read("tree.move_fits", move |conn| fits(conn, &to)).await?;
        self.write("tree.move", move |tx| {
            let to = &relocation;
            once(tx, to.account, to.request.as_ref(), to.now, |tx| move_entry(tx, to, fits))
        })
        .await
    }

    async fn copy_entry(&self, relocation: Relocation) -> Result<Entry> {
        self.write_in_quota("tree.copy", move |tx| {
            let to = &relocation;
            once(tx, to.account, to.request.as_ref(), to.now, |tx| copy_entry(tx, to))
        })
        .await
    }

    async fn remove(&self, removal: Removal) -> Result<EntryId> {
        self.write("tree.remove", move |tx| {
            let request = removal.request.as_ref();
            once(tx, removal.account, request, removal.now, |tx| remove(tx, &removal))
        })
        .await
    }
}

fn version_content(
    conn: &Connection,
    upwards: &mut Upwards<'_>,
    account: AccountId,
    id: VersionId,
) -> Result<Option<Content>> {
    let current = "SELECT account, parent, size, digest, content FROM entry
                   WHERE version = ?1 AND removed = 0";
    let past = "SELECT e.account, e.parent, v.size AS size, v.digest AS digest,
                       v.content AS content
                FROM version AS v JOIN entry AS e ON e.id = v.entry
                WHERE v.id = ?1 AND e.removed = 0";
    for sql in [current, past] {
        let found = one(conn, sql, [id], |row| {
            let parent: Option<EntryId> = row.get(1)?;
            Ok((row.get::<_, AccountId>(0)?, parent, content(row)?))
        })?;
        if let Some((owner, Some(parent), content)) = found {
            let above = upwards.folder(parent)?.filter(|above| !above.gone);
            return Ok((owner == account && above.is_some()).then_some(content));
        }
    }
    Ok(None)
}

fn write_file(tx: &mut Tx<'_>, write: &FileWrite) -> Result<Entry> {
    let top = root(tx.conn(), write.account)?;
    let stands = find(tx.conn(), write.account, &write.path)?;
    let mode = write.mode.or(stands.map(|entry| entry.mode)).unwrap_or(Mode::FILE);
    let new = StagedEntry {
        path: TreePath::default(),
        node: NewNode::File(write.content),
        mode,
        modified_ns: write.modified_ns,
        if_generation: write.if_generation,
    };
    end_upload(tx, write.account, write.upload)?;
    let mut merge = Merge::below(top, write.account, write.now, false);
    let put = merge.put(tx, &write.path, &new)?;
    merge.charge(tx)?;
    Ok(put.entry)
}

fn make_folder(
    tx: &mut Tx<'_>,
    account: AccountId,
    path: &TreePath,
    (parents, mode): (bool, Option<Mode>),
    now: i64,
) -> Result<Entry> {
    let Some((name, above)) = path.split_last() else {
        return if parents { required(tx.conn(), account, path) } else { Err(exists(path)) };
    };
    if !parents {
        let folder = required(tx.conn(), account, &TreePath::from(above.to_vec()))?;
        if !folder.node.is_folder() {
            return Err(no_folder(&TreePath::from(above.to_vec())));
        }
    }
    let top = root(tx.conn(), account)?;
    let mut merge = Merge::below(top, account, now, false);
    let parent = merge.folder(tx, above)?;
    match sibling(tx.conn(), parent, name)? {
        Some(entry) if entry.name.as_ref() != Some(name) => return Err(twin(name, &entry)),
        Some(entry) if parents && entry.node.is_folder() => return Ok(entry),
        Some(_) => return Err(exists(path)),
        None => {}
    }
    let new = StagedEntry {
        path: TreePath::default(),
        node: NewNode::Folder,
        mode: mode.unwrap_or(Mode::FOLDER),
        modified_ns: now.saturating_mul(1_000_000),
        if_generation: None,
    };
    Ok(merge.put(tx, path, &new)?.entry)
}

/// Whether all that comes along will have paths within their limits.
fn fits(conn: &Connection, relocation: &Relocation) -> Result<bool> {
    let Relocation { account, source, target, .. } = relocation;
    let (depth, bytes) = size_of(target);
    let (depth_now, bytes_now) = size_of(source);
    if depth <= depth_now && bytes <= bytes_now {
        return Ok(true);
    }
    let Some(top) = find(conn, *account, source)? else {
        return Ok(true);
    };
    let mut folders = vec![(top.id, depth, bytes)];
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
fn size_of(path: &TreePath) -> (usize, usize) {
    let names = path.names();
    (names.len(), names.iter().map(|name| name.as_str().len() + 1).sum())
}

fn move_entry(tx: &mut Tx<'_>, relocation: &Relocation, fits: bool) -> Result<Entry> {
    let Relocation { account, source, target, now, .. } = relocation;
    let mut entry = required(tx.conn(), *account, source)?;
    let (Some(_), Some((name, above))) = (source.split_last(), target.split_last()) else {
        return Err(Error::field("target", "the root of a tree cannot be moved or replaced"));
    };
    if source == target {
        return Ok(entry);
    }
    if source.contains(target) {
        return Err(Error::field("target", format!("{target} is inside {source} itself")));
    }
    if !fits {
        let problem =
            format!("what is in {source} would be too deep there, or have too long paths");
        return Err(Error::field("target", problem));
    }
    let mut merge = Merge::below(root(tx.conn(), *account)?, *account, *now, false);
    let parent = merge.folder(tx, above)?;
    match sibling(tx.conn(), parent, name)? {
        // Another spelling of its own name.
        Some(stands) if stands.id == entry.id => {}
        Some(stands) if stands.name.as_ref() != Some(name) => return Err(twin(name, &stands)),
        Some(stands) if stands.node.is_folder() || entry.node.is_folder() => {
            return Err(exists(target));
        }
        Some(stands) => drop(remove_row(tx, &stands, *now)?),
        None => {}
    }
    let number = journal::next(tx, *account)?;
    tx.execute(
        "UPDATE entry SET parent = ?2, name = ?3, name_key = ?4, placed = ?5, modseq = ?5,
                          changed_at = ?6
         WHERE id = ?1",
        (entry.id, parent, name.as_str(), name.key(), number, now),
    )?;
    (entry.parent, entry.name) = (Some(parent), Some(name.clone()));
    (entry.placed, entry.modseq, entry.changed_at) = (number, number, *now);
    Ok(entry)
}

fn copy_entry(tx: &mut Tx<'_>, relocation: &Relocation) -> Result<Entry> {
    let Relocation { account, source, target, now, .. } = relocation;
    let entry = required(tx.conn(), *account, source)?;
    let node = match entry.node {
        Node::File { content, .. } => NewNode::File(content),
        Node::Symlink { target } => NewNode::Symlink(target),
        Node::Folder => {
            return Err(Error::field("source", format!("{source} is a folder")));
        }
    };
    let new = StagedEntry {
        path: TreePath::default(),
        node,
        mode: entry.mode,
        modified_ns: entry.modified_ns,
        if_generation: None,
    };
    let mut merge = Merge::below(root(tx.conn(), *account)?, *account, *now, true);
    if target.is_root() {
        return Err(exists(target));
    }
    let put = merge.put(tx, target, &new)?;
    merge.charge(tx)?;
    Ok(put.entry)
}

fn remove(tx: &mut Tx<'_>, removal: &Removal) -> Result<EntryId> {
    let Removal { account, path, now, .. } = removal;
    let entry = required(tx.conn(), *account, path)?;
    if path.is_root() {
        return Err(Error::field("path", "the root of a tree cannot be removed"));
    }
    if entry.node.is_folder() && !removal.recursive {
        let message = format!("{path} is a folder; say so to remove it with all below it");
        return Err(Error::field("recursive", message));
    }
    check_generation(path, Some(&entry), removal.if_generation)?;
    remove_row(tx, &entry, *now)?;
    Ok(entry.id)
}

fn exists(path: &TreePath) -> Error {
    let message = format!("{path} exists already; remove it first or choose another name");
    Error::new(Kind::AlreadyExists, message)
}

fn no_folder(path: &TreePath) -> Error {
    Error::new(Kind::FailedPrecondition, format!("{path} is no folder"))
}
