//! What has not changed since it was read is not read again.

use std::fs::{self, File, FileTimes};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use depot_tests::user::User;
use depot_tests::wait::until_true;
use depot_tests::world::World;
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

const NAMES: [&str; 4] = ["a", "b", "empty", "large"];

/// Sees which files of a tree are opened.
struct Opened {
    notify: OwnedFd,
    watched: Vec<(i32, &'static str)>,
}

impl Opened {
    fn of(folder: &Path) -> Self {
        let notify = inotify::init(CreateFlags::NONBLOCK).expect("inotify");
        let watch = |name| {
            let added = inotify::add_watch(&notify, folder.join(name), WatchFlags::OPEN);
            (added.expect("a watch"), name)
        };
        let watched = NAMES.map(watch).to_vec();
        Self { notify, watched }
    }

    /// Those that were opened since they were asked for last.
    fn names(&self) -> Vec<&'static str> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.notify, &mut buffer);
        let mut opened = Vec::new();
        while let Ok(event) = events.next() {
            assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW));
            opened.extend(self.watched.iter().find(|(at, _)| *at == event.wd()).map(|(_, n)| *n));
        }
        opened.sort_unstable();
        opened.dedup();
        opened
    }
}

/// Some files that were written long enough ago for any change to show.
fn tree(user: &User) -> PathBuf {
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(|i| (i / 5).to_le_bytes()).collect();
    for (name, bytes) in [("a", &b"one"[..]), ("b", b"two"), ("empty", b""), ("large", &large)] {
        user.file(format!("tree/{name}"), bytes);
    }
    settle(&user.path("tree"));
    user.path("tree")
}

/// Times of files are two seconds coarse at worst, and these are shown without their fractions.
fn settle(folder: &Path) {
    let changed = |name: &&str| fs::metadata(folder.join(name)).expect("a file").ctime();
    let newest = NAMES.iter().map(changed).max().unwrap_or_default().unsigned_abs();
    let settled = UNIX_EPOCH + Duration::from_secs(newest + 3);
    until_true("the files are old enough", || SystemTime::now() > settled);
}

fn sent(user: &User, arguments: &[&str]) -> u64 {
    let put = ["put", "-r"].iter().chain(arguments);
    user.json(put).iter().map(|line| line["sent_bytes"].as_u64().expect("a number")).sum()
}

#[test]
fn a_put_reads_only_what_has_changed() {
    let world = World::start();
    let ann = world.admin("ann");
    let tree = tree(&ann);
    let opened = Opened::of(&tree);
    assert_eq!(sent(&ann, &["tree", "/t"]), 12_000_006);
    assert_eq!(opened.names(), NAMES);
    for target in ["/t", "/copy"] {
        assert_eq!(sent(&ann, &["tree", target]), 0);
        assert_eq!(opened.names(), [""; 0], "{target}");
    }
    assert_eq!(ann.cats("/copy/large"), fs::read(tree.join("large")).expect("a file"));
    opened.names();
    assert_eq!(sent(&ann, &["tree", "/t", "--checksum"]), 0);
    assert_eq!(opened.names(), NAMES);

    // As long as before, and with the time that it had before.
    let modified = fs::metadata(tree.join("b")).and_then(|m| m.modified()).expect("a time");
    fs::write(tree.join("b"), "TWO").expect("a file");
    let file = File::options().write(true).open(tree.join("b")).expect("a file");
    file.set_times(FileTimes::new().set_modified(modified)).expect("a time");
    opened.names();
    assert_eq!(sent(&ann, &["tree", "/t"]), 3);
    assert_eq!(opened.names(), ["b"]);
    assert_eq!(ann.cats("/t/b"), b"TWO");
    // It was too fresh to be relied on.
    assert_eq!(sent(&ann, &["tree", "/t"]), 0);
    assert_eq!(opened.names(), ["b"]);
}

#[test]
fn what_the_server_lacks_is_read_again() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    bob.logs_in();
    let tree = tree(&ann);
    sent(&ann, &["tree", "/t"]);
    // What is known of the files says nothing of what bob has sent.
    fs::copy(ann.path("state/index.sqlite3"), bob.path("state/index.sqlite3")).expect("a copy");
    let opened = Opened::of(&tree);
    let local = tree.to_string_lossy().into_owned();
    assert_eq!(sent(&bob, &[&local, "/t"]), 12_000_006);
    assert_eq!(opened.names(), ["a", "b", "large"]);
    assert_eq!(bob.cats("/t/large").len(), 12_000_000);
    // A damaged index is no hindrance.
    fs::write(bob.path("state/index.sqlite3"), [0xa5; 9000]).expect("a file");
    assert_eq!(sent(&bob, &[&local, "/t"]), 0);
    assert_eq!(opened.names(), NAMES);
    assert_eq!(sent(&bob, &[&local, "/t"]), 0);
    assert_eq!(opened.names(), [""; 0]);
}

#[test]
fn a_get_reads_only_what_has_changed() {
    let world = World::start();
    let ann = world.admin("ann");
    tree(&ann);
    sent(&ann, &["tree", "/t"]);
    let get = |more: &[&str]| {
        let lines = ann.json(["get", "-r", "/t", "back"].iter().chain(more));
        lines.iter().map(|line| line["received_bytes"].as_u64().expect("a number")).sum::<u64>()
    };
    assert_eq!(get(&[]), 12_000_006);
    let back = ann.path("back");
    settle(&back);
    let opened = Opened::of(&back);
    assert_eq!(get(&[]), 0);
    assert_eq!(opened.names(), NAMES, "once, to know what they hold");
    assert_eq!(get(&[]), 0);
    assert_eq!(opened.names(), [""; 0]);
    // That holds for a put of them as well.
    assert_eq!(sent(&ann, &["back", "/again"]), 0);
    assert_eq!(opened.names(), ["large"], "it was never cut");
    assert_eq!(get(&["--checksum"]), 0);
    assert_eq!(opened.names(), NAMES);
    ann.puts("/t/a", "ONE");
    assert_eq!(get(&[]), 3);
    assert_eq!(fs::read(back.join("a")).expect("a file"), b"ONE");
}
