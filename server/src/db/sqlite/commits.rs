//! Commits as rows. Up to a few hundred entries are applied at once. Of more, a new tree is staged as
//! entries below a top that has no parent, and appears when that one row gets its parent; changes to
//! what stands wait in `staged_entry` and are applied together.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::db::sqlite::conditions::check;
use crate::db::sqlite::contents::{Provenance, end_upload, take};
use crate::db::sqlite::entries::insert_row;
use crate::db::sqlite::merge::Merge;
use crate::db::sqlite::paths::{by_id, child, root, sibling};
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::requests::once;
use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::since::changed_below;
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, journal, quota, staged, undo};
use crate::db::{CommitOutcome, CommitPlan, Commits, NewNode, Staged, StagedEntry, Usage};
use crate::error::{Error, Kind, Result};
use crate::model::{CommitId, Condition, Entry, EntryId, FileName, Mode, Node, TreePath, Xattrs};

/// Extended attributes that a merge may change: all of them are in memory when it is published.
const MERGE_XATTRS_BYTES_MAX: u64 = 64 << 20;

/// Extended attributes of the entries that an answer names: it stays below the 4 MiB that clients take.
const TOLD_XATTRS_BYTES_MAX: usize = 1 << 20;

#[async_trait]
impl Commits for Sqlite {
    async fn commit(&self, plan: CommitPlan, entries: Vec<StagedEntry>) -> Result<CommitOutcome> {
        let is_own = plan.by == plan.base.account;
        self.write_in_quota("commits.commit", is_own, move |tx| {
            once(tx, plan.by, plan.request.as_ref(), plan.now, |tx| apply(tx, &plan, &entries))
        })
        .await
    }

    async fn stage_open(&self, plan: CommitPlan) -> Result<Staged> {
        self.write("commits.stage_open", move |tx| open(tx, &plan)).await
    }

    async fn stage(
        &self,
        staged: &Staged,
        plan: &CommitPlan,
        entries: Vec<StagedEntry>,
    ) -> Result<()> {
        let (staged, plan) = (staged.clone(), plan.clone());
        self.write("commits.stage", move |tx| {
            staged::require_open(tx, staged.id)?;
            match staged.top {
                Some(top) => stage_new(tx, &plan, (staged.id, top), &entries),
                // Nothing can come of it but the answer to the same request, given before.
                None if plan.if_absent => Ok(()),
                None => stage_merge(tx, &plan, staged.id, &entries),
            }
        })
        .await
    }

    async fn publish(&self, staged: &Staged, plan: CommitPlan) -> Result<CommitOutcome> {
        let staged = staged.clone();
        let is_own = plan.by == plan.base.account;
        self.write_in_quota("commits.publish", is_own, move |tx| {
            once(tx, plan.by, plan.request.as_ref(), plan.now, |tx| {
                end_upload(tx, plan.by, plan.upload)?;
                match staged.top {
                    Some(top) => publish_new(tx, &plan, (staged.id, top)),
                    None => publish_merge(tx, &plan, staged.id),
                }
            })
        })
        .await
    }

    async fn abandon(&self, id: CommitId, rows: usize) -> Result<bool> {
        self.write_behind("commits.abandon", move |tx| staged::abandon(tx, id, rows)).await
    }

    async fn abandoned(&self, before: i64) -> Result<Vec<CommitId>> {
        self.read("commits.abandoned", move |conn| {
            let sql = "SELECT id FROM staged_commit WHERE opened_at < ?1";
            all(conn, sql, [before], |row| row.get(0))
        })
        .await
    }
}

fn apply(tx: &mut Tx<'_>, plan: &CommitPlan, entries: &[StagedEntry]) -> Result<CommitOutcome> {
    let account = plan.base.account;
    let reach = Reach::of(tx.conn(), plan.by, account)?;
    let inside = reach.require_write(&plan.base);
    let all_inside = inside.is_ok();
    // What the base is, is nothing to somebody who may not put anything there.
    if entries.is_empty() || plan.if_absent || plan.if_etag.is_some() {
        inside?;
    }
    if plan.if_absent && stands(tx, plan)?.is_some() {
        return Err(base_stands(plan));
    }
    check_base(tx, plan)?;
    end_upload(tx, plan.by, plan.upload)?;
    let before = journal::latest(tx, account)?;
    let changed = match plan.removals_as_of {
        Some(number) if entries.iter().any(|new| new.node == NewNode::Nothing) => {
            changed_below(tx.conn(), account, number)?
        }
        _ => HashMap::new(),
    };
    let mut merge = Merge::within(&reach, (account, provenance(plan)), plan.now).sparing(changed);
    if all_inside {
        merge.folder(tx, plan.base.path.names())?;
    }
    let (mut outcome, mut told_bytes) = (CommitOutcome::default(), 0);
    for new in entries {
        let path = place(plan, new)?;
        if !all_inside {
            // What is in a folder may be shared where the folder is not.
            let at = plan.base.beside(path.clone());
            match new.node {
                NewNode::Nothing => reach.require_removal(&at)?,
                _ => reach.require_write(&at)?,
            }
        }
        let changed = match new.node {
            NewNode::Nothing => merge.remove(tx, &path, &new.condition)?,
            _ => {
                let put = merge.put(tx, &path, new)?;
                let changed = put.changed;
                told_bytes += put.entry.xattrs.bytes();
                if told_bytes <= TOLD_XATTRS_BYTES_MAX {
                    outcome.entries.push(put.at(path));
                }
                changed
            }
        };
        match changed {
            true => outcome.changed += 1,
            false => outcome.unchanged += 1,
        }
    }
    if told_bytes > TOLD_XATTRS_BYTES_MAX {
        outcome.entries.clear();
    }
    merge.charge(tx)?;
    undo::note(tx, plan, before, merge.adjusted())?;
    outcome.modseq = journal::latest(tx, account)?;
    outcome.usage = usage(tx, plan)?;
    Ok(outcome)
}

/// Where an entry goes, within the limits of paths. A commit puts things into its base, which must be there.
fn place(plan: &CommitPlan, new: &StagedEntry) -> Result<TreePath> {
    if new.node == NewNode::Nothing && new.path.is_root() {
        return Err(Error::field(
            "entries.path",
            "a commit does not remove its own base; ask Remove for that",
        ));
    }
    plan.base.path.join(&new.path, "entries.path")
}

fn usage(tx: &Tx<'_>, plan: &CommitPlan) -> Result<Option<Usage>> {
    let account = plan.base.account;
    (plan.by == account).then(|| quota::usage(tx.conn(), account)).transpose()
}

fn provenance(plan: &CommitPlan) -> Provenance {
    if plan.held { Provenance::Held } else { Provenance::SentBy(plan.by) }
}

fn check_base(tx: &Tx<'_>, plan: &CommitPlan) -> Result<()> {
    match plan.if_etag {
        Some(etag) => check(&plan.base.path, stands(tx, plan)?.as_ref(), &Condition::etag(etag)),
        None => Ok(()),
    }
}

/// What stands at the base, whoever may see it.
fn stands(tx: &Tx<'_>, plan: &CommitPlan) -> Result<Option<Entry>> {
    Reach::own(tx.conn(), plan.base.account)?.find(&plan.base.path)
}

/// What stands at the base is refused only when it is published, even where nothing may stand there: the
/// same request may have put it there, and then its first answer is given again.
fn open(tx: &mut Tx<'_>, plan: &CommitPlan) -> Result<Staged> {
    Reach::of(tx.conn(), plan.by, plan.base.account)?.require_write(&plan.base)?;
    let stands = stands(tx, plan)?;
    if let Some(entry) = &stands
        && !entry.node.is_folder()
        && !plan.if_absent
    {
        let message = format!("{} is no folder; choose another name", plan.base);
        return Err(Error::new(Kind::FailedPrecondition, message));
    }
    let id = CommitId::new();
    let base = stands.map(|entry| entry.id);
    let top = match base {
        Some(_) => None,
        None => Some(insert_top(tx, plan)?),
    };
    tx.execute(
        "INSERT INTO staged_commit (id, account, top, base, opened_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (id, plan.base.account, top, base, plan.now),
    )?;
    Ok(Staged { id, top })
}

fn insert_top(tx: &mut Tx<'_>, plan: &CommitPlan) -> Result<EntryId> {
    let account = plan.base.account;
    let number = journal::quiet(tx, account)?;
    let top = Entry {
        id: EntryId::new(),
        account,
        parent: None,
        name: None,
        node: Node::Folder,
        mode: Mode::FOLDER,
        modified_ns: plan.now.saturating_mul(1_000_000),
        xattrs: Xattrs::default(),
        generation: number,
        placed: number,
        modseq: number,
        changed_at: plan.now,
    };
    insert_row(tx, &top)?;
    Ok(top.id)
}

fn stage_new(
    tx: &mut Tx<'_>,
    plan: &CommitPlan,
    (id, top): (CommitId, EntryId),
    entries: &[StagedEntry],
) -> Result<()> {
    let whose = (plan.base.account, provenance(plan));
    let mut merge = Merge::below(top, whose, plan.now).unseen();
    for new in entries {
        place(plan, new)?;
        match new.node {
            // Nothing stands there but what was put before.
            NewNode::Nothing => drop(merge.remove(tx, &new.path, &new.condition)?),
            _ => drop(merge.put(tx, &new.path, new)?),
        }
    }
    staged::count(tx, id, (entries.len(), 0), merge.added_bytes())
}

fn stage_merge(
    tx: &mut Tx<'_>,
    plan: &CommitPlan,
    id: CommitId,
    entries: &[StagedEntry],
) -> Result<()> {
    let sql = "SELECT entries, size FROM staged_commit WHERE id = ?1";
    let staged = one(tx.conn(), sql, [id], |row| Ok((row.get(0)?, row.get::<_, u64>(1)?)))?;
    let (mut next, bytes_before) = staged.unwrap_or_default();
    let (before, mut bytes) = (next, 0);
    let mut folders = Folders::default();
    for new in entries {
        let path = place(plan, new)?;
        let parent = folders.above(tx, plan, &path)?;
        let stands = match (parent, path.split_last()) {
            (Some(parent), Some((name, _))) => child(tx.conn(), parent, name)?,
            (None, Some(_)) => None,
            (_, None) => by_id(tx.conn(), root(tx.conn(), plan.base.account)?)?,
        };
        let is_as_it_shall_be = match &stands {
            Some(entry) => is_same(entry, new),
            None => new.node == NewNode::Nothing && new.condition.is_none(),
        };
        if is_as_it_shall_be {
            continue;
        }
        if let NewNode::File(content) = &new.node {
            take(tx, content, provenance(plan))?;
        }
        staged::insert(tx, (id, next, parent), new)?;
        next += 1;
        bytes += new.xattrs.as_ref().map_or(0, |xattrs| xattrs.bytes() as u64);
    }
    if bytes_before + bytes > MERGE_XATTRS_BYTES_MAX {
        let message = format!(
            "more than 64 MiB of extended attributes of {} would change at once; put its folders one by one",
            plan.base
        );
        return Err(Error::new(Kind::LimitExceeded, message));
    }
    if next > u64::from(plan.merge_entries_max) {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!(
                "more than {} entries of {} would change at once; put the tree under a new name \
                 and move it, or put its folders one by one",
                plan.merge_entries_max, plan.base
            ),
        ));
    }
    let staged = usize::try_from(next - before).unwrap_or(usize::MAX);
    staged::count(tx, id, (staged, entries.len() - staged), bytes)
}

/// The folder that entries are put into, found once for those that share it.
#[derive(Default)]
struct Folders {
    last: Option<(Vec<FileName>, Option<EntryId>)>,
}

impl Folders {
    /// The folder that stands above a path; none above the root.
    fn above(
        &mut self,
        tx: &Tx<'_>,
        plan: &CommitPlan,
        path: &TreePath,
    ) -> Result<Option<EntryId>> {
        let Some((_, above)) = path.split_last() else {
            return Ok(None);
        };
        if let Some((names, found)) = &self.last
            && names == above
        {
            return Ok(*found);
        }
        let tree = Reach::own(tx.conn(), plan.base.account)?;
        let stands = tree.find(&TreePath::from(above.to_vec()))?;
        let found = stands.filter(|entry| entry.node.is_folder()).map(|entry| entry.id);
        self.last = Some((above.to_vec(), found));
        Ok(found)
    }
}

fn is_same(stands: &Entry, new: &StagedEntry) -> bool {
    let same_node = match (&stands.node, &new.node) {
        (Node::File { content, .. }, NewNode::File(fresh)) => content.same_as(fresh),
        (Node::Folder, NewNode::Folder) => true,
        (Node::Symlink { target }, NewNode::Symlink(fresh)) => {
            return target == fresh && new.condition.is_none();
        }
        _ => false,
    };
    let same_xattrs = new.xattrs.as_ref().is_none_or(|xattrs| *xattrs == stands.xattrs);
    let same_rest = stands.mode == new.mode && stands.modified_ns == new.modified_ns;
    same_node && same_rest && same_xattrs && new.condition.is_none()
}

fn publish_new(
    tx: &mut Tx<'_>,
    plan: &CommitPlan,
    (id, top): (CommitId, EntryId),
) -> Result<CommitOutcome> {
    let sql = "DELETE FROM staged_commit WHERE id = ?1 AND NOT abandoned RETURNING size, entries";
    let staged = one(tx.conn(), sql, [id], |row| Ok((row.get("size")?, row.get("entries")?)))?;
    let (size, entries) = staged.ok_or_else(staged::swept)?;
    let Some((name, above)) = plan.base.path.split_last() else {
        return Err(base_stands(plan));
    };
    let account = plan.base.account;
    let reach = Reach::of(tx.conn(), plan.by, account)?;
    reach.require_write(&plan.base)?;
    check_base(tx, plan)?;
    let before = journal::latest(tx, account)?;
    let mut merge = Merge::below(reach.top(), (account, provenance(plan)), plan.now);
    let parent = merge.folder(tx, above)?;
    if sibling(tx.conn(), parent, name)?.is_some() {
        return Err(base_stands(plan));
    }
    quota::charge(tx, account, size, plan.now)?;
    let number = journal::next(tx, account)?;
    tx.execute(
        "UPDATE entry SET parent = ?2, name = ?3, name_key = ?4, made = ?5, generation = ?5,
                          placed = ?5, modseq = ?5, changed_at = ?6
         WHERE id = ?1",
        (top, parent, name.as_str(), name.key(), number, plan.now),
    )?;
    undo::note(tx, plan, before, &[])?;
    let usage = usage(tx, plan)?;
    Ok(CommitOutcome { changed: entries, modseq: number, usage, ..CommitOutcome::default() })
}

fn publish_merge(tx: &mut Tx<'_>, plan: &CommitPlan, id: CommitId) -> Result<CommitOutcome> {
    let rows = staged::take_out(tx, id)?;
    let sql = "DELETE FROM staged_commit WHERE id = ?1 AND NOT abandoned RETURNING unchanged, base";
    let staged = one(tx.conn(), sql, [id], |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, Option<EntryId>>(1)?))
    })?;
    let (unchanged, base) = staged.ok_or_else(staged::swept)?;
    if plan.if_absent {
        return Err(base_stands(plan));
    }
    if stands(tx, plan)?.map(|entry| entry.id) != base {
        return Err(moved_meanwhile(&plan.base.path));
    }
    let entries = still_placed(tx, plan, rows)?;
    let mut outcome = apply(tx, plan, &entries)?;
    outcome.unchanged += unchanged;
    outcome.entries.clear();
    Ok(outcome)
}

/// The entries, if the folders that stood above them stand there still. Else what was left out because
/// it stood as it was sent would be lost, and the rest would stand there alone.
fn still_placed(
    tx: &Tx<'_>,
    plan: &CommitPlan,
    rows: Vec<staged::Waiting>,
) -> Result<Vec<StagedEntry>> {
    let mut folders = Folders::default();
    rows.into_iter()
        .map(|(mut new, path, stood)| {
            new.path = TreePath::parse_relative(&path, "entries.path")?;
            let path = plan.base.path.join(&new.path, "entries.path")?;
            if stood.is_some() && folders.above(tx, plan, &path)? != stood {
                return Err(moved_meanwhile(&path));
            }
            Ok(new)
        })
        .collect()
}

fn base_stands(plan: &CommitPlan) -> Error {
    // What stands there when nothing may is there again the next time.
    let advice = match plan.if_absent {
        true => "remove it first or choose another name",
        false => "run it again to merge, or choose another name",
    };
    Error::new(Kind::Aborted, format!("{} exists; {advice}", plan.base))
}

fn moved_meanwhile(path: &TreePath) -> Error {
    let message = format!("{path}: what was there has been removed or moved; run it again");
    Error::new(Kind::Aborted, message)
}
