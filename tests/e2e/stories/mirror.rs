//! A tree that is made like another one: `--delete`, and `--dry-run` before it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use depot_tests::user::{User, text};
use depot_tests::world::World;
use serde_json::Value;

use super::noise;

fn project(ann: &User) {
    for (name, bytes) in [
        ("keep", "kept"),
        ("change", "before"),
        ("gone", "gone"),
        ("folder/a", "a"),
        ("folder/deep/b", "b"),
        ("build/out", "out"),
        ("swap/x", "x"),
    ] {
        ann.file(format!("tree/{name}"), bytes);
    }
    symlink("keep", ann.path("tree/link")).expect("a symlink");
    ann.does(["put", "-r", "tree", "/t"]);
    ann.puts("/beside", "not in the tree");
}

/// What is other than it was put.
fn change(ann: &User) {
    fs::write(ann.path("tree/change"), "after!").expect("a file");
    fs::remove_file(ann.path("tree/gone")).expect("a file");
    fs::remove_file(ann.path("tree/link")).expect("a symlink");
    fs::remove_dir_all(ann.path("tree/folder")).expect("a folder");
    fs::remove_dir_all(ann.path("tree/build")).expect("a folder");
    fs::remove_dir_all(ann.path("tree/swap")).expect("a folder");
    ann.file("tree/swap", "now a file");
    ann.file("tree/new/file", "new");
}

const AFTER: [&str; 6] = ["/t/change", "/t/keep", "/t/new", "/t/new/file", "/t/swap", "/t/x"];

#[test]
fn what_is_not_here_is_removed_there() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    let before = ann.tree("/t");
    change(&ann);
    let removed = |lines: &[Value]| -> Vec<String> {
        lines.iter().filter_map(|line| line["removed"].as_str()).map(str::to_owned).collect()
    };
    let lines = ann.json(["put", "-r", "tree", "/t", "--delete", "--exclude", "build"]);
    assert_eq!(removed(&lines), ["/t/folder", "/t/gone", "/t/link", "/t/swap"]);
    assert_eq!(ann.lists("/t"), ["build", "change", "keep", "new", "swap"]);
    assert_eq!(ann.cats("/t/swap"), b"now a file");
    assert_eq!(ann.cats("/t/build/out"), b"out", "what is left out is not removed either");
    assert_eq!(ann.lists("/"), ["beside", "t"]);
    // All of it is one commit, and in the trash.
    ann.does(["undo", "/t"]);
    assert_eq!(ann.tree("/t"), before);
    assert_eq!(ann.cats("/t/change"), b"before");

    ann.file("tree/x", "");
    ann.does(["put", "-r", "tree", "/t", "--delete"]);
    assert_eq!(ann.tree("/t"), AFTER);
    let lines = ann.json(["put", "-r", "tree", "/t", "--delete"]);
    assert_eq!(removed(&lines), [""; 0]);
    assert_eq!(ann.refused(["put", "tree/keep", "/t/keep", "--delete"]).exit, 2);
    assert_eq!(ann.refused(["put", "-r", "tree/keep", "/t/keep", "--delete"]).exit, 2);
}

#[test]
fn of_several_folders_each_is_its_own() {
    let world = World::start();
    let ann = world.admin("ann");
    for name in ["one/a", "one/b", "two/a", "three"] {
        ann.file(name, name);
    }
    ann.does(["put", "-r", "one", "two", "three", "/all/"]);
    ann.puts("/all/other", "of nobody");
    fs::remove_file(ann.path("one/a")).expect("a file");
    ann.does(["put", "-r", "one", "three", "/all/", "--delete"]);
    let all = ["one", "one/b", "other", "three", "two", "two/a"].map(|at| format!("/all/{at}"));
    assert_eq!(ann.tree("/all"), all);
}

#[test]
fn a_plan_is_what_then_happens() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    change(&ann);
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(ann.path("tree/keep"), mode).expect("permissions");
    let arguments = ["put", "-r", "tree", "/t", "--delete", "--gitignore"];
    ann.file("tree/.gitignore", "build/\n");
    let (before, used) = (ann.tree("/t"), ann.one(["quota"])["used"].clone());
    let plan = ann.json(arguments.iter().chain(&["--dry-run"]));
    assert_eq!((ann.tree("/t"), ann.one(["quota"])["used"].clone()), (before, used));
    let steps: Vec<(&str, &str, Option<u64>)> = plan
        .iter()
        .map(|step| (text(&step["action"]), text(&step["path"]), step["sent_bytes"].as_u64()))
        .collect();
    assert_eq!(
        steps,
        [
            ("remove", "/t/folder", None),
            ("remove", "/t/gone", None),
            ("remove", "/t/link", None),
            ("remove", "/t/swap", None),
            ("attributes", "/t", None),
            ("new", "/t/.gitignore", Some(7)),
            ("change", "/t/change", Some(6)),
            ("attributes", "/t/keep", Some(0)),
            ("new", "/t/new", None),
            ("new", "/t/new/file", Some(3)),
            ("change", "/t/swap", Some(10)),
        ]
    );
    let done = ann.json(arguments);
    let sent = |lines: &[Value]| lines.iter().filter_map(|l| l["sent_bytes"].as_u64()).sum::<u64>();
    assert_eq!(sent(&done), sent(&plan));
    assert!(ann.tree("/t").contains(&"/t/build/out".to_owned()));
    assert_eq!(ann.json(arguments.iter().chain(&["--dry-run"])), [] as [Value; 0]);
    let told = ann.runs(arguments.iter().chain(&["--dry-run"])).succeeded().stderr;
    assert!(told.contains("of 7 entries 0 would change"), "{told}");
}

#[test]
fn nothing_is_removed_when_something_could_not_be_read() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    fs::remove_file(ann.path("tree/gone")).expect("a file");
    fs::remove_file(ann.path("tree/keep")).expect("a file");
    symlink("keep", ann.path("tree/keep")).expect("a symlink");
    let refused = ann.refused(["put", "-r", "tree", "absent", "/t/..", "--delete"]);
    assert_eq!(refused.exit, 11, "{refused:?}");
    assert!(
        refused.others.iter().any(|o| text(&o["error"]["message"]).contains("nothing is removed"))
    );
    assert!(ann.tree("/t").contains(&"/t/gone".to_owned()));
}

/// The tree as it is on the server, and another one here.
fn fetched(ann: &User) {
    project(ann);
    ann.file("back/keep", "kept");
    ann.file("back/gone/deep/x", "x");
    ann.file("back/gone.txt", "1");
    ann.file("back/swap", "a file where the server has a folder");
    ann.file("back/link/x", "a folder where the server has a symlink");
    ann.file("back/build.log", "left out");
    ann.file("back/mixed/build.log", "left out");
    ann.file("back/mixed/x", "1");
}

#[test]
fn what_is_not_there_is_removed_here() {
    let world = World::start();
    let ann = world.admin("ann");
    fetched(&ann);
    let arguments = ["get", "-r", "/t", "back", "--delete", "--exclude", "*.log"];
    let plan = ann.json(arguments.into_iter().chain(["--dry-run"]));
    let acts = |plan: &[Value], action: &str| -> Vec<String> {
        let is_such = |line: &&Value| line["action"] == action;
        let shown = |line: &Value| text(&line["local"]).trim_start_matches("back/").to_owned();
        plan.iter().filter(is_such).map(shown).collect()
    };
    let gone = ["gone", "gone.txt", "link", "mixed/x", "swap"];
    assert_eq!(acts(&plan, "remove"), gone);
    assert_eq!(acts(&plan, "attributes"), ["back", "keep"], "their times");
    assert_eq!(acts(&plan, "change"), ["gone", "link", "swap"]);
    let new = ["build", "build/out", "change", "folder", "folder/a", "folder/deep"];
    assert_eq!(acts(&plan, "new"), [&new[..], &["folder/deep/b", "swap/x"]].concat());
    assert!(ann.path("back/gone/deep/x").exists(), "nothing was done");

    let lines = ann.json(arguments);
    let removed: Vec<&str> = lines.iter().filter_map(|line| line["removed"].as_str()).collect();
    let mut removed: Vec<&str> =
        removed.into_iter().map(|path| path.trim_start_matches("back/")).collect();
    removed.sort_unstable();
    assert_eq!(removed, gone);
    let received: u64 = lines.iter().filter_map(|line| line["received_bytes"].as_u64()).sum();
    let planned: u64 = plan.iter().filter_map(|line| line["received_bytes"].as_u64()).sum();
    assert_eq!(received, planned);
    ann.does(["verify", "--attributes", "back", "/t", "--exclude", "*.log", "--exclude", "mixed"]);
    assert!(ann.path("back/build.log").exists() && ann.path("back/mixed/build.log").exists());
    let told = ann.runs(arguments.into_iter().chain(["--dry-run"])).succeeded();
    assert!(told.stderr.contains("0 would change"), "{told:?}");
}

#[test]
fn nothing_is_removed_here_when_not_all_could_be_written() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    ann.file("back/extra", "1");
    let _socket = UnixListener::bind(ann.path("back/keep")).expect("a socket");
    let refused = ann.refused(["get", "-r", "/t", "back", "--delete"]);
    assert_eq!(refused.kind(), (11, "PARTIAL"), "{refused:?}");
    assert!(ann.path("back/extra").exists());
    let refused = ann.refused(["get", "/t/keep", "back/", "--delete"]);
    assert_eq!(refused.exit, 2);
}

#[test]
fn a_plan_counts_what_an_earlier_try_left() {
    let world = World::start();
    let ann = world.admin("ann");
    let bytes = noise(5, 9_000_000);
    ann.puts("/large", &bytes);
    let foreseen = || {
        let plan = ann.one(["get", "/large", "back", "--dry-run"]);
        plan["received_bytes"].as_u64().expect("a number")
    };
    assert_eq!(foreseen(), 9_000_000);
    fs::write(ann.path(".back.depot-partial"), &bytes[..6_000_000]).expect("a file");
    let left = foreseen();
    assert!((1..8_000_000).contains(&left), "{left}");
    let got = ann.one(["get", "/large", "back"]);
    assert_eq!(got["received_bytes"].as_u64(), Some(left));
}

#[test]
fn nothing_goes_from_where_nothing_is() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    for target in ["new/", "into/"] {
        if target == "into/" {
            ann.file("into/beside", "1");
        }
        let arguments = ["get", "-r", "/t", target, "--delete"];
        for arguments in [&[&arguments[..], &["--dry-run"]].concat()[..], &arguments] {
            let lines = ann.json(arguments);
            let goes = |line: &&Value| line["action"] == "remove" || line["removed"].is_string();
            assert_eq!(lines.iter().find(goes), None, "{arguments:?}");
        }
    }
    assert!(ann.path("into/beside").exists());
}

#[test]
fn what_is_left_out_gives_way_to_nothing() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    fs::create_dir(ann.path("back")).expect("a folder");
    // A socket is no server's to remove, and neither is what was left out.
    let _socket = UnixListener::bind(ann.path("back/folder")).expect("a socket");
    ann.file("back/keep/deep/x.log", "left out");
    let refused = ann.refused(["get", "-r", "/t", "back", "--delete", "--exclude", "*.log"]);
    assert_eq!(refused.kind(), (11, "PARTIAL"), "{refused:?}");
    assert!(ann.path("back/folder").exists() && !ann.path("back/folder").is_dir());
    assert_eq!(fs::read(ann.path("back/keep/deep/x.log")).expect("a file"), b"left out");
}
