//! Putting entries into a tree: the one place where a file gets a new version, a folder is made, a
//! precondition is checked and an account is charged. Writes, commits, copies and staged trees all come
//! through here.

use std::collections::HashMap;

use crate::db::sqlite::conditions::check;
use crate::db::sqlite::contents::{self, Provenance};
use crate::db::sqlite::entries::{insert_row, keep_version, remove_row};
use crate::db::sqlite::paths::{by_id, child, sibling, twin};
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::rows::encoded;
use crate::db::sqlite::since::told;
use crate::db::sqlite::undo::Adjusted;
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{journal, quota, versions};
use crate::db::{Listed, NewNode, StagedEntry, Version};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, Condition, Content, Entry, EntryId, FileName, Mode, Modseq, Node, TreePath,
    VersionId, Xattrs,
};

/// Entries being put below one folder, in one transaction.
pub(super) struct Merge<'a> {
    account: AccountId,
    now: i64,
    /// Why contents may be used.
    provenance: Provenance,
    /// Whether the top is one that nobody sees yet: nothing stands below it but what was put there.
    unseen: bool,
    /// The folders from the top to where the last entry was put, so that siblings need no walk.
    folders: Vec<(FileName, EntryId)>,
    top: EntryId,
    added_bytes: u64,
    adjusted: Vec<Adjusted>,
    /// What whoever puts may do; all of it where that is for the caller to ask.
    reach: Option<Reach<'a>>,
    /// What is not removed, each with what has changed there.
    spared: HashMap<EntryId, EntryId>,
}

/// What became of one entry.
pub(super) struct Put {
    /// Whether it is other than before.
    pub(super) changed: bool,
    /// As it stands now.
    pub(super) entry: Entry,
}

impl<'a> Merge<'a> {
    /// Into the tree of `account`, below `top`. Whether that may be changed is for the caller to ask.
    pub(super) fn below(
        top: EntryId,
        (account, provenance): (AccountId, Provenance),
        now: i64,
    ) -> Self {
        Self {
            account,
            now,
            provenance,
            unseen: false,
            folders: Vec::new(),
            top,
            added_bytes: 0,
            adjusted: Vec::new(),
            reach: None,
            spared: HashMap::new(),
        }
    }

    /// Into a tree that whoever puts there has this reach in.
    pub(super) fn within(reach: &Reach<'a>, whose: (AccountId, Provenance), now: i64) -> Self {
        Self { reach: Some(reach.clone()), ..Self::below(reach.top(), whose, now) }
    }

    /// Refuses to remove these: each has come to its place, or has something in it that has changed.
    pub(super) fn sparing(self, spared: HashMap<EntryId, EntryId>) -> Self {
        Self { spared, ..self }
    }

    /// Below a top that is not linked yet.
    pub(super) fn unseen(self) -> Self {
        Self { unseen: true, ..self }
    }

    /// Puts one entry at a path below the top; missing folders are made.
    pub(super) fn put(
        &mut self,
        tx: &mut Tx<'_>,
        path: &TreePath,
        new: &StagedEntry,
    ) -> Result<Put> {
        let Some((name, above)) = path.split_last() else {
            return self.put_top(tx, new);
        };
        let parent = self.folder(tx, above)?;
        let stands = match sibling(tx.conn(), parent, name)? {
            Some(entry) if entry.name.as_ref() != Some(name) => return Err(twin(name, &entry)),
            stands => stands,
        };
        check(path, stands.as_ref(), &new.condition)?;
        match stands {
            None => self.insert(tx, (parent, name), new).map(Put::changed),
            Some(entry) if self.unseen && !described(&entry, new) => Err(named_twice(path)),
            Some(entry) => self.replace(tx, path, entry, new),
        }
    }

    /// Removes what stands at a path, softly, with all below it; whether anything did.
    pub(super) fn remove(
        &mut self,
        tx: &mut Tx<'_>,
        path: &TreePath,
        condition: &Condition,
    ) -> Result<bool> {
        let stands = self.standing(tx, path)?;
        check(path, stands.as_ref(), condition)?;
        let Some(entry) = stands else {
            return Ok(false);
        };
        if path.is_root() {
            return Err(Error::field("path", "the root of a tree cannot be removed"));
        }
        if self.unseen {
            // Nothing but what this commit has put there itself, and counts.
            return Err(named_twice(path));
        }
        if let Some(changed) = self.spared.get(&entry.id) {
            let changed = told(tx.conn(), self.account, *changed)?;
            let message = format!("{changed} has changed meanwhile, so {path} was not removed");
            return Err(Error::new(Kind::Aborted, message));
        }
        let number = self.number(tx)?;
        remove_row(tx, &entry, (number, self.now))?;
        let gone = self.folders.iter().position(|(_, id)| *id == entry.id);
        self.folders.truncate(gone.unwrap_or(self.folders.len()));
        Ok(true)
    }

    /// What stands at a path below the top.
    fn standing(&self, tx: &Tx<'_>, path: &TreePath) -> Result<Option<Entry>> {
        let mut stands = by_id(tx.conn(), self.top)?;
        for name in path.names() {
            let Some(folder) = stands.filter(|entry| entry.node.is_folder()) else {
                return Ok(None);
            };
            stands = child(tx.conn(), folder.id, name)?;
        }
        Ok(stands)
    }

    /// The next number; nobody is told of what is not seen.
    fn number(&self, tx: &mut Tx<'_>) -> Result<Modseq> {
        if self.unseen { journal::quiet(tx, self.account) } else { journal::next(tx, self.account) }
    }

    /// Charges for what was put. Once, at the end: what is lacking is known then.
    pub(super) fn charge(&self, tx: &mut Tx<'_>) -> Result<()> {
        quota::charge(tx, self.account, self.added_bytes, self.now)
    }

    /// What the entries were of which permission bits and times alone were changed.
    pub(super) fn adjusted(&self) -> &[Adjusted] {
        &self.adjusted
    }

    /// Puts the content of an earlier version back, as a new one.
    pub(super) fn put_back(
        &mut self,
        tx: &mut Tx<'_>,
        stands: Entry,
        before: &Version,
    ) -> Result<Put> {
        let new = StagedEntry {
            path: TreePath::default(),
            node: NewNode::File(before.content),
            mode: before.mode,
            modified_ns: before.modified_ns,
            xattrs: Some(before.xattrs.clone()),
            condition: Condition::default(),
        };
        let path = TreePath::from(stands.name.iter().cloned().collect::<Vec<_>>());
        self.replace(tx, &path, stands, &new)
    }

    /// Gives an entry the attributes again that it had.
    pub(super) fn readjust(
        &mut self,
        tx: &mut Tx<'_>,
        stands: Entry,
        was: &Adjusted,
    ) -> Result<Put> {
        let Adjusted { mode, modified_ns, ref xattrs, .. } = *was;
        self.adjust(tx, stands, (mode, modified_ns, Some(xattrs)))
    }

    /// Bytes that were added.
    pub(super) fn added_bytes(&self) -> u64 {
        self.added_bytes
    }

    /// The folder at these names below the top; missing ones are made.
    pub(super) fn folder(&mut self, tx: &mut Tx<'_>, names: &[FileName]) -> Result<EntryId> {
        let shared =
            self.folders.iter().zip(names).take_while(|((known, _), name)| known == *name).count();
        self.folders.truncate(shared);
        for (depth, name) in names.iter().enumerate().skip(shared) {
            let parent = self.folders.last().map_or(self.top, |(_, id)| *id);
            let id = match sibling(tx.conn(), parent, name)? {
                Some(entry) if entry.name.as_ref() != Some(name) => return Err(twin(name, &entry)),
                Some(entry) if entry.node.is_folder() => entry.id,
                Some(_) => return Err(no_folder(&TreePath::from(names[..=depth].to_vec()))),
                None => self.insert(tx, (parent, name), &plain_folder(self.now))?.id,
            };
            self.folders.push((name.clone(), id));
        }
        Ok(self.folders.last().map_or(self.top, |(_, id)| *id))
    }

    fn put_top(&mut self, tx: &mut Tx<'_>, new: &StagedEntry) -> Result<Put> {
        if new.node != NewNode::Folder {
            return Err(Error::field("path", "the base of a commit is a folder"));
        }
        let entry = by_id(tx.conn(), self.top)?
            .ok_or_else(|| Error::new(Kind::Aborted, "the base was purged meanwhile"))?;
        self.adjust(tx, entry, (new.mode, new.modified_ns, new.xattrs.as_ref()))
    }

    fn insert(
        &mut self,
        tx: &mut Tx<'_>,
        (parent, name): (EntryId, &FileName),
        new: &StagedEntry,
    ) -> Result<Entry> {
        let number = self.number(tx)?;
        let node = match &new.node {
            NewNode::File(content) => {
                self.take(tx, content)?;
                Node::File { content: *content, version: VersionId::new() }
            }
            NewNode::Folder => Node::Folder,
            NewNode::Symlink(target) => Node::Symlink { target: target.clone() },
            NewNode::Nothing => return Err(Error::internal("merge", "nothing cannot be put")),
        };
        let entry = Entry {
            id: EntryId::new(),
            account: self.account,
            parent: Some(parent),
            name: Some(name.clone()),
            node,
            mode: new.mode,
            modified_ns: new.modified_ns,
            xattrs: new.xattrs.clone().unwrap_or_default(),
            generation: number,
            placed: number,
            modseq: number,
            changed_at: self.now,
        };
        insert_row(tx, &entry)?;
        Ok(entry)
    }

    fn replace(
        &mut self,
        tx: &mut Tx<'_>,
        path: &TreePath,
        stands: Entry,
        new: &StagedEntry,
    ) -> Result<Put> {
        let aspect = (new.mode, new.modified_ns, new.xattrs.as_ref());
        match (&stands.node, &new.node) {
            (Node::Folder, NewNode::Folder) => self.adjust(tx, stands, aspect),
            (Node::Folder, _) => Err(folder_stands(path)),
            (_, NewNode::Folder) => Err(no_folder(path)),
            (Node::File { content, version }, NewNode::File(fresh)) => {
                if content.same_as(fresh) {
                    return self.adjust(tx, stands, aspect);
                }
                let past = (*version, *content);
                self.new_version(tx, stands, past, (*fresh, new)).map(Put::changed)
            }
            (Node::Symlink { target }, NewNode::Symlink(fresh)) if target == fresh => {
                Ok(Put { changed: false, entry: stands })
            }
            _ => {
                let (Some(parent), Some(name)) = (stands.parent, stands.name.clone()) else {
                    return Err(folder_stands(path));
                };
                if let Some(reach) = &self.reach
                    && reach.is_fixed(&stands)?
                {
                    let message = format!(
                        "{path} is what was shared; only its owner may put something of another kind there"
                    );
                    return Err(Error::new(Kind::PermissionDenied, message));
                }
                let number = self.number(tx)?;
                remove_row(tx, &stands, (number, self.now))?;
                self.insert(tx, (parent, &name), new).map(Put::changed)
            }
        }
    }

    /// The same content: permission bits, time and extended attributes alone.
    fn adjust(
        &mut self,
        tx: &mut Tx<'_>,
        mut stands: Entry,
        (mode, modified_ns, xattrs): (Mode, i64, Option<&Xattrs>),
    ) -> Result<Put> {
        let same_xattrs = xattrs.is_none_or(|xattrs| *xattrs == stands.xattrs);
        if stands.mode == mode && stands.modified_ns == modified_ns && same_xattrs {
            return Ok(Put { changed: false, entry: stands });
        }
        self.adjusted.push(Adjusted {
            entry: stands.id,
            mode: stands.mode,
            modified_ns: stands.modified_ns,
            xattrs: stands.xattrs.clone(),
        });
        stands.modseq = self.number(tx)?;
        (stands.mode, stands.modified_ns, stands.changed_at) = (mode, modified_ns, self.now);
        if let Some(xattrs) = xattrs {
            stands.xattrs.clone_from(xattrs);
        }
        let Entry { id, modseq, .. } = stands;
        tx.execute(
            "UPDATE entry SET mode = ?2, modified_ns = ?3, xattrs = ?4, modseq = ?5, changed_at = ?6
             WHERE id = ?1",
            (id, mode.bits(), modified_ns, encoded(&stands.xattrs)?, modseq, self.now),
        )?;
        Ok(Put::changed(stands))
    }

    fn new_version(
        &mut self,
        tx: &mut Tx<'_>,
        mut stands: Entry,
        (past, past_content): (VersionId, Content),
        (content, new): (Content, &StagedEntry),
    ) -> Result<Entry> {
        self.take(tx, &content)?;
        let number = self.number(tx)?;
        keep_version(tx, &stands, (past, past_content), self.now)?;
        versions::keep_newest(tx, self.account, stands.id)?;
        let version = VersionId::new();
        if let Some(xattrs) = &new.xattrs {
            stands.xattrs.clone_from(xattrs);
        }
        tx.execute(
            "UPDATE entry SET size = ?2, digest = ?3, content = ?4, version = ?5, mode = ?6,
                              modified_ns = ?7, generation = ?8, modseq = ?8, changed_at = ?9,
                              xattrs = ?10
             WHERE id = ?1",
            (
                stands.id,
                content.size,
                content.digest,
                content.manifest,
                version,
                new.mode.bits(),
                new.modified_ns,
                number,
                self.now,
                encoded(&stands.xattrs)?,
            ),
        )?;
        stands.node = Node::File { content, version };
        (stands.mode, stands.modified_ns) = (new.mode, new.modified_ns);
        (stands.generation, stands.modseq, stands.changed_at) = (number, number, self.now);
        Ok(stands)
    }

    /// Counts a content that is put, and sees to it that it is there.
    fn take(&mut self, tx: &Tx<'_>, content: &Content) -> Result<()> {
        contents::take(tx, content, self.provenance)?;
        self.added_bytes += content.size;
        Ok(())
    }
}

impl Put {
    fn changed(entry: Entry) -> Self {
        Self { changed: true, entry }
    }

    /// With the path it was put at.
    pub(super) fn at(self, path: TreePath) -> Listed {
        Listed { path, entry: self.entry }
    }
}

/// A folder that was implied by what is below it may still be described.
fn described(stands: &Entry, new: &StagedEntry) -> bool {
    stands.node.is_folder() && new.node == NewNode::Folder
}

fn named_twice(path: &TreePath) -> Error {
    Error::field("entries.path", format!("{path} is named twice in one commit"))
}

fn plain_folder(now: i64) -> StagedEntry {
    StagedEntry {
        path: TreePath::default(),
        node: NewNode::Folder,
        mode: Mode::FOLDER,
        modified_ns: now.saturating_mul(1_000_000),
        xattrs: None,
        condition: Condition::default(),
    }
}

fn folder_stands(path: &TreePath) -> Error {
    Error::new(
        Kind::FailedPrecondition,
        format!("{path} is a folder; remove it first or choose another name"),
    )
}

fn no_folder(path: &TreePath) -> Error {
    Error::new(
        Kind::FailedPrecondition,
        format!("{path} is no folder; remove it first or choose another name"),
    )
}
