//! A tree of this machine beside the server's: `depot verify` names what differs, and fetches nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use depot_tests::process::run;
use depot_tests::user::{Refusal, User, text};
use depot_tests::world::World;
use serde_json::Value;

use super::noise;

fn tree(ann: &User) {
    for (name, bytes) in [
        ("same", "same"),
        ("content", "before"),
        ("size", "1"),
        ("kind", "file"),
        ("f/deep/x", "x"),
    ] {
        ann.file(format!("tree/{name}"), bytes);
    }
    ann.file("tree/large", noise(1, 3 << 20));
    symlink("same", ann.path("tree/link")).expect("a symlink");
    ann.does(["put", "-r", "tree", "/t"]);
}

fn differences(lines: &[Value]) -> Vec<(&str, &str)> {
    lines.iter().map(|line| (text(&line["difference"]), text(&line["path"]))).collect()
}

#[test]
fn what_was_put_and_got_is_the_same() {
    let world = World::start();
    let ann = world.admin("ann");
    tree(&ann);
    ann.does(["get", "-r", "/t", "copy"]);
    for local in ["tree", "copy"] {
        assert_eq!(ann.does(["verify", "--attributes", local, "/t"]), "");
    }
    ann.does(["verify", "tree/large", "/t/large"]);
    assert_eq!(ann.refused(["verify", "tree/large", "/t/same"]).kind(), (1, "DIFFERENT"));
    assert_eq!(ann.refused(["verify", "tree", "/t/same"]).kind(), (1, "DIFFERENT"));
    assert_eq!(ann.refused(["verify", "tree", "/absent"]).kind(), (3, "NOT_FOUND"));
    assert_eq!(ann.refused(["verify", "absent", "/t"]).kind(), (3, "LOCAL_NOT_FOUND"));
}

#[test]
fn every_difference_is_named() {
    let world = World::start();
    let ann = world.admin("ann");
    tree(&ann);
    // The time and the size of the large one stay as they were: only reading it tells.
    let path = ann.path("tree/large");
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
    let mut bytes = noise(1, 3 << 20);
    bytes[2 << 20] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let file = fs::File::options().write(true).open(&path).expect("a file");
    file.set_modified(modified).expect("a time");
    fs::write(ann.path("tree/content"), "after!").expect("a file");
    fs::write(ann.path("tree/size"), "12").expect("a file");
    fs::remove_file(ann.path("tree/kind")).expect("a file");
    fs::create_dir(ann.path("tree/kind")).expect("a folder");
    fs::remove_file(ann.path("tree/link")).expect("a symlink");
    symlink("elsewhere", ann.path("tree/link")).expect("a symlink");
    fs::remove_dir_all(ann.path("tree/f/deep")).expect("a folder");
    ann.file("tree/new/y", "y");
    fs::set_permissions(ann.path("tree/same"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let run = ann.runs(["--json", "verify", "tree", "/t"]);
    assert_eq!(run.exit, 1, "{run:?}");
    let lines = run.json();
    let expected = [
        ("content", "/t/content"),
        ("kind", "/t/kind"),
        ("content", "/t/large"),
        ("content", "/t/link"),
        ("only_here", "/t/new"),
        ("only_here", "/t/new/y"),
        ("content", "/t/size"),
        ("only_there", "/t/f/deep"),
    ];
    assert_eq!(differences(&lines), expected);
    let lines = ann.runs(["--json", "verify", "--attributes", "tree", "/t"]).json();
    assert!(differences(&lines).contains(&("attributes", "/t/same")));
    // What is left out on the command line is compared on neither side.
    let patterns = ["f", "new", "kind", "large", "link", "content", "size"];
    let excludes = patterns.iter().flat_map(|pattern| ["--exclude", pattern]);
    assert_eq!(ann.does(["verify", "tree", "/t"].into_iter().chain(excludes)), "");
}

#[test]
fn what_the_server_cannot_have_and_what_cannot_be_read_is_named() {
    let world = World::start();
    let ann = world.admin("ann");
    tree(&ann);
    let _socket = UnixListener::bind(ann.path("tree/socket")).expect("a socket");
    ann.does(["verify", "tree", "/t"]);
    for name in ["tree/same", "tree/f"] {
        fs::set_permissions(ann.path(name), fs::Permissions::from_mode(0o0)).expect("a mode");
    }
    let refused = Refusal::of(run(&mut ann.as_mortal(["--json", "verify", "tree", "/t"])));
    assert_eq!((refused.exit, refused.others.len()), (11, 3), "{refused:?}");
    ann.file("tree/bad\nname", "x");
    assert_eq!(ann.refused(["verify", "tree", "/t"]).kind(), (1, "DIFFERENT"));
}
