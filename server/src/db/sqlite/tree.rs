//! Trees as rows: looking up, writing one file, making, moving, copying and removing entries.

use std::collections::{HashMap, hash_map};

use async_trait::async_trait;
use rusqlite::Connection;

use crate::db::sqlite::conditions::check;
use crate::db::sqlite::contents::{Provenance, end_upload};
use crate::db::sqlite::entries::remove_row;
use crate::db::sqlite::merge::Merge;
use crate::db::sqlite::paths::{Upwards, fits_below, sibling, size_of, twin};
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::requests::once;
use crate::db::sqlite::rows::{content, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, journal, measure, walk};
use crate::db::{
    FileWrite, Finding, Listing, Measure, NewNode, Position, Relocation, Removal, Seen,
    StagedEntry, Tree,
};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, At, By, Condition, Entry, EntryId, Filter, Mode, Modseq, Node, Right, TreePath,
    VersionId,
};

#[async_trait]
impl Tree for Sqlite {
    async fn entry(&self, by: By, at: &At) -> Result<Entry> {
        let at = at.clone();
        self.read("tree.entry", move |conn| Reach::of(conn, by, at.account)?.required(&at)).await
    }

    async fn require_write(&self, by: AccountId, at: &At) -> Result<()> {
        let at = at.clone();
        self.read("tree.require_write", move |conn| {
            Reach::of(conn, by, at.account)?.require_write(&at)
        })
        .await
    }

    async fn highest_right(&self, by: AccountId, account: AccountId) -> Result<Option<Right>> {
        self.read("tree.highest_right", move |conn| Reach::of(conn, by, account)?.highest(account))
            .await
    }

    async fn version(&self, by: By, version: VersionId) -> Result<Seen> {
        let found = self.versions(by, vec![version]).await?.pop().flatten();
        found.ok_or_else(|| Error::not_found(format_args!("version {version}")))
    }

    async fn versions(&self, by: By, versions: Vec<VersionId>) -> Result<Vec<Option<Seen>>> {
        self.read("tree.versions", move |conn| {
            let mut trees = Trees { conn, by, known: HashMap::new() };
            versions.iter().map(|id| trees.version(*id)).collect()
        })
        .await
    }

    async fn list(
        &self,
        by: By,
        at: &At,
        recursive: bool,
        from: Position,
        limit: usize,
    ) -> Result<Listing> {
        let at = at.clone();
        self.read("tree.list", move |conn| walk::list(conn, by, (&at, recursive), &from, limit))
            .await
    }

    async fn find(
        &self,
        by: By,
        at: &At,
        filter: Filter,
        from: Position,
        limit: usize,
    ) -> Result<Finding> {
        let at = at.clone();
        self.read("tree.find", move |conn| walk::find(conn, by, (&at, &filter), &from, limit)).await
    }

    async fn measure(&self, by: By, at: &At) -> Result<Measure> {
        let at = at.clone();
        self.read_long("tree.measure", move |conn| {
            let top = Reach::of(conn, by, at.account)?.required(&at)?;
            measure::below(conn, &top)
        })
        .await
    }

    async fn write_file(&self, write: FileWrite) -> Result<Entry> {
        let is_own = write.by == write.at.account;
        self.write_in_quota("tree.write_file", is_own, move |tx| {
            once(tx, write.by, write.request.as_ref(), write.now, |tx| write_file(tx, &write))
        })
        .await
    }

    async fn make_folder(
        &self,
        by: AccountId,
        at: &At,
        parents: bool,
        mode: Option<Mode>,
        now: i64,
    ) -> Result<Entry> {
        let at = at.clone();
        self.write("tree.make_folder", move |tx| make_folder(tx, by, &at, (parents, mode), now))
            .await
    }

    async fn move_entry(&self, relocation: Relocation) -> Result<Entry> {
        let to = relocation.clone();
        // A look at all that is below; the writer must not stand still for so long.
        let fits = self.read_long("tree.move_fits", move |conn| fits(conn, &to)).await?;
        self.write("tree.move", move |tx| {
            let to = &relocation;
            once(tx, to.by, to.request.as_ref(), to.now, |tx| move_entry(tx, to, fits))
        })
        .await
    }

    async fn copy_entry(&self, relocation: Relocation) -> Result<Entry> {
        let is_own = relocation.by == relocation.target.account;
        self.write_in_quota("tree.copy", is_own, move |tx| {
            let to = &relocation;
            once(tx, to.by, to.request.as_ref(), to.now, |tx| copy_entry(tx, to))
        })
        .await
    }

    async fn remove(&self, removal: Removal) -> Result<EntryId> {
        self.write("tree.remove", move |tx| {
            let request = removal.request.as_ref();
            once(tx, removal.by, request, removal.now, |tx| remove(tx, &removal))
        })
        .await
    }
}

/// The trees that versions are looked up in.
struct Trees<'a> {
    conn: &'a Connection,
    by: By,
    known: HashMap<AccountId, Upwards<'a>>,
}

impl<'a> Trees<'a> {
    /// A version, if the file can be seen.
    fn version(&mut self, id: VersionId) -> Result<Option<Seen>> {
        let current = "SELECT account, parent, id, size, digest, content FROM entry
                       WHERE version = ?1 AND removed = 0";
        let past = "SELECT e.account, e.parent, e.id, v.size AS size, v.digest AS digest,
                           v.content AS content
                    FROM version AS v JOIN entry AS e ON e.id = v.entry
                    WHERE v.id = ?1 AND e.removed = 0";
        for sql in [current, past] {
            let found = one(self.conn, sql, [id], |row| {
                let place: (AccountId, Option<EntryId>, EntryId) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((place, content(row)?))
            })?;
            if let Some(((owner, Some(parent), entry), content)) = found {
                let seen = self.upwards(owner)?.right(parent, entry)?.is_some();
                return Ok(seen.then_some(Seen { content, owner }));
            }
        }
        Ok(None)
    }

    fn upwards(&mut self, owner: AccountId) -> Result<&mut Upwards<'a>> {
        Ok(match self.known.entry(owner) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => {
                let reach = Reach::of(self.conn, self.by, owner)?;
                new.insert(Upwards::within(reach, Modseq(i64::MAX)))
            }
        })
    }
}

fn write_file(tx: &mut Tx<'_>, write: &FileWrite) -> Result<Entry> {
    let FileWrite { by, at, .. } = write;
    let reach = Reach::of(tx.conn(), *by, at.account)?;
    reach.require_write(at)?;
    let stands = reach.find(&at.path)?;
    let stands = stands.filter(|entry| matches!(entry.node, Node::File { .. }));
    let mode = write.mode.or(stands.map(|entry| entry.mode)).unwrap_or(Mode::FILE);
    let new = StagedEntry {
        path: TreePath::default(),
        node: NewNode::File(write.content),
        mode,
        modified_ns: write.modified_ns,
        xattrs: None,
        condition: write.condition,
    };
    end_upload(tx, *by, write.upload)?;
    let mut merge = Merge::within(&reach, (at.account, Provenance::SentBy(*by)), write.now);
    let put = merge.put(tx, &at.path, &new)?;
    merge.charge(tx)?;
    Ok(put.entry)
}

fn make_folder(
    tx: &mut Tx<'_>,
    by: AccountId,
    at: &At,
    (parents, mode): (bool, Option<Mode>),
    now: i64,
) -> Result<Entry> {
    let reach = Reach::of(tx.conn(), by, at.account)?;
    if parents
        && let Some(stands) = reach.find(&at.path)?
        && stands.node.is_folder()
    {
        return Ok(stands);
    }
    let Some((name, above)) = at.path.split_last() else {
        reach.required(at)?;
        return Err(exists(&at.path));
    };
    let folder = at.beside(TreePath::from(above.to_vec()));
    reach.require_write(&folder)?;
    if !parents && !reach.required(&folder)?.node.is_folder() {
        return Err(no_folder(&folder.path));
    }
    let mut merge = Merge::below(reach.top(), (at.account, Provenance::SentBy(by)), now);
    let parent = merge.folder(tx, above)?;
    match sibling(tx.conn(), parent, name)? {
        Some(entry) if entry.name.as_ref() != Some(name) => return Err(twin(name, &entry)),
        Some(_) => return Err(exists(&at.path)),
        None => {}
    }
    let new = StagedEntry {
        path: TreePath::default(),
        node: NewNode::Folder,
        mode: mode.unwrap_or(Mode::FOLDER),
        modified_ns: now.saturating_mul(1_000_000),
        xattrs: None,
        condition: Condition::default(),
    };
    Ok(merge.put(tx, &at.path, &new)?.entry)
}

/// Whether all that comes along will have paths within their limits.
fn fits(conn: &Connection, relocation: &Relocation) -> Result<bool> {
    let Relocation { by, source, target, .. } = relocation;
    let (depth, bytes) = size_of(&target.path);
    let (depth_now, bytes_now) = size_of(&source.path);
    if depth <= depth_now && bytes <= bytes_now {
        return Ok(true);
    }
    match Reach::of(conn, *by, source.account)?.find(&source.path)? {
        Some(top) => fits_below(conn, top.id, &target.path),
        None => Ok(true),
    }
}

fn move_entry(tx: &mut Tx<'_>, relocation: &Relocation, fits: bool) -> Result<Entry> {
    let Relocation { by, source: from, target: to, now, .. } = relocation;
    let (source, target) = (&from.path, &to.path);
    let reach = Reach::of(tx.conn(), *by, from.account)?;
    let mut entry = reach.required(from)?;
    if from.account != to.account {
        let problem = "an entry stays in its owner's tree; copy it, then remove it here";
        return Err(Error::field("target", problem));
    }
    let (Some(_), Some((name, above))) = (source.split_last(), target.split_last()) else {
        return Err(Error::field("target", "the root of a tree cannot be moved or replaced"));
    };
    check(source, Some(&entry), &relocation.condition)?;
    if source == target && !relocation.if_absent {
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
    reach.require_removal(from)?;
    reach.require_write(&to.beside(TreePath::from(above.to_vec())))?;
    let mut merge = Merge::below(reach.top(), (to.account, Provenance::Held), *now);
    let parent = merge.folder(tx, above)?;
    match sibling(tx.conn(), parent, name)? {
        // Another spelling of its own name.
        Some(stands) if stands.id == entry.id => {}
        Some(stands) if stands.name.as_ref() != Some(name) => return Err(twin(name, &stands)),
        Some(stands) if relocation.if_absent => {
            check(target, Some(&stands), &Condition::generation(0))?;
        }
        Some(stands) if stands.node.is_folder() || entry.node.is_folder() => {
            return Err(exists(target));
        }
        Some(stands) => {
            let number = journal::next(tx, to.account)?;
            remove_row(tx, &stands, (number, *now))?;
        }
        None => {}
    }
    let number = journal::next(tx, to.account)?;
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
    let Relocation { by, source, target, now, .. } = relocation;
    let entry = Reach::of(tx.conn(), *by, source.account)?.required(source)?;
    check(&source.path, Some(&entry), &relocation.condition)?;
    let generation = relocation.if_absent.then_some(0);
    let condition = Condition { generation, etag: None };
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
        xattrs: Some(entry.xattrs),
        condition,
    };
    let reach = Reach::of(tx.conn(), *by, target.account)?;
    reach.require_write(target)?;
    if target.path.is_root() {
        return Err(exists(&target.path));
    }
    let mut merge = Merge::below(reach.top(), (target.account, Provenance::Held), *now);
    let put = merge.put(tx, &target.path, &new)?;
    merge.charge(tx)?;
    Ok(put.entry)
}

fn remove(tx: &mut Tx<'_>, removal: &Removal) -> Result<EntryId> {
    let Removal { by, at, now, .. } = removal;
    let reach = Reach::of(tx.conn(), *by, at.account)?;
    let entry = reach.required(at)?;
    if at.path.is_root() {
        return Err(Error::field("path", "the root of a tree cannot be removed"));
    }
    reach.require_removal(at)?;
    if entry.node.is_folder() && !removal.recursive {
        let message = format!("{at} is a folder; say so to remove it with all below it");
        return Err(Error::field("recursive", message));
    }
    check(&at.path, Some(&entry), &removal.condition)?;
    let number = journal::next(tx, entry.account)?;
    remove_row(tx, &entry, (number, *now))?;
    Ok(entry.id)
}

fn exists(path: &TreePath) -> Error {
    let message = format!("{path} exists already; remove it first or choose another name");
    Error::new(Kind::AlreadyExists, message)
}

fn no_folder(path: &TreePath) -> Error {
    Error::new(Kind::FailedPrecondition, format!("{path} is no folder"))
}
