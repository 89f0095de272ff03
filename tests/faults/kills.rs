//! R1: the server is killed at random moments under mixed load, and started again on what it left.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::chance::{Chance, seeds, tries};
use crate::load::{Answers, Crew, Fault, Habits};
use crate::report::Report;
use crate::runtime;
use crate::site::Site;

/// Kills on one data directory.
const KILLS_A_LIFE: usize = 20;
/// A verify runs after every so many kills, and after the last.
const VERIFY_EVERY: usize = 5;
/// A restart takes no longer.
const RESTART_MAX: Duration = Duration::from_secs(2);

fn habits() -> Habits {
    Habits { small: 0..40_000, large: 200_000..2_500_000, full_is_fine: false }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let kills = tries(KILLS_A_LIFE, 1_000);
    let mut report = Report::new("R1 kill -9");
    for seed in seeds(kills.div_ceil(KILLS_A_LIFE)) {
        report.life(seed);
        life(seed, &mut report);
    }
    report.end();
}

fn life(seed: u64, report: &mut Report) {
    let (runtime, folder) = (runtime(), TempDir::new().expect("a temporary folder"));
    let mut chance = Chance::new(seed);
    let mut site = Site::new(folder.path().join("data"));
    site.start();
    let mut crew = Crew::new(&site, &runtime, &habits(), &mut chance);
    for kill in 1..=KILLS_A_LIFE {
        let fault = Arc::new(Fault::new(Answers::Count));
        let work = crew.begin(&site, &runtime, &fault);
        std::thread::sleep(chance.time(20..700));
        fault.begin();
        let said = site.kill();
        crew.come_back(&runtime, work);
        if kill % VERIFY_EVERY == 0 || kill == KILLS_A_LIFE {
            site.verify().succeeded();
        }
        let took = site.start();
        assert!(took < RESTART_MAX, "a restart took {took:?}; before it: {said:?}");
        report.restarted(took);
        let findings = crew.check(&site, &runtime);
        assert!(findings.is_empty(), "seed {seed}, kill {kill}: {findings}");
        report.tried(&findings);
        crew.settle(&site, &runtime);
    }
    site.stop();
    report.did(crew.tally());
}

/// What is taken away behind the server's back is found, each sort of it: a file, a file of a tree, a
/// message of one of its recipients, and a mark.
#[test]
fn what_is_lost_is_found() {
    for (what, sql) in [
        (
            "a file",
            "UPDATE entry SET removed = modseq, removed_at = 1 WHERE id =
             (SELECT id FROM entry WHERE removed = 0 AND name GLOB 'f*' AND kind = 1 LIMIT 1)",
        ),
        (
            "a file of a tree",
            "UPDATE entry SET removed = modseq, removed_at = 1 WHERE id =
             (SELECT id FROM entry WHERE removed = 0 AND name = 'x0' AND parent IN
              (SELECT id FROM entry WHERE removed = 0) LIMIT 1)",
        ),
        (
            "a new version of a file",
            "UPDATE entry SET (size, digest, content) =
             (SELECT size, digest, content FROM version AS v WHERE v.entry = entry.id LIMIT 1)
             WHERE removed = 0 AND EXISTS (SELECT 1 FROM version AS v WHERE v.entry = entry.id)",
        ),
        ("a message", "DELETE FROM delivery WHERE number = 1 AND account = 1"),
        ("a mark", "UPDATE delivery SET acked_at = NULL, read_at = NULL"),
    ] {
        assert!(is_found(sql), "{what} was taken away, and nobody noticed");
    }
}

fn is_found(sql: &str) -> bool {
    let (runtime, folder) = (runtime(), TempDir::new().expect("a temporary folder"));
    let mut site = Site::new(folder.path().join("data"));
    site.start();
    let mut crew = Crew::new(&site, &runtime, &habits(), &mut Chance::new(1));
    // What was done in a moment need not be what this one takes away.
    let is_taken = (0..20).any(|_| {
        work_a_little(&mut crew, &site, &runtime);
        assert!(crew.check(&site, &runtime).is_empty(), "all is well before");
        site.stop();
        let rows = take_away(&site, sql);
        site.start();
        rows > 0
    });
    assert!(is_taken, "nothing was taken away");
    let findings = crew.check(&site, &runtime);
    site.kill();
    !findings.is_empty()
}

/// How many rows it was.
fn take_away(site: &Site, sql: &str) -> usize {
    let database = Connection::open(site.data().join("meta.sqlite3")).expect("the database");
    database.pragma_update(None, "foreign_keys", false).expect("a setting");
    database.execute(sql, []).expect("a change")
}

/// Until there is some of everything.
fn work_a_little(crew: &mut Crew, site: &Site, runtime: &Runtime) {
    let enough = |crew: &Crew| {
        let tree = |what: fn(&crate::load::Hand) -> bool| crew.hands.iter().any(what);
        tree(|hand| hand.tree.keys().any(|path| path.ends_with("/x0")))
            && tree(|hand| hand.tree.keys().any(|path| path.starts_with('f')))
            && tree(|hand| !hand.acked.is_empty())
            && tree(|hand| !hand.sent.is_empty())
    };
    for _ in 0..100 {
        let fault = Arc::new(Fault::new(Answers::Count));
        let work = crew.begin(site, runtime, &fault);
        std::thread::sleep(Duration::from_millis(100));
        fault.begin();
        crew.come_back(runtime, work);
        if enough(crew) {
            return;
        }
    }
    panic!("after ten seconds of work some of it is still missing");
}
