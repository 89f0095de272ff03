//! Fetching into a Maildir when there is little room: in a message, on a disk.

use std::fs;

use depot_tests::disk::{is_possible, with_small_disk};
use depot_tests::process::run;
use depot_tests::user::text;
use depot_tests::world::World;

use super::noise;

#[test]
fn a_message_takes_as_much_of_its_attachments_as_it_has_room_for() {
    let world = World::start();
    let ann = world.admin("ann");
    let names = ["one", "two", "three", "four"];
    let sizes = [700_000, 700_000, 200_000, 1_500_000];
    for (seed, (name, size)) in (0..).zip(names.iter().zip(sizes)) {
        ann.file(name, noise(seed, size));
    }
    let attach = names.iter().flat_map(|name| ["-a", name]);
    ann.does(["send", "ann", "-s", "", "-m", "x"].into_iter().chain(attach));
    let kept = ann.one(["fetch", "--into", "mail", "--inline-max", "1M"]);
    let file = fs::read_to_string(ann.path(text(&kept["file"]))).expect("a message");
    let outside: Vec<bool> =
        names.iter().map(|name| file.contains(&format!("\n  {name} ("))).collect();
    assert_eq!(outside, [false, true, false, true], "{}", &file[..1000]);
    let encoded = (700_000 + 200_000) / 3 * 4;
    assert!(file.len() > encoded && file.len() < encoded + 50_000, "{} bytes", file.len());
}

#[test]
fn a_message_is_kept_once_however_its_server_is_named() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.sends("ann", "hello");
    let first = ann.one(["fetch", "--peek", "--into", "mail"]);
    let mut arguments = ann.meets("login");
    let server = arguments.iter().position(|word| *word == world.server()).expect("a server");
    arguments[server] = format!("localhost:{}", world.address().port());
    ann.runs(arguments).succeeded();
    let second = ann.one(["fetch", "--into", "mail"]);
    assert_eq!(second["file"], first["file"]);
    assert_eq!(fs::read_dir(ann.path("mail/new")).expect("a folder").count(), 1);
}

#[test]
fn what_fits_on_a_nearly_full_disk_is_kept() {
    if !is_possible() {
        return;
    }
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.puts("/large", noise(1, 400_000));
    for number in ["0", "1", "2", "3", "4", "5"] {
        // Some whose attachments are inside, and one that is nothing but text.
        let attach = ["--attach-remote", "/large"];
        let attach = if number == "3" { &[][..] } else { &attach[..] };
        let body = if number == "3" { "x".repeat(900_000) } else { number.to_owned() };
        ann.pipes(body, ["send", "bob", "-s", number].iter().chain(attach)).succeeded();
    }
    fs::create_dir(bob.path("disk")).expect("a folder");
    let script = "cd \"$1\"; shift; \"$@\" || echo \"exit $?\"; echo in tmp: $(ls mail/tmp | wc -l); \
                  ls mail/new";
    let mut command = with_small_disk(&bob.path("disk"), "1500k", script);
    let depot = bob.command(["fetch", "--into", "mail"]);
    command.arg(bob.path("disk")).arg(depot.get_program()).args(depot.get_args());
    let set = depot.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(set);
    let fetched = run(&mut command);
    let lines: Vec<&str> = fetched.text().lines().collect();
    let [exit, in_tmp, kept @ ..] = &lines[..] else { panic!("{fetched:?}") };
    assert_eq!((*exit, *in_tmp), ("exit 7", "in tmp: 0"), "{fetched:?}");
    assert!(!kept.is_empty(), "{fetched:?}");
    let unread = bob.json(["inbox", "--unread"]);
    assert_eq!(unread.len() + kept.len(), 6, "what is kept is acknowledged: {fetched:?}");
    for message in &unread {
        let id = text(&message["id"]);
        assert!(!kept.iter().any(|name| name.contains(id)), "{id} in {fetched:?}");
    }
}
