//! Stories of looking: finding entries, and how much there is.

use crate::db::contract::people::{Person, file, folder, refused, symlink};
use crate::db::contract::{World, stories};
use crate::db::{Holdings, Measure, Position, StagedEntry, Stock};
use crate::error::{Kind, Result};
use crate::model::{Content, Filter, Kinds, NamePattern, Right};

stories! {
    entries_are_found_by_what_they_are
    a_search_goes_on_where_it_stopped
    a_page_of_a_search_looks_at_so_many
    nothing_is_found_that_may_not_be_seen
    what_is_below_is_measured
    an_account_holds_what_it_is_charged_for
    the_store_counts_each_chunk_once
}

fn named(pattern: &str) -> Filter {
    Filter { name: Some(NamePattern::parse(pattern, false, "name").unwrap()), ..Filter::default() }
}

async fn found(ann: &Person, at: &str, filter: &Filter, limit: usize) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut from = Position::Start;
    loop {
        let page = ann.db.find(ann.id.into(), &ann.at(at), filter.clone(), from, limit).await?;
        assert!(page.entries.len() <= limit);
        found.extend(page.entries.iter().map(|listed| listed.path.to_string()));
        match page.reached {
            Some(reached) => from = Position::After(reached),
            None => return Ok(found),
        }
    }
}

async fn some(world: &World) -> Person {
    let ann = world.account("ann").await;
    let (small, large) = (ann.content(b"1").await, ann.content(&[7; 1_000]).await);
    let at = |modified_ns, entry: StagedEntry| StagedEntry { modified_ns, ..entry };
    let entries = vec![
        at(10, folder("photos")),
        at(20, file("photos/a.jpg", large)),
        at(30, file("photos/b.JPG", small)),
        at(40, symlink("photos/latest", "a.jpg")),
        at(50, folder("texts")),
        at(60, file("texts/a.txt", small)),
        at(70, file("texts/empty", Content::empty())),
    ];
    ann.commit("/", entries).await.unwrap();
    ann.put("/gone.jpg", b"1").await;
    ann.rm("/gone.jpg").await;
    ann
}

async fn entries_are_found_by_what_they_are(world: &World) {
    let ann = some(world).await;
    let find = async |filter: Filter| found(&ann, "/", &filter, 99).await.unwrap();
    assert_eq!(find(Filter::default()).await, ann.tree("/").await);
    assert_eq!(find(named("*.jpg")).await, ["/photos/a.jpg"]);
    let any_case = NamePattern::parse("*.jpg", true, "name").unwrap();
    let any_case = Filter { name: Some(any_case), ..Filter::default() };
    assert_eq!(find(any_case).await, ["/photos/a.jpg", "/photos/b.JPG"]);
    assert_eq!(find(named("a.*")).await, ["/photos/a.jpg", "/texts/a.txt"]);
    let of = |files, folders, symlinks| Filter {
        kinds: Kinds { files, folders, symlinks },
        ..Filter::default()
    };
    assert_eq!(find(of(false, true, false)).await, ["/photos", "/texts"]);
    assert_eq!(find(of(false, false, true)).await, ["/photos/latest"]);
    assert_eq!(find(of(true, false, false)).await.len(), 4);
    let size = |size_min, size_max| Filter { size_min, size_max, ..Filter::default() };
    assert_eq!(find(size(Some(1_000), None)).await, ["/photos/a.jpg"]);
    assert_eq!(find(size(Some(1_001), None)).await, [] as [&str; 0]);
    assert_eq!(find(size(None, Some(0))).await, ["/texts/empty"]);
    assert_eq!(find(size(Some(1), Some(999))).await, ["/photos/b.JPG", "/texts/a.txt"]);
    let time = |modified_from, modified_before| Filter {
        modified_from,
        modified_before,
        ..Filter::default()
    };
    assert_eq!(find(time(Some(60), None)).await, ["/texts/a.txt", "/texts/empty"]);
    assert_eq!(find(time(Some(20), Some(40))).await, ["/photos/a.jpg", "/photos/b.JPG"]);
    let both = Filter { size_max: Some(1), ..named("a.*") };
    assert_eq!(find(both).await, ["/texts/a.txt"]);
    let below = found(&ann, "/texts", &named("a*"), 9).await.unwrap();
    assert_eq!(below, ["/texts/a.txt"]);
    let itself = found(&ann, "/photos/a.jpg", &named("*.jpg"), 9).await.unwrap();
    assert_eq!(itself, ["/photos/a.jpg"]);
    assert!(found(&ann, "/photos/a.jpg", &named("*.txt"), 9).await.unwrap().is_empty());
    assert_eq!(refused(found(&ann, "/absent", &named("*"), 9).await), Kind::NotFound);
}

async fn a_search_goes_on_where_it_stopped(world: &World) {
    let ann = some(world).await;
    for filter in [Filter::default(), named("a*"), named("*t*")] {
        let whole = found(&ann, "/", &filter, 99).await.unwrap();
        for limit in 1..4 {
            assert_eq!(found(&ann, "/", &filter, limit).await.unwrap(), whole, "{limit}");
        }
    }
    let page = ann.db.find(ann.id.into(), &ann.at("/"), named("a*"), Position::Start, 1).await;
    let reached = page.unwrap().reached.unwrap();
    ann.rm("/photos").await;
    let from = Position::After(reached.clone());
    let rest = ann.db.find(ann.id.into(), &ann.at("/"), named("a*"), from, 9).await.unwrap();
    assert_eq!(rest.entries.len(), 1, "what was there is gone meanwhile");
    let foreign = Position::After(reached);
    let refusal = ann.db.find(ann.id.into(), &ann.at("/texts"), named("a*"), foreign, 9).await;
    assert_eq!(refused(refusal.map(|page| page.entries)), Kind::InvalidArgument);
}

async fn a_page_of_a_search_looks_at_so_many(world: &World) {
    let ann = world.account("ann").await;
    for some in 0..42 {
        let entries = (0..500).map(|number| folder(&format!("{some:02}{number:03}"))).collect();
        ann.commit("/", entries).await.unwrap();
    }
    let page = ann.db.find(ann.id.into(), &ann.at("/"), named("none"), Position::Start, 9).await;
    let page = page.unwrap();
    assert!(page.entries.is_empty() && page.reached.is_some(), "it says how far it got");
    assert!(found(&ann, "/", &named("none"), 9).await.unwrap().is_empty());
    assert_eq!(found(&ann, "/", &named("41499"), 9).await.unwrap(), ["/41499"]);
}

async fn nothing_is_found_that_may_not_be_seen(world: &World) {
    let ann = some(world).await;
    let bob = world.account("bob").await;
    let visit = bob.visiting(&ann);
    let find = async |at: &str| {
        let page = bob.db.find(bob.id.into(), &visit.at(at), named("*"), Position::Start, 9).await;
        page.map(|page| page.entries.len())
    };
    assert_eq!(refused(find("/").await), Kind::NotFound);
    ann.share("/texts", "bob", Right::Read).await;
    assert_eq!(refused(find("/").await), Kind::NotFound);
    assert_eq!(find("/texts").await.unwrap(), 2);
    assert_eq!(refused(bob.db.measure(bob.id.into(), &visit.at("/photos")).await), Kind::NotFound);
    assert_eq!(bob.db.measure(bob.id.into(), &visit.at("/texts")).await.unwrap().files, 2);
}

async fn what_is_below_is_measured(world: &World) {
    let ann = some(world).await;
    ann.put("/texts/a.txt", b"longer").await;
    let measure = async |at: &str| ann.db.measure(ann.id.into(), &ann.at(at)).await;
    let all = Measure { files: 4, folders: 3, symlinks: 1, bytes: 1_007, version_bytes: 1 };
    assert_eq!(measure("/").await.unwrap(), all);
    let file = Measure { files: 1, bytes: 6, version_bytes: 1, ..Measure::default() };
    assert_eq!(measure("/texts/a.txt").await.unwrap(), file);
    let link = Measure { symlinks: 1, ..Measure::default() };
    assert_eq!(measure("/photos/latest").await.unwrap(), link);
    assert_eq!(refused(measure("/absent").await), Kind::NotFound);
}

async fn an_account_holds_what_it_is_charged_for(world: &World) {
    let (ann, bob) = (some(world).await, world.account("bob").await);
    ann.put("/texts/a.txt", b"longer").await;
    ann.rm("/texts").await;
    ann.send(&[&bob, &ann], "twelve bytes").await;
    let held = ann.db.holdings(ann.id).await.unwrap();
    let Holdings { usage, files, trash, versions, mail } = held;
    assert_eq!((files, trash, versions, mail), (1_001, 1 + 6, 1, 24));
    assert_eq!(usage.used, files + trash + versions + mail);
    assert_eq!(bob.db.holdings(bob.id).await.unwrap().mail, 12);
}

async fn the_store_counts_each_chunk_once(world: &World) {
    let (ann, bob) = (some(world).await, world.account("bob").await);
    bob.put("/a", &[7; 1_000]).await;
    let stock = ann.db.stock().await.unwrap();
    let Stock { accounts, chunks, chunk_bytes, logical_bytes, condemned_chunks, .. } = stock;
    assert_eq!((accounts, chunks, chunk_bytes, condemned_chunks), (2, 2, 1_001, 0));
    assert_eq!(logical_bytes, ann.used().await + bob.used().await);
    assert!(stock.entries > 8 && stock.metadata_bytes > 4_096);
}
