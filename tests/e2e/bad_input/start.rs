//! Servers that cannot start: the exit code says what kind of trouble it is, the message what to do, and
//! what was there is left alone.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use depot_tests::disk::{is_possible, with_small_disk};
use depot_tests::process::run;
use depot_tests::server::Program;
use depot_tests::user::User;
use depot_tests::wait::until_true;
use depot_tests::world::World;
use depot_tests::{binary, repository};
use tempfile::TempDir;

/// A data directory that a server has made and left.
fn left_behind() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("password");
    fs::write(&password, "correct horse\n").expect("a file");
    let mut account = Program::command(&data(&folder));
    account.args(["account", "add", "ann", "--password-file"]).arg(password);
    run(&mut account).succeeded();
    folder
}

fn data(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("data")
}

fn serve(data: &Path) -> Command {
    let mut command = Program::command(data);
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

/// Ends at once, with this code and all these words, and without a ready line.
#[track_caller]
fn refused(command: &mut Command, exit: i32, words: &[&str]) {
    let ended = run(command);
    assert_eq!(ended.exit, exit, "{command:?}: {ended:?}");
    assert_eq!(ended.text(), "", "{command:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{command:?}: no {word:?} in {ended:?}");
    }
}

fn starts(data: &Path) {
    Program::start(&mut serve(data)).unwrap_or_else(|ended| panic!("{ended:?}"));
}

fn change_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

#[test]
fn a_data_directory_that_others_can_look_into_is_4() {
    let folder = left_behind();
    let data = data(&folder);
    for (path, mode) in [
        (data.clone(), 0o750),
        (data.clone(), 0o701),
        (data.join("packs"), 0o755),
        (data.join("tls"), 0o710),
    ] {
        change_mode(&path, mode);
        let fix = format!("chmod 700 {}", path.display());
        refused(&mut serve(&data), 4, &[&fix]);
        let found = fs::metadata(&path).expect("it").permissions().mode() & 0o777;
        assert_eq!(found, mode, "it is not changed behind anybody's back");
        change_mode(&path, 0o700);
    }
    let key = data.join("tls/server-key.pem");
    change_mode(&key, 0o640);
    refused(&mut serve(&data), 4, &[&format!("chmod 600 {}", key.display())]);
    change_mode(&key, 0o600);
    starts(&data);

    // An empty one is made private.
    let empty = tempfile::tempdir().expect("a temporary folder");
    change_mode(empty.path(), 0o755);
    starts(empty.path());
    let mode = fs::metadata(empty.path()).expect("it").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn a_newer_format_and_what_is_not_ours_are_6() {
    let folder = left_behind();
    let data = data(&folder);
    let version = data.join("VERSION");
    let ours = fs::read(&version).expect("a version");
    fs::write(&version, "9999\n").expect("a version");
    refused(&mut serve(&data), 6, &["9999", "newer"]);
    refused(Program::command(&data).args(["account", "list"]), 6, &["9999"]);
    fs::write(&version, "what?\n").expect("a version");
    refused(&mut serve(&data), 6, &["VERSION"]);
    fs::write(&version, ours).expect("a version");
    starts(&data);

    let other = tempfile::tempdir().expect("a temporary folder");
    fs::write(other.path().join("thesis.txt"), "years of work").expect("a file");
    change_mode(other.path(), 0o700);
    refused(&mut serve(other.path()), 6, &["thesis.txt", "--data"]);
    let left = fs::read_dir(other.path()).expect("it").count();
    assert_eq!(left, 1, "nothing was made there");
    refused(&mut serve(&other.path().join("thesis.txt")), 2, &["thesis.txt"]);
}

#[test]
fn a_directory_that_a_server_holds_is_6_and_says_how_to_go_on() {
    let world = World::start();
    let ann = world.admin("ann");
    let data = world.data();
    let password = ann.password_file();
    refused(&mut serve(&data), 6, &["in use", "a directory of its own"]);
    let words = ["in use", "depot admin account"];
    refused(Program::command(&data).args(["account", "list"]), 6, &words);
    let mut add = Program::command(&data);
    add.args(["account", "add", "eve", "--admin", "--password-file"]).arg(password);
    refused(&mut add, 6, &words);
    refused(Program::command(&data).arg("verify"), 6, &["in use"]);
    refused(Program::command(&data).args(["gc", "--grace", "0s"]), 6, &["in use"]);
    assert_eq!(ann.json(["admin", "account", "list"]).len(), 1, "the server goes on");
}

#[test]
fn a_port_that_is_taken_is_8_and_one_that_is_none_is_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let listen = |address: &str| {
        let mut command = Program::command(&data(&folder));
        command.args(["--listen", address]);
        command
    };
    refused(&mut listen(&address), 8, &[&address, "--listen"]);
    for nonsense in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "192.0.2.1:0"] {
        refused(&mut listen(nonsense), 2, &[nonsense, "--listen"]);
    }
    drop(taken);
    Program::start(&mut listen(&address)).unwrap_or_else(|ended| panic!("{ended:?}"));
}

/// An authority with a certificate and a key of its own.
fn pair(folder: &TempDir, name: &str) -> [String; 3] {
    let made = folder.path().join(name);
    run(Command::new(repository().join("certs/make-throwaway-ca")).arg(&made)).succeeded();
    ["cert.pem", "cert.key", "ca.pem"].map(|file| made.join(file).to_string_lossy().into_owned())
}

#[test]
fn a_certificate_and_a_key_go_together_or_it_is_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = data(&folder);
    let [cert, key, ca] = pair(&folder, "one");
    let [_, other_key, _] = pair(&folder, "two");
    let with = |arguments: &[&str]| {
        let mut command = serve(&data);
        command.args(arguments);
        command
    };
    let words = ["do not go together", "give the key", &cert, &other_key];
    refused(&mut with(&["--cert", &cert, "--key", &other_key]), 2, &words);
    refused(&mut with(&["--cert", &cert]), 2, &["--key"]);
    refused(&mut with(&["--key", &key]), 2, &["--cert"]);
    refused(&mut with(&["--cert", &key, "--key", &key]), 2, &[&key]);
    refused(&mut with(&["--cert", &cert, "--key", &cert]), 2, &[&cert]);
    refused(&mut with(&["--cert", "/missing.pem", "--key", &key]), 2, &["/missing.pem"]);
    change_mode(Path::new(&key), 0o644);
    refused(&mut with(&["--cert", &cert, "--key", &key]), 4, &["chmod 600", &key]);
    change_mode(Path::new(&key), 0o600);

    let world = World::started_with(&["--cert", &cert, "--key", &key]);
    let ann = world.stranger("ann");
    let code = world.data().join("setup-code").to_string_lossy().into_owned();
    set_up(&ann, &world.server(), &ca, &code);
    assert_eq!(ann.does(["whoami"]), "ann\n");
}

fn set_up(user: &User, server: &str, ca: &str, code: &str) {
    let password = user.password_file().to_string_lossy().into_owned();
    let mut arguments = vec!["setup", "--server", server, "--account", user.name(), "--ca", ca];
    arguments.extend(["--code-file", code, "--password-file", &password]);
    user.does(arguments);
}

#[test]
fn a_configuration_that_is_not_understood_is_2_and_shows_where() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = data(&folder);
    let file = folder.path().join("depot.toml");
    for (text, words) in [
        ("[server]\n\nlisen = \"x\"\n", &["lisen", "line 3"][..]),
        ("[limits]\nstreams_max = \"many\"\n", &["streams_max"]),
        ("[limits]\nheartbeat_seconds = 31\n", &["heartbeat_seconds", "1 to 30"]),
        ("no toml", &["line 1"]),
    ] {
        fs::write(&file, text).expect("a file");
        refused(serve(&data).arg("--config").arg(&file), 2, words);
    }
    refused(serve(&data).args(["--config", "/missing.toml"]), 2, &["/missing.toml"]);
    refused(serve(&data).env("DEPOTD_SERVER_LISEN", "x"), 2, &["DEPOTD_SERVER", "lisen"]);
    refused(serve(&data).env("DEPOTD_LOG_FILTER", "a=b=c"), 2, &["log.filter"]);
    refused(serve(&data).arg("--frobnicate"), 2, &["--frobnicate"]);
    refused(serve(&data).args(["--name", "no name!"]), 2, &["--name", "no DNS name"]);
    assert!(!data.join("meta.sqlite3").exists() || data.join("VERSION").exists());
}

#[test]
fn a_disk_without_room_is_7() {
    if !is_possible() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = data(&folder);
    fs::create_dir(&data).expect("a folder");
    let mut command =
        with_small_disk(&data, "64k", "exec \"$1\" --data \"$2\" --listen 127.0.0.1:0");
    refused(command.env_clear().arg(binary("depot-server")).arg(&data), 7, &["full"]);
}

#[test]
fn a_set_up_code_is_there_until_it_is_used() {
    let mut world = World::start();
    let code = world.data().join("setup-code");
    let first = fs::read_to_string(&code).expect("a code");
    assert_eq!(fs::metadata(&code).expect("a code").permissions().mode() & 0o777, 0o600);
    until_true("it is shown", || world.program().printed().1.contains(first.trim()));
    world.kill();
    world.start_again();
    assert_ne!(fs::read_to_string(&code).expect("a code"), first, "each start has its own");
    let ann = world.admin("ann");
    assert!(!code.exists());
    world.kill();
    world.start_again();
    assert!(!code.exists());
    assert!(!world.program().printed().1.contains("setup"));
    assert_eq!(ann.does(["whoami"]), "ann\n");
}
