//! Stories of trees: writing files, making folders, preconditions, versions, and who sees what.

use crate::db::contract::people::{
    Person, content, file, file_name, folder, refused, symlink, version,
};
use crate::db::contract::{World, stories};
use crate::db::{FileWrite, StagedEntry};
use crate::error::Kind;
use crate::model::{Condition, Content, Entry, ManifestKey, Mode, Node, VersionId};

stories! {
    a_file_has_versions_and_rising_generations
    a_generation_is_never_used_again
    identical_content_keeps_version_and_generation
    a_mode_that_nobody_named_is_kept
    twins_are_refused_by_name
    a_write_can_ask_for_a_generation
    files_and_folders_do_not_replace_each_other
    a_file_and_a_symlink_replace_each_other
    missing_folders_are_made
    a_folder_is_made_once
    versions_are_seen_by_their_owner_while_their_file_stands
    a_content_that_is_not_there_is_not_written
    the_root_is_what_it_is
}

fn holds(entry: &Entry) -> Content {
    match entry.node {
        Node::File { content, .. } => content,
        _ => panic!("no file: {entry:?}"),
    }
}

async fn a_file_has_versions_and_rising_generations(world: &World) {
    let ann = world.account("ann").await;
    let mut before: Vec<Entry> = Vec::new();
    for text in ["one", "two", "three"] {
        let now = ann.put("/a", text.as_bytes()).await;
        assert_eq!(now, ann.stat("/a").await.unwrap(), "what was answered is what stands");
        assert_eq!((holds(&now), file_name(&now)), (content(text.as_bytes()), "a"));
        if let Some(last) = before.last() {
            assert_eq!((now.id, now.placed), (last.id, last.placed));
            assert!(now.generation > last.generation && now.modseq == now.generation);
        }
        before.push(now);
    }
    let ids: Vec<VersionId> = before.iter().map(version).collect();
    let kept = ann.db.versions(ann.id.into(), ids.clone()).await.unwrap();
    let expected: Vec<_> = before.iter().map(|entry| Some(holds(entry))).collect();
    let kept: Vec<_> = kept.into_iter().map(|seen| seen.map(|seen| seen.content)).collect();
    assert_eq!(kept, expected);
    assert_eq!(ann.db.version(ann.id.into(), ids[0]).await.unwrap().content, content(b"one"));
    assert_eq!(refused(ann.db.version(ann.id.into(), VersionId::new()).await), Kind::NotFound);
}

async fn a_generation_is_never_used_again(world: &World) {
    let ann = world.account("ann").await;
    let first = ann.put("/a", b"one").await;
    ann.rm("/a").await;
    let second = ann.put("/a", b"one").await;
    assert_ne!((first.id, version(&first)), (second.id, version(&second)));
    assert!(second.generation > first.generation);
    ann.rm("/a").await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    let third = ann.put("/a", b"one").await;
    assert!(third.generation > second.generation, "purged ones are not forgotten");
}

async fn identical_content_keeps_version_and_generation(world: &World) {
    let ann = world.account("ann").await;
    let long = ann.long(&[b"one", b"two"]).await;
    for content in [ann.content(b"short").await, long, Content::empty()] {
        let first = ann.db.write_file(ann.writing("/a", content)).await.unwrap();
        let again = ann.db.write_file(ann.writing("/a", content)).await.unwrap();
        assert_eq!(again, first, "nothing at all changed");
        world.later(1_000);
        let mode = Some(Mode::parse(0o600, "mode").unwrap());
        let write = FileWrite { mode, modified_ns: 77, ..ann.writing("/a", content) };
        let adjusted = ann.db.write_file(write).await.unwrap();
        assert_eq!((version(&adjusted), adjusted.generation), (version(&first), first.generation));
        assert_eq!((adjusted.mode.bits(), adjusted.modified_ns), (0o600, 77));
        assert!(adjusted.modseq > first.modseq && adjusted.changed_at == world.now());
        assert_eq!(adjusted, ann.stat("/a").await.unwrap());
    }
    // The same digest and size in another list of chunks is not known to be the same.
    let before = ann.db.write_file(ann.writing("/a", long)).await.unwrap();
    let other = Content { manifest: ann.long(&[b"on", b"etwo"]).await.manifest, ..long };
    let after = ann.db.write_file(ann.writing("/a", other)).await.unwrap();
    assert!(after.generation > before.generation);
}

async fn a_mode_that_nobody_named_is_kept(world: &World) {
    let ann = world.account("ann").await;
    assert_eq!(ann.put("/a", b"one").await.mode, Mode::FILE);
    let mode = Some(Mode::parse(0o755, "mode").unwrap());
    let content = ann.content(b"two").await;
    ann.db.write_file(FileWrite { mode, ..ann.writing("/a", content) }).await.unwrap();
    assert_eq!(ann.put("/a", b"three").await.mode.bits(), 0o755);
    // That of a symlink is nobody's choice.
    let link = StagedEntry { mode: Mode::parse(0o777, "mode").unwrap(), ..symlink("link", "a") };
    ann.commit("/", vec![link]).await.unwrap();
    assert_eq!(ann.put("/link", b"four").await.mode, Mode::FILE);
}

async fn twins_are_refused_by_name(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/Folder/README", b"1").await;
    for at in ["/Folder/readme", "/Folder/ReadMe", "/folder/other", "/FOLDER"] {
        let error = ann.try_put(at, b"2").await.unwrap_err();
        assert_eq!(error.kind(), Kind::NameTwin, "{at}");
        let named = if at.contains("ead") { "README" } else { "Folder" };
        assert!(error.message().contains(named), "{}", error.message());
    }
    ann.put("/\u{e9}", b"1").await;
    let error = ann.try_put("/e\u{301}", b"1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NameTwin, "composed and not");
    assert!(!ann.stands("/folder").await, "paths are spelled as they are");
    assert_eq!(ann.tree("/").await, ["/Folder", "/Folder/README", "/\u{e9}"]);
    let made = ann.db.make_folder(ann.id, &ann.at("/folder/x"), true, None, ann.now()).await;
    assert_eq!(refused(made), Kind::NameTwin);
}

async fn a_write_can_ask_for_a_generation(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let two = ann.content(b"two").await;
    let write = async |at, content, if_generation: u64| {
        let write = FileWrite {
            condition: Condition::generation(if_generation),
            ..ann.writing(at, content)
        };
        ann.db.write_file(write).await
    };
    assert_eq!(refused(write("/a", one, 1).await), Kind::GenerationMismatch, "nothing is there");
    let made = write("/a", one, 0).await.unwrap();
    let number = made.generation.0.unsigned_abs();
    assert_eq!(refused(write("/a", two, 0).await), Kind::GenerationMismatch, "it is there");
    assert_eq!(refused(write("/a", one, 0).await), Kind::GenerationMismatch, "the same, too");
    for wrong in [number - 1, number + 1, u64::MAX] {
        assert_eq!(refused(write("/a", two, wrong).await), Kind::GenerationMismatch);
    }
    let second = write("/a", two, number).await.unwrap();
    assert_eq!(refused(write("/a", two, number).await), Kind::GenerationMismatch);
    write("/a", two, second.generation.0.unsigned_abs()).await.unwrap();
    ann.mkdir("/folder").await;
    assert_eq!(refused(write("/folder", one, 0).await), Kind::GenerationMismatch);
    assert_eq!(refused(write("/folder", one, 3).await), Kind::FailedPrecondition);
    ann.rm("/a").await;
    write("/a", one, 0).await.unwrap();
}

async fn files_and_folders_do_not_replace_each_other(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/file", b"1").await;
    ann.mkdir("/folder").await;
    let make = async |at| ann.db.make_folder(ann.id, &ann.at(at), true, None, ann.now()).await;
    assert_eq!(refused(ann.try_put("/folder", b"2").await), Kind::FailedPrecondition);
    assert_eq!(refused(ann.try_put("/file/below", b"2").await), Kind::FailedPrecondition);
    assert_eq!(refused(make("/file").await), Kind::AlreadyExists);
    assert_eq!(refused(make("/file/below").await), Kind::FailedPrecondition);
    let over_a_file = ann.commit("/", vec![folder("file")]).await;
    assert_eq!(refused(over_a_file), Kind::FailedPrecondition);
    assert_eq!(refused(ann.stat("/file/below").await), Kind::NotFound);
    assert_eq!(ann.tree("/").await, ["/file", "/folder"]);
}

async fn a_file_and_a_symlink_replace_each_other(world: &World) {
    let ann = world.account("ann").await;
    let first = ann.put("/a", b"1").await;
    let outcome = ann.commit("/", vec![symlink("a", "there")]).await.unwrap();
    let link = ann.stat("/a").await.unwrap();
    assert_eq!(link.node, Node::Symlink { target: "there".to_owned() });
    assert_eq!((outcome.changed, &outcome.entries[0].entry), (1, &link));
    assert_ne!(link.id, first.id);
    assert_eq!(ann.used().await, 1, "the file is in the trash");
    let same = ann.commit("/", vec![symlink("a", "there")]).await.unwrap();
    assert_eq!((same.changed, same.unchanged), (0, 1));
    let other = ann.commit("/", vec![symlink("a", "elsewhere")]).await.unwrap();
    assert_eq!((other.changed, other.unchanged), (1, 0));
    let one = ann.content(b"1").await;
    ann.commit("/", vec![file("a", one)]).await.unwrap();
    assert_eq!(holds(&ann.stat("/a").await.unwrap()), one);
    assert_eq!(ann.tree("/").await, ["/a"]);
}

async fn missing_folders_are_made(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/b/c", b"1").await;
    assert_eq!(ann.tree("/").await, ["/a", "/a/b", "/a/b/c"]);
    let (a, b) = (ann.stat("/a").await.unwrap(), ann.stat("/a/b").await.unwrap());
    assert_eq!((a.mode, b.parent, &a.node), (Mode::FOLDER, Some(a.id), &Node::Folder));
    // What is refused makes no folders either.
    let content = content(b"never sent");
    assert!(ann.db.write_file(ann.writing("/x/y/z", content)).await.is_err());
    assert!(!ann.stands("/x").await);
    ann.put("/a/b/d", b"1").await;
    assert_eq!(ann.stat("/a").await.unwrap(), a, "a new child is no change of its folder");
}

async fn a_folder_is_made_once(world: &World) {
    let ann = world.account("ann").await;
    let make = async |at, parents, mode: Option<Mode>| {
        ann.db.make_folder(ann.id, &ann.at(at), parents, mode, ann.now()).await
    };
    assert_eq!(refused(make("/a/b", false, None).await), Kind::NotFound);
    let mode = Some(Mode::parse(0o700, "mode").unwrap());
    let made = make("/a/b", true, mode).await.unwrap();
    assert_eq!((made.mode.bits(), ann.stat("/a").await.unwrap().mode), (0o700, Mode::FOLDER));
    assert_eq!(make("/a/b", true, None).await.unwrap(), made, "one that stands is success");
    assert_eq!(refused(make("/a/b", false, None).await), Kind::AlreadyExists);
    assert_eq!(made, ann.stat("/a/b").await.unwrap());
    assert_eq!(make("/a/c", false, None).await.unwrap().mode, Mode::FOLDER);
    assert!(make("/", true, None).await.unwrap().parent.is_none());
    assert_eq!(refused(make("/", false, None).await), Kind::AlreadyExists);
}

async fn versions_are_seen_by_their_owner_while_their_file_stands(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let past = version(&ann.put("/a/b/c", b"1").await);
    let current = version(&ann.put("/a/b/c", b"2").await);
    let alone = version(&ann.put("/alone", b"3").await);
    let seen = async |person: &Person| {
        let ids = vec![past, VersionId::new(), current, alone];
        let found = person.db.versions(person.id.into(), ids).await.unwrap();
        found.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(seen(&ann).await, [true, false, true, true]);
    assert_eq!(seen(&bob).await, [false; 4]);
    assert_eq!(refused(bob.db.version(bob.id.into(), current).await), Kind::NotFound);
    ann.mv("/a", "/moved").await.unwrap();
    assert_eq!(seen(&ann).await, [true, false, true, true], "it stands elsewhere");
    ann.rm("/alone").await;
    assert_eq!(seen(&ann).await, [true, false, true, false]);
    ann.rm("/moved").await;
    assert_eq!(seen(&ann).await, [false; 4], "nothing below a removed folder is seen");
    assert_eq!(ann.used().await, 3);
}

async fn a_content_that_is_not_there_is_not_written(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    bob.content(b"his").await;
    let of_ann = ann.long(&[b"one", b"two"]).await;
    let open = ann.db.open_content(6, of_ann.digest, ann.now()).await.unwrap();
    let gone = ManifestKey(1_000);
    for (name, content) in [
        ("never sent", content(b"never sent")),
        ("of another", content(b"his")),
        ("a list that is gone", Content { manifest: Some(gone), ..of_ann }),
        ("a list that is still coming in", Content { manifest: Some(open), ..of_ann }),
        ("a list of another size", Content { size: 7, ..of_ann }),
    ] {
        let written = ann.db.write_file(ann.writing("/a", content)).await;
        assert_eq!(refused(written), Kind::ChunksMissing, "{name}");
    }
    assert_eq!(ann.tree("/").await, Vec::<String>::new());
}

async fn the_root_is_what_it_is(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"1").await;
    assert_eq!(refused(ann.try_put("/", b"2").await), Kind::InvalidArgument);
    assert_eq!(refused(ann.db.remove(ann.removal("/")).await), Kind::InvalidArgument);
    assert_eq!(refused(ann.mv("/", "/b").await), Kind::InvalidArgument);
    assert_eq!(refused(ann.mv("/a", "/").await), Kind::InvalidArgument);
    assert_eq!(refused(ann.cp("/a", "/").await), Kind::AlreadyExists);
    assert_eq!(ann.tree("/").await, ["/a"]);
}
