//! Stories of sending: who gets a message, what it costs whom, what goes with it.

use crate::db::contract::people::{Person, attached, content, refused, symlink};
use crate::db::contract::{World, named, stories};
use crate::db::{AttachmentSource, NewMessage, Which};
use crate::error::Kind;
use crate::model::{
    Attachment, Body, ChunkHash, Content, ManifestKey, MessageId, RecipientState, UploadId,
};

stories! {
    a_message_comes_to_all_of_its_recipients
    numbers_rise_in_each_account
    whoever_cannot_get_it_is_named_and_nobody_gets_it
    a_recipient_named_twice_gets_it_once
    a_full_recipient_refuses_and_the_others_get_it
    what_a_recipient_refuses_costs_it_nothing
    what_nobody_gets_is_not_kept
    sender_and_recipients_are_charged
    an_attachment_by_path_is_the_file_as_it_was
    an_attachment_by_content_needs_its_chunks
    a_long_text_is_a_content
    an_attachment_is_read_by_those_who_have_its_message
    a_reply_joins_the_conversation
    many_senders_at_once_get_numbers_of_their_own
}

async fn a_message_comes_to_all_of_its_recipients(world: &World) {
    let people =
        [world.account("Ann").await, world.account("bob").await, world.account("cid").await];
    let [ann, bob, cid] = &people;
    world.later(5);
    let names = vec![named("BOB"), named("cid")];
    let message = NewMessage { to: names, ..ann.message(&[], "hello") };
    world.told();
    let sent = ann.db.send(message).await.unwrap();
    assert_eq!((sent.sent_at, world.told()), (world.now(), vec![bob.id, cid.id]));
    let states: Vec<_> = sent.recipients.iter().map(|r| (r.account.as_str(), r.state)).collect();
    let delivered = RecipientState::Delivered;
    assert_eq!(states, [("bob", delivered), ("cid", delivered)], "as they write themselves");
    for person in [bob, cid] {
        let got = person.unread().await;
        assert_eq!(got.len(), 1);
        let message = &got[0];
        assert_eq!((message.id, message.thread, message.number), (sent.id, sent.thread, 1));
        assert_eq!((message.from.as_str(), message.unread), ("Ann", true));
        assert_eq!(message.to, ["BOB", "cid"], "as it was written");
        assert_eq!((message.subject.as_str(), message.sent_at), ("a subject", world.now()));
        assert_eq!(message.body, Body::Inline("hello".to_owned()));
        assert_eq!((message.attachments.len(), message.in_reply_to), (0, None));
    }
    assert_eq!(ann.unread().await, []);
}

async fn numbers_rise_in_each_account(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    assert_eq!(bob.db.last_number(bob.id).await.unwrap(), 0);
    let numbers = async |person: &Person| {
        person.unread().await.iter().map(|message| message.number).collect::<Vec<_>>()
    };
    ann.send(&[&bob], "1").await;
    bob.put("/file", b"1").await;
    ann.send(&[&bob, &ann], "2").await;
    bob.send(&[&bob], "3").await;
    assert_eq!(numbers(&bob).await, [1, 2, 3], "files have other numbers");
    assert_eq!(numbers(&ann).await, [1]);
    assert_eq!(bob.db.last_number(bob.id).await.unwrap(), 3);
}

async fn whoever_cannot_get_it_is_named_and_nobody_gets_it(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let gone = world.account("gone").await;
    gone.db.set_disabled(&gone.name, true, world.now()).await.unwrap();
    let to = [&bob.name, &named("nobody"), &gone.name, &named("Neither")].map(Clone::clone);
    let before = bob.db.start(bob.id).await.unwrap().modseq;
    world.told();
    let message = NewMessage { to: to.to_vec(), ..ann.message(&[], "hello") };
    let error = ann.db.send(message).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownRecipient);
    for name in ["nobody", "gone", "Neither"] {
        assert!(error.message().contains(name), "{}", error.message());
    }
    assert!(!error.message().contains("bob"), "{}", error.message());
    assert_eq!((bob.unread().await, ann.used().await), (vec![], 0));
    assert_eq!((bob.db.start(bob.id).await.unwrap().modseq, world.told()), (before, vec![]));
}

async fn a_recipient_named_twice_gets_it_once(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let to = vec![named("bob"), named("BOB"), named("bob")];
    let sent = ann.db.send(NewMessage { to, ..ann.message(&[], "12345") }).await.unwrap();
    assert_eq!((sent.recipients.len(), bob.unread().await.len()), (1, 1));
    assert_eq!(bob.unread().await[0].to, ["bob"], "and is told so once");
    assert_eq!(bob.used().await, 5);
}

async fn a_full_recipient_refuses_and_the_others_get_it(world: &World) {
    let ann = world.account("ann").await;
    let (bob, cid) = (world.account_with("bob", 4).await, world.account_with("cid", 5).await);
    let sent = ann.send(&[&bob, &cid], "12345").await;
    let states: Vec<_> = sent.recipients.iter().map(|recipient| recipient.state).collect();
    assert_eq!(states, [RecipientState::Refused, RecipientState::Delivered]);
    assert_eq!((bob.unread().await.len(), cid.unread().await.len()), (0, 1));
    assert_eq!([ann.used().await, bob.used().await, cid.used().await], [5, 0, 5]);
    assert_eq!(bob.db.last_number(bob.id).await.unwrap(), 0, "no number is lost");
    assert!(bob.db.message(bob.id, Which::Id(sent.id)).await.is_err());
    let empty = ann.send(&[&cid], "").await;
    assert_eq!(empty.recipients[0].state, RecipientState::Delivered, "nothing always fits");
}

async fn what_a_recipient_refuses_costs_it_nothing(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account_with("bob", 10).await);
    bob.put("/live", b"1234").await;
    bob.put("/v", b"1").await;
    bob.put("/v", b"2").await;
    bob.put("/trash", b"3").await;
    bob.rm("/trash").await;
    bob.fill(UploadId::new(), &[b"4"]).await.unwrap();
    world.later(120_000);
    let sent = ann.send(&[&bob, &ann], "seven..").await;
    assert_eq!(sent.recipients[0].state, RecipientState::Refused);
    assert_eq!(bob.used().await, 7, "neither trash nor past versions went for it");
    assert_eq!(bob.db.end_leases(i64::MAX, i64::MIN).await.unwrap(), 1, "nor the upload");
    let sent = ann.send(&[&bob], "four").await;
    assert_eq!(sent.recipients[0].state, RecipientState::Delivered, "for what fits they go");
    assert_eq!(bob.used().await, 10);
}

async fn what_nobody_gets_is_not_kept(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account_with("bob", 4).await);
    ann.put("/file", b"attached").await;
    let attachments = vec![attached("f", AttachmentSource::Path(ann.at("/file")))];
    let message = NewMessage { attachments, ..ann.message(&[&bob], "12345") };
    let sent = ann.db.send(message).await.unwrap();
    assert_eq!(sent.recipients[0].state, RecipientState::Refused);
    assert_eq!(ann.used().await, 8, "the file alone");
    let kept = ann.db.message(ann.id, Which::Id(sent.id)).await;
    assert_eq!(refused(kept), Kind::NotFound, "else it would hold bytes that nobody pays for");
    assert_eq!(refused(ann.db.attachment(ann.id, sent.id, 0).await), Kind::NotFound);
}

async fn sender_and_recipients_are_charged(world: &World) {
    let ann = world.account_with("ann", 100).await;
    let (bob, cid) = (world.account("bob").await, world.account("cid").await);
    ann.put("/file", &[1; 30]).await;
    let attachments = || vec![attached("f", AttachmentSource::Path(ann.at("/file")))];
    let message =
        |body: &str| NewMessage { attachments: attachments(), ..ann.message(&[&bob, &cid], body) };
    ann.db.send(message("12345")).await.unwrap();
    assert_eq!(ann.used().await, 30 + 35, "body and attachments once");
    assert_eq!([bob.used().await, cid.used().await], [5, 5], "the body alone");
    let error = ann.db.send(message("123456")).await;
    assert_eq!(refused(error), Kind::QuotaExceeded);
    assert_eq!((bob.unread().await.len(), ann.used().await), (1, 65));
    ann.db.send(message("12345")).await.unwrap();
    assert_eq!(ann.used().await, 100, "at the quota");
}

async fn an_attachment_by_path_is_the_file_as_it_was(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/d/file", b"first").await;
    let long = ann.long(&[b"long", b"er"]).await;
    ann.db.write_file(ann.writing("/d/long", long)).await.unwrap();
    ann.commit("/d", vec![symlink("link", "file")]).await.unwrap();
    let send = async |at: &str| {
        let attachments = vec![
            attached("one", AttachmentSource::Path(ann.at("/d/file"))),
            attached("two", AttachmentSource::Path(ann.at(at))),
        ];
        ann.db.send(NewMessage { attachments, ..ann.message(&[&bob], "") }).await
    };
    assert_eq!(refused(send("/d/none").await), Kind::NotFound);
    assert_eq!(refused(send("/d").await), Kind::FailedPrecondition);
    assert_eq!(refused(send("/d/link").await), Kind::FailedPrecondition);
    let sent = send("/d/long").await.unwrap();
    ann.put("/d/file", b"second").await;
    ann.rm("/d").await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    let expected = [
        Attachment { name: "one".to_owned(), content: content(b"first") },
        Attachment { name: "two".to_owned(), content: long },
    ];
    assert_eq!(bob.unread().await[0].attachments, expected);
    assert_eq!(bob.db.attachment(bob.id, sent.id, 1).await.unwrap(), long);
    assert_eq!(ann.used().await, 11, "what was sent");
    for _pass in 0..2 {
        assert_eq!(ann.db.sweep_contents(i64::MAX, world.now(), 500).await.unwrap(), 0);
    }
    assert_eq!(ann.db.pieces(long, 0, 9).await.unwrap().1.len(), 2);
}

async fn an_attachment_by_content_needs_its_chunks(world: &World) {
    let (ann, bob) = (world.account_with("ann", 20).await, world.account("bob").await);
    bob.content(b"his").await;
    let send = async |content, upload| {
        let attachments = vec![attached("f", AttachmentSource::Content(content))];
        let message = NewMessage { attachments, upload, ..ann.message(&[&bob], "") };
        ann.db.send(message).await
    };
    assert_eq!(refused(send(content(b"his"), None).await), Kind::ChunksMissing);
    assert_eq!(refused(send(content(b"nobody's"), None).await), Kind::ChunksMissing);
    let upload = UploadId::new();
    ann.fill(upload, &[b"twelve bytes"]).await.unwrap();
    send(content(b"twelve bytes"), Some(upload)).await.unwrap();
    assert_eq!(ann.used().await, 12, "what the upload held is what the message holds");
    assert_eq!(ann.db.oldest_lease().await.unwrap(), None);
    let long = ann.long(&[b"two", b"three"]).await;
    send(long, None).await.unwrap();
    send(Content::empty(), None).await.unwrap();
    let gone = Content { manifest: Some(ManifestKey(1_000)), ..long };
    assert_eq!(refused(send(gone, None).await), Kind::ChunksMissing);
    let found: Vec<Content> =
        bob.unread().await.iter().map(|message| message.attachments[0].content).collect();
    assert_eq!(found, [content(b"twelve bytes"), long, Content::empty()]);
}

async fn a_long_text_is_a_content(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let text = "x".repeat(70_000);
    let one = ann.content(text.as_bytes()).await;
    let several = ann.long(&[&[1; 50_000], &[2; 50_000]]).await;
    for content in [one, several] {
        ann.db
            .send(NewMessage { body: Body::Stored(content), ..ann.message(&[&bob], "") })
            .await
            .unwrap();
    }
    let bodies: Vec<Body> = bob.unread().await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, [Body::Stored(one), Body::Stored(several)]);
    assert_eq!((ann.used().await, bob.used().await), (170_000, 170_000));
    let users = ann.db.users_of(ChunkHash(one.digest.0), 9).await.unwrap();
    assert_eq!(users.len(), 1, "{users:?}");
    let never = Body::Stored(content(b"never sent"));
    let refusal = ann.db.send(NewMessage { body: never, ..ann.message(&[&bob], "") }).await;
    assert_eq!(refused(refusal), Kind::ChunksMissing);
}

async fn an_attachment_is_read_by_those_who_have_its_message(world: &World) {
    let (ann, bob, cid) =
        (world.account("ann").await, world.account("bob").await, world.account("cid").await);
    ann.put("/file", b"1").await;
    let attachments = vec![attached("f", AttachmentSource::Path(ann.at("/file")))];
    let message = NewMessage { attachments, ..ann.message(&[&bob], "") };
    let sent = ann.db.send(message).await.unwrap();
    for (person, index, kind) in [
        (&ann, 0, None),
        (&bob, 0, None),
        (&cid, 0, Some(Kind::NotFound)),
        (&bob, 1, Some(Kind::NotFound)),
        (&bob, u32::MAX, Some(Kind::NotFound)),
    ] {
        let answer = person.db.attachment(person.id, sent.id, index).await;
        match kind {
            None => assert_eq!(answer.unwrap(), content(b"1")),
            Some(kind) => assert_eq!(refused(answer), kind),
        }
    }
    let nothing = bob.db.attachment(bob.id, MessageId::new(), 0).await;
    assert_eq!(refused(nothing), Kind::NotFound);
    assert!(!bob.stands("/file").await, "the file itself is not his to see");
}

async fn a_reply_joins_the_conversation(world: &World) {
    let (ann, bob, cid) =
        (world.account("ann").await, world.account("bob").await, world.account("cid").await);
    let first = ann.send(&[&bob], "question").await;
    let reply = async |person: &Person, to: &Person, in_reply_to| {
        let message = NewMessage { in_reply_to, ..person.message(&[to], "answer") };
        person.db.send(message).await
    };
    let answer = reply(&bob, &ann, Some(first.id)).await.unwrap();
    assert_eq!(answer.thread, first.thread);
    assert_eq!(ann.unread().await[0].in_reply_to, Some(first.id));
    let on_it_goes = reply(&ann, &cid, Some(first.id)).await.unwrap();
    assert_eq!(on_it_goes.thread, first.thread, "one's own can be gone on from");
    assert_ne!(reply(&bob, &ann, None).await.unwrap().thread, first.thread);
    let used = cid.used().await;
    for unseen in [first.id, answer.id, MessageId::new()] {
        assert_eq!(refused(reply(&cid, &ann, Some(unseen)).await), Kind::NotFound);
    }
    assert_eq!(cid.used().await, used);
}

async fn many_senders_at_once_get_numbers_of_their_own(world: &World) {
    let (bob, cid) = (world.account("bob").await, world.account("cid").await);
    let mut sends = Vec::new();
    for number in 0..8 {
        let ann = world.account(&format!("ann{number}")).await;
        let (bob, cid) = (bob.clone(), cid.clone());
        sends.push(tokio::spawn(async move {
            for _ in 0..8 {
                ann.send(&[&bob, &cid], "1").await;
            }
        }));
    }
    for send in sends {
        send.await.unwrap();
    }
    for person in [&bob, &cid] {
        let numbers: Vec<u64> =
            person.unread().await.iter().map(|message| message.number).collect();
        assert_eq!(numbers, (1..=64).collect::<Vec<u64>>());
        assert_eq!(person.used().await, 64);
    }
}
