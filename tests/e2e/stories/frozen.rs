//! A server that is there and does not answer.

use std::time::{Duration, Instant};

use depot_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn nobody_waits_longer_for_a_frozen_server_than_they_said() {
    let world = World::start();
    let ann = world.admin("ann");
    let process = i32::try_from(world.program().id()).ok().and_then(Pid::from_raw);
    let process = process.expect("a process");
    kill_process(process, Signal::STOP).expect("a signal");
    for (retry_for, most) in [("4s", 7), ("0s", 6)] {
        let begun = Instant::now();
        let refused = ann.refused(["whoami", "--retry-for", retry_for]);
        assert_eq!(refused.exit, 8, "{refused:?}");
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(most), "{waited:?} for {retry_for}");
    }
    // A try that is under way when it comes back goes on.
    let asking = ann.starts(["ls", "/", "--retry-for", "30s"]);
    std::thread::sleep(Duration::from_millis(300));
    kill_process(process, Signal::CONT).expect("a signal");
    asking.ended().succeeded();
}
