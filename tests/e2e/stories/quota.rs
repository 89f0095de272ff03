//! Quotas: what an account holds is a sum that is always right, never passes what it may hold, and room is
//! made in an order.

use std::time::Duration;

use depot_proto::files::{ChunkHead, FillRequest, MissingRequest, ReadRequest};
use depot_tests::caller::Caller;
use depot_tests::process::Running;
use depot_tests::user::{User, text};
use depot_tests::world::World;
use serde_json::Value;
use tonic::Code;

use super::noise;

fn used(user: &User) -> u64 {
    user.one(["whoami"])["used_bytes"].as_u64().expect("a number")
}

#[test]
fn what_an_account_holds_is_the_sum_of_what_it_sees() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1M"]);
    assert_eq!(bob.one(["whoami"])["quota_bytes"], 1 << 20);
    bob.puts("/f", noise(1, 1_000));
    assert_eq!(used(&bob), 1_000);
    bob.does(["cp", "/f", "/g"]);
    assert_eq!(used(&bob), 2_000, "two paths count twice");
    bob.puts("/f", noise(1, 1_000));
    assert_eq!(used(&bob), 2_000, "the same again is nothing new");
    bob.puts("/f", noise(2, 500));
    assert_eq!(used(&bob), 2_500, "the version before it is kept");
    bob.does(["mv", "/f", "/h"]);
    bob.does(["rm", "/g"]);
    assert_eq!(used(&bob), 2_500, "what is in the trash is held");

    let sent = ["send", "ann", "-s", "", "-m", "ten bytes.", "--attach-remote", "/h"];
    bob.does(sent);
    assert_eq!(used(&bob), 3_010, "a message and what is attached to it");
    let before = used(&ann);
    ann.sends("bob", "four");
    assert_eq!((used(&bob), used(&ann) - before), (3_014, 4), "a body counts at both ends");
    assert_eq!(
        bob.one(["whoami"])["used_bytes"],
        ann.json(["admin", "account", "list"])[1]["used_bytes"]
    );
}

#[test]
fn an_administrator_gives_and_takes_room() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    bob.puts("/f", noise(1, 3_000));
    let given = ann.one(["admin", "account", "quota", "bob", "2K"]);
    assert_eq!((&given["quota_bytes"], &given["used_bytes"]), (&2_048.into(), &3_000.into()));
    bob.file("more", "x");
    let refused = bob.refused(["put", "more", "/more"]);
    assert_eq!(refused.kind(), (7, "QUOTA_EXCEEDED"));
    assert_eq!(bob.refused(["send", "ann", "-s", "", "-m", "x"]).kind(), (7, "QUOTA_EXCEEDED"));
    assert_eq!(bob.cats("/f").len(), 3_000, "what is there stays");
    let late = ann.runs(["send", "bob", "-s", "", "-m", "hello", "--json"]);
    assert_eq!(
        (late.exit, &late.json()[0]["recipients"][0]["state"]),
        (11, &Value::from("refused"))
    );

    bob.does(["rm", "/f"]);
    bob.puts("/more", "x");
    assert_eq!(used(&bob), 1, "the trash made room");
    assert_eq!(bob.refused(["admin", "account", "quota", "bob", "none"]).exit, 4);
    ann.does(["admin", "account", "quota", "bob", "none"]);
    bob.puts("/f", noise(2, 10_000));
    assert_eq!(bob.one(["whoami"])["quota_bytes"], Value::Null);
    assert_eq!(ann.runs(["admin", "account", "quota", "bob", "much"]).exit, 2);
    assert_eq!(ann.refused(["admin", "account", "quota", "nobody", "1K"]).exit, 3);
}

/// Bytes that were sent and belong to nothing yet.
async fn fills(caller: &Caller, bytes: &[u8]) {
    let head = ChunkHead {
        hash: blake3::hash(bytes).as_bytes().to_vec().into(),
        length: u32::try_from(bytes.len()).expect("a small chunk"),
    };
    let request = FillRequest {
        upload_id: uuid::Uuid::new_v4().to_string(),
        heads: vec![head],
        data: bytes.to_vec().into(),
        ..FillRequest::default()
    };
    caller.files().fill(tokio_stream::iter([request])).await.expect("it fits");
}

async fn has_version(caller: &Caller, path: &str, put: &Value) -> bool {
    let version = text(&put["version"]).to_owned();
    let wanted = ReadRequest { path: path.to_owned(), version, ..ReadRequest::default() };
    match caller.read(wanted).await {
        Ok(bytes) => {
            assert_eq!(bytes.len(), 100);
            true
        }
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound, "{status:?}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_will_miss_goes_before_anything_is_refused() {
    let world = World::limited(|_| {});
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1000"]);
    let calls = bob.calls().await;
    let mut versions = Vec::new();
    for seed in 1..=3 {
        versions.push(bob.puts("/v", noise(seed, 100)));
        world.pass(Duration::from_secs(1));
    }
    bob.puts("/trash", noise(4, 100));
    bob.does(["rm", "/trash"]);
    fills(&calls, &noise(5, 100)).await;
    assert_eq!(used(&bob), 400);
    let past = async || {
        let [oldest, newer] = [&versions[0], &versions[1]];
        [has_version(&calls, "/v", oldest).await, has_version(&calls, "/v", newer).await]
    };
    bob.file("live", noise(6, 500));
    bob.does(["put", "live", "/live"]);
    assert_eq!((used(&bob), past().await), (900, [true, true]), "it fits beside the upload");
    bob.file("hundred", noise(7, 100));
    let put = |name: &str| bob.does(["put", "hundred", name]);
    let is_missing = async || {
        let hashes = blake3::hash(&noise(4, 100)).as_bytes().to_vec().into();
        let asked = MissingRequest {
            upload_id: uuid::Uuid::new_v4().to_string(),
            hashes,
            ..MissingRequest::default()
        };
        calls.files().missing(asked).await.expect("an answer").into_inner().bitmap[0] == 1
    };
    world.pass(Duration::from_secs(121));
    put("/one");
    assert_eq!((used(&bob), past().await), (1_000, [true, true]), "the idle upload went");
    put("/two");
    assert_eq!((used(&bob), past().await), (1_000, [true, true]), "the trash went");
    assert!(!is_missing().await, "what was sent is not collected yet, and need not be sent again");
    put("/three");
    assert_eq!((used(&bob), past().await), (1_000, [false, true]), "the oldest version went");
    put("/four");
    assert_eq!((used(&bob), past().await), (1_000, [false, false]), "and the next");
    let refused = bob.refused(["put", "hundred", "/five"]);
    assert_eq!(refused.kind(), (7, "QUOTA_EXCEEDED"));
    assert_eq!(bob.lists("/"), ["four", "live", "one", "three", "two", "v"]);
    bob.does(["rm", "/live"]);
    put("/five");
    assert_eq!(used(&bob), 600, "what was removed makes room at once");
}

#[test]
fn many_at_once_never_pass_it() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1M"]);
    // Each fits by itself; five of twelve fit together.
    let putting: Vec<Running> = (0..12)
        .map(|number| {
            let name = format!("f{number}");
            bob.file(&name, noise(number, 200_000));
            bob.starts(["put", &name, &format!("/{name}")])
        })
        .collect();
    let mut looks = Vec::new();
    for put in putting {
        looks.push(used(&bob));
        let exit = put.ended().exit;
        assert!([0, 7].contains(&exit), "{exit}");
    }
    assert!(looks.iter().all(|used| *used <= 1 << 20), "{looks:?}");
    let files = bob.json(["ls", "/"]);
    // As many as fit: who was refused was refused for those who got in.
    assert_eq!((files.len(), used(&bob)), (5, 1_000_000));
    let refused = bob.refused(["put", "f0", "/again"]);
    assert_eq!(refused.kind(), (7, "QUOTA_EXCEEDED"));
    bob.file("rest", noise(99, (1 << 20) - 1_000_000));
    bob.does(["put", "rest", "/rest"]);
    assert_eq!(used(&bob), 1 << 20, "to the last byte");
}
