//! What was and is again: earlier versions, the trash, and undoing.

use std::fs;
use std::time::Duration;

use depot_tests::user::{keys, text};
use depot_tests::world::World;
use serde_json::{Value, json};

use super::noise;

#[test]
fn every_overwrite_keeps_what_was_there() {
    let world = World::start();
    let ann = world.admin("ann");
    let first = noise(1, 3_000_000);
    ann.puts("/report", &first);
    let second = ann.puts("/report", "the second");
    ann.puts("/report", "the third");

    let versions = ann.json(["versions", "/report"]);
    let shape = ["blake3", "generation", "modified", "path", "replaced_at", "size", "version"];
    assert_eq!((versions.len(), keys(&versions[0])), (3, shape.to_vec()));
    assert_eq!(versions[0]["replaced_at"], Value::Null, "the current one comes first");
    assert_eq!((&versions[1]["version"], &versions[1]["size"]), (&second["version"], &json!(10)));
    assert!(versions[1]["replaced_at"].is_string());

    let (by_id, by_generation) =
        (text(&second["version"]).to_owned(), versions[2]["generation"].to_string());
    let got = ann.one(["get", "--version", &by_id, "/report", "second"]);
    assert_eq!((&got["size"], &got["blake3"]), (&json!(10), &second["blake3"]));
    ann.does(["get", "--version", &by_generation, "/report", "first"]);
    assert_eq!(fs::read(ann.path("first")).expect("a file"), first);
    assert_eq!(fs::read(ann.path("second")).expect("a file"), b"the second");
    let piped = ann.runs(["get", "--version", &by_id, "/report", "-"]).succeeded().stdout;
    assert_eq!(piped, b"the second");

    let back = ann.one(["restore", "/report", "--version", &by_generation]);
    assert_eq!((&back["blake3"], &back["size"]), (&versions[2]["blake3"], &json!(3_000_000)));
    assert_ne!(back["version"], versions[2]["version"], "it is a version of its own");
    assert_eq!(ann.cats("/report"), first);
    ann.does(["restore", "/report"]);
    assert_eq!(ann.cats("/report"), b"the third", "the one before");
    assert_eq!(ann.json(["versions", "/report"]).len(), 5);

    let absent = ann.refused(["get", "--version", "7777", "/report", "x"]);
    assert_eq!((absent.kind(), absent.path.as_deref()), ((3, "NOT_FOUND"), Some("/report")));
    assert_eq!(ann.refused(["restore", "/report", "--version", "7777"]).exit, 3);
    ann.puts("/new", "x");
    assert_eq!(ann.refused(["restore", "/new"]).kind(), (6, "FAILED_PRECONDITION"));
    let stale = ann.refused(["restore", "/report", "--if-generation", &by_generation]);
    assert_eq!(stale.kind(), (6, "GENERATION_MISMATCH"));
    assert!(stale.message.contains(&by_generation), "{stale:?}");
    let two = ann.refused(["get", "--version", &by_id, "/report", "/new", "into/"]);
    assert_eq!(two.exit, 2);
}

#[test]
fn what_was_removed_waits_in_the_trash() {
    let world = World::limited(|_| {});
    let ann = world.admin("ann");
    for number in 0..5 {
        ann.file(format!("photos/{number}.jpg"), noise(number, 1_000));
    }
    ann.does(["put", "-r", "photos", "/photos"]);
    ann.puts("/notes", "some notes");
    ann.does(["rm", "-r", "/photos"]);
    ann.does(["rm", "/notes"]);
    let listed = ann.json(["trash", "ls"]);
    assert_eq!(keys(&listed[0]), ["id", "kind", "path", "removed_at", "size"]);
    let paths: Vec<_> = listed.iter().map(|removed| &removed["path"]).collect();
    assert_eq!(paths, ["/notes", "/photos"]);
    assert_eq!((&listed[0]["size"], &listed[1]["kind"]), (&json!(10), &json!("folder")));

    ann.does(["trash", "restore", "/photos"]);
    assert_eq!(ann.lists("/photos").len(), 5);
    ann.puts("/notes", "other notes");
    let taken = ann.refused(["trash", "restore", "/notes"]);
    assert_eq!(taken.kind(), (6, "ALREADY_EXISTS"), "{taken:?}");
    let back = ann.one(["trash", "restore", text(&listed[0]["id"]), "--to", "/old/notes"]);
    assert_eq!(back["path"], "/old/notes");
    assert_eq!(ann.cats("/old/notes"), b"some notes");
    assert_eq!(ann.refused(["trash", "restore", "/notes"]).kind(), (3, "NOT_FOUND"));

    ann.does(["rm", "-r", "/photos"]);
    ann.does(["rm", "/notes"]);
    let freed = ann.one(["trash", "empty", "/notes"]);
    assert_eq!(freed, json!({ "freed_bytes": 11 }));
    let declined = ann.refused(["--no-input", "trash", "empty"]);
    assert_eq!(declined.kind(), (2, "USAGE"), "nobody said yes");
    assert!(declined.message.contains("--yes"), "{declined:?}");
    assert_eq!(ann.json(["trash", "ls"]).len(), 1);
    let emptied = ann.runs(["--json", "--yes", "trash", "empty"]).succeeded();
    assert_eq!(emptied.json(), [json!({ "freed_bytes": 5_000 })]);
    assert!(ann.json(["trash", "ls"]).is_empty());
    assert_eq!(ann.one(["whoami"])["used_bytes"], 10);

    ann.does(["rm", "-r", "/old"]);
    world.pass(Duration::from_secs(29 * 24 * 3600));
    ann.logs_in();
    assert_eq!(ann.json(["trash", "ls"]).len(), 1);
}

#[test]
fn the_last_put_of_a_tree_can_be_undone() {
    let world = World::start();
    let ann = world.admin("ann");
    for number in 0..700 {
        ann.file(format!("tree/{}/{number}", number % 7), format!("file {number}"));
    }
    ann.does(["put", "-r", "tree", "/tree"]);
    let before = ann.json(["ls", "-r", "/tree"]);
    ann.file("tree/1/1", "changed");
    ann.file("tree/new/file", "new");
    ann.does(["put", "-r", "tree", "/tree"]);
    let undone = ann.one(["undo", "/tree"]);
    assert_eq!(keys(&undone), ["adjusted", "committed_at", "path", "removed", "restored"]);
    let counts = (&undone["removed"], &undone["restored"], &undone["path"]);
    assert_eq!(counts, (&json!(1), &json!(1), &json!("/tree")));
    let content = |entries: &[Value]| {
        let facts = |entry: &Value| {
            let kept = ["path", "kind", "id", "size", "blake3", "modified"];
            kept.map(|key| entry[key].clone())
        };
        entries.iter().map(facts).collect::<Vec<_>>()
    };
    assert_eq!(content(&ann.json(["ls", "-r", "/tree"])), content(&before));
    assert_eq!(ann.json(["trash", "ls"])[0]["path"], "/tree/new");

    ann.does(["put", "-r", "tree", "/tree"]);
    ann.does(["rm", "/tree/1/1"]);
    let refused = ann.refused(["undo", "/tree"]);
    assert_eq!(refused.exit, 6, "{refused:?}");
    assert!(ann.lists("/tree").contains(&"new".to_owned()), "nothing was undone");

    ann.does(["put", "-r", "tree", "/another"]);
    assert_eq!(ann.one(["undo", "/"])["path"], "/another", "the last one of all");
    assert_eq!(ann.lists("/"), ["tree"]);
    ann.does(["mkdir", "/empty"]);
    assert_eq!(ann.refused(["undo", "/empty"]).kind(), (6, "FAILED_PRECONDITION"));
    assert_eq!(ann.refused(["undo", "/absent"]).kind(), (3, "NOT_FOUND"));
}
