//! What an operator is told: about a directory that is none, about room, and about damage.

use std::fs;
use std::path::Path;
use std::process::Command;

use depot_proto::files::MissingRequest;
use depot_tests::process::{Run, run};
use depot_tests::server::Program;
use depot_tests::terminal::Terminal;
use depot_tests::world::World;
use depot_tests::{binary, repository};

use super::{flip, noise};

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
    assert!(stands.message.contains("already"), "{stands:?}");
    let none = ann.refused(["put", "f", "/none", "--if-generation", "9"]);
    assert!(
        none.message.contains("generation 9 was asked for, and nothing (0) stands"),
        "{none:?}"
    );
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
    // What of it has come is held for a while: another one has as much room, and something in it.
    let eve = ann.adds_with("eve", &["--quota", "4M"]);
    eve.puts("/some", noise(2, 3_000_000));
    eve.file("more", noise(3, 2_000_000));
    let refused = eve.refused(["put", "more", "/more"]);
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

/// Collects without a grace, and with the trash for so many days.
fn gives_back(data: &Path, trash_days: &str) -> String {
    let mut gc = Program::command(data);
    gc.env("DEPOTD_STORE_TRASH_DAYS", trash_days).args(["gc", "--grace", "0s"]);
    run(&mut gc).succeeded().text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_upload_holds_nothing_back_and_the_trash_says_until_when() {
    let mut world = World::start();
    let ann = world.admin("ann");
    ann.puts("/kept", noise(1, 1_000));
    ann.puts("/dead", noise(2, 3_000_000));
    ann.does(["rm", "/dead"]);
    let calls = ann.calls().await;
    let upload_id = uuid::Uuid::new_v4().to_string();
    let asked =
        MissingRequest { upload_id, hashes: vec![7; 32].into(), ..MissingRequest::default() };
    calls.files().missing(asked).await.expect("an upload is open");
    drop(calls);
    world.stop();
    let data = world.data();
    let shown = on_stopped(&data, &["gc"]).succeeded();
    assert!(shown.text().contains("held back: 1 unfinished upload with 0 bytes"), "{shown:?}");
    assert!(shown.text().contains("held back: 3000000 bytes in the trash"), "{shown:?}");
    assert!(shown.text().contains("30 days after its removal (store.trash_days)"), "{shown:?}");

    let shown = gives_back(&data, "0");
    assert!(shown.contains("with 3000000 bytes removed"), "{shown}");
    assert!(shown.contains("1 upload ended"), "{shown}");
    assert!(!shown.contains("held back"), "{shown}");
    world.start_again();
    assert_eq!(ann.cats("/kept").len(), 1_000);
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).expect("a README")
}

#[test]
fn the_backup_is_checked_in_the_directory_that_it_was_made_in_at_midnight_too() {
    let readme = readme();
    assert_eq!(readme.matches("$(date").count(), 1);
    let (name, folder) = ("copy=", tempfile::tempdir().expect("a temporary folder"));
    let recipe = readme.split("```sh\n").find(|text| text.starts_with(name)).expect("a recipe");
    let recipe = recipe.split("```").next().unwrap_or_default();
    let data = folder.path().join("data");
    let password = folder.path().join("password");
    fs::write(&password, "correct horse\n").expect("a file");
    let password = password.to_string_lossy();
    on_stopped(&data, &["account", "add", "ann", "--password-file", &password]).succeeded();
    // Nothing runs that had to be stopped.
    let script = recipe
        .replace("systemctl", "true")
        .replace("/backup", &folder.path().to_string_lossy())
        .replace("/var/lib/depot", &data.to_string_lossy())
        .replace("depot-server verify", &format!("{} verify", binary("depot-server").display()))
        .replace("true stop depot-server", "set -eu");
    let done = run(Command::new("sh").arg("-c").arg(&script)).succeeded();
    assert!(done.text().contains("are good"), "{script}: {done:?}");
}

#[test]
fn damage_is_told_by_chunks_then_by_files_and_is_mended_as_readme_says() {
    let mut world = World::start();
    let ann = world.admin("ann");
    // Much more than is damaged: the pack is not rewritten for it.
    ann.puts("/other", noise(1, 30_000_000));
    let (large, small) = (noise(2, 9_000_000), noise(3, 1_000));
    ann.puts("/large", &large);
    ann.puts("/small", &small);
    world.stop();
    let data = world.data();
    flip(&data, &small[100..200]);
    let verified = on_stopped(&data, &["verify"]);
    assert_eq!(verified.exit, 9, "{verified:?}");
    assert_eq!(verified.text().lines().last(), Some("1 problem"), "{verified:?}");
    for place in [100, 8_999_000] {
        flip(&data, &large[place..place + 64]);
    }
    let verified = on_stopped(&data, &["verify"]);
    let lines: Vec<&str> = verified.text().lines().collect();
    assert_eq!(lines.len(), 7, "{verified:?}");
    assert!(lines[..3].iter().all(|line| line.ends_with("is damaged")), "{verified:?}");
    let mut files = lines[3..5].to_vec();
    files.sort_unstable();
    let large_line = "  \"ann:/large\" is touched by 2 problems";
    assert_eq!(files, [large_line, "  \"ann:/small\" is touched by 1 problem"]);
    assert!(lines[5].contains("are good") && lines[6] == "3 problems", "{verified:?}");

    world.start_again();
    ann.file("large", &large);
    ann.file("small", &small);
    ann.does(["put", "small", "/small"]);
    let cat = ann.runs(["cat", "/small"]);
    assert_eq!(cat.exit, 9, "putting them again is not enough: {cat:?}");
    ann.does(["rm", "/large", "/small"]);
    world.stop();
    let readme = readme();
    let recipe = "DEPOTD_STORE_TRASH_DAYS=0 depot-server gc --grace 0s --data";
    assert!(readme.contains(recipe), "what is done here is what README says");
    gives_back(&data, "0");
    on_stopped(&data, &["verify"]).succeeded();
    world.start_again();
    ann.does(["put", "large", "/large"]);
    ann.does(["put", "small", "/small"]);
    assert!(ann.cats("/large") == large && ann.cats("/small") == small);
    world.stop();
    on_stopped(&data, &["verify"]).succeeded();
}

#[test]
fn a_password_that_is_typed_is_typed_twice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut person = Terminal::open("sh -i", |command| {
        command.env_clear().env("TERM", "dumb").env("PS1", "ready: ");
        command.env("DATA", &data).env("SERVER", binary("depot-server"));
    });
    person.sees("ready: ");
    for (second, code, told) in
        [("correct house", "2", "the two passwords differ"), ("correct horse", "0", "made the")]
    {
        person.types("\"$SERVER\" --data \"$DATA\" account add ann; echo 'ended' $?");
        person.sees("New password of ann: ");
        person.types("correct horse");
        person.sees("New password of ann, once more: ");
        person.types(second);
        person.sees(told);
        person.sees(&format!("ended {code}"));
        person.sees("ready: ");
    }
    let listed = on_stopped(&data, &["account", "list"]).succeeded();
    assert!(listed.text().starts_with("ann "), "{listed:?}");
    assert_eq!(on_stopped(&data, &["account", "disable", "bob"]).exit, 3);
    assert!(on_stopped(&data, &["--help"]).text().contains("3 an account that is not there"));
}
