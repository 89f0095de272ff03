//! S12: 64 hands at once fill what one account may hold: by simple writes and by commits of trees, over
//! several connections, in its owner's tree and through a share, with contents that are there already, as
//! copies, as versions and removed things that are put back, as attachments of messages. Whenever anybody
//! looks, it holds no more than it may; in the end its parts are the sum, and so is what is really there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use depot_proto::admin::SetQuotaRequest;
use depot_proto::files::{
    CopyRequest, EmptyTrashRequest, GrantRequest, ListTrashRequest, MakeFolderRequest,
    MeasureRequest, RestoreRemovedRequest, RestoreVersionRequest, Right, UsageRequest,
    UsageResponse, WriteHeader,
};
use depot_tests::caller::Caller;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::chance::{Chance, seeds, tries};
use crate::load::{Content, Deed, Doing, Letter};
use crate::report::say;
use crate::runtime;
use crate::site::Site;

/// Hands at work at once.
const HANDS: usize = 64;
/// Connections of the account's owner, and of the one whom they share with.
const CONNECTIONS_EACH: usize = 3;
/// What the account may hold.
const QUOTA_BYTES: u64 = 4 << 20;
/// Bytes of a file.
const FILE_BYTES: u64 = 120_000;
/// Contents and names that there are: more than fit.
const CONTENTS: u64 = 100;
const NAMES: u64 = 120;
/// Rounds with one server, and the things that each hand does in one.
const ROUNDS_A_LIFE: usize = 10;
const DEEDS: usize = 2;

#[test]
fn a_quota_is_never_passed_and_the_sum_adds_up() {
    let began = std::time::Instant::now();
    let mut all = Tally::default();
    let lives = tries(2, 40);
    for seed in seeds(lives) {
        say(format_args!("S12 quota: DEPOT_SEED={seed}"));
        let mut life = Life::new(seed, "");
        for round in 1..=ROUNDS_A_LIFE {
            let problem = life.round().err();
            assert_eq!(problem, None, "seed {seed}, round {round}");
        }
        life.site.stop();
        life.site.verify().succeeded();
        all.add(&life.tally);
    }
    let Tally { done, full, raced, looks, most } = all;
    say(format_args!(
        "S12 quota: {} rounds of {HANDS} hands, {done} done, {full} refused for want of room, {raced} for \
         another's change; {looks} looks, at most {most} of {QUOTA_BYTES} bytes; {:.1} s",
        lives * ROUNDS_A_LIFE,
        began.elapsed().as_secs_f64()
    ));
    assert!(full > done / 50 && done > full / 50, "{done} done, {full} refused: no race for room");
    assert!(most > QUOTA_BYTES * 9 / 10, "it was never full");
}

/// The control: with the quota looked at before the change alone, and not in it, it is passed, and that
/// is noticed.
#[test]
fn a_quota_that_is_not_looked_at_in_the_change_is_passed() {
    let mut life = Life::new(12, "no-quota");
    let problem = (0..ROUNDS_A_LIFE).find_map(|_| life.round().err());
    say(format_args!("S12's control: {problem:?}"));
    assert!(problem.is_some(), "it was not passed, or nobody noticed: this test proves nothing");
}

/// The control of the sum: one byte that is not there is noticed.
#[test]
fn a_sum_that_does_not_add_up_is_noticed() {
    let mut life = Life::new(13, "");
    life.round().expect("all is well");
    life.site.stop();
    life.site.verify().succeeded();
    let database = Connection::open(life.site.data().join("meta.sqlite3")).expect("the database");
    let sql = "UPDATE account SET used = used - 1 WHERE name = 'bob'";
    assert_eq!(database.execute(sql, []).expect("a change"), 1);
    drop(database);
    let found = life.site.verify();
    assert_eq!(found.exit, 9, "{found:?}");
    assert!(found.text().contains("account bob is charged for"), "{found:?}");
    life.site.start();
    let problem = life.round().expect_err("the parts are not the sum");
    assert!(problem.contains("are not the sum"), "{problem}");
}

/// What became of what was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    done: u64,
    /// Refused for want of room.
    full: u64,
    /// Refused because another hand was faster.
    raced: u64,
    looks: u64,
    /// The most bytes that were ever seen to be held.
    most: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.full += other.full;
        self.raced += other.raced;
        self.looks += other.looks;
        self.most = self.most.max(other.most);
    }
}

/// One server; bob's account is the one that is filled.
struct Life {
    site: Site,
    tally: Tally,
    chance: Chance,
    round: usize,
    runtime: Runtime,
    people: Vec<crate::site::Person>,
    _folder: TempDir,
}

impl Life {
    fn new(seed: u64, faults: &str) -> Self {
        let (runtime, folder) = (runtime(), TempDir::new().expect("a temporary folder"));
        let mut site = Site::new(folder.path().join("data"));
        site.set("DEPOT_FAULTS", faults);
        site.start();
        let people = site.people(&runtime, &["ann", "bob", "cid"]);
        runtime.block_on(async {
            let ann = site.calls(&people[0]).await;
            let quota = SetQuotaRequest { name: "bob".to_owned(), quota_bytes: Some(QUOTA_BYTES) };
            ann.admin().set_quota(quota).await.expect("a quota");
            share(&site.calls(&people[1]).await).await;
        });
        let (chance, tally) = (Chance::new(seed), Tally::default());
        Self { site, tally, chance, round: 0, runtime, people, _folder: folder }
    }

    /// All hands at once, while somebody looks; then the parts are added up.
    fn round(&mut self) -> Result<(), String> {
        self.round += 1;
        let (site, people) = (&self.site, &self.people);
        let (chance, round) = (&mut self.chance, self.round);
        let tally = self.runtime.block_on(async {
            let mut lines = Vec::new();
            for _ in 0..CONNECTIONS_EACH {
                lines.push((site.calls(&people[1]).await, false));
                lines.push((site.calls(&people[2]).await, true));
            }
            let owner = site.calls(&people[1]).await;
            let working = Arc::new(AtomicBool::new(true));
            let looks = tokio::spawn(look(owner.clone(), Arc::clone(&working)));
            let hands = (0..HANDS).map(|number| {
                let (calls, visits) = lines[number % lines.len()].clone();
                let chance = chance.split();
                let hand = Hand { calls, visits, chance, name: format!("{round}-{number}") };
                tokio::spawn(hand.work())
            });
            let mut tally = Tally::default();
            for hand in hands.collect::<Vec<_>>() {
                tally.add(&hand.await.expect("a hand")?);
            }
            working.store(false, Ordering::SeqCst);
            tally.add(&looks.await.expect("who looks")?);
            adds_up(&owner).await?;
            Ok::<_, String>(tally)
        })?;
        self.tally.add(&tally);
        Ok(())
    }
}

async fn share(bob: &Caller) {
    let request = MakeFolderRequest { path: "/h".to_owned(), ..MakeFolderRequest::default() };
    bob.files().make_folder(request).await.expect("a folder");
    let request = GrantRequest {
        path: "/h".to_owned(),
        grantee: "cid".to_owned(),
        right: Right::Write.into(),
        ..GrantRequest::default()
    };
    bob.sharing().grant(request).await.expect("a share");
}

async fn usage(calls: &Caller) -> UsageResponse {
    calls.files().usage(UsageRequest {}).await.expect("a sum").into_inner()
}

/// Looks as often as it can.
async fn look(calls: Caller, working: Arc<AtomicBool>) -> Result<Tally, String> {
    let mut tally = Tally::default();
    while working.load(Ordering::SeqCst) {
        let seen = usage(&calls).await;
        let held = seen.used_bytes + seen.staged_bytes;
        if held > QUOTA_BYTES {
            return Err(format!("{held} of {QUOTA_BYTES} bytes: {seen:?}"));
        }
        tally.looks += 1;
        tally.most = tally.most.max(held);
    }
    Ok(tally)
}

/// What the sum leaves for files, less its other parts, is what a walk through the tree finds.
async fn adds_up(calls: &Caller) -> Result<(), String> {
    let seen = usage(calls).await;
    let tree = MeasureRequest { path: "/".to_owned() };
    let tree = calls.files().measure(tree).await.expect("a sum").into_inner();
    match tree.bytes == seen.file_bytes && tree.version_bytes <= seen.version_bytes {
        true => Ok(()),
        false => Err(format!("the parts are not the sum: {seen:?}, and the tree has {tree:?}")),
    }
}

/// Does some things, each of which needs room or makes it.
struct Hand {
    calls: Caller,
    /// Whether it works in another's tree.
    visits: bool,
    chance: Chance,
    name: String,
}

impl Hand {
    async fn work(mut self) -> Result<Tally, String> {
        let mut tally = Tally::default();
        for number in 0..DEEDS {
            match self.does_something(number).await {
                Ok(()) => tally.done += 1,
                Err(status) => match refusal(&status) {
                    Refusal::Full => tally.full += 1,
                    Refusal::Raced => tally.raced += 1,
                    Refusal::Other => return Err(format!("{status:?}")),
                },
            }
        }
        Ok(tally)
    }

    async fn does_something(&mut self, number: usize) -> Result<(), Status> {
        let path = self.path();
        let deed = match self.chance.of(0..100) {
            0..15 => return self.writes_with_size(&path).await,
            15..40 => Deed::Put { path, content: self.content() },
            40..60 => {
                let base = format!("t{}-{number}", self.name);
                let count = self.chance.of(1..5);
                let files = (0..count).map(|file| (format!("x{file}"), self.content()));
                Deed::Commit { base, files: files.collect() }
            }
            60..68 => return self.copies(&path).await,
            68..76 => Deed::Remove { path },
            76..80 => Deed::Remove { path: format!("t{}-0", self.earlier()) },
            80..85 => Deed::Move { from: path, to: self.path() },
            85..90 => {
                let request = RestoreVersionRequest {
                    path: self.at(&path),
                    ..RestoreVersionRequest::default()
                };
                return self.calls.history().restore_version(request).await.map(drop);
            }
            _ if self.visits => Deed::Send(self.letter(number, "bob", None)),
            90..95 => return self.restores().await,
            _ => Deed::Send(self.letter(number, "cid", Some(path))),
        };
        Doing::new(deed).perform(&self.calls, self.home()).await.map(drop)
    }

    fn home(&self) -> &'static str {
        if self.visits { "bob:/h" } else { "/h" }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.home())
    }

    fn path(&mut self) -> String {
        format!("f{}", self.chance.of(0..NAMES))
    }

    /// The name of a hand of some round before.
    fn earlier(&mut self) -> String {
        let round = self.name.split_once('-').map_or("", |(round, _)| round);
        let round: u64 = round.parse().unwrap_or(1);
        format!("{}-{}", self.chance.of(0..round) + 1, self.chance.place(HANDS))
    }

    /// One of few, so that most are there already, from this account or the other.
    fn content(&mut self) -> Content {
        let seed = self.chance.of(0..CONTENTS);
        Content { seed, size: (1 + seed * 7_919 % FILE_BYTES) as usize }
    }

    async fn writes_with_size(&mut self, path: &str) -> Result<(), Status> {
        let bytes = self.content().bytes();
        let size = Some(bytes.len() as u64);
        let header = WriteHeader { path: self.at(path), size, ..WriteHeader::default() };
        self.calls.write(header, &bytes).await.map(drop)
    }

    async fn copies(&mut self, path: &str) -> Result<(), Status> {
        let target = self.path();
        let request = CopyRequest {
            source: self.at(path),
            target: self.at(&target),
            ..CopyRequest::default()
        };
        self.calls.files().copy(request).await.map(drop)
    }

    /// Something of the trash, which is itself counted, and goes where room is needed; now and then all of
    /// it is made free.
    async fn restores(&mut self) -> Result<(), Status> {
        if self.chance.once_in(8) {
            return self.calls.history().empty_trash(EmptyTrashRequest::default()).await.map(drop);
        }
        let removed = self.calls.history().list_trash(ListTrashRequest::default()).await?;
        let removed = removed.into_inner().entries;
        let Some(one) = self.chance.pick(&removed) else { return Ok(()) };
        let (id, target) = (one.id.clone(), format!("/h/{}", self.path()));
        let request = RestoreRemovedRequest { id, target, ..RestoreRemovedRequest::default() };
        self.calls.history().restore_removed(request).await.map(drop)
    }

    fn letter(&mut self, number: usize, to: &'static str, path: Option<String>) -> Letter {
        let tag = format!("letter {}-{number}", self.name);
        let filling = self.chance.of(0..8_000) as usize;
        let attached = path.map(|path| (path, Content { seed: 0, size: 0 }));
        Letter { tag, to: vec![to], filling, attached }
    }
}

enum Refusal {
    Full,
    Raced,
    Other,
}

/// Why the server said no. That something is not there, or is in the way, or has no other version, is
/// what hands do to each other.
fn refusal(status: &Status) -> Refusal {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    match (status.code(), &*reason) {
        (Code::ResourceExhausted, "QUOTA_EXCEEDED") => Refusal::Full,
        (Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition, _) => Refusal::Raced,
        _ => Refusal::Other,
    }
}
