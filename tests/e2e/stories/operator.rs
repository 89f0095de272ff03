//! What an operator is told: about a directory that is none, about room, and about damage.

use std::fs;
use std::path::Path;

use depot_tests::process::{Run, run};
use depot_tests::server::Program;
use depot_tests::world::World;

use super::noise;

fn on_stopped(data: &Path, arguments: &[&str]) -> Run {
    run(Program::command(data).args(arguments))
}

#[test]
fn where_no_store_is_none_is_made_and_none_is_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    fs::create_dir(&empty).expect("a folder");
    for data in [&missing, &empty] {
        for arguments in [
            &["verify"][..],
            &["gc", "--grace", "0s"],
            &["account", "list"],
            &["account", "disable", "ann"],
            &["account", "enable", "ann"],
            &["account", "passwd", "ann"],
        ] {
            let refused = on_stopped(data, arguments);
            assert_eq!(refused.exit, 2, "{arguments:?}: {refused:?}");
            assert_eq!(refused.text(), "");
            let words = format!("there is no store in {}", data.display());
            assert!(refused.stderr.contains(&words), "{refused:?}");
            assert!(refused.stderr.contains("--data"), "{refused:?}");
        }
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(&empty).expect("a folder").count(), 0);

    let password = folder.path().join("password");
    fs::write(&password, "correct horse\n").expect("a file");
    let password = password.to_string_lossy();
    on_stopped(&empty, &["account", "add", "ann", "--password-file", &password]).succeeded();
    on_stopped(&empty, &["verify"]).succeeded();
    // A store that lost its rows is no store that is good.
    fs::remove_file(empty.join("meta.sqlite3")).expect("a database");
    assert_eq!(on_stopped(&empty, &["verify"]).exit, 2);
    assert!(!empty.join("meta.sqlite3").exists());
}

#[test]
fn who_finds_a_server_in_the_directory_is_told_what_to_do() {
    let world = World::start();
    for (arguments, advice) in [
        (&["verify"][..], "check a copy"),
        (&["gc"], "gives back space by itself"),
        (&["account", "list"], "depot admin account"),
        (&["--listen", "127.0.0.1:0"], "a directory of its own"),
    ] {
        let refused = on_stopped(&world.data(), arguments);
        assert_eq!(refused.exit, 6, "{refused:?}");
        assert!(refused.stderr.contains(advice), "{refused:?}");
    }
}

#[test]
fn what_stands_in_the_way_is_said_in_peoples_words() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/fam", "x");
    ann.file("f", "y");
    let twin = ann.refused(["put", "f", "/Fam"]);
    assert!(twin.message.contains("\"Fam\" and \"fam\" would be one name"), "{twin:?}");
    let stands = ann.refused(["put", "f", "/fam", "--if-absent"]);
    assert!(stands.message.contains("something stands there already"), "{stands:?}");
    let none = ann.refused(["put", "f", "/none", "--if-generation", "9"]);
    assert!(none.message.contains("generation 9 was asked for, and nothing stands"), "{none:?}");
    ann.file("t/a", "a");
    ann.does(["put", "-r", "t", "/one"]);
    ann.does(["put", "-r", "t", "/two"]);
    let copied = ann.refused(["cp", "-r", "/one", "/two"]);
    assert_eq!(copied.exit, 6, "{copied:?}");
    assert!(copied.message.contains("remove it first or choose another name"), "{copied:?}");
    assert!(!copied.message.contains("merge"), "{copied:?}");
}

#[test]
fn a_quota_is_refused_with_what_is_known_of_the_whole() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "4M"]);
    bob.file("large", noise(1, 20_000_000));
    let refused = bob.refused(["put", "large", "/large"]);
    assert_eq!(refused.kind(), (7, "QUOTA_EXCEEDED"));
    // How long the file will be the server does not know while it comes.
    assert!(refused.message.contains("0 of 4194304 bytes are used, and at least"), "{refused:?}");
    assert!(!refused.message.contains("other uploads"), "{refused:?}");
    assert!(!refused.message.contains("remove something"), "bob has nothing: {refused:?}");
    bob.puts("/some", noise(2, 3_000_000));
    bob.file("more", noise(3, 2_000_000));
    let refused = bob.refused(["put", "more", "/more"]);
    for words in ["3000000 of 4194304 bytes are used", "at least 2000000 would be added"] {
        assert!(refused.message.contains(words), "{words}: {refused:?}");
        assert!(refused.message.contains("remove something or ask"), "{refused:?}");
    }
}

#[test]
fn a_broken_database_is_for_a_backup_and_not_for_the_check_that_found_it() {
    let mut world = World::start();
    world.admin("ann");
    world.stop();
    let database = world.data().join("meta.sqlite3");
    let mut bytes = fs::read(&database).expect("a database");
    bytes[..16].copy_from_slice(&[7; 16]);
    fs::write(&database, bytes).expect("a database");
    let verified = on_stopped(&world.data(), &["verify"]);
    assert_eq!(verified.exit, 9, "{verified:?}");
    assert!(verified.stderr.contains("backup"), "{verified:?}");
    assert!(!verified.stderr.contains("depot-server verify"), "{verified:?}");
}
