//! Whom the client believes: at first contact, with an authority or a pin that was given, and when what it
//! knew has changed. Nothing is sent to a server that is not the right one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use depot_tests::user::{Refusal, User};
use depot_tests::world::World;

/// A pin that nobody has.
const FOREIGN: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// `depot login` to a world, with these flags.
fn login(world: &World, user: &User, flags: &[&str]) -> depot_tests::process::Run {
    let (server, password) = (world.server(), user.password_file());
    let mut login =
        user.command(["login", "--server", &server, "--account", user.name(), "--json"]);
    depot_tests::process::run(login.arg("--password-file").arg(password).args(flags))
}

#[test]
fn a_first_contact_without_anybody_to_ask_is_10_and_shows_the_pin() {
    let world = World::start();
    world.admin("ann");
    let ann = world.stranger("ann");
    fs::remove_dir_all(ann.path("state")).expect("a state directory");
    for flags in [&["--no-input"][..], &[], &["--no-input", "--yes"]] {
        let refused = Refusal::of(login(&world, &ann, flags));
        assert_eq!(refused.kind(), (10, "UNKNOWN_SERVER"), "{flags:?}");
        assert!(refused.message.contains(&format!("--pin {}", world.pin())), "{refused:?}");
        assert!(!ann.path("state/state.json").exists(), "nothing is remembered");
    }
    login(&world, &ann, &["--no-input", "--pin", &world.pin()]).succeeded();
    assert_eq!(ann.does(["whoami"]), "ann\n", "it is remembered");
    for entry in fs::read_dir(ann.path("state")).expect("a state directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its metadata").permissions().mode() & 0o777;
        assert!(mode == 0o600 || mode == 0o700, "{:?} is {mode:o}", entry.path());
    }
    fs::remove_dir_all(ann.path("state")).expect("a state directory");
    login(&world, &ann, &["--yes"]).succeeded();
}

#[test]
fn another_pin_or_authority_than_the_given_one_is_10() {
    let (world, other) = (World::start(), World::start());
    world.admin("ann");
    let ann = world.stranger("ann");
    fs::remove_dir_all(ann.path("state")).expect("a state directory");
    let ca = |world: &World| world.ca().to_string_lossy().into_owned();
    let refused = Refusal::of(login(&world, &ann, &["--pin", FOREIGN]));
    assert_eq!(refused.kind(), (10, "PIN_MISMATCH"));
    assert!(refused.message.contains(FOREIGN) && refused.message.contains(&world.pin()));
    let refused = Refusal::of(login(&world, &ann, &["--ca", &ca(&other)]));
    assert_eq!(refused.exit, 10, "{refused:?}");
    assert!(refused.message.contains(&world.pin()), "{refused:?}");
    let both = ["--ca", &ca(&world), "--pin", FOREIGN];
    assert_eq!(Refusal::of(login(&world, &ann, &both)).kind(), (10, "PIN_MISMATCH"));
    let rubbish = ann.file("rubbish.pem", "rubbish").to_string_lossy().into_owned();
    let refused = Refusal::of(login(&world, &ann, &["--ca", &rubbish]));
    assert_eq!(refused.kind(), (10, "BAD_CA"));
    assert!(refused.message.contains("tls/ca.pem"), "{refused:?}");
    let refused = Refusal::of(login(&world, &ann, &["--pin", "no pin"]));
    assert!(matches!(refused.exit, 2 | 10), "{refused:?}");
    assert!(!ann.path("state/state.json").exists(), "nothing is remembered");

    login(&world, &ann, &["--ca", &ca(&world), "--pin", &world.pin()]).succeeded();
}

#[test]
fn a_pin_that_has_changed_stops_everything() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let old = world.pin();
    world.stop();
    fs::remove_dir_all(world.data().join("tls")).expect("keys");
    world.start_again();
    let new = world.pin();
    assert_ne!(new, old);
    for arguments in [&["ls"][..], &["whoami"], &["put", "password", "/x"]] {
        let refused = ann.refused(arguments);
        assert_eq!(refused.kind(), (10, "PIN_CHANGED"), "{refused:?}");
        assert!(refused.message.contains(&new) && refused.message.contains(&old), "{refused:?}");
        assert!(refused.message.contains("--pin"), "it says what to do: {refused:?}");
    }
    // `--yes` is no answer to that question.
    assert_eq!(ann.refused(["ls", "--yes"]).exit, 10);
    assert_eq!(Refusal::of(login(&world, &ann, &["--yes"])).exit, 10);
    login(&world, &ann, &["--pin", &new]).succeeded();
    assert_eq!(ann.does(["whoami"]), "ann\n");
}

#[test]
fn a_name_that_the_certificate_does_not_have_is_10_and_one_that_was_added_is_fine() {
    for (names, exit) in [(&[][..], 10), (&["--name", "127.0.0.2"], 0)] {
        let world = World::started_with(&[&["--listen", "127.0.0.2:0"], names].concat());
        let ann = world.stranger("ann");
        let code = world.data().join("setup-code").to_string_lossy().into_owned();
        let run = ann.runs(ann.meets("setup").iter().chain(&["--code-file".to_owned(), code]));
        assert_eq!(run.exit, exit, "{run:?}");
        if exit == 10 {
            assert!(run.stderr.contains("--name 127.0.0.2"), "it says what to do: {run:?}");
            assert!(world.data().join("setup-code").exists(), "nothing was sent");
        }
    }
}

#[test]
fn the_environment_says_whom_to_trust_and_who_one_is() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/f", "x");
    let token = tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let caller = world.caller().await;
        caller.login("ann", &ann.password()).await.expect("a login").token
    });
    let nobody = world.stranger("nobody");
    let (server, pin) = (world.server(), world.pin());
    let listed = |set: &[(&str, &str)]| {
        let mut ls = nobody.command(["ls", "--json"]);
        depot_tests::process::run(ls.envs(set.iter().copied()))
    };
    let whole = [("DEPOT_SERVER", server.as_str()), ("DEPOT_TOKEN", &token), ("DEPOT_PIN", &pin)];
    assert_eq!(listed(&whole).succeeded().json()[0]["path"], "/f");
    let ca = world.ca().to_string_lossy().into_owned();
    listed(&[whole[0], whole[1], ("DEPOT_CA", &ca)]).succeeded();
    assert_eq!(Refusal::of(listed(&whole[..2])).kind(), (10, "UNKNOWN_SERVER"));
    assert_eq!(Refusal::of(listed(&[whole[0], whole[2]])).exit, 5);
    let forged = [whole[0], ("DEPOT_TOKEN", "dpt_forged"), whole[2]];
    assert_eq!(Refusal::of(listed(&forged)).kind(), (5, "UNAUTHENTICATED"));
    assert!(!nobody.path("state").exists(), "nothing is remembered");

    let password = ann.password_file();
    let mut login = nobody.command(["login"]);
    login.env("DEPOT_SERVER", &server).env("DEPOT_ACCOUNT", "ann").env("DEPOT_PIN", &pin);
    depot_tests::process::run(login.env("DEPOT_PASSWORD_FILE", password)).succeeded();
    assert_eq!(nobody.does(["whoami"]), "ann\n");
}
