//! Files that leave room for others on the line: `--bwlimit`.

use std::time::{Duration, Instant};

use depot_tests::user::User;
use depot_tests::world::World;

use super::noise;

const MIB: usize = 1 << 20;

/// How long it takes at the least that 1 MiB a second allows.
fn takes(user: &User, arguments: &[&str], at_least: Duration) {
    let began = Instant::now();
    user.does(arguments);
    let took = began.elapsed();
    assert!(took >= at_least, "{arguments:?}: {took:?}");
}

#[test]
fn files_go_no_faster_than_they_may() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("large", noise(1, 4 * MIB));
    for n in 0..40 {
        ann.file(format!("small/{n}"), noise(2 + n, MIB / 10));
    }
    let limit = "--bwlimit=1M";
    // What goes first goes at once, and that is a second's worth at the most.
    let three = Duration::from_secs(3) - Duration::from_millis(50);
    takes(&ann, &["put", "large", "/large", limit], three);
    takes(&ann, &["put", "-r", "small", "/small", "--bwlimit", "00:00,1M"], three);
    takes(&ann, &["get", "-r", "/small", "back", limit], three - Duration::from_millis(500));
    let chunk_max = Duration::from_secs(2);
    takes(&ann, &["get", "/large", "back/large", limit], three - chunk_max);
    ann.does(["verify", "large", "/large"]);
    ann.does(["verify", "back", "/small", "--exclude", "large"]);
    for wrong in ["0", "fast", "8:00,1M", "1M 2M"] {
        assert_eq!(ann.refused(["ls", "--bwlimit", wrong]).exit, 2, "{wrong}");
    }
}
