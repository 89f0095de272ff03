//! What an operator does with a server that is stopped: copies it, checks it, gives space back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use depot_tests::process::{Run, run};
use depot_tests::server::Program;
use depot_tests::user::{User, text};
use depot_tests::world::World;
use serde_json::{Value, json};

use super::{flip, noise};

/// Somebody's files and mail, of all sizes.
fn fills(ann: &User, bob: &User) {
    ann.file("t/large.bin", noise(1, 3_000_000));
    ann.file("t/sub/small.txt", "small");
    ann.does(["put", "-r", "t", "/t"]);
    ann.puts("/t/sub/small.txt", "a second version");
    ann.does(["send", "bob", "-s", "one", "-m", "read", "--attach-remote", "/t/large.bin"]);
    let long = "a long body ".repeat(10_000);
    ann.pipes(long, ["send", "bob", "-s", "two"]).succeeded();
    bob.does(["read", "1"]);
}

/// All that two people see of it.
fn seen(ann: &User, bob: &User) -> Vec<Vec<Value>> {
    let attached = bob.json(["save", "1", "--into", "saved", "--force"]);
    vec![
        ann.json(["ls", "-r", "/"]),
        bob.json(["inbox"]),
        bob.json(["fetch", "--peek"]),
        attached,
        ann.json(["get", "-r", "/t", "got"]).into_iter().map(|got| got["blake3"].clone()).collect(),
        [ann, bob].map(|user| user.one(["whoami"])["used_bytes"].clone()).to_vec(),
    ]
}

fn on_stopped(data: &Path, arguments: &[&str]) -> Run {
    run(Program::command(data).args(arguments))
}

#[test]
fn a_copy_of_the_directory_is_a_server_like_any_other() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    fills(&ann, &bob);
    let before = seen(&ann, &bob);
    world.stop();
    let copy = world.folder().join("copy");
    run(Command::new("cp").arg("-a").args([&world.data(), &copy])).succeeded();
    world.start_again();
    ann.does(["rm", "-r", "/t"]);
    bob.does(["ack", "2"]);
    world.stop();

    let verified = on_stopped(&copy, &["verify"]).succeeded();
    assert!(verified.text().contains("are good"), "{verified:?}");
    let server = Program::start(Program::command(&copy).args(["--listen", &world.server()]));
    let server = server.expect("the copy is a server");
    // The same logins, the same authority: nobody has to do anything.
    assert_eq!(seen(&ann, &bob), before);
    ann.puts("/new", "it goes on");
    assert_eq!(bob.fetches().len(), 1);
    server.terminate();
    server.ended().succeeded();
    on_stopped(&copy, &["verify"]).succeeded();
    world.start_again();
    assert_eq!(ann.tree("/"), [""; 0], "what the copy does is no business of the first");
}

fn packs(data: &Path) -> Vec<PathBuf> {
    let packs = fs::read_dir(data.join("packs")).expect("packs");
    let mut packs: Vec<PathBuf> = packs.map(|pack| pack.expect("a pack").path()).collect();
    packs.sort();
    packs
}

/// Bytes of all packs.
fn size(data: &Path) -> u64 {
    packs(data).iter().map(|pack| fs::metadata(pack).expect("a pack").len()).sum()
}

#[test]
fn damage_is_found_named_and_stays_where_it_is() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    fills(&ann, &bob);
    let large = noise(1, 3_000_000);
    let sent = bob.one(["read", "1"]);
    world.stop();
    on_stopped(&world.data(), &["verify"]).succeeded();
    flip(&world.data(), &large[1_500_000..1_500_064]);
    let verified = on_stopped(&world.data(), &["verify"]);
    assert_eq!(verified.exit, 9, "{verified:?}");
    let told = verified.text();
    assert!(told.contains("is damaged") && told.contains("/t/large.bin"), "{told}");
    assert!(told.contains(text(&sent["id"])), "the message that it is attached to: {told}");
    assert!(!told.contains("small.txt"), "{told}");
    assert_eq!(told.matches("/t/large.bin").count(), 1, "one thing is told once: {told}");

    world.start_again();
    let refused = ann.refused(["get", "/t/large.bin", "large.bin"]);
    assert_eq!(refused.kind(), (9, "DATA_LOSS"));
    assert!(!ann.path("large.bin").exists());
    assert_eq!(bob.refused(["save", "1"]).kind(), (9, "DATA_LOSS"));
    assert!(!bob.path("large.bin").exists());
    // Bytes that are not touched are served; of the others never a wrong one.
    let cat = ann.runs(["cat", "/t/large.bin"]);
    assert_eq!(cat.exit, 9, "{cat:?}");
    assert!(cat.stdout.len() < large.len() && large.starts_with(&cat.stdout), "a part, and right");
    let refused = ann.refused(["get", "-r", "/t", "tree"]);
    assert_eq!(refused.exit, 11, "{refused:?}");
    assert_eq!(fs::read(ann.path("tree/sub/small.txt")).expect("a file"), b"a second version");
    assert!(!ann.path("tree/large.bin").exists());
    assert_eq!(bob.fetches().len(), 1, "mail goes on");
}

#[test]
fn a_row_that_leads_to_another_chunk_is_damage_too() {
    let mut world = World::start();
    let ann = world.admin("ann");
    ann.puts("/one", noise(1, 1_000));
    ann.puts("/two", noise(2, 1_000));
    world.stop();
    // Each points to a whole record, which is not its own.
    let db = rusqlite::Connection::open(world.data().join("meta.sqlite3")).expect("a database");
    let swap = "UPDATE chunk SET offset = (SELECT sum(offset) FROM chunk) - offset";
    assert_eq!(db.execute(swap, ()).expect("two rows"), 2);
    drop(db);
    let verified = on_stopped(&world.data(), &["verify"]);
    assert_eq!(verified.exit, 9, "{verified:?}");
    assert!(verified.text().contains("/one") && verified.text().contains("/two"), "{verified:?}");
    world.start_again();
    assert_eq!(ann.refused(["get", "/one", "one"]).kind(), (9, "DATA_LOSS"));
}

#[test]
fn a_pack_that_is_gone_is_damage_too() {
    let mut world = World::start();
    let ann = world.admin("ann");
    ann.puts("/large.bin", noise(1, 3_000_000));
    ann.puts("/small", "small");
    ann.sends("ann", "a body is a row");
    world.stop();
    for pack in packs(&world.data()) {
        fs::remove_file(pack).expect("a pack");
    }
    let verified = on_stopped(&world.data(), &["verify"]);
    assert_eq!(verified.exit, 9, "{verified:?}");
    for name in ["/large.bin", "/small"] {
        assert!(verified.text().contains(name), "{name} in {verified:?}");
    }
    world.start_again();
    assert_eq!(ann.refused(["get", "/large.bin", "x"]).kind(), (9, "DATA_LOSS"));
    assert_eq!(ann.unread(), ["a body is a row"]);
    assert_eq!(ann.lists("/"), ["large.bin", "small"]);
    // There is room for what is new.
    ann.puts("/new", noise(2, 2_000_000));
    assert_eq!(ann.cats("/new").len(), 2_000_000);
}

#[test]
fn space_is_given_back_for_what_nothing_refers_to_and_nothing_else() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    fills(&ann, &bob);
    let before = seen(&ann, &bob);
    // Three ways to be dead: removed, with a whole tree, and never committed because of a bad name.
    ann.puts("/dead.bin", noise(11, 20_000_000));
    ann.file("d/dead.bin", noise(12, 20_000_000));
    ann.does(["put", "-r", "d", "/d"]);
    ann.does(["rm", "-r", "/dead.bin", "/d"]);
    // And one to live on: what is attached.
    ann.puts("/gone.bin", noise(13, 2_000_000));
    ann.does(["send", "ann", "-s", "", "-m", "", "--attach-remote", "/gone.bin"]);
    ann.does(["rm", "/gone.bin"]);
    world.stop();
    let data = world.data();
    let full = size(&data);
    assert!(full > 45_000_000, "{full}");
    on_stopped(&data, &["gc", "--grace", "0s"]).succeeded();
    assert!(size(&data) >= full, "the trash is kept for thirty days");

    let mut gc = Program::command(&data);
    gc.env("DEPOTD_STORE_TRASH_DAYS", "0").args(["gc", "--grace", "0s"]);
    let collected = run(&mut gc).succeeded();
    assert!(collected.text().contains("chunks with 40"), "{collected:?}");
    assert!(size(&data) < full - 35_000_000, "{} of {full}: {collected:?}", size(&data));
    on_stopped(&data, &["verify"]).succeeded();
    world.start_again();
    let mut after = seen(&ann, &bob);
    let mut held = before.clone();
    // What ann sent counts, as it should.
    (held[5], after[5]) = (Vec::new(), Vec::new());
    assert_eq!(after, held);
    ann.does(["save", "last", "--into", "kept"]);
    assert_eq!(fs::read(ann.path("kept/gone.bin")).expect("the file"), noise(13, 2_000_000));
    let again = ann.puts("/dead.bin", noise(11, 20_000_000));
    assert_eq!(again["sent_bytes"], 20_000_000, "it is gone, and can come again");
    assert_eq!(ann.cats("/dead.bin"), noise(11, 20_000_000));
    assert_ne!(again["id"], json!(null));
}
