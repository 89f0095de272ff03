//! `--json`, key by key: one object a line, every key always there, null where one does not apply.

use depot_tests::user::{keys, text};
use depot_tests::wait::until;
use depot_tests::world::World;
use serde_json::{Value, json};

const PUT: [&str; 8] =
    ["blake3", "generation", "id", "path", "reused_bytes", "sent_bytes", "size", "version"];
const GET: [&str; 5] = ["blake3", "local", "path", "received_bytes", "size"];
const ENTRY: [&str; 8] =
    ["blake3", "generation", "id", "kind", "modified", "path", "size", "version"];
const SEND: [&str; 4] = ["attachments", "id", "recipients", "thread"];
const MESSAGE: [&str; 11] = [
    "attachments",
    "body",
    "file",
    "from",
    "id",
    "number",
    "sent_at",
    "subject",
    "thread",
    "to",
    "unread",
];
const CHANGE: [&str; 7] = ["at", "cursor", "id", "kind", "op", "path", "subtree"];

#[test]
fn files_that_are_put_and_got() {
    let world = World::start();
    let ann = world.admin("ann");
    let hash = blake3::hash(b"three").to_hex().to_string();
    let put = ann.puts("/dir/f", "three");
    assert_eq!(keys(&put), PUT);
    assert_eq!(put["path"], "/dir/f");
    assert_eq!(
        (&put["size"], &put["sent_bytes"], &put["reused_bytes"]),
        (&json!(5), &json!(5), &json!(0))
    );
    assert_eq!(put["blake3"], hash.as_str());
    assert!(put["generation"].as_u64() > Some(0), "{put}");

    let got = ann.one(["get", "/dir/f", "local"]);
    assert_eq!(keys(&got), GET);
    let wanted = json!({"path": "/dir/f", "local": "local", "size": 5, "blake3": hash,
                        "received_bytes": 5});
    assert_eq!(got, wanted);

    ann.file("tree/a", "a");
    ann.file("tree/sub/b", "b");
    std::os::unix::fs::symlink("a", ann.path("tree/link")).expect("a symlink");
    let lines = ann.json(["put", "-r", "tree", "/tree"]);
    let paths: Vec<&str> = lines.iter().map(|line| text(&line["path"])).collect();
    assert_eq!(paths, ["/tree/a", "/tree/sub/b"], "folders and symlinks get no line");
    let again = ann.json(["put", "-r", "tree", "/tree"]);
    for (before, now) in lines.iter().zip(&again) {
        assert_eq!((&now["sent_bytes"], &now["reused_bytes"]), (&json!(0), &json!(1)), "{now}");
        for key in ["path", "id", "version", "generation", "blake3"] {
            assert_eq!(now[key], before[key], "{key}");
        }
    }
    assert_eq!(again.len(), 2, "unchanged files are listed too");
}

#[test]
fn entries_that_are_listed() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("tree/f", "1234");
    std::os::unix::fs::symlink("f", ann.path("tree/link")).expect("a symlink");
    let put = &ann.json(["put", "-r", "tree", "/tree"])[0];
    let listed = ann.json(["ls", "/tree"]);
    assert_eq!(listed, ann.json(["stat", "/tree/f", "/tree/link"]));
    let (file, link) = (&listed[0], &listed[1]);
    let folder = &ann.one(["stat", "/tree"]);
    for entry in [file, link, folder] {
        assert_eq!(keys(entry), ENTRY);
        assert!(text(&entry["modified"]).ends_with('Z'), "{entry}");
    }
    for key in ["path", "id", "version", "generation", "size", "blake3"] {
        assert_eq!(file[key], put[key], "{key}");
    }
    assert_eq!(
        (&file["kind"], &link["kind"], &folder["kind"]),
        (&json!("file"), &json!("symlink"), &json!("folder"))
    );
    for key in ["version", "generation", "size", "blake3"] {
        assert_eq!((&link[key], &folder[key]), (&Value::Null, &Value::Null), "{key}");
    }
    let made = ann.one(["mkdir", "/new"]);
    assert_eq!((keys(&made), &made["path"]), (ENTRY.to_vec(), &json!("/new")));
    assert_eq!(keys(&ann.one(["cp", "/tree/f", "/copy"])), ENTRY);
    assert_eq!(keys(&ann.one(["mv", "/copy", "/moved"])), ENTRY);
}

#[test]
fn messages_that_are_sent_and_fetched() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.puts("/q3.pdf", "q3");
    ann.file("local.txt", "local");
    let sent = ann.one([
        "send",
        "bob",
        "ann",
        "-s",
        "Q3",
        "-m",
        "hello",
        "-a",
        "local.txt",
        "--attach-remote",
        "/q3.pdf",
    ]);
    assert_eq!(keys(&sent), SEND);
    let wanted = json!([{"account": "bob", "state": "delivered", "via": null},
                        {"account": "ann", "state": "delivered", "via": null}]);
    assert_eq!(sent["recipients"], wanted);
    let wanted = json!([{"name": "local.txt", "size": 5, "sent_bytes": 5},
                        {"name": "q3.pdf", "size": 2, "sent_bytes": 0}]);
    assert_eq!(sent["attachments"], wanted);

    let inbox = bob.one(["inbox"]);
    let fetched = bob.one(["fetch"]);
    let read = bob.one(["read", "1"]);
    for message in [&inbox, &fetched, &read] {
        assert_eq!(keys(message), MESSAGE);
        for key in ["id", "thread"] {
            assert_eq!(message[key], sent[key], "{key} is the same for sender and recipients");
        }
        assert_eq!((&message["number"], &message["subject"]), (&json!(1), &json!("Q3")));
        assert_eq!((&message["from"], &message["to"]), (&json!("ann"), &json!(["bob", "ann"])));
        assert_eq!(message["body"], "hello");
        assert_eq!(message["file"], Value::Null);
        assert!(text(&message["sent_at"]).ends_with('Z'), "{message}");
        let hash = blake3::hash(b"local").to_hex().to_string();
        assert_eq!(
            message["attachments"][0],
            json!({"name": "local.txt", "size": 5, "blake3": hash})
        );
    }
    assert_eq!((&inbox["unread"], &fetched["unread"]), (&json!(true), &json!(true)));
    assert_eq!(read["unread"], false);
    let saved = bob.json(["save", "1", "--into", "saved"]);
    assert_eq!(keys(&saved[0]), GET);
    assert_eq!(
        (&saved[0]["path"], &saved[0]["local"]),
        (&json!("local.txt"), &json!("saved/local.txt"))
    );
    let kept = ann.one(["fetch", "--into", "mail"]);
    assert_eq!(keys(&kept), MESSAGE);
    assert!(text(&kept["file"]).starts_with("mail/new/"), "{kept}");
    assert_eq!(keys(&bob.one(["reply", "1", "-m", "thank you"])), SEND);
}

#[test]
fn changes_that_are_watched() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/before", "x");
    let watching = ann.starts(["watch", "--json"]);
    until("the watch to see a first change", || {
        ann.puts("/first", watching.id().to_string());
        ann.does(["rm", "/first"]);
        watching.stdout().contains("first").then_some(())
    });
    ann.does(["mkdir", "/dir"]);
    ann.does(["mv", "/before", "/dir/after"]);
    let message = ann.sends("ann", "hi");
    ann.does(["ack", "last"]);
    let seen = until("the watch to see the rest", || {
        let seen: Vec<Value> = complete_lines(&watching.stdout());
        seen.iter().any(|change| change["op"] == "ack").then_some(seen)
    });
    for change in &seen {
        assert_eq!(keys(change), CHANGE);
        assert!(text(&change["at"]).ends_with('Z'), "{change}");
        assert!(!text(&change["cursor"]).is_empty(), "{change}");
    }
    let has = |kind: &str, op: &str, path: Value| {
        let found = seen.iter().find(|c| c["kind"] == kind && c["op"] == op && c["path"] == path);
        found.unwrap_or_else(|| panic!("no {kind} {op} {path} in {seen:?}"))
    };
    has("folder", "put", json!("/dir"));
    has("file", "move", json!("/dir/after"));
    assert_eq!(has("message", "ack", Value::Null)["id"], message.as_str());
    let whole = ann.json(["ls", "/"]);
    assert!(!whole.is_empty());
}

/// The lines that have come whole.
fn complete_lines(text: &str) -> Vec<Value> {
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    whole.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn accounts_and_logins() {
    let world = World::start();
    let ann = world.stranger("ann");
    let code = world.data().join("setup-code").to_string_lossy().into_owned();
    let arguments = ann.meets("setup").into_iter().chain(["--code-file".to_owned(), code]);
    let set_up = ann.one(arguments);
    assert_eq!(keys(&set_up), ["account", "server", "session_id"]);
    assert_eq!(ann.one(ann.meets("login"))["account"], "ann");
    ann.adds_with("bob", &["--quota", "2K"]);

    let whoami = ann.one(["whoami"]);
    let wanted = [
        "account",
        "admin",
        "quota_bytes",
        "server",
        "session_id",
        "token_expires_at",
        "used_bytes",
    ];
    assert_eq!(keys(&whoami), wanted);
    assert_eq!((&whoami["admin"], &whoami["quota_bytes"]), (&json!(true), &Value::Null));

    let accounts = ann.json(["admin", "account", "list"]);
    let wanted = ["admin", "created_at", "disabled", "name", "quota_bytes", "used_bytes"];
    assert_eq!(accounts.iter().map(keys).collect::<Vec<_>>(), [wanted, wanted]);
    assert_eq!((&accounts[1]["name"], &accounts[1]["quota_bytes"]), (&json!("bob"), &json!(2048)));
    let disabled = ann.one(["admin", "account", "disable", "bob"]);
    assert_eq!((keys(&disabled), &disabled["disabled"]), (wanted.to_vec(), &json!(true)));
    let enabled = ann.one(["admin", "account", "enable", "bob"]);
    assert_eq!(enabled["disabled"], false);
    let lifted = ann.one(["admin", "account", "quota", "bob", "none"]);
    assert_eq!(lifted["quota_bytes"], Value::Null);

    let sessions = ann.json(["sessions"]);
    let wanted = ["client", "created_at", "current", "expires_at", "id", "last_used_at"];
    assert_eq!(sessions.iter().map(keys).collect::<Vec<_>>(), [wanted, wanted]);
    let current: Vec<bool> = sessions.iter().map(|one| one["current"] == true).collect();
    assert_eq!(current, [true, false], "the newest first");
}
