//! What a file holds decides, not its size and its time.

use std::fs::{self, File};
use std::path::Path;

use depot_tests::world::World;
use serde_json::json;

use super::noise;

/// Writes other bytes over a file, as many, and gives it its time back.
fn changes_unseen(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).expect("a file");
    assert_eq!(before.len(), bytes.len() as u64);
    fs::write(path, bytes).expect("a file");
    let file = File::options().write(true).open(path).expect("a file");
    file.set_modified(before.modified().expect("a time")).expect("a time");
}

#[test]
fn a_file_that_changed_unseen_is_put_and_got() {
    let world = World::start();
    let ann = world.admin("ann");
    let (small, large) = (noise(1, 1000), noise(2, 3_000_000));
    ann.file("tree/small", &small);
    ann.file("tree/large", &large);
    ann.does(["put", "-r", "tree", "/tree"]);

    // What stands here is got again where it is something else, and only there.
    changes_unseen(&ann.path("tree/small"), &noise(3, 1000));
    changes_unseen(&ann.path("tree/large"), &noise(4, 3_000_000));
    let got = ann.json(["get", "-r", "/tree", "tree"]);
    let received: u64 =
        got.iter().map(|file| file["received_bytes"].as_u64().expect("bytes")).sum();
    assert_eq!(received, 3_001_000);
    assert!(fs::read(ann.path("tree/small")).expect("a file") == small);
    assert!(fs::read(ann.path("tree/large")).expect("a file") == large);
    let again = ann.json(["get", "-r", "/tree", "tree"]);
    assert!(again.iter().all(|file| file["received_bytes"] == 0), "{again:?}");
    changes_unseen(&ann.path("tree/small"), &noise(3, 1000));
    let alone = ann.one(["get", "/tree/small", "tree/small"]);
    assert_eq!(alone["received_bytes"], 1000);

    // Nor is a put taken in.
    changes_unseen(&ann.path("tree/small"), &noise(5, 1000));
    let put = ann.json(["put", "-r", "tree", "/tree"]);
    let sent: Vec<_> = put.iter().map(|file| (&file["path"], &file["sent_bytes"])).collect();
    let wanted = [(&json!("/tree/large"), &json!(0)), (&json!("/tree/small"), &json!(1000))];
    assert_eq!(sent, wanted);
    assert!(ann.cats("/tree/small") == noise(5, 1000));
}
