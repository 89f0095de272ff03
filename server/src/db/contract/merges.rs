//! Stories of merges that are staged in parts: what stands as it was sent is left alone, the rest is
//! applied at once, and only if it still fits what stands.

use crate::db::contract::people::{Person, content, file, folder, refused, request, symlink};
use crate::db::contract::{World, stories};
use crate::db::{CommitPlan, StagedEntry};
use crate::error::Kind;
use crate::model::{Condition, Content};

stories! {
    a_merge_applies_what_is_other_and_counts_the_rest
    a_merge_is_seen_at_once_or_not_at_all
    a_merge_changes_so_many_entries_and_no_more
    a_merge_checks_its_generations_when_it_is_published
    a_merge_into_what_was_removed_meanwhile_is_refused
    a_merge_below_a_file_is_refused
    a_merge_is_given_the_first_answer_again
    an_abandoned_merge_leaves_nothing
    a_merge_goes_on_when_only_files_changed_meanwhile
}

fn numbered(range: std::ops::Range<u32>, content: Content) -> Vec<StagedEntry> {
    range.map(|number| file(&format!("d/{number:03}"), content)).collect()
}

async fn standing(world: &World) -> (Person, Content, Content) {
    let ann = world.account("ann").await;
    let (one, two) = (ann.content(b"one").await, ann.content(b"two").await);
    let mut entries = numbered(0..20, one);
    entries.insert(0, folder("d"));
    entries.push(symlink("link", "there"));
    ann.commit("/x", entries).await.unwrap();
    (ann, one, two)
}

async fn a_merge_applies_what_is_other_and_counts_the_rest(world: &World) {
    let (ann, one, two) = standing(world).await;
    let mut entries = vec![folder("d")];
    entries.extend(numbered(0..10, one));
    entries.extend(numbered(10..20, two));
    entries.extend([symlink("link", "elsewhere"), folder("new"), file("new/a", one)]);
    let outcome = ann.stage(ann.plan("/x"), entries.clone()).await.unwrap();
    assert_eq!((outcome.changed, outcome.unchanged), (13, 11));
    assert_eq!(outcome.entries, []);
    assert_eq!(ann.used().await, 20 * 3 + 10 * 3 + 3);
    assert_eq!(ann.tree("/x").await.len(), 24);
    let again = ann.stage(ann.plan("/x"), entries).await.unwrap();
    assert_eq!((again.changed, again.unchanged), (0, 24));
    assert_eq!(again.modseq, outcome.modseq);
}

async fn a_merge_is_seen_at_once_or_not_at_all(world: &World) {
    let (ann, one, two) = standing(world).await;
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    let start = ann.db.start(ann.id).await.unwrap().modseq;
    let mut entries = numbered(0..5, two);
    entries.push(file("e/f", one));
    ann.db.stage(&staged, &plan, entries).await.unwrap();
    assert!(!ann.stands("/x/e").await);
    assert_eq!((ann.used().await, ann.news(start).await.len()), (60, 0));
    // A twin that came meanwhile: nothing of the merge happens.
    ann.put("/x/E", b"1").await;
    let used = ann.used().await;
    assert_eq!(refused(ann.db.publish(&staged, plan.clone()).await), Kind::NameTwin);
    assert_eq!(ann.used().await, used);
    ann.rm("/x/E").await;
    assert_eq!(ann.db.publish(&staged, plan).await.unwrap().changed, 6);
    assert_eq!(ann.used().await, used + 18);
}

async fn a_merge_changes_so_many_entries_and_no_more(world: &World) {
    let (ann, _, two) = standing(world).await;
    let plan = CommitPlan { merge_entries_max: 10, ..ann.plan("/x") };
    let past = ann.stage(plan.clone(), numbered(0..11, two)).await;
    assert_eq!(refused(past), Kind::LimitExceeded);
    assert_eq!(ann.used().await, 60);
    let most = ann.stage(plan.clone(), numbered(0..10, two)).await.unwrap();
    assert_eq!(most.changed, 10);
    let rest = ann.stage(plan, numbered(0..20, two)).await.unwrap();
    assert_eq!((rest.changed, rest.unchanged), (10, 10), "what stands does not count");
    for commit in ann.db.abandoned(i64::MAX).await.unwrap() {
        while ann.db.abandon(commit, 500).await.unwrap() {}
    }
}

async fn a_merge_checks_its_generations_when_it_is_published(world: &World) {
    let (ann, one, two) = standing(world).await;
    let generation = ann.stat("/x/d/003").await.unwrap().generation.0.unsigned_abs();
    let asking = |at, if_generation| StagedEntry {
        condition: Condition::generation(if_generation),
        ..file(at, one)
    };
    let entries = vec![asking("d/003", generation), asking("d/new", 0)];
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    ann.db.stage(&staged, &plan, entries.clone()).await.unwrap();
    let write = ann.writing("/x/d/003", two);
    ann.db.write_file(write).await.unwrap();
    let late = ann.db.publish(&staged, plan.clone()).await;
    assert_eq!(refused(late), Kind::GenerationMismatch);
    assert!(!ann.stands("/x/d/new").await);
    let generation = ann.stat("/x/d/003").await.unwrap().generation.0.unsigned_abs();
    let entries = vec![asking("d/003", generation), asking("d/new", 0)];
    assert_eq!(ann.stage(plan, entries).await.unwrap().changed, 2);
}

async fn a_merge_into_what_was_removed_meanwhile_is_refused(world: &World) {
    let (ann, one, two) = standing(world).await;
    let mut entries = numbered(0..5, one);
    entries.extend(numbered(5..7, two));
    let stage = async || {
        let plan = ann.plan("/x");
        let staged = ann.db.stage_open(plan.clone()).await.unwrap();
        ann.db.stage(&staged, &plan, entries.clone()).await.unwrap();
        (staged, plan)
    };
    // Else the five that stood as they were sent would be lost, and the rest would stand alone.
    let (staged, plan) = stage().await;
    ann.mv("/x/d", "/away").await.unwrap();
    assert_eq!(refused(ann.db.publish(&staged, plan).await), Kind::Aborted);
    assert!(!ann.stands("/x/d").await);
    ann.mv("/away", "/x/d").await.unwrap();
    let (staged, plan) = stage().await;
    ann.rm("/x").await;
    assert_eq!(refused(ann.db.publish(&staged, plan.clone()).await), Kind::Aborted);
    assert!(!ann.stands("/x").await);
    // Nothing of it was other than it stood: still it is not there any more.
    ann.commit("/x", entries.clone()).await.unwrap();
    let (staged, plan) = stage().await;
    ann.rm("/x").await;
    assert_eq!(refused(ann.db.publish(&staged, plan).await), Kind::Aborted);
    assert!(!ann.stands("/x").await);
}

async fn a_merge_below_a_file_is_refused(world: &World) {
    let (ann, one, _) = standing(world).await;
    ann.put("/file", b"1").await;
    let open = ann.db.stage_open(ann.plan("/file")).await;
    assert_eq!(refused(open), Kind::FailedPrecondition);
    for (wrong, kind) in [
        (file("d", one), Kind::FailedPrecondition),
        (folder("link"), Kind::FailedPrecondition),
        (file("link/below", one), Kind::FailedPrecondition),
        (file("D/x", one), Kind::NameTwin),
        (file("d/never", content(b"never sent")), Kind::ChunksMissing),
    ] {
        let named = format!("{wrong:?}");
        assert_eq!(refused(ann.stage(ann.plan("/x"), vec![wrong]).await), kind, "{named}");
    }
    assert_eq!(ann.tree("/x").await.len(), 22);
}

async fn a_merge_is_given_the_first_answer_again(world: &World) {
    let (ann, _, two) = standing(world).await;
    let plan = CommitPlan { request: Some(request(1)), ..ann.plan("/x") };
    let first = ann.stage(plan.clone(), numbered(0..15, two)).await.unwrap();
    ann.put("/x/d/000", b"later").await;
    let again = ann.stage(plan, numbered(0..15, two)).await.unwrap();
    assert_eq!((again.changed, again.modseq), (first.changed, first.modseq));
    assert_eq!(ann.stat("/x/d/000").await.unwrap().node.size(), 5, "what came later stays");
    for commit in ann.db.abandoned(i64::MAX).await.unwrap() {
        while ann.db.abandon(commit, 500).await.unwrap() {}
    }
}

async fn an_abandoned_merge_leaves_nothing(world: &World) {
    let (ann, _, two) = standing(world).await;
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    ann.db.stage(&staged, &plan, numbered(0..9, two)).await.unwrap();
    assert!(ann.db.abandon(staged.id, 4).await.unwrap());
    assert_eq!(refused(ann.db.publish(&staged, plan.clone()).await), Kind::Aborted);
    let more = ann.db.stage(&staged, &plan, numbered(9..10, two)).await;
    assert_eq!(refused(more), Kind::Aborted);
    while ann.db.abandon(staged.id, 4).await.unwrap() {}
    assert_eq!(refused(ann.db.stage(&staged, &plan, Vec::new()).await), Kind::Aborted);
    assert_eq!(refused(ann.db.publish(&staged, plan).await), Kind::Aborted);
    assert_eq!(ann.db.abandoned(i64::MAX).await.unwrap(), []);
    assert_eq!(ann.used().await, 60);
}

async fn a_merge_goes_on_when_only_files_changed_meanwhile(world: &World) {
    let (ann, one, two) = standing(world).await;
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    let mut entries = numbered(0..10, one);
    entries.extend(numbered(10..12, two));
    entries.extend([file("made/here/a", two), file("made/here/b", two)]);
    ann.db.stage(&staged, &plan, entries).await.unwrap();
    ann.put("/x/d/000", b"other").await;
    ann.rm("/x/d/001").await;
    ann.rm("/x/d/010").await;
    let outcome = ann.db.publish(&staged, plan).await.unwrap();
    assert_eq!((outcome.changed, outcome.unchanged), (4, 10));
    assert_eq!(ann.stat("/x/d/000").await.unwrap().node.size(), 5, "as if it had come later");
    assert!(ann.stands("/x/d/010").await && ann.stands("/x/made/here/b").await);
}
