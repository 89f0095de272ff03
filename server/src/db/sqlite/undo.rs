//! Undoing: what a commit did is found again by the numbers that it gave, since each row carries that of its
//! latest change. What has another number now has changed since, and then nothing is undone.
//!
//! What it made goes to the trash, what it removed comes back, and what it replaced is put in place again as
//! a new version. Permission bits and times that it changed are kept with it, for no row remembers those.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::db::sqlite::contents::Provenance;
use crate::db::sqlite::entries::remove_row;
use crate::db::sqlite::merge::Merge;
use crate::db::sqlite::paths::Upwards;
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::rows::{ENTRY, all, entry, one};
use crate::db::sqlite::since::{changed_below, told};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{journal, trash, versions};
use crate::db::{CommitPlan, Undo, Undone};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, Entry, EntryId, FileName, Mode, Modseq, TreePath, Xattrs};

/// Commits that are looked at to find the last one of a tree.
const LOOKED_AT: usize = 1_000;

/// An entry of which a commit changed nothing but these, and what they were.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Adjusted {
    pub(super) entry: EntryId,
    pub(super) mode: Mode,
    pub(super) modified_ns: i64,
    pub(super) xattrs: Xattrs,
}

/// The numbers that a commit gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    first: Modseq,
    last: Modseq,
}

/// What a look at a commit showed, at one number of the account's.
pub(super) struct Look {
    commit: Option<Made>,
    at: Modseq,
}

struct Made {
    numbers: Numbers,
    base: TreePath,
    entries: usize,
    adjusted: Vec<Adjusted>,
    committed_at: i64,
}

/// Remembers a commit that gave the numbers after `before`.
pub(super) fn note(
    tx: &Tx<'_>,
    plan: &CommitPlan,
    before: Modseq,
    adjusted: &[Adjusted],
) -> Result<()> {
    let account = plan.base.account;
    let last = journal::latest(tx, account)?;
    if last == before {
        return Ok(());
    }
    let base = Reach::own(tx.conn(), account)?.find(&plan.base.path)?;
    let base = base.ok_or_else(|| Error::internal("undo.note", "a commit has no base"))?.id;
    let numbers = Numbers { first: Modseq(before.0 + 1), last };
    let sql = "SELECT count(*) FROM entry WHERE account = ?1 AND modseq >= ?2 AND modseq <= ?3";
    let entries: Option<usize> =
        one(tx.conn(), sql, (account, numbers.first, numbers.last), |row| row.get(0))?;
    let encode = |error| Error::internal("undo.note", error);
    let adjusted = postcard::to_stdvec(adjusted).map_err(encode)?;
    tx.execute(
        "INSERT INTO made_commit (account, last, first, base, entries, adjusted, committed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (account, last, numbers.first, base, entries, adjusted, plan.now),
    )
    .map(drop)
}

/// Looks for the commit, and whether anything in the way of undoing it has changed since.
pub(super) fn look(conn: &Connection, undo: &Undo) -> Result<Look> {
    let account = undo.at.account;
    let reach = Reach::of(conn, undo.by, account)?;
    let tree = reach.required(&undo.at)?;
    reach.require_write(&undo.at)?;
    let at = journal::current(conn, account)?;
    let commit = newest(conn, account, tree.id)?;
    if let Some(made) = &commit {
        unchanged_since(conn, account, made)?;
    }
    Ok(Look { commit, at })
}

/// The newest commit into a folder or one below it.
fn newest(conn: &Connection, account: AccountId, tree: EntryId) -> Result<Option<Made>> {
    let sql = "SELECT last, base FROM made_commit
               WHERE account = ?1 ORDER BY last DESC LIMIT ?2";
    let commits = all(conn, sql, (account, LOOKED_AT), |row| {
        Ok((row.get::<_, Modseq>(0)?, row.get::<_, EntryId>(1)?))
    })?;
    let mut upwards = Upwards::new(conn, account)?;
    let Some((tree, _)) = upwards.place(tree)? else { return Ok(None) };
    for (last, base) in commits {
        if let Some((base, _)) = upwards.place(base)?
            && base.names().starts_with(tree.names())
        {
            return made(conn, account, last, base);
        }
    }
    Ok(None)
}

fn made(
    conn: &Connection,
    account: AccountId,
    last: Modseq,
    base: TreePath,
) -> Result<Option<Made>> {
    let sql = "SELECT first, entries, adjusted, committed_at FROM made_commit
               WHERE account = ?1 AND last = ?2";
    one(conn, sql, (account, last), |row| {
        let encoded: Vec<u8> = row.get(2)?;
        Ok(Made {
            numbers: Numbers { first: row.get(0)?, last },
            base,
            entries: row.get(1)?,
            adjusted: postcard::from_bytes(&encoded).unwrap_or_default(),
            committed_at: row.get(3)?,
        })
    })
}

/// The entries whose latest change has one of these numbers.
fn rows(conn: &Connection, account: AccountId, numbers: Numbers) -> Result<Vec<(Entry, Facts)>> {
    let sql = format!(
        "SELECT {ENTRY}, made, removed FROM entry
         WHERE account = ?1 AND modseq >= ?2 AND modseq <= ?3 ORDER BY modseq"
    );
    all(conn, &sql, (account, numbers.first, numbers.last), |row| {
        Ok((entry(row)?, Facts { made: row.get("made")?, removed: row.get("removed")? }))
    })
}

/// What an entry's value does not have.
#[derive(Clone, Copy)]
struct Facts {
    made: Modseq,
    removed: Modseq,
}

impl Numbers {
    fn has(self, number: Modseq) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// Refuses when something that a commit did, or what is in a folder that it made, has changed since.
fn unchanged_since(conn: &Connection, account: AccountId, made: &Made) -> Result<()> {
    let done = rows(conn, account, made.numbers)?;
    if done.len() != made.entries {
        return Err(changed_since(made, done.len()));
    }
    still_there(conn, account, made, &done)?;
    let mut new = done
        .iter()
        .filter(|(entry, facts)| made.numbers.has(facts.made) && entry.node.is_folder())
        .peekable();
    if new.peek().is_none() {
        return Ok(());
    }
    let changed = changed_below(conn, account, made.numbers.last)?;
    for (folder, _) in new {
        if let Some(id) = changed.get(&folder.id) {
            let told = told(conn, account, *id)?;
            let message = format!(
                "{told} was changed after the last commit, which made the folder that it is in; \
                 nothing was undone"
            );
            return Err(Error::new(Kind::Aborted, message));
        }
    }
    Ok(())
}

fn changed_since(made: &Made, left: usize) -> Error {
    let message = format!(
        "{} of the {} entries that the last commit changed have changed since; nothing was undone. Bring \
         back what is wanted with `versions`, `restore` and `trash`",
        made.entries.saturating_sub(left),
        made.entries
    );
    Error::new(Kind::Aborted, message)
}

/// Refuses when a folder that something is in has been moved out of the base, or removed: whoever undoes may
/// have no right there, and it is not where the commit left it.
fn still_there(
    conn: &Connection,
    account: AccountId,
    made: &Made,
    done: &[(Entry, Facts)],
) -> Result<()> {
    let ids: HashSet<EntryId> = done.iter().map(|(entry, _)| entry.id).collect();
    let mut upwards = Upwards::new(conn, account)?;
    for (entry, _) in done {
        // What is in something else that the commit changed is where that is.
        let Some(parent) = entry.parent.filter(|parent| !ids.contains(parent)) else { continue };
        let base = made.base.names();
        let is_in = upwards.place(parent)?.is_some_and(|(at, _)| at.names().starts_with(base));
        // The base itself and folders above it that were made for it.
        if !is_in && !upwards.place(entry.id)?.is_some_and(|(at, _)| base.starts_with(at.names())) {
            let name = entry.name.as_ref().map_or("/", FileName::as_str);
            let message = format!(
                "the folder that {name:?} is in was moved or removed after the last commit into {}; \
                 nothing was undone. Move it back, or bring back what is wanted with `versions`, \
                 `restore` and `trash`",
                made.base
            );
            return Err(Error::new(Kind::Aborted, message));
        }
    }
    Ok(())
}

/// Takes back what a look found. Where it found a reason not to, or anything has happened meanwhile, it is
/// looked again.
pub(super) fn undo(tx: &mut Tx<'_>, undo: &Undo, looked: Option<&Look>) -> Result<Undone> {
    let account = undo.at.account;
    let reach = Reach::of(tx.conn(), undo.by, account)?;
    reach.required(&undo.at)?;
    reach.require_write(&undo.at)?;
    let now = journal::latest(tx, account)?;
    let again;
    let looked = match looked.filter(|looked| looked.at == now) {
        Some(looked) => looked,
        None => {
            again = look(tx.conn(), undo)?;
            &again
        }
    };
    let Some(made) = &looked.commit else {
        let message = format!("no commit into {} is remembered", undo.at);
        return Err(Error::new(Kind::FailedPrecondition, message));
    };
    let done = rows(tx.conn(), account, made.numbers)?;
    if done.len() != made.entries {
        // What is purged gets no number.
        return Err(changed_since(made, done.len()));
    }
    let mut back = Back {
        account,
        numbers: made.numbers,
        now: undo.now,
        undone: Undone {
            base: made.base.clone(),
            committed_at: made.committed_at,
            removed: 0,
            restored: 0,
            adjusted: 0,
            modseq: Modseq(0),
        },
    };
    back.take_away(tx, &done)?;
    back.bring_back(tx, &done)?;
    back.replace(tx, reach.top(), &done, &made.adjusted)?;
    let sql = "DELETE FROM made_commit WHERE account = ?1 AND last = ?2";
    tx.execute(sql, (account, made.numbers.last))?;
    back.undone.modseq = journal::latest(tx, account)?;
    Ok(back.undone)
}

/// A commit being undone.
struct Back {
    account: AccountId,
    numbers: Numbers,
    now: i64,
    undone: Undone,
}

impl Back {
    /// What it made goes to the trash; what is in a folder that it made goes with that.
    fn take_away(&mut self, tx: &mut Tx<'_>, done: &[(Entry, Facts)]) -> Result<()> {
        let new = |facts: &Facts| self.numbers.has(facts.made) && facts.removed == Modseq(0);
        let folders: HashSet<EntryId> =
            done.iter().filter(|(_, facts)| new(facts)).map(|(entry, _)| entry.id).collect();
        for (entry, facts) in done {
            if new(facts) && !entry.parent.is_some_and(|parent| folders.contains(&parent)) {
                let number = journal::next(tx, self.account)?;
                remove_row(tx, entry, (number, self.now))?;
                self.undone.removed += 1;
            }
        }
        Ok(())
    }

    /// What it removed comes back to its place.
    fn bring_back(&mut self, tx: &mut Tx<'_>, done: &[(Entry, Facts)]) -> Result<()> {
        for (entry, facts) in done {
            let (Some(parent), Some(name)) = (entry.parent, entry.name.clone()) else { continue };
            if self.numbers.has(facts.removed) && !self.numbers.has(facts.made) {
                let path = TreePath::from(vec![name.clone()]);
                trash::bring_back(tx, entry.clone(), (parent, &name, &path), self.now)?;
                self.undone.restored += 1;
            }
        }
        Ok(())
    }

    /// What it replaced is there again, with its permission bits and times.
    fn replace(
        &mut self,
        tx: &mut Tx<'_>,
        top: EntryId,
        done: &[(Entry, Facts)],
        adjusted: &[Adjusted],
    ) -> Result<()> {
        let was: HashMap<EntryId, &Adjusted> =
            adjusted.iter().map(|adjusted| (adjusted.entry, adjusted)).collect();
        let mut merge = Merge::below(top, (self.account, Provenance::Held), self.now);
        for (entry, facts) in done {
            if self.numbers.has(facts.made) || facts.removed != Modseq(0) {
                continue;
            }
            if self.numbers.has(entry.generation) {
                let before = versions::before(tx.conn(), entry.id, self.numbers.first)?;
                let before = before.ok_or_else(|| forgotten(entry))?;
                merge.put_back(tx, entry.clone(), &before)?;
                self.undone.restored += 1;
            } else if let Some(was) = was.get(&entry.id) {
                merge.readjust(tx, entry.clone(), was)?;
                self.undone.adjusted += 1;
            }
        }
        merge.charge(tx)
    }
}

fn forgotten(entry: &Entry) -> Error {
    let name = entry.name.as_ref().map_or("/", FileName::as_str);
    let message = format!(
        "what {name:?} was before is no longer kept, so the commit cannot be undone as a whole"
    );
    Error::new(Kind::FailedPrecondition, message)
}

/// Forgets commits that were made before a time, at most `rows`; how many.
pub(super) fn forget(tx: &Tx<'_>, before: i64, rows: usize) -> Result<usize> {
    let sql = "DELETE FROM made_commit WHERE (account, last) IN (
                 SELECT account, last FROM made_commit WHERE committed_at < ?1 LIMIT ?2)";
    tx.execute(sql, (before, rows))
}
