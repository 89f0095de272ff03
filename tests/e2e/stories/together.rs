//! Several at once on one tree: nothing is lost, nothing is torn, and of those who may not both win one
//! does.

use std::collections::BTreeSet;

use depot_tests::process::{Run, Running};
use depot_tests::user::User;
use depot_tests::world::World;

use super::noise;

/// Runs all of these at the same time.
fn at_once(user: &User, commands: &[Vec<String>]) -> Vec<Run> {
    let running: Vec<Running> = commands.iter().map(|command| user.starts(command)).collect();
    running.into_iter().map(Running::ended).collect()
}

fn exits(runs: &[Run]) -> Vec<i32> {
    let mut exits: Vec<i32> = runs.iter().map(|run| run.exit).collect();
    exits.sort_unstable();
    exits
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn two_put_their_trees_into_one() {
    let world = World::start();
    let ann = world.admin("ann");
    // Another client of the same account: what it remembers is its own.
    let laptop = world.stranger("laptop");
    let mut login = ann.meets("login");
    login.retain(|word| word != "--json");
    laptop.runs(login).succeeded();
    for number in 0..300 {
        ann.file(format!("t/ann/{number}"), format!("ann {number}"));
        laptop.file(format!("t/laptop/{number}"), format!("laptop {number}"));
        ann.file(format!("t/both/{number}"), format!("the same {number}"));
        laptop.file(format!("t/both/{number}"), format!("the same {number}"));
    }
    let puts = [ann.starts(["put", "-r", "t", "/t"]), laptop.starts(["put", "-r", "t", "/t"])];
    puts.into_iter().for_each(|put| drop(put.ended().succeeded()));
    assert_eq!(ann.tree("/t").len(), 3 + 900);
    ann.does(["get", "-r", "/t", "back"]);
    for (user, name) in [(&ann, "ann"), (&laptop, "laptop"), (&laptop, "both")] {
        for number in 0..300 {
            let here = std::fs::read(user.path(format!("t/{name}/{number}"))).expect("a file");
            let there = std::fs::read(ann.path(format!("back/{name}/{number}"))).expect("a file");
            assert_eq!(here, there, "{name}/{number}");
        }
    }
}

#[test]
fn of_many_who_want_a_name_one_gets_it() {
    let world = World::start();
    let ann = world.admin("ann");
    let put = |number: u64| {
        ann.file(format!("f{number}"), noise(number, 2_000_000));
        words(&format!("put --if-absent f{number} /f"))
    };
    let runs = at_once(&ann, &(0..6).map(put).collect::<Vec<_>>());
    assert_eq!(exits(&runs), [0, 6, 6, 6, 6, 6], "{runs:?}");
    let winner = runs.iter().position(|run| run.exit == 0).expect("one");
    assert_eq!(ann.cats("/f"), noise(winner as u64, 2_000_000));

    let moves: Vec<_> = (0..6).map(|number| words(&format!("mv /f /moved{number}"))).collect();
    let runs = at_once(&ann, &moves);
    assert_eq!(exits(&runs), [0, 3, 3, 3, 3, 3], "{runs:?}");
    assert_eq!(ann.lists("/").len(), 1);
    let made = at_once(&ann, &vec![words("mkdir -p /a/b/c"); 6]);
    assert_eq!(exits(&made), [0; 6], "{made:?}");
    assert_eq!(ann.tree("/a"), ["/a/b", "/a/b/c"]);
}

#[test]
fn a_file_that_many_replace_is_always_one_of_theirs() {
    let world = World::start();
    let ann = world.admin("ann");
    let contents: Vec<Vec<u8>> = (0..4).map(|seed| noise(seed, 2_500_000)).collect();
    for (number, content) in contents.iter().enumerate() {
        ann.file(format!("f{number}"), content);
    }
    ann.does(["put", "f0", "/f"]);
    let mut puts: Vec<Running> =
        (0..8).map(|number| ann.starts(["put", &format!("f{}", number % 4), "/f"])).collect();
    let mut looks = 0;
    while puts.iter_mut().any(|put| !put.has_ended()) || looks == 0 {
        let seen = ann.cats("/f");
        assert!(contents.contains(&seen), "{} bytes are nobody's", seen.len());
        looks += 1;
    }
    puts.into_iter().for_each(|put| drop(put.ended().succeeded()));
    assert!(contents.contains(&ann.cats("/f")));
}

#[test]
fn of_several_who_fetch_each_message_reaches_somebody() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let sends: Vec<Vec<String>> =
        (0..24).map(|number| words(&format!("send bob -s many -m {number}"))).collect();
    assert_eq!(exits(&at_once(&ann, &sends)), [0; 24]);
    let into: Vec<_> = (0..3).map(|number| words(&format!("fetch --into mail{number}"))).collect();
    assert_eq!(exits(&at_once(&bob, &into)), [0; 3]);
    assert!(bob.unread().is_empty());
    let mut numbers = BTreeSet::new();
    for number in 0..3 {
        let new = std::fs::read_dir(bob.path(format!("mail{number}/new"))).expect("a Maildir");
        numbers.extend(new.map(|entry| entry.expect("an entry").file_name()));
    }
    assert_eq!(numbers.len(), 24);
    // Each got a number of its own, without a gap.
    let mut numbers: Vec<_> =
        bob.json(["inbox"]).iter().map(|message| message["number"].as_u64()).collect();
    numbers.reverse();
    assert_eq!(numbers, (1..=24).map(Some).collect::<Vec<_>>());
    // Into one Maildir only one fetches at a time.
    assert_eq!(bob.runs(["fetch", "--into", "mail0"]).exit, 0);
}
