//! Stories of changes that happen only if an entry is what it was taken for, and of extended attributes,
//! which are changes like others.

use crate::db::contract::people::{Person, file, folder, refused, relative, symlink};
use crate::db::contract::{World, stories};
use crate::db::{CommitPlan, FileWrite, Position, Relocation, Removal, StagedEntry, Undo};
use crate::error::{Kind, Result};
use crate::model::{Condition, Entry, Etag, Modseq, Xattrs};

stories! {
    every_change_of_an_entry_changes_its_etag
    what_is_in_a_folder_does_not_change_its_etag
    a_write_can_ask_for_an_etag
    a_removal_can_ask_for_an_etag
    a_move_can_ask_for_what_it_moves
    a_move_can_ask_for_nothing_at_its_target
    a_copy_can_ask_for_nothing_at_its_target
    a_commit_can_ask_for_the_etag_of_its_base
    a_commit_can_ask_for_the_etags_of_its_entries
    a_mismatch_names_both
    attributes_are_kept_and_compared
    attributes_come_along
    attributes_come_back
    many_extended_attributes_stay_within_bounds
}

fn etag(entry: &Entry) -> Condition {
    Condition::etag(entry.etag())
}

fn stale(entry: &Entry) -> Condition {
    Condition::etag(Etag(Modseq(entry.modseq.0 - 1)))
}

fn xattrs(pairs: &[(&str, &str)]) -> Option<Xattrs> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    Some(Xattrs::parse(pairs.collect(), "xattrs").unwrap())
}

async fn every_change_of_an_entry_changes_its_etag(world: &World) {
    let ann = world.account("ann").await;
    let mut seen = vec![ann.put("/a/file", b"one").await.etag()];
    let mut changed = async |entry: Entry| {
        assert!(!seen.contains(&entry.etag()), "{entry:?}");
        seen.push(entry.etag());
    };
    changed(ann.put("/a/file", b"two").await).await;
    changed(ann.mv("/a/file", "/a/b").await.unwrap()).await;
    let one = ann.content(b"two").await;
    let touched = StagedEntry { modified_ns: 99, ..file("b", one) };
    changed(ann.commit("/a", vec![touched]).await.unwrap().entries.remove(0).entry).await;
    let noted = StagedEntry { modified_ns: 99, xattrs: xattrs(&[("a", "1")]), ..file("b", one) };
    changed(ann.commit("/a", vec![noted]).await.unwrap().entries.remove(0).entry).await;
    let id = ann.rm("/a/b").await;
    let restoration =
        crate::db::Restoration { account: ann.id, request: None, id, target: None, now: ann.now() };
    changed(ann.db.restore(restoration).await.unwrap().entry).await;
}

async fn what_is_in_a_folder_does_not_change_its_etag(world: &World) {
    let ann = world.account("ann").await;
    let before = ann.mkdir("/a").await;
    ann.put("/a/file", b"one").await;
    ann.rm("/a/file").await;
    assert_eq!(ann.stat("/a").await.unwrap(), before);
}

async fn a_write_can_ask_for_an_etag(world: &World) {
    let ann = world.account("ann").await;
    let before = ann.put("/file", b"one").await;
    let two = ann.content(b"two").await;
    let write = async |at: &str, condition| {
        ann.db.write_file(FileWrite { condition, ..ann.writing(at, two) }).await
    };
    assert_eq!(refused(write("/file", stale(&before)).await), Kind::GenerationMismatch);
    assert_eq!(refused(write("/absent", etag(&before)).await), Kind::GenerationMismatch);
    write("/file", etag(&before)).await.unwrap();
    assert_eq!(refused(write("/file", etag(&before)).await), Kind::GenerationMismatch);
    assert!(!ann.stands("/absent").await);
}

async fn a_removal_can_ask_for_an_etag(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/file", b"one").await;
    let folder = ann.stat("/a").await.unwrap();
    let remove = async |condition| ann.db.remove(Removal { condition, ..ann.removal("/a") }).await;
    assert_eq!(refused(remove(stale(&folder)).await), Kind::GenerationMismatch);
    assert_eq!(refused(remove(Condition::generation(1)).await), Kind::FailedPrecondition);
    remove(etag(&folder)).await.unwrap();
}

async fn a_move_can_ask_for_what_it_moves(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.put("/a/file", b"one").await;
    let folder = ann.stat("/a").await.unwrap();
    let mv = async |source: &str, condition| {
        let relocation = Relocation { condition, ..ann.relocation(source, "/to") };
        ann.db.move_entry(relocation).await
    };
    let generation = one.generation.0.unsigned_abs();
    for condition in [stale(&one), Condition::generation(generation + 1)] {
        assert_eq!(refused(mv("/a/file", condition).await), Kind::GenerationMismatch);
    }
    assert_eq!(refused(mv("/a", stale(&folder)).await), Kind::GenerationMismatch);
    assert_eq!(ann.tree("/").await, ["/a", "/a/file"]);
    mv("/a/file", Condition::generation(generation)).await.unwrap();
    ann.rm("/to").await;
    mv("/a", etag(&folder)).await.unwrap();
}

async fn a_move_can_ask_for_nothing_at_its_target(world: &World) {
    let ann = world.account("ann").await;
    for at in ["/a", "/b", "/d/x"] {
        ann.put(at, b"one").await;
    }
    let mv = async |source: &str, target: &str| {
        let relocation = Relocation { if_absent: true, ..ann.relocation(source, target) };
        ann.db.move_entry(relocation).await
    };
    for target in ["/b", "/d"] {
        assert_eq!(refused(mv("/a", target).await), Kind::GenerationMismatch, "{target}");
    }
    assert_eq!(refused(mv("/a", "/B").await), Kind::NameTwin);
    mv("/a", "/A").await.unwrap();
    mv("/A", "/c").await.unwrap();
    assert_eq!(ann.tree("/").await, ["/b", "/c", "/d", "/d/x"]);
}

async fn a_copy_can_ask_for_nothing_at_its_target(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let before = ann.put("/b", b"two").await;
    let cp = async |target: &str| {
        let relocation = Relocation { if_absent: true, ..ann.relocation("/a", target) };
        ann.db.copy_entry(relocation).await
    };
    assert_eq!(refused(cp("/b").await), Kind::GenerationMismatch);
    assert_eq!(ann.stat("/b").await.unwrap(), before);
    cp("/c").await.unwrap();
}

async fn a_commit_can_ask_for_the_etag_of_its_base(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let before = ann.mkdir("/a").await;
    let commit = async |base: &str, if_etag, staged| -> Result<u64> {
        let plan = CommitPlan { if_etag: Some(if_etag), ..ann.plan(base) };
        let entries = vec![file("x", one)];
        let outcome = match staged {
            true => ann.stage(plan, entries).await,
            false => ann.db.commit(plan, entries).await,
        };
        outcome.map(|outcome| outcome.changed)
    };
    for staged in [false, true] {
        let other = Etag(Modseq(7_777));
        assert_eq!(refused(commit("/a", other, staged).await), Kind::GenerationMismatch);
        let absent = commit("/absent", before.etag(), staged).await;
        assert_eq!(refused(absent), Kind::GenerationMismatch);
        assert_eq!(commit("/a", before.etag(), staged).await.unwrap(), 1);
        ann.rm("/a/x").await;
    }
    assert_eq!(ann.tree("/").await, ["/a"]);
}

async fn a_commit_can_ask_for_the_etags_of_its_entries(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let entries = vec![folder("d"), file("d/x", one), symlink("l", "there")];
    let before = ann.commit("/t", entries).await.unwrap().entries;
    for (place, listed) in before.iter().enumerate() {
        let again = |condition| {
            let new = match place {
                0 => folder("d"),
                1 => file("d/x", one),
                _ => symlink("l", "elsewhere"),
            };
            vec![StagedEntry { condition, modified_ns: 77, ..new }]
        };
        for staged in [false, true] {
            let stage = async |person: &Person, condition| match staged {
                true => person.stage(person.plan("/t"), again(condition)).await,
                false => person.commit("/t", again(condition)).await,
            };
            let refusal = stage(&ann, stale(&listed.entry)).await;
            assert_eq!(refused(refusal), Kind::GenerationMismatch, "{place} {staged}");
            let now = ann.stat(&listed.path.to_string()).await.unwrap();
            stage(&ann, etag(&now)).await.unwrap();
        }
    }
}

async fn a_mismatch_names_both(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.put("/file", b"one").await;
    let asked = Etag(Modseq(0x7777));
    let removal = Removal { condition: Condition::etag(asked), ..ann.removal("/file") };
    let refusal = ann.db.remove(removal).await.unwrap_err();
    for part in ["/file", "7777", &one.etag().to_string()] {
        assert!(refusal.message().contains(part), "{part} in {refusal:?}");
    }
}

async fn attributes_are_kept_and_compared(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let noted = || {
        vec![
            StagedEntry { xattrs: xattrs(&[("user.a", "1"), ("user.b", "2")]), ..folder("d") },
            StagedEntry { xattrs: xattrs(&[("user.c", "\u{0}")]), ..file("d/x", one) },
            file("d/plain", one),
        ]
    };
    for staged in [false, true] {
        let base = if staged { "/staged" } else { "/at once" };
        let commit = async |entries| match staged {
            true => ann.stage(ann.plan(base), entries).await.unwrap(),
            false => ann.commit(base, entries).await.unwrap(),
        };
        assert_eq!(commit(noted()).await.changed, 3);
        let there = async |at: &str| ann.stat(&format!("{base}/{at}")).await.unwrap().xattrs;
        assert_eq!(Some(there("d").await), xattrs(&[("user.a", "1"), ("user.b", "2")]));
        assert_eq!(Some(there("d/x").await), xattrs(&[("user.c", "\u{0}")]));
        assert!(there("d/plain").await.is_empty());
        assert_eq!(commit(noted()).await.changed, 0, "the same again");
        let silent = vec![folder("d"), file("d/x", one)];
        assert_eq!(commit(silent).await.changed, 0, "nobody said anything about them");
        let none = vec![StagedEntry { xattrs: xattrs(&[]), ..file("d/x", one) }];
        assert_eq!(commit(none).await.changed, 1);
        assert!(there("d/x").await.is_empty());
        assert!(!there("d").await.is_empty());
    }
}

async fn attributes_come_along(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let noted = StagedEntry { xattrs: xattrs(&[("user.a", "1")]), ..file("x", one) };
    ann.commit("/t", vec![noted]).await.unwrap();
    ann.put("/t/x", b"two").await;
    for entry in [
        ann.stat("/t/x").await.unwrap(),
        ann.cp("/t/x", "/copy").await.unwrap(),
        ann.mv("/t/x", "/moved").await.unwrap(),
    ] {
        assert_eq!(Some(entry.xattrs), xattrs(&[("user.a", "1")]));
    }
}

async fn attributes_come_back(world: &World) {
    let ann = world.account("ann").await;
    let [one, two] = [ann.content(b"one").await, ann.content(b"two").await];
    let commit = async |content, value: &str| {
        let noted = StagedEntry { xattrs: xattrs(&[("user.a", value)]), ..file("x", content) };
        ann.commit("/t", vec![noted]).await.unwrap();
        ann.stat("/t/x").await.unwrap().xattrs
    };
    let first = commit(one, "1").await;
    let undo = async || {
        let undo = Undo { by: ann.id, request: None, at: ann.at("/t"), now: ann.now() };
        ann.db.undo(undo).await.unwrap();
        ann.stat("/t/x").await.unwrap().xattrs
    };
    assert_ne!(commit(one, "2").await, first);
    assert_eq!(undo().await, first, "where they alone were changed");
    assert_ne!(commit(two, "2").await, first);
    assert_eq!(undo().await, first, "with the content");
    let versions = ann.db.file_versions(ann.id, &ann.at("/t/x"), None, 9).await.unwrap();
    assert_eq!(Some(versions[1].xattrs.clone()), xattrs(&[("user.a", "2")]));
}

async fn many_extended_attributes_stay_within_bounds(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let large = "x".repeat(60 << 10);
    let noted =
        |at: String| StagedEntry { xattrs: xattrs(&[("user.a", &large)]), ..file(&at, one) };
    let some = |count| (0..count).map(|n| noted(format!("{n:04}"))).collect::<Vec<_>>();
    // Too much for an answer, and for a page of a list.
    let outcome = ann.commit("/t", some(40)).await.unwrap();
    assert_eq!((outcome.changed, outcome.entries.len()), (40, 0));
    let (mut from, mut listed, mut pages) = (Position::Start, Vec::new(), 0);
    loop {
        let page = ann.db.list(ann.id.into(), &ann.at("/t"), true, from, 100).await.unwrap();
        listed.extend(page.entries.iter().map(|listed| listed.path.to_string()));
        pages += 1;
        match page.entries.last() {
            Some(last) if page.more => from = Position::After(last.path.clone()),
            _ => break,
        }
    }
    assert_eq!(listed, (0..40).map(|n| format!("/t/{n:04}")).collect::<Vec<_>>());
    assert_eq!(pages, 2);
    // And for a merge, which has all of them in memory.
    let plan = CommitPlan { merge_entries_max: 9_999, ..ann.plan("/t") };
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    let mut refusals = 0;
    for part in 0..12 {
        let entries = some(100).into_iter().map(|new| {
            let path = relative(&format!("{part}-{}", &new.path.to_string()[1..]));
            StagedEntry { path, ..new }
        });
        match ann.db.stage(&staged, &plan, entries.collect()).await {
            Ok(()) => assert!(part < 10),
            Err(error) => {
                assert_eq!(error.kind(), Kind::LimitExceeded);
                refusals += 1;
            }
        }
    }
    assert_eq!(refusals, 2, "10 times 100 times 60 KiB is less than 64 MiB");
}
