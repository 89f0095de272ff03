//! A server that stops and starts again: calls under way may finish, everything goes on where it was.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use depot_proto::files::write_request::Part;
use depot_proto::files::{Entry, WriteEnd, WriteHeader, WriteRequest};
use depot_tests::caller::Caller;
use depot_tests::process::{Running, run};
use depot_tests::server::Program;
use depot_tests::user::{Refusal, User, bodies, text};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::noise;

/// A Write whose parts are handed in one by one.
struct SlowWrite {
    parts: Sender<WriteRequest>,
    answer: JoinHandle<Result<Entry, Status>>,
}

impl SlowWrite {
    async fn begin(caller: &Caller, path: &str) -> Self {
        let (parts, reading) = channel(1);
        let mut files = caller.files();
        let answer = tokio::spawn(async move {
            let answer = files.write(ReceiverStream::new(reading)).await?;
            answer.into_inner().entry.ok_or_else(|| Status::internal("no entry"))
        });
        let writing = Self { parts, answer };
        let header = WriteHeader { path: path.to_owned(), ..WriteHeader::default() };
        writing.part(Part::Header(header)).await;
        writing.part(Part::Data(b"the first half, ".to_vec().into())).await;
        // When this has room again, the one before it is on its way.
        writing.part(Part::Data(Vec::new().into())).await;
        writing
    }

    async fn part(&self, part: Part) {
        self.parts.send(WriteRequest { part: Some(part) }).await.expect("the call is under way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_may_finish_while_nobody_new_is_let_in() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let writing = SlowWrite::begin(&ann.calls().await, "/slow").await;
    let refused = ann.starts(["watch"]);
    let program = world.take_program();
    program.terminate();
    until_true("the door to close", || TcpStream::connect(world.address()).is_err());
    writing.part(Part::Data(b"the second half".to_vec().into())).await;
    writing.part(Part::End(WriteEnd { size: 31, blake3: None })).await;
    let answer = writing.answer.await.expect("no panic");
    assert_eq!(answer.expect("it was under way").size, 31);
    program.ended().succeeded();
    drop(refused);
    world.start_again();
    assert_eq!(ann.cats("/slow"), b"the first half, the second half");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_finish_is_cut_in_the_end() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let writing = SlowWrite::begin(&ann.calls().await, "/never").await;
    let program = world.take_program();
    let begun = Instant::now();
    program.terminate();
    let ended = program.ended().succeeded();
    // 8 s for calls, and as much again for a machine that is busy; a call has a minute otherwise.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(ended.stderr.contains("stopping"), "{ended:?}");
    let status = writing.answer.await.expect("no panic").expect_err("it was not finished");
    assert!(
        matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled),
        "{status:?}"
    );
    world.start_again();
    assert_eq!(ann.lists("/"), [""; 0], "nothing is visible");
    ann.puts("/never", "another");
    assert_eq!(ann.cats("/never"), b"another");
}

#[test]
fn everything_goes_on_where_it_was() {
    let mut world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let bytes = noise(1, 3_000_000);
    let before = ann.puts("/dir/big", &bytes);
    let id = uuid::Uuid::new_v4().to_string();
    let send = ["send", "bob", "-s", "", "-m", "two", "--attach-remote", "/dir/big"];
    ann.sends("bob", "one");
    let sent = ann.one(send.iter().chain(&["--request-id", &id]));
    bob.does(["ack", "1"]);
    let watching = ann.starts(["watch", "--json", "--retry-for", "60s"]);
    until_true("the watch to begin", || {
        ann.puts("/marked", watching.id().to_string());
        ann.does(["rm", "/marked"]);
        !watching.stdout().is_empty()
    });
    let tree = ann.json(["ls", "-r", "/"]);
    let whoami = ann.one(["whoami"]);

    for _ in 0..2 {
        world.stop();
        world.start_again();
        assert_eq!(ann.json(["ls", "-r", "/"]), tree);
        assert_eq!(ann.cats("/dir/big"), bytes);
        assert_eq!(bob.unread(), ["two"], "what was acknowledged stays so");
        assert_eq!(ann.one(["whoami"])["session_id"], whoami["session_id"], "the login goes on");
        assert_eq!(ann.one(["whoami"])["used_bytes"], whoami["used_bytes"]);
    }
    let again = ann.one(send.iter().chain(&["--request-id", &id]));
    assert_eq!(again["id"], sent["id"], "it was sent before");
    assert_eq!(ann.puts("/dir/copy", &bytes)["sent_bytes"], 0, "it is known what there is");
    let after = ann.puts("/dir/big", "new");
    assert!(after["generation"].as_u64() > before["generation"].as_u64());
    ann.sends("bob", "three");
    let fetched = bob.fetches();
    assert_eq!(bodies(&fetched), ["two", "three"]);
    assert_eq!(fetched[1]["number"], 3);
    // Whoever watched all the time has heard of it.
    until_true("the watch to go on", || watching.stdout().contains("/dir/copy"));
}

#[test]
fn who_calls_while_it_is_away_is_served_when_it_is_back() {
    let mut world = World::start();
    let ann = world.admin("ann");
    ann.puts("/moves", "x");
    ann.puts("/goes", "x");
    ann.sends("ann", "waiting");
    ann.file("local", "local");
    world.stop();
    let waiting: Vec<Running> = [
        &["put", "local", "/put"][..],
        &["mkdir", "/made"],
        &["mv", "/moves", "/moved"],
        &["rm", "/goes"],
        &["cp", "/moved", "/copied"],
        &["send", "ann", "-s", "", "-m", "sent"],
        &["fetch", "--json", "--limit", "1"],
    ]
    .iter()
    .map(|arguments| ann.starts(arguments.iter().chain(&["--retry-for", "60s"])))
    .collect();
    world.start_again();
    let mut ended: Vec<_> = waiting.into_iter().map(Running::ended).collect();
    // The copy may have come before what it copies was there.
    let copied = ended.remove(4);
    assert!([0, 3].contains(&copied.exit), "{copied:?}");
    ended.into_iter().for_each(|run| drop(run.succeeded()));
    let mut wanted = vec!["made", "moved", "put"];
    if copied.exit == 0 {
        wanted.insert(0, "copied");
    }
    assert_eq!(ann.lists("/"), wanted);
    let inbox = ann.json(["inbox"]);
    let all: BTreeSet<&str> = inbox.iter().map(|message| text(&message["body"])).collect();
    assert_eq!((inbox.len(), all), (2, BTreeSet::from(["waiting", "sent"])), "each once");
}

/// A put whose input is written by the story.
struct Putting {
    running: Running,
    pipe: File,
}

impl Putting {
    fn begin(ann: &User) -> Self {
        let fifo = ann.path(uuid::Uuid::new_v4().to_string());
        run(Command::new("mkfifo").arg(&fifo)).succeeded();
        let put = ann.command(["put", "--json", "--retry-for", "60s", "-", "/piped"]);
        // The shell opens the other end, and becomes the put.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" <\"$FIFO\""]);
        let set = put.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.arg(put.get_program()).args(put.get_args()).env_clear().envs(set).env("FIFO", &fifo);
        let running = Running::start(shell.current_dir(ann.path("")));
        let pipe = File::options().write(true).open(&fifo).expect("a pipe");
        Self { running, pipe }
    }

    fn writes(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).expect("it reads");
    }
}

/// Bytes of all packs.
fn stored(world: &World) -> u64 {
    let packs = std::fs::read_dir(world.data().join("packs")).expect("packs");
    packs.map(|pack| pack.expect("a pack").metadata().map_or(0, |metadata| metadata.len())).sum()
}

#[test]
fn an_upload_that_is_interrupted_goes_on_when_it_is_run_again() {
    let world = World::start();
    let ann = world.admin("ann");
    let bytes = noise(1, 40_000_000);
    let mut put = Putting::begin(&ann);
    put.writes(&bytes[..20_000_000]);
    until_true("some of it to arrive", || stored(&world) > 4_000_000);
    put.running.signal(Signal::INT);
    let refused = Refusal::of(put.running.ended());
    assert_eq!(refused.kind(), (130, "INTERRUPTED"), "{refused:?}");
    assert!(refused.message.contains("run the same command again"), "{refused:?}");
    assert_eq!(ann.lists("/"), [""; 0], "nothing is visible");
    let again = ann.puts("/piped", &bytes);
    let sent = again["sent_bytes"].as_u64().expect("a number");
    assert!(sent < 40_000_000 - 2_000_000, "what was sent is kept: {again}");
    assert!(ann.cats("/piped") == bytes, "what was put is what is there");
}

#[test]
fn an_upload_goes_on_over_a_restart() {
    let mut world = World::start();
    let ann = world.admin("ann");
    for seed in [1, 2] {
        let bytes = noise(seed, 40_000_000);
        let before = stored(&world);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut put = Putting::begin(&ann);
        put.writes(first);
        until_true("some of it to arrive", || stored(&world) > before + 4_000_000);
        match seed {
            1 => world.stop(),
            _ => drop(world.kill()),
        }
        world.start_again();
        put.writes(second);
        drop(put.pipe);
        assert_eq!(put.running.ended().succeeded().json()[0]["size"], 40_000_000);
        assert!(ann.cats("/piped") == bytes, "what was put is what is there");
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Program::command(&folder.path().join("data"));
    command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("a server");
    let mut ready = String::new();
    let stdout = server.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut ready).expect("a line");
    assert!(ready.starts_with("listening on"), "{ready}");
    drop(server.stderr.take());
    let process = Pid::from_child(&server);
    // It says that it loads its certificate, and that it stops.
    kill_process(process, Signal::HUP).expect("it runs");
    // Nothing shows that it was taken notice of; a signal that is not is one less to write of.
    sleep(Duration::from_millis(300));
    kill_process(process, Signal::TERM).expect("it runs");
    let ended = || server.try_wait().expect("a state").is_some_and(|status| status.success());
    until_true("it ends as it should", ended);
}
