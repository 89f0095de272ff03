//! R3: the power is cut under mixed load, and the server started again on what the disk kept.
//!
//! What is counted is what was acknowledged before the cut began: where two threads sync at once, a sync
//! that races the cut of this kernel can report success for bytes that are gone (a C program of forty
//! lines sees the same), which no real disk does that is still there to answer.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::chance::{Chance, seeds, tries};
use crate::disk::Disk;
use crate::load::{Answers, Crew, Fault, Findings, Habits};
use crate::report::{Report, say};
use crate::runtime;
use crate::site::Site;

/// Cuts on one disk.
const CUTS_A_LIFE: usize = 10;
const DISK_BYTES: u64 = 1 << 30;

fn habits() -> Habits {
    Habits { small: 0..40_000, large: 200_000..2_500_000, full_is_fine: false }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    if !Disk::can_be_had("R3") {
        return;
    }
    let mut report = Report::new("R3 power cut");
    for seed in seeds(tries(20, 500).div_ceil(CUTS_A_LIFE)) {
        report.life(seed);
        life(seed, &mut report);
    }
    report.end();
}

fn life(seed: u64, report: &mut Report) {
    let (runtime, disk) = (runtime(), Disk::new(DISK_BYTES, &[]));
    let mut chance = Chance::new(seed);
    let mut site = Site::new(disk.path().join("data"));
    site.start();
    let mut crew = Crew::new(&site, &runtime, &habits(), &mut chance);
    for cut in 1..=CUTS_A_LIFE {
        cut_power(&disk, (&mut crew, &mut site), &runtime, &mut chance);
        site.verify().succeeded();
        report.restarted(site.start());
        let findings = crew.check(&site, &runtime);
        assert!(findings.is_empty(), "seed {seed}, cut {cut}: {findings}");
        report.tried(&findings);
        crew.settle(&site, &runtime);
    }
    site.stop();
    report.did(crew.tally());
}

/// Work, the cut in the middle of it, and the disk as it is found afterwards.
fn cut_power(
    disk: &Disk,
    (crew, site): (&mut Crew, &mut Site),
    runtime: &Runtime,
    chance: &mut Chance,
) {
    let fault = Arc::new(Fault::new(Answers::Race));
    let switch = disk.switch();
    let work = crew.begin(site, runtime, &fault);
    std::thread::sleep(chance.time(20..700));
    fault.begin();
    switch.cut();
    site.kill();
    crew.come_back(runtime, work);
    disk.come_back();
}

/// The control: a server that does not sync loses what it acknowledged, and that is found.
#[test]
fn without_syncs_a_power_cut_loses_what_was_acknowledged() {
    if !Disk::can_be_had("R3's control") {
        return;
    }
    let (runtime, disk) = (runtime(), Disk::new(DISK_BYTES, &[]));
    let mut chance = Chance::new(3);
    let mut site = Site::new(disk.path().join("data"));
    site.start();
    let mut crew = Crew::new(&site, &runtime, &habits(), &mut chance);
    site.stop();
    // What was there before is on the disk: the cut takes what the server without syncs did.
    disk.come_back();
    site.set("DEPOT_FAULTS", "no-sync");
    site.start();
    let before = crew.tally().acknowledged;
    cut_power(&disk, (&mut crew, &mut site), &runtime, &mut chance);
    let acknowledged = crew.tally().acknowledged - before;
    assert!(acknowledged > 10, "only {acknowledged} things were acknowledged");
    site.set("DEPOT_FAULTS", "");
    let lost = match site.try_start() {
        Ok(_) => crew.check(&site, &runtime),
        Err(run) => Findings { lost: vec![format!("everything: {run:?}")], half: Vec::new() },
    };
    say(format_args!("R3's control: {acknowledged} acknowledged, {} lost", lost.lost.len()));
    assert!(!lost.lost.is_empty(), "nothing was lost without syncs: this test proves nothing");
}
