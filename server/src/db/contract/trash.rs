//! Stories of moving, copying and removing, and of what was removed.

use crate::db::Removal;
use crate::db::contract::people::{file, refused, symlink, version};
use crate::db::contract::{World, stories};
use crate::error::Kind;
use crate::model::{Condition, Node};

stories! {
    a_move_keeps_what_it_moves
    nothing_moves_into_itself
    a_move_over_a_file_removes_that_softly
    a_move_never_replaces_a_folder
    the_case_of_a_name_can_be_changed
    a_move_makes_no_path_that_is_too_deep_or_too_long
    a_copy_is_an_entry_of_its_own
    a_copy_over_a_file_is_a_new_version
    removing_frees_the_name_and_keeps_the_bytes
    a_folder_is_removed_only_when_that_is_said
    a_removal_can_ask_for_a_generation
    purging_takes_what_was_removed_first_with_all_below
    purging_knows_no_depth_and_no_number
}

async fn a_move_keeps_what_it_moves(world: &World) {
    let ann = world.account("ann").await;
    let before = ann.put("/a/file", b"1").await;
    ann.put("/a/file", b"2").await;
    let second = ann.stat("/a/file").await.unwrap();
    let moved = ann.mv("/a/file", "/b/c/other").await.unwrap();
    assert_eq!(moved, ann.stat("/b/c/other").await.unwrap());
    assert_eq!((moved.id, &moved.node), (before.id, &second.node));
    assert_eq!(moved.generation, second.generation, "the content is as it was");
    assert!(moved.placed > before.placed && moved.placed == moved.modseq);
    assert!(!ann.stands("/a/file").await);
    assert!(
        ann.db.version(ann.id.into(), version(&before)).await.is_ok(),
        "past versions come along"
    );
    let below = ann.stat("/b/c/other").await.unwrap();
    ann.mv("/b", "/a/d").await.unwrap();
    assert_eq!(ann.stat("/a/d/c/other").await.unwrap(), below, "what is below does not change");
    assert_eq!(ann.tree("/").await, ["/a", "/a/d", "/a/d/c", "/a/d/c/other"]);
    assert_eq!(refused(ann.mv("/none", "/x/y").await), Kind::NotFound);
    assert!(!ann.stands("/x").await);
}

async fn nothing_moves_into_itself(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/b/c", b"1").await;
    let before = ann.stat("/a/b").await.unwrap();
    for target in ["/a/b/d", "/a/b/c/d", "/a/b/x/y"] {
        assert_eq!(refused(ann.mv("/a/b", target).await), Kind::InvalidArgument, "{target}");
    }
    assert_eq!(ann.mv("/a/b", "/a/b").await.unwrap(), before, "where it is");
    assert_eq!(refused(ann.mv("/a/b", "/a").await), Kind::AlreadyExists, "over what it is in");
    assert_eq!(refused(ann.mv("/a/b", "/A/x").await), Kind::NameTwin);
    ann.mv("/a/b", "/a/bb").await.unwrap();
    assert_eq!(ann.tree("/").await, ["/a", "/a/bb", "/a/bb/c"]);
}

async fn a_move_over_a_file_removes_that_softly(world: &World) {
    let ann = world.account("ann").await;
    let source = ann.put("/source", b"one").await;
    let target = ann.put("/target", b"target").await;
    let moved = ann.mv("/source", "/target").await.unwrap();
    assert_eq!((moved.id, ann.tree("/").await), (source.id, vec!["/target".to_owned()]));
    assert_eq!(refused(ann.db.version(ann.id.into(), version(&target)).await), Kind::NotFound);
    assert_eq!(ann.used().await, 9, "it is in the trash");
    assert!(ann.db.purge_trash(i64::MAX).await.unwrap());
    assert_eq!(ann.used().await, 3);
    assert!(!ann.db.purge_trash(i64::MAX).await.unwrap());
}

async fn a_move_never_replaces_a_folder(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/file", b"1").await;
    ann.mkdir("/folder").await;
    ann.mkdir("/other").await;
    for (source, target) in [("/file", "/folder"), ("/other", "/folder"), ("/folder", "/file")] {
        assert_eq!(refused(ann.mv(source, target).await), Kind::AlreadyExists, "{source}");
    }
    assert_eq!(refused(ann.mv("/folder", "/file/x").await), Kind::FailedPrecondition);
    assert_eq!(ann.tree("/").await, ["/file", "/folder", "/other"]);
}

async fn the_case_of_a_name_can_be_changed(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/docs/a", b"1").await;
    let id = ann.stat("/docs").await.unwrap().id;
    assert_eq!(ann.mv("/docs", "/DOCS").await.unwrap().id, id);
    assert_eq!(ann.tree("/").await, ["/DOCS", "/DOCS/a"]);
    assert!(!ann.stands("/docs").await);
    ann.put("/b", b"2").await;
    assert_eq!(refused(ann.mv("/b", "/docs").await), Kind::NameTwin);
    assert_eq!(refused(ann.mv("/b", "/DOCS/A").await), Kind::NameTwin);
}

fn nested(depth: usize, name: &str) -> String {
    format!("/{name}").repeat(depth)
}

async fn a_move_makes_no_path_that_is_too_deep_or_too_long(world: &World) {
    let ann = world.account("ann").await;
    let deep = nested(100, "d");
    ann.put(&format!("{deep}/file"), b"1").await;
    ann.put("/file", b"1").await;
    // 100 folders and a file below 27 others are 128 names.
    assert_eq!(refused(ann.mv("/d", &nested(29, "e")).await), Kind::InvalidArgument);
    assert!(!ann.stands("/e").await, "what is refused makes no folders");
    ann.mv("/d", &nested(28, "e")).await.unwrap();
    assert!(ann.stands(&format!("{}{}/file", nested(28, "e"), nested(99, "d"))).await);
    ann.mv("/file", &nested(128, "f")).await.unwrap();
    // What becomes shorter is never refused.
    ann.mv(&nested(28, "e"), "/d").await.unwrap();
    let long = "n".repeat(255);
    ann.put(&nested(9, &long), b"1").await;
    ann.mkdir(&nested(7, &"m".repeat(255))).await;
    let into = |length: usize| format!("{}/{}", nested(7, &"m".repeat(255)), "o".repeat(length));
    // 4,096 bytes hold 16 names of 255.
    let past = ann.mv(&format!("/{long}"), &format!("{}/x", into(255))).await;
    assert_eq!(refused(past), Kind::InvalidArgument);
    ann.mv(&format!("/{long}"), &into(255)).await.unwrap();
    assert!(ann.stands(&format!("{}{}", into(255), nested(8, &long))).await);
}

async fn a_copy_is_an_entry_of_its_own(world: &World) {
    let ann = world.account("ann").await;
    let source = ann.put("/a", b"one").await;
    let copy = ann.cp("/a", "/x/b").await.unwrap();
    assert_eq!(copy, ann.stat("/x/b").await.unwrap());
    assert!(copy.id != source.id && version(&copy) != version(&source));
    let Node::File { content, .. } = source.node else { panic!("{source:?}") };
    assert!(matches!(copy.node, Node::File { content: copied, .. } if copied == content));
    assert_eq!((copy.mode, copy.modified_ns), (source.mode, source.modified_ns));
    ann.put("/a", b"two").await;
    assert_eq!(ann.stat("/x/b").await.unwrap(), copy, "its source goes its own way");
    ann.commit("/", vec![symlink("link", "there")]).await.unwrap();
    let copy = ann.cp("/link", "/x/link").await.unwrap();
    assert_eq!(copy.node, Node::Symlink { target: "there".to_owned() });
    assert_eq!(refused(ann.cp("/x", "/y").await), Kind::InvalidArgument, "a folder");
    assert_eq!(refused(ann.cp("/none", "/y").await), Kind::NotFound);
    // Copying needs no chunk to be sent, nor that they ever were by this account.
    let bob = world.account("bob").await;
    assert_eq!(refused(bob.cp("/a", "/b").await), Kind::NotFound);
}

async fn a_copy_over_a_file_is_a_new_version(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let before = ann.put("/b", b"two").await;
    let after = ann.cp("/a", "/b").await.unwrap();
    assert_eq!(after.id, before.id);
    assert!(after.generation > before.generation);
    assert!(ann.db.version(ann.id.into(), version(&before)).await.is_ok());
    assert_eq!(ann.cp("/a", "/b").await.unwrap(), after, "the same content again");
    assert_eq!(ann.cp("/a", "/a").await.unwrap(), ann.stat("/a").await.unwrap());
    ann.mkdir("/folder").await;
    assert_eq!(refused(ann.cp("/a", "/folder").await), Kind::FailedPrecondition);
    assert_eq!(refused(ann.cp("/a", "/B").await), Kind::NameTwin);
    assert_eq!(ann.used().await, 9);
}

async fn removing_frees_the_name_and_keeps_the_bytes(world: &World) {
    let ann = world.account("ann").await;
    for text in ["one", "two", "one"] {
        let entry = ann.put("/a/b", text.as_bytes()).await;
        assert_eq!(ann.rm("/a/b").await, entry.id);
        assert!(!ann.stands("/a/b").await);
        assert_eq!(refused(ann.db.remove(ann.removal("/a/b")).await), Kind::NotFound);
    }
    assert_eq!((ann.used().await, ann.tree("/").await), (9, vec!["/a".to_owned()]));
    ann.rm("/a").await;
    ann.mkdir("/a").await;
    assert_eq!(ann.tree("/").await, ["/a"], "its successor is empty");
}

async fn a_folder_is_removed_only_when_that_is_said(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/b", b"1").await;
    let remove =
        async |at, recursive| ann.db.remove(Removal { recursive, ..ann.removal(at) }).await;
    assert_eq!(refused(remove("/a", false).await), Kind::InvalidArgument);
    remove("/a/b", false).await.unwrap();
    assert_eq!(refused(remove("/a", false).await), Kind::InvalidArgument, "an empty one too");
    remove("/a", true).await.unwrap();
}

async fn a_removal_can_ask_for_a_generation(world: &World) {
    let ann = world.account("ann").await;
    let generation = ann.put("/a", b"1").await.generation.0.unsigned_abs();
    ann.mkdir("/folder").await;
    let remove = async |at, if_generation| {
        ann.db
            .remove(Removal { condition: Condition::generation(if_generation), ..ann.removal(at) })
            .await
    };
    assert_eq!(refused(remove("/a", generation + 1).await), Kind::GenerationMismatch);
    assert_eq!(refused(remove("/a", 0).await), Kind::GenerationMismatch);
    assert_eq!(refused(remove("/folder", 3).await), Kind::FailedPrecondition);
    remove("/a", generation).await.unwrap();
}

async fn purging_takes_what_was_removed_first_with_all_below(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a/b/c", b"1").await;
    ann.put("/a/b/c", b"22").await;
    ann.put("/a/d", b"333").await;
    bob.put("/e", b"4444").await;
    let removed_at = world.now();
    ann.rm("/a/b/c").await;
    world.later(10);
    bob.rm("/e").await;
    world.later(10);
    ann.rm("/a").await;
    let purge = async |before| ann.db.purge_trash(before).await.unwrap();
    assert!(!purge(removed_at).await, "it is not old enough");
    assert!(purge(i64::MAX).await);
    assert_eq!((ann.used().await, bob.used().await), (3, 4), "a file and its versions");
    assert!(purge(i64::MAX).await);
    assert_eq!((ann.used().await, bob.used().await), (3, 0), "whoever's it is");
    assert!(purge(i64::MAX).await);
    assert_eq!((ann.used().await, purge(i64::MAX).await), (0, false));
}

async fn purging_knows_no_depth_and_no_number(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"1").await;
    let entries = (0..1_200).map(|number| file(&format!("d/{}/{number}", number % 3), one));
    ann.commit("/big", entries.collect()).await.unwrap();
    ann.put(&format!("/big{}", nested(127, "x")), b"1").await;
    ann.rm("/big/d/1").await;
    assert_eq!(ann.used().await, 1_201);
    world.later(1);
    ann.rm("/big").await;
    assert!(ann.db.purge_trash(i64::MAX).await.unwrap());
    assert_eq!(ann.used().await, 801);
    assert!(ann.db.purge_trash(i64::MAX).await.unwrap());
    assert_eq!(ann.used().await, 0);
    assert!(!ann.db.purge_trash(i64::MAX).await.unwrap());
}
