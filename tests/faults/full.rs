//! R5: the disk is full, in bytes or in inodes, by the server's own doing or by somebody else's. What is
//! there can be read, removed, acknowledged and logged in to; nothing new is taken in, and the answer says
//! why; when there is room again, everything works again.

use std::sync::Arc;
use std::time::Duration;

use depot_proto::auth::LogoutRequest;
use depot_tests::caller::{Caller, bearer};
use depot_tests::wait::until_true;
use tokio::runtime::Runtime;
use tonic::Status;

use crate::chance::{Chance, seeds, tries};
use crate::disk::{Ballast, Crowd, Disk};
use crate::load::{Answers, Content, Crew, Deed, Fault, Findings, Habits, Letter};
use crate::report::{Report, say};
use crate::runtime;
use crate::site::Site;

/// Times that one disk is filled and made free again.
const CYCLES_A_LIFE: usize = 5;
/// Things removed, acknowledged and logged in to while the disk is full.
const WHILE_FULL: usize = 12;
/// Things that are asked for until one is refused.
const UNTIL_FULL: usize = 1_000;

fn habits() -> Habits {
    Habits { small: 0..4_000, large: 20_000..60_000, full_is_fine: true }
}

#[test]
fn a_disk_without_room_takes_nothing_in_and_lets_everything_out() {
    lives("R5 no room", tries(5, 50), |seed| Full::new(seed, 32 << 20, &[]));
}

#[test]
fn a_disk_without_inodes_takes_nothing_in_and_lets_everything_out() {
    lives("R5 no inodes", tries(5, 50), |seed| {
        let mut full = Full::new(seed, 512 << 20, &["-N", "200"]);
        // A file that is new is needed for every 16 MiB, the least that can be set.
        full.site.stop();
        full.site.set("DEPOTD_STORE_PACK_BYTES_MAX", "16777216");
        full.site.start();
        full.scarce = Scarce::Inodes;
        full
    });
}

fn lives(name: &'static str, cycles: usize, make: impl Fn(u64) -> Full) {
    if !Disk::can_be_had(name) {
        return;
    }
    let mut report = Report::new(name);
    for seed in seeds(cycles.div_ceil(CYCLES_A_LIFE)) {
        report.life(seed);
        let mut full = make(seed);
        for cycle in 1..=CYCLES_A_LIFE {
            say(format_args!("{name}: cycle {cycle}"));
            full.cycle(&mut report);
        }
        full.site.stop();
        full.site.verify().succeeded();
        report.did(full.crew.tally());
    }
    report.end();
}

/// What a disk runs out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scarce {
    Bytes,
    Inodes,
}

/// Somebody else's files, until this is dropped.
enum InTheWay {
    Bytes(Ballast),
    Inodes(#[expect(dead_code, reason = "held for its drop")] Crowd),
}

/// A server on a small disk.
struct Full {
    // Before the disk: nobody is on it when it goes.
    site: Site,
    disk: Disk,
    crew: Crew,
    chance: Chance,
    scarce: Scarce,
    runtime: Runtime,
}

impl Full {
    fn new(seed: u64, bytes: u64, options: &[&str]) -> Self {
        let (runtime, disk) = (runtime(), Disk::new(bytes, options));
        let mut chance = Chance::new(seed);
        let mut site = Site::new(disk.path().join("data"));
        site.start();
        let crew = Crew::new(&site, &runtime, &habits(), &mut chance);
        Self { site, disk, crew, chance, scarce: Scarce::Bytes, runtime }
    }

    /// Fills the disk, tries everything, makes room, tries again.
    fn cycle(&mut self, report: &mut Report) {
        let in_the_way = match self.scarce {
            Scarce::Bytes => InTheWay::Bytes(self.disk.fill(self.chance.of(0..1_500_000))),
            Scarce::Inodes => InTheWay::Inodes(self.disk.take_inodes()),
        };
        self.work();
        self.is_refused("a file", |chance| Deed::Put {
            path: "big".to_owned(),
            content: Content { seed: chance.next(), size: 300_000 },
        });
        self.is_refused("a tree", |chance| Deed::Commit {
            base: format!("big{}", chance.next()),
            files: vec![("x".to_owned(), Content { seed: chance.next(), size: 200_000 })],
        });
        // Messages need no file that is new.
        if let InTheWay::Bytes(ballast) = &in_the_way {
            self.is_refused("a message", |chance| Deed::Send(letter(chance)));
            if self.chance.once_in(2) {
                ballast.take_the_rest();
            }
        }
        self.goes_on();
        if self.chance.once_in(3) {
            self.site.kill();
            report.restarted(self.site.start());
            self.goes_on();
        }
        report.tried(&self.remembers("while the disk is full"));
        drop(in_the_way);
        self.comes_back();
        self.work();
        self.remembers("when there is room again");
    }

    /// Everybody works for a moment, and takes a full disk for an answer.
    fn work(&mut self) {
        let fault = Arc::new(Fault::new(Answers::Count));
        let work = self.crew.begin(&self.site, &self.runtime, &fault);
        std::thread::sleep(self.chance.time(100..400));
        fault.begin();
        self.crew.come_back(&self.runtime, work);
        let undone = self.crew.hands.iter().filter_map(|hand| hand.doing.as_ref()).next();
        assert!(undone.is_none(), "the server runs, and does not say what became of {undone:?}");
    }

    /// Asks until the server says that its disk is full.
    fn is_refused(&mut self, what: &str, deed: impl Fn(&mut Chance) -> Deed) {
        for _ in 0..UNTIL_FULL {
            let deed = deed(&mut self.chance);
            if !self.is_done(deed) {
                return;
            }
        }
        panic!("{UNTIL_FULL} times {what}, and the disk is not full");
    }

    /// Whether the server did it; it may refuse for want of room alone.
    fn is_done(&mut self, deed: Deed) -> bool {
        let before = self.crew.hands[0].tally.refused;
        let done = self.asks(0, deed);
        done.unwrap_or_else(|status| panic!("{status:?}"));
        self.crew.hands[0].tally.refused == before
    }

    fn asks(&mut self, hand: usize, deed: Deed) -> Result<(), Status> {
        let fault = Fault::new(Answers::Count);
        let hand = &mut self.crew.hands[hand];
        let person = &self.crew.people[hand.person];
        self.runtime.block_on(async {
            let calls = self.site.calls(person).await;
            hand.does(deed, &calls, &fault).await
        })
    }

    /// Removals, acknowledgements and logins.
    fn goes_on(&mut self) {
        let problem = self.problem_of_going_on(WHILE_FULL);
        assert_eq!(problem, None, "while the disk is full");
    }

    /// What was refused of so many removals, acknowledgements and logins.
    fn problem_of_going_on(&mut self, times: usize) -> Option<String> {
        for time in 0..times {
            let number = time % self.crew.hands.len();
            if let Some(path) = self.crew.hands[number].tops().first().cloned() {
                let before = self.crew.hands[number].tally.refused;
                let removed = self.asks(number, Deed::Remove { path: path.clone() });
                if removed.is_err() || self.crew.hands[number].tally.refused > before {
                    return Some(format!("{path} could not be removed: {removed:?}"));
                }
            }
            if let Err(status) = self.acks_and_logs_in() {
                return Some(format!("{status:?}"));
            }
        }
        None
    }

    fn acks_and_logs_in(&mut self) -> Result<(), Status> {
        let hand = &mut self.crew.hands[0];
        let person = &self.crew.people[0];
        let acked = self.runtime.block_on(async {
            let stranger = self.site.stranger().await;
            let login = stranger.login(person.name, &person.password()).await?;
            stranger.with(bearer(&login.token)).auth().logout(LogoutRequest {}).await?;
            let calls = self.site.calls(person).await;
            let Some(deed) = hand.next_ack(&calls).await? else { return Ok(None) };
            let Deed::Ack { ids } = deed else { return Ok(None) };
            acks(&calls, &ids).await?;
            Ok::<_, Status>(Some(Deed::Ack { ids }))
        })?;
        if let Some(deed) = acked {
            hand.done(deed, None);
        }
        Ok(())
    }

    fn remembers(&mut self, when: &str) -> Findings {
        let findings = self.crew.check(&self.site, &self.runtime);
        assert!(findings.is_empty(), "{when}: {findings}");
        findings
    }

    /// Writes work again soon after there is room.
    fn comes_back(&mut self) {
        until_true("writes when there is room again", || {
            let seed = self.chance.next();
            let content = Content { seed, size: 100_000 };
            let is_done = self.is_done(Deed::Put { path: "back".to_owned(), content });
            if !is_done {
                std::thread::sleep(Duration::from_millis(50));
            }
            is_done
        });
        let letter = letter(&mut self.chance);
        assert!(self.is_done(Deed::Send(letter)), "messages too");
    }
}

async fn acks(calls: &Caller, ids: &[String]) -> Result<(), Status> {
    let request = depot_proto::mail::AckRequest { ids: ids.to_vec(), ..Default::default() };
    calls.mail().ack(request).await.map(drop)
}

fn letter(chance: &mut Chance) -> Letter {
    let tag = format!("long letter {}", chance.next());
    Letter { tag, to: vec!["bob"], filling: 50_000, attached: None }
}

/// The control: without the reserve, removals fail on a disk that is really full, and that is noticed.
#[test]
fn without_the_reserve_nothing_can_be_removed_from_a_full_disk() {
    if !Disk::can_be_had("R5's control") {
        return;
    }
    let with = problem_on_a_really_full_disk("");
    assert_eq!(with, None, "with the reserve");
    let without = problem_on_a_really_full_disk("no-reserve");
    say(format_args!("R5's control: {without:?}"));
    assert!(without.is_some(), "the reserve makes no difference: this test proves nothing");
}

fn problem_on_a_really_full_disk(faults: &str) -> Option<String> {
    let mut full = Full::new(5, 32 << 20, &[]);
    full.site.stop();
    full.site.set("DEPOT_FAULTS", faults);
    full.site.start();
    for number in 0..120 {
        let content = Content { seed: number, size: 10 };
        assert!(full.is_done(Deed::Put { path: format!("f{number}"), content }));
    }
    let ballast = full.disk.fill(0);
    ballast.take_the_rest();
    full.problem_of_going_on(100)
}
