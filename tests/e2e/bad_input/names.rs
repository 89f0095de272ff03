//! Names: what no folder may hold is refused by every call that makes an entry, what is merely odd is kept
//! as it was sent, and what counts as one name with a neighbour never stands beside it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    CommitBegin, CommitEnd, CommitRequest, CopyRequest, EntriesPart, Kind, MakeFolderRequest,
    MoveRequest, NewEntry,
};
use depot_proto::mail::new_attachment::Source;
use depot_proto::mail::{NewAttachment, SendRequest};
use depot_tests::caller::{Caller, Refused};
use depot_tests::world::World;
use tonic::{Code, Status};

use super::{INVALID, header, tree};

/// What is no name, wherever it stands in a path.
fn attacks() -> Vec<String> {
    let long = "x".repeat(256);
    let wide = "é".repeat(128);
    let mut names: Vec<String> = ["", ".", "..", "a\0b", "\n", "a\r", "\t", "\u{1b}[2J", "\u{7f}"]
        .into_iter()
        .chain(["\u{85}", "\u{9b}31m", "\u{202e}gpj.exe", "a\u{2066}b", "\u{61c}", "\u{200f}"])
        .chain([long.as_str(), &wide])
        .map(str::to_owned)
        .collect();
    names.push("..".to_owned() + "/x");
    names
}

/// What is odd, and nobody's business.
fn odd() -> Vec<String> {
    let longest = "y".repeat(255);
    let names = ["...", " ", "CON", "nul.txt", "a:b", "a\\b", "-rf", "日本語", "👩‍👩‍👧", "e\u{301}"];
    let more = ["~", "$HOME", "*", "%2e%2e", "ﬁ", ".hidden", "trailing.", "a b", &longest];
    names.into_iter().chain(more).map(str::to_owned).collect()
}

/// Every call that gives a path to something; what `/given` becomes is its own affair.
async fn every_way(caller: &Caller, path: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let mut files = caller.files();
    let path = path.to_owned();
    let source = "/given/source".to_owned();
    let moving = MoveRequest { source: source.clone(), target: path.clone(), ..Default::default() };
    let copying = CopyRequest { source, target: path.clone(), ..Default::default() };
    let making = MakeFolderRequest { path: path.clone(), parents: true, mode: None };
    let below = path.strip_prefix('/').unwrap_or(&path).to_owned();
    vec![
        ("Write", caller.write(header(&path), b"x").await.map(drop)),
        ("MakeFolder", files.make_folder(making).await.map(drop)),
        ("Copy", files.copy(copying).await.map(drop)),
        ("Move", files.r#move(moving).await.map(drop)),
        ("Commit below /", commit(caller, "/", &[&below]).await),
        ("Commit at it", commit(caller, &path, &["f"]).await),
    ]
}

/// Commits symlinks, which need no bytes, with these names.
async fn commit(caller: &Caller, base: &str, names: &[&str]) -> Result<(), Status> {
    let begin = CommitBegin { base: base.to_owned(), ..CommitBegin::default() };
    let entry = |name: &&str| NewEntry {
        path: (*name).to_owned(),
        kind: Kind::Symlink.into(),
        symlink_target: "x".to_owned(),
        ..NewEntry::default()
    };
    let entries = EntriesPart { entries: names.iter().map(entry).collect() };
    let end = CommitEnd { entries: names.len() as u64 };
    let parts = [Part::Begin(begin), Part::Entries(entries), Part::End(end)];
    let parts = parts.map(|part| CommitRequest { part: Some(part) });
    caller.files().commit(tokio_stream::iter(parts)).await.map(drop)
}

#[tokio::test]
async fn what_is_no_name_is_refused_everywhere() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    ann.write(header("/given/source"), b"x").await.expect("a file");
    let before = tree(&ann).await;
    for name in attacks() {
        for path in [format!("/{name}/x"), format!("/given/{name}/"), format!("/given/{name}//")] {
            for (call, answer) in every_way(&ann, &path).await {
                // An empty relative path is the base itself, and the base may be named twice.
                let refused = Refused::of(answer.map_err(|status| {
                    assert_ne!(status.code(), Code::Internal, "{call} {path:?}: {status:?}");
                    status
                }));
                assert_eq!(refused.kind(), INVALID, "{call} {path:?}: {refused:?}");
                assert!(!refused.field.is_empty(), "{call} {path:?}: {refused:?}");
            }
        }
    }
    assert_eq!(tree(&ann).await, before, "nothing was made, not even parents");

    for name in attacks() {
        let source = Some(Source::Path("/given/source".to_owned()));
        let attachments = vec![NewAttachment { name: name.clone(), source }];
        let to = vec!["ann".to_owned()];
        let send = SendRequest { to, attachments, ..SendRequest::default() };
        let refused = Refused::of(ann.mail().send(send).await);
        assert_eq!(refused.kind(), INVALID, "an attachment named {name:?}: {refused:?}");
    }
    for path in
        ["", "relative", "ann", "ann:relative", ":/x", "a b:/x", "../x", "file:///etc/passwd"]
    {
        for (call, answer) in every_way(&ann, path).await {
            if call != "Commit below /" {
                let refused = Refused::of(answer);
                let wanted = [Code::InvalidArgument, Code::NotFound];
                assert!(wanted.contains(&refused.code), "{call} {path:?}: {refused:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_too_deep_or_too_long_is_refused_and_what_just_fits_is_not() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let deepest = "/d".repeat(128);
    let longest = format!("/{}", "n".repeat(255)).repeat(16);
    for fits in [&deepest, &longest] {
        ann.write(header(fits), b"x").await.expect("it fits");
    }
    let before = tree(&ann).await;
    for too_much in [format!("{deepest}/d"), format!("{longest}/n"), format!("{longest}n")] {
        for (call, answer) in every_way(&ann, &too_much).await {
            assert_eq!(Refused::of(answer).kind(), INVALID, "{call}");
        }
    }
    assert_eq!(tree(&ann).await, before);
    // A commit's base and what is below it count together.
    let folder = |path: &str| path.rsplit_once('/').expect("a path").0.to_owned();
    let just = format!("g/{}", "h".repeat(253));
    for (base, fits, too_much) in
        [(folder(&deepest), "g", "g/h"), (folder(&longest), &just, &format!("{just}h"))]
    {
        commit(&ann, &base, &[fits]).await.expect("it fits");
        assert_eq!(Refused::of(commit(&ann, &base, &[too_much]).await).kind(), INVALID);
    }
}

#[tokio::test]
async fn odd_names_are_kept_as_they_were_sent() {
    let world = World::start();
    let ann = world.admin("ann");
    let calls = ann.calls().await;
    for name in odd() {
        let path = format!("/odd/{name}");
        let written = calls.write(header(&path), name.as_bytes()).await;
        assert_eq!(written.expect("it is a name").path, path);
    }
    let mut wanted: Vec<String> = odd().iter().map(|name| format!("/odd/{name}")).collect();
    let mut found = tree(&calls).await;
    assert_eq!(found.remove(0), "/odd");
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    ann.does(["get", "-r", "/odd", "odd"]);
    for name in odd() {
        let read = std::fs::read(ann.path("odd").join(&name)).expect("a file of that name");
        assert_eq!(read, name.as_bytes());
    }
}

#[tokio::test]
async fn twins_are_refused_and_never_merged() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let pairs = [
        ("README", "readme"),
        ("\u{e9}", "e\u{301}"),
        ("straße", "STRASSE"),
        ("ﬁn", "FIN"),
        ("K", "\u{212a}"),
    ];
    for (first, _) in pairs {
        ann.write(header(&format!("/{first}/inside")), b"x").await.expect("a file");
    }
    ann.write(header("/given/source"), b"x").await.expect("a file");
    let before = tree(&ann).await;
    for (first, second) in pairs {
        for path in [format!("/{second}"), format!("/{second}/inside")] {
            for (call, answer) in every_way(&ann, &path).await {
                let refused = Refused::of(answer);
                let wanted = (Code::AlreadyExists, "NAME_TWIN");
                assert_eq!(refused.kind(), wanted, "{call} {second}: {refused:?}");
                assert!(refused.message.contains(first), "it names the other: {refused:?}");
            }
        }
    }
    assert_eq!(tree(&ann).await, before);
    let refused = Refused::of(commit(&ann, "/new", &["A", "a"]).await);
    assert_eq!(refused.kind(), (Code::AlreadyExists, "NAME_TWIN"));
    assert_eq!(tree(&ann).await, before, "not even the first of them");
    // Another spelling of its own name is no twin.
    let (source, target) = ("/README".to_owned(), "/ReadMe".to_owned());
    let renamed = MoveRequest { source, target, ..MoveRequest::default() };
    ann.files().r#move(renamed).await.expect("a new spelling");
    assert!(tree(&ann).await.contains(&"/ReadMe/inside".to_owned()));
}

#[test]
fn a_put_names_every_bad_name_before_anything_is_sent() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("tree/good", "x");
    ann.file("tree/line\nbreak", "x");
    ann.file(OsStr::from_bytes(b"tree/not \xff UTF-8"), "x");
    ann.file("tree/deep/\u{202e}gnp.exe", "x");
    let refused = ann.refused(["put", "-r", "tree", "/tree"]);
    assert_eq!(refused.kind(), (2, "INVALID_NAME"));
    assert_eq!(refused.others.len(), 3, "{refused:?}");
    assert!(refused.message.contains('3') && refused.message.contains("nothing was sent"));
    assert_eq!(ann.lists("/"), [""; 0]);
}
