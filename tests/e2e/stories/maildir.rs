//! Mail in a Maildir: what any mail reader opens, nothing lost and nothing doubled, whenever it is cut.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use depot_tests::user::{User, text};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::noise;
use crate::outside::messages_in;

/// The names of all files of a Maildir, without the flags that a reader puts behind them.
fn kept(maildir: &Path) -> Vec<String> {
    let names = |folder: &str| {
        let found = fs::read_dir(maildir.join(folder)).into_iter().flatten();
        found.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
    };
    let mut names: Vec<String> = names("new").chain(names("cur")).collect();
    names.iter_mut().for_each(|name| name.truncate(name.find(':').unwrap_or(name.len())));
    names.sort();
    names
}

/// Each message once, by the id in its file's name.
fn assert_each_once(maildir: &Path, ids: &[String]) {
    let kept = kept(maildir);
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let named: BTreeSet<&str> = kept.iter().filter_map(|name| name.split('.').nth(1)).collect();
    assert_eq!(named, ids);
    assert_eq!(kept.len(), ids.len());
}

#[test]
fn a_mail_reader_finds_what_was_sent() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let (small, large) = (noise(1, 100_000), noise(2, 1_500_000));
    ann.file("klein für dich.bin", &small);
    ann.file("large.bin", &large);
    let body = "Hallo Bob,\n\nFrom here on: ☕ = \u{1f600}.\n.\n";
    let both = ["-a", "klein für dich.bin", "-a", "large.bin"];
    let first = ann.one(["send", "bob", "-s", "Grüße ☕", "-m", body].iter().chain(&both));
    let second = ann.one(["reply", text(&first["id"]), "--subject", "empty", "-m", ""]);
    let fetched = bob.json(["fetch", "--into", "mail", "--inline-max", "1M"]);
    assert_eq!(fetched.len(), 2);
    assert!(bob.unread().is_empty(), "what is kept is acknowledged");
    let Some(mut messages) = messages_in(&bob.path("mail")) else { return };
    messages.sort_by_key(|message| text(&message["number"]).to_owned());
    let [one, two] = &messages[..] else { panic!("{messages:?}") };
    for (message, sent) in [(one, &first), (two, &second)] {
        assert_eq!((&message["id"], &message["defects"]), (&sent["id"], &json!([])));
        assert_eq!((&message["from"], &message["to"]), (&json!("ann"), &json!(["bob"])));
    }
    assert_eq!((&one["subject"], &one["number"]), (&json!("Grüße ☕"), &json!("1")));
    let shown = text(&one["body"]);
    assert!(shown.starts_with(body), "{shown:?}");
    assert!(shown.contains("large.bin (1.4 MiB)"), "what is not inside is named: {shown:?}");
    let hex: String = small.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(one["attachments"], json!({"klein für dich.bin": hex}));
    let answered = text(&two["in_reply_to"]).to_owned();
    assert!(answered.contains(text(&first["id"])), "{answered}");
    let command = shown.lines().find_map(|line| line.strip_prefix("Save with: depot "));
    bob.does(command.expect("how to save it").split(' ').chain(["large.bin"]));
    assert_eq!(fs::read(bob.path("large.bin")).expect("the file"), large);
}

#[test]
fn a_maildir_takes_what_is_new_and_doubles_nothing() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let mut ids = vec![ann.sends("bob", "one"), ann.sends("bob", "two")];
    // Kept, but not acknowledged.
    bob.does(["fetch", "--peek", "--into", "mail"]);
    assert_eq!(bob.unread(), ["one", "two"]);
    // A reader has looked at one of them.
    let name = &kept(&bob.path("mail"))[0];
    let (new, cur) = (bob.path("mail/new").join(name), bob.path("mail/cur"));
    fs::rename(new, cur.join(format!("{name}:2,S"))).expect("a rename");
    ids.push(ann.sends("bob", "three"));
    let again: Vec<Value> = bob.json(["fetch", "--into", "mail"]);
    assert_eq!(again.len(), 3);
    for message in &again {
        assert!(bob.path(text(&message["file"])).is_file(), "{message}");
    }
    assert_each_once(&bob.path("mail"), &ids);
    assert_eq!(fs::read_dir(cur).expect("a folder").count(), 1, "it stays where the reader put it");
    assert!(bob.unread().is_empty());
    bob.does(["fetch", "--into", "mail"]);
    assert_each_once(&bob.path("mail"), &ids);
    assert_eq!(fs::read_dir(bob.path("mail/tmp")).expect("a folder").count(), 0);
}

/// Messages to bob, one in ten with something attached.
fn sends_many(ann: &User, count: usize) -> Vec<String> {
    ann.puts("/attached.bin", noise(3, 200_000));
    let send = |number: usize| {
        let body = format!("number {number}");
        let attached = ["--attach-remote", "/attached.bin"];
        let attached = if number.is_multiple_of(10) { &attached[..] } else { &[] };
        let sent = ann.one(["send", "bob", "-s", "many", "-m", &body].iter().chain(attached));
        text(&sent["id"]).to_owned()
    };
    (0..count).map(send).collect()
}

#[test]
fn a_fetch_that_is_killed_loses_nothing_and_doubles_nothing() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let ids = sends_many(&ann, 100);
    let mail = bob.path("mail");
    // Each is killed when more is there than before it: somewhere between two messages, or in one.
    let mut kills = 0;
    for more in [1, 15, 15, 15] {
        let wanted = kept(&mail).len() + more;
        let mut fetching = bob.starts(["fetch", "--into", "mail"]);
        until_true("the fetch to get on", || fetching.has_ended() || kept(&mail).len() >= wanted);
        fetching.signal(Signal::KILL);
        kills += usize::from(fetching.ended().exit == 137);
        // What is no longer unread is kept, whole.
        let unread: BTreeSet<String> = bob
            .json(["inbox", "--unread"])
            .iter()
            .map(|message| text(&message["id"]).to_owned())
            .collect();
        let kept: BTreeSet<String> = kept(&mail)
            .iter()
            .filter_map(|name| name.split('.').nth(1).map(str::to_owned))
            .collect();
        let lost = ids.iter().find(|id| !unread.contains(*id) && !kept.contains(*id));
        assert_eq!(lost, None);
    }
    assert!(kills > 0, "every fetch was done before it could be killed");
    bob.does(["fetch", "--into", "mail"]);
    assert!(bob.unread().is_empty());
    assert_each_once(&mail, &ids);
    let Some(messages) = messages_in(&mail) else { return };
    let attached = messages.iter().filter(|message| message["attachments"] != json!({}));
    let mut whole = 0;
    for message in attached {
        let hex = text(&message["attachments"]["attached.bin"]);
        assert_eq!(hex.len(), 400_000, "{}", message["file"]);
        whole += 1;
    }
    assert_eq!((messages.len(), whole), (100, 10));
}
