//! Lines that stay open: they end with their login, and slow ones keep nobody else waiting.

use std::time::{Duration, Instant};

use depot_proto::auth::{LoginRequest, LogoutRequest};
use depot_proto::changes::WatchRequest;
use depot_proto::files::{ReadRequest, ReadResponse};
use depot_tests::caller::{Caller, Refused};
use depot_tests::world::World;
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::{Code, Streaming};

/// How long a revoked login may go on at most.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

async fn reading(calls: &Caller, path: &str) -> Streaming<ReadResponse> {
    let request = ReadRequest { path: path.to_owned(), ..ReadRequest::default() };
    calls.files().read(request).await.expect("a file").into_inner()
}

#[tokio::test]
async fn streams_end_with_their_login_though_they_are_busy() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.file("big", noise(1, 40 << 20));
    ann.does(["put", "big", "/big"]);
    let calls = ann.calls().await;
    let mut watch =
        calls.changes().watch(WatchRequest::default()).await.expect("a watch").into_inner();
    let mut read = reading(&calls, "/big").await;
    read.message().await.expect("its beginning");
    let news = changes_all_the_time(ann.calls().await);
    calls.auth().logout(LogoutRequest {}).await.expect("a login that ends");
    let ended = timeout(REVOKED_WITHIN, async {
        loop {
            if let Err(status) = watch.message().await {
                return status;
            }
        }
    });
    let status = ended.await.expect("a watch that always has something to say ends too");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    let rest = async {
        while read.message().await?.is_some() {}
        Ok(())
    };
    let refused = Refused::of(rest.await);
    assert_eq!(refused.kind(), (Code::Unauthenticated, "UNAUTHENTICATED"));
    news.abort();
}

/// Changes of the same account by another login, several a second.
fn changes_all_the_time(calls: Caller) -> JoinHandle<()> {
    tokio::spawn(async move {
        for number in 0_u32.. {
            let path = format!("/folder {number}");
            let request = depot_proto::files::MakeFolderRequest { path, ..Default::default() };
            calls.files().make_folder(request).await.expect("a folder");
            sleep(Duration::from_millis(100)).await;
        }
    })
}

#[tokio::test]
async fn who_does_not_read_keeps_nobody_else_waiting() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    ann.file("big", noise(2, 64 << 20));
    ann.does(["put", "big", "/big"]);
    bob.file("small", noise(3, 1 << 20));
    // More than the server's memory for file data, if each of them had what it wants.
    let (mut lines, mut unread) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let calls = ann.calls().await;
        for _ in 0..10 {
            unread.push(reading(&calls, "/big").await);
        }
        lines.push(calls);
    }
    // While they take up what they may, and afterwards.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        bob.does(["put", "small", "/small", "--retry-for", "0s"]);
        bob.does(["get", "/small", "back", "--retry-for", "0s"]);
    }
    assert_eq!(unread.len(), 80);
}

#[tokio::test]
async fn words_that_need_no_token_are_short() {
    let world = World::start();
    let stranger = world.caller().await;
    let login =
        |account: usize| LoginRequest { account: "n".repeat(account), ..Default::default() };
    let mut most = 64 << 10;
    while login(most).encoded_len() > 64 << 10 {
        most -= 1;
    }
    for (account, code) in [(most, Code::Unauthenticated), (most + 1, Code::OutOfRange)] {
        let status = stranger.auth().login(login(account)).await.expect_err("no such account");
        assert_eq!(status.code(), code, "{account} bytes: {status:?}");
    }
}
