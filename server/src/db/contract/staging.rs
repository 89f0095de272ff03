//! Stories of new trees that are staged in parts: nobody sees anything of them until they are published,
//! and then all of it.

use crate::db::contract::people::{Person, content, file, folder, path, refused, request, symlink};
use crate::db::contract::{World, stories};
use crate::db::{CommitPlan, Position, Request, StagedEntry};
use crate::error::Kind;
use crate::model::{ChunkHash, Condition, Content, Mode, UploadId, VersionId};

stories! {
    a_staged_tree_is_seen_by_nobody_until_it_is_published
    what_appears_at_the_base_meanwhile_is_not_overwritten
    a_staged_tree_asks_for_what_a_commit_asks_for
    a_name_comes_once_in_a_new_tree
    a_new_tree_is_held_to_the_quota
    a_published_tree_is_given_the_first_answer_again
    a_tree_that_must_be_new_is_given_the_first_answer_too
    an_abandoned_tree_leaves_nothing
    what_is_being_abandoned_is_never_published
    commits_under_way_are_listed_by_when_they_began
    abandoning_what_was_published_does_nothing
}

async fn tree_of(ann: &Person) -> Vec<StagedEntry> {
    let (one, two) = (ann.content(b"one").await, ann.content(b"two2").await);
    let long = ann.long(&[b"three", b"four"]).await;
    vec![
        StagedEntry { modified_ns: 9, ..folder("") },
        folder("a"),
        file("a/one", one),
        file("a/two", two),
        folder("a/b"),
        file("a/b/long", long),
        symlink("a/b/link", "../one"),
        file("last", one),
    ]
}

const PATHS: [&str; 8] = [
    "/x/y",
    "/x/y/a",
    "/x/y/a/b",
    "/x/y/a/b/link",
    "/x/y/a/b/long",
    "/x/y/a/one",
    "/x/y/a/two",
    "/x/y/last",
];

async fn a_staged_tree_is_seen_by_nobody_until_it_is_published(world: &World) {
    let ann = world.account("ann").await;
    let before = ann.put("/x/before", b"before").await;
    let start = ann.db.start(ann.id).await.unwrap().modseq;
    let plan = ann.plan("/x/y");
    world.told();
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    for some in tree_of(&ann).await.chunks(3) {
        ann.db.stage(&staged, &plan, some.to_vec()).await.unwrap();
        assert!(!ann.stands("/x/y").await && !ann.stands("/x/y/a").await);
        assert_eq!(ann.tree("/").await, ["/x", "/x/before"]);
        assert_eq!(ann.used().await, before.node.size());
        let problems = ann.db.problems().await.unwrap();
        assert_eq!(problems, Vec::<String>::new(), "what is staged is no problem");
    }
    assert_eq!(world.told(), [], "whoever looked would see nothing new");
    assert_eq!(ann.news(start).await, Vec::<String>::new());
    let outcome = ann.db.publish(&staged, plan).await.unwrap();
    assert_eq!((outcome.changed, outcome.unchanged), (8, 0));
    assert_eq!(ann.tree("/x/y").await, PATHS[1..]);
    assert_eq!(ann.used().await, 6 + 3 + 4 + 9 + 3);
    let top = ann.stat("/x/y").await.unwrap();
    assert_eq!((top.modseq, top.modified_ns), (outcome.modseq, 9));
    assert_eq!(outcome.modseq, ann.db.start(ann.id).await.unwrap().modseq);
    assert_eq!(world.told(), [ann.id]);
}

async fn what_appears_at_the_base_meanwhile_is_not_overwritten(world: &World) {
    let ann = world.account("ann").await;
    for (made, kind) in [("/x/y", Kind::Aborted), ("/x/Y", Kind::Aborted), ("/X", Kind::NameTwin)] {
        let plan = ann.plan("/x/y");
        let staged = ann.db.stage_open(plan.clone()).await.unwrap();
        ann.db.stage(&staged, &plan, tree_of(&ann).await).await.unwrap();
        ann.put(made, b"1").await;
        let used = ann.used().await;
        assert_eq!(refused(ann.db.publish(&staged, plan.clone()).await), kind, "{made}");
        assert_eq!(ann.used().await, used);
        let top = path(made).names()[0].to_string();
        ann.rm(&format!("/{top}")).await;
        ann.db.publish(&staged, plan).await.unwrap();
        ann.rm("/x").await;
    }
}

async fn a_staged_tree_asks_for_what_a_commit_asks_for(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    let asking = |if_generation| StagedEntry {
        condition: Condition::generation(if_generation),
        ..file("a", one)
    };
    for (name, wrong, kind) in [
        ("chunks that are missing", file("z", content(b"never sent")), Kind::ChunksMissing),
        ("a generation", asking(5), Kind::GenerationMismatch),
        ("the base as a file", file("", one), Kind::InvalidArgument),
        ("a path too deep", file(&vec!["b"; 128].join("/"), one), Kind::InvalidArgument),
    ] {
        let entries = vec![folder("new"), wrong];
        assert_eq!(refused(ann.db.stage(&staged, &plan, entries).await), kind, "{name}");
    }
    ann.db.stage(&staged, &plan, vec![asking(0)]).await.unwrap();
    assert_eq!(ann.db.publish(&staged, plan).await.unwrap().changed, 1);
    assert_eq!(ann.tree("/").await, ["/x", "/x/a"], "nothing is left of the jobs that failed");
}

async fn a_name_comes_once_in_a_new_tree(world: &World) {
    let ann = world.account("ann").await;
    let (one, two) = (ann.content(b"one").await, ann.content(b"two").await);
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    let stage = async |entry| ann.db.stage(&staged, &plan, vec![entry]).await;
    stage(file("d/a", one)).await.unwrap();
    // A folder that was only implied so far may still be described.
    let mode = Mode::parse(0o700, "mode").unwrap();
    stage(StagedEntry { mode, ..folder("d") }).await.unwrap();
    for (wrong, kind) in [
        (file("d/a", one), Kind::InvalidArgument),
        (file("d/a", two), Kind::InvalidArgument),
        (symlink("d/a", "there"), Kind::InvalidArgument),
        (folder("d/a"), Kind::InvalidArgument),
        (file("d", one), Kind::InvalidArgument),
        (file("d/A", one), Kind::NameTwin),
        (file("d/a/b", one), Kind::FailedPrecondition),
    ] {
        let named = format!("{wrong:?}");
        assert_eq!(refused(stage(wrong).await), kind, "{named}");
    }
    assert_eq!(ann.db.problems().await.unwrap(), Vec::<String>::new());
    ann.db.publish(&staged, plan).await.unwrap();
    assert_eq!(ann.tree("/").await, ["/x", "/x/d", "/x/d/a"]);
    assert_eq!((ann.used().await, ann.stat("/x/d").await.unwrap().mode), (3, mode));
}

async fn a_new_tree_is_held_to_the_quota(world: &World) {
    let ann = world.account_with("ann", 10).await;
    let upload = UploadId::new();
    ann.fill(upload, &[b"fives", b"other"]).await.unwrap();
    let plan = || CommitPlan { upload: Some(upload), ..ann.plan("/x") };
    let staged = ann.db.stage_open(plan()).await.unwrap();
    let five = content(b"fives");
    let stage = async |at: &str| ann.db.stage(&staged, &plan(), vec![file(at, five)]).await;
    for at in ["a", "b", "c"] {
        stage(at).await.unwrap();
    }
    assert_eq!(refused(ann.db.publish(&staged, plan()).await), Kind::QuotaExceeded);
    assert_eq!((ann.used().await, ann.stands("/x").await), (0, false));
    assert!(ann.db.oldest_lease().await.unwrap().is_some(), "the upload goes on");
    ann.db.set_quota(&ann.name, Some(15)).await.unwrap();
    ann.db.publish(&staged, plan()).await.unwrap();
    assert_eq!(ann.used().await, 15);
    assert!(ann.db.oldest_lease().await.unwrap().is_none());
}

fn once(content: u8) -> Option<Request> {
    Some(request(content))
}

async fn a_published_tree_is_given_the_first_answer_again(world: &World) {
    let ann = world.account("ann").await;
    let plan = CommitPlan { request: once(1), ..ann.plan("/x/y") };
    let first = ann.stage(plan.clone(), tree_of(&ann).await).await.unwrap();
    let again = ann.stage(plan.clone(), tree_of(&ann).await).await.unwrap();
    assert_eq!((again.changed, again.modseq), (first.changed, first.modseq));
    assert_eq!(ann.tree("/x/y").await, PATHS[1..]);
    let other = plan.request.map(|request| Request { digest: [2; 32], ..request });
    let reused = ann.stage(CommitPlan { request: other, ..plan.clone() }, Vec::new()).await;
    assert_eq!(refused(reused), Kind::RequestIdReused);
    // Gone meanwhile, and sent once more: still the first answer, and nothing is put back.
    ann.rm("/x").await;
    let again = ann.stage(plan, tree_of(&ann).await).await.unwrap();
    assert_eq!((again.modseq, ann.stands("/x").await), (first.modseq, false));
    for commit in ann.db.abandoned(i64::MAX).await.unwrap() {
        while ann.db.abandon(commit, 2).await.unwrap() {}
    }
}

async fn a_tree_that_must_be_new_is_given_the_first_answer_too(world: &World) {
    let ann = world.account("ann").await;
    let plan = CommitPlan { request: once(1), if_absent: true, ..ann.plan("/x/y") };
    // What is known of a request when staging begins is its id at most.
    let open = CommitPlan { request: None, ..plan.clone() };
    let stage = async |plan: &CommitPlan| {
        let staged = ann.db.stage_open(open.clone()).await?;
        ann.db.stage(&staged, &open, tree_of(&ann).await).await?;
        ann.db.publish(&staged, plan.clone()).await
    };
    let first = stage(&plan).await.unwrap();
    let again = stage(&plan).await.unwrap();
    assert_eq!((again.changed, again.modseq), (first.changed, first.modseq));
    let another = CommitPlan { request: once(1), ..plan };
    assert_eq!(refused(stage(&another).await), Kind::Aborted);
    assert_eq!(refused(stage(&open).await), Kind::Aborted);
    assert_eq!(ann.tree("/x/y").await, PATHS[1..]);
}

async fn an_abandoned_tree_leaves_nothing(world: &World) {
    let ann = world.account("ann").await;
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    let mut entries = tree_of(&ann).await;
    entries.push(file("only/here", ann.content(b"only here").await));
    ann.db.stage(&staged, &plan, entries).await.unwrap();
    let referred = async || {
        let (seen, names) = std::sync::mpsc::channel();
        let visit = Box::new(move |name: ChunkHash| seen.send(name).unwrap());
        ann.db.references(visit).await.unwrap();
        names.into_iter().any(|name| name == ChunkHash::of(b"only here"))
    };
    assert!(referred().await, "what is staged is referred to");
    let mut rounds = 1;
    while ann.db.abandon(staged.id, 2).await.unwrap() {
        rounds += 1;
        assert_eq!(ann.db.problems().await.unwrap(), Vec::<String>::new());
    }
    assert_eq!(rounds, 5, "nine rows and the top, two at a time");
    assert!(!referred().await);
    assert_eq!(ann.used().await, 0);
    assert_eq!(refused(ann.db.publish(&staged, plan.clone()).await), Kind::Aborted);
    let more = ann.db.stage(&staged, &plan, vec![folder("a")]).await;
    assert_eq!(refused(more), Kind::Aborted);
    assert_eq!(ann.db.abandoned(i64::MAX).await.unwrap(), []);
}

async fn what_is_being_abandoned_is_never_published(world: &World) {
    let ann = world.account("ann").await;
    let plan = ann.plan("/x");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    ann.db.stage(&staged, &plan, tree_of(&ann).await).await.unwrap();
    assert!(ann.db.abandon(staged.id, 2).await.unwrap(), "there is more to drop");
    assert_eq!(refused(ann.db.publish(&staged, plan.clone()).await), Kind::Aborted);
    let more = ann.db.stage(&staged, &plan, vec![file("z", Content::empty())]).await;
    assert_eq!(refused(more), Kind::Aborted);
    assert!(!ann.stands("/x").await);
    assert_eq!(ann.db.abandoned(i64::MAX).await.unwrap(), [staged.id], "it is still to be dropped");
    while ann.db.abandon(staged.id, 2).await.unwrap() {}
}

async fn commits_under_way_are_listed_by_when_they_began(world: &World) {
    let ann = world.account("ann").await;
    ann.mkdir("/standing").await;
    let first = ann.db.stage_open(ann.plan("/x")).await.unwrap();
    world.later(10);
    let second = ann.db.stage_open(ann.plan("/standing")).await.unwrap();
    assert!(first.top.is_some() && second.top.is_none());
    let now = world.now();
    assert_eq!(ann.db.abandoned(now).await.unwrap(), [first.id]);
    assert_eq!(ann.db.abandoned(now - 10).await.unwrap(), []);
    let mut all = ann.db.abandoned(i64::MAX).await.unwrap();
    all.sort_unstable();
    assert_eq!(all, [first.id, second.id]);
    for id in all {
        assert!(!ann.db.abandon(id, 500).await.unwrap());
    }
    assert_eq!(ann.db.abandoned(i64::MAX).await.unwrap(), []);
}

async fn abandoning_what_was_published_does_nothing(world: &World) {
    let ann = world.account("ann").await;
    let plan = ann.plan("/x/y");
    let staged = ann.db.stage_open(plan.clone()).await.unwrap();
    ann.db.stage(&staged, &plan, tree_of(&ann).await).await.unwrap();
    let top = staged.top.unwrap();
    ann.db.publish(&staged, plan.clone()).await.unwrap();
    assert!(!ann.db.abandon(staged.id, 500).await.unwrap());
    assert_eq!(ann.tree("/x/y").await, PATHS[1..]);
    assert_eq!(ann.stat("/x/y").await.unwrap().id, top);
    assert_eq!(refused(ann.db.publish(&staged, plan).await), Kind::Aborted, "once is enough");
    let page = ann.db.list(ann.id.into(), &ann.at("/"), true, Position::Start, 99).await.unwrap();
    let unseen = ann.db.versions(ann.id.into(), vec![VersionId::new()]).await.unwrap();
    assert_eq!((page.entries.len(), unseen), (9, vec![None]));
}
