//! Looking for files, and at how much there is.

use depot_tests::user::{keys, text};
use depot_tests::world::World;
use serde_json::{Value, json};

use super::noise;

#[test]
fn files_are_found_by_name_size_time_and_kind() {
    let world = World::start();
    let ann = world.admin("ann");
    for number in 0..120 {
        ann.file(format!("tree/{}/IMG_{number}.jpg", number % 7), noise(number, 100));
    }
    ann.file("tree/0/large.jpg", noise(7, 2_000_000));
    ann.file("tree/notes.txt", "notes");
    std::os::unix::fs::symlink("notes.txt", ann.path("tree/latest")).expect("a symlink");
    ann.does(["put", "-r", "tree", "/tree"]);
    let find = |arguments: &[&str]| {
        let found = ann.json(["find"].iter().chain(arguments));
        found.iter().map(|entry| text(&entry["path"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(find(&[]).len(), 1 + 7 + 122 + 1, "everything");
    assert_eq!(find(&["/tree", "--name", "IMG_1?.jpg"]).len(), 10);
    assert_eq!(find(&["--name", "img_*"]).len(), 0);
    assert_eq!(find(&["--iname", "img_*"]).len(), 120);
    assert_eq!(find(&["/tree/0", "--min-size", "1M"]), ["/tree/0/large.jpg"]);
    assert_eq!(find(&["--max-size", "5", "--kind", "file"]), ["/tree/notes.txt"]);
    assert_eq!(find(&["--kind", "symlink"]), ["/tree/latest"]);
    assert_eq!(find(&["--kind", "folder", "--kind", "symlink"]).len(), 9);
    assert_eq!(find(&["--newer", "1d", "--name", "*.txt"]), ["/tree/notes.txt"]);
    assert!(find(&["--older", "1d", "--kind", "file"]).is_empty());
    assert!(find(&["--newer", "2100-01-01"]).is_empty());
    let shape = ["blake3", "generation", "id", "kind", "modified", "path", "size", "version"];
    assert_eq!(keys(&ann.json(["find", "--name", "notes.txt"])[0]), shape);
    for wrong in [
        &["--name", "[a"][..],
        &["--name", "a/b"],
        &["--newer", "soon"],
        &["--min-size", "big"],
        &["--kind", "device"],
    ] {
        assert_eq!(ann.refused(["find"].iter().chain(wrong)).exit, 2, "{wrong:?}");
    }
    assert_eq!(ann.refused(["find", "/absent"]).kind(), (3, "NOT_FOUND"));
}

#[test]
fn everybody_sees_how_much_they_hold() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "10000"]);
    bob.puts("/a/x", noise(1, 3_000));
    bob.puts("/a/x", noise(2, 2_000));
    bob.puts("/b", noise(3, 1_000));
    bob.does(["rm", "/b"]);
    bob.sends("ann", "twelve bytes");
    let quota = bob.one(["quota"]);
    let expected = json!({
        "used_bytes": 6_012, "quota_bytes": 10_000, "staged_bytes": 0, "file_bytes": 2_000,
        "trash_bytes": 1_000, "version_bytes": 3_000, "mail_bytes": 12,
    });
    assert_eq!(quota, expected);
    let du = json!({
        "path": "/a", "files": 1, "folders": 1, "symlinks": 0, "bytes": 2_000,
        "version_bytes": 3_000,
    });
    assert_eq!(bob.one(["du", "/a"]), du);
    let each = bob.json(["du", "--each", "/"]);
    assert_eq!(each.iter().map(|line| text(&line["path"])).collect::<Vec<_>>(), ["/a", "/"]);
    assert_eq!(bob.refused(["du", "/absent"]).kind(), (3, "NOT_FOUND"));
    assert!(bob.does(["quota"]).contains("60 %"));

    bob.file("more", noise(4, 2_500));
    let warned = bob.runs(["--json", "put", "more", "/more"]).succeeded();
    let warning: Value = serde_json::from_str(warned.stderr.trim()).expect("one warning");
    let error = &warning["error"];
    assert_eq!((&error["reason"], &error["exit"]), (&json!("QUOTA_NEARLY_USED"), &json!(0)));
    assert!(text(&error["message"]).contains("85 %"), "{warning}");
    let quiet = bob.runs(["put", "-q", "more", "/more"]).succeeded();
    assert!(quiet.stderr.is_empty() || quiet.stderr.contains("85 %"), "{quiet:?}");
}

#[test]
fn administrators_see_what_the_store_takes() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let bytes = noise(5, 3_000_000);
    ann.puts("/a", &bytes);
    ann.puts("/b", &bytes);
    bob.puts("/a", &bytes);
    let found = ann.one(["admin", "storage"]);
    assert_eq!((&found["accounts"], &found["logical_bytes"]), (&json!(2), &json!(9_000_000)));
    assert_eq!(found["chunk_bytes"], 3_000_000, "each chunk is stored once");
    let number = |key: &str| found[key].as_u64().expect("a number");
    assert!(number("pack_bytes") > 3_000_000 && number("pack_bytes") < 3_100_000, "{found}");
    assert_eq!(number("pack_bytes") - number("dead_bytes"), 3_000_000 + 64 * number("chunks"));
    assert!(number("metadata_bytes") > 0 && number("disk_free_bytes") < number("disk_bytes"));
    assert!(ann.does(["admin", "storage"]).contains("physical"));
    assert_eq!(bob.refused(["admin", "storage"]).kind(), (4, "PERMISSION_DENIED"));
}
