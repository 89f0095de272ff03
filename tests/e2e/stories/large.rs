//! Big numbers and long names: lists come in pages, and what just fits comes back.

use std::collections::BTreeSet;
use std::fs;

use depot_proto::files::{Entry, ListRequest};
use depot_proto::mail::ListMessagesRequest;
use depot_tests::caller::{Caller, Refused};
use depot_tests::user::{User, text};
use depot_tests::world::World;
use tonic::{Code, Status};

/// Entries of one folder.
const MANY: usize = 5_200;

async fn page(caller: &Caller, size: u32, token: &str) -> Result<(Vec<Entry>, String), Status> {
    let wanted = ListRequest {
        path: "/many".to_owned(),
        recursive: false,
        page_size: size,
        page_token: token.to_owned(),
    };
    let answer = caller.files().list(wanted).await?.into_inner();
    Ok((answer.entries, answer.next_page_token))
}

/// The names on all pages, and how long each page was.
async fn pages(caller: &Caller, size: u32) -> (Vec<String>, Vec<usize>) {
    let (mut names, mut lengths, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (entries, next) = page(caller, size, &token).await.expect("a page");
        lengths.push(entries.len());
        names.extend(entries.into_iter().map(|entry| entry.path));
        token = next;
        if token.is_empty() {
            return (names, lengths);
        }
    }
}

fn puts_many(ann: &User) -> Vec<String> {
    for number in 0..MANY {
        ann.file(format!("many/{number}"), number.to_string());
    }
    ann.does(["put", "-r", "many", "/many"]);
    let mut names: Vec<String> = (0..MANY).map(|number| format!("/many/{number}")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_pages() {
    let world = World::start();
    let ann = world.admin("ann");
    let names = puts_many(&ann);
    let listed = ann.json(["ls", "/many"]);
    assert_eq!(listed.len(), MANY);
    let listed: Vec<&str> = listed.iter().map(|entry| text(&entry["path"])).collect();
    assert_eq!(listed, names);
    assert_eq!(ann.lists("/many").len(), MANY);
    assert_eq!(ann.tree("/"), [&["/many".to_owned()][..], &names].concat());

    let caller = ann.calls().await;
    for (size, first) in [(0, 1_000), (999, 999), (5_000, 5_000), (u32::MAX, 5_000)] {
        let (seen, lengths) = pages(&caller, size).await;
        assert_eq!(seen, names, "{size}");
        let (last, full) = lengths.split_last().expect("a page");
        assert!(full.iter().all(|length| *length == first) && *last <= first, "{lengths:?}");
    }
    // What changes between two pages hides and doubles nothing else.
    let (one, token) = page(&caller, 3_000, "").await.expect("a page");
    ann.does(["rm", "/many/0"]);
    ann.puts("/many/00", "new, on the first page");
    ann.puts("/many/zz", "new, on the last page");
    let (two, end) = page(&caller, 3_000, &token).await.expect("a page");
    let seen: Vec<String> = one.into_iter().chain(two).map(|entry| entry.path).collect();
    assert_eq!(seen, [&names[..], &["/many/zz".to_owned()]].concat());
    assert!(end.is_empty());
    let refused = Refused::of(page(&caller, 10, "no token of ours").await);
    assert_eq!(refused.kind(), (Code::InvalidArgument, "INVALID_ARGUMENT"));

    ann.does(["get", "-r", "/many", "back"]);
    assert_eq!(fs::read_dir(ann.path("back")).expect("a folder").count(), MANY + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_comes_in_pages_too() {
    let world = World::start();
    let ann = world.admin("ann");
    let mail = ann.calls().await;
    for number in 0..1_100 {
        let request = depot_proto::mail::SendRequest {
            to: vec!["ann".to_owned()],
            body: number.to_string(),
            ..Default::default()
        };
        mail.mail().send(request).await.expect("it is sent");
    }
    let mut wanted: Vec<String> = (0..1_100).map(|number| number.to_string()).collect();
    let first = ListMessagesRequest::default();
    let first = mail.mail().list_messages(first).await.expect("a page").into_inner();
    assert_eq!(first.messages.len(), 100);
    assert!(!first.next_page_token.is_empty());
    assert_eq!(ann.unread(), wanted);
    let kept = ann.json(["fetch", "--into", "mail"]);
    assert_eq!(kept.len(), 1_100);
    let files: BTreeSet<&str> = kept.iter().map(|message| text(&message["file"])).collect();
    assert_eq!(files.len(), 1_100);
    assert!(ann.unread().is_empty(), "more than one acknowledgement takes");
    wanted.reverse();
    assert_eq!(depot_tests::user::bodies(&ann.json(["inbox"])), wanted);
}

#[test]
fn names_and_paths_at_their_limits_come_back() {
    let world = World::start();
    let ann = world.admin("ann");
    let widest = ["n".repeat(255), "ä".repeat(127), "\u{1f600}".repeat(63)];
    for name in &widest {
        ann.file(format!("t/{name}"), name);
    }
    ann.file(format!("t{}/f", "/d".repeat(120)), "deep");
    // As long as this machine takes it with its home before it.
    let room = 4_000 - ann.path("back").as_os_str().len();
    let long = format!("t{}/f", format!("/{}", "l".repeat(200)).repeat(room / 201));
    ann.file(&long, "long");
    std::os::unix::fs::symlink("x".repeat(4_000), ann.path("t/far")).expect("a symlink");
    let put = ann.json(["put", "-r", "t", "/t"]);
    assert_eq!(put.len(), 5);
    ann.does(["get", "-r", "/t", "back"]);
    for name in &widest {
        assert_eq!(fs::read_to_string(ann.path("back").join(name)).expect("a file"), *name);
        assert_eq!(ann.cats(&format!("/t/{name}")), name.as_bytes());
    }
    let back = |path: &str| fs::read_to_string(ann.path(path.replacen('t', "back", 1)));
    assert_eq!(back(&format!("t{}/f", "/d".repeat(120))).expect("a file"), "deep");
    assert_eq!(back(&long).expect("a file"), "long");
    assert_eq!(fs::read_link(ann.path("back/far")).expect("a symlink").as_os_str().len(), 4_000);
    for file in ann.json(["put", "-r", "back", "/t"]) {
        assert_eq!(file["sent_bytes"], 0, "{file}");
    }
    // One more than fits is refused before anything is sent.
    let before = ann.tree("/");
    ann.file(format!("deep{}/f", "/d".repeat(128)), "deep");
    assert_eq!(ann.refused(["put", "-r", "deep", "/deep"]).exit, 2);
    assert_eq!(ann.tree("/"), before);
}
