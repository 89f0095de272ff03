//! What a file is besides its bytes: holes in it, and what programs have noted at it.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use depot_tests::user::{User, text};
use depot_tests::world::World;
use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};
use serde_json::Value;

use super::noise;

const MIB: u64 = 1 << 20;

/// Bytes that a file takes on its disk.
fn taken(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").blocks() * 512
}

/// Some data in much nothing.
fn holey(user: &User) -> Vec<u8> {
    let path = user.path("holey");
    let file = File::create(&path).expect("a file");
    file.set_len(200 * MIB).expect("a length");
    for (turn, at) in [0, 70 * MIB + 5, 150 * MIB].into_iter().enumerate() {
        file.write_all_at(&noise(turn as u64, 3_000_000), at).expect("a write");
    }
    assert!(taken(&path) < 10 * MIB, "holes are what this is about");
    fs::read(path).expect("a file")
}

#[test]
fn holes_go_up_and_come_down_as_holes() {
    let world = World::start();
    let ann = world.admin("ann");
    let content = holey(&ann);
    let put = ann.one(["put", "holey", "/holey"]);
    let sent = put["sent_bytes"].as_u64().expect("a number");
    assert!(sent < 30 * MIB, "one chunk of zeros is sent, once: {sent}");
    let got = ann.one(["get", "/holey", "back"]);
    let received = got["received_bytes"].as_u64().expect("a number");
    assert!(received < 30 * MIB, "zeros are known without being received: {received}");
    assert!(fs::read(ann.path("back")).expect("a file") == content);
    let taken_there = taken(&ann.path("back"));
    assert!(taken_there < 10 * MIB, "{taken_there}");
    // What an earlier try left is not zeros.
    let partial = File::create(ann.path(".again.depot-partial")).expect("a file");
    partial.write_all_at(&vec![7; 100 << 20], 0).expect("a write");
    ann.does(["get", "/holey", "again"]);
    assert!(fs::read(ann.path("again")).expect("a file") == content);
}

#[test]
fn what_programs_noted_goes_along_where_that_is_asked_for() {
    let world = World::start();
    let ann = world.admin("ann");
    for name in ["tree/noted", "tree/plain", "tree/sub/x"] {
        ann.file(name, name);
    }
    let note = |name: &str, key: &str, value: &str| {
        setxattr(ann.path(name), key, value.as_bytes(), XattrFlags::empty()).expect("an attribute");
    };
    let noted = |name: &str, key: &str| {
        let mut value = [0; 99];
        let length = getxattr(ann.path(name), key, &mut value[..]).ok()?;
        Some(String::from_utf8_lossy(&value[..length]).into_owned())
    };
    note("tree", "user.top", "t");
    note("tree/noted", "user.comment", "by ann");
    note("tree/sub", "user.empty", "");
    ann.does(["put", "-r", "tree", "/t"]);
    ann.does(["get", "-r", "-X", "/t", "without"]);
    assert_eq!(noted("without/noted", "user.comment"), None, "nobody asked for it");
    let refused = ann.refused(["verify", "-X", "tree", "/t"]);
    assert_eq!(refused.kind(), (1, "DIFFERENT"));

    ann.does(["put", "-r", "-X", "tree", "/t"]);
    ann.does(["verify", "--attributes", "-X", "tree", "/t"]);
    ann.does(["get", "-r", "/t", "plain"]);
    assert_eq!(noted("plain/noted", "user.comment"), None);
    // Into what stands there already too: its content is not the only thing that counts.
    for target in ["with", "plain"] {
        ann.does(["get", "-r", "-X", "/t", &format!("{target}/")]);
        let noted = |name: &str, key| noted(&format!("{target}/t/{name}"), key);
        assert_eq!(noted("noted", "user.comment").as_deref(), Some("by ann"), "{target}");
        assert_eq!(noted("sub", "user.empty").as_deref(), Some(""));
        assert_eq!(noted("", "user.top").as_deref(), Some("t"));
    }
    // Nobody asked for those of what stands in `plain` until now.
    let arguments = ["get", "-r", "-X", "/t", "plain"];
    let planned = || {
        let plan = ann.json(arguments.iter().chain(&["--dry-run"]));
        let step = |step: &Value| format!("{} {}", text(&step["action"]), text(&step["path"]));
        plan.iter().map(step).collect::<Vec<_>>()
    };
    ann.does(["get", "-r", "/t", "plain"]);
    let same = ann.json(["get", "-r", "/t", "plain", "--dry-run"]);
    assert_eq!(same, [] as [Value; 0]);
    assert_eq!(planned(), ["attributes /t", "attributes /t/noted", "attributes /t/sub"]);
    ann.does(arguments);
    assert_eq!(planned(), [""; 0]);
    assert_eq!(noted("plain/noted", "user.comment").as_deref(), Some("by ann"));

    // A put without the flag leaves those that are there; one with it takes away what is gone.
    removexattr(ann.path("tree/noted"), "user.comment").expect("an attribute");
    note("tree/noted", "user.later", "1");
    fs::write(ann.path("tree/noted"), "changed").expect("a file");
    ann.does(["put", "-r", "tree", "/t"]);
    ann.does(["get", "-r", "-X", "/t", "with/t"]);
    assert_eq!(noted("with/t/noted", "user.comment").as_deref(), Some("by ann"));
    ann.does(["put", "-r", "-X", "tree", "/t"]);
    ann.does(["get", "-r", "-X", "/t", "with/t"]);
    assert_eq!(noted("with/t/noted", "user.comment"), None);
    assert_eq!(noted("with/t/noted", "user.later").as_deref(), Some("1"));
    ann.does(["undo", "/t"]);
    ann.does(["get", "-r", "-X", "/t", "with/t"]);
    assert_eq!(noted("with/t/noted", "user.comment").as_deref(), Some("by ann"));
}
