//! Links: people without an account read what was shared with them, or put files where they see nothing.

use std::fs;
use std::time::Duration;

use depot_proto::files::content_source::Source;
use depot_proto::files::{
    ByteRange, ContentSource, ListRequest, OpenLinkRequest, ReadChunksRequest, StatRequest,
};
use depot_tests::caller::{Refused, bearer};
use depot_tests::user::{User, keys, text};
use depot_tests::wait::until_true;
use depot_tests::world::World;
use serde_json::{Value, json};
use tonic::Code;

use super::noise;

/// Makes a link; what is said of it.
#[track_caller]
fn made(ann: &User, arguments: &[&str]) -> Value {
    let run = ann.runs(["--json", "link"].iter().chain(arguments)).succeeded();
    run.json().remove(0)
}

fn url(link: &Value) -> &str {
    text(&link["url"])
}

#[test]
fn whoever_has_a_link_reads_what_it_leads_to() {
    let world = World::start();
    let ann = world.admin("ann");
    let stranger = world.stranger("eve");
    let bytes = noise(1, 3_000_000);
    ann.puts("/reports/q3.pdf", &bytes);
    ann.puts("/reports/notes/today", "notes");
    ann.puts("/private", "a secret");
    let file = made(&ann, &["/reports/q3.pdf"]);
    let shape = [
        "expires_at",
        "id",
        "kind",
        "made_at",
        "password",
        "path",
        "url",
        "use",
        "uses",
        "uses_max",
    ];
    assert_eq!(keys(&file), shape);
    let tree = made(&ann, &["/reports"]);

    let got = stranger.one(["get", "--link", url(&file), "."]);
    assert_eq!(got["size"], 3_000_000);
    assert_eq!(fs::read(stranger.path("q3.pdf")).expect("a file"), bytes);
    stranger.does(["get", "--link", url(&file), "another name"]);
    assert_eq!(fs::read(stranger.path("another name")).expect("a file"), bytes);

    let listed = stranger.json(["ls", "-r", "--link", url(&tree)]);
    let paths: Vec<_> = listed.iter().map(|entry| &entry["path"]).collect();
    assert_eq!(paths, ["/notes", "/notes/today", "/q3.pdf"], "what is above is hidden");
    stranger.does(["get", "-r", "--link", url(&tree), "all"]);
    assert_eq!(fs::read(stranger.path("all/notes/today")).expect("a file"), b"notes");
    stranger.does(["get", "-r", "--link", url(&tree), "/notes", "some"]);
    assert_eq!(fs::read(stranger.path("some/today")).expect("a file"), b"notes");
    let piped = stranger.runs(["get", "--link", url(&tree), "/notes/today", "-"]).succeeded();
    assert_eq!(piped.stdout, b"notes");
    for hidden in ["/private", "/reports", "ann:/private"] {
        let refused = stranger.refused(["get", "--link", url(&tree), hidden, "x"]);
        assert_eq!(refused.kind(), (3, "NOT_FOUND"), "{hidden}");
    }
    assert_eq!(stranger.refused(["get", "--link", url(&tree), "x"]).exit, 2, "a folder needs -r");
    assert_eq!(stranger.refused(["ls", "/"]).exit, 5, "a link is no login");
    assert!(!stranger.path("state").exists(), "and nothing is remembered of it");

    let listed = ann.json(["links"]);
    assert_eq!((listed.len(), &listed[0]["url"]), (2, &Value::Null));
    assert_eq!((&listed[0]["uses"], &listed[1]["uses"]), (&json!(2), &json!(3)));
    ann.does(["unlink", text(&file["id"])]);
    let gone = stranger.refused(["get", "--link", url(&file), "x"]);
    assert_eq!(gone.kind(), (3, "NOT_FOUND"));
    assert_eq!(ann.refused(["unlink", text(&file["id"])]).kind(), (3, "NOT_FOUND"));
    for nonsense in ["nonsense", "https://localhost:1/x", "http://localhost:1/l/x"] {
        assert_eq!(stranger.refused(["get", "--link", nonsense, "x"]).exit, 2, "{nonsense}");
    }
    let forged = url(&tree).replace("/l/dpl_", "/l/dpl_x");
    assert_eq!(stranger.refused(["get", "--link", &forged, "x"]).kind(), (3, "NOT_FOUND"));
    let other_pin = "sha256//KG90c/u4u+VsNzAlg2Vvz2wlPnWrxdho1gTKMZ6wtzQ=";
    let elsewhere = format!("{}#{other_pin}", url(&tree).split('#').next().expect("a URL"));
    assert_eq!(stranger.refused(["get", "--link", &elsewhere, "x"]).exit, 10);
}

#[test]
fn a_link_ends_when_it_is_said_to() {
    let world = World::limited(|_| {});
    let ann = world.admin("ann");
    let stranger = world.stranger("eve");
    ann.puts("/file", "once and for all");
    let twice = made(&ann, &["/file", "--max-downloads", "2"]);
    let today = made(&ann, &["/file", "--expire", "1d"]);
    for _ in 0..2 {
        stranger.does(["get", "--link", url(&twice), "-"]);
    }
    let used_up = stranger.refused(["get", "--link", url(&twice), "x"]);
    assert_eq!(used_up.kind(), (6, "LINK_USED_UP"), "{used_up:?}");
    assert!(!stranger.path("x").exists());
    world.pass(Duration::from_secs(24 * 3600 - 1));
    stranger.does(["get", "--link", url(&today), "-"]);
    world.pass(Duration::from_secs(1));
    let expired = stranger.refused(["get", "--link", url(&today), "x"]);
    assert_eq!(expired.kind(), (6, "LINK_EXPIRED"), "{expired:?}");
    for wrong in [["--max-downloads", "0"], ["--max-files", "1"], ["--expire", "soon"]] {
        let refused = ann.refused(["link", "/file"].iter().chain(&wrong));
        assert_eq!(refused.exit, 2, "{wrong:?}");
    }
    assert_eq!(ann.refused(["link", "/absent"]).kind(), (3, "NOT_FOUND"));
}

#[test]
fn a_link_with_a_password_is_not_guessed() {
    let world = World::limited(|limits| limits.guesses_max = 3);
    let ann = world.admin("ann");
    let stranger = world.stranger("eve");
    ann.puts("/file", "for few");
    ann.file("link password", "open sesame\n");
    let link = made(&ann, &["/file", "--password-file", "link password"]);
    assert_eq!(link["password"], true);
    stranger.file("right", "open sesame\n");
    stranger.file("wrong", "open barley\n");
    let get = |password: &str| {
        ["get", "--link", url(&link), "--link-password-file", password, "-"].map(str::to_owned)
    };
    assert_eq!(stranger.runs(get("right")).succeeded().stdout, b"for few");
    let without = stranger.runs(["--json", "--no-input", "get", "--link", url(&link), "x"]);
    let without = depot_tests::user::Refusal::of(without);
    assert_eq!(without.kind(), (5, "LINK_PASSWORD"), "{without:?}");
    for _ in 0..3 {
        let mut arguments = get("wrong");
        arguments[5] = "x".to_owned();
        assert_eq!(stranger.refused(arguments).kind(), (5, "LINK_PASSWORD"));
    }
    let mut arguments = vec!["--retry-for".to_owned(), "0s".to_owned()];
    arguments.extend(get("right"));
    arguments[7] = "x".to_owned();
    let limited = stranger.refused(arguments);
    assert_eq!(limited.kind(), (8, "RATE_LIMITED"), "{limited:?}");
    assert!(!stranger.path("x").exists());
    world.pass(Duration::from_secs(600));
    stranger.runs(get("right")).succeeded();
}

#[test]
fn a_link_takes_files_and_shows_none() {
    let world = World::start();
    let ann = world.admin("ann");
    let stranger = world.stranger("eve");
    ann.puts("/incoming/report.pdf", "what was there");
    let link = made(&ann, &["/incoming", "--drop", "--max-files", "3"]);
    assert_eq!((&link["use"], &link["uses_max"]), (&json!("drop"), &json!(3)));
    let big = noise(2, 3_000_000);
    let mine = stranger.file("report.pdf", &big);
    let put = stranger.one(["put", "--link", url(&link), "report.pdf"]);
    let shape =
        ["blake3", "generation", "id", "path", "reused_bytes", "sent_bytes", "size", "version"];
    assert_eq!((keys(&put), &put["path"]), (shape.to_vec(), &json!("/report (2).pdf")));
    assert_eq!(ann.cats("/incoming/report (2).pdf"), big);
    assert_eq!(ann.cats("/incoming/report.pdf"), b"what was there");
    let stat = ann.one(["stat", "/incoming/report (2).pdf"]);
    let modified = fs::metadata(mine).expect("a file").modified().expect("a time");
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    assert!(text(&stat["modified"]).len() > 19 && seconds > 0, "{stat}");

    for hidden in [&["ls"][..], &["get", "-r"]] {
        let mut arguments = hidden.to_vec();
        arguments.extend(["--link", url(&link), "/"]);
        assert_eq!(stranger.refused(arguments).kind(), (3, "NOT_FOUND"), "{hidden:?}");
    }
    stranger.file("a", "a");
    stranger.file("b", "b");
    let some = stranger.refused(["put", "--link", url(&link), "a", "absent", "b"]);
    assert_eq!((some.exit, some.others.len()), (11, 1), "{some:?}");
    assert_eq!(ann.lists("/incoming"), ["a", "b", "report (2).pdf", "report.pdf"]);
    let full = stranger.refused(["put", "--link", url(&link), "a"]);
    assert_eq!(full.kind(), (6, "LINK_USED_UP"));
    let reading = made(&ann, &["/incoming"]);
    let refused = stranger.refused(["put", "--link", url(&reading), "a"]);
    assert_eq!(refused.kind(), (4, "PERMISSION_DENIED"));
    assert_eq!(ann.refused(["link", "/incoming/a", "--drop"]).exit, 6, "no folder");
    let open = made(&ann, &["/incoming", "--drop"]);
    stranger.file("folder/in", "x");
    assert_eq!(stranger.refused(["put", "--link", url(&open), "folder"]).exit, 2);
    assert_eq!(ann.lists("/incoming").len(), 4);
}

#[test]
fn whoever_puts_through_a_link_is_not_told_what_its_owner_holds() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1M"]);
    let stranger = world.stranger("eve");
    bob.does(["mkdir", "/in"]);
    let link = made(&bob, &["/in", "--drop"]);
    for size in [500_000, 3_000_000] {
        stranger.file("large", noise(7, size));
        let put = stranger.runs(["--json", "put", "--link", url(&link), "large"]);
        assert_eq!(put.exit, if size > 1 << 20 { 7 } else { 0 }, "{put:?}");
    }
    let told = stranger.refused(["put", "--link", url(&link), "large"]);
    assert_eq!(told.kind(), (7, "QUOTA_EXCEEDED"));
    assert!(!told.message.contains(|letter: char| letter.is_ascii_digit()), "{told:?}");
    bob.file("large", noise(7, 3_000_000));
    let own = bob.refused(["put", "large", "/large"]);
    assert!(own.message.contains("500000 of 1048576"), "{own:?}");
    assert_eq!(bob.lists("/in").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_early_gives_its_use_back() {
    let world = World::limited(|_| {});
    let ann = world.admin("ann");
    let size: u64 = 32 << 20;
    ann.puts("/big", noise(3, 32 << 20));
    let link = made(&ann, &["/big", "--max-downloads", "1"]);
    let secret = url(&link).split(['/', '#']).nth(4).expect("a secret").to_owned();
    let stranger = world.caller().await;
    let open = async || {
        let request = OpenLinkRequest { secret: secret.clone(), password: None };
        let opened = stranger.sharing().open_link(request).await.map(|a| a.into_inner().ticket);
        opened.map(|ticket| stranger.with(bearer(&ticket)))
    };
    let (first, second) = (open().await.expect("it opens"), open().await.expect("it opens"));
    let request = || {
        let source = Some(ContentSource { source: Some(Source::Path("/".to_owned())) });
        ReadChunksRequest { source, ranges: vec![ByteRange { offset: 0, length: size }] }
    };
    let mut stream = first.files().read_chunks(request()).await.expect("an answer").into_inner();
    stream.message().await.expect("bytes").expect("bytes");
    let mut refused = second.files().read_chunks(request()).await.expect("an answer").into_inner();
    let refused = Refused::of(refused.message().await);
    assert_eq!(refused.kind(), (Code::FailedPrecondition, "LINK_USED_UP"));
    // It can be looked at as before: nothing of it leaves by that.
    let stat = StatRequest { path: "/".to_owned() };
    second.files().stat(stat).await.expect("it is there");
    drop(stream);
    until_true("the use is given back", || {
        // The server may hear late that nobody reads any more, and counts from then on.
        world.pass(Duration::from_secs(61));
        ann.json(["links"])[0]["uses"] == 0
    });
    let third = open().await.expect("it opens");
    let mut stream = third.files().read_chunks(request()).await.expect("an answer").into_inner();
    let mut read = 0;
    while let Some(answer) = stream.message().await.expect("all of it") {
        read += answer.data.len() as u64;
    }
    assert_eq!(read, size);
    world.pass(Duration::from_secs(61));
    assert_eq!(ann.json(["links"])[0]["uses"], 1, "this one is through");
    assert_eq!(Refused::of(open().await.map(drop)).reason, "LINK_USED_UP");
    // A ticket is good for what its link leads to, and for nothing that an account is needed for.
    let list = ListRequest { path: "ann:/".to_owned(), ..ListRequest::default() };
    let elsewhere = Refused::of(first.files().list(list).await);
    assert_eq!(elsewhere.code, Code::Unauthenticated, "it has ended by now: {elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_through_a_link_ends_when_that_is_taken_back() {
    let world = World::start();
    let ann = world.admin("ann");
    let size = 64 << 20;
    ann.puts("/big", noise(4, size));
    let link = made(&ann, &["/big"]);
    let secret = url(&link).split(['/', '#']).nth(4).expect("a secret").to_owned();
    let stranger = world.caller().await;
    let request = OpenLinkRequest { secret, password: None };
    let opened = stranger.sharing().open_link(request).await.expect("it opens").into_inner();
    assert_eq!((opened.name.as_str(), opened.owner.as_str()), ("big", "ann"));
    let visitor = stranger.with(bearer(&opened.ticket));
    let source = Some(ContentSource { source: Some(Source::Path("/".to_owned())) });
    let ranges = vec![ByteRange { offset: 0, length: size as u64 }];
    let answer = visitor.files().read_chunks(ReadChunksRequest { source, ranges }).await;
    let mut stream = answer.expect("an answer").into_inner();
    let mut read = stream.message().await.expect("bytes").expect("bytes").data.len();
    ann.does(["unlink", text(&link["id"])]);
    // The server looks once a second; whoever reads on at once has it all by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = loop {
        match stream.message().await {
            Ok(Some(more)) => read += more.data.len(),
            Ok(None) => panic!("all of it was read"),
            Err(status) => break Refused::of(Err::<(), _>(status)),
        }
    };
    assert_eq!(ended.code, Code::Unauthenticated, "{ended:?}");
    assert!(read < size, "{read} bytes");
}
