//! Messages: sent to several at once or to nobody, once however often it is tried, read and answered.

use std::fs;

use depot_tests::user::{bodies, text};
use depot_tests::world::World;
use serde_json::{Value, json};
use uuid::Uuid;

use super::noise;

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["number"].as_u64().expect("a number")).collect()
}

#[test]
fn a_message_reaches_all_or_nobody() {
    let world = World::start();
    let ann = world.admin("ann");
    let (bob, carl) = (ann.adds("bob"), ann.adds("carl"));
    let refused = ann.refused(["send", "bob", "nobody", "carl", "-s", "x", "-m", "x"]);
    assert_eq!(refused.kind(), (3, "UNKNOWN_RECIPIENT"));
    assert!(refused.message.contains("nobody"), "{refused:?}");
    let dora = ann.adds("dora");
    ann.does(["admin", "account", "disable", "dora"]);
    assert_ne!(ann.runs(["send", "bob", "dora", "-s", "x", "-m", "x"]).exit, 0);
    assert!(bob.unread().is_empty() && carl.unread().is_empty(), "nobody got anything");

    let sent = ann.one(["send", "bob", "carl", "Bob", "-s", "to two", "-m", "hello"]);
    let delivered = |name: &str| json!({"account": name, "state": "delivered", "via": null});
    assert_eq!(sent["recipients"], json!([delivered("bob"), delivered("carl")]), "each once");
    for user in [&bob, &carl] {
        let message = user.one(["read", "last"]);
        assert_eq!((&message["id"], &message["body"]), (&sent["id"], &json!("hello")));
    }
    ann.does(["admin", "account", "enable", "dora"]);
    dora.logs_in();
    assert!(dora.unread().is_empty());
    assert!(ann.unread().is_empty(), "nor is it in the sender's inbox");
    let own = ann.one(["read", text(&sent["id"])]);
    assert_eq!((&own["number"], &own["body"]), (&Value::Null, &json!("hello")), "who can read it");
}

#[test]
fn a_message_is_sent_once_however_often_it_is_tried() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.file("note", "a note");
    let id = Uuid::new_v4().to_string();
    let send = ["send", "bob", "-s", "once", "-m", "hi", "-a", "note", "--request-id", &id];
    let first = ann.one(send);
    let second = ann.one(send);
    assert_eq!((&second["id"], &second["thread"]), (&first["id"], &first["thread"]));
    let other = ann.refused(["send", "bob", "-s", "once", "-m", "other", "--request-id", &id]);
    assert_eq!(other.kind(), (2, "REQUEST_ID_REUSED"));
    assert_eq!(bob.unread(), ["hi"]);
}

#[test]
fn fetching_marks_nothing_until_it_is_acknowledged() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    for number in 1..=5 {
        ann.sends("bob", &format!("number {number}"));
    }
    assert_eq!(bob.unread().len(), 5);
    assert_eq!(bob.unread().len(), 5, "peeking changes nothing");
    let some = bob.json(["fetch", "--peek", "--limit", "2"]);
    assert_eq!(bodies(&some), ["number 1", "number 2"], "the oldest first");

    let some = bob.json(["fetch", "--limit", "2"]);
    assert_eq!(numbers(&some), [1, 2]);
    assert_eq!(bob.unread(), ["number 3", "number 4", "number 5"]);
    let inbox = bob.json(["inbox"]);
    assert_eq!(numbers(&inbox), [5, 4, 3, 2, 1], "the newest first");
    assert_eq!(numbers(&bob.json(["inbox", "--unread"])), [5, 4, 3]);
    assert_eq!(numbers(&bob.json(["inbox", "--limit", "1"])), [5]);

    assert_eq!(bob.one(["ack", "4", text(&inbox[0]["id"])])["acked"], 2);
    assert_eq!(bob.one(["ack", "4", "5"])["acked"], 0, "a second time is no error");
    assert_eq!(bob.refused(["ack", "3", "99"]).exit, 3);
    assert_eq!(bob.unread(), ["number 3"], "all of them or none");
    assert_eq!(numbers(&bob.json(["fetch", "--fail-if-none"])), [3]);
    assert_eq!(bob.refused(["fetch", "--fail-if-none"]).exit, 12);
    assert_eq!(bob.json(["fetch"]), [] as [Value; 0]);
}

#[test]
fn reading_marks_and_peeking_does_not() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.does(["send", "bob", "-s", "One", "-m", "first"]);
    ann.does(["send", "bob", "-s", "Two", "-m", "second"]);
    assert!(bob.does(["read", "--peek", "1"]).contains("first"));
    assert_eq!(bob.unread(), ["first", "second"]);
    let shown = bob.does(["read", "1"]);
    for words in ["ann", "bob", "One", "first"] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert_eq!(bob.unread(), ["second"]);
    assert!(bob.does(["read", "last"]).contains("second"));
    assert!(bob.unread().is_empty());
    assert!(bob.does(["read", "1"]).contains("first"), "it is still there");

    // A message is nobody's but its sender's and its recipients'.
    let id = ann.sends("bob", "for bob");
    let carl = ann.adds("carl");
    for verb in ["read", "ack", "save"] {
        assert_eq!(carl.refused([verb, &id]).kind(), (3, "NOT_FOUND"), "{verb}");
    }
    assert_eq!(carl.refused(["reply", &id, "-m", "x"]).kind(), (3, "NOT_FOUND"));
    assert_eq!(bob.unread(), ["for bob"]);
}

#[test]
fn answers_stay_in_their_conversation() {
    let world = World::start();
    let ann = world.admin("ann");
    let (bob, carl) = (ann.adds("bob"), ann.adds("carl"));
    let sent = ann.one(["send", "bob", "carl", "-s", "Lunch", "-m", "when?"]);
    let answer = bob.one(["reply", "last", "-m", "at one"]);
    assert_eq!(answer["thread"], sent["thread"]);
    assert_eq!(answer["recipients"][0]["account"], "ann");
    let got = &ann.fetches()[0];
    assert_eq!((&got["subject"], &got["from"]), (&json!("Re: Lunch"), &json!("bob")));
    assert_eq!(got["thread"], sent["thread"]);
    assert_eq!(carl.unread(), ["when?"], "an answer is for who asked");

    let to_all = carl.one(["reply", "1", "--all", "-m", "never"]);
    let to: Vec<_> = to_all["recipients"].as_array().expect("a list").iter().collect();
    let names: Vec<&str> = to.iter().map(|one| text(&one["account"])).collect();
    assert_eq!(names, ["ann", "bob"]);
    let again = ann.one(["reply", "last", "--subject", "Dinner", "-m", "then?"]);
    assert_eq!(again["thread"], sent["thread"]);
    let last = carl.one(["read", "last"]);
    assert_eq!((&last["subject"], &last["body"]), (&json!("Dinner"), &json!("then?")));
    assert_eq!(bob.unread(), ["when?", "never"]);
    // One's own message is answered to those who got it.
    let more = ann.one(["reply", text(&sent["id"]), "-m", "hello?"]);
    assert_eq!(more["recipients"].as_array().map(Vec::len), Some(2));
    bob.pipes("through a pipe\n", ["reply", "1"]).succeeded();
    assert_eq!(ann.one(["read", "last"])["body"], "through a pipe\n");
}

#[test]
fn attachments_are_references_that_nothing_breaks() {
    let world = World::start();
    let ann = world.admin("ann");
    let (bob, carl) = (ann.adds("bob"), ann.adds("carl"));
    let bytes = noise(1, 3_000_000);
    ann.puts("/data.bin", &bytes);
    let sent = ann.one(["send", "bob", "carl", "-s", "", "-m", "", "--attach-remote", "/data.bin"]);
    let wanted = json!([{"name": "data.bin", "size": 3_000_000, "sent_bytes": 0}]);
    assert_eq!(sent["attachments"], wanted);
    // The same bytes from this machine are there already; others are sent.
    ann.file("data.bin", &bytes);
    ann.file("note.txt", "hi");
    let sent = ann.one(["send", "bob", "-s", "", "-m", "", "-a", "data.bin", "-a", "note.txt"]);
    let told = |place: usize| &sent["attachments"][place]["sent_bytes"];
    assert_eq!((told(0), told(1)), (&json!(0), &json!(2)));

    ann.puts("/data.bin", "new content");
    ann.does(["rm", "/data.bin"]);
    for (user, number) in [(&bob, "1"), (&carl, "1"), (&bob, "2")] {
        let saved = user.json(["save", number, "data.bin", "--into", number]);
        assert_eq!(saved[0]["size"], 3_000_000);
        assert_eq!(fs::read(user.path(number).join("data.bin")).expect("the file"), bytes);
    }
    // Whoever got it can send it on, from here or from their own tree.
    bob.does(["put", "1/data.bin", "/mine.bin"]);
    let on = bob.one(["send", "carl", "-s", "", "-m", "", "--attach-remote", "/mine.bin"]);
    assert_eq!(on["attachments"][0]["sent_bytes"], 0);
    carl.does(["save", "last", "--into", "on"]);
    assert_eq!(fs::read(carl.path("on/mine.bin")).expect("the file"), bytes);
    assert_eq!(ann.refused(["send", "bob", "-s", "", "-m", "", "-a", "absent"]).exit, 3);
    assert_eq!(ann.refused(["send", "bob", "-s", "", "-m", "", "--attach-remote", "/"]).exit, 2);
}

#[test]
fn attachments_are_saved_where_and_as_they_should() {
    let world = World::start();
    let ann = world.admin("ann");
    for name in ["a.txt", "b.txt", "other/a.txt"] {
        ann.file(name, name);
    }
    let attach = ["-a", "a.txt", "-a", "b.txt", "-a", "other/a.txt"];
    ann.does(["send", "ann", "-s", "", "-m", ""].iter().chain(&attach));
    let read = |path: &str| fs::read_to_string(ann.path(path)).expect("a file");
    ann.does(["save", "1", "b.txt", "--into", "one/new"]);
    assert_eq!(fs::read_dir(ann.path("one/new")).expect("a folder").count(), 1);
    assert_eq!(read("one/new/b.txt"), "b.txt");

    let all = ann.json(["save", "last", "--into", "all"]);
    assert_eq!(all.len(), 3);
    let mut contents: Vec<String> = all.iter().map(|file| read(text(&file["local"]))).collect();
    contents.sort();
    assert_eq!(contents, ["a.txt", "b.txt", "other/a.txt"], "two of one name get two names");

    ann.file("all/a.txt", "mine");
    let refused = ann.refused(["save", "1", "--into", "all"]);
    assert_eq!(refused.kind(), (6, "LOCAL_ALREADY_EXISTS"));
    assert_eq!(read("all/a.txt"), "mine");
    ann.does(["save", "1", "--into", "all", "--force"]);
    assert_eq!(read("all/a.txt"), "a.txt");
    assert_eq!(ann.refused(["save", "1", "c.txt", "--into", "all"]).kind(), (3, "NOT_FOUND"));
    assert_eq!(ann.unread().len(), 1, "saving changes nothing");
    ann.sends("ann", "bare");
    ann.does(["save", "last", "--into", "none"]);
}

#[test]
fn bodies_and_subjects_arrive_as_they_were_sent() {
    let world = World::start();
    let ann = world.admin("ann");
    let subject = "Grüße ☕ \u{1f680}";
    let long = "Zeile für Zeile\r\n\tund so weiter\n".repeat(6_000);
    let body = format!("{long}.\nFrom the end\n\n");
    assert!(body.len() > 150_000, "too long for a row of its own");
    let sent = ann.pipes(&body[..], ["send", "ann", "-s", subject, "--json"]).succeeded();
    let message = ann.one(["fetch", "--peek"]);
    assert_eq!((text(&message["subject"]), text(&message["body"])), (subject, &body[..]));
    assert_eq!(ann.one(["inbox"])["subject"], subject);
    assert_eq!(ann.one(["read", text(&sent.json()[0]["id"])])["body"], body.as_str());
}
