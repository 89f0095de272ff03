//! S15: what others can read is not used. The stories of bad input try the data directory, its folders and
//! the server's key; here are the other files that hold secrets, and a umask that keeps nothing back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use depot_tests::binary;
use depot_tests::process::run;
use depot_tests::server::Program;
use depot_tests::world::World;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it").permissions().mode() & 0o777
}

fn change_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

#[test]
fn keys_that_others_can_read_are_not_used() {
    let mut world = World::start();
    world.stop();
    for name in ["tls/ca-key.pem", "tls/server-key.pem"] {
        let key = world.data().join(name);
        for wider in [0o640, 0o604, 0o620, 0o602] {
            change_mode(&key, wider);
            let ended = run(Program::command(&world.data()).args(["--listen", "127.0.0.1:0"]));
            assert_eq!(ended.exit, 4, "{name} {wider:o}: {ended:?}");
            let fix = format!("chmod 600 {}", key.display());
            assert!(ended.stderr.contains(&fix), "{name} {wider:o}: {ended:?}");
            assert_eq!(mode(&key), wider, "it is not changed behind anybody's back");
        }
        change_mode(&key, 0o600);
    }
    // The control: nothing else was in the way.
    world.start_again();
}

#[test]
fn a_login_that_others_can_read_is_not_used() {
    let world = World::start();
    let ann = world.admin("ann");
    let state = ann.path("state");
    let login = state.join("state.json");
    for (path, wider, private) in
        [(&login, 0o640, 0o600), (&login, 0o604, 0o600), (&state, 0o711, 0o700)]
    {
        change_mode(path, wider);
        let refused = ann.refused(["ls"]);
        assert_eq!(refused.kind(), (4, "STATE_NOT_PRIVATE"), "{refused:?}");
        let fix = format!("chmod {private:o} {}", path.display());
        assert!(refused.message.contains(&fix), "{refused:?}");
        change_mode(path, private);
        ann.does(["ls"]);
    }
}

/// SQLite's files have the modes that it gives them; they are in a directory that nobody else can enter.
#[test]
fn what_is_made_is_private_whatever_the_umask() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(binary("depot-server"));
    command.arg("--data").arg(&data).args(["--listen", "127.0.0.1:0"]);
    let server = Program::start(&mut command).unwrap_or_else(|ended| panic!("{ended:?}"));
    for name in [".", "packs", "tls"] {
        assert_eq!(mode(&data.join(name)), 0o700, "{name}");
    }
    let secrets = ["setup-code", "LOCK", "tls/ca-key.pem", "tls/server-key.pem"];
    let packs =
        fs::read_dir(data.join("packs")).expect("packs").map(|pack| pack.expect("it").path());
    let files: Vec<PathBuf> = secrets.iter().map(|name| data.join(name)).chain(packs).collect();
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    server.terminate();
    server.ended().succeeded();
}
