//! Stories of following an account: whoever applies its changes, in pages of any size and while more
//! happens, ends with what is there.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use tokio::runtime::Runtime;

use crate::db::contract::people::{Person, file, folder};
use crate::db::contract::{SQLITE, World, stories};
use crate::db::{Change, ChangeItem, EntryOp, Position, Span, StagedEntry};
use crate::error::Kind;
use crate::model::{Content, EntryId, Mode, Modseq};

stories! {
    small_pages_are_one_large_page
    a_folder_that_changed_after_its_move_is_told_in_any_pages
    a_page_says_how_far_it_reached
}

/// All pages to somebody who knew everything up to a number.
async fn paged(ann: &Person, since: Modseq, silent: Modseq, limit: usize) -> Vec<Change> {
    let mut span = Span { since, after: since, silent };
    let mut changes = Vec::new();
    loop {
        let page = ann.db.changes(ann.id, span, limit).await.unwrap();
        for change in &page.changes {
            assert!(change.modseq > span.after && change.modseq <= page.through);
        }
        changes.extend(page.changes);
        assert_eq!(page.complete, page.through == ann.head().await);
        if page.complete {
            assert!(changes.is_sorted_by_key(|change: &Change| change.modseq));
            return changes;
        }
        assert!(page.through > span.after, "a page gets on");
        span.after = page.through;
    }
}

/// Some of everything.
async fn busy(world: &World) -> Person {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    for number in 0..4 {
        ann.put(&format!("/d{number}/e/f"), &[number]).await;
        bob.send(&[&ann], "1").await;
    }
    let entries = vec![folder("a"), file("a/b", Content::empty()), file("c", Content::empty())];
    ann.stage(ann.plan("/new"), entries).await.unwrap();
    ann.mv("/d0", "/d1/moved").await.unwrap();
    ann.commit("/d1/moved", vec![StagedEntry { modified_ns: 77, ..folder("") }]).await.unwrap();
    ann.put("/d1/moved/e/f", b"changed").await;
    ann.rm("/d2").await;
    ann.mv("/d3/e/f", "/d3/f").await.unwrap();
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    ann.rm("/d3/e").await;
    let unread = ann.unread().await;
    ann.ack(&[unread[1].id]).await.unwrap();
    ann
}

async fn small_pages_are_one_large_page(world: &World) {
    let ann = busy(world).await;
    let head = ann.head().await;
    for since in 0..=head.0 {
        for silent in [Modseq(0), Modseq(head.0 / 2), head] {
            let whole = paged(&ann, Modseq(since), silent, 10_000).await;
            for limit in [1, 2, 3, 5, 8] {
                let pages = paged(&ann, Modseq(since), silent, limit).await;
                assert_eq!(pages, whole, "from {since} on, {limit} at a time");
            }
        }
    }
}

async fn a_folder_that_changed_after_its_move_is_told_in_any_pages(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/d/a", b"1").await;
    let known = ann.head().await;
    ann.put("/d/a", b"2").await;
    ann.mv("/d", "/e").await.unwrap();
    for number in 0..3 {
        ann.put(&format!("/{number}"), b"1").await;
    }
    ann.commit("/e", vec![StagedEntry { modified_ns: 77, ..folder("") }]).await.unwrap();
    // A page may end between the move and the number that the folder has now.
    for limit in 1..5 {
        let changes = paged(&ann, known, Modseq(0), limit).await;
        let last = changes.last().unwrap();
        assert!(
            matches!(last.item, ChangeItem::Entry { op: EntryOp::Move, subtree: true, .. }),
            "{last:?}"
        );
    }
}

async fn a_page_says_how_far_it_reached(world: &World) {
    let ann = world.account("ann").await;
    let start = ann.head().await;
    for number in 0..5 {
        ann.put(&format!("/{number}"), b"1").await;
    }
    let page = async |after, limit| {
        let span = Span { since: start, after, silent: Modseq(0) };
        let page = ann.db.changes(ann.id, span, limit).await.unwrap();
        (page.changes.len(), page.through, page.complete)
    };
    let (first, head) = (Modseq(start.0 + 1), ann.head().await);
    assert_eq!(page(start, 9).await, (5, head, true));
    assert_eq!(page(start, 5).await, (5, head, true), "exactly as many as there are");
    assert_eq!(page(start, 1).await, (1, first, false));
    assert_eq!(page(first, 9).await, (4, head, true));
    assert_eq!(page(head, 9).await, (0, head, true));
    assert_eq!(page(start, 0).await, (1, first, false), "a page gets on");
    let past = Modseq(head.0 + 9);
    assert_eq!(page(past, 9).await, (0, past, true));
}

/// Somebody who keeps a copy of a tree's shape, and begins with nothing.
struct Copy {
    known: BTreeMap<EntryId, String>,
    span: Span,
}

impl Copy {
    fn new() -> Self {
        let zero = Modseq(0);
        Self { known: BTreeMap::new(), span: Span { since: zero, after: zero, silent: zero } }
    }

    /// Reads the next page; whether there may be more.
    async fn page(&mut self, ann: &Person, limit: usize) -> bool {
        if self.span.after == Modseq(0) {
            self.span.silent = ann.head().await;
        }
        let page = ann.db.changes(ann.id, self.span, limit).await.unwrap();
        for change in page.changes {
            if let ChangeItem::Entry { id, path, op, subtree, .. } = change.item {
                self.apply(ann, (id, path), op, subtree).await;
            }
        }
        self.span.after = page.through;
        if page.complete {
            self.span.since = page.through;
        }
        !page.complete
    }

    async fn apply(&mut self, ann: &Person, (id, at): (EntryId, String), op: EntryOp, all: bool) {
        let before = self.known.remove(&id);
        if all && let Some(before) = before {
            self.known.retain(|_, known| !known.starts_with(&format!("{before}/")));
        }
        if op == EntryOp::Remove {
            return;
        }
        // Another entry that was known there has gone elsewhere, which is told later.
        let displaced = self.known.iter().find(|(_, known)| **known == at).map(|(id, _)| *id);
        if let Some(displaced) = displaced {
            self.known.remove(&displaced);
            self.known.retain(|_, known| !known.starts_with(&format!("{at}/")));
        }
        if all {
            let below =
                ann.db.list(ann.id.into(), &ann.at(&at), true, Position::Start, 10_000).await;
            match below {
                Ok(below) => self.known.extend(
                    below
                        .entries
                        .into_iter()
                        .map(|listed| (listed.entry.id, listed.path.to_string())),
                ),
                // It has gone on meanwhile, and will be told of again.
                Err(error) => assert_eq!(error.kind(), Kind::NotFound),
            }
        }
        self.known.insert(id, at);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(String, u8),
    Mkdir(String),
    Touch(String),
    Move(String, String),
    Remove(String),
    Stage(String),
    Purge,
    Page(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at =
        || vec(select(vec!["a", "b", "c"]), 1..4).prop_map(|names| format!("/{}", names.join("/")));
    let step = prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Step::Put(at, byte)),
        2 => at().prop_map(Step::Mkdir),
        2 => at().prop_map(Step::Touch),
        4 => (at(), at()).prop_map(|(from, to)| Step::Move(from, to)),
        2 => at().prop_map(Step::Remove),
        1 => at().prop_map(Step::Stage),
        1 => Just(Step::Purge),
        4 => (1_usize..4).prop_map(Step::Page),
    ];
    vec(step, 1..40)
}

/// Does it, if it can be done.
async fn take(ann: &Person, copy: &mut Copy, step: &Step) {
    match step {
        Step::Put(at, byte) => drop(ann.try_put(at, &[*byte]).await),
        Step::Mkdir(at) => {
            drop(ann.db.make_folder(ann.id, &ann.at(at), true, None, ann.now()).await);
        }
        Step::Touch(at) if ann.stat(at).await.is_ok_and(|entry| entry.node.is_folder()) => {
            let head = ann.head().await.0;
            let mode = Mode::FOLDER;
            let base = StagedEntry { modified_ns: head, mode, ..folder("") };
            ann.commit(at, vec![base]).await.unwrap();
        }
        Step::Touch(_) => {}
        Step::Move(from, to) => drop(ann.mv(from, to).await),
        Step::Remove(at) => drop(ann.db.remove(ann.removal(at)).await),
        Step::Stage(at) => {
            let entries = vec![file("a/b", Content::empty()), file("c", Content::empty())];
            drop(ann.stage(ann.plan(at), entries).await);
        }
        Step::Purge => drop(ann.db.purge_trash(i64::MAX).await.unwrap()),
        Step::Page(limit) => drop(copy.page(ann, *limit).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn whoever_follows_ends_with_what_is_there(steps in steps()) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let world = World::new(&SQLITE);
            let ann = world.account("ann").await;
            let mut copy = Copy::new();
            for step in &steps {
                take(&ann, &mut copy, step).await;
            }
            while copy.page(&ann, 2).await {}
            let mut known: Vec<String> = copy.known.into_values().collect();
            let mut there = ann.tree("/").await;
            known.sort();
            there.sort();
            assert_eq!(known, there);
            world.finish().await;
        });
    }
}
