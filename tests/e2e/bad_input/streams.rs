//! Write and Read done wrong: streams that stop, sizes and digests that are not so, ranges that are not
//! there, generations that have passed.

use depot_proto::files::content_source::Source;
use depot_proto::files::write_request::Part;
use depot_proto::files::{
    Attachment, ByteRange, ContentSource, MakeFolderRequest, ReadChunksRequest, ReadManyRequest,
    ReadRequest, RemoveRequest, WriteEnd, WriteHeader,
};
use depot_tests::caller::{Caller, Refused};
use depot_tests::world::World;
use prost_types::Timestamp;
use tonic::{Code, Status};

use super::{INVALID, data, header, tree};

const TRUNCATED: (Code, &str) = (Code::InvalidArgument, "TRUNCATED");
const ABSENT: (Code, &str) = (Code::NotFound, "NOT_FOUND");

fn sized(path: &str, size: u64) -> Part {
    Part::Header(WriteHeader { size: Some(size), ..header(path) })
}

fn end(size: u64) -> Part {
    Part::End(WriteEnd { size, blake3: None })
}

#[tokio::test]
async fn a_write_that_stops_leaves_nothing() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    ann.write(header("/stands"), b"before").await.expect("a file");
    let begin = |path: &str| Part::Header(header(path));
    let wrong_digest = WriteEnd { size: 4, blake3: Some(vec![7; 32].into()) };
    for (what, parts, kind) in [
        ("no end", vec![begin("/f"), data(b"1234")], TRUNCATED),
        ("nothing but a header", vec![begin("/f")], TRUNCATED),
        ("an end too early", vec![begin("/f"), data(b"123"), end(4)], TRUNCATED),
        ("an end too late", vec![begin("/f"), data(b"12345"), end(4)], TRUNCATED),
        ("less than the header's size", vec![sized("/f", 4), data(b"123")], TRUNCATED),
        ("more than the header's size", vec![sized("/f", 4), data(b"12345")], INVALID),
        ("an end against the header", vec![sized("/f", 4), data(b"123"), end(3)], INVALID),
        ("no end over a file", vec![begin("/stands"), data(b"after")], TRUNCATED),
        (
            "another digest",
            vec![begin("/f"), data(b"1234"), Part::End(wrong_digest)],
            (Code::InvalidArgument, "DIGEST_MISMATCH"),
        ),
        ("no header", vec![data(b"1234"), end(4)], INVALID),
        ("nothing", vec![], INVALID),
        ("two headers", vec![begin("/f"), begin("/g"), end(0)], INVALID),
        ("the root", vec![begin("/"), end(0)], INVALID),
    ] {
        let refused = Refused::of(ann.write_parts(parts).await);
        assert_eq!(refused.kind(), kind, "{what}: {refused:?}");
        assert_eq!(tree(&ann).await, ["/stands"], "{what}");
    }
    assert_eq!(ann.read(whole("/stands")).await.expect("it"), b"before");
    // With a size there need not be an end.
    ann.write_parts([sized("/f", 4), data(b"12"), data(b"34")]).await.expect("a file");
    assert_eq!(ann.read(whole("/f")).await.expect("it"), b"1234");
    ann.write_parts([sized("/empty", 0)]).await.expect("a file");
    assert_eq!(ann.read(whole("/empty")).await.expect("it"), b"");
}

#[tokio::test]
async fn a_write_is_refused_before_its_bytes_where_it_cannot_succeed() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1K"]).calls().await;
    let make = MakeFolderRequest { path: "/folder".to_owned(), ..MakeFolderRequest::default() };
    bob.files().make_folder(make).await.expect("a folder");
    bob.write(header("/file"), b"x").await.expect("a file");
    let times = |seconds, nanos| WriteHeader {
        modified_at: Some(Timestamp { seconds, nanos }),
        ..header("/f")
    };
    let stands = (Code::FailedPrecondition, "FAILED_PRECONDITION");
    let full = (Code::ResourceExhausted, "QUOTA_EXCEEDED");
    for (header, kind) in [
        (WriteHeader { size: Some(1024), ..header("/f") }, full),
        (WriteHeader { size: Some(u64::MAX), ..header("/f") }, (Code::ResourceExhausted, "")),
        (WriteHeader { mode: Some(0o10_000), ..header("/f") }, INVALID),
        (times(0, -1), INVALID),
        (times(i64::MAX, 0), INVALID),
        (header("/folder"), stands),
        (header("/file/below"), stands),
        (header("ann:/f"), ABSENT),
        (header("nobody:/f"), ABSENT),
    ] {
        let refused = Refused::of(bob.write_parts([Part::Header(header.clone()), end(0)]).await);
        let is_so = refused.code == kind.0 && (kind.1.is_empty() || refused.reason == kind.1);
        assert!(is_so, "{header:?}: {refused:?}");
    }
    assert_eq!(tree(&bob).await, ["/file", "/folder"]);
    let request_id = "no uuid".to_owned();
    let refused = bob.write(WriteHeader { request_id, ..header("/f") }, b"x").await;
    assert_eq!(Refused::of(refused).kind(), INVALID);
    assert_eq!(tree(&bob).await, ["/file", "/folder"]);
}

fn whole(path: &str) -> ReadRequest {
    ReadRequest { path: path.to_owned(), ..ReadRequest::default() }
}

#[tokio::test]
async fn a_range_begins_inside_the_file_or_at_its_end() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    ann.write(header("/f"), b"0123456789").await.expect("a file");
    let range = |offset, length| ReadRequest { offset, length, ..whole("/f") };
    for (offset, length, bytes) in [
        (0, None, &b"0123456789"[..]),
        (3, Some(4), b"3456"),
        (8, Some(100), b"89"),
        (8, Some(u64::MAX), b"89"),
        (10, None, b""),
        (10, Some(1), b""),
        (4, Some(0), b""),
    ] {
        let read = ann.read(range(offset, length)).await;
        assert_eq!(read.expect("a range"), bytes, "{offset} {length:?}");
    }
    for offset in [11, u64::MAX] {
        let refused = Refused::of(ann.read(range(offset, Some(1))).await).saying("10 bytes");
        assert_eq!(refused.kind(), (Code::OutOfRange, "OUT_OF_RANGE"));
    }
    let path = Source::Path("/f".to_owned());
    for (offset, length, is_inside) in [
        (0, 10, true),
        (10, 0, true),
        (9, 1, true),
        (9, 2, false),
        (11, 0, false),
        (u64::MAX, 2, false),
        (2, u64::MAX, false),
    ] {
        let answer = read_range(&ann, path.clone(), offset, length).await;
        match is_inside {
            true => assert_eq!(answer.expect("a range").len() as u64, length),
            false => {
                let kind = (Code::OutOfRange, "OUT_OF_RANGE");
                assert_eq!(Refused::of(answer).kind(), kind, "{offset} {length}");
            }
        }
    }
}

async fn read_range(
    caller: &Caller,
    source: Source,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, Status> {
    let source = Some(ContentSource { source: Some(source) });
    let ranges = vec![ByteRange { offset, length }];
    let mut answers =
        caller.files().read_chunks(ReadChunksRequest { source, ranges }).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(answer) = answers.message().await? {
        bytes.extend_from_slice(&answer.data);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_is_absent_and_what_is_somebody_elses_look_the_same() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let hers = ann.calls().await.write(header("/secret"), b"secret").await.expect("a file");
    ann.does(["send", "ann", "-s", "x", "-m", "x", "--attach-remote", "/secret"]);
    let message_id = ann.one(["inbox"])["id"].as_str().expect("an id").to_owned();
    let his = bob.calls().await;
    his.write(header("/empty"), b"").await.expect("a file");
    let nobodys = uuid::Uuid::now_v7().to_string();
    let refused_of = async |source: Source| {
        let refused = Refused::of(read_range(&his, source, 0, 1).await);
        assert_eq!(refused.kind(), ABSENT, "{refused:?}");
        // What was asked for is named in the answer; nothing else may differ.
        refused
            .message
            .replace(&hers.version, "ID")
            .replace(&nobodys, "ID")
            .replace(&message_id, "ID")
    };
    let attachment =
        |id: &str| Source::Attachment(Attachment { message_id: id.to_owned(), index: 0 });
    assert_eq!(
        refused_of(Source::Version(hers.version.clone())).await,
        refused_of(Source::Version(nobodys.clone())).await
    );
    assert_eq!(refused_of(attachment(&message_id)).await, refused_of(attachment(&nobodys)).await);
    let absent = refused_of(Source::Path("/secret".to_owned())).await;
    let foreign = refused_of(Source::Path("ann:/secret".to_owned())).await;
    let nobody = refused_of(Source::Path("carl:/secret".to_owned())).await;
    assert_eq!(foreign, absent.replace("/secret", "ann:/secret"));
    assert_eq!(nobody, absent.replace("/secret", "carl:/secret"));
    for version in [&hers.version, &nobodys] {
        let request = ReadManyRequest { versions: vec![version.clone()] };
        let answer = async {
            let mut answers = his.files().read_many(request).await?.into_inner();
            answers.message().await
        };
        assert_eq!(Refused::of(answer.await).kind(), ABSENT);
        let request = ReadRequest { version: version.clone(), ..whole("/empty") };
        assert_eq!(Refused::of(his.read(request).await).kind(), ABSENT);
    }
}

#[tokio::test]
async fn a_generation_that_is_not_the_one_asked_for_is_named_with_the_one_that_stands() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let only =
        |path: &str, generation| WriteHeader { if_generation: Some(generation), ..header(path) };
    let first = ann.write(only("/f", 0), b"first").await.expect("nothing is there");
    let second = ann.write(only("/f", first.generation), b"second").await.expect("it is the one");
    assert!(second.generation > first.generation);
    assert_ne!((&second.version, &second.etag), (&first.version, &first.etag));
    assert_eq!(second.id, first.id);
    let mismatch = (Code::Aborted, "GENERATION_MISMATCH");
    for wanted in [0, first.generation, second.generation + 1, u64::MAX] {
        let both = (wanted.to_string(), second.generation.to_string());
        let written = Refused::of(ann.write(only("/f", wanted), b"third").await);
        let path = "/f".to_owned();
        let removal = RemoveRequest { path, if_generation: Some(wanted), ..Default::default() };
        let removed = Refused::of(ann.files().remove(removal).await);
        for refused in [written, removed] {
            assert_eq!(refused.kind(), mismatch, "{refused:?}");
            assert!(refused.message.contains(&both.0) && refused.message.contains(&both.1));
        }
    }
    let refused = Refused::of(ann.write(only("/new", 1), b"x").await).saying("0");
    assert_eq!(refused.kind(), mismatch);
    assert_eq!(tree(&ann).await, ["/f"]);
    // The same bytes are no new generation.
    let same = ann.write(header("/f"), b"second").await.expect("a write");
    assert_eq!((same.generation, same.version), (second.generation, second.version));
    assert_eq!(ann.read(whole("/f")).await.expect("it"), b"second");
}
