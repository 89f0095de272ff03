//! R15: several writers of the same few files, two accounts on six connections, each of whom believes what
//! they saw last; the server is killed and started again meanwhile. Everything that was asked and answered
//! is written down, and must be explained by one order of single steps (see `history`): then nothing that
//! was acknowledged was lost or overwritten by somebody who had not seen it, and nobody saw half of it.

mod calls;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use depot_proto::files::MakeFolderRequest;
use depot_proto::files::{GrantRequest, Right};
use depot_tests::wait::{PATIENCE, until_true};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::chance::{Chance, is_long, seeds, tries};
use crate::history::{Checked, Log, check};
use crate::load::{Answers, Fault};
use crate::report::say;
use crate::runtime;
use crate::site::{Person, Site};
use writer::{Tally, Writer};

/// Writers that each of the two accounts has.
const WRITERS_EACH: usize = 3;
/// Operations of one life, and how often its server is killed.
const OPERATIONS_A_LIFE: usize = 5_000;
const CRASHES_CI: usize = 3;
/// One crash for each so many operations of the long tier.
const OPERATIONS_A_CRASH: usize = 1_000;

#[test]
fn no_update_is_lost_between_writers_and_crashes() {
    let mut all = Tally::default();
    let (began, mut checking) = (Instant::now(), Duration::ZERO);
    let (mut crashes, mut checked) = (0, Checked::default());
    for seed in seeds(tries(1, 20)) {
        say(format_args!("R15 writers: DEPOT_SEED={seed}"));
        let times = if is_long() { OPERATIONS_A_LIFE / OPERATIONS_A_CRASH } else { CRASHES_CI };
        let life = Life::run(seed, "", (OPERATIONS_A_LIFE, times));
        let checks = Instant::now();
        let found = check(&life.log.operations());
        let one = found.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        checking += checks.elapsed();
        checked.operations += one.operations;
        checked.states = checked.states.max(one.states);
        (crashes, all) = (crashes + times, all + life.tally);
    }
    let Tally { changed, refused, looked, unknown, settled } = all;
    say(format_args!(
        "R15 writers: {} operations, {crashes} crashes: {changed} changes, {refused} refused, {looked} \
         looks, {unknown} unknown, {settled} asked again; explained, at most {} states at once, in \
         {:.1} s; {:.1} s",
        checked.operations,
        checked.states,
        checking.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ));
    assert!(changed > checked.operations / 5 && refused > 0, "too little was changed");
}

/// The control: a server that does not look whether a file is what was asked for loses updates, and that
/// is noticed.
#[test]
fn without_conditions_updates_are_lost() {
    let life = Life::run(15, "no-conditions", (500, 0));
    let problem = check(&life.log.operations()).expect_err("an update is lost, and nobody noticed");
    say(format_args!("R15's control: {}", problem.lines().next().unwrap_or_default()));
}

/// One server, from its first start to its end.
struct Life {
    log: Arc<Log>,
    tally: Tally,
}

impl Life {
    fn run(seed: u64, faults: &str, (operations, crashes): (usize, usize)) -> Self {
        let (runtime, folder) = (runtime(), TempDir::new().expect("a temporary folder"));
        let mut site = Site::new(folder.path().join("data"));
        site.set("DEPOT_FAULTS", faults);
        site.start();
        let people = site.people(&runtime, &["ann", "bob"]);
        runtime.block_on(share(&site, &people[0]));
        let (log, mut chance) = (Arc::<Log>::default(), Chance::new(seed));
        let writer = |number| Writer::new(number, &people, Arc::clone(&log), chance.split());
        let mut writers: Vec<Writer> = (0..people.len() * WRITERS_EACH).map(writer).collect();
        for crash in 1..=crashes {
            let fault = Arc::new(Fault::new(Answers::Count));
            let work = begin(writers, &site, &runtime, (&fault, operations));
            let enough = operations * crash / (crashes + 1);
            until_true("operations before a crash", || log.answered() >= enough);
            fault.begin();
            site.kill();
            writers = work.into_iter().map(|writer| ended(&runtime, writer)).collect();
            // What it had begun it has done by now, or never will.
            writers.iter_mut().for_each(Writer::give_up_some);
            site.start();
        }
        let fault = Arc::new(Fault::new(Answers::Count));
        let work = begin(writers, &site, &runtime, (&fault, operations));
        until_true("the last operations", || work.iter().all(JoinHandle::is_finished));
        let writers = work.into_iter().map(|writer| ended(&runtime, writer));
        let tally = writers.fold(Tally::default(), |sum, writer| sum + writer.tally);
        site.stop();
        site.verify().succeeded();
        Self { log, tally }
    }
}

/// The folder, which bob may write in.
async fn share(site: &Site, ann: &Person) {
    let calls = site.calls(ann).await;
    let request = MakeFolderRequest { path: "/r".to_owned(), ..MakeFolderRequest::default() };
    calls.files().make_folder(request).await.expect("a folder");
    let request = GrantRequest {
        path: "/r".to_owned(),
        grantee: "bob".to_owned(),
        right: Right::Write.into(),
        ..GrantRequest::default()
    };
    calls.sharing().grant(request).await.expect("a share");
}

/// Lets all writers work until the fault, or until so many operations were answered.
fn begin(
    writers: Vec<Writer>,
    site: &Site,
    runtime: &Runtime,
    (fault, operations): (&Arc<Fault>, usize),
) -> Vec<JoinHandle<Writer>> {
    let started = writers.into_iter().map(|mut writer| {
        let calls = runtime.block_on(site.calls(&writer.person));
        let fault = Arc::clone(fault);
        runtime.spawn(async move {
            writer.work(&calls, (&fault, operations)).await;
            writer
        })
    });
    started.collect()
}

fn ended(runtime: &Runtime, writer: JoinHandle<Writer>) -> Writer {
    let waited = async { tokio::time::timeout(PATIENCE, writer).await };
    match runtime.block_on(waited).expect("every call ends when the server has gone") {
        Ok(writer) => writer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
