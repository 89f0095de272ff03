//! Everything has a limit: what is at it is taken, what is one past it is refused, with the number, and
//! leaves nothing behind.

use depot_proto::auth::ServerInfoRequest;
use depot_proto::changes::WatchRequest;
use depot_proto::files::commit_request::Part;
use depot_proto::files::content_source::Source as ContentPlace;
use depot_proto::files::{
    ByteRange, CommitBegin, CommitEnd, CommitRequest, ContentSource, EntriesPart, Kind,
    MissingRequest, NewEntry, ReadChunksRequest, ReadManyRequest,
};
use depot_proto::mail::new_attachment::Source;
use depot_proto::mail::{AckRequest, NewAttachment, SendRequest};
use depot_tests::caller::{Caller, Refused};
use depot_tests::user::text;
use depot_tests::world::World;
use tonic::{Code, Status};

use super::{INVALID, data, header, tree};

const LIMIT: (Code, &str) = (Code::ResourceExhausted, "LIMIT_EXCEEDED");

/// A message to ann without anything else.
fn message() -> SendRequest {
    SendRequest { to: vec!["ann".to_owned()], ..SendRequest::default() }
}

/// A text of so many bytes.
fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[tokio::test]
async fn messages_have_limits() {
    let world = World::limited(|limits| {
        limits.message_subject_bytes_max = 20;
        limits.message_body_bytes_max = 100_000;
        limits.message_recipients_max = 3;
        limits.message_attachments_max = 2;
    });
    let ann = world.admin("ann");
    let calls = ann.calls().await;
    calls.write(header("/f"), b"x").await.expect("a file");
    let attached =
        NewAttachment { name: "f".to_owned(), source: Some(Source::Path("/f".to_owned())) };
    let with_files =
        |count| SendRequest { attachments: vec![attached.clone(); count], ..message() };
    let to = |count| SendRequest { to: vec!["ann".to_owned(); count], ..message() };
    let subject = |bytes| SendRequest { subject: long(bytes), ..message() };
    let body = |bytes| SendRequest { body: long(bytes), ..message() };
    for (field, number, fits, too_much) in [
        ("subject", "20", subject(20), subject(21)),
        ("body", "100000", body(100_000), body(100_001)),
        ("to", "3", to(3), to(4)),
        ("attachments", "2", with_files(2), with_files(3)),
    ] {
        calls.mail().send(fits).await.unwrap_or_else(|status| panic!("{field}: {status:?}"));
        let refused = Refused::of(calls.mail().send(too_much).await).saying(number);
        assert_eq!((refused.kind(), refused.field.as_str()), (INVALID, field), "{refused:?}");
    }
    let nobody = SendRequest { to: Vec::new(), ..message() };
    assert_eq!(Refused::of(calls.mail().send(nobody).await).field, "to");
    assert_eq!(ann.fetches().len(), 4, "nothing of what was refused arrived");
    let refused = ann.refused(["send", "ann", "-s", &long(21), "-m", "x"]);
    assert_eq!(refused.kind(), (2, "INVALID_ARGUMENT"));
    assert!(refused.message.contains("20"), "{refused:?}");
    assert!(ann.unread().is_empty());
}

#[tokio::test]
async fn lists_of_ids_have_limits() {
    let world = World::limited(|limits| {
        limits.missing_hashes_max = 2;
        limits.ack_ids_max = 2;
        limits.read_many_ids_max = 2;
        limits.read_ranges_max = 2;
    });
    let ann = world.admin("ann");
    let calls = ann.calls().await;
    let file = calls.write(header("/f"), b"0123456789").await.expect("a file");
    let id = ann.sends("ann", "hello");

    let missing = |count: usize| {
        let upload_id = uuid::Uuid::now_v7().to_string();
        let request = MissingRequest {
            upload_id,
            hashes: vec![7; 32 * count].into(),
            ..MissingRequest::default()
        };
        let mut files = calls.files();
        async move { files.missing(request).await.map(drop) }
    };
    let ack = |count: usize| {
        let request = AckRequest { ids: vec![id.clone(); count], ..AckRequest::default() };
        let mut mail = calls.mail();
        async move { mail.ack(request).await.map(drop) }
    };
    let many = |count: usize| {
        let request = ReadManyRequest { versions: vec![file.version.clone(); count] };
        let mut files = calls.files();
        async move { files.read_many(request).await.map(drop) }
    };
    let ranges = |count: usize| {
        let source = Some(ContentSource { source: Some(ContentPlace::Path("/f".to_owned())) });
        let ranges = vec![ByteRange { offset: 1, length: 2 }; count];
        let mut files = calls.files();
        async move { files.read_chunks(ReadChunksRequest { source, ranges }).await.map(drop) }
    };
    let fits = [missing(2).await, ack(2).await, many(2).await, ranges(2).await];
    assert!(fits.iter().all(Result::is_ok), "{fits:?}");
    let too_much = [
        ("hashes", missing(3).await),
        ("ids", ack(3).await),
        ("versions", many(3).await),
        ("ranges", ranges(3).await),
    ];
    for (field, answer) in too_much {
        let refused = Refused::of(answer).saying("3").saying("2");
        assert_eq!((refused.kind(), refused.field.as_str()), (INVALID, field));
    }
}

/// Commits so many symlinks below `/tree`.
async fn links(caller: &Caller, count: usize) -> Result<u64, Status> {
    let begin = CommitBegin { base: "/tree".to_owned(), ..CommitBegin::default() };
    let entry = |number| NewEntry {
        path: format!("link {number}"),
        kind: Kind::Symlink.into(),
        symlink_target: "x".to_owned(),
        ..NewEntry::default()
    };
    let mut parts = vec![Part::Begin(begin)];
    let entries: Vec<NewEntry> = (0..count).map(entry).collect();
    parts.extend(
        entries.chunks(100).map(|some| Part::Entries(EntriesPart { entries: some.to_vec() })),
    );
    parts.push(Part::End(CommitEnd { entries: count as u64 }));
    let parts: Vec<_> = parts.into_iter().map(|part| CommitRequest { part: Some(part) }).collect();
    Ok(caller.files().commit(tokio_stream::iter(parts)).await?.into_inner().changed)
}

#[tokio::test]
async fn commits_have_limits() {
    let world = World::limited(|limits| {
        limits.commit_entries_max = 1_210;
        limits.commit_merge_entries_max = 600;
    });
    let ann = world.admin("ann").calls().await;
    let refused = Refused::of(links(&ann, 1_211).await).saying("1210").saying("make several");
    assert_eq!(refused.kind(), LIMIT);
    assert_eq!(tree(&ann).await, [""; 0], "a tree that is too large is not half there");
    assert_eq!(links(&ann, 2).await.expect("a new tree"), 2);

    // A merge counts what changes, at most 600.
    let refused = Refused::of(links(&ann, 603).await).saying("600").saying("move it");
    assert_eq!(refused.kind(), LIMIT);
    assert_eq!(tree(&ann).await.len(), 3, "nothing was merged");
    assert_eq!(links(&ann, 602).await.expect("a merge"), 600);
    assert_eq!(links(&ann, 1_202).await.expect("a merge"), 600);
}

#[tokio::test]
async fn a_message_on_the_wire_has_a_limit_and_the_connection_goes_on() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    ann.write_parts([
        depot_proto::files::write_request::Part::Header(header("/large")),
        data(&vec![1; (4 << 20) - 100]),
        depot_proto::files::write_request::Part::End(depot_proto::files::WriteEnd {
            size: (4 << 20) - 100,
            blake3: None,
        }),
    ])
    .await
    .expect("a message that just fits");
    let refused = Refused::of(ann.write(header("/larger"), &vec![1; 4 << 20]).await);
    assert_eq!(refused.code, Code::OutOfRange, "{refused:?}");
    let body = SendRequest { body: long(4 << 20), ..message() };
    assert_eq!(Refused::of(ann.mail().send(body).await).code, Code::OutOfRange);
    // The headers too: 16 KiB of them.
    let token = format!("Bearer {}", long(20_000)).parse().expect("ASCII");
    let refused = ann.with(token).auth().who_am_i(depot_proto::auth::WhoAmIRequest {}).await;
    assert_ne!(Refused::of(refused).code, Code::Internal);
    assert_eq!(tree(&ann).await, ["/large"]);
}

#[tokio::test]
async fn logins_watches_and_passwords_have_limits() {
    let world = World::limited(|limits| {
        limits.sessions_max = 3;
        limits.watches_max = 2;
        limits.password_bytes_min = 8;
        limits.password_bytes_max = 20;
    });
    let ann = world.admin("ann");
    for (password, fits) in [(long(7), false), (long(8), true), (long(20), true), (long(21), false)]
    {
        let name = format!("user{}", password.len());
        let file = ann.file("new", &password).to_string_lossy().into_owned();
        let add = ["admin", "account", "add", &name, "--password-file", &file];
        match fits {
            true => drop(ann.does(add)),
            false => {
                let refused = ann.refused(add);
                assert_eq!(refused.kind(), (2, "INVALID_ARGUMENT"));
                assert!(refused.message.contains("8 to 20"), "{refused:?}");
            }
        }
    }
    let calls = ann.calls().await;
    let mut watches = Vec::new();
    for _ in 0..2 {
        let mut watch =
            calls.changes().watch(WatchRequest::default()).await.expect("it").into_inner();
        watch.message().await.expect("a first answer");
        watches.push(watch);
    }
    let refused =
        Refused::of(calls.changes().watch(WatchRequest::default()).await).saying("2 watches");
    assert_eq!(refused.kind(), LIMIT);

    // The login that was idle longest makes room for the next.
    for _ in 0..5 {
        ann.logs_in();
    }
    let sessions = ann.json(["sessions"]);
    assert_eq!(sessions.len(), 3, "{sessions:?}");
    assert_eq!(sessions.iter().filter(|one| one["current"] == true).count(), 1);
    assert!(!text(&sessions[0]["id"]).is_empty());
}

#[tokio::test]
async fn clients_are_told_the_limits_that_hold() {
    let world = World::limited(|limits| {
        limits.message_subject_bytes_max = 21;
        limits.commit_merge_entries_max = 22;
        limits.fill_bytes_max = 23;
    });
    let asked = world.caller().await.auth().server_info(ServerInfoRequest {}).await;
    let info = asked.expect("it is public").into_inner();
    let limits = info.limits.expect("limits");
    let told = (
        limits.message_subject_bytes_max,
        limits.commit_merge_entries_max,
        limits.fill_bytes_max,
        limits.message_body_bytes_max,
    );
    assert_eq!(told, (21, 22, 23, 1 << 20));
    assert!(info.setup_required);
    let chunker = info.chunker.expect("a chunker");
    let sizes = (chunker.chunk_bytes_min, chunker.chunk_bytes_avg, chunker.chunk_bytes_max);
    assert_eq!(sizes, (256 << 10, 1 << 20, 4 << 20));
}
