//! Who may do what in a tree: its owner everything, anybody else what was granted to them, or to a group
//! they are in, on an entry or on a folder above it. Looked up in the transaction that relies on it, so
//! that what is revoked is revoked for whatever comes after.
//!
//! What may not be read is not found, like what is not there.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::db::sqlite::paths::{Upwards, by_id, child, root};
use crate::db::sqlite::rows::{all, one};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, At, By, Entry, EntryId, LinkId, Right, TreePath};

/// What somebody may do in one tree.
#[derive(Clone)]
pub(super) struct Reach<'a> {
    conn: &'a Connection,
    top: EntryId,
    /// `None` for the owner.
    granted: Option<HashMap<EntryId, Right>>,
}

impl<'a> Reach<'a> {
    /// What `by` may do in the tree of `account`.
    pub(super) fn of(conn: &'a Connection, by: impl Into<By>, account: AccountId) -> Result<Self> {
        match by.into() {
            By::Account(by) => {
                let granted = if by == account { None } else { Some(granted(conn, by, account)?) };
                Ok(Self { conn, top: root(conn, account)?, granted })
            }
            By::Link(link) => Self::through(conn, link, account),
        }
    }

    /// What whoever holds a link may do: its entry is all there is.
    fn through(conn: &'a Connection, link: LinkId, account: AccountId) -> Result<Self> {
        let sql = "SELECT entry FROM link WHERE id = ?1 AND owner = ?2 AND NOT drops";
        let entry: Option<EntryId> = one(conn, sql, (link, account), |row| row.get(0))?;
        let gone = || Error::not_found("what the link leads to");
        let entry = entry.ok_or_else(gone)?;
        Upwards::new(conn, account)?.place(entry)?.ok_or_else(gone)?;
        Ok(Self { conn, top: entry, granted: Some(HashMap::from([(entry, Right::Read)])) })
    }

    /// What its owner may do.
    pub(super) fn own(conn: &'a Connection, account: AccountId) -> Result<Self> {
        Self::of(conn, account, account)
    }

    /// Where it looks.
    pub(super) fn conn(&self) -> &'a Connection {
        self.conn
    }

    /// The root of the tree, or what a link leads to.
    pub(super) fn top(&self) -> EntryId {
        self.top
    }

    /// What is allowed on an entry and all below it, by itself.
    pub(super) fn on(&self, entry: EntryId) -> Option<Right> {
        match &self.granted {
            None => Some(Right::Write),
            Some(granted) => granted.get(&entry).copied(),
        }
    }

    /// The most that is allowed anywhere in the tree; what was granted on something in the trash is not.
    pub(super) fn highest(&self, account: AccountId) -> Result<Option<Right>> {
        let Some(granted) = &self.granted else { return Ok(Some(Right::Write)) };
        let mut upwards = Upwards::new(self.conn, account)?;
        let mut highest = None;
        for (entry, right) in granted {
            if Some(*right) > highest && upwards.place(*entry)?.is_some() {
                highest = Some(*right);
            }
        }
        Ok(highest)
    }

    /// Whether an entry that may be changed may not be taken from its place: it is shared itself, and no
    /// folder above it may be written.
    pub(super) fn is_fixed(&self, entry: &Entry) -> Result<bool> {
        if self.granted.is_none() {
            return Ok(false);
        }
        let mut next = entry.parent;
        while let Some(folder) = next {
            if self.on(folder) == Some(Right::Write) {
                return Ok(false);
            }
            next = by_id(self.conn, folder)?.and_then(|folder| folder.parent);
        }
        Ok(true)
    }

    /// What stands at a path, if it may be read.
    pub(super) fn find(&self, path: &TreePath) -> Result<Option<Entry>> {
        let mut way = self.way(path)?;
        let (stands, may) = (way.len() > path.names().len(), self.right(&way).is_some());
        Ok(if stands && may { way.pop() } else { None })
    }

    /// The same, or `NotFound`.
    pub(super) fn required(&self, at: &At) -> Result<Entry> {
        self.find(&at.path)?.ok_or_else(|| Error::not_found(at))
    }

    /// Refuses unless what is at a path, or will be, may be changed.
    pub(super) fn require_write(&self, at: &At) -> Result<()> {
        match &self.granted {
            None => Ok(()),
            Some(_) => self.judge(at, &self.way(&at.path)?),
        }
    }

    /// Refuses unless an entry may be taken from its place: that is a change of the folder it is in.
    pub(super) fn require_removal(&self, at: &At) -> Result<()> {
        if self.granted.is_none() {
            return Ok(());
        }
        let mut way = self.way(&at.path)?;
        // What may only be read is refused as such; what is shared itself is its owner's to move.
        self.judge(at, &way)?;
        way.pop();
        match self.right(&way) {
            Some(Right::Write) => Ok(()),
            _ => Err(Error::new(
                Kind::PermissionDenied,
                format!("{at} is what was shared; only its owner may move or remove it"),
            )),
        }
    }

    fn judge(&self, at: &At, way: &[Entry]) -> Result<()> {
        match self.right(way) {
            Some(Right::Write) => Ok(()),
            Some(Right::Read) => Err(Error::new(
                Kind::PermissionDenied,
                format!("{at} is shared with you to be read; ask its owner for the right to write"),
            )),
            None => Err(Error::not_found(at)),
        }
    }

    /// The entries from the root along a path, as far as it stands.
    fn way(&self, path: &TreePath) -> Result<Vec<Entry>> {
        let mut way: Vec<Entry> = by_id(self.conn, self.top)?.into_iter().collect();
        for name in path.names() {
            let folder = way.last().filter(|entry| entry.node.is_folder());
            let Some(next) = folder.map(|folder| child(self.conn, folder.id, name)) else {
                break;
            };
            match next? {
                Some(entry) => way.push(entry),
                None => break,
            }
        }
        Ok(way)
    }

    fn right(&self, way: &[Entry]) -> Option<Right> {
        way.iter().filter_map(|entry| self.on(entry.id)).max()
    }
}

/// What was granted in a tree, to an account or to a group it is in.
fn granted(conn: &Connection, by: AccountId, owner: AccountId) -> Result<HashMap<EntryId, Right>> {
    let own = "SELECT entry, rights FROM access_grant
               WHERE grantee_kind = 1 AND grantee = ?1 AND owner = ?2";
    let groups = "SELECT g.entry, g.rights FROM member AS m
                  JOIN access_grant AS g ON g.grantee_kind = 2 AND g.grantee = m.account_group
                  WHERE m.account = ?1 AND g.owner = ?2";
    let mut granted = HashMap::new();
    for sql in [own, groups] {
        let found = all(conn, sql, (by, owner), |row| {
            Ok((row.get::<_, EntryId>(0)?, row.get::<_, Right>(1)?))
        })?;
        for (entry, right) in found {
            let known = granted.entry(entry).or_insert(right);
            *known = right.max(*known);
        }
    }
    Ok(granted)
}
