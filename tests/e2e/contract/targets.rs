//! Where things go: the target is the new name, unless it says by its form, or by what stands there, that
//! things go into it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use depot_tests::world::World;

#[test]
fn a_file_that_is_put_gets_the_name_that_is_typed() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("a.txt", "a");
    ann.file("b.txt", "b");
    ann.does(["put", "a.txt", "/deep/er/new.txt"]);
    assert_eq!(ann.tree("/"), ["/deep", "/deep/er", "/deep/er/new.txt"], "parents are made");
    ann.does(["put", "b.txt", "/deep/er/new.txt"]);
    assert_eq!(ann.cats("/deep/er/new.txt"), b"b", "an existing file is replaced");

    ann.does(["put", "a.txt", "/deep/er"]);
    assert_eq!(ann.cats("/deep/er/a.txt"), b"a", "one file onto a folder goes into it");
    ann.does(["put", "a.txt", "/made/"]);
    ann.does(["put", "b.txt", "/made/."]);
    ann.does(["put", "a.txt", "b.txt", "/both"]);
    ann.does(["put", "a.txt", "/made/below/.."]);
    assert_eq!(ann.tree("/made"), ["/made/a.txt", "/made/b.txt"]);
    assert_eq!(ann.tree("/both"), ["/both/a.txt", "/both/b.txt"]);
}

#[test]
fn a_tree_that_is_put_is_the_target_or_goes_into_it() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("photos/one.jpg", "1");
    ann.does(["put", "-r", "photos", "/x"]);
    assert_eq!(ann.tree("/"), ["/x", "/x/one.jpg"]);
    ann.file("photos/two.jpg", "2");
    ann.does(["put", "-r", "photos", "/x"]);
    assert_eq!(ann.tree("/"), ["/x", "/x/one.jpg", "/x/two.jpg"], "it is merged");
    ann.does(["put", "-r", "photos", "/x/"]);
    assert_eq!(ann.tree("/x/photos"), ["/x/photos/one.jpg", "/x/photos/two.jpg"]);
    // `.` has the name of the folder that it is.
    let mut here = ann.command(["put", "-r", ".", "/y/"]);
    depot_tests::process::run(here.current_dir(ann.path("photos"))).succeeded();
    assert_eq!(ann.lists("/y"), ["photos"]);
}

#[test]
fn standard_input_needs_a_name() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.pipes("from a pipe", ["put", "-", "/in.txt"]).succeeded();
    assert_eq!(ann.cats("/in.txt"), b"from a pipe");
    for target in ["/dir/", "/"] {
        let run = ann.pipes("x", ["put", "-", target]);
        assert_eq!(run.exit, 2, "{run:?}");
        assert!(run.stderr.contains("name"), "{run:?}");
    }
    assert_eq!(ann.lists("/"), ["in.txt"]);
}

#[test]
fn what_cannot_go_there_is_refused_before_anything_is_sent() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("a", "a");
    ann.file("b", "b");
    ann.file("tree/c", "c");
    ann.does(["put", "a", "/file"]);
    let before = ann.json(["ls", "-r", "/"]);

    let refused = ann.refused(["put", "tree", "/x"]);
    assert_eq!(refused.kind(), (2, "USAGE"));
    assert!(refused.message.contains("-r"), "{refused:?}");
    assert_eq!(refused.path.as_deref(), Some("tree"));
    assert_eq!(ann.refused(["put", "a", "b", "/file"]).exit, 6);
    assert_eq!(ann.refused(["put", "-r", "tree", "/file"]).exit, 6);
    assert_eq!(ann.refused(["put", "a", "/file/below"]).exit, 6);
    assert_eq!(ann.refused(["put", "a", "relative"]).exit, 2);
    assert_eq!(ann.json(["ls", "-r", "/"]), before, "nothing has changed");
}

#[test]
fn what_is_got_goes_by_the_same_rules() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/r/q3.txt", "q3");
    ann.puts("/r/q4.txt", "q4");
    let read = |path: &str| fs::read(ann.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"));

    ann.does(["get", "/r/q3.txt", "new.txt"]);
    assert_eq!(read("new.txt"), b"q3");
    ann.does(["get", "/r/q3.txt", "made/"]);
    assert_eq!(read("made/q3.txt"), b"q3");
    ann.does(["get", "/r/q4.txt", "made"]);
    assert_eq!(read("made/q4.txt"), b"q4", "one file onto a folder goes into it");
    ann.does(["get", "/r/q3.txt", "/r/q4.txt", "both"]);
    assert_eq!((read("both/q3.txt"), read("both/q4.txt")), (b"q3".to_vec(), b"q4".to_vec()));
    ann.does(["get", "-r", "/r", "tree"]);
    ann.does(["get", "-r", "/r", "tree/"]);
    assert_eq!((read("tree/q3.txt"), read("tree/r/q3.txt")), (b"q3".to_vec(), b"q3".to_vec()));
    ann.does(["get", "/r/q3.txt", "."]);
    assert_eq!(read("q3.txt"), b"q3");
    assert_eq!(ann.runs(["get", "/r/q3.txt", "-"]).succeeded().stdout, b"q3");

    for arguments in [&["get", "/r", "x"][..], &["get", "/r/q3.txt", "/r/q4.txt", "-"]] {
        let refused = depot_tests::user::Refusal::of(ann.runs(arguments.iter().chain(&["--json"])));
        assert_eq!(refused.exit, 2, "{refused:?}");
    }
    assert_eq!(ann.refused(["get", "/r/q3.txt", "/r/q4.txt", "new.txt"]).exit, 6);
    assert!(!ann.path("x").exists());
}

#[test]
fn a_local_file_is_replaced_as_a_whole() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/new", "new");
    let local = ann.file("local", "old");
    fs::hard_link(&local, ann.path("link")).expect("a link");
    ann.does(["get", "/new", "local"]);
    assert_eq!(fs::read(&local).expect("the file"), b"new");
    assert_eq!(fs::read(ann.path("link")).expect("the link"), b"old", "not written into");
    assert_eq!(fs::metadata(&local).expect("the file").nlink(), 1);
}

#[test]
fn moves_and_copies_go_by_the_same_rules() {
    let world = World::start();
    let ann = world.admin("ann");
    for name in ["/a", "/b", "/tree/c"] {
        ann.puts(name, name);
    }
    ann.does(["mv", "/a", "/renamed"]);
    ann.does(["mv", "/renamed", "/tree"]);
    ann.does(["cp", "/b", "/made/"]);
    ann.does(["cp", "-r", "/tree", "/copy"]);
    ann.does(["mv", "/tree", "/copy/"]);
    assert_eq!(ann.refused(["cp", "/b", "/made/b", "/several/"]).exit, 6, "one name");
    let wanted = [
        "/b",
        "/copy",
        "/copy/c",
        "/copy/renamed",
        "/copy/tree",
        "/copy/tree/c",
        "/copy/tree/renamed",
        "/made",
        "/made/b",
    ];
    assert_eq!(ann.tree("/"), wanted);
    assert_eq!(ann.cats("/copy/tree/renamed"), b"/a");
    assert_eq!(ann.refused(["cp", "/copy", "/other"]).exit, 2, "a folder needs -r");
    assert_eq!(ann.refused(["mv", "/b", "/made/b", "/copy/c"]).exit, 6);
    assert_eq!(ann.tree("/"), wanted);
}
