//! Stories of the writer: everybody is answered, what fails takes nobody with it, and what was answered
//! is there after a stop of any sort.

use std::fs;

use futures_util::future::{join_all, poll_immediate};
use tempfile::TempDir;

use crate::db::contract::people::{Person, content, refused};
use crate::db::contract::sessions::login;
use crate::db::contract::{WRITER_QUEUE_MAX, World, stories};
use crate::error::{Detail, Kind};
use crate::model::Modseq;

stories! {
    everybody_is_answered
    a_refused_job_takes_nothing_of_its_group
    a_full_queue_refuses
    what_nobody_waits_for_any_more_is_done
    a_restart_keeps_everything
    what_was_answered_survives_a_kill
    upkeep_goes_on_beside_everybody_else
}

async fn everybody_is_answered(world: &World) {
    let ann = world.account("ann").await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let ann = ann.clone();
            tokio::spawn(async move {
                let at = format!("/{}/{number}", number % 7);
                if number % 2 == 0 {
                    return ann.put(&at, b"1").await.generation;
                }
                let missing = ann.writing(&at, content(b"never sent"));
                assert_eq!(refused(ann.db.write_file(missing).await), Kind::ChunksMissing);
                ann.head().await
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap() <= ann.head().await);
    }
    assert_eq!((ann.tree("/").await.len(), ann.used().await), (50 + 7, 50));
}

async fn a_refused_job_takes_nothing_of_its_group(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"1").await;
    let write = |at: &str, content| ann.db.write_file(ann.writing(at, content));
    let hold = world.ears.hold();
    let mut first = write("/first", one);
    assert!(poll_immediate(&mut first).await.is_none());
    hold.until_it_waits().await;
    // These queue up behind it and become one group.
    let mut others = vec![
        write("/a", one),
        write("/new/folder/b", content(b"never sent")),
        write("/c", one),
        write("/a/below", one),
        write("/d", one),
    ];
    for job in &mut others {
        assert!(poll_immediate(job).await.is_none());
    }
    drop(hold);
    first.await.unwrap();
    let answers: Vec<_> =
        join_all(others).await.into_iter().map(|answer| answer.map_err(|e| e.kind())).collect();
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().copied()).collect();
    let expected = [None, Some(Kind::ChunksMissing), None, Some(Kind::FailedPrecondition), None];
    assert_eq!(kinds, expected);
    assert_eq!(ann.tree("/").await, ["/a", "/c", "/d", "/first"]);
}

async fn a_full_queue_refuses(world: &World) {
    let ann = world.account("ann").await;
    let make = |number: usize| {
        let ann = ann.clone();
        Box::pin(async move { ann.try_put(&format!("/{number:03}"), b"").await })
    };
    let hold = world.ears.hold();
    let mut first = make(999);
    assert!(poll_immediate(&mut first).await.is_none());
    hold.until_it_waits().await;
    let mut waiting: Vec<_> = (0..WRITER_QUEUE_MAX).map(make).collect();
    for job in &mut waiting {
        assert!(poll_immediate(job).await.is_none());
    }
    let error = make(998).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(matches!(error.details(), [Detail::Retry(_)]), "{:?}", error.details());
    assert_eq!(ann.ls("/").await.len(), 1, "who reads does not wait for who writes");
    drop(hold);
    first.await.unwrap();
    for answer in join_all(waiting).await {
        answer.unwrap();
    }
    make(998).await.unwrap();
    assert_eq!(ann.ls("/").await.len(), WRITER_QUEUE_MAX + 2);
}

async fn what_nobody_waits_for_any_more_is_done(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"1").await;
    let write = |at: &str| ann.db.write_file(ann.writing(at, one));
    let hold = world.ears.hold();
    let mut first = write("/first");
    assert!(poll_immediate(&mut first).await.is_none());
    hold.until_it_waits().await;
    let mut left = write("/left");
    assert!(poll_immediate(&mut left).await.is_none());
    drop(left);
    let mut last = write("/last");
    assert!(poll_immediate(&mut last).await.is_none());
    drop(hold);
    last.await.unwrap();
    first.await.unwrap();
    assert_eq!(ann.ls("/").await, ["/first", "/last", "/left"], "it was asked for");
}

/// What can be seen of a person's account.
async fn facts(ann: &Person) -> String {
    let session = ann.db.session([1; 32]).await.unwrap().map(|session| session.id);
    let (used, head, store) = (ann.used().await, ann.head().await, ann.db.store().await.unwrap());
    let tree = ann.tree("/").await;
    let (unread, news) = (ann.unread().await, ann.news(Modseq(0)).await);
    let missing = ann.missing(&[b"1", b"unknown"]).await;
    format!("{session:?} {used} {head:?} {store:?} {tree:?} {unread:?} {news:?} {missing:?}")
}

async fn something_of_all(world: &World) -> Person {
    let ann = world.account("ann").await;
    login(&ann, 1).await;
    ann.put("/a/b", b"1").await;
    ann.put("/a/b", b"2").await;
    ann.put("/gone", b"3").await;
    ann.rm("/gone").await;
    ann.send(&[&ann], "to myself").await;
    ann
}

async fn a_restart_keeps_everything(world: &World) {
    let ann = something_of_all(world).await;
    let (id, name) = (ann.id, ann.name.clone());
    let (before, head) = (facts(&ann).await, ann.head().await);
    drop(ann);
    for _again in 0..3 {
        world.reopen();
        let ann = world.person(id, name.clone());
        assert_eq!(facts(&ann).await, before);
    }
    let ann = world.person(id, name);
    assert!(ann.put("/gone", b"3").await.generation > head, "numbers go on");
}

async fn what_was_answered_survives_a_kill(world: &World) {
    let ann = something_of_all(world).await;
    let mut answered = facts(&ann).await;
    for round in 0..3 {
        // The writer stands still between a commit and its answer; what is on the disk is copied as a
        // kill would leave it, with nothing folded in or closed.
        let hold = world.ears.hold();
        let unanswered = format!("/unanswered{round}");
        let mut write = Box::pin(ann.try_put(&unanswered, b""));
        assert!(poll_immediate(&mut write).await.is_none());
        hold.until_it_waits().await;
        let killed = TempDir::new().unwrap();
        for file in fs::read_dir(world.dir.path()).unwrap() {
            let file = file.unwrap();
            // The shared memory does not outlive whoever shares it.
            if !file.file_name().to_string_lossy().ends_with("-shm") {
                fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
            }
        }
        drop(hold);
        write.await.unwrap();
        for _again in 0..2 {
            let mut copy = ann.clone();
            copy.db = world.open_in(killed.path());
            assert_eq!(copy.db.problems().await.unwrap(), Vec::<String>::new());
            copy.rm(&unanswered).await;
            copy.put(&unanswered, b"").await;
            assert_eq!(copy.tree("/").await, ann.tree("/").await);
            assert!(copy.head().await > ann.head().await, "numbers go on");
        }
        assert_ne!(facts(&ann).await, answered);
        answered = facts(&ann).await;
    }
}

async fn upkeep_goes_on_beside_everybody_else(world: &World) {
    let ann = world.account("ann").await;
    for number in 0..30 {
        ann.put(&format!("/old/{number}"), &[number]).await;
        ann.rm(&format!("/old/{number}")).await;
    }
    let (writer, keeper) = (ann.clone(), ann.clone());
    let writing = tokio::spawn(async move {
        for number in 0..60 {
            writer.put(&format!("/new/{number}"), &[number]).await;
        }
    });
    let keeping = tokio::spawn(async move {
        let mut purged = 0;
        while keeper.db.purge_trash(i64::MAX).await.unwrap() {
            purged += 1;
        }
        purged
    });
    writing.await.unwrap();
    assert_eq!(keeping.await.unwrap(), 30);
    assert_eq!((ann.used().await, ann.ls("/new").await.len()), (60, 60));
}
