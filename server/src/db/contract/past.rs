//! Stories of what was: earlier versions, the trash, and the last commit of a tree.

use crate::db::contract::people::{
    Person, content, file, folder, path, refused, request, symlink, version,
};
use crate::db::contract::{World, stories};
use crate::db::{Restoration, Reversion, StagedEntry, Undo, Undone};
use crate::error::{Kind, Result};
use crate::model::{Condition, Entry, EntryId, Mode, Right, VersionId};

stories! {
    versions_are_listed_the_newest_first
    only_so_many_versions_of_a_file_are_kept
    versions_are_kept_for_a_time
    a_version_comes_back_as_a_new_one
    a_version_comes_back_when_it_may
    what_was_removed_comes_back_to_its_place
    what_was_removed_comes_back_to_another_place
    what_stands_is_not_replaced_by_what_comes_back
    what_comes_back_goes_after_its_folder
    what_comes_back_has_a_path_within_the_limits
    the_trash_is_its_owners
    the_trash_is_listed_in_pages
    emptying_the_trash_sets_room_free
    undoing_takes_a_new_tree_away
    undoing_puts_back_what_was_replaced
    undoing_finds_the_last_commit_of_the_tree
    undoing_is_all_or_nothing
    undoing_reaches_nothing_outside_of_the_tree
    undoing_needs_what_was_before
    undoing_is_for_who_may_write
    undoing_twice_is_once
}

fn reversion(ann: &Person, at: &str, version: Option<VersionId>) -> Reversion {
    let (by, at, now) = (ann.id, ann.at(at), ann.now());
    Reversion { by, request: None, at, version, condition: Condition::default(), now }
}

async fn revert(ann: &Person, at: &str, version: Option<VersionId>) -> Result<Entry> {
    ann.db.revert(reversion(ann, at, version)).await
}

/// The generations of a file's versions and whether each is a past one.
async fn generations(ann: &Person, at: &str) -> Vec<(i64, bool)> {
    let found = ann.db.file_versions(ann.id, &ann.at(at), None, 99).await.unwrap();
    found.iter().map(|version| (version.generation.0, version.replaced_at.is_some())).collect()
}

fn restoration(ann: &Person, id: EntryId, target: Option<&str>) -> Restoration {
    let (account, now) = (ann.id, ann.now());
    Restoration { account, request: None, id, target: target.map(path), now }
}

async fn restore(ann: &Person, id: EntryId, target: Option<&str>) -> Result<String> {
    ann.db.restore(restoration(ann, id, target)).await.map(|back| back.path.to_string())
}

/// Where what is in the trash stood.
async fn trash(ann: &Person) -> Vec<String> {
    let found = ann.db.trash(ann.id, None, 99).await.unwrap();
    found.iter().map(|removed| removed.path.to_string()).collect()
}

async fn undo(ann: &Person, at: &str) -> Result<Undone> {
    ann.db.undo(Undo { by: ann.id, request: None, at: ann.at(at), now: ann.now() }).await
}

async fn versions_are_listed_the_newest_first(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let mut put = Vec::new();
    for text in ["one", "two", "three"] {
        world.later(1_000);
        put.push(ann.put("/a/file", text.as_bytes()).await);
    }
    let list = async |before, limit| {
        ann.db.file_versions(ann.id, &ann.at("/a/file"), before, limit).await.unwrap()
    };
    let all = list(None, 99).await;
    let ids: Vec<_> = put.iter().rev().map(version).collect();
    assert_eq!(all.iter().map(|version| version.id).collect::<Vec<_>>(), ids);
    assert_eq!(all[0].replaced_at, None);
    assert_eq!(all[1].replaced_at, Some(ann.now()), "when the third took its place");
    assert_eq!((all[2].content, all[2].mode), (content(b"one"), Mode::FILE));
    assert_eq!(list(None, 2).await, all[..2]);
    assert_eq!(list(Some(all[1].generation), 2).await, all[2..]);
    assert_eq!(list(Some(all[0].generation), 1).await, all[1..2]);
    assert_eq!(list(Some(all[2].generation), 9).await, []);
    let visit = bob.visiting(&ann);
    let seen = async || bob.db.file_versions(bob.id, &visit.at("/a/file"), None, 9).await;
    assert_eq!(refused(seen().await), Kind::NotFound);
    ann.share("/a", "bob", Right::Read).await;
    assert_eq!(seen().await.unwrap(), all);
    ann.mv("/a/file", "/b").await.unwrap();
    assert_eq!(ann.db.file_versions(ann.id, &ann.at("/b"), None, 9).await.unwrap(), all);
    let of_folder = ann.db.file_versions(ann.id, &ann.at("/a"), None, 9).await;
    assert_eq!(refused(of_folder), Kind::FailedPrecondition);
}

async fn only_so_many_versions_of_a_file_are_kept(world: &World) {
    let ann = world.account("ann").await;
    let mut put = Vec::new();
    for number in 0..103_u8 {
        put.push(ann.put("/file", &[number; 10]).await);
    }
    ann.put("/other", b"1").await;
    ann.put("/other", b"2").await;
    let kept: Vec<_> = put.iter().rev().take(101).map(|entry| entry.generation.0).collect();
    let found = ann.db.file_versions(ann.id, &ann.at("/file"), None, 999).await.unwrap();
    assert_eq!(found.iter().map(|version| version.generation.0).collect::<Vec<_>>(), kept);
    assert_eq!(ann.used().await, 1_010 + 2, "the current one, and a hundred before");
    assert_eq!(refused(ann.db.version(ann.id.into(), version(&put[1])).await), Kind::NotFound);
    assert!(ann.db.version(ann.id.into(), version(&put[2])).await.is_ok());
}

async fn versions_are_kept_for_a_time(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    for (number, person) in [&ann, &bob, &ann].into_iter().enumerate() {
        for text in [b"1", b"2", b"3"] {
            world.later(1_000);
            person.put(&format!("/{number}"), text).await;
        }
    }
    let before = ann.now() - 2_500;
    let expire = async |rows| ann.db.expire_past(before, i64::MIN, rows).await.unwrap();
    assert_eq!((expire(3).await, expire(3).await, expire(3).await), (3, 1, 0));
    assert_eq!((ann.used().await, bob.used().await), (4, 1));
    assert_eq!(generations(&ann, "/0").await.len(), 1);
    assert_eq!(generations(&ann, "/2").await.len(), 3, "replaced later");
}

async fn a_version_comes_back_as_a_new_one(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.put("/file", b"one").await;
    let entry = StagedEntry { mode: Mode::FOLDER, modified_ns: 9, ..file("file", content(b"two")) };
    ann.content(b"two").await;
    ann.commit("/", vec![entry]).await.unwrap();
    let back = revert(&ann, "/file", Some(version(&one))).await.unwrap();
    assert_eq!(back, ann.stat("/file").await.unwrap());
    assert_eq!((back.id, back.mode, back.modified_ns), (one.id, one.mode, one.modified_ns));
    assert!(back.generation > one.generation && version(&back) != version(&one));
    assert_eq!(generations(&ann, "/file").await.len(), 3);
    assert_eq!(ann.used().await, 9);
    let again = revert(&ann, "/file", Some(version(&one))).await.unwrap();
    assert_eq!(again, back, "it is what stands there");
    assert_eq!(revert(&ann, "/file", Some(version(&back))).await.unwrap(), back);
    let two = revert(&ann, "/file", None).await.unwrap();
    assert_eq!((two.mode, two.modified_ns), (Mode::FOLDER, 9), "the one before");
    let once = Some(request(1));
    let reversion = || Reversion { request: once, ..reversion(&ann, "/file", None) };
    let first = ann.db.revert(reversion()).await.unwrap();
    assert_eq!(ann.db.revert(reversion()).await.unwrap(), first, "the same request");
}

async fn a_version_comes_back_when_it_may(world: &World) {
    let (ann, bob) = (world.account_with("ann", 11).await, world.account("bob").await);
    let one = ann.put("/file", b"one").await;
    assert_eq!(refused(revert(&ann, "/file", None).await), Kind::FailedPrecondition, "no earlier");
    let two = ann.put("/file", b"two").await;
    let other = ann.put("/other", b"3").await;
    for id in [VersionId::new(), version(&other)] {
        assert_eq!(refused(revert(&ann, "/file", Some(id)).await), Kind::NotFound);
    }
    assert_eq!(refused(revert(&ann, "/absent", None).await), Kind::NotFound);
    assert_eq!(refused(revert(&ann, "/", None).await), Kind::FailedPrecondition);
    let visit = bob.visiting(&ann);
    let by_bob =
        |version| Reversion { by: bob.id, at: visit.at("/file"), ..reversion(&ann, "/", version) };
    assert_eq!(refused(bob.db.revert(by_bob(None)).await), Kind::NotFound);
    ann.share("/file", "bob", Right::Read).await;
    assert_eq!(refused(bob.db.revert(by_bob(None)).await), Kind::PermissionDenied);
    ann.share("/file", "bob", Right::Write).await;
    let generation = two.generation.0.unsigned_abs();
    let if_generation =
        |number| Reversion { condition: Condition::generation(number), ..by_bob(None) };
    let refusal = bob.db.revert(if_generation(generation + 1)).await;
    assert_eq!(refused(refusal), Kind::GenerationMismatch);
    let back = bob.db.revert(if_generation(generation)).await.unwrap();
    assert!(back.generation > two.generation);
    assert_eq!((ann.used().await, bob.used().await), (10, 0));
    // The oldest version makes room for what comes back, unless it is the one.
    let again = revert(&ann, "/file", Some(version(&one))).await.unwrap();
    assert_eq!(again, back, "its content stands there already");
    revert(&ann, "/file", Some(version(&two))).await.unwrap();
    assert!(ann.used().await <= 11);
}

async fn what_was_removed_comes_back_to_its_place(world: &World) {
    let ann = world.account("ann").await;
    let before = ann.put("/a/b/file", b"one").await;
    ann.put("/a/b/file", b"two").await;
    ann.put("/a/other", b"3").await;
    let folder = ann.stat("/a/b").await.unwrap();
    ann.rm("/a/b").await;
    world.later(1_000);
    ann.rm("/a/other").await;
    let listed = ann.db.trash(ann.id, None, 9).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|r| (r.path.to_string(), r.size, r.removed_at)).collect();
    let now = ann.now();
    let expected = [("/a/other".to_owned(), Some(1), now), ("/a/b".to_owned(), None, now - 1_000)];
    assert_eq!(shown, expected);
    assert_eq!(listed[1].id, folder.id);
    world.told();
    assert_eq!(restore(&ann, folder.id, None).await.unwrap(), "/a/b");
    assert_eq!(world.told(), [ann.id]);
    assert_eq!(ann.tree("/").await, ["/a", "/a/b", "/a/b/file"]);
    let back = ann.stat("/a/b/file").await.unwrap();
    assert_eq!((back.id, generations(&ann, "/a/b/file").await.len()), (before.id, 2));
    assert_eq!((ann.used().await, trash(&ann).await), (7, vec!["/a/other".to_owned()]));
    assert_eq!(refused(restore(&ann, folder.id, None).await), Kind::NotFound, "it is back");
    assert_eq!(refused(restore(&ann, back.id, None).await), Kind::NotFound, "never removed");
}

async fn what_was_removed_comes_back_to_another_place(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/file", b"one").await;
    let file = ann.rm("/a/file").await;
    assert_eq!(restore(&ann, file, Some("/x/y/z")).await.unwrap(), "/x/y/z");
    let once = Some(request(1));
    let folder = ann.rm("/x").await;
    let again = || Restoration { request: once, ..restoration(&ann, folder, Some("/b")) };
    let first = ann.db.restore(again()).await.unwrap();
    assert_eq!(ann.db.restore(again()).await.unwrap(), first, "the same request");
    assert_eq!(ann.tree("/").await, ["/a", "/b", "/b/y", "/b/y/z"]);
    let gone = ann.rm("/b").await;
    assert_eq!(refused(restore(&ann, gone, Some("/")).await), Kind::InvalidArgument);
    let inside = restore(&ann, gone, Some("/b/inside")).await.unwrap();
    assert_eq!((inside.as_str(), ann.tree("/b").await.len()), ("/b/inside", 3));
}

async fn what_stands_is_not_replaced_by_what_comes_back(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/file", b"one").await;
    let removed = ann.rm("/a/file").await;
    ann.put("/a/file", b"two").await;
    ann.put("/a/File2", b"2").await;
    assert_eq!(refused(restore(&ann, removed, None).await), Kind::AlreadyExists);
    assert_eq!(refused(restore(&ann, removed, Some("/a")).await), Kind::AlreadyExists);
    assert_eq!(refused(restore(&ann, removed, Some("/a/file2")).await), Kind::NameTwin);
    let below = restore(&ann, removed, Some("/a/file/x")).await;
    assert_eq!(refused(below), Kind::FailedPrecondition);
    assert_eq!(ann.tree("/").await, ["/a", "/a/file", "/a/File2"]);
    let second = ann.rm("/a/file").await;
    assert_eq!(trash(&ann).await, ["/a/file", "/a/file"]);
    restore(&ann, removed, None).await.unwrap();
    assert_eq!(refused(restore(&ann, second, None).await), Kind::AlreadyExists);
}

async fn what_comes_back_goes_after_its_folder(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/b/file", b"one").await;
    let file = ann.rm("/a/b/file").await;
    ann.mv("/a/b", "/c").await.unwrap();
    assert_eq!(trash(&ann).await, ["/c/file"], "where its folder is now");
    let folder = ann.rm("/c").await;
    assert_eq!(restore(&ann, file, None).await.unwrap(), "/c/file");
    assert_eq!(ann.tree("/").await, ["/a", "/c", "/c/file"], "in a folder made anew");
    assert_eq!(refused(restore(&ann, folder, None).await), Kind::AlreadyExists);
    restore(&ann, folder, Some("/old")).await.unwrap();
    assert_eq!(ann.tree("/old").await, [] as [&str; 0]);
}

async fn what_comes_back_has_a_path_within_the_limits(world: &World) {
    let ann = world.account("ann").await;
    let deep = "/d".repeat(100);
    ann.put(&format!("{deep}/file"), b"1").await;
    let removed = ann.rm("/d").await;
    let too_deep = restore(&ann, removed, Some(&"/e".repeat(29))).await;
    assert_eq!(refused(too_deep), Kind::InvalidArgument);
    assert!(!ann.stands("/e").await);
    restore(&ann, removed, Some(&"/e".repeat(28))).await.unwrap();
}

async fn the_trash_is_its_owners(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a/file", b"one").await;
    ann.share("/a", "bob", Right::Write).await;
    let removed = bob.visiting(&ann).rm("/a/file").await.unwrap();
    assert_eq!(trash(&bob).await, [] as [&str; 0]);
    assert_eq!(refused(restore(&bob, removed, None).await), Kind::NotFound);
    assert_eq!(refused(bob.db.empty_trash(bob.id, Some(removed)).await), Kind::NotFound);
    assert_eq!(trash(&ann).await, ["/a/file"]);
    restore(&ann, removed, None).await.unwrap();
    assert!(bob.visiting(&ann).stat("/a/file").await.is_ok(), "shared as before");
}

async fn the_trash_is_listed_in_pages(world: &World) {
    let ann = world.account("ann").await;
    for number in 0..7 {
        let at = format!("/{number}");
        ann.put(&at, b"1").await;
        ann.rm(&at).await;
        world.later(number % 2);
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = ann.db.trash(ann.id, before, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.removed_at, last.id));
        seen.extend(page.iter().map(|removed| removed.path.to_string()));
    }
    assert_eq!(seen, trash(&ann).await);
    assert_eq!((seen.len(), seen[0].as_str()), (7, "/6"));
}

async fn emptying_the_trash_sets_room_free(world: &World) {
    let ann = world.account("ann").await;
    let mut entries = vec![folder("d")];
    let one = ann.content(b"one").await;
    entries.extend((0..600).map(|number| file(&format!("d/{number:03}"), one)));
    ann.commit("/", entries).await.unwrap();
    ann.put("/file", b"12").await;
    ann.put("/file", b"1234").await;
    ann.put("/kept", b"1").await;
    let (tree, file) = (ann.rm("/d").await, ann.rm("/file").await);
    let mut freed = 0;
    let mut jobs = 0;
    loop {
        let some = ann.db.empty_trash(ann.id, Some(tree)).await.unwrap();
        (freed, jobs) = (freed + some.bytes, jobs + 1);
        if !some.more {
            break;
        }
    }
    assert_eq!((freed, jobs > 1, ann.used().await), (1_800, true, 7));
    assert_eq!(trash(&ann).await, ["/file"]);
    assert_eq!(refused(ann.db.empty_trash(ann.id, Some(tree)).await), Kind::NotFound);
    while ann.db.empty_trash(ann.id, None).await.unwrap().more {}
    assert_eq!((ann.used().await, trash(&ann).await.len()), (1, 0));
    assert_eq!(refused(restore(&ann, file, None).await), Kind::NotFound);
    assert_eq!(ann.tree("/").await, ["/kept"]);
}

async fn undoing_takes_a_new_tree_away(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let many = || (0..7).map(|number| file(&number.to_string(), one)).collect::<Vec<_>>();
    ann.stage(ann.plan("/x/tree"), many()).await.unwrap();
    ann.put("/x/beside", b"1").await;
    assert_eq!(refused(undo(&ann, "/x").await), Kind::Aborted, "it made /x, and more came to it");
    let undone = undo(&ann, "/x/tree").await;
    assert_eq!(refused(undone), Kind::Aborted);
    ann.rm("/x").await;
    ann.stage(ann.plan("/y"), many()).await.unwrap();
    let undone = undo(&ann, "/").await.unwrap();
    assert_eq!((undone.removed, undone.restored, undone.adjusted), (1, 0, 0));
    assert_eq!((undone.base.to_string().as_str(), undone.committed_at), ("/y", ann.now()));
    assert_eq!((ann.tree("/").await.len(), trash(&ann).await[0].as_str()), (0, "/y"));
    assert_eq!(ann.used().await, 21 + 1 + 21, "nothing is lost by it");
}

async fn undoing_puts_back_what_was_replaced(world: &World) {
    let ann = world.account("ann").await;
    let [one, two] = [ann.content(b"one").await, ann.content(b"two").await];
    let first = vec![
        folder("d"),
        file("d/changed", one),
        file("d/same", one),
        StagedEntry { modified_ns: 7, ..file("d/touched", one) },
        symlink("d/link", "there"),
        file("d/kind", one),
    ];
    ann.commit("/t", first).await.unwrap();
    let shape = async || {
        let page =
            ann.db.list(ann.id.into(), &ann.at("/t"), true, crate::db::Position::Start, 99).await;
        let facts = |l: crate::db::Listed| {
            let Entry { id, mode, modified_ns, node, .. } = l.entry;
            let node = match node {
                crate::model::Node::File { content, .. } => format!("{content:?}"),
                other => format!("{other:?}"),
            };
            (l.path.to_string(), id, mode, modified_ns, node)
        };
        page.unwrap().entries.into_iter().map(facts).collect::<Vec<_>>()
    };
    let before = shape().await;
    let second = vec![
        StagedEntry { modified_ns: 99, mode: Mode::FILE, ..folder("d") },
        StagedEntry { modified_ns: 99, ..file("d/changed", two) },
        file("d/same", one),
        StagedEntry { modified_ns: 8, ..file("d/touched", one) },
        symlink("d/link", "elsewhere"),
        symlink("d/kind", "a link now"),
        file("d/new/file", one),
    ];
    for staged in [false, true] {
        let plan = ann.plan("/t");
        let outcome = match staged {
            true => ann.stage(plan, second.clone()).await.unwrap(),
            false => ann.db.commit(plan, second.clone()).await.unwrap(),
        };
        assert_eq!(outcome.changed, 6);
        let used = ann.used().await;
        let undone = undo(&ann, "/t").await.unwrap();
        assert_eq!((undone.removed, undone.restored, undone.adjusted), (3, 3, 2), "{staged}");
        assert_eq!(undone.base.to_string(), "/t");
        assert_eq!(shape().await, before, "{staged}");
        assert!(ann.used().await >= used);
    }
    assert_eq!(refused(undo(&ann, "/t").await), Kind::Aborted, "the first one has changed since");
}

async fn undoing_reaches_nothing_outside_of_the_tree(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    for whither in ["out", "to the trash"] {
        ann.put("/t/sub/old", b"1").await;
        let entries = vec![file("sub/old", one), file("sub/new", one)];
        ann.commit("/t", entries).await.unwrap();
        match whither {
            "out" => drop(ann.mv("/t/sub", "/private").await.unwrap()),
            _ => drop(ann.rm("/t/sub").await),
        }
        assert_eq!(refused(undo(&ann, "/t").await), Kind::Aborted, "{whither}");
        if whither == "out" {
            assert_eq!(ann.tree("/private").await, ["/private/new", "/private/old"]);
            // Where it is in the tree still, it is undone there.
            ann.mv("/private", "/t/moved").await.unwrap();
            undo(&ann, "/t").await.unwrap();
            assert_eq!(ann.tree("/t").await, ["/t/moved", "/t/moved/old"]);
            ann.rm("/t").await;
        }
    }
}

async fn undoing_finds_the_last_commit_of_the_tree(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    for base in ["/a", "/a/b", "/c"] {
        ann.commit(base, vec![file("file", one)]).await.unwrap();
    }
    assert_eq!(undo(&ann, "/a").await.unwrap().base.to_string(), "/a/b");
    assert_eq!(ann.tree("/").await, ["/a", "/a/file", "/c", "/c/file"]);
    assert_eq!(undo(&ann, "/").await.unwrap().base.to_string(), "/c");
    assert_eq!(undo(&ann, "/a").await.unwrap().removed, 1);
    assert_eq!(ann.tree("/").await, [] as [&str; 0]);
    assert_eq!(refused(undo(&ann, "/").await), Kind::FailedPrecondition, "there is no more");
    assert_eq!(refused(undo(&ann, "/a").await), Kind::NotFound);
    // What changes nothing is no commit to be undone.
    ann.commit("/d", vec![file("file", one)]).await.unwrap();
    ann.commit("/d", vec![file("file", one)]).await.unwrap();
    assert_eq!(undo(&ann, "/d").await.unwrap().removed, 1);
    ann.commit("/e", vec![file("file", one)]).await.unwrap();
    assert_eq!(ann.db.expire_past(i64::MIN, ann.now() + 1, 9).await.unwrap(), 1);
    assert_eq!(refused(undo(&ann, "/e").await), Kind::FailedPrecondition, "it is forgotten");
}

async fn undoing_is_all_or_nothing(world: &World) {
    let ann = world.account("ann").await;
    let [one, two] = [ann.content(b"one").await, ann.content(b"two").await];
    type Later = fn(&Person) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>>;
    let laters: [(&str, Later); 6] = [
        ("changed", |ann| Box::pin(async { drop(ann.put("/t/old", b"3").await) })),
        ("removed", |ann| Box::pin(async { _ = ann.rm("/t/new").await })),
        ("moved", |ann| Box::pin(async { drop(ann.mv("/t/d/in", "/t/elsewhere").await) })),
        ("moved away", |ann| Box::pin(async { drop(ann.mv("/t/d", "/d").await) })),
        ("added to", |ann| Box::pin(async { drop(ann.put("/t/d/x/y", b"3").await) })),
        ("moved in", |ann| Box::pin(async { drop(ann.mv("/beside", "/t/d/beside").await) })),
    ];
    for (what, later) in laters {
        ann.commit("/t", vec![file("old", one)]).await.unwrap();
        ann.put("/beside", b"1").await;
        let second = vec![file("old", two), file("new", one), folder("d"), file("d/in", one)];
        ann.commit("/t", second).await.unwrap();
        later(&ann).await;
        let before = ann.tree("/").await;
        assert_eq!(refused(undo(&ann, "/").await), Kind::Aborted, "{what}");
        assert_eq!(ann.tree("/").await, before, "{what}");
        for top in ann.ls("/").await {
            ann.rm(&top).await;
        }
    }
    ann.commit("/t", vec![file("old", one), file("beside", one)]).await.unwrap();
    ann.commit("/t", vec![file("old", two), file("new", one)]).await.unwrap();
    ann.put("/t/beside", b"other things go on").await;
    ann.put("/t/more", b"there too").await;
    assert_eq!(undo(&ann, "/t").await.unwrap().restored, 1);
    assert_eq!(ann.tree("/t").await, ["/t/beside", "/t/more", "/t/old"]);
}

async fn undoing_needs_what_was_before(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/t/file", b"one").await;
    let two = ann.content(b"two").await;
    ann.commit("/t", vec![file("file", two), file("new", two)]).await.unwrap();
    world.later(1);
    ann.db.expire_past(ann.now(), i64::MIN, 9).await.unwrap();
    assert_eq!(refused(undo(&ann, "/t").await), Kind::FailedPrecondition);
    assert_eq!(ann.tree("/t").await, ["/t/file", "/t/new"], "nothing was undone");
}

async fn undoing_is_for_who_may_write(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let one = ann.content(b"one").await;
    ann.commit("/t/d", vec![file("file", one)]).await.unwrap();
    let visit = bob.visiting(&ann);
    let by_bob = async |at: &str| {
        bob.db.undo(Undo { by: bob.id, request: None, at: visit.at(at), now: bob.now() }).await
    };
    assert_eq!(refused(by_bob("/t/d").await), Kind::NotFound);
    ann.share("/t/d", "bob", Right::Read).await;
    assert_eq!(refused(by_bob("/t/d").await), Kind::PermissionDenied);
    ann.share("/t/d", "bob", Right::Write).await;
    assert_eq!(refused(by_bob("/t").await), Kind::NotFound);
    let two = bob.content(b"two").await;
    bob.db.commit(visit.plan("/t/d"), vec![file("file", two)]).await.unwrap();
    assert_eq!(by_bob("/t/d").await.unwrap().restored, 1);
    assert_eq!((ann.used().await, bob.used().await), (9, 0));
}

async fn undoing_twice_is_once(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    ann.commit("/t", vec![file("a", one)]).await.unwrap();
    ann.commit("/t", vec![file("b", one)]).await.unwrap();
    let once = Some(request(1));
    let again = || Undo { by: ann.id, request: once, at: ann.at("/t"), now: ann.now() };
    let first = ann.db.undo(again()).await.unwrap();
    assert_eq!(ann.db.undo(again()).await.unwrap(), first);
    assert_eq!(ann.tree("/t").await, ["/t/a"]);
}
