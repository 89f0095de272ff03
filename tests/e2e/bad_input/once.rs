//! The same request twice is one effect and one answer; the same id with something else is refused, and an
//! error is never what is remembered.

use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    CommitBegin, CommitEnd, CommitRequest, CommitResponse, CopyRequest, EntriesPart, Kind,
    MoveRequest, NewEntry, RemoveRequest, StatRequest, WriteHeader,
};
use depot_proto::mail::{ListMessagesRequest, SendRequest};
use depot_tests::caller::{Caller, Refused};
use depot_tests::world::World;
use tonic::{Code, Status};

use super::{header, tree};

const REUSED: (Code, &str) = (Code::InvalidArgument, "REQUEST_ID_REUSED");

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Refused because the id was used for something else.
#[track_caller]
fn reused<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let refused = Refused::of(answer).saying("choose a new one");
    assert_eq!(refused.kind(), REUSED, "{refused:?}");
}

#[tokio::test]
async fn a_write_happens_once() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let head = |path: &str, request_id: &str| WriteHeader {
        request_id: request_id.to_owned(),
        if_generation: Some(0),
        ..header(path)
    };
    let once = id();
    let first = ann.write(head("/f", &once), b"one").await.expect("a write");
    let again = ann.write(head("/f", &once), b"one").await.expect("the first answer");
    assert_eq!(again, first, "though something is there now");
    reused(ann.write(head("/f", &once), b"two").await);
    reused(ann.write(head("/g", &once), b"one").await);
    assert_eq!(tree(&ann).await, ["/f"]);
    // What was refused is not what is remembered.
    let later = id();
    let refused = Refused::of(ann.write(head("/f", &later), b"three").await);
    assert_eq!(refused.code, Code::Aborted);
    remove(&ann, "/f", &id()).await.expect("a removal");
    ann.write(head("/f", &later), b"three").await.expect("now nothing is there");
}

async fn remove(caller: &Caller, path: &str, request_id: &str) -> Result<(), Status> {
    let (path, request_id) = (path.to_owned(), request_id.to_owned());
    let request = RemoveRequest { path, request_id, recursive: true, ..RemoveRequest::default() };
    caller.files().remove(request).await.map(drop)
}

#[tokio::test]
async fn a_move_a_copy_and_a_removal_happen_once() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    ann.write(header("/a"), b"a").await.expect("a file");
    let moved = async |source: &str, target: &str, request_id: &str| {
        let [source, target, request_id] = [source, target, request_id].map(str::to_owned);
        let request = MoveRequest { source, target, request_id, ..MoveRequest::default() };
        ann.files().r#move(request).await.map(|a| a.into_inner())
    };
    let copied = async |source: &str, target: &str, request_id: &str| {
        let [source, target, request_id] = [source, target, request_id].map(str::to_owned);
        let request = CopyRequest { source, target, request_id, recursive: true, if_absent: false };
        ann.files().copy(request).await.map(|answer| answer.into_inner())
    };
    let (moving, copying, removing) = (id(), id(), id());
    let first = moved("/a", "/b", &moving).await.expect("a move");
    assert_eq!(moved("/a", "/b", &moving).await.expect("the first answer"), first);
    reused(moved("/b", "/a", &moving).await);
    reused(copied("/b", "/c", &moving).await);
    assert_eq!(tree(&ann).await, ["/b"]);

    let first = copied("/b", "/c", &copying).await.expect("a copy");
    ann.write(header("/b"), b"changed").await.expect("a write");
    assert_eq!(copied("/b", "/c", &copying).await.expect("the first answer"), first);
    reused(copied("/b", "/d", &copying).await);
    assert_eq!(tree(&ann).await, ["/b", "/c"]);

    remove(&ann, "/c", &removing).await.expect("a removal");
    ann.write(header("/c"), b"new").await.expect("a write");
    remove(&ann, "/c", &removing).await.expect("the first answer");
    assert_eq!(tree(&ann).await, ["/b", "/c"], "what came later is not removed");
    reused(remove(&ann, "/b", &removing).await);
    assert_eq!(tree(&ann).await, ["/b", "/c"]);
    let early = id();
    assert_eq!(Refused::of(remove(&ann, "/early", &early).await).code, Code::NotFound);
    ann.write(header("/early"), b"x").await.expect("a write");
    remove(&ann, "/early", &early).await.expect("an error is not remembered");
}

#[tokio::test]
async fn a_copy_happens_once_whatever_its_size() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    ann.write(header("/file"), b"x").await.expect("a file");
    links(&ann, "/small", 3, false, &id()).await.expect("a tree");
    links(&ann, "/large", 700, false, &id()).await.expect("a tree");
    for source in ["/file", "/small", "/large"] {
        let target = format!("/copy of {}", &source[1..]);
        let source = source.to_owned();
        let request =
            CopyRequest { source, target, request_id: id(), recursive: true, if_absent: false };
        let first = ann.files().copy(request.clone()).await.expect("a copy").into_inner();
        let again = ann.files().copy(request.clone()).await;
        assert_eq!(again.expect("the first answer").into_inner(), first, "{request:?}");
    }
}

/// Commits so many symlinks below a base.
async fn links(
    caller: &Caller,
    base: &str,
    count: usize,
    if_absent: bool,
    request_id: &str,
) -> Result<CommitResponse, Status> {
    let (base, request_id) = (base.to_owned(), request_id.to_owned());
    let begin = CommitBegin { base, request_id, if_absent, ..CommitBegin::default() };
    let entry = |number| NewEntry {
        path: format!("link {number}"),
        kind: Kind::Symlink.into(),
        symlink_target: "x".to_owned(),
        ..NewEntry::default()
    };
    let entries = (0..count).map(entry).collect();
    let end = CommitEnd { entries: count as u64 };
    let parts = [Part::Begin(begin), Part::Entries(EntriesPart { entries }), Part::End(end)];
    let parts = parts.map(|part| CommitRequest { part: Some(part) });
    caller.files().commit(tokio_stream::iter(parts)).await.map(|answer| answer.into_inner())
}

#[tokio::test]
async fn a_commit_happens_once_whatever_its_size() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    for (base, count) in [("/small", 3), ("/large", 700)] {
        for if_absent in [false, true] {
            let (base, once) = (format!("{base} {if_absent}"), id());
            let first = links(&ann, &base, count, if_absent, &once).await.expect("a commit");
            assert_eq!(first.changed, count as u64);
            let again = links(&ann, &base, count, if_absent, &once).await;
            assert_eq!(again.expect("the first answer"), first, "{base}");
            reused(links(&ann, &base, count - 1, if_absent, &once).await);
            reused(links(&ann, "/elsewhere", count, if_absent, &once).await);
            let stat = StatRequest { path: "/elsewhere".to_owned() };
            assert_eq!(Refused::of(ann.files().stat(stat).await).code, Code::NotFound);
            // A merge with a new id changes nothing, and says so.
            let merged = links(&ann, &base, count, false, &id()).await.expect("a merge");
            assert_eq!((merged.changed, merged.unchanged), (0, count as u64));
        }
    }
    let refused = Refused::of(links(&ann, "/large true", 700, true, &id()).await).saying("exists");
    assert_eq!(refused.kind(), (Code::Aborted, "ABORTED"));
}

#[tokio::test]
async fn a_send_is_one_message() {
    let world = World::start();
    let ann = world.admin("ann");
    let calls = ann.calls().await;
    let once = id();
    let message = |body: &str| SendRequest {
        request_id: once.clone(),
        to: vec!["ann".to_owned()],
        body: body.to_owned(),
        ..SendRequest::default()
    };
    let first = calls.mail().send(message("hello")).await.expect("a send").into_inner();
    let again = calls.mail().send(message("hello")).await.expect("the first answer").into_inner();
    assert_eq!(again, first);
    reused(calls.mail().send(message("something else")).await);
    let list = ListMessagesRequest::default();
    let listed = calls.mail().list_messages(list).await.expect("a list").into_inner();
    assert_eq!(listed.messages.len(), 1);

    let id = id();
    let send = |body| ann.does(["send", "ann", "-s", "", "-m", body, "--request-id", &id]);
    assert_eq!(send("again"), send("again"));
    let other = ann.refused(["send", "ann", "-s", "", "-m", "other", "--request-id", &id]);
    assert_eq!(other.kind(), (2, "REQUEST_ID_REUSED"));
    assert_eq!(ann.unread(), ["hello", "again"]);
    // Somebody else's ids are nobody's business.
    let bob = ann.adds("bob");
    bob.does(["send", "ann", "-s", "", "-m", "from bob", "--request-id", &id]);
    assert_eq!(ann.unread(), ["hello", "again", "from bob"]);
}
