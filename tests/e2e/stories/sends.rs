//! Messages on their way out when something goes wrong: a line that is cut, a client that is killed, a
//! server that says no to what somebody has just typed.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use depot_tests::terminal::Terminal;
use depot_tests::user::{User, text};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use serde_json::Value;

/// A line to the server that can be made to swallow every answer.
struct Line {
    address: SocketAddr,
    is_mute: Arc<AtomicBool>,
}

impl Line {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let is_mute = Arc::new(AtomicBool::new(false));
        let mute = Arc::clone(&is_mute);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(server).expect("a server");
                carry(client, server, &mute);
            }
        });
        Self { address, is_mute }
    }

    fn mute(&self, mute: bool) {
        self.is_mute.store(mute, Ordering::SeqCst);
    }
}

/// What the server says after its part of the handshake is an answer.
fn carry(client: TcpStream, server: TcpStream, mute: &Arc<AtomicBool>) {
    const HANDSHAKE_BYTES: usize = 100;
    let [mut from_client, mut to_client] = [&client, &client].map(clone);
    let [mut from_server, mut to_server] = [&server, &server].map(clone);
    let answered = Arc::new(AtomicUsize::new(0));
    let (begun, mute) = (Arc::clone(&answered), Arc::clone(mute));
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = Arc::clone(&asked);
    thread::spawn(move || {
        let _ = each(&mut from_client, |bytes| {
            if begun.load(Ordering::SeqCst) > 0 {
                asking.fetch_add(bytes.len(), Ordering::SeqCst);
            }
            to_server.write_all(bytes)
        });
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let _ = each(&mut from_server, |bytes| {
            answered.fetch_add(bytes.len(), Ordering::SeqCst);
            let is_answer = asked.load(Ordering::SeqCst) > HANDSHAKE_BYTES;
            match is_answer && mute.load(Ordering::SeqCst) {
                true => Ok(()),
                false => to_client.write_all(bytes),
            }
        });
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a stream")
}

fn each(from: &mut TcpStream, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut some = [0; 16 * 1024];
    while let count @ 1.. = from.read(&mut some)? {
        take(&some[..count])?;
    }
    Ok(())
}

/// Logs in over another line.
fn logs_in_over(user: &User, line: &Line) {
    let mut arguments = user.meets("login");
    let server = arguments.iter().position(|word| word == "--server").expect("a server");
    arguments[server + 1] = line.address.to_string();
    user.runs(arguments).succeeded();
}

fn ids(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| text(&message["id"])).collect()
}

#[test]
fn a_client_that_is_killed_and_run_again_sends_once() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let line = Line::to(world.address());
    logs_in_over(&ann, &line);
    ann.file("note", "a note");
    ann.puts("/there", "there");
    let send = ["send", "bob", "-s", "once", "-m", "hi", "-a", "note", "--attach-remote", "/there"];
    // The note is at the server, so that a send is all that is left to say.
    ann.does(["send", "ann", "-s", "", "-m", "", "-a", "note"]);
    let plain = ["send", "bob", "-s", "plain", "-m", "hi"];
    line.mute(true);
    let sending = ann.starts(plain);
    until_true("the message to arrive", || bob.unread().len() == 1);
    sending.kill();
    line.mute(false);
    let again = ann.one(plain);
    assert_eq!(ids(&bob.json(["fetch", "--peek"])), [text(&again["id"])], "it is the first one");
    // Now that it is known to be sent, it is another message when it is typed again.
    assert_ne!(ann.one(plain)["id"], again["id"]);
    assert_eq!(bob.fetches().len(), 2);

    // The same with an answer that never comes, and an exit that says "run it again".
    let first = ann.one(send);
    ann.does(["rm", "/there"]);
    assert_eq!(bob.fetches().len(), 1);
    assert_eq!(ann.refused(send).exit, 3, "certain: nothing was sent");
    ann.puts("/there", "there");
    assert_ne!(ann.one(send)["id"], first["id"]);
    assert_eq!(bob.fetches().len(), 1);
}

#[test]
fn what_was_typed_in_an_editor_is_never_lost() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let editor = "#!/bin/sh\ntrap : INT\necho editing\n\
                  while [ -z \"$line\" ]; do read -r line; done\necho \"$line\" >\"$1\"\n";
    let editor = ann.file("editor", editor);
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("a program");
    let mut terminal = Terminal::open("sh -i", |command| {
        let depot = ann.command([""; 0]);
        let set = depot.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.env_clear().envs(set).env("TERM", "dumb").current_dir(ann.path(""));
        command.env("DEPOT", depot.get_program()).env("EDITOR", &editor);
    });
    // What is wrong is said before anything is typed.
    for wrong in ["'no body'", "bob -a absent", "bob --attach-remote /absent"] {
        terminal.types(&format!("$DEPOT send -s x {wrong}; echo en''ded $?"));
        let shown = terminal.sees("ended 3");
        assert!(!shown.contains("editing"), "{shown}");
    }
    // A Ctrl-C is for the editor; the text is kept when the server says no.
    terminal.types("$DEPOT send nobody -s \"$(printf '\\033[31m')\"; echo en''ded $?");
    terminal.sees("editing");
    terminal.types("\u{3}");
    terminal.types("dear bob");
    let shown = terminal.sees("ended");
    terminal.sees("\n");
    assert!(shown.contains("your text is in"), "{shown}");
    assert!(!shown.contains("interrupted"), "{shown}");
    let drafts = ann.path("state/drafts");
    let kept: Vec<_> = fs::read_dir(&drafts).expect("drafts").flatten().collect();
    let [draft] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(fs::read_to_string(draft.path()).expect("a draft"), "dear bob\n");
    assert!(bob.unread().is_empty());
    // As it says.
    let body = fs::read(draft.path()).expect("a draft");
    ann.pipes(body, ["send", "bob", "-s", "x"]).succeeded();
    assert_eq!(bob.unread(), ["dear bob\n"]);
    fs::remove_file(draft.path()).expect("a draft");

    terminal.types("$DEPOT send bob -s y; echo en''ded $?");
    terminal.sees("editing");
    terminal.types("once more");
    terminal.sees("ended 0");
    assert_eq!(bob.unread().last().map(String::as_str), Some("once more\n"));
    assert_eq!(fs::read_dir(&drafts).expect("drafts").count(), 0, "what is sent is not kept");
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_is_read() {
    let world = World::start();
    let ann = world.admin("ann");
    let endless = vec![b'x'; (1 << 20) + 1];
    let run = ann.pipes(endless, ["send", "ann", "-s", "x"]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.stderr.contains("longer than 1.0 MiB"), "{run:?}");
    let huge = fs::File::create(ann.path("huge")).expect("a file");
    huge.set_len(100 << 30).expect("a file of nothing");
    let refused = ann.refused(["send", "ann", "-s", "x", "-m", "x", "-a", "huge"]);
    assert_eq!(refused.exit, 2);
    assert!(refused.message.contains("--attach-remote"), "{refused:?}");
}
