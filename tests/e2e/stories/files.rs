//! Single files: put, looked at, read in parts, moved, copied, removed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use depot_tests::user::{Refusal, text};
use depot_tests::world::World;

use super::noise;

#[test]
fn what_the_server_has_is_not_sent_again() {
    let world = World::start();
    let ann = world.admin("ann");
    let mut bytes = noise(1, 6_000_000);
    let first = ann.puts("/big", &bytes);
    assert_eq!((&first["sent_bytes"], &first["reused_bytes"]), (&6_000_000.into(), &0.into()));

    let again = ann.puts("/big", &bytes);
    assert_eq!((&again["sent_bytes"], &again["reused_bytes"]), (&0.into(), &6_000_000.into()));
    for key in ["id", "version", "generation"] {
        assert_eq!(again[key], first[key], "{key}: nothing is new");
    }

    let elsewhere = ann.puts("/elsewhere", &bytes);
    assert_eq!(elsewhere["sent_bytes"], 0);
    assert_ne!(elsewhere["id"], first["id"]);

    bytes.splice(3_000_000..3_000_000, *b"a few more in the middle");
    let changed = ann.puts("/big", &bytes);
    let sent = changed["sent_bytes"].as_u64().expect("a number");
    assert!((24..5_000_000).contains(&sent), "only the chunks around it: {changed}");
    assert_eq!(sent + changed["reused_bytes"].as_u64().expect("a number"), 6_000_024);
    assert_eq!(changed["id"], first["id"], "it is the same file");
    assert_ne!(changed["version"], first["version"]);
    assert!(changed["generation"].as_u64() > first["generation"].as_u64());
    assert_eq!(ann.cats("/big"), bytes);
    assert_eq!(ann.cats("/elsewhere").len(), 6_000_000);
}

#[test]
fn what_is_here_is_not_received_again() {
    let world = World::start();
    let ann = world.admin("ann");
    let bytes = noise(2, 3_000_000);
    ann.puts("/big", &bytes);
    let first = ann.one(["get", "/big", "here"]);
    assert_eq!(first["received_bytes"], 3_000_000);
    let inode = fs::metadata(ann.path("here")).expect("a file").ino();
    let again = ann.one(["get", "/big", "here"]);
    assert_eq!(again["received_bytes"], 0);
    assert_eq!(fs::metadata(ann.path("here")).expect("a file").ino(), inode, "left alone");

    ann.file("here", "something else");
    let whole = ann.one(["get", "--sync", "/big", "here"]);
    assert_eq!(whole["blake3"], first["blake3"]);
    assert_eq!(fs::read(ann.path("here")).expect("a file"), bytes);
}

#[test]
fn parts_of_a_file_are_read_across_its_chunks() {
    let world = World::start();
    let ann = world.admin("ann");
    let bytes = noise(3, 5 << 20);
    ann.puts("/big", &bytes);
    ann.puts("/small", "0123456789");
    let part = |arguments: &[&str]| ann.runs(["cat"].iter().chain(arguments)).succeeded().stdout;
    let range =
        |offset: &str, length: &str| part(&["--offset", offset, "--length", length, "/big"]);
    assert_eq!(range("0", "1"), bytes[..1]);
    assert_eq!(range("1M", "3M"), bytes[1 << 20..4 << 20]);
    assert_eq!(range("4999999", "4K"), bytes[4_999_999..4_999_999 + 4096]);
    assert_eq!(range("5242879", "10"), bytes[(5 << 20) - 1..], "cut at the end");
    assert_eq!(range("5M", "10"), b"", "the end itself is no error");
    assert_eq!(range("1000", "0"), b"");
    assert_eq!(part(&["--offset", "5000000", "/big"]), bytes[5_000_000..]);
    assert_eq!(part(&["--offset", "8", "/small", "/small"]), b"8989", "of each");
    assert_eq!(part(&["/small", "/small"]), b"01234567890123456789");
}

#[test]
fn pipes_carry_any_size() {
    let world = World::start();
    let ann = world.admin("ann");
    let bytes = noise(4, 7_000_000);
    ann.pipes(&bytes[..], ["put", "-", "/piped"]).succeeded();
    ann.pipes(&b""[..], ["put", "-", "/empty"]).succeeded();
    assert_eq!(ann.runs(["get", "/piped", "-"]).succeeded().stdout, bytes);
    assert_eq!(ann.cats("/empty"), b"");
    assert_eq!(ann.one(["stat", "/empty"])["size"], 0);
}

#[test]
fn a_generation_is_a_promise_about_what_is_replaced() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("one", "one");
    ann.file("two", "two");
    let first = ann.one(["put", "--if-absent", "one", "/f"]);
    let generation = first["generation"].to_string();
    let put_if =
        |generation: &str| ann.runs(["put", "--json", "--if-generation", generation, "two", "/f"]);
    let second = put_if(&generation).succeeded().json().remove(0);
    assert!(second["generation"].as_u64() > first["generation"].as_u64());
    let late = Refusal::of(put_if(&generation));
    assert_eq!(late.kind(), (6, "GENERATION_MISMATCH"));
    assert_eq!(ann.refused(["put", "--if-absent", "one", "/f"]).exit, 6);
    assert_eq!(ann.refused(["rm", "--if-generation", &generation, "/f"]).exit, 6);
    assert_eq!(ann.cats("/f"), b"two");

    ann.does(["rm", "--if-generation", &second["generation"].to_string(), "/f"]);
    let third = ann.one(["put", "--if-absent", "one", "/f"]);
    assert!(third["generation"].as_u64() > second["generation"].as_u64(), "never used again");
    assert_ne!(third["id"], first["id"], "another file of the same name");
}

#[test]
fn an_etag_is_a_promise_about_folders_too() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/d/f", "one");
    ann.puts("/other", "x");
    ann.file("tree/g", "two");
    let etag = |at: &str| ann.does(["stat", "--etag", at]).trim_end().to_owned();
    let (folder, file) = (etag("/d"), etag("/d/f"));
    assert_eq!(ann.one(["stat", "--etag", "/d"])["etag"], folder.as_str());
    ann.does(["put", "-r", "tree", "/d", "--if-etag", &folder]);
    let now = etag("/d");
    assert_ne!(now, folder, "the folder got the time of the one that was put");
    for refused in [
        &["put", "-r", "tree", "/d", "--if-etag", &folder][..],
        &["put", "tree/g", "/d/f", "--if-etag", &now],
        &["mv", "/d", "/e", "--if-etag", &folder],
        &["mv", "/d/f", "/e", "--if-generation", "77777"],
        &["rm", "-r", "/d", "--if-etag", &folder],
        &["restore", "/d/f", "--if-etag", &folder],
        &["mv", "/d/f", "/other", "--if-absent"],
        &["cp", "/d/f", "/other", "--if-absent"],
    ] {
        let refusal = ann.refused(refused);
        assert_eq!(refusal.kind(), (6, "GENERATION_MISMATCH"), "{refused:?}");
    }
    let both = ann.refused(["rm", "-r", "/d", "--if-etag", &folder]).message;
    assert!(both.contains(&folder) && both.contains(&now), "{both}");
    assert_eq!(ann.refused(["rm", "/d/f", "--if-etag", "what is this"]).exit, 2);
    assert_eq!(ann.refused(["rm", "/d/f", "/other", "--if-etag", &file]).exit, 2, "about one");
    assert_eq!(ann.tree("/"), ["/d", "/d/f", "/d/g", "/other"], "all as it was");

    ann.does(["put", "tree/g", "/d/f", "--if-etag", &file]);
    ann.does(["mv", "/d", "/e", "--if-etag", &now, "--if-absent"]);
    ann.does(["rm", "-r", "/e", "--if-etag", &etag("/e")]);
    assert_eq!(ann.tree("/"), ["/other"]);
}

#[test]
fn an_entry_keeps_its_identity_when_it_moves_and_a_copy_has_its_own() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/a/f", "content");
    let before = ann.one(["stat", "/a/f"]);
    ann.does(["mkdir", "/b"]);
    let moved = ann.one(["mv", "/a/f", "/b/g"]);
    for key in ["id", "version", "generation", "blake3", "modified"] {
        assert_eq!(moved[key], before[key], "{key}");
    }
    let copied = ann.one(["cp", "/b/g", "/a/f"]);
    assert_ne!(copied["id"], before["id"]);
    assert_eq!(copied["blake3"], before["blake3"]);
    ann.puts("/b/g", "new content");
    assert_eq!(ann.cats("/a/f"), b"content", "a copy is a file of its own");

    // A folder takes all that is below along.
    let below = ann.one(["stat", "/b/g"]);
    ann.does(["mv", "/b", "/a/b"]);
    assert_eq!(ann.one(["stat", "/a/b/g"])["id"], below["id"]);
    let refused = ann.refused(["mv", "/a", "/a/b/c"]);
    assert_eq!(refused.exit, 2, "not into itself");
    assert_eq!(refused.message, "/a/b/c is inside /a itself");
    assert_eq!(ann.tree("/"), ["/a", "/a/b", "/a/b/g", "/a/f"]);
}

#[test]
fn what_is_removed_is_gone_with_all_below() {
    let world = World::start();
    let ann = world.admin("ann");
    for path in ["/a", "/b", "/dir/c", "/dir/deep/d"] {
        ann.puts(path, path);
    }
    assert_eq!(ann.runs(["rm", "/a", "/dir"]).exit, 2);
    assert_eq!(ann.lists("/"), ["a", "b", "dir"], "a folder without -r removes nothing");
    ann.does(["rm", "-r", "/a", "/dir"]);
    assert_eq!(ann.tree("/"), ["/b"]);
    for path in ["/a", "/dir", "/dir/deep/d"] {
        assert_eq!(ann.refused(["stat", path]).kind(), (3, "NOT_FOUND"), "{path}");
    }
    assert_eq!(ann.puts("/dir/c", "again")["path"], "/dir/c");
    assert_eq!(ann.tree("/dir"), ["/dir/c"], "what was below does not come back");
}

#[test]
fn folders_are_made_one_by_one_or_all_at_once() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.does(["mkdir", "/x", "/x/y"]);
    ann.does(["mkdir", "-p", "/x/y", "/p/q/r"]);
    assert_eq!(ann.tree("/"), ["/p", "/p/q", "/p/q/r", "/x", "/x/y"]);
    assert_eq!(ann.refused(["mkdir", "/x"]).exit, 6);
    ann.puts("/file", "");
    assert_eq!(ann.refused(["mkdir", "-p", "/file/below"]).exit, 6);
}

#[test]
fn mode_and_time_go_with_a_file() {
    let world = World::start();
    let ann = world.admin("ann");
    let local = ann.file("run.sh", "#!/bin/sh\n");
    fs::set_permissions(&local, fs::Permissions::from_mode(0o750)).expect("a mode");
    let file = fs::File::options().write(true).open(&local).expect("the file");
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(981_173_106, 987_654_321);
    file.set_modified(time).expect("a time");
    let put = ann.one(["put", "run.sh", "/run.sh"]);
    assert_eq!(ann.one(["stat", "/run.sh"])["modified"], "2001-02-03T04:05:06.987654321Z");
    assert!(ann.does(["stat", "/run.sh"]).contains("0750 -rwxr-x---"));
    assert!(ann.does(["ls", "-l", "/"]).starts_with("-rwxr-x---"));
    ann.does(["get", "/run.sh", "copy"]);
    let copy = fs::metadata(ann.path("copy")).expect("a file");
    assert_eq!((copy.mode() & 0o7777, copy.modified().expect("a time")), (0o750, time));

    // Another mode alone is a change of the entry, not of its content.
    fs::set_permissions(&local, fs::Permissions::from_mode(0o640)).expect("a mode");
    let again = ann.one(["put", "run.sh", "/run.sh"]);
    assert_eq!((&again["version"], &again["sent_bytes"]), (&put["version"], &0.into()));
    assert_eq!(again["generation"], put["generation"]);
    assert!(ann.does(["stat", "/run.sh"]).contains("0640"));
}

#[test]
fn another_accounts_tree_is_not_there() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.puts("/dir/f", "ann's");
    assert_eq!(ann.cats("ann:/dir/f"), b"ann's", "one's own tree has a long name too");
    bob.file("local", "bob's");
    for arguments in [
        &["stat", "ann:/dir/f"][..],
        &["ls", "ann:/"],
        &["get", "ann:/dir/f", "here"],
        &["put", "local", "ann:/new"],
        &["rm", "ann:/dir/f"],
        &["mkdir", "ann:/new"],
        &["mv", "ann:/dir/f", "/mine"],
        &["cp", "ann:/dir/f", "/mine"],
        &["send", "bob", "-s", "", "-m", "", "--attach-remote", "ann:/dir/f"],
        &["stat", "nobody:/dir/f"],
    ] {
        assert_eq!(bob.refused(arguments).kind(), (3, "NOT_FOUND"), "{arguments:?}");
    }
    assert_eq!(bob.runs(["cat", "ann:/dir/f"]).exit, 3);
    assert_eq!((ann.tree("/").len(), bob.tree("/").len()), (2, 0));
    assert_eq!(text(&ann.one(["stat", "/dir/f"])["path"]), "/dir/f");
}
