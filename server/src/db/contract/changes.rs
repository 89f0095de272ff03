//! Stories of an account's order of changes: one word for each entry, of its latest state, as it is to
//! somebody who knew everything up to a number.

use crate::db::contract::people::{Person, file, folder};
use crate::db::contract::{World, stories};
use crate::db::{Change, ChangeItem, EntryKind, EntryOp, Span, StagedEntry};
use crate::model::{Content, Mode, Modseq};

stories! {
    every_change_has_its_word
    only_the_latest_state_is_told
    a_word_depends_on_what_was_known
    a_folder_speaks_for_what_is_below_it
    a_published_tree_is_one_change
    what_is_staged_is_silent
    mail_arrives_and_is_acknowledged
    a_removal_is_told_after_the_purge_too
    what_is_below_a_removed_folder_is_told_by_that
    what_moved_out_of_sight_is_told_as_removed
    all_there_is_leaves_out_what_is_gone
    nobody_hears_of_others
    changes_carry_what_they_are_about
}

impl Person {
    pub(super) async fn head(&self) -> Modseq {
        self.db.start(self.id).await.unwrap().modseq
    }

    /// All that is new to somebody who knew everything up to a number.
    pub(super) async fn changes(&self, since: Modseq) -> Vec<Change> {
        self.read_all(Span { since, after: since, silent: Modseq(0) }).await
    }

    /// Everything there is, to somebody who knew nothing.
    async fn everything(&self) -> Vec<Change> {
        let zero = Modseq(0);
        self.read_all(Span { since: zero, after: zero, silent: self.head().await }).await
    }

    async fn read_all(&self, span: Span) -> Vec<Change> {
        let page = self.db.changes(self.id, span, 10_000).await.unwrap();
        assert_eq!((page.through, page.complete), (self.head().await, true));
        page.changes
    }

    /// The same in words, such as `put /a` and, of a folder with all below it, `put /d/**`.
    pub(super) async fn news(&self, since: Modseq) -> Vec<String> {
        self.changes(since).await.iter().map(word).collect()
    }
}

fn word(change: &Change) -> String {
    match &change.item {
        ChangeItem::Entry { path, op, subtree, .. } => {
            let op = match op {
                EntryOp::Put => "put",
                EntryOp::Move => "move",
                EntryOp::Remove => "remove",
            };
            let below = if *subtree { "/**" } else { "" };
            format!("{op} {path}{below}")
        }
        ChangeItem::Delivery { acked: true, .. } => "ack".to_owned(),
        ChangeItem::Delivery { acked: false, .. } => "deliver".to_owned(),
    }
}

async fn touch(ann: &Person, at: &str) {
    let mode = Mode::parse(0o700, "mode").unwrap();
    let base = StagedEntry { mode, ..folder("") };
    ann.commit(at, vec![base]).await.unwrap();
}

async fn every_change_has_its_word(world: &World) {
    let ann = world.account("ann").await;
    let none: [&str; 0] = [];
    assert_eq!(ann.news(Modseq(0)).await, none, "a tree is no news of itself");
    let start = ann.head().await;
    ann.put("/a", b"1").await;
    assert_eq!(ann.news(start).await, ["put /a"]);
    let known = ann.head().await;
    ann.put("/a", b"2").await;
    assert_eq!(ann.news(known).await, ["put /a"], "new content");
    let known = ann.head().await;
    let content = ann.content(b"2").await;
    let mut write = ann.writing("/a", content);
    write.modified_ns = 99;
    ann.db.write_file(write).await.unwrap();
    assert_eq!(ann.news(known).await, ["put /a"], "new metadata");
    let known = ann.head().await;
    ann.mv("/a", "/b").await.unwrap();
    assert_eq!(ann.news(known).await, ["move /b"]);
    let known = ann.head().await;
    ann.rm("/b").await;
    assert_eq!(ann.news(known).await, ["remove /b"]);
    assert_eq!(ann.news(ann.head().await).await, none);
    touch(&ann, "/").await;
    assert_eq!(ann.news(known).await, ["remove /b"], "the root has no place to be told of");
}

async fn only_the_latest_state_is_told(world: &World) {
    let ann = world.account("ann").await;
    let start = ann.head().await;
    ann.put("/a", b"1").await;
    ann.put("/b", b"1").await;
    ann.put("/a", b"2").await;
    assert_eq!(ann.news(start).await, ["put /b", "put /a"]);
    ann.mv("/a", "/c").await.unwrap();
    ann.rm("/b").await;
    ann.put("/b", b"new").await;
    assert_eq!(ann.news(start).await, ["put /c", "remove /b", "put /b"], "two entries, one name");
}

async fn a_word_depends_on_what_was_known(world: &World) {
    let ann = world.account("ann").await;
    let start = ann.head().await;
    ann.put("/a", b"1").await;
    let made = ann.head().await;
    ann.mv("/a", "/b").await.unwrap();
    let moved = ann.head().await;
    let content = ann.content(b"1").await;
    let mut write = ann.writing("/b", content);
    write.modified_ns = 99;
    ann.db.write_file(write).await.unwrap();
    assert_eq!(ann.news(start).await, ["put /b"], "it is new to them, wherever it was first");
    assert_eq!(ann.news(made).await, ["move /b"]);
    assert_eq!(ann.news(moved).await, ["put /b"]);
    ann.put("/b", b"2").await;
    assert_eq!(ann.news(made).await, ["put /b"], "new content says more than a new place");
}

async fn a_folder_speaks_for_what_is_below_it(world: &World) {
    let ann = world.account("ann").await;
    let start = ann.head().await;
    ann.put("/d/e/f", b"1").await;
    ann.put("/d/g", b"1").await;
    let expected = ["put /d/**", "put /d/e/**", "put /d/e/f", "put /d/g"];
    assert_eq!(ann.news(start).await, expected, "what is newer than its folder speaks for itself");
    let known = ann.head().await;
    ann.put("/d/e/f", b"2").await;
    ann.mv("/d", "/h").await.unwrap();
    assert_eq!(ann.news(known).await, ["move /h/**"], "and what is older does not");
    assert_eq!(ann.news(start).await, ["put /h/**"], "to whom all of it is new, too");
    let moved = ann.head().await;
    ann.put("/h/e/f", b"3").await;
    assert_eq!(ann.news(known).await, ["move /h/**", "put /h/e/f"]);
    assert_eq!(ann.news(moved).await, ["put /h/e/f"]);
    touch(&ann, "/h").await;
    assert_eq!(ann.news(moved).await, ["put /h/e/f", "put /h"], "itself alone");
    assert_eq!(ann.news(known).await, ["move /h/**"], "it came there, too");
    ann.rm("/h").await;
    assert_eq!(ann.news(known).await, ["remove /h/**"]);
}

async fn a_published_tree_is_one_change(world: &World) {
    let ann = world.account("ann").await;
    let start = ann.head().await;
    let one = ann.content(b"1").await;
    let entries = vec![folder("d"), file("d/a", one), file("d/b", one), file("c", one)];
    ann.stage(ann.plan("/x/y"), entries).await.unwrap();
    assert_eq!(ann.news(start).await, ["put /x/**", "put /x/y/**"]);
    let known = ann.head().await;
    for since in start.0..known.0 {
        let news = ann.news(Modseq(since)).await;
        assert_eq!(news.last().map(String::as_str), Some("put /x/y/**"), "from {since} on");
    }
    ann.put("/x/y/d/a", b"2").await;
    assert_eq!(ann.news(known).await, ["put /x/y/d/a"]);
}

async fn what_is_staged_is_silent(world: &World) {
    let ann = world.account("ann").await;
    ann.mkdir("/standing").await;
    let start = ann.head().await;
    let (new, merge) = (ann.plan("/new"), ann.plan("/standing"));
    for plan in [new, merge] {
        let staged = ann.db.stage_open(plan.clone()).await.unwrap();
        let entries = vec![folder("d"), file("d/a", Content::empty())];
        ann.db.stage(&staged, &plan, entries).await.unwrap();
        assert!(ann.news(start).await.is_empty());
        assert!(ann.everything().await.len() == 1);
        while ann.db.abandon(staged.id, 1).await.unwrap() {
            assert!(ann.news(start).await.is_empty());
        }
        assert!(ann.news(start).await.is_empty(), "nor is what was abandoned told");
    }
}

async fn mail_arrives_and_is_acknowledged(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let start = bob.head().await;
    let first = ann.send(&[&bob], "1").await.id;
    bob.put("/a", b"1").await;
    let second = ann.send(&[&bob], "2").await.id;
    assert_eq!(bob.news(start).await, ["deliver", "put /a", "deliver"], "one order for both");
    let known = bob.head().await;
    world.later(5);
    bob.ack(&[first]).await.unwrap();
    assert_eq!(bob.news(known).await, ["ack"]);
    assert_eq!(bob.news(start).await, ["put /a", "deliver", "ack"]);
    let changes = bob.changes(start).await;
    let about: Vec<_> = changes.iter().map(|change| (&change.item, change.at)).collect();
    let delivery = |message, acked| ChangeItem::Delivery { message, acked };
    let now = world.now();
    assert_eq!(about[1..], [(&delivery(second, false), now - 5), (&delivery(first, true), now)]);
    assert!(ann.news(Modseq(0)).await.is_empty(), "sending is no news to the sender");
}

async fn a_removal_is_told_after_the_purge_too(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"1").await;
    ann.put("/d/b", b"1").await;
    ann.put("/d/c", b"1").await;
    let known = ann.head().await;
    ann.rm("/a").await;
    ann.rm("/d/b").await;
    let before = ann.changes(known).await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    assert_eq!(ann.changes(known).await, before, "as if it were there");
    assert_eq!(ann.news(known).await, ["remove /a", "remove /d/b"]);
    let known = ann.head().await;
    ann.rm("/d").await;
    let before = ann.changes(known).await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    assert_eq!(ann.changes(known).await, before);
    assert_eq!(ann.news(known).await, ["remove /d/**"]);
    assert!(ann.news(ann.head().await).await.is_empty());
}

async fn what_is_below_a_removed_folder_is_told_by_that(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/d/a", b"1").await;
    ann.put("/d/b", b"1").await;
    let known = ann.head().await;
    ann.rm("/d/a").await;
    world.later(1);
    ann.rm("/d").await;
    // What was removed by itself is told by itself: the reader may know it elsewhere.
    assert_eq!(ann.news(known).await, ["remove /d/a", "remove /d/**"]);
    while ann.db.purge_trash(i64::MAX).await.unwrap() {
        assert_eq!(ann.news(known).await, ["remove /d/a", "remove /d/**"]);
    }
}

async fn what_moved_out_of_sight_is_told_as_removed(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/file", b"1").await;
    ann.put("/folder/below", b"1").await;
    ann.put("/other", b"1").await;
    let known = ann.head().await;
    ann.put("/d/new", b"1").await;
    ann.mv("/file", "/d/file").await.unwrap();
    ann.put("/d/file", b"changed").await;
    ann.mv("/folder", "/d/folder").await.unwrap();
    ann.mv("/other", "/d/other").await.unwrap();
    ann.rm("/d/other").await;
    ann.rm("/d").await;
    // Whoever knew them elsewhere would keep them there, if only their last folder were told of.
    let expected = ["remove /d/file", "remove /d/folder/**", "remove /d/other", "remove /d/**"];
    assert_eq!(ann.news(known).await, expected);
    assert!(ann.everything().await.is_empty());
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    assert_eq!(ann.news(known).await, expected, "after the purge, too");
    assert_eq!(ann.news(ann.head().await).await, [""; 0]);
}

async fn all_there_is_leaves_out_what_is_gone(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a", b"1").await;
    ann.put("/gone", b"1").await;
    ann.put("/d/gone", b"1").await;
    bob.send(&[&ann], "1").await;
    ann.rm("/gone").await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    ann.rm("/d/gone").await;
    let all: Vec<String> = ann.everything().await.iter().map(word).collect();
    assert_eq!(all, ["put /a", "put /d/**", "deliver"]);
    let news = ann.news(Modseq(0)).await;
    assert_eq!(news, ["put /a", "put /d/**", "deliver", "remove /gone", "remove /d/gone"]);
}

async fn nobody_hears_of_others(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a", b"1").await;
    ann.put("/gone", b"1").await;
    ann.rm("/gone").await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    assert!(bob.news(Modseq(0)).await.is_empty());
    assert_eq!(bob.head().await, Modseq(1));
    let (of_ann, of_bob) =
        (ann.db.start(ann.id).await.unwrap(), bob.db.start(bob.id).await.unwrap());
    assert_eq!((of_ann.store, of_ann.epoch), (of_bob.store, of_bob.epoch));
}

async fn changes_carry_what_they_are_about(world: &World) {
    let ann = world.account("ann").await;
    let start = ann.head().await;
    world.later(7);
    let entry = ann.put("/d/a", b"1").await;
    ann.commit("/d", vec![crate::db::contract::people::symlink("link", "a")]).await.unwrap();
    let changes = ann.changes(start).await;
    assert!(changes.iter().all(|change| change.at == world.now()));
    let d = ann.db.entry(ann.id.into(), &ann.at("/d")).await.unwrap();
    assert_eq!(changes[1].modseq, entry.modseq);
    let item = |id, kind, path: &str, subtree| ChangeItem::Entry {
        id,
        kind,
        path: path.to_owned(),
        op: EntryOp::Put,
        subtree,
    };
    let link = ann.stat("/d/link").await.unwrap().id;
    let items: Vec<_> = changes.into_iter().map(|change| change.item).collect();
    let expected = [
        item(d.id, EntryKind::Folder, "/d", true),
        item(entry.id, EntryKind::File, "/d/a", false),
        item(link, EntryKind::Symlink, "/d/link", false),
    ];
    assert_eq!(items, expected);
}
