//! A commit while its parts come in. A small one is applied in one transaction at its end; when it grows
//! past that, it is staged in jobs where nobody sees it, and published at its end. One that is given up
//! leaves nothing that is visible.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::content::{Complete, ManifestBuilder};
use crate::db::{CommitOutcome, CommitPlan, NewNode, Request, Staged, StagedEntry};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::model::{
    At, Caller, CommitId, Condition, Content, Digest, Etag, Mode, Modseq, Piece, SYMLINK_BYTES_MAX,
    TreePath, UploadId, Xattrs,
};

/// Entries of one transaction.
const JOB_ENTRIES: usize = 500;
/// Contents recorded in one transaction.
const JOB_CONTENTS: usize = 64;
/// Paths, targets and extended attributes of one transaction.
const JOB_BYTES: usize = 4 << 20;
/// Contents that entries can still name after a job of entries.
const CONTENTS_KEPT: usize = 4_096;

/// How a commit begins.
#[derive(Clone, Debug)]
pub struct CommitStart {
    /// The folder that its paths start from.
    pub base: At,
    /// The upload that brought its chunks.
    pub upload: Option<UploadId>,
    /// Refused when the base stands already.
    pub if_absent: bool,
    /// Refused unless the base has this tag.
    pub if_etag: Option<Etag>,
    /// The number of the list that removals of folders come from: refused when anything in one of them has
    /// changed since.
    pub removals_as_of: Option<Modseq>,
    /// Sum of all sizes, where known.
    pub size: Option<u64>,
}

/// What a file of a commit consists of.
#[derive(Clone, Copy, Debug)]
pub enum EntryContent {
    /// At most one chunk, named by the digest.
    Single {
        /// Bytes.
        size: u64,
        /// BLAKE3 of them.
        digest: Digest,
    },
    /// The content with this number among those of the commit.
    Numbered(u32),
}

/// What an entry of a commit shall be.
#[derive(Clone, Debug)]
pub enum NewEntry {
    /// A file.
    File(EntryContent),
    /// A folder.
    Folder,
    /// A symlink to this target.
    Symlink(String),
    /// Nothing: what stands there is removed.
    Nothing,
}

/// A commit that is coming in.
pub struct Commit {
    files: Files,
    plan: CommitPlan,
    /// The content whose list is coming in now.
    open: Option<(u32, ManifestBuilder)>,
    complete: Vec<Complete>,
    /// The contents sent last, which entries may name by their number.
    contents: VecDeque<Content>,
    /// How many came before those.
    forgotten: usize,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    staged: Option<Staged>,
    /// A job of entries that is under way while the next ones come in.
    staging: Option<JoinHandle<Result<()>>>,
    /// Why nothing can be staged, unless it turns out to be a request that was answered before.
    refused: Option<Error>,
    entries: u64,
}

struct Waiting {
    path: TreePath,
    node: NewEntry,
    attributes: Attributes,
    condition: Condition,
}

impl Waiting {
    fn bytes(&self) -> usize {
        let target = match &self.node {
            NewEntry::Symlink(target) => target.len(),
            NewEntry::File(_) | NewEntry::Folder | NewEntry::Nothing => 0,
        };
        let names = self.path.names().iter().map(|name| name.as_str().len());
        names.sum::<usize>() + target + self.attributes.xattrs.as_ref().map_or(0, Xattrs::bytes)
    }
}

/// What an entry of a commit has besides its content.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Mode,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
    /// Extended attributes; `None` leaves those that are there.
    pub xattrs: Option<Xattrs>,
}

impl Files {
    /// Begins a commit.
    pub async fn commit(&self, caller: &Caller, start: CommitStart) -> Result<Commit> {
        self.contents.check_disk()?;
        let commit = self.new_commit(caller, &start, false);
        // Of somebody else's tree, it is found out by putting things there.
        if let Some(bytes) = start.size
            && start.base.account == caller.account
            && let Some(quota) = self.db.usage(caller.account).await?.quota
            && bytes > quota
        {
            let message = format!("{bytes} bytes cannot fit into a quota of {quota}");
            return Err(Error::new(Kind::QuotaExceeded, message));
        }
        Ok(commit)
    }

    /// Begins a commit of contents that the caller's account holds already.
    pub(super) fn held_commit(&self, caller: &Caller, start: CommitStart) -> Commit {
        self.new_commit(caller, &start, true)
    }

    fn new_commit(&self, caller: &Caller, start: &CommitStart, held: bool) -> Commit {
        let plan = CommitPlan {
            by: caller.account,
            request: None,
            upload: start.upload,
            base: start.base.clone(),
            if_absent: start.if_absent,
            if_etag: start.if_etag,
            removals_as_of: start.removals_as_of,
            merge_entries_max: self.limits.commit_merge_entries_max,
            held,
            now: self.clock.now(),
        };
        Commit {
            files: self.clone(),
            plan,
            open: None,
            complete: Vec::new(),
            contents: VecDeque::new(),
            forgotten: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
            staged: None,
            staging: None,
            refused: None,
            entries: 0,
        }
    }
}

impl Commit {
    /// Adds a part of a content's list of chunks; `begin` is its size and digest, on the first part.
    pub async fn content(
        &mut self,
        number: u32,
        begin: Option<(u64, Digest)>,
        pieces: &[Piece],
        last: bool,
    ) -> Result<()> {
        if let Some((size, digest)) = begin {
            let next = self.contents_so_far() + 1;
            if self.open.is_some() || number as usize != next {
                let problem = format!("{number}: contents count up from 1; {next} comes next");
                return Err(Error::field("content.number", problem));
            }
            self.open = Some((number, ManifestBuilder::new(size, digest)));
        }
        let Some((_, builder)) = self.open.as_mut().filter(|(open, _)| *open == number) else {
            let problem = format!("{number} was not begun, or has ended");
            return Err(Error::field("content.number", problem));
        };
        let contents = &self.files.contents;
        contents.add_pieces(self.plan.by, builder, pieces).await?;
        if last && let Some((_, builder)) = self.open.take() {
            self.complete.push(contents.end_pieces(self.plan.by, builder).await?);
            if self.complete.len() >= JOB_CONTENTS {
                self.record().await?;
            }
        }
        Ok(())
    }

    /// Adds an entry, folders before what is in them.
    pub async fn entry(
        &mut self,
        path: TreePath,
        node: NewEntry,
        attributes: Attributes,
        condition: Condition,
    ) -> Result<()> {
        if let NewEntry::Symlink(target) = &node
            && (target.is_empty() || target.len() > SYMLINK_BYTES_MAX || target.contains('\0'))
        {
            let problem = format!("a symlink's target has 1 to {SYMLINK_BYTES_MAX} bytes, no NUL");
            return Err(Error::field("entries.symlink_target", problem));
        }
        self.entries += 1;
        if self.entries > self.files.limits.commit_entries_max {
            let message = format!(
                "more than {} entries in one commit; make several",
                self.files.limits.commit_entries_max
            );
            return Err(Error::new(Kind::LimitExceeded, message));
        }
        if self.waiting.len() >= JOB_ENTRIES || self.waiting_bytes >= JOB_BYTES {
            self.stage().await?;
        }
        let waiting = Waiting { path, node, attributes, condition };
        self.waiting_bytes += waiting.bytes();
        self.waiting.push(waiting);
        Ok(())
    }

    /// Adds an entry whose content is recorded.
    pub(super) async fn put(&mut self, entry: StagedEntry) -> Result<()> {
        let node = match entry.node {
            NewNode::Folder => NewEntry::Folder,
            NewNode::Symlink(target) => NewEntry::Symlink(target),
            NewNode::Nothing => NewEntry::Nothing,
            NewNode::File(content) => {
                // Numbered like one that was sent; it needs no record.
                self.complete.push(Complete::Recorded(content));
                let number = self.contents_so_far();
                NewEntry::File(EntryContent::Numbered(u32::try_from(number).unwrap_or(u32::MAX)))
            }
        };
        let StagedEntry { path, mode, modified_ns, xattrs, condition, .. } = entry;
        self.entry(path, node, Attributes { mode, modified_ns, xattrs }, condition).await
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Makes all of it visible.
    pub async fn publish(mut self, request: Option<Request>) -> Result<CommitOutcome> {
        if self.open.is_some() {
            return Err(Error::new(Kind::Truncated, "a content's list of chunks did not end"));
        }
        self.try_publish(request).await
    }

    /// Lets go of what was staged: all of it when the commit is given up or its call breaks, what a
    /// repeated request staged once more, and what a publish left of its list.
    fn abandon(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(staged), Ok(runtime)) = (self.staged.take(), runtime) {
            let (db, id) = (Arc::clone(&self.files.db), staged.id);
            // Behind everybody else's changes; what a crash leaves is swept later.
            runtime.spawn(
                async move { while matches!(db.abandon(id, JOB_ENTRIES).await, Ok(true)) {} },
            );
        }
    }

    async fn try_publish(&mut self, request: Option<Request>) -> Result<CommitOutcome> {
        let plan = CommitPlan { request, now: self.files.clock.now(), ..self.plan.clone() };
        if let Some(refused) = self.refused.take() {
            return self.answered_before(plan).await?.ok_or(refused);
        }
        if self.staged.is_none() {
            let entries = self.resolved().await?;
            return self.files.db.commit(plan, entries).await;
        }
        self.stage().await?;
        self.settle().await?;
        match &self.staged {
            Some(staged) => self.files.db.publish(staged, plan).await,
            None => Err(Error::internal("commit", "nothing was staged")),
        }
    }

    /// The answer that this request was given the first time, if this is not the first time.
    async fn answered_before(&self, plan: CommitPlan) -> Result<Option<CommitOutcome>> {
        if plan.request.is_none() {
            return Ok(None);
        }
        // Nothing was staged under this key, so all that publishing it can do is to answer again.
        let nothing = Staged { id: CommitId::new(), top: None };
        match self.files.db.publish(&nothing, plan).await {
            Ok(outcome) => Ok(Some(outcome)),
            Err(error) if error.kind() == Kind::Aborted => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn contents_so_far(&self) -> usize {
        self.forgotten + self.contents.len() + self.complete.len()
    }

    /// Records the contents that have come in whole.
    async fn record(&mut self) -> Result<()> {
        let complete = mem::take(&mut self.complete);
        let recorded = self.files.contents.record(self.plan.by, complete).await?;
        self.contents.extend(recorded);
        Ok(())
    }

    async fn stage(&mut self) -> Result<()> {
        let entries = self.resolved().await?;
        if self.refused.is_some() {
            return Ok(());
        }
        let db = &self.files.db;
        let staged = match &self.staged {
            Some(staged) => staged,
            None => match db.stage_open(self.plan.clone()).await {
                Ok(staged) => self.staged.insert(staged),
                // The base stands: perhaps it is this request that made it. Its end will tell.
                Err(error) if error.kind() == Kind::Aborted => {
                    self.refused = Some(error);
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        let (db, staged, plan) = (Arc::clone(db), staged.clone(), self.plan.clone());
        self.settle().await?;
        self.staging = Some(tokio::spawn(async move { db.stage(&staged, &plan, entries).await }));
        Ok(())
    }

    /// Waits for the job that is under way: they are staged in the order of their entries.
    async fn settle(&mut self) -> Result<()> {
        match self.staging.take() {
            Some(job) => job.await.map_err(|error| Error::internal("commit.stage", error))?,
            None => Ok(()),
        }
    }

    /// Records the contents that came since the last job and gives its entries theirs.
    async fn resolved(&mut self) -> Result<Vec<StagedEntry>> {
        self.record().await?;
        let waiting = mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let entries = waiting
            .into_iter()
            .map(|entry| {
                let node = match entry.node {
                    NewEntry::Folder => NewNode::Folder,
                    NewEntry::Symlink(target) => NewNode::Symlink(target),
                    NewEntry::Nothing => NewNode::Nothing,
                    NewEntry::File(content) => NewNode::File(self.content_of(content)?),
                };
                let Waiting { path, condition, .. } = entry;
                let Attributes { mode, modified_ns, xattrs } = entry.attributes;
                Ok(StagedEntry { path, node, mode, modified_ns, xattrs, condition })
            })
            .collect();
        let surplus = self.contents.len().saturating_sub(CONTENTS_KEPT);
        self.contents.drain(..surplus);
        self.forgotten += surplus;
        entries
    }

    fn content_of(&self, content: EntryContent) -> Result<Content> {
        match content {
            EntryContent::Single { size: 0, .. } => Ok(Content::empty()),
            EntryContent::Single { size, digest } => Ok(Content { size, digest, manifest: None }),
            EntryContent::Numbered(number) => {
                let at = (number as usize).checked_sub(self.forgotten + 1);
                let found = at.and_then(|at| self.contents.get(at));
                found.copied().ok_or_else(|| {
                    let problem = format!("{number}: not among the contents that came last");
                    Error::field("entries.content", problem)
                })
            }
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.abandon();
    }
}
