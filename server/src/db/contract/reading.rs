//! Stories of reading mail: what is unread, in which order and in which parts, and what marks it.

use crate::db::contract::people::{Person, refused};
use crate::db::contract::{World, stories};
use crate::db::{NewMessage, PREVIEW_CHARS, Which};
use crate::error::Kind;
use crate::model::{Body, Message, MessageId};

stories! {
    unread_messages_come_oldest_first_in_parts
    a_part_ends_with_the_message_that_fills_it
    nothing_is_marked_by_being_read
    an_acknowledgement_counts_once
    a_foreign_id_marks_nothing
    reading_is_more_than_acknowledging
    a_range_is_acknowledged_in_parts
    messages_are_listed_the_newest_first
    a_list_is_cut_by_its_bytes_and_shows_beginnings
    a_message_is_found_by_number_by_id_and_as_the_last
    the_mail_of_others_is_not_found
}

async fn with_mail(world: &World, bodies: &[&str]) -> (Person, Person, Vec<MessageId>) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let mut ids = Vec::new();
    for body in bodies {
        ids.push(ann.send(&[&bob], body).await.id);
    }
    (ann, bob, ids)
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.number).collect()
}

async fn unread_messages_come_oldest_first_in_parts(world: &World) {
    let (_, bob, ids) = with_mail(world, &["1", "2", "3", "4", "5"]).await;
    bob.ack(&ids[2..3]).await.unwrap();
    let unread = async |range, limit| {
        numbers(&bob.db.unread(bob.id, range, limit, usize::MAX).await.unwrap())
    };
    assert_eq!(unread((0, 5), 9).await, [1, 2, 4, 5]);
    assert_eq!(unread((1, 4), 9).await, [2, 4], "after the first, up to the second");
    assert_eq!(unread((0, 5), 3).await, [1, 2, 4]);
    assert_eq!(unread((4, 5), 3).await, [5]);
    assert_eq!(unread((5, u64::MAX), 3).await, [0; 0]);
    assert_eq!(unread((u64::MAX, u64::MAX), 3).await, [0; 0]);
}

async fn a_part_ends_with_the_message_that_fills_it(world: &World) {
    let body = "x".repeat(1_000);
    let (_, bob, _) = with_mail(world, &[&body, &body, &body, &body]).await;
    let part =
        async |after, bytes| numbers(&bob.db.unread(bob.id, (after, 4), 9, bytes).await.unwrap());
    assert_eq!(part(0, 1).await, [1], "there is always one");
    assert_eq!(part(0, 2_000).await, [1, 2]);
    assert_eq!(part(2, 2_000).await, [3, 4]);
    assert_eq!(part(0, 1 << 20).await, [1, 2, 3, 4]);
}

async fn nothing_is_marked_by_being_read(world: &World) {
    let (ann, bob, ids) = with_mail(world, &["1", "2"]).await;
    let before = bob.db.start(bob.id).await.unwrap().modseq;
    bob.db.messages(bob.id, None, false, (9, 1_000)).await.unwrap();
    bob.db.message(bob.id, Which::Id(ids[0])).await.unwrap();
    ann.db.message(ann.id, Which::Id(ids[0])).await.unwrap();
    assert_eq!(bob.unread().await.len(), 2);
    assert!(bob.unread().await.iter().all(|message| message.unread));
    assert_eq!(bob.db.start(bob.id).await.unwrap().modseq, before);
}

async fn an_acknowledgement_counts_once(world: &World) {
    let (_, bob, ids) = with_mail(world, &["1", "2", "3"]).await;
    world.told();
    assert_eq!(bob.ack(&[ids[0], ids[2], ids[0]]).await.unwrap(), 2);
    assert_eq!(world.told(), [bob.id]);
    assert_eq!(numbers(&bob.unread().await), [2]);
    let before = bob.db.start(bob.id).await.unwrap().modseq;
    assert_eq!(bob.ack(&[ids[0], ids[2]]).await.unwrap(), 0);
    assert_eq!(bob.db.start(bob.id).await.unwrap().modseq, before, "and is no change");
    assert_eq!(bob.ack(&ids).await.unwrap(), 1);
    assert_eq!(bob.ack(&[]).await.unwrap(), 0);
    assert_eq!(bob.unread().await, []);
}

async fn a_foreign_id_marks_nothing(world: &World) {
    let (ann, bob, ids) = with_mail(world, &["1", "2"]).await;
    let to_ann = bob.send(&[&ann], "3").await.id;
    for foreign in [to_ann, MessageId::new()] {
        let answer = bob.ack(&[ids[0], foreign, ids[1]]).await;
        assert_eq!(refused(answer), Kind::NotFound);
        assert_eq!(bob.unread().await.len(), 2, "sent is not received");
    }
    assert_eq!(refused(ann.ack(&[ids[0]]).await), Kind::NotFound);
    assert_eq!(ann.unread().await.len(), 1);
}

async fn reading_is_more_than_acknowledging(world: &World) {
    let (_, bob, ids) = with_mail(world, &["1", "2"]).await;
    let read =
        async |ids: &[MessageId]| bob.db.ack(bob.id, ids.to_vec(), true, bob.now()).await.unwrap();
    assert_eq!(bob.ack(&ids[..1]).await.unwrap(), 1);
    let before = bob.db.start(bob.id).await.unwrap().modseq;
    assert_eq!(read(&ids).await, 1, "one was unread");
    let after = bob.db.start(bob.id).await.unwrap().modseq;
    assert_eq!(after.0, before.0 + 2, "both have been read only now");
    assert_eq!(read(&ids).await, 0);
    assert_eq!(bob.db.start(bob.id).await.unwrap().modseq, after);
}

async fn a_range_is_acknowledged_in_parts(world: &World) {
    let (_, bob, ids) = with_mail(world, &["1", "2", "3", "4", "5", "6"]).await;
    bob.ack(&ids[1..2]).await.unwrap();
    let ack = async |range, limit| bob.db.ack_range(bob.id, range, limit, bob.now()).await.unwrap();
    assert_eq!(ack((0, 5), 2).await, (2, Some(3)));
    assert_eq!(ack((3, 5), 2).await, (2, Some(5)));
    assert_eq!(ack((5, 5), 2).await, (0, None));
    assert_eq!(numbers(&bob.unread().await), [6], "what came after the range is unread");
    assert_eq!(ack((0, 5), 9).await, (0, None));
    assert_eq!(ack((u64::MAX, u64::MAX), 9).await, (0, None));
    assert_eq!(ack((0, u64::MAX), 9).await, (1, None));
}

async fn messages_are_listed_the_newest_first(world: &World) {
    let (ann, bob, ids) = with_mail(world, &["1", "2", "3", "4"]).await;
    bob.ack(&ids[2..3]).await.unwrap();
    let list = async |before, unread, limit| {
        let page = (limit, usize::MAX);
        numbers(&bob.db.messages(bob.id, before, unread, page).await.unwrap().0)
    };
    assert_eq!(list(None, false, 9).await, [4, 3, 2, 1]);
    assert_eq!(list(None, true, 9).await, [4, 2, 1]);
    assert_eq!(list(None, true, 2).await, [4, 2]);
    assert_eq!(list(Some(2), true, 2).await, [1]);
    assert_eq!(list(Some(4), false, 2).await, [3, 2]);
    assert_eq!(list(Some(u64::MAX), false, 1).await, [4]);
    assert_eq!(list(Some(0), false, 9).await, [0; 0]);
    let of_ann = ann.db.messages(ann.id, None, false, (9, 1_000)).await.unwrap();
    assert_eq!(of_ann, (vec![], false), "sent is not received");
}

async fn a_list_is_cut_by_its_bytes_and_shows_beginnings(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let body = "\u{e4}".repeat(10_000);
    for _ in 0..20 {
        ann.send(&[&bob], &body).await;
    }
    let list = async |before, bytes| {
        let page = bob.db.messages(bob.id, before, false, (9, bytes)).await.unwrap();
        (numbers(&page.0), page.1)
    };
    assert_eq!(
        list(None, 1_000).await,
        (vec![20, 19], true),
        "bodies count as far as they are shown"
    );
    assert_eq!(list(Some(19), 1_000).await, (vec![18, 17], true));
    assert_eq!(list(Some(3), 100_000).await, (vec![2, 1], false));
    let (listed, _) = bob.db.messages(bob.id, None, false, (1, 1_000)).await.unwrap();
    let shown = body.chars().take(PREVIEW_CHARS).collect();
    assert_eq!(listed[0].body, Body::Inline(shown));
    // A body that is a content counts for what must be read to show its beginning, and no more.
    let stored = ann.content(&vec![1; 1 << 20]).await;
    for _ in 0..3 {
        let message = NewMessage { body: Body::Stored(stored), ..ann.message(&[&bob], "") };
        ann.db.send(message).await.unwrap();
    }
    assert_eq!(list(None, 100_000).await, (vec![23, 22], true));
}

async fn a_message_is_found_by_number_by_id_and_as_the_last(world: &World) {
    let (ann, bob, ids) = with_mail(world, &["1", "2"]).await;
    let find = async |person: &Person, which| person.db.message(person.id, which).await;
    let first = find(&bob, Which::Number(1)).await.unwrap();
    assert_eq!((first.id, &first.body), (ids[0], &Body::Inline("1".to_owned())));
    assert_eq!(find(&bob, Which::Id(ids[0])).await.unwrap(), first);
    assert_eq!(find(&bob, Which::Last).await.unwrap().id, ids[1]);
    let sent = find(&ann, Which::Id(ids[0])).await.unwrap();
    assert_eq!((sent.number, sent.unread, sent.id), (0, false, ids[0]));
    assert_eq!((sent.body, sent.to), (first.body, vec!["bob".to_owned()]));
    for none in
        [Which::Number(0), Which::Number(3), Which::Number(u64::MAX), Which::Id(MessageId::new())]
    {
        assert_eq!(refused(find(&bob, none).await), Kind::NotFound, "{none:?}");
    }
    assert_eq!(refused(find(&ann, Which::Last).await), Kind::NotFound);
    let to_self = bob.send(&[&bob], "3").await.id;
    let message = find(&bob, Which::Id(to_self)).await.unwrap();
    assert_eq!((message.number, message.unread), (3, true), "as it was received");
}

async fn the_mail_of_others_is_not_found(world: &World) {
    let (_, bob, ids) = with_mail(world, &["1"]).await;
    let cid = world.account("cid").await;
    for which in [Which::Number(1), Which::Id(ids[0]), Which::Last] {
        let answer = cid.db.message(cid.id, which).await;
        assert_eq!(refused(answer), Kind::NotFound, "{which:?}");
    }
    assert_eq!(cid.unread().await, []);
    let listed = cid.db.messages(cid.id, None, false, (9, 1_000)).await.unwrap();
    assert_eq!(listed, (vec![], false));
    assert_eq!(cid.db.ack_range(cid.id, (0, 9), 9, cid.now()).await.unwrap(), (0, None));
    assert_eq!(bob.unread().await.len(), 1);
}
