//! Stories of commits in one transaction: all of it or nothing.

use crate::db::contract::people::{content, file, folder, path, refused, symlink, version};
use crate::db::contract::{World, stories};
use crate::db::{CommitPlan, StagedEntry};
use crate::error::Kind;
use crate::model::{Condition, Content, Mode, Node, UploadId};

stories! {
    a_commit_makes_everything_at_once
    what_stands_as_it_was_sent_is_counted
    an_error_in_the_middle_changes_nothing
    a_commit_can_ask_that_nothing_is_there
    entries_can_ask_for_generations
    the_base_of_a_commit_is_made
    a_commit_ends_its_upload
    a_commit_of_what_is_held_needs_no_chunks_sent
    a_commit_can_name_the_base_itself
    paths_past_the_limits_are_refused
    commits_at_once_are_one_after_the_other
}

async fn a_commit_makes_everything_at_once(world: &World) {
    let ann = world.account("ann").await;
    let (one, long) = (ann.content(b"one").await, ann.long(&[b"two", b"three"]).await);
    let mode = Mode::parse(0o750, "mode").unwrap();
    let entries = vec![
        StagedEntry { mode, modified_ns: -7, ..folder("a") },
        file("a/one", one),
        file("a/b/long", long),
        symlink("link", "../elsewhere"),
        file("empty", Content::empty()),
    ];
    let outcome = ann.commit("/base", entries).await.unwrap();
    assert_eq!((outcome.changed, outcome.unchanged), (5, 0));
    let expected = [
        "/base",
        "/base/a",
        "/base/a/b",
        "/base/a/b/long",
        "/base/a/one",
        "/base/empty",
        "/base/link",
    ];
    assert_eq!(ann.tree("/").await, expected);
    let answered: Vec<String> =
        outcome.entries.iter().map(|listed| listed.path.to_string()).collect();
    assert_eq!(answered, ["/base/a", "/base/a/one", "/base/a/b/long", "/base/link", "/base/empty"]);
    for listed in &outcome.entries {
        assert_eq!(
            listed.entry,
            ann.db.entry(ann.id.into(), &ann.at(&listed.path.to_string())).await.unwrap()
        );
    }
    let made = ann.stat("/base/a").await.unwrap();
    assert_eq!((made.mode, made.modified_ns), (mode, -7));
    assert_eq!(ann.used().await, 11);
    assert_eq!(outcome.modseq, ann.db.start(ann.id).await.unwrap().modseq);
}

async fn what_stands_as_it_was_sent_is_counted(world: &World) {
    let ann = world.account("ann").await;
    let (one, two) = (ann.content(b"one").await, ann.content(b"two").await);
    let entries = |content| {
        vec![folder("d"), file("d/a", one), file("d/b", content), symlink("d/c", "there")]
    };
    ann.commit("/x", entries(one)).await.unwrap();
    let before = ann.db.start(ann.id).await.unwrap().modseq;
    let again = ann.commit("/x", entries(one)).await.unwrap();
    assert_eq!((again.changed, again.unchanged, again.modseq), (0, 4, before));
    assert_eq!(again.entries.len(), 4, "what is unchanged is named too");
    let other = ann.commit("/x", entries(two)).await.unwrap();
    assert_eq!((other.changed, other.unchanged), (1, 3));
    let touched = vec![StagedEntry { modified_ns: 6, ..folder("d") }];
    let outcome = ann.commit("/x", touched).await.unwrap();
    assert_eq!((outcome.changed, outcome.unchanged), (1, 0));
    assert_eq!(ann.used().await, 9);
}

async fn an_error_in_the_middle_changes_nothing(world: &World) {
    let ann = world.account_with("ann", 30).await;
    let one = ann.content(b"one").await;
    ann.put("/x/File", b"two").await;
    ann.put("/x/Folder/y", b"two").await;
    let upload = UploadId::new();
    ann.fill(upload, &[b"held"]).await.unwrap();
    let (used, tree) = (ann.used().await, ann.tree("/").await);
    let modseq = ann.db.start(ann.id).await.unwrap().modseq;
    world.told();
    let asking = StagedEntry { condition: Condition::generation(0), ..file("File", one) };
    for (name, wrong, kind) in [
        ("a twin", file("file", one), Kind::NameTwin),
        ("a twin above", file("folder/z", one), Kind::NameTwin),
        ("below a file", file("File/z", one), Kind::FailedPrecondition),
        ("over a folder", file("Folder", one), Kind::FailedPrecondition),
        ("a folder over a file", folder("File"), Kind::FailedPrecondition),
        ("a generation", asking, Kind::GenerationMismatch),
        ("chunks that are missing", file("z", content(b"never sent")), Kind::ChunksMissing),
        ("too many bytes", file("z", ann.content(&[1; 20]).await), Kind::QuotaExceeded),
    ] {
        let entries = vec![folder("new"), file("new/a", one), wrong, file("last", one)];
        let plan = CommitPlan { upload: Some(upload), ..ann.plan("/x") };
        assert_eq!(refused(ann.db.commit(plan, entries).await), kind, "{name}");
        assert_eq!((ann.used().await, ann.tree("/").await), (used, tree.clone()), "{name}");
        assert_eq!(ann.db.start(ann.id).await.unwrap().modseq, modseq, "{name}");
    }
    assert_eq!(world.told(), [], "nobody is told of what did not happen");
    assert!(ann.db.oldest_lease().await.unwrap().is_some(), "the upload goes on");
}

async fn a_commit_can_ask_that_nothing_is_there(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let commit = async |base| {
        let plan = CommitPlan { if_absent: true, ..ann.plan(base) };
        ann.db.commit(plan, vec![file("a", one)]).await
    };
    commit("/x/y").await.unwrap();
    assert_eq!(refused(commit("/x/y").await), Kind::Aborted);
    assert_eq!(refused(commit("/x").await), Kind::Aborted);
    assert_eq!(refused(commit("/").await), Kind::Aborted);
    assert_eq!(refused(commit("/X").await), Kind::NameTwin);
    ann.rm("/x/y").await;
    commit("/x/y").await.unwrap();
}

async fn entries_can_ask_for_generations(world: &World) {
    let ann = world.account("ann").await;
    let (one, two) = (ann.content(b"one").await, ann.content(b"two").await);
    let standing = ann.put("/x/a", b"zero").await.generation.0.unsigned_abs();
    let commit = async |a: u64, b: u64| {
        let a = StagedEntry { condition: Condition::generation(a), ..file("a", one) };
        let b = StagedEntry { condition: Condition::generation(b), ..file("b", two) };
        ann.commit("/x", vec![a, b]).await
    };
    for (a, b) in [(standing + 1, 0), (0, 0), (standing, 1)] {
        assert_eq!(refused(commit(a, b).await), Kind::GenerationMismatch);
    }
    assert_eq!(ann.tree("/x").await, ["/x/a"]);
    assert_eq!(commit(standing, 0).await.unwrap().changed, 2);
    let told = commit(standing, 0).await.unwrap_err();
    assert_eq!(told.kind(), Kind::GenerationMismatch);
    let none = commit(0, 0).await.unwrap_err();
    assert!(none.message().contains("/x/a: something stands there already"), "{none}");
}

async fn the_base_of_a_commit_is_made(world: &World) {
    let ann = world.account("ann").await;
    let outcome = ann.commit("/a/b", Vec::new()).await.unwrap();
    assert_eq!((outcome.changed, outcome.entries.len()), (0, 0));
    assert_eq!(ann.tree("/").await, ["/a", "/a/b"]);
    ann.put("/file", b"1").await;
    assert_eq!(refused(ann.commit("/file", Vec::new()).await), Kind::FailedPrecondition);
}

async fn a_commit_ends_its_upload(world: &World) {
    let ann = world.account_with("ann", 10).await;
    let (mine, other) = (UploadId::new(), UploadId::new());
    ann.fill(other, &[b"four"]).await.unwrap();
    ann.fill(mine, &[b"sixsix"]).await.unwrap();
    let plan = CommitPlan { upload: Some(mine), ..ann.plan("/") };
    ann.db.commit(plan, vec![file("a", content(b"sixsix"))]).await.unwrap();
    assert_eq!(ann.used().await, 6);
    assert_eq!(ann.db.end_leases(i64::MAX, i64::MIN).await.unwrap(), 1, "the other one's lease");
}

async fn a_commit_of_what_is_held_needs_no_chunks_sent(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let one = ann.content(b"one").await;
    let commit = async |held, content| {
        let plan = CommitPlan { held, ..bob.plan("/") };
        bob.db.commit(plan, vec![file("a", content)]).await
    };
    assert_eq!(refused(commit(false, one).await), Kind::ChunksMissing);
    commit(true, one).await.unwrap();
    assert_eq!(bob.used().await, 3);
    let gone = commit(true, content(b"nowhere")).await;
    assert_eq!(refused(gone), Kind::ChunksMissing);
}

async fn a_commit_can_name_the_base_itself(world: &World) {
    let ann = world.account("ann").await;
    let mode = Mode::parse(0o700, "mode").unwrap();
    let base = || StagedEntry { mode, modified_ns: 9, ..folder("") };
    for at in ["/a/b", "/"] {
        let outcome = ann.commit(at, vec![base()]).await.unwrap();
        let entry = ann.stat(at).await.unwrap();
        assert_eq!((outcome.changed, entry.mode, entry.modified_ns), (1, mode, 9), "{at}");
        assert_eq!(outcome.entries[0].path, path(at));
        assert_eq!(ann.commit(at, vec![base()]).await.unwrap().unchanged, 1, "{at}");
    }
    let content = ann.content(b"1").await;
    assert!(ann.commit("/", vec![file("", content)]).await.is_err());
    assert_eq!(ann.stat("/").await.unwrap().node, Node::Folder);
}

async fn paths_past_the_limits_are_refused(world: &World) {
    let ann = world.account("ann").await;
    let deep = "/a".repeat(100);
    let below = |depth: usize| vec!["b"; depth].join("/");
    let most = vec![file(&below(28), Content::empty())];
    let past = vec![file(&below(29), Content::empty())];
    assert_eq!(refused(ann.commit(&deep, past).await), Kind::InvalidArgument);
    ann.commit(&deep, most).await.unwrap();
    let long = format!("/{}", vec!["x".repeat(255); 15].join("/"));
    let most = vec![file(&"y".repeat(255), Content::empty())];
    let past = vec![file(&format!("{}/z", "y".repeat(255)), Content::empty())];
    assert_eq!(refused(ann.commit(&long, past).await), Kind::InvalidArgument);
    ann.commit(&long, most).await.unwrap();
}

async fn commits_at_once_are_one_after_the_other(world: &World) {
    let ann = world.account("ann").await;
    let first = ann.put("/counter", b"0").await;
    let writers: Vec<_> = (1..=16_u8)
        .map(|number| {
            let ann = ann.clone();
            tokio::spawn(async move {
                // Each reads, then writes only if nobody did meanwhile.
                let content = ann.content(&[number; 4]).await;
                loop {
                    let seen = ann.stat("/counter").await.unwrap().generation.0.unsigned_abs();
                    let entry = StagedEntry {
                        condition: Condition::generation(seen),
                        ..file("counter", content)
                    };
                    match ann.commit("/", vec![entry]).await {
                        Ok(outcome) => return outcome.entries[0].entry.generation,
                        Err(error) => assert_eq!(error.kind(), Kind::GenerationMismatch),
                    }
                }
            })
        })
        .collect();
    let mut generations = vec![first.generation];
    for writer in writers {
        generations.push(writer.await.unwrap());
    }
    let last = ann.stat("/counter").await.unwrap();
    generations.sort_unstable();
    generations.dedup();
    assert_eq!((generations.len(), generations.last()), (17, Some(&last.generation)));
    assert_eq!(ann.used().await, 1 + 16 * 4, "no update was lost");
    assert!(ann.db.version(ann.id.into(), version(&first)).await.is_ok());
}
