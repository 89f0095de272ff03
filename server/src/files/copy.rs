//! Copies: a second entry of the same content. Of a folder, what is read in pages is one state of it, or the
//! copy is refused.

use crate::db::{
    Change, ChangeItem, EntryOp, NewNode, Position, Relocation, Request, Span, StagedEntry,
};
use crate::error::{Error, Kind, Result};
use crate::files::{CommitStart, Files};
use crate::model::{At, Caller, Condition, Entry, Location, Modseq, Node, TreePath};

/// Entries that a copy of a folder reads at once.
const COPIED_AT_ONCE: usize = 20_000;

/// Changes that are looked at at once to see whether one of them is in a tree that was copied.
const CHANGES_AT_ONCE: usize = 1_000;

impl Files {
    /// Makes a second entry of the same content, of a folder with all below it.
    pub async fn copy(
        &self,
        caller: &Caller,
        source: &Location,
        target: &Location,
        recursive: bool,
        (if_absent, request): (bool, Option<Request>),
    ) -> Result<Entry> {
        let relocation = self.relocation(caller, (source, target), request).await?;
        let relocation = Relocation { if_absent, ..relocation };
        let top = self.db.entry(caller.account.into(), &relocation.source).await?;
        if !top.node.is_folder() {
            return self.db.copy_entry(relocation).await;
        }
        if !recursive {
            let problem = format!("{source} is a folder; say so to copy it with all below it");
            return Err(Error::field("recursive", problem));
        }
        let Relocation { source: from, target: to, .. } = &relocation;
        if from.account == to.account && from.path.contains(&to.path) {
            return Err(Error::field("target", format!("{target} is inside {source} itself")));
        }
        self.copy_tree(caller, relocation, top).await
    }

    async fn copy_tree(
        &self,
        caller: &Caller,
        relocation: Relocation,
        top: Entry,
    ) -> Result<Entry> {
        let Relocation { by, source, target, request, .. } = relocation;
        let start = CommitStart {
            base: target.clone(),
            upload: None,
            if_absent: true,
            if_etag: None,
            removals_as_of: None,
            size: None,
        };
        let mut commit = self.held_commit(caller, start);
        commit.put(copied(TreePath::default(), top)).await?;
        let (mut from, mut first) = (Position::Start, None);
        loop {
            let page = self.db.list(by.into(), &source, true, from, COPIED_AT_ONCE).await?;
            let since = *first.get_or_insert(page.modseq);
            let last = page.entries.last().map(|listed| listed.path.clone());
            for listed in page.entries {
                let below = listed.path.names()[source.path.names().len()..].to_vec();
                commit.put(copied(TreePath::from(below), listed.entry)).await?;
            }
            match last {
                Some(path) if page.more => from = Position::After(path),
                // Read at one number, it is one state of the tree.
                _ if page.modseq == since => break,
                _ => {
                    self.check_unchanged(&source, since).await?;
                    break;
                }
            }
        }
        commit.publish(request).await?;
        self.db.entry(by.into(), &target).await
    }

    /// Refuses a copy that was read in pages while the tree changed.
    async fn check_unchanged(&self, source: &At, since: Modseq) -> Result<()> {
        let mut span = Span { since, after: since, silent: Modseq(0) };
        let (here, below) = (source.path.to_string(), format!("{}/", source.path));
        loop {
            let page = self.db.changes(source.account, span, CHANGES_AT_ONCE).await?;
            let is_here = |change: &Change| match &change.item {
                // It is told by where it is now, and may have been here.
                ChangeItem::Entry { op: EntryOp::Move, .. } => true,
                ChangeItem::Entry { path, .. } => *path == here || path.starts_with(&below),
                ChangeItem::Delivery { .. } => false,
            };
            if page.changes.iter().any(is_here) {
                let message = format!("{source} changed while it was copied; do it again");
                return Err(Error::new(Kind::Aborted, message));
            }
            if page.complete {
                return Ok(());
            }
            span.after = page.through;
        }
    }
}

fn copied(path: TreePath, entry: Entry) -> StagedEntry {
    let node = match entry.node {
        Node::File { content, .. } => NewNode::File(content),
        Node::Folder => NewNode::Folder,
        Node::Symlink { target } => NewNode::Symlink(target),
    };
    let Entry { mode, modified_ns, xattrs, .. } = entry;
    let (xattrs, condition) = (Some(xattrs), Condition::default());
    StagedEntry { path, node, mode, modified_ns, xattrs, condition }
}
