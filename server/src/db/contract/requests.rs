//! Stories of requests that are made twice: one effect, the first answer again, for seven days.

use crate::db::contract::people::{content, file, refused, request};
use crate::db::contract::{World, stories};
use crate::db::{CommitPlan, FileWrite, NewMessage, REQUEST_KEPT_MS, Relocation, Removal, Request};
use crate::error::Kind;
use crate::model::UploadId;

stories! {
    a_write_made_twice_is_made_once
    a_move_a_copy_and_a_removal_made_twice_are_made_once
    a_message_sent_twice_is_sent_once
    a_commit_made_twice_is_made_once
    a_request_id_stands_for_one_content
    what_was_refused_can_be_asked_for_again
    many_at_once_with_one_id_are_one
    answers_are_forgotten_after_seven_days
}

async fn a_write_made_twice_is_made_once(world: &World) {
    let ann = world.account("ann").await;
    let once = Some(request(1));
    let one = ann.content(b"one").await;
    let write = || FileWrite { request: once, ..ann.writing("/a", one) };
    let first = ann.db.write_file(write()).await.unwrap();
    let second = ann.put("/a", b"two").await;
    world.later(1_000);
    assert_eq!(ann.db.write_file(write()).await.unwrap(), first, "the first answer");
    assert_eq!(ann.stat("/a").await.unwrap(), second, "and nothing else");
    assert_eq!(ann.used().await, 6);
}

async fn a_move_a_copy_and_a_removal_made_twice_are_made_once(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"1").await;
    let (once, copy, removal) = (Some(request(1)), Some(request(2)), Some(request(3)));
    let mv = || Relocation { request: once, ..ann.relocation("/a", "/b") };
    let moved = ann.db.move_entry(mv()).await.unwrap();
    assert_eq!(ann.db.move_entry(mv()).await.unwrap(), moved);
    let cp = || Relocation { request: copy, ..ann.relocation("/b", "/c") };
    let copied = ann.db.copy_entry(cp()).await.unwrap();
    assert_eq!(ann.db.copy_entry(cp()).await.unwrap(), copied);
    let rm = || Removal { request: removal, ..ann.removal("/c") };
    let removed = ann.db.remove(rm()).await.unwrap();
    ann.put("/c", b"2").await;
    assert_eq!(ann.db.remove(rm()).await.unwrap(), removed);
    assert_eq!(ann.tree("/").await, ["/b", "/c"], "its successor was not meant");
}

async fn a_message_sent_twice_is_sent_once(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let once = Some(request(1));
    let message = || NewMessage { request: once, ..ann.message(&[&bob], "hello") };
    let first = ann.db.send(message()).await.unwrap();
    world.later(1_000);
    let again = ann.db.send(message()).await.unwrap();
    assert_eq!((again.id, again.thread, again.sent_at), (first.id, first.thread, first.sent_at));
    assert_eq!(again.recipients, first.recipients);
    assert_eq!(bob.unread().await.len(), 1);
}

async fn a_commit_made_twice_is_made_once(world: &World) {
    let ann = world.account("ann").await;
    let one = ann.content(b"one").await;
    let once = Some(request(1));
    let commit = async |content| {
        let plan = CommitPlan { request: once, if_absent: true, ..ann.plan("/base") };
        ann.db.commit(plan, vec![file("a", content)]).await
    };
    let first = commit(one).await.unwrap();
    ann.put("/base/a", b"two").await;
    let again = commit(one).await.unwrap();
    assert_eq!((again.changed, again.modseq), (first.changed, first.modseq));
    assert_eq!(again.entries, first.entries);
    assert_eq!(ann.used().await, 6);
}

async fn a_request_id_stands_for_one_content(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let first = request(1);
    let other = Some(Request { digest: [2; 32], ..first });
    let mv = |request| Relocation { request, ..ann.relocation("/a", "/b") };
    ann.put("/a", b"1").await;
    ann.db.move_entry(mv(Some(first))).await.unwrap();
    assert_eq!(refused(ann.db.move_entry(mv(other)).await), Kind::RequestIdReused);
    let rm = Removal { request: other, ..ann.removal("/b") };
    assert_eq!(refused(ann.db.remove(rm).await), Kind::RequestIdReused);
    assert!(ann.stands("/b").await);
    bob.put("/a", b"1").await;
    let of_bob = Relocation { request: other, ..bob.relocation("/a", "/b") };
    bob.db.move_entry(of_bob).await.unwrap();
    assert!(bob.stands("/b").await, "ids of different accounts have nothing in common");
}

async fn what_was_refused_can_be_asked_for_again(world: &World) {
    let ann = world.account("ann").await;
    let (once, upload) = (Some(request(1)), UploadId::new());
    let write =
        || FileWrite { request: once, upload: Some(upload), ..ann.writing("/a", content(b"one")) };
    assert_eq!(refused(ann.db.write_file(write()).await), Kind::ChunksMissing);
    ann.fill(upload, &[b"one"]).await.unwrap();
    let written = ann.db.write_file(write()).await.unwrap();
    assert_eq!(ann.stat("/a").await.unwrap(), written);
}

async fn many_at_once_with_one_id_are_one(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let once = Some(request(1));
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let (ann, bob) = (ann.clone(), bob.clone());
            tokio::spawn(async move {
                let message = NewMessage { request: once, ..ann.message(&[&bob], "hello") };
                ann.db.send(message).await.unwrap().id
            })
        })
        .collect();
    let mut ids = Vec::new();
    for send in sends {
        ids.push(send.await.unwrap());
    }
    ids.dedup();
    assert_eq!((ids.len(), bob.unread().await.len()), (1, 1));
}

async fn answers_are_forgotten_after_seven_days(world: &World) {
    let ann = world.account("ann").await;
    let made_at = world.now();
    let writes: Vec<Request> = (0..5).map(request).collect();
    let one = ann.content(b"one").await;
    let write = async |request: Request| {
        let at = format!("/{}", u8::from(request.id == writes[0].id));
        let write = FileWrite { request: Some(request), ..ann.writing(&at, one) };
        ann.db.write_file(write).await.unwrap()
    };
    for request in &writes {
        write(*request).await;
    }
    let forget = async |before, limit| ann.db.forget_requests(before, limit).await.unwrap();
    world.later(REQUEST_KEPT_MS);
    assert_eq!(forget(world.now() - REQUEST_KEPT_MS, 100).await, 0);
    world.later(1);
    assert_eq!(forget(world.now() - REQUEST_KEPT_MS, 3).await, 3);
    assert_eq!(forget(world.now() - REQUEST_KEPT_MS, 3).await, 2);
    assert_eq!(forget(made_at + 1, 3).await, 0);
    ann.rm("/1").await;
    let again = write(writes[0]).await;
    assert_eq!(ann.stat("/1").await.unwrap(), again, "a new request");
}
