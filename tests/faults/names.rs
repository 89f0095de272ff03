//! S10: names over the wire. The stories of bad input try each attack by every call; here the server is
//! held to its validator on every character that is near a border, and to its folding on names that are
//! made so that many of them are twins. What is accepted stands and comes back byte for byte.

use std::collections::HashMap;

use depot_proto::files::{ListRequest, ReadRequest, WriteHeader};
use depot_proto::mail::new_attachment::Source;
use depot_proto::mail::read_message_request::Which;
use depot_proto::mail::{NewAttachment, ReadMessageRequest, SendRequest};
use depot_server::model::FileName;
use depot_tests::caller::Caller;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::chance::{Chance, seeds, tries};
use crate::report::say;
use crate::runtime;
use crate::site::Site;

/// What names are put together from: letters of which many fold to the same, alone and in pairs.
const LETTERS: [&str; 18] = [
    "a", "A", "é", "É", "e\u{301}", "E\u{301}", "ß", "ss", "S", "k", "\u{212a}", "ﬁ", "fi", "Σ",
    "ς", "σ", "ǆ", "ǅ",
];
/// Names in one message.
const ATTACHMENTS: usize = 20;

#[test]
fn every_character_is_accepted_exactly_as_the_validator_says() {
    with_caller(async |calls| {
        let (mut accepted, mut refused) = (Vec::new(), 0);
        for name in borders() {
            let path = format!("/{name}");
            let is_name = FileName::parse(&name).is_ok();
            let written = write(&calls, &path, name.as_bytes()).await;
            match written {
                Ok(()) => accepted.push(name.clone()),
                Err(ref status) => {
                    assert_eq!(status.code(), Code::InvalidArgument, "{name:?}: {status:?}");
                    refused += 1;
                }
            }
            assert_eq!(written.is_ok(), is_name, "{name:?}: {written:?}");
        }
        say(format_args!("S10: {} names accepted, {refused} refused", accepted.len()));
        assert!(accepted.len() > 40 && refused > 70, "both kinds are tried");
        attached(&calls, &accepted).await;
        stand(&calls, "/", accepted).await;
    });
}

#[test]
fn what_folds_to_one_name_is_never_two() {
    for seed in seeds(1) {
        say(format_args!("S10 twins: DEPOT_SEED={seed}"));
        with_caller(async |calls| twins(&calls, Chance::new(seed)).await);
    }
}

async fn twins(calls: &Caller, mut chance: Chance) {
    write(calls, "/twins/in the way", b"").await.expect("a file");
    let (mut by_key, mut refused) = (HashMap::new(), 0);
    for _ in 0..tries(300, 5_000) {
        let count = chance.of(1..4);
        let name: String = (0..count).filter_map(|_| chance.pick(&LETTERS).copied()).collect();
        let key = FileName::parse(&name).expect("a name").key();
        let written = write(calls, &format!("/twins/{name}"), name.as_bytes()).await;
        let standing = by_key.entry(key).or_insert_with(|| name.clone());
        if *standing == name {
            written.unwrap_or_else(|status| panic!("{name:?}: {status:?}"));
            continue;
        }
        let status = written.expect_err("its twin stands");
        let reason = status.get_details_error_info().map(|info| info.reason);
        assert_eq!(reason.as_deref(), Some("NAME_TWIN"), "{name:?}, {standing:?}: {status:?}");
        refused += 1;
    }
    say(format_args!("S10 twins: {} stand, {refused} refused", by_key.len()));
    assert!(refused > 20, "twins are tried");
    let standing = by_key.into_values().chain(["in the way".to_owned()]);
    stand(calls, "/twins/", standing.collect()).await;
}

/// Everything that ends a range of characters which no name may hold, and its neighbours; and names whose
/// length or place is the point.
fn borders() -> Vec<String> {
    let controls = ('\0'..=' ').chain('~'..='\u{a0}');
    let turns = ['\u{61b}', '\u{61c}', '\u{61d}'].into_iter().chain('\u{200b}'..='\u{2010}');
    let turns = turns.chain('\u{2028}'..='\u{202f}').chain('\u{2064}'..='\u{206a}');
    let others = ['\\', ':', '*', '?', '"', '<', '>', '|', '\u{feff}', '\u{ad}'];
    let inside = controls.chain(turns).chain(others).map(|character| format!("x{character}y"));
    let alone = ["\u{a0}", "\u{200b}", "\u{feff}", ".", "..", "...", " ", "x.", "x "];
    let devices = ["CON", "prn", "AUX.txt", "nul", "COM1", "lpt9.tar.gz", "CONIN$", "x:stream"];
    let long = ["x".repeat(255), "x".repeat(256), "é".repeat(127), "é".repeat(128)];
    let fixed = alone.into_iter().chain(devices).map(str::to_owned);
    inside.chain(fixed).chain(long).collect()
}

/// The folder holds these and nothing else, each with its own name for content.
async fn stand(calls: &Caller, folder: &str, mut names: Vec<String>) {
    let wanted =
        ListRequest { path: folder.to_owned(), page_size: 5_000, ..ListRequest::default() };
    let listed = calls.files().list(wanted).await.expect("a list").into_inner().entries;
    let mut found: Vec<String> = listed.into_iter().map(|entry| entry.path).collect();
    let mut paths: Vec<String> = names.iter().map(|name| format!("{folder}{name}")).collect();
    found.sort_unstable();
    paths.sort_unstable();
    assert_eq!(found, paths);
    names.retain(|name| name != "in the way");
    for name in names {
        let path = format!("{folder}{name}");
        let bytes = calls.read(ReadRequest { path, ..ReadRequest::default() }).await;
        assert_eq!(bytes.expect("a file"), name.as_bytes());
    }
}

/// Attachments have the same names that files have.
async fn attached(calls: &Caller, names: &[String]) {
    for names in names.chunks(ATTACHMENTS) {
        let attach = |name: &String| NewAttachment {
            name: name.clone(),
            source: Some(Source::Path(format!("/{name}"))),
        };
        let request = SendRequest {
            to: vec!["ann".to_owned()],
            attachments: names.iter().map(attach).collect(),
            ..SendRequest::default()
        };
        let id = calls.mail().send(request).await.expect("a message").into_inner().id;
        let wanted = ReadMessageRequest { which: Some(Which::Id(id)) };
        let read = calls.mail().read_message(wanted).await.expect("a message").into_inner();
        let attached = read.message.expect("a message").attachments;
        let attached: Vec<String> = attached.into_iter().map(|one| one.name).collect();
        assert_eq!(attached, names);
    }
}

async fn write(calls: &Caller, path: &str, bytes: &[u8]) -> Result<(), Status> {
    let header = WriteHeader { path: path.to_owned(), ..WriteHeader::default() };
    calls.write(header, bytes).await.map(drop)
}

fn with_caller(work: impl AsyncFnOnce(Caller)) {
    let (runtime, folder) = (runtime(), TempDir::new().expect("a temporary folder"));
    let mut site = Site::new(folder.path().join("data"));
    site.start();
    let people = site.people(&runtime, &["ann"]);
    runtime.block_on(async { work(site.calls(&people[0]).await).await });
    site.stop();
}
