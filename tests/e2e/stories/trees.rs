//! Trees: what is put comes back as it was, and nobody ever sees half of one.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use depot_proto::files::{ListRequest, StatRequest};
use depot_tests::caller::Caller;
use depot_tests::user::{User, text};
use depot_tests::world::World;
use tonic::Code;

use super::noise;

/// All that is below a directory, by its name there: mode, time, and bytes or where it leads.
type Snapshot = BTreeMap<String, (u32, i128, Vec<u8>)>;

fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::symlink_metadata(&path).expect("an entry");
        let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
        let time = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let content = if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("a folder").map(|e| e.expect("e").path()));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).expect("a symlink").to_string_lossy().into_owned().into_bytes()
        } else {
            fs::read(&path).expect("a file")
        };
        // Every symlink has the same mode.
        let mode = if metadata.is_symlink() { 0 } else { metadata.mode() };
        found.insert(name, (mode, time, content));
    }
    found
}

/// A tree of all kinds of things, with times to the nanosecond.
fn varied(user: &User, name: &str) {
    let root = user.path(name);
    user.file(root.join("plain.txt"), "plain");
    user.file(root.join("empty file"), "");
    user.file(root.join("deep/er/large.bin"), noise(1, 5_000_000));
    user.file(root.join("deep/er/täglich ☕.md"), "Kaffee");
    user.file(root.join(".hidden"), "hidden");
    user.file(root.join("-rf"), "a name like a flag");
    user.file(root.join("script"), "#!/bin/sh\n");
    fs::create_dir_all(root.join("empty/emptier")).expect("folders");
    symlink("plain.txt", root.join("link")).expect("a symlink");
    symlink("../nowhere", root.join("deep/dangling")).expect("a symlink");
    symlink("deep", root.join("to folder")).expect("a symlink");
    symlink("/etc/hostname", root.join("absolute")).expect("a symlink");
    let modes = [("script", 0o755), (".hidden", 0o600), ("deep/er/large.bin", 0o444)];
    for (name, mode) in modes.into_iter().chain([("empty", 0o700), ("deep", 0o750)]) {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    // Folders last: what is made in them is a change of theirs.
    let timed =
        ["plain.txt", "script", "empty file", "deep/er", "deep", "empty/emptier", "empty", ""];
    for (place, name) in (1..).zip(timed) {
        let time = UNIX_EPOCH + Duration::new(1_000_000_000 + place, 100_000_007 * place as u32);
        let file = File::open(root.join(name)).expect("an entry");
        file.set_times(FileTimes::new().set_modified(time)).expect("a time");
    }
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let world = World::start();
    let ann = world.admin("ann");
    varied(&ann, "tree");
    let before = snapshot(&ann.path("tree"));
    assert_eq!(before.len(), 16);
    let put = ann.json(["put", "-r", "tree", "/tree"]);
    assert_eq!(put.len(), 7, "a line for each file");
    let stored = ann.json(["ls", "-r", "/tree"]);
    assert_eq!(stored.len(), 15);

    let got = ann.json(["get", "-r", "/tree", "back"]);
    assert_eq!(got.len(), 7);
    assert_eq!(snapshot(&ann.path("back")), before);
    for file in ann.json(["get", "-r", "/tree", "back"]) {
        assert_eq!(file["received_bytes"], 0, "{file}");
    }
    assert_eq!(snapshot(&ann.path("back")), before);

    // Putting what came back changes nothing at all.
    for file in ann.json(["put", "-r", "back", "/tree"]) {
        assert_eq!(file["sent_bytes"], 0, "{file}");
    }
    assert_eq!(ann.json(["ls", "-r", "/tree"]), stored);
    ann.does(["cp", "-r", "/tree", "/copy"]);
    ann.does(["get", "-r", "/copy", "copied"]);
    assert_eq!(snapshot(&ann.path("copied")), before, "a copy has all of it too");
}

#[test]
fn a_tree_that_is_put_again_brings_what_is_new_and_removes_nothing() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("t/same", "same");
    ann.file("t/changes", "before");
    ann.does(["put", "-r", "t", "/t"]);
    ann.puts("/t/only here", "on the server alone");
    let same = ann.one(["stat", "/t/same"]);
    ann.file("t/changes", "after");
    ann.file("t/new/file", "new");
    let put = ann.json(["put", "-r", "t", "/t"]);
    let sent: Vec<_> =
        put.iter().map(|file| (text(&file["path"]), file["sent_bytes"].as_u64())).collect();
    let wanted = [("/t/changes", Some(5)), ("/t/new/file", Some(3)), ("/t/same", Some(0))];
    assert_eq!(sent, wanted);
    assert_eq!(ann.one(["stat", "/t/same"]), same);
    assert_eq!(ann.cats("/t/only here"), b"on the server alone");
    assert_eq!(ann.cats("/t/changes"), b"after");
    let refused = ann.refused(["put", "-r", "--if-absent", "t", "/t"]);
    assert_eq!(refused.exit, 6, "{refused:?}");
}

#[test]
fn several_things_go_into_a_folder_together() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("one", "1");
    ann.file("dir/two", "2");
    ann.file("other/three", "3");
    fs::create_dir(ann.path("bare")).expect("a folder");
    ann.does(["put", "-r", "one", "dir", "other", "bare", "/into"]);
    let wanted = ["/into/bare", "/into/dir", "/into/dir/two", "/into/one", "/into/other"];
    assert_eq!(ann.tree("/into"), [&wanted[..], &["/into/other/three"]].concat());
    ann.does(["get", "-r", "/into/dir", "/into/one", "back"]);
    assert_eq!(
        snapshot(&ann.path("back")).keys().collect::<Vec<_>>(),
        ["", "dir", "dir/two", "one"]
    );
}

#[test]
fn what_is_neither_file_nor_folder_nor_symlink_is_skipped_and_named() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("t/file", "x");
    let socket = std::os::unix::net::UnixListener::bind(ann.path("t/socket")).expect("a socket");
    let run = ann.runs(["put", "-r", "t", "/t"]);
    assert!(run.stderr.contains("t/socket"), "{run:?}");
    assert_eq!(ann.tree("/t"), ["/t/file"]);
    drop(socket);
}

/// How many entries of a tree a caller sees; none where it is not there.
async fn seen(caller: &Caller, path: &str) -> Option<usize> {
    let wanted =
        ListRequest { path: path.into(), recursive: true, page_size: 5_000, ..Default::default() };
    match caller.files().list(wanted).await {
        Ok(listed) => Some(listed.into_inner().entries.len()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{status:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_appears_and_goes_as_a_whole() {
    let world = World::start();
    let ann = world.admin("ann");
    for number in 0..2_000 {
        ann.file(format!("t/{}/{number}", number % 20), number.to_string());
    }
    ann.file("m/0/0", "changed");
    ann.file("m/new", "new");
    let caller = ann.calls().await;
    let (mut looks, mut counts) = (0, Vec::new());
    for verb in [&["put", "-r", "t", "/t"][..], &["cp", "-r", "/t", "/u"], &["rm", "-r", "/t"]] {
        let path = if verb[0] == "cp" { "/u" } else { "/t" };
        let mut running = ann.starts(verb);
        while !running.has_ended() {
            counts.push(seen(&caller, path).await);
            looks += 1;
        }
        running.ended().succeeded();
        let wanted = (verb[0] != "rm").then_some(2_020);
        assert_eq!(seen(&caller, path).await, wanted, "{verb:?}");
    }
    counts.retain(|count| !matches!(count, None | Some(2_020)));
    assert_eq!(counts, [], "half a tree was seen in {looks} looks");

    // So does what is merged into one that stands.
    let mut running = ann.starts(["put", "-r", "m", "/u"]);
    let stat = async |path: &str| caller.files().stat(StatRequest { path: path.into() }).await;
    while !running.has_ended() {
        let new = stat("/u/new").await.is_ok();
        let changed = stat("/u/0/0").await.expect("a file").into_inner().entry.expect("an entry");
        assert!(!new || changed.size == 7, "the new one stands, and the other is as it was");
    }
    running.ended().succeeded();
    assert_eq!(ann.cats("/u/0/0"), b"changed");
}
