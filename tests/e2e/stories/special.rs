//! What is no file: pipes and devices that stand where a file is to go, or are named to be put; and what
//! is said about them.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::Command;

use depot_tests::process::run;
use depot_tests::user::User;
use depot_tests::world::World;

fn pipe(user: &User, name: &str) {
    run(Command::new("mkfifo").arg(user.path(name))).succeeded();
}

fn is_pipe(path: impl AsRef<Path>) -> bool {
    fs::symlink_metadata(path).expect("it stands").file_type().is_fifo()
}

#[test]
fn a_get_replaces_no_pipe() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/tree/one", "1");
    ann.puts("/tree/two", "2");
    pipe(&ann, "pipe");
    let refused = ann.refused(["get", "/tree/one", "pipe"]);
    assert_eq!(refused.kind(), (6, "LOCAL_IN_THE_WAY"));
    assert!(refused.message.contains("`-`"), "{refused:?}");
    assert!(is_pipe(ann.path("pipe")));

    fs::create_dir(ann.path("tree")).expect("a folder");
    pipe(&ann, "tree/one");
    let refused = ann.refused(["get", "-r", "/tree", "tree"]);
    assert_eq!(refused.exit, 11, "{refused:?}");
    assert!(refused.others[0].to_string().contains("tree/one"), "it is named: {refused:?}");
    assert!(is_pipe(ann.path("tree/one")));
    assert_eq!(fs::read(ann.path("tree/two")).expect("a file"), b"2");
}

#[test]
fn a_save_by_force_replaces_no_pipe() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/a.txt", "1");
    ann.does(["send", "ann", "-s", "x", "-m", "x", "--attach-remote", "/a.txt"]);
    pipe(&ann, "a.txt");
    let refused = ann.refused(["save", "last", "--force"]);
    assert_eq!(refused.kind(), (6, "LOCAL_IN_THE_WAY"));
    assert!(is_pipe(ann.path("a.txt")));
}

#[test]
fn a_pipe_is_put_only_by_stdin() {
    let world = World::start();
    let ann = world.admin("ann");
    pipe(&ann, "pipe");
    // Nobody writes to it: whoever waited for that would wait for ever.
    let refused = ann.refused(["put", "pipe", "/x"]);
    assert_eq!(refused.kind(), (2, "USAGE"));
    assert!(refused.message.contains("a pipe") && refused.message.contains('-'), "{refused:?}");
    assert_eq!(ann.lists("/"), [""; 0]);
    std::os::unix::fs::symlink("loop", ann.path("loop")).expect("a symlink");
    let refused = ann.refused(["put", "loop", "/x"]);
    assert_eq!(refused.exit, 6, "{refused:?}");
    assert!(refused.message.contains("a loop"), "{refused:?}");
}

#[test]
fn messages_say_what_was_left_out_or_is_there() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("t/f", "1");
    fs::create_dir(ann.path("t/empty")).expect("a folder");
    ann.puts("/f", "1");
    for (arguments, exit, words) in [
        (&["get", "/f"][..], 2, "local target LOCAL is missing"),
        (&["put", "t/f"], 2, "target REMOTE is missing"),
        (&["mv", "/f"], 2, "TARGET is missing"),
        (&["cp", "/f"], 2, "TARGET is missing"),
        (&["rm"], 2, "<PATH>"),
        (&["ls", "/t/../f"], 2, "`..`"),
        (&["mkdir", "/q/w/e"], 3, "-p"),
        (&["send", "ann,bob", "-s", "x", "-m", "x"], 3, "separated by spaces"),
        (&["put", "--if-absent", "t/f", "/f"], 6, "/f exists already"),
        (&["setup", "--account", "eve"], 6, "an administrator exists"),
    ] {
        let refused = ann.refused(arguments);
        let is_so = refused.exit == exit && refused.message.contains(words);
        assert!(is_so, "{arguments:?}: {refused:?}");
    }
    ann.does(["put", "t/f", "/.."]);
    assert_eq!(ann.runs(["ls", "/t/.."]).succeeded().text(), "f\n");
    let told = ann.runs(["put", "-r", "t", "/t"]).stderr;
    assert!(told.contains("put 1 file,") && told.contains("of 3 entries 3 changed"), "{told}");
    let told = ann.runs(["put", "t/f", "/g"]).stderr;
    assert!(told.contains("; 1 changed, 0 unchanged"), "{told}");
}

#[test]
fn a_lost_connection_is_told_once() {
    let mut world = World::start();
    let ann = world.admin("ann");
    world.stop();
    let said = |flags: &[&str]| {
        let run = ann.runs(["ls", "--retry-for", "400ms"].iter().chain(flags));
        assert_eq!(run.exit, 8, "{run:?}");
        run.stderr.matches("trying again for 400 ms").count()
    };
    assert_eq!((said(&[]), said(&["-q"]), said(&["--json"])), (1, 0, 0));
}
