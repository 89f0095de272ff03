//! Several things named at once: what fails is named and the rest is done; and what is left over, cut or
//! begun anew is said.

use depot_tests::user::{Refusal, text};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use serde_json::Value;

/// The reasons of all that was said before the end.
fn reasons(refused: &Refusal) -> Vec<&str> {
    refused.others.iter().map(|other| text(&other["error"]["reason"])).collect()
}

#[test]
fn what_fails_is_named_and_the_rest_is_done() {
    let world = World::start();
    let ann = world.admin("ann");
    for path in ["/a", "/b", "/c"] {
        ann.puts(path, path);
    }
    let refused = ann.refused(["mkdir", "/d", "/a", "/e"]);
    assert_eq!((refused.exit, reasons(&refused).len()), (11, 1), "{refused:?}");
    assert_eq!(refused.stdout.lines().count(), 2);

    let refused = ann.refused(["cp", "/absent", "/a", "/d"]);
    assert_eq!((refused.exit, reasons(&refused)), (11, vec!["NOT_FOUND"]));
    assert_eq!(ann.lists("/d"), ["a"], "into it, though one alone was there");
    let refused = ann.refused(["mv", "/b", "/absent", "/c", "/new"]);
    assert_eq!((refused.exit, reasons(&refused)), (11, vec!["NOT_FOUND"]));
    assert_eq!(ann.lists("/new"), ["b", "c"]);

    // A command line that is wrong does nothing.
    assert_eq!(ann.refused(["rm", "/a", "/d", "/new/b"]).kind(), (2, "USAGE"));
    assert_eq!(ann.refused(["cp", "/a", "/d", "/e"]).kind(), (2, "USAGE"));
    let refused = ann.refused(["rm", "/a", "/absent", "/new/b"]);
    assert_eq!((refused.exit, reasons(&refused)), (11, vec!["NOT_FOUND"]));
    assert!(refused.message.contains("1 operand failed; 2 done"), "{refused:?}");
    assert_eq!(ann.tree("/"), ["/d", "/d/a", "/e", "/new", "/new/c"]);

    // Where none is done, the first failure says how it ends; one alone is its own error.
    let refused = ann.refused(["rm", "/absent", "/gone"]);
    assert_eq!((refused.exit, reasons(&refused)), (3, vec!["NOT_FOUND", "NOT_FOUND"]));
    for alone in [&["rm", "/absent"][..], &["mv", "/absent", "/x"], &["cp", "/absent", "/x"]] {
        let refused = ann.refused(alone);
        assert_eq!((refused.kind(), refused.others.len()), ((3, "NOT_FOUND"), 0), "{alone:?}");
    }
    assert_eq!(ann.refused(["rm", "/d"]).kind(), (2, "USAGE"));
}

#[test]
fn what_a_get_left_is_not_put() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("tree/whole", "whole");
    ann.file("tree/.half.depot-partial", "ha");
    let put = ann.runs(["put", "-r", "tree", "/tree"]).succeeded();
    assert!(put.stderr.contains("tree/.half.depot-partial is what a get"), "{put:?}");
    assert_eq!(ann.tree("/tree"), ["/tree/whole"]);
    ann.does(["get", "-r", "/tree", "back"]);
}

#[test]
fn many_messages_are_acknowledged_by_their_numbers() {
    let world = World::start();
    let ann = world.admin("ann");
    for number in 1..=12 {
        ann.sends("ann", &format!("number {number}"));
    }
    let numbers: Vec<String> = [1, 3, 5, 7, 9, 11].iter().map(ToString::to_string).collect();
    let ack = |numbers: &[String]| ["ack".to_owned()].into_iter().chain(numbers.to_vec());
    assert_eq!(ann.one(ack(&numbers))["acked"], 6);
    let left: Vec<String> = [2, 4, 6, 8, 10, 12].map(|n| format!("number {n}")).into();
    assert_eq!(ann.unread(), left);
    let with_absent: Vec<String> = numbers.into_iter().chain(["99".to_owned()]).collect();
    assert_eq!(ann.refused(ack(&with_absent)).exit, 3);
}

#[test]
fn a_watch_that_begins_anew_says_so() {
    let (here, there) = (World::start(), World::start());
    let (ann, eve) = (here.admin("ann"), there.admin("eve"));
    let watching = eve.starts(["watch", "--json"]);
    until_true("a change", || {
        eve.does(["mkdir", "-p", "/x"]);
        eve.does(["rm", "-r", "/x"]);
        !watching.stdout().is_empty()
    });
    let change: Value =
        serde_json::from_str(watching.stdout().lines().next().expect("a line")).expect("JSON");
    // A cursor of another store.
    ann.puts("/f", "f");
    let cursor = text(&change["cursor"]);
    for flags in [&["--json"][..], &["--json", "-q"], &["-q"]] {
        let watching = ann.starts(["watch", "--cursor", cursor].iter().chain(flags));
        until_true("a change", || watching.stdout().contains("/f"));
        until_true("a word on it", || watching.stderr().ends_with('\n'));
        let said = watching.stderr();
        if flags.contains(&"--json") {
            let told: Value = serde_json::from_str(said.trim()).expect("one object");
            let error = &told["error"];
            assert_eq!((text(&error["reason"]), &error["exit"]), ("CURSOR_RESET", &0.into()));
        } else {
            assert!(said.contains("the cursor is too old"), "{said:?}");
        }
    }
}

#[test]
fn a_flag_that_is_missing_is_named() {
    let world = World::start();
    let ann = world.admin("ann");
    let refused = ann.refused(["passwd", "--no-input", "--password-file", "password"]);
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(refused.message.contains("--new-password-file"), "{refused:?}");
    let refused = ann.refused(["passwd", "--no-input"]);
    assert!(refused.message.contains("--password-file FILE or --password-stdin"), "{refused:?}");
}
