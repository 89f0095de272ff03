//! A disk that is full, at either end: the documented code, whole files or none, and nothing acknowledged
//! that was not kept.

use std::fs::{self, OpenOptions};
use std::process::Stdio;

use depot_tests::binary;
use depot_tests::disk::{is_possible, with_small_disk};
use depot_tests::process::{Run, run};
use depot_tests::user::{Refusal, User, text};
use depot_tests::world::World;

/// Runs `depot` in a home with a disk of this size at `small`, and then lists what is on it.
fn on_small_disk(user: &User, size: &str, arguments: &str) -> (Run, Vec<String>) {
    let small = user.path("small");
    fs::create_dir_all(&small).expect("a folder");
    let script =
        format!("code=0; \"$1\" {arguments} || code=$?; find small -type f >listed; exit $code");
    let mut command = with_small_disk(&small, size, &script);
    let depot = user.command([""; 0]);
    let set = depot.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let ended = run(command.env_clear().envs(set).current_dir(user.path("")).arg(binary("depot")));
    let listed = fs::read_to_string(user.path("listed")).expect("a list");
    let mut listed: Vec<String> = listed.lines().map(str::to_owned).collect();
    listed.sort();
    (ended, listed)
}

#[test]
fn what_does_not_fit_here_is_7_and_not_half_there() {
    if !is_possible() {
        return;
    }
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/large", vec![7; 3 << 20]);
    ann.puts("/tree/a", vec![1; 300 << 10]);
    ann.puts("/tree/b", vec![2; 3 << 20]);
    ann.puts("/tree/c", vec![3; 300 << 10]);
    let (run, listed) = on_small_disk(&ann, "1m", "get --json /large small/large");
    let refused = Refusal::of(run);
    assert_eq!(refused.kind(), (7, "LOCAL_DISK_FULL"), "{refused:?}");
    assert_eq!(refused.path.as_deref(), Some("small/large"), "{refused:?}");
    // What a second try would go on from has another name.
    assert!(listed.iter().all(|path| path == "small/.large.depot-partial"), "{listed:?}");

    let (run, listed) = on_small_disk(&ann, "1m", "get -r /tree small/tree");
    assert!([7, 11].contains(&run.exit), "{run:?}");
    assert!(run.stderr.contains("small/tree/b"), "{run:?}");
    let named = |path: &&String| !path.ends_with("depot-partial");
    let named: Vec<&String> = listed.iter().filter(named).collect();
    assert!(named.iter().all(|path| path.ends_with("/a") || path.ends_with("/c")), "{listed:?}");

    let (run, listed) = on_small_disk(&ann, "8m", "get -r /tree small/tree");
    run.succeeded();
    assert_eq!(listed, ["small/tree/a", "small/tree/b", "small/tree/c"]);
}

#[test]
fn a_message_that_could_not_be_kept_stays_unread() {
    if !is_possible() {
        return;
    }
    let world = World::start();
    let ann = world.admin("ann");
    let body = "x".repeat(700 << 10);
    for number in 0..3 {
        let body = format!("{number}{body}");
        ann.pipes(body, ["send", "ann", "-s", &number.to_string()]).succeeded();
    }
    let (run, listed) = on_small_disk(&ann, "1m", "fetch --json --into small/mail");
    assert_eq!(run.exit, 7, "{run:?}");
    let left: Vec<String> = ann
        .json(["inbox", "--unread"])
        .iter()
        .map(|one| text(&one["subject"]).to_owned())
        .collect();
    let kept = listed.iter().filter(|path| path.contains("/new/")).count();
    assert_eq!(kept + left.len(), 3, "kept {listed:?}, unread {left:?}");
    assert!(left.len() >= 2, "one fits at most: {left:?}");
    ann.runs(["fetch", "--into", "mail"]).succeeded();
    let fetched = fs::read_dir(ann.path("mail/new")).expect("a Maildir").count();
    assert_eq!(fetched, left.len());
}

#[test]
fn output_that_cannot_be_written_is_7_and_acknowledges_nothing() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.puts("/f", "x");
    ann.sends("ann", "hello");
    for arguments in [&["cat", "/f"][..], &["fetch"], &["read", "1"], &["ls"], &["fetch", "--json"]]
    {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let mut command = ann.command(arguments);
        let ended = command.stdin(Stdio::null()).stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(7), "{arguments:?}: {said}");
        assert!(said.contains("stdout"), "{arguments:?}: {said}");
    }
    assert_eq!(ann.unread(), ["hello"]);
}

#[test]
fn a_server_whose_disk_is_full_says_so_and_takes_removals() {
    if !is_possible() {
        return;
    }
    let world = World::on_a_disk_of("64m");
    let ann = world.admin("ann");
    let noise = |seed: u64, bytes: usize| {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    };
    ann.puts("/kept", "kept");
    ann.puts("/removed", "removed");
    let mut wanted = vec!["kept".to_owned(), "removed".to_owned()];
    let mut full = Vec::new();
    // Until not even a little fits.
    for bytes in [8 << 20, 1 << 20, 64 << 10, 4 << 10] {
        let refused = (0..100).find_map(|number| {
            let name = format!("{bytes} {number}");
            let local = ann.file("local", noise(bytes + number, bytes as usize));
            let run = ann.runs([
                "put".as_ref(),
                "--json".as_ref(),
                local.as_os_str(),
                format!("/{name}").as_ref(),
            ]);
            if run.exit == 0 {
                wanted.push(name);
                return None;
            }
            Some(Refusal::of(run))
        });
        full.extend(refused);
    }
    let refused = full.pop().expect("64 MiB are full some day");
    assert_eq!(refused.kind(), (7, "DISK_FULL"), "{refused:?}");
    wanted.sort();
    assert_eq!(ann.lists("/"), wanted, "nothing is half there");
    for arguments in [&["put", "password", "/x"][..], &["send", "ann", "-s", "", "-m", "x"]] {
        assert_eq!(ann.refused(arguments).kind(), (7, "DISK_FULL"));
    }
    // Reading, removing and logging in go on.
    assert_eq!(ann.cats("/kept"), b"kept");
    ann.logs_in();
    ann.does(["rm", "/removed"]);
    ann.does(["logout"]);
}
