//! How commands end: every exit code, with the reason and the message that go with it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use depot_tests::process::{Run, Running};
use depot_tests::user::{Refusal, User};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use rustix::process::Signal;

/// What is typed, and what it ends with: the exit code, the reason, and words that say what to do or what
/// it is about.
type Case<'a> = (&'a [&'a str], i32, &'a str, &'a str);

#[track_caller]
fn all_refused(user: &User, cases: &[Case<'_>]) {
    let mut wrong = Vec::new();
    for (arguments, exit, reason, words) in cases {
        let refused = user.refused(*arguments);
        let is_so = refused.kind() == (*exit, *reason) && refused.message.contains(words);
        if !is_so || !refused.stdout.is_empty() {
            wrong.push(format!("{arguments:?} is {refused:?}, not {exit} {reason} {words:?}"));
        }
        // For people the same, in words.
        let run = user.runs(*arguments);
        if run.exit != *exit || run.stderr.is_empty() || !run.stdout.is_empty() {
            wrong.push(format!("{arguments:?} without --json is {run:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_typed_wrong_is_2() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/f", "1234");
    ann.file("local", "x");
    all_refused(
        &ann,
        &[
            (&["frobnicate"], 2, "USAGE", "frobnicate"),
            (&["ls", "--frobnicate"], 2, "USAGE", "--frobnicate"),
            (&["put", "local"], 2, "USAGE", "LOCAL"),
            (&["ls", "relative"], 2, "USAGE", "`relative` is no path"),
            (&["stat", "/a\u{202e}b"], 2, "INVALID_NAME", "direction"),
            (&["cat", "--offset", "1X", "/f"], 2, "USAGE", "1X"),
            (&["read", "nothing"], 2, "USAGE", "nothing"),
            (&["rm", "-r", "/"], 2, "INVALID_ARGUMENT", "root"),
            (&["put", "--if-generation", "1", "local", "local", "/x/"], 2, "USAGE", "one file"),
            (&["send", "ann", "-s", "two\nlines", "-m", "x"], 2, "INVALID_ARGUMENT", "one line"),
            (&["whoami", "-q", "-v"], 2, "USAGE", "cannot be used with"),
        ],
    );
    assert_eq!(ann.runs([""; 0]).exit, 2);
    // What prints a file's bytes has no room for objects.
    for (arguments, words) in [
        (&["cat", "--offset", "5", "/f"][..], "only 4 bytes"),
        (&["cat", "/"], "is no file"),
        (&["get", "/", "-"], "-r"),
        (&["cat", "--json", "/f"], "at once"),
        (&["get", "--json", "/f", "-"], "at once"),
    ] {
        let run = ann.runs(arguments);
        assert!(run.exit == 2 && run.stderr.contains(words), "{arguments:?}: {run:?}");
    }
}

#[test]
fn what_is_not_there_is_3() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.adds("bob").puts("/secret", "bob's");
    ann.file("local", "x");
    all_refused(
        &ann,
        &[
            (&["stat", "/missing"], 3, "NOT_FOUND", "/missing"),
            (&["get", "/missing", "here"], 3, "NOT_FOUND", "/missing"),
            (&["ls", "/missing"], 3, "NOT_FOUND", "/missing"),
            (&["rm", "/missing"], 3, "NOT_FOUND", "/missing"),
            (&["mv", "/missing", "/x"], 3, "NOT_FOUND", "/missing"),
            (&["cp", "/missing", "/x"], 3, "NOT_FOUND", "/missing"),
            (&["mkdir", "/missing/x"], 3, "NOT_FOUND", "/missing"),
            (&["put", "missing", "/x"], 3, "LOCAL_NOT_FOUND", "missing"),
            (&["stat", "bob:/secret"], 3, "NOT_FOUND", "bob:/secret"),
            (&["put", "local", "bob:/x"], 3, "NOT_FOUND", "bob:"),
            (&["send", "nobody", "-s", "x", "-m", "x"], 3, "UNKNOWN_RECIPIENT", "nobody"),
            (&["send", "no body", "-s", "x", "-m", "x"], 3, "UNKNOWN_RECIPIENT", "no body"),
            (
                &["send", "ann", "-s", "x", "-m", "x", "--attach-remote", "/missing"],
                3,
                "NOT_FOUND",
                "/missing",
            ),
            (&["read", "99"], 3, "NOT_FOUND", "99"),
            (&["read", "last"], 3, "NOT_FOUND", ""),
            (&["ack", "99"], 3, "NOT_FOUND", "99"),
            (&["save", "99"], 3, "NOT_FOUND", "99"),
            (&["reply", "99", "-m", "x"], 3, "NOT_FOUND", "99"),
            (&["admin", "account", "disable", "nobody"], 3, "NOT_FOUND", "nobody"),
        ],
    );
    let run = ann.runs(["cat", "/missing"]);
    assert!(run.exit == 3 && run.stderr.contains("/missing"), "{run:?}");
    assert_eq!(ann.lists("/"), [""; 0]);
}

#[test]
fn what_one_may_not_is_4_and_who_one_is_not_is_5() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let wrong = bob.file("wrong", "wrong\n").to_string_lossy().into_owned();
    all_refused(
        &bob,
        &[
            (&["admin", "account", "list"], 4, "PERMISSION_DENIED", "administrators"),
            (&["admin", "account", "disable", "ann"], 4, "PERMISSION_DENIED", "administrators"),
            (
                &["login", "--password-file", &wrong],
                5,
                "UNAUTHENTICATED",
                "the account or the password is wrong",
            ),
        ],
    );
    assert_eq!(bob.does(["whoami"]), "bob\n", "the login before goes on");

    let carl = world.stranger("carl");
    let refused = carl.refused(["ls"]);
    assert_eq!(refused.kind(), (5, "NOT_LOGGED_IN"));
    assert!(refused.message.contains("depot login --server"), "{refused:?}");
    bob.does(["logout"]);
    let refused = bob.refused(["ls"]);
    assert_eq!(refused.exit, 5, "{refused:?}");
    assert!(refused.message.contains("depot login --server"), "{refused:?}");

    bob.logs_in();
    fs::set_permissions(bob.path("state"), PermissionsExt::from_mode(0o750)).expect("a mode");
    let refused = bob.refused(["ls"]);
    assert_eq!(refused.kind(), (4, "STATE_NOT_PRIVATE"));
    assert!(refused.message.contains("chmod 700"), "{refused:?}");
}

#[test]
fn what_stands_against_it_is_6() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/f", "1");
    ann.puts("/dir/g", "2");
    ann.file("local", "x");
    ann.does(["send", "ann", "-s", "x", "-m", "x", "--attach-remote", "/f"]);
    ann.file("f", "stands here");
    all_refused(
        &ann,
        &[
            (&["mkdir", "/dir"], 6, "ALREADY_EXISTS", "/dir"),
            (&["mkdir", "/DIR"], 6, "NAME_TWIN", "dir"),
            (&["put", "--if-absent", "local", "/f"], 6, "GENERATION_MISMATCH", "/f"),
            (&["put", "--if-generation", "999", "local", "/f"], 6, "GENERATION_MISMATCH", "999"),
            (&["mv", "/f", "/f/g"], 6, "ALREADY_EXISTS", "/f"),
            (&["cp", "-r", "/dir", "/f"], 6, "TARGET_IS_FILE", "/f"),
            (&["save", "1"], 6, "LOCAL_ALREADY_EXISTS", "--force"),
            (&["admin", "account", "disable", "ann"], 6, "FAILED_PRECONDITION", "administrator"),
        ],
    );
    let home = ann.path("").to_string_lossy().into_owned();
    let refused = ann.refused(["fetch", "--into", &home]);
    assert_eq!(refused.kind(), (6, "NOT_A_MAILDIR"), "{refused:?}");
    assert_eq!(ann.unread().len(), 1, "nothing was acknowledged");
    assert_eq!(ann.cats("/f"), b"1");
    assert_eq!(fs::read(ann.path("f")).expect("a file"), b"stands here");
}

#[test]
fn what_does_not_fit_is_7_and_says_how_much_there_is() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1000"]);
    bob.file("small", [1; 600]);
    bob.file("large", [2; 1001]);
    bob.does(["put", "small", "/small"]);
    all_refused(
        &bob,
        &[
            (&["put", "large", "/large"], 7, "QUOTA_EXCEEDED", "1000"),
            (&["put", "small", "/again"], 7, "QUOTA_EXCEEDED", "600 of 1000"),
            (&["cp", "/small", "/copy"], 7, "QUOTA_EXCEEDED", "remove something"),
        ],
    );
    assert_eq!(bob.lists("/"), ["small"]);
    let whoami = bob.one(["whoami"]);
    assert_eq!((&whoami["used_bytes"], &whoami["quota_bytes"]), (&600.into(), &1000.into()));
}

#[test]
fn a_server_that_is_not_there_is_8_after_the_time_that_was_given() {
    let mut world = World::start();
    let ann = world.admin("ann");
    world.kill();
    let begun = Instant::now();
    let refused = ann.refused(["ls", "--retry-for", "0s"]);
    assert_eq!(refused.kind(), (8, "UNREACHABLE"), "{refused:?}");
    assert!(refused.message.contains(&world.server()), "{refused:?}");

    let refused = ann.refused(["ls", "--retry-for", "1s"]);
    assert_eq!(refused.exit, 8, "{refused:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it tried again");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

    let waiting = ann.starts(["ls", "-v", "--retry-for", "60s"]);
    world.start_again();
    waiting.ended().succeeded();
}

#[test]
fn something_else_that_listens_is_no_server() {
    let world = World::start();
    let ann = world.stranger("ann");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        // Whoever connects is hung up on.
        while other.accept().is_ok() {}
    });
    let login = ["login", "--server", &address, "--account", "ann", "--retry-for", "0s"];
    let refused = ann.refused(login);
    assert_eq!(refused.exit, 8, "{refused:?}");
    assert!(refused.message.contains(&address), "{refused:?}");
}

#[test]
fn bytes_that_are_not_what_their_name_says_are_9() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    ann.puts("/f", &bytes);
    ann.puts("/other", "whole");
    world.stop();
    let packs: Vec<_> = fs::read_dir(world.data().join("packs")).expect("packs").collect();
    for pack in packs {
        let path = pack.expect("a pack").path();
        let mut content = fs::read(&path).expect("a pack");
        let place = content.windows(16).position(|window| *window == bytes[200_000..200_016]);
        if let Some(place) = place {
            content[place] ^= 1;
            fs::write(&path, content).expect("a pack");
        }
    }
    world.start_again();
    let refused = ann.refused(["get", "/f", "here"]);
    assert_eq!(refused.kind(), (9, "DATA_LOSS"), "{refused:?}");
    assert!(!ann.path("here").exists());
    let left = fs::read_dir(ann.path("")).expect("a home").count();
    assert_eq!(ann.runs(["cat", "/f"]).exit, 9);
    assert_eq!(ann.cats("/other"), b"whole", "the harm stays where it is");
    assert_eq!(fs::read_dir(ann.path("")).expect("a home").count(), left, "nothing is left behind");

    world.stop();
    let mut verify = depot_tests::server::Program::command(&world.data());
    let verified = depot_tests::process::run(verify.arg("verify"));
    assert_eq!(verified.exit, 9, "{verified:?}");
    assert!(verified.text().contains("/f"), "{verified:?}");
}

#[test]
fn a_part_that_failed_is_11_and_named() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("good", "good");
    let refused = ann.refused(["put", "good", "missing", "/into/"]);
    assert_eq!(refused.exit, 11, "{refused:?}");
    let named = refused.others.iter().any(|other| other["error"]["path"] == "missing");
    assert!(named, "{refused:?}");
    assert_eq!(ann.lists("/into"), ["good"]);

    ann.file("twins/README", "1");
    ann.file("twins/readme", "2");
    ann.file("twins/third", "3");
    let refused = ann.refused(["put", "-r", "twins", "/t"]);
    assert_eq!(refused.kind(), (6, "NAME_TWIN"), "{refused:?}");
    let pair = refused.others[0]["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(pair.contains("README") && pair.contains("readme"), "{refused:?}");
    assert_eq!(ann.lists("/"), ["into"], "nothing was committed");
    let refused = ann.refused(["put", "-r", "--skip-twins", "twins", "/t"]);
    assert_eq!(refused.exit, 11, "{refused:?}");
    assert_eq!(ann.lists("/t"), ["README", "third"]);

    let full = ann.adds_with("full", &["--quota", "10"]);
    let run = ann.runs(["send", "ann", "full", "-s", "x", "-m", "longer than ten", "--json"]);
    assert_eq!(run.exit, 11, "{run:?}");
    let sent = &run.json()[0];
    assert_eq!(sent["recipients"][1]["state"], "refused", "{sent}");
    assert!(run.stderr.contains("full"), "{run:?}");
    assert!(full.unread().is_empty());
    assert_eq!(ann.unread(), ["longer than ten"]);
}

#[test]
fn nothing_to_fetch_is_12_only_for_those_who_ask() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.runs(["fetch"]).succeeded();
    let refused = ann.refused(["fetch", "--fail-if-none"]);
    assert_eq!(refused.exit, 12, "{refused:?}");
    ann.sends("ann", "hello");
    ann.runs(["fetch", "--fail-if-none"]).succeeded();
}

#[test]
fn ctrl_c_is_130_and_says_how_to_go_on() {
    let world = World::start();
    let ann = world.admin("ann");
    let watching = ann.starts(["watch", "--json"]);
    let stop = |watching: Running| -> Run {
        watching.signal(Signal::INT);
        watching.ended()
    };
    // It is there when it has seen something.
    until_true("the watch sees a change", || {
        ann.puts("/f", format!("{}", watching.id()));
        ann.does(["rm", "/f"]);
        !watching.stdout().is_empty()
    });
    let refused = Refusal::of(Run { stdout: Vec::new(), ..stop(watching) });
    assert_eq!(refused.kind(), (130, "INTERRUPTED"), "{refused:?}");
    assert!(refused.message.contains("--cursor"), "{refused:?}");
}

#[test]
fn a_reader_that_leaves_is_1_without_a_word() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/f", vec![7; 1 << 20]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut cat = ann.command(["cat", "/f"]);
    let ended = cat.stdout(writer).stderr(std::process::Stdio::piped()).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
