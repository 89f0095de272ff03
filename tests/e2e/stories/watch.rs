//! Changes: seen as they happen, or when somebody comes back; a tree is one of them.

use std::time::{Duration, Instant};

use depot_tests::process::Running;
use depot_tests::user::{User, text};
use depot_tests::wait::{until, until_true};
use depot_tests::world::World;
use serde_json::Value;

/// Somebody's `depot watch --json`.
struct Watching {
    running: Running,
    read: usize,
}

impl Watching {
    /// Begins now: it is there when it has seen a change.
    fn now(user: &User) -> Self {
        let running = user.starts(["watch", "--json"]);
        until_true("the watch to see a first change", || {
            user.does(["mkdir", "-p", "/begun"]);
            user.does(["rm", "-r", "/begun"]);
            !running.stdout().is_empty()
        });
        user.does(["mkdir", "/begun now"]);
        let mut watching = Self { running, read: 0 };
        watching.until("/begun now");
        watching
    }

    fn since(user: &User, cursor: &str) -> Self {
        Self { running: user.starts(["watch", "--json", "--cursor", cursor]), read: 0 }
    }

    /// What has come since the last look, up to the change of this path, or of the message of this id.
    fn until(&mut self, what: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        until(&format!("the watch to see {what}"), || {
            let printed = self.running.stdout();
            let lines = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            for line in lines.skip(self.read) {
                self.read += 1;
                let change: Value = serde_json::from_str(line).expect("an object a line");
                let is_it = change["path"] == what || change["id"] == what;
                seen.push(change);
                if is_it {
                    return Some(());
                }
            }
            None
        });
        seen
    }
}

/// Kind, op, path and whether all below it has changed.
fn told(change: &Value) -> (&str, &str, Option<&str>, bool) {
    let subtree = change["subtree"].as_bool().expect("true or false");
    (text(&change["kind"]), text(&change["op"]), change["path"].as_str(), subtree)
}

fn tree_of(user: &User, name: &str, files: usize) {
    for number in 0..files {
        user.file(format!("{name}/{}/{number}", number % 10), number.to_string());
    }
}

#[test]
fn what_happens_is_seen_as_it_happens() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let mut watching = Watching::now(&bob);
    let mut waited = Vec::new();
    for number in 0..25 {
        let path = format!("/f{number}");
        bob.puts(&path, &path);
        let done = Instant::now();
        let seen = watching.until(&path);
        waited.push(done.elapsed());
        let wanted = [("file", "put", Some(&*path), false)];
        assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), wanted);
    }
    // Most come long before anybody would have looked again; how busy the machine is decides on the rest.
    waited.sort();
    assert!(waited[waited.len() / 2] < Duration::from_secs(1), "{waited:?}");
    let id = ann.sends("bob", "hello");
    let seen = watching.until(&id);
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), [("message", "deliver", None, false)]);
    bob.fetches();
    assert_eq!(watching.until(&id)[0]["op"], "ack");
    // What is ann's is hers.
    ann.puts("/hers", "x");
    bob.puts("/his", "x");
    assert_eq!(watching.until("/his").len(), 1);
}

#[test]
fn whoever_comes_back_hears_what_happened_meanwhile() {
    let world = World::start();
    let ann = world.admin("ann");
    for name in ["/changed", "/moved", "/removed", "/same"] {
        ann.puts(name, name);
    }
    let mut watching = Watching::now(&ann);
    ann.puts("/last seen", "x");
    let cursor = text(&watching.until("/last seen")[0]["cursor"]).to_owned();
    drop(watching);

    ann.puts("/changed", "in between");
    ann.puts("/changed", "at last");
    ann.does(["mv", "/moved", "/elsewhere"]);
    ann.does(["rm", "/removed"]);
    let id = ann.sends("ann", "meanwhile");
    ann.puts("/new", "x");
    let wanted = [
        ("file", "put", Some("/changed"), false),
        ("file", "move", Some("/elsewhere"), false),
        ("file", "remove", Some("/removed"), false),
        ("message", "deliver", None, false),
        ("file", "put", Some("/new"), false),
    ];
    let mut back = Watching::since(&ann, &cursor);
    let seen = back.until("/new");
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), wanted, "each once, as it is now");
    assert_eq!(seen[3]["id"], id.as_str());

    // Each line has a place of its own to go on from.
    let mut later = Watching::since(&ann, text(&seen[2]["cursor"]));
    let rest = later.until("/new");
    assert_eq!(rest.iter().map(told).collect::<Vec<_>>(), wanted[3..]);
}

#[test]
fn a_tree_is_one_change_when_it_comes_and_moves_and_goes() {
    let world = World::start();
    let ann = world.admin("ann");
    let mut watching = Watching::now(&ann);
    let cursor = text(&ann_marks(&ann, &mut watching)["cursor"]).to_owned();
    tree_of(&ann, "tree", 2_000);
    ann.does(["put", "-r", "tree", "/tree"]);
    let seen = watching.until("/tree");
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), [("folder", "put", Some("/tree"), true)]);
    ann.does(["mv", "/tree", "/moved"]);
    let seen = watching.until("/moved");
    assert_eq!(told(&seen[0]), ("folder", "move", Some("/moved"), true));
    assert_eq!(seen.len(), 1);
    ann.does(["cp", "-r", "/moved", "/copy"]);
    assert_eq!(told(&watching.until("/copy")[0]), ("folder", "put", Some("/copy"), true));
    ann.does(["rm", "-r", "/moved"]);
    let seen = watching.until("/moved");
    assert_eq!(told(&seen[0]), ("folder", "remove", Some("/moved"), true));
    assert_eq!(seen.len(), 1);
    ann_marks(&ann, &mut watching);

    // Whoever comes later hears as little.
    let mut later = Watching::since(&ann, &cursor);
    let seen = later.until("/mark");
    assert!(seen.len() <= 4, "{seen:?}");
    assert!(seen.iter().any(|change| told(change) == ("folder", "put", Some("/copy"), true)));
    // One file below it is a change of its own again.
    ann.puts("/copy/0/0", "changed");
    let seen = later.until("/copy/0/0");
    assert_eq!(
        seen.iter().map(told).collect::<Vec<_>>(),
        [("file", "put", Some("/copy/0/0"), false)]
    );
}

/// A change to be recognised; what it was seen as.
fn ann_marks(ann: &User, watching: &mut Watching) -> Value {
    ann.puts("/mark", watching.read.to_string());
    watching.until("/mark").pop().expect("the mark")
}

#[test]
fn a_cursor_of_another_store_begins_anew_with_everything() {
    let (world, other) = (World::start(), World::start());
    let (ann, stranger) = (world.admin("ann"), other.admin("ann"));
    let mut watching = Watching::now(&stranger);
    let foreign = ann_marks(&stranger, &mut watching);
    ann.puts("/dir/f", "x");
    let id = ann.sends("ann", "hello");
    ann.puts("/gone", "x");
    ann.does(["rm", "/gone"]);
    ann.puts("/last", "x");
    for cursor in [text(&foreign["cursor"]), "not a cursor at all"] {
        let mut anew = Watching::since(&ann, cursor);
        let seen = anew.until("/last");
        let has = |what: &str| seen.iter().any(|c| c["path"] == what || c["id"] == what);
        assert!(has("/dir") && has("/dir/f") && has(&id), "{seen:?}");
        assert!(!has("/gone"), "what is not there is not told: {seen:?}");
    }
    let told = ann.starts(["watch", "--cursor", text(&foreign["cursor"])]);
    until_true("the watch to get to the end", || told.stdout().contains("/last"));
    until_true("a word on that", || told.stderr().contains("what does not follow is gone"));
}
