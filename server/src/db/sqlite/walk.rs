//! Listings: a folder's entries in the order of their folded names, or all below it, depth first. A page
//! begins where the one before ended, found again by names, so that nothing is held between pages.

use rusqlite::Connection;

use crate::db::sqlite::journal;
use crate::db::sqlite::paths::sibling;
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::rows::{ENTRY, entry, prepared};
use crate::db::{Finding, Listed, Listing, Position};
use crate::error::{Error, Result};
use crate::model::{At, By, Entry, EntryId, FileName, Filter, Node, TreePath};

/// The most rows fetched at once from one folder.
const FETCHED: usize = 512;
/// Bytes of paths and targets in one page, about: its answer stays below the 4 MiB that clients take.
const PAGE_BYTES: usize = 2 << 20;
/// Entries that a page of a search looks at: about 20 ms of a reader.
const LOOKED_AT: usize = 20_000;
/// Extended attributes that are fetched at once from one folder; each entry has up to 64 KiB of them.
const FETCHED_BYTES: usize = 1 << 20;
/// What an entry takes besides.
const ENTRY_BYTES: usize = 256;

/// A page of a listing.
pub(super) fn list(
    conn: &Connection,
    by: By,
    (at, recursive): (&At, bool),
    from: &Position,
    limit: usize,
) -> Result<Listing> {
    let path = &at.path;
    if let Position::After(last) = from
        && !path.contains(last)
    {
        return Err(Error::field("page_token", "not a token of this list; begin without one"));
    }
    let top = Reach::of(conn, by, at.account)?.required(at)?;
    let modseq = journal::current(conn, at.account)?;
    let at_start = *from == Position::Start;
    if !top.node.is_folder() {
        let listed = Listed { path: path.clone(), entry: top };
        let entries = if at_start { vec![listed] } else { Vec::new() };
        return Ok(Listing { entries, more: false, modseq });
    }
    let mut walk = Walk { conn, recursive, open: Vec::new() };
    walk.begin(&top, path, from)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while entries.len() < limit && bytes < PAGE_BYTES {
        match walk.next(limit - entries.len())? {
            Some(listed) => {
                bytes += bytes_of(&listed);
                entries.push(listed);
            }
            None => {
                return Ok(Listing { entries, more: false, modseq });
            }
        }
    }
    Ok(Listing { entries, more: true, modseq })
}

/// A page of a search: what a filter lets through, depth first.
pub(super) fn find(
    conn: &Connection,
    by: By,
    (at, filter): (&At, &Filter),
    from: &Position,
    limit: usize,
) -> Result<Finding> {
    if let Position::After(last) = from
        && !at.path.contains(last)
    {
        return Err(Error::field("page_token", "not a token of this list; begin without one"));
    }
    let top = Reach::of(conn, by, at.account)?.required(at)?;
    if !top.node.is_folder() {
        let listed = Listed { path: at.path.clone(), entry: top };
        let found = *from == Position::Start && filter.matches(&listed.entry);
        return Ok(Finding {
            entries: found.then_some(listed).into_iter().collect(),
            reached: None,
        });
    }
    let mut walk = Walk { conn, recursive: true, open: Vec::new() };
    walk.begin(&top, &at.path, from)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for looked_at in 1.. {
        let Some(listed) = walk.next(FETCHED)? else {
            break;
        };
        let reached = listed.path.clone();
        if filter.matches(&listed.entry) {
            bytes += bytes_of(&listed);
            entries.push(listed);
        }
        if entries.len() >= limit || bytes >= PAGE_BYTES || looked_at >= LOOKED_AT {
            return Ok(Finding { entries, reached: Some(reached) });
        }
    }
    Ok(Finding { entries, reached: None })
}

fn bytes_of(listed: &Listed) -> usize {
    let names = listed.path.names().iter().map(|name| name.as_str().len() + 1).sum::<usize>();
    let target = match &listed.entry.node {
        Node::Symlink { target } => target.len(),
        Node::File { .. } | Node::Folder => 0,
    };
    names + target + listed.entry.xattrs.bytes() + ENTRY_BYTES
}

struct Walk<'a> {
    conn: &'a Connection,
    recursive: bool,
    /// The folders being listed, the deepest last.
    open: Vec<Folder>,
}

struct Folder {
    id: EntryId,
    path: Vec<FileName>,
    /// Folded name of the last entry that was fetched.
    after: String,
    /// Entries that were fetched and not given yet, the next one last.
    fetched: Vec<Entry>,
    exhausted: bool,
}

impl Folder {
    fn new(id: EntryId, path: Vec<FileName>, after: String) -> Self {
        Self { id, path, after, fetched: Vec::new(), exhausted: false }
    }
}

impl Walk<'_> {
    /// Opens the folders that lead to where the page before ended. One that is gone meanwhile is left
    /// out: the walk goes on after its name.
    fn begin(&mut self, top: &Entry, path: &TreePath, from: &Position) -> Result<()> {
        self.open.push(Folder::new(top.id, path.names().to_vec(), String::new()));
        let Position::After(last) = from else {
            return Ok(());
        };
        let below = last.names().get(path.names().len()..).unwrap_or_default();
        for name in below {
            let Some(folder) = self.open.last_mut() else {
                return Ok(());
            };
            folder.after = name.key();
            // By the folded name: its place is the same when its case was changed meanwhile.
            let stands = sibling(self.conn, folder.id, name)?;
            let deeper = stands.filter(|entry| self.recursive && entry.node.is_folder());
            let Some((id, name)) = deeper.and_then(|entry| Some((entry.id, entry.name?))) else {
                return Ok(());
            };
            let mut names = folder.path.clone();
            names.push(name);
            self.open.push(Folder::new(id, names, String::new()));
        }
        Ok(())
    }

    /// The next entry; at most about `wanted` will be asked for.
    fn next(&mut self, wanted: usize) -> Result<Option<Listed>> {
        while let Some(folder) = self.open.last_mut() {
            if folder.fetched.is_empty() && !folder.exhausted {
                fetch(self.conn, folder, wanted.min(FETCHED))?;
            }
            let Some(entry) = folder.fetched.pop() else {
                self.open.pop();
                continue;
            };
            let Some(name) = entry.name.clone() else {
                continue;
            };
            let mut names = folder.path.clone();
            names.push(name);
            if self.recursive && entry.node.is_folder() {
                self.open.push(Folder::new(entry.id, names.clone(), String::new()));
            }
            return Ok(Some(Listed { path: TreePath::from(names), entry }));
        }
        Ok(None)
    }
}

fn fetch(conn: &Connection, folder: &mut Folder, limit: usize) -> Result<()> {
    let sql = format!(
        "SELECT {ENTRY}, name_key FROM entry WHERE parent = ?1 AND name_key > ?2 AND removed = 0
         ORDER BY name_key LIMIT ?3"
    );
    let mut statement = prepared(conn, &sql)?;
    let mut rows = statement.query((folder.id, &folder.after, limit))?;
    let (mut fetched, mut bytes) = (Vec::new(), 0);
    folder.exhausted = true;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        bytes += entry.xattrs.bytes();
        fetched.push(entry);
        if fetched.len() == limit || bytes >= FETCHED_BYTES {
            folder.after = row.get("name_key")?;
            folder.exhausted = false;
            break;
        }
    }
    fetched.reverse();
    folder.fetched = fetched;
    Ok(())
}
