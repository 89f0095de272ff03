//! Stories of listings: whatever the tree, the page and the place where it goes on, nothing is left out,
//! nothing comes twice, and all of it is in order.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::sample::{select, subsequence};
use tokio::runtime::Runtime;

use crate::db::contract::people::{Person, content, file, folder, path, paths, refused, symlink};
use crate::db::contract::{SQLITE, World, stories};
use crate::db::{Position, StagedEntry};
use crate::error::Kind;
use crate::model::{FileName, TreePath};

stories! {
    a_folder_is_listed_in_the_order_of_its_folded_names
    a_file_lists_itself
    what_cannot_be_listed_is_not_found
    a_page_goes_on_inside_a_folder_that_was_renamed
    a_page_of_another_folder_is_no_place_to_go_on_from
    more_rows_than_are_fetched_at_once_are_listed
    a_page_of_long_paths_and_targets_is_cut_by_its_bytes
}

/// No two of them fold together; by their keys: 0 a a-b a.b aa b c z ~ ä é.
const NAMES: [&str; 11] = ["0", "a", "a-b", "A.b", "aa", "B", "c", "Z", "~", "\u{e4}", "\u{c9}"];

/// The whole listing, in pages of this size.
async fn page_by_page(person: &Person, at: &str, recursive: bool, size: usize) -> Vec<String> {
    let (mut from, mut listed) = (Position::Start, Vec::new());
    loop {
        let page =
            person.db.list(person.id.into(), &person.at(at), recursive, from, size).await.unwrap();
        assert!(page.entries.len() <= size);
        listed.extend(paths(&page));
        assert!(listed.len() < 10_000, "it goes round in circles");
        match page.entries.last() {
            Some(last) if page.more => from = Position::After(last.path.clone()),
            _ => return listed,
        }
    }
}

async fn after(person: &Person, at: &str, recursive: bool, last: &TreePath) -> Vec<String> {
    let from = Position::After(last.clone());
    paths(&person.db.list(person.id.into(), &person.at(at), recursive, from, 10_000).await.unwrap())
}

/// What the order of two paths must be: that of the folded names, from the top.
fn key(at: &str) -> Vec<String> {
    path(at).names().iter().map(FileName::key).collect()
}

/// Folders and files at random: paths of up to three names, each in at most one role.
fn trees() -> impl Strategy<Value = Vec<StagedEntry>> {
    let name = || select(&NAMES[..5]);
    let paths = vec(vec(name(), 1..4), 0..14);
    (paths, subsequence(NAMES.to_vec(), 0..5), any::<u16>()).prop_map(|(deep, top, kinds)| {
        let mut all: Vec<String> = deep.into_iter().map(|names| names.join("/")).collect();
        all.extend(top.into_iter().map(str::to_owned));
        all.sort();
        all.dedup();
        let is_above = |at: &str| all.iter().any(|other| other.starts_with(&format!("{at}/")));
        let made = all.iter().enumerate().map(|(number, at)| {
            let folded = is_above(at) || kinds >> (number % 16) & 1 == 1;
            if folded { folder(at) } else { file(at, content(b"")) }
        });
        made.collect()
    })
}

/// All paths that such a commit makes, in the order they must be listed.
fn expected(entries: &[StagedEntry]) -> Vec<String> {
    let mut all = BTreeSet::new();
    for entry in entries {
        let names = entry.path.names();
        for depth in 1..=names.len() {
            all.insert(TreePath::from(names[..depth].to_vec()).to_string());
        }
    }
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort_by_key(|at| key(at));
    all
}

async fn check_tree(world: &World, entries: Vec<StagedEntry>, vanishing: usize) {
    let ann = world.account("ann").await;
    let all = expected(&entries);
    ann.commit("/", entries).await.unwrap();
    let top: Vec<String> = all.iter().filter(|at| at.matches('/').count() == 1).cloned().collect();
    for size in 1..=all.len() + 1 {
        assert_eq!(page_by_page(&ann, "/", true, size).await, all, "in pages of {size}");
        assert_eq!(page_by_page(&ann, "/", false, size).await, top, "in pages of {size}");
    }
    for (number, last) in all.iter().enumerate() {
        assert_eq!(after(&ann, "/", true, &path(last)).await, all[number + 1..], "after {last}");
    }
    let Some(gone) = all.get(vanishing % all.len().max(1)) else { return };
    ann.rm(gone).await;
    let below = format!("{gone}/");
    let stays: Vec<&String> =
        all.iter().filter(|at| *at != gone && !at.starts_with(&below)).collect();
    for last in &all {
        let expected: Vec<&String> =
            stays.iter().copied().filter(|at| key(at) > key(last)).collect();
        let found = after(&ann, "/", true, &path(last)).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "after {last}, without {gone}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn every_page_and_every_place_give_the_whole_listing(
        entries in trees(),
        vanishing in any::<usize>(),
    ) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let world = World::new(&SQLITE);
            check_tree(&world, entries, vanishing).await;
            world.finish().await;
        });
    }
}

async fn a_folder_is_listed_in_the_order_of_its_folded_names(world: &World) {
    let ann = world.account("ann").await;
    let entries = NAMES.iter().rev().map(|name| folder(name)).collect();
    ann.commit("/f", entries).await.unwrap();
    ann.put("/f/a/below", b"1").await;
    ann.put("/other", b"2").await;
    let expected: Vec<String> = NAMES.iter().map(|name| format!("/f/{name}")).collect();
    assert_eq!(ann.ls("/f").await, expected);
    assert_eq!(ann.ls("/").await, ["/f", "/other"]);
    let page =
        ann.db.list(ann.id.into(), &ann.at("/f"), false, Position::Start, 100).await.unwrap();
    assert_eq!(page.modseq, ann.db.start(ann.id).await.unwrap().modseq);
    assert_eq!(page.entries[1].entry, ann.stat("/f/a").await.unwrap());
}

async fn a_file_lists_itself(world: &World) {
    let ann = world.account("ann").await;
    let entry = ann.put("/a/b", b"1").await;
    for recursive in [false, true] {
        let listed =
            ann.db.list(ann.id.into(), &ann.at("/a/b"), recursive, Position::Start, 9).await;
        let listed = listed.unwrap();
        assert_eq!(paths(&listed), ["/a/b"]);
        assert_eq!((&listed.entries[0].entry, listed.more), (&entry, false));
        assert_eq!(after(&ann, "/a/b", recursive, &path("/a/b")).await, Vec::<String>::new());
    }
}

async fn what_cannot_be_listed_is_not_found(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a/b", b"1").await;
    for (person, at) in [(&ann, "/none"), (&ann, "/a/b/c"), (&ann, "/A"), (&bob, "/a")] {
        let listed =
            person.db.list(person.id.into(), &person.at(at), true, Position::Start, 9).await;
        assert_eq!(refused(listed), Kind::NotFound, "{at}");
    }
    assert_eq!(bob.tree("/").await, Vec::<String>::new());
    ann.rm("/a").await;
    let listed = ann.db.list(ann.id.into(), &ann.at("/a"), true, Position::Start, 9).await;
    assert_eq!(refused(listed), Kind::NotFound);
}

async fn a_page_goes_on_inside_a_folder_that_was_renamed(world: &World) {
    let ann = world.account("ann").await;
    for at in ["/docs/a", "/docs/b", "/docs/c", "/e"] {
        ann.put(at, b"1").await;
    }
    ann.mv("/docs", "/Docs").await.unwrap();
    let rest = after(&ann, "/", true, &path("/docs/a")).await;
    assert_eq!(rest, ["/Docs/b", "/Docs/c", "/e"], "its place in the order is the same");
    ann.mv("/Docs", "/f").await.unwrap();
    assert_eq!(
        after(&ann, "/", true, &path("/docs/a")).await,
        ["/e", "/f", "/f/a", "/f/b", "/f/c"]
    );
}

async fn a_page_of_another_folder_is_no_place_to_go_on_from(world: &World) {
    let ann = world.account("ann").await;
    for at in ["/a/b/c", "/a/d", "/e/a"] {
        ann.put(at, b"1").await;
    }
    let list = async |at: &str, recursive, last: &str| {
        let from = Position::After(path(last));
        ann.db.list(ann.id.into(), &ann.at(at), recursive, from, 9).await
    };
    for recursive in [false, true] {
        assert_eq!(refused(list("/e", recursive, "/a/b").await), Kind::InvalidArgument);
    }
    // A place too deep for this listing goes on after the folder that is in the way.
    assert_eq!(paths(&list("/", false, "/a/b/c").await.unwrap()), ["/e"]);
    assert_eq!(paths(&list("/", true, "/a/b/c/x").await.unwrap()), ["/a/d", "/e", "/e/a"]);
}

async fn a_page_of_long_paths_and_targets_is_cut_by_its_bytes(world: &World) {
    let ann = world.account("ann").await;
    let target = "t".repeat(4_000);
    let links = (0..1_000).map(|number| symlink(&format!("{number:04}"), &target));
    ann.commit("/links", links.collect()).await.unwrap();
    let page =
        ann.db.list(ann.id.into(), &ann.at("/links"), false, Position::Start, 5_000).await.unwrap();
    assert!(page.more && (400..600).contains(&page.entries.len()), "{}", page.entries.len());
    let all: Vec<String> = (0..1_000).map(|number| format!("/links/{number:04}")).collect();
    assert!(page_by_page(&ann, "/links", true, 5_000).await == all);
}

async fn more_rows_than_are_fetched_at_once_are_listed(world: &World) {
    let ann = world.account("ann").await;
    let entries = (0..1_300).map(|number| file(&format!("{number:04}"), content(b"")));
    ann.commit("/many", entries.collect()).await.unwrap();
    let all: Vec<String> = (0..1_300).map(|number| format!("/many/{number:04}")).collect();
    for size in [1_300, 1_299, 700, 512, 511] {
        assert!(page_by_page(&ann, "/many", false, size).await == all, "in pages of {size}");
    }
    let page =
        ann.db.list(ann.id.into(), &ann.at("/many"), false, Position::Start, 1_301).await.unwrap();
    assert!(!page.more && page.entries.len() == 1_300);
}
