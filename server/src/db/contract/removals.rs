//! Stories of commits that remove: a tree is made like another one, at once.

use crate::db::contract::people::{Person, file, folder, new, refused, symlink};
use crate::db::contract::{World, stories};
use crate::db::{CommitOutcome, CommitPlan, NewNode, StagedEntry, Undo};
use crate::error::{Kind, Result};
use crate::model::{Condition, Right};

stories! {
    a_commit_removes_what_it_says
    what_is_removed_makes_way_for_something_else
    removing_nothing_changes_nothing
    what_was_put_into_a_tree_that_nobody_sees_is_not_removed
    a_commit_does_not_remove_its_own_base
    a_removal_in_a_commit_has_conditions
    a_folder_in_which_something_has_changed_is_not_removed
    what_came_where_something_else_was_listed_is_not_removed
    a_removal_in_a_commit_is_undone
    removing_in_anothers_tree_needs_the_right
}

fn nothing(at: &str) -> StagedEntry {
    new(at, NewNode::Nothing)
}

/// Both ways: at once, and in jobs.
async fn commit(
    ann: &Person,
    base: &str,
    entries: Vec<StagedEntry>,
    staged: bool,
) -> Result<CommitOutcome> {
    match staged {
        true => ann.stage(ann.plan(base), entries).await,
        false => ann.commit(base, entries).await,
    }
}

async fn a_commit_removes_what_it_says(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    for staged in [false, true] {
        let base = if staged { "/staged" } else { "/at once" };
        for at in ["a", "b/x", "b/y", "c"] {
            ann.put(&format!("{base}/{at}"), b"1").await;
        }
        let used = ann.used().await;
        let entries = vec![file("a", one), nothing("b"), nothing("c"), file("d", one)];
        let outcome = commit(&ann, base, entries, staged).await.unwrap();
        assert_eq!((outcome.changed, outcome.unchanged), (4, 0));
        assert_eq!(ann.ls(base).await, [format!("{base}/a"), format!("{base}/d")]);
        assert_eq!(ann.used().await, used + 6, "what was removed is in the trash");
        let trash = ann.db.trash(ann.id, None, 9).await.unwrap();
        let trash: Vec<_> = trash.iter().map(|r| r.path.to_string()).collect();
        assert!(trash.contains(&format!("{base}/b")) && trash.contains(&format!("{base}/c")));
        let listed: Vec<_> = outcome.entries.iter().map(|l| l.path.to_string()).collect();
        let expected =
            if staged { Vec::new() } else { vec![format!("{base}/a"), format!("{base}/d")] };
        assert_eq!(listed, expected, "what stands there");
    }
}

async fn what_is_removed_makes_way_for_something_else(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    for staged in [false, true] {
        let base = if staged { "/staged" } else { "/at once" };
        ann.put(&format!("{base}/file"), b"1").await;
        ann.put(&format!("{base}/folder/x"), b"1").await;
        let entries = vec![
            nothing("file"),
            folder("file"),
            file("file/in", one),
            nothing("folder"),
            symlink("folder", "there"),
        ];
        commit(&ann, base, entries, staged).await.unwrap();
        let there = ann.tree(base).await;
        assert_eq!(there, ["file", "file/in", "folder"].map(|at| format!("{base}/{at}")));
        // A folder is made anew in place of the one that goes.
        let entries = vec![file("file/in", one), nothing("file"), file("file/new", one)];
        commit(&ann, base, entries, staged).await.unwrap();
        assert_eq!(ann.tree(&format!("{base}/file")).await, [format!("{base}/file/new")]);
    }
}

async fn removing_nothing_changes_nothing(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.put("/t/a", b"1").await;
    for staged in [false, true] {
        let entries = vec![nothing("b"), nothing("a/x"), nothing("x/y/z"), nothing("A")];
        let outcome = commit(&ann, "/t", entries, staged).await.unwrap();
        assert_eq!((outcome.changed, outcome.unchanged), (0, 4), "{staged}");
        assert_eq!(ann.tree("/").await, ["/t", "/t/a"], "no folder is made for it");
        assert_eq!(ann.stat("/t/a").await.unwrap(), one);
        let root = commit(&ann, "/", vec![nothing("")], staged).await;
        assert_eq!(refused(root), Kind::InvalidArgument);
    }
    commit(&ann, "/new", vec![folder("d"), nothing("e"), nothing("d/f")], true).await.unwrap();
    assert_eq!(ann.tree("/new").await, ["/new/d"]);
}

async fn what_was_put_into_a_tree_that_nobody_sees_is_not_removed(world: &World) {
    let ann = world.account_with("ann", 100).await;
    ann.put("/mine", &[b'm'; 50]).await;
    let one = ann.content(b"one").await;
    let plan = ann.plan("/new");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    world.told();
    ann.db.stage(&staged, &plan, vec![file("d/a", one), file("b", one)]).await.unwrap();
    for at in ["d", "b", "d/a"] {
        let removal = ann.db.stage(&staged, &plan, vec![nothing(at)]).await;
        assert_eq!(refused(removal), Kind::InvalidArgument, "{at}");
    }
    assert_eq!(world.told(), []);
    // It was not charged yet: nothing of it may be given back.
    assert_eq!(ann.db.empty_trash(ann.id, None).await.unwrap().bytes, 0);
    while ann.db.abandon(staged.id, 9).await.unwrap() {}
    assert_eq!(ann.used().await, 50);
}

async fn a_commit_does_not_remove_its_own_base(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let one = ann.content(b"one").await;
    ann.put("/t/a", b"1").await;
    ann.share("/t", "bob", Right::Write).await;
    for staged in [false, true] {
        for entries in [vec![nothing("")], vec![nothing(""), file("x", one)]] {
            let refusal = commit(&ann, "/t", entries, staged).await;
            assert_eq!(refused(refusal), Kind::InvalidArgument, "{staged}");
        }
    }
    let entries = vec![nothing(""), folder("x")];
    let refusal = bob.db.commit(bob.visiting(&ann).plan("/t"), entries).await;
    assert_eq!(refused(refusal), Kind::InvalidArgument);
    assert_eq!(ann.tree("/").await, ["/t", "/t/a"]);
}

async fn a_removal_in_a_commit_has_conditions(world: &World) {
    let ann = world.account("ann").await;
    let file = ann.put("/t/d/a", b"1").await;
    let folder = ann.stat("/t/d").await.unwrap();
    let generation = Condition::generation(file.generation.0.unsigned_abs());
    let later = ann.put("/t/d/a", b"2").await;
    for staged in [false, true] {
        for (at, condition) in [
            ("d/a", generation),
            ("d/a", Condition::etag(file.etag())),
            ("d", Condition::etag(later.etag())),
            ("absent", Condition::etag(file.etag())),
        ] {
            let entries = vec![StagedEntry { condition, ..nothing(at) }];
            let refusal = commit(&ann, "/t", entries, staged).await;
            assert_eq!(refused(refusal), Kind::GenerationMismatch, "{at} {staged}");
        }
        assert_eq!(ann.tree("/t").await, ["/t/d", "/t/d/a"]);
    }
    let condition = Condition::etag(folder.etag());
    let entries = vec![StagedEntry { condition, ..nothing("d") }];
    commit(&ann, "/t", entries, false).await.unwrap();
    assert_eq!(ann.tree("/t").await, [] as [&str; 0]);
}

async fn a_folder_in_which_something_has_changed_is_not_removed(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let one = ann.content(b"one").await;
    for staged in [false, true] {
        for at in ["/t/d/deep/er/a", "/t/e/a", "/u/a"] {
            ann.put(at, b"1").await;
        }
        let as_of = ann.put("/t/e/a", b"2").await.modseq;
        let plan = || CommitPlan { removals_as_of: Some(as_of), ..ann.plan("/t") };
        let remove = async |what: &[&str]| {
            let mut entries = vec![file("d/own", one)];
            entries.extend(what.iter().map(|at| nothing(at)));
            match staged {
                true => ann.stage(plan(), entries).await,
                false => ann.db.commit(plan(), entries).await,
            }
        };
        bob.put("/t/d/b", b"1").await;
        ann.put("/u/b", b"1").await;
        for (what, change) in [("a new file", "/t/d/deep/b"), ("a version", "/t/d/deep/er/a")] {
            let before = ann.tree("/t").await;
            ann.put(change, what.as_bytes()).await;
            assert_eq!(refused(remove(&["e", "d"]).await), Kind::Aborted, "{what}");
            let after = ann.tree("/t").await;
            assert!(after.len() >= before.len() && !after.contains(&"/t/d/own".to_owned()));
        }
        ann.rm("/t/d").await;
        ann.put("/t/d/a", b"1").await;
        assert_eq!(refused(remove(&["d"]).await), Kind::Aborted, "another folder");
        // What has changed elsewhere, and what the commit itself does, is in nobody's way.
        remove(&["e"]).await.unwrap();
        assert_eq!(ann.tree("/t").await, ["/t/d", "/t/d/a", "/t/d/own"]);
        ann.rm("/t").await;
        ann.rm("/u").await;
    }
}

async fn what_came_where_something_else_was_listed_is_not_removed(world: &World) {
    let ann = world.account("ann").await;
    for staged in [false, true] {
        for came in ["a file", "a folder from elsewhere"] {
            ann.put("/t/d/a", b"1").await;
            let as_of = ann.put("/u/precious/b", b"2").await.modseq;
            let plan = CommitPlan { removals_as_of: Some(as_of), ..ann.plan("/t") };
            ann.rm("/t/d").await;
            match came {
                "a file" => drop(ann.put("/t/d", b"new").await),
                _ => drop(ann.mv("/u/precious", "/t/d").await.unwrap()),
            }
            let removed = match staged {
                true => ann.stage(plan, vec![nothing("d")]).await,
                false => ann.db.commit(plan, vec![nothing("d")]).await,
            };
            assert_eq!(refused(removed), Kind::Aborted, "{came} {staged}");
            assert!(ann.stands("/t/d").await, "{came} {staged}");
            ann.rm("/t").await;
        }
    }
}

async fn a_removal_in_a_commit_is_undone(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    ann.put("/t/b/x", b"1").await;
    ann.put("/t/c", b"1").await;
    let before = ann.tree("/t").await;
    for staged in [false, true] {
        let entries = vec![file("a", one), nothing("b"), nothing("c"), folder("c")];
        commit(&ann, "/t", entries, staged).await.unwrap();
        let undo = Undo { by: ann.id, request: None, at: ann.at("/t"), now: ann.now() };
        let undone = ann.db.undo(undo).await.unwrap();
        assert_eq!((undone.removed, undone.restored), (2, 2));
        assert_eq!(ann.tree("/t").await, before, "{staged}");
    }
}

async fn removing_in_anothers_tree_needs_the_right(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/t/a", b"1").await;
    ann.put("/t/b", b"1").await;
    let visit = bob.visiting(&ann);
    let remove = async |at: &str| bob.db.commit(visit.plan("/t"), vec![nothing(at)]).await;
    assert_eq!(refused(remove("a").await), Kind::NotFound);
    ann.share("/t/a", "bob", Right::Write).await;
    assert_eq!(refused(remove("a").await), Kind::PermissionDenied, "it is what was shared");
    assert_eq!(refused(remove("b").await), Kind::NotFound);
    ann.share("/t", "bob", Right::Write).await;
    remove("a").await.unwrap();
    assert_eq!(ann.tree("/t").await, ["/t/b"]);
}
