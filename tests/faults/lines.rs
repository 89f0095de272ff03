//! R8: uploads and downloads whose line is cut at a random byte, with the real `depot`: it goes on by
//! itself, or is run again. In the end the bytes are the same, and little was sent twice.

use std::fs;
use std::time::Duration;

use depot_tests::process::Running;
use depot_tests::user::User;
use depot_tests::wait::until_true;
use depot_tests::world::World;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::chance::{Chance, seeds, tries};
use crate::load::Content;
use crate::proxy::{Cut, End, Proxy, Way};
use crate::report::say;
use crate::runtime;

/// Bytes of a file: more than may be sent twice.
const FILE_BYTES_UP: usize = 24 << 20;
const FILE_BYTES_DOWN: usize = 64 << 20;
/// The longest chunk.
const CHUNK_BYTES: u64 = 4 << 20;
/// Streams that an upload or a download may have at once.
const STREAMS_UP: u64 = 4;
const STREAMS_DOWN: u64 = 6;
/// What asking again and new handshakes take, a cut.
const WORDS_BYTES: u64 = 256 << 10;
/// Tries with one server.
const TRIES_A_LIFE: usize = 25;

#[test]
fn an_upload_that_is_cut_goes_on_where_it_was() {
    try_all("R8 upload", Way::Up);
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was() {
    try_all("R8 download", Way::Down);
}

fn file_bytes(way: Way) -> usize {
    match way {
        Way::Up => FILE_BYTES_UP,
        Way::Down => FILE_BYTES_DOWN,
    }
}

fn try_all(name: &str, way: Way) {
    let began = std::time::Instant::now();
    let (mut tried, mut cuts, mut twice, mut most) = (0, 0, 0, 0);
    let count = tries(25, 500);
    for seed in seeds(count.div_ceil(TRIES_A_LIFE)) {
        say(format_args!("{name}: DEPOT_SEED={seed}"));
        let mut chance = Chance::new(seed);
        let line = Cuttable::new();
        let plain = line.transfer(way, &mut chance, &Trouble::default()).carried;
        for _ in 0..TRIES_A_LIFE {
            let trouble = Trouble::some(way, &mut chance);
            let transfer = line.transfer(way, &mut chance, &trouble);
            let resent = transfer.carried.saturating_sub(plain);
            say(format_args!("{name}: {trouble:?}: {} cuts, {resent} bytes twice", transfer.cuts));
            let problem = too_much(way, resent, transfer.cuts);
            assert_eq!(problem, None, "seed {seed}: {trouble:?}");
            (tried, cuts) = (tried + 1, cuts + transfer.cuts);
            (twice, most) = (twice + resent, most.max(resent));
        }
    }
    say(format_args!(
        "{name}: {tried} tries, {cuts} cuts, all hashes equal, {:.1} MiB sent twice a cut, at most \
         {:.1} MiB in a try; {:.1} s",
        twice as f64 / cuts.max(1) as f64 / f64::from(1 << 20),
        most as f64 / f64::from(1 << 20),
        began.elapsed().as_secs_f64()
    ));
}

/// Complains when more was sent twice than a chunk for each stream and cut.
fn too_much(way: Way, resent: u64, cuts: u64) -> Option<String> {
    let streams = if way == Way::Up { STREAMS_UP } else { STREAMS_DOWN };
    let allowed = cuts * (streams * CHUNK_BYTES + WORDS_BYTES) + WORDS_BYTES;
    (resent > allowed).then(|| format!("{resent} bytes were sent twice, {allowed} are allowed"))
}

/// What happens to a transfer.
#[derive(Clone, Debug, Default)]
struct Trouble {
    cuts: Vec<Cut>,
    delay: Duration,
    /// The client is killed at the last cut and run again, rather than going on by itself.
    killed: bool,
}

impl Trouble {
    fn some(way: Way, chance: &mut Chance) -> Self {
        let count = if chance.once_in(4) { 2 } else { 1 };
        let cut = |chance: &mut Chance| Cut {
            way,
            after: chance.of(1..file_bytes(way) as u64 / count),
            end: if chance.once_in(2) { End::Reset } else { End::Closed },
        };
        let cuts = (0..count).map(|_| cut(chance)).collect();
        let delay = if chance.once_in(5) { Duration::from_millis(2) } else { Duration::ZERO };
        Self { cuts, delay, killed: chance.once_in(4) }
    }
}

/// What a transfer came to.
struct Transfer {
    /// Bytes that the line carried for it.
    carried: u64,
    cuts: u64,
}

/// A server, somebody who uses it, and the line between them.
struct Cuttable {
    // Before the world: nobody is on the line when its server goes.
    proxy: Proxy,
    ann: User,
    bob: User,
    _world: World,
    _runtime: Runtime,
}

impl Cuttable {
    fn new() -> Self {
        let (runtime, world) = (runtime(), World::start());
        let ann = world.admin("ann");
        let bob = ann.adds("bob");
        let proxy = Proxy::new(&runtime, world.address());
        let this = Self { proxy, ann, bob, _world: world, _runtime: runtime };
        for user in [&this.ann, &this.bob] {
            this.logs_in(user);
        }
        this
    }

    fn logs_in(&self, user: &User) {
        let mut arguments = user.meets("login");
        let server = arguments.iter().position(|argument| argument == "--server");
        arguments[server.expect("a server") + 1] = self.proxy.address().to_string();
        user.runs(arguments).succeeded();
    }

    /// A file that nobody has yet goes one way, with this trouble on the line.
    fn transfer(&self, way: Way, chance: &mut Chance, trouble: &Trouble) -> Transfer {
        let content = Content { seed: chance.next(), size: file_bytes(way) };
        let (bytes, local) = (content.bytes(), self.ann.path("local"));
        fs::write(&local, &bytes).expect("a file");
        let digest = blake3::hash(&bytes).to_hex().to_string();
        if way == Way::Down {
            assert_eq!(self.ann.one(["put", "local", "/file"])["blake3"], *digest);
            fs::remove_file(&local).expect("it is gone");
        }
        let before = self.proxy.carried();
        let verb =
            if way == Way::Up { ["put", "local", "/file"] } else { ["get", "/file", "local"] };
        self.proxy.plan(trouble.cuts.clone(), trouble.delay);
        if trouble.killed {
            self.is_killed(verb);
        }
        let told: Value = self.ann.one(verb);
        let cuts = trouble.cuts.len() - self.proxy.uncut();
        self.proxy.plan(Vec::new(), Duration::ZERO);
        let carried = self.proxy.carried().since(before, way);
        assert_eq!(told["blake3"], *digest, "{trouble:?}");
        match way {
            Way::Up => assert_eq!(self.ann.one(["stat", "/file"])["blake3"], *digest),
            Way::Down => assert!(fs::read(&local).expect("a file") == bytes, "{trouble:?}"),
        }
        Transfer { carried, cuts: cuts as u64 }
    }

    /// Kills a transfer as soon as the line was cut for the last time, or lets it finish.
    fn is_killed(&self, verb: [&str; 3]) {
        let mut running: Running = self.ann.starts(verb);
        until_true("the last cut", || self.proxy.uncut() == 0 || running.has_ended());
        running.kill();
    }
}

/// The control: a client that sends everything again is noticed. Another account has sent nothing, so that
/// its put of the same file is one.
#[test]
fn sending_everything_again_is_noticed() {
    let (line, mut chance) = (Cuttable::new(), Chance::new(8));
    let plain = line.transfer(Way::Up, &mut chance, &Trouble::default()).carried;
    let content = Content { seed: chance.next(), size: FILE_BYTES_UP }.bytes();
    let before = line.proxy.carried();
    let cut = Cut { way: Way::Up, after: FILE_BYTES_UP as u64 - 1, end: End::Closed };
    line.proxy.plan(vec![cut], Duration::ZERO);
    line.ann.file("local", &content);
    line.bob.file("local", &content);
    let cut_short = line.ann.runs(["put", "local", "/file", "--retry-for", "0s"]);
    assert_ne!(cut_short.exit, 0, "it was cut");
    line.bob.one(["put", "local", "/file"]);
    let resent = line.proxy.carried().since(before, Way::Up).saturating_sub(plain);
    say(format_args!("R8 upload's control: {resent} bytes twice"));
    assert!(too_much(Way::Up, resent, 1).is_some(), "{resent} bytes twice are not noticed");
}

/// The control: so is a client that has lost what it had received.
#[test]
fn receiving_everything_again_is_noticed() {
    let (line, mut chance) = (Cuttable::new(), Chance::new(9));
    let plain = line.transfer(Way::Down, &mut chance, &Trouble::default()).carried;
    let content = Content { seed: chance.next(), size: FILE_BYTES_DOWN }.bytes();
    line.ann.file("local", &content);
    line.ann.one(["put", "local", "/file"]);
    fs::remove_file(line.ann.path("local")).expect("it is gone");
    let before = line.proxy.carried();
    let cut = Cut { way: Way::Down, after: FILE_BYTES_DOWN as u64 - 1, end: End::Closed };
    line.proxy.plan(vec![cut], Duration::ZERO);
    let cut_short = line.ann.runs(["get", "/file", "local", "--retry-for", "0s"]);
    assert_ne!(cut_short.exit, 0, "it was cut");
    fs::remove_file(line.ann.path(".local.depot-partial")).expect("what had been received");
    line.ann.one(["get", "/file", "local"]);
    let resent = line.proxy.carried().since(before, Way::Down).saturating_sub(plain);
    say(format_args!("R8 download's control: {resent} bytes twice"));
    assert!(too_much(Way::Down, resent, 1).is_some(), "{resent} bytes twice are not noticed");
}
