//! What stands against putting a tree: what cannot be read, what changes meanwhile, what leads in circles,
//! what does not fit. All else is there, or nothing is, as was asked for.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use depot_tests::process::run;
use depot_tests::user::{Refusal, text};
use depot_tests::world::World;

#[test]
fn what_cannot_be_read_is_left_out_and_named() {
    let world = World::start();
    let ann = world.admin("ann");
    for name in ["good", "closed", "open/x", "shut/x"] {
        ann.file(format!("tree/{name}"), name);
    }
    for name in ["tree/closed", "tree/shut"] {
        fs::set_permissions(ann.path(name), Permissions::from_mode(0o0)).expect("a mode");
    }
    let put = |arguments: &[&str]| Refusal::of(run(&mut ann.as_mortal(arguments)));
    let refused = put(&["--json", "put", "-r", "tree", "/t"]);
    assert_eq!(refused.kind(), (11, "PARTIAL"), "{refused:?}");
    let named: Vec<&str> = refused.others.iter().map(|o| text(&o["error"]["path"])).collect();
    assert_eq!(named, ["tree/shut", "tree/closed"]);
    assert_eq!(ann.tree("/t"), ["/t/good", "/t/open", "/t/open/x"]);
    let refused = put(&["--json", "put", "tree/closed", "/closed"]);
    assert_eq!(refused.kind(), (11, "PARTIAL"), "{refused:?}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_never_put_mixed() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("tree/beside", "1");
    let path = ann.file("tree/changing", vec![0; 64 << 20]);
    let file = File::options().write(true).open(path).expect("a file");
    let has_ended = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 1_u64;
            while !has_ended.load(Ordering::Relaxed) {
                for place in [0, 63 << 20] {
                    file.write_all_at(&turn.to_le_bytes(), place).expect("a write");
                }
                turn += 1;
            }
        });
        let run = ann.runs(["--json", "put", "-r", "tree", "/t"]);
        has_ended.store(true, Ordering::Relaxed);
        Refusal::of(run)
    });
    assert_eq!(refused.kind(), (11, "PARTIAL"), "{refused:?}");
    let told = refused.others[0].to_string();
    assert!(told.contains("tree/changing changed twice while it was read"), "{refused:?}");
    assert_eq!(ann.lists("/t"), ["beside"]);
    ann.does(["put", "-r", "tree", "/t"]);
    ann.does(["verify", "tree", "/t"]);
}

#[test]
fn symlinks_that_lead_in_circles_are_kept_and_not_followed() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("tree/folder/x", "x");
    symlink("..", ann.path("tree/folder/up")).expect("a symlink");
    symlink("itself", ann.path("tree/itself")).expect("a symlink");
    ann.does(["put", "-r", "tree", "/t"]);
    assert_eq!(ann.tree("/t"), ["/t/folder", "/t/folder/up", "/t/folder/x", "/t/itself"]);
    ann.does(["get", "-r", "/t", "back"]);
    assert_eq!(fs::read_link(ann.path("back/itself")).expect("a symlink").to_str(), Some("itself"));
    let refused = ann.refused(["put", "tree/itself", "/x"]);
    assert!(refused.message.contains("its symlinks are a loop"), "{refused:?}");
    assert_eq!(ann.lists("/"), ["t"]);
}

#[test]
fn a_quota_that_is_reached_in_the_middle_of_a_tree_leaves_nothing_of_it() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "2M"]);
    // More than one commit's worth, and more than one call's.
    for n in 0..700 {
        bob.file(format!("tree/{n}"), n.to_string().repeat(2000));
    }
    bob.puts("/there/0", "what stood there");
    let used = bob.one(["quota"])["used_bytes"].clone();
    for target in ["/new", "/there"] {
        let refused = bob.refused(["put", "-r", "tree", target]);
        assert_eq!(refused.kind(), (7, "QUOTA_EXCEEDED"));
        assert_eq!(bob.tree("/"), ["/there", "/there/0"], "{target}");
    }
    assert_eq!(bob.cats("/there/0"), b"what stood there");
    assert_eq!(bob.one(["quota"])["used_bytes"], used);
}

#[test]
fn a_tree_of_which_too_much_would_change_is_put_in_steps_where_that_is_asked_for() {
    let world = World::limited(|limits| limits.commit_merge_entries_max = 600);
    let ann = world.admin("ann");
    for n in 0..1500 {
        ann.file(format!("tree/{}/{n}", n % 7), n.to_string());
    }
    ann.puts("/t/3/gone", "not here");
    let refused = ann.refused(["put", "-r", "tree", "/t", "--delete"]);
    assert_eq!(refused.kind(), (7, "LIMIT_EXCEEDED"));
    assert!(refused.message.contains("--no-atomic"), "{refused:?}");
    assert_eq!(ann.tree("/t"), ["/t/3", "/t/3/gone"]);
    let lines = ann.json(["put", "-r", "tree", "/t", "--delete", "--no-atomic"]);
    assert_eq!(lines.len(), 1501, "each file, and the one that was removed");
    ann.does(["verify", "--attributes", "tree", "/t"]);
    // What is new is no merge, and takes as many as there are.
    ann.does(["put", "-r", "tree", "/new", "--no-atomic"]);
    ann.does(["undo", "/new"]);
    assert_eq!(ann.lists("/"), ["t"], "it was one commit");
}

#[test]
fn whoever_loses_what_was_shared_is_named_when_it_is_removed() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    for path in ["/docs/a/x", "/docs-too/y"] {
        ann.puts(path, "1");
        ann.does(["share", path, "bob"]);
    }
    let told = ann.runs(["rm", "-r", "/docs"]).succeeded().stderr;
    assert!(told.contains("/docs was shared, or something in it, with bob"), "{told}");
    assert_eq!(bob.refused(["stat", "ann:/docs/a/x"]).exit, 3);
    let told = ann.runs(["mkdir", "/plain"]).succeeded().stderr;
    assert_eq!(told, "");
    assert_eq!(ann.runs(["rm", "-r", "/plain"]).succeeded().stderr, "");
    ann.does(["trash", "restore", "/docs"]);
    assert_eq!(bob.cats("ann:/docs/a/x"), b"1");
}
