//! The fast path up, done wrong: chunks that are not what they say, lists of chunks that cannot be, more
//! than fits, and commits that stop.

use std::time::Duration;

use depot_proto::files::commit_request::Part;
use depot_proto::files::{
    ChunkHead, CommitBegin, CommitEnd, CommitRequest, CommitResponse, ContentPart, EntriesPart,
    FillRequest, FillResponse, Kind, MissingRequest, NewEntry,
};
use depot_tests::caller::{Caller, Refused};
use depot_tests::world::World;
use tonic::{Code, Status};

use super::{INVALID, file, tree};

const MISSING: (Code, &str) = (Code::FailedPrecondition, "CHUNKS_MISSING");
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// One upload of one caller.
struct Upload<'a> {
    caller: &'a Caller,
    id: String,
}

impl<'a> Upload<'a> {
    fn of(caller: &'a Caller) -> Self {
        Self { caller, id: uuid::Uuid::now_v7().to_string() }
    }

    /// Sends chunks: what each says it is, and its bytes.
    async fn fill(&self, chunks: &[(ChunkHead, &[u8])]) -> Result<FillResponse, Status> {
        let heads = chunks.iter().map(|(head, _)| head.clone()).collect();
        let data: Vec<u8> = chunks.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let mut requests =
            vec![FillRequest { upload_id: self.id.clone(), heads, ..FillRequest::default() }];
        let pieces = data.chunks(MIB).map(|piece| piece.to_vec().into());
        requests.extend(pieces.map(|data| FillRequest { data, ..FillRequest::default() }));
        Ok(self.caller.files().fill(tokio_stream::iter(requests)).await?.into_inner())
    }

    /// Sends chunks that are what they say.
    async fn fill_honestly(&self, chunks: &[&[u8]]) -> Result<FillResponse, Status> {
        let chunks: Vec<_> = chunks.iter().map(|bytes| (head(bytes), *bytes)).collect();
        self.fill(&chunks).await
    }

    async fn is_missing(&self, bytes: &[u8]) -> bool {
        let hashes = blake3::hash(bytes).as_bytes().to_vec().into();
        let request =
            MissingRequest { upload_id: self.id.clone(), hashes, ..MissingRequest::default() };
        let answer = self.caller.files().missing(request).await.expect("an answer").into_inner();
        answer.bitmap[0] & 1 == 1
    }

    /// Commits parts between a begin and an end.
    async fn commit(&self, parts: Vec<Part>) -> Result<CommitResponse, Status> {
        let entries: usize = parts.iter().map(entries_of).sum();
        let end = Part::End(CommitEnd { entries: entries as u64 });
        self.commit_parts([vec![self.begin()], parts, vec![end]].concat()).await
    }

    fn begin(&self) -> Part {
        let upload_id = self.id.clone();
        Part::Begin(CommitBegin { upload_id, base: "/".to_owned(), ..CommitBegin::default() })
    }

    async fn commit_parts(&self, parts: Vec<Part>) -> Result<CommitResponse, Status> {
        let parts: Vec<_> =
            parts.into_iter().map(|part| CommitRequest { part: Some(part) }).collect();
        Ok(self.caller.files().commit(tokio_stream::iter(parts)).await?.into_inner())
    }
}

fn entries_of(part: &Part) -> usize {
    match part {
        Part::Entries(part) => part.entries.len(),
        _ => 0,
    }
}

fn entries(entries: &[NewEntry]) -> Part {
    Part::Entries(EntriesPart { entries: entries.to_vec() })
}

fn head(bytes: &[u8]) -> ChunkHead {
    ChunkHead { hash: blake3::hash(bytes).as_bytes().to_vec().into(), length: length(bytes) }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a chunk is short")
}

/// The list of a content that consists of these chunks.
fn content(number: u32, chunks: &[&[u8]]) -> ContentPart {
    let whole: Vec<u8> = chunks.concat();
    let piece = |bytes: &&[u8]| {
        [length(bytes).to_le_bytes().to_vec(), blake3::hash(bytes).as_bytes().to_vec()].concat()
    };
    ContentPart {
        number,
        size: whole.len() as u64,
        blake3: blake3::hash(&whole).as_bytes().to_vec().into(),
        chunks: chunks.iter().flat_map(piece).collect::<Vec<u8>>().into(),
        last: true,
    }
}

fn numbered(path: &str, content: u32) -> NewEntry {
    NewEntry {
        path: path.to_owned(),
        kind: Kind::File.into(),
        mode: 0o644,
        content,
        ..NewEntry::default()
    }
}

/// Bytes that no other seed gives.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[tokio::test]
async fn bytes_that_are_not_those_of_their_hash_are_not_kept() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let upload = Upload::of(&ann);
    let (good, bad, after) = (noise(1, 1000), noise(2, 1000), noise(3, 1000));
    let mut tampered = bad.clone();
    tampered[500] ^= 1;
    let sent = [(head(&good), &good[..]), (head(&bad), &tampered), (head(&after), &after)];
    let refused = Refused::of(upload.fill(&sent).await).saying("send them again");
    assert_eq!(refused.kind(), (Code::InvalidArgument, "DIGEST_MISMATCH"));
    assert!(!upload.is_missing(&good).await, "what came before it is kept");
    assert!(upload.is_missing(&bad).await && upload.is_missing(&tampered).await);
    let refused = Refused::of(upload.commit(vec![entries(&[file("f", &bad)])]).await);
    assert_eq!(refused.kind(), MISSING);
    assert_eq!(tree(&ann).await, [""; 0]);

    upload.fill_honestly(&[&bad, &after]).await.expect("the rest");
    let both = [file("f", &bad), file("g", &after)];
    upload.commit(vec![entries(&both)]).await.expect("a commit");
    assert_eq!(ann.read(read("/f")).await.expect("its bytes"), bad);
}

fn read(path: &str) -> depot_proto::files::ReadRequest {
    depot_proto::files::ReadRequest { path: path.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_call_announces_so_many_chunks_and_no_more() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let upload = Upload::of(&ann);
    let fill = async |count: usize| {
        let none: &[u8] = b"";
        Refused::of(upload.fill(&vec![(head(b"x"), none); count]).await)
    };
    let refused = fill(65_537).await.saying("65536").saying("make several calls");
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
    let refused = fill(65_536).await.saying("65536 of the announced chunks did not come");
    assert_eq!(refused.kind(), (Code::InvalidArgument, "TRUNCATED"));
}

#[tokio::test]
async fn chunks_that_no_cutter_makes_are_refused() {
    let world = World::limited(|limits| limits.content_chunks_max = 3);
    let ann = world.admin("ann").calls().await;
    let upload = Upload::of(&ann);
    let smallest = noise(1, 256 * KIB);
    let (a, b) = (noise(2, 1), noise(3, 1));
    let too_small = noise(4, 256 * KIB - 1);
    upload.fill_honestly(&[&a, &b, &smallest, &too_small]).await.expect("any may be the last");
    let kept = [&smallest[..], &a];
    for (chunks, words) in [
        (vec![&a[..], &b], "a chunk of 1 bytes before the last one"),
        (vec![&too_small[..], &b], "262143"),
    ] {
        let parts = vec![Part::Content(content(1, &chunks)), entries(&[numbered("f", 1)])];
        let refused = Refused::of(upload.commit(parts).await).saying(words).saying("262144");
        assert_eq!(refused.kind(), INVALID);
    }
    let parts = vec![Part::Content(content(1, &kept)), entries(&[numbered("f", 1)])];
    upload.commit(parts).await.expect("the smallest, then a byte");
    assert_eq!(ann.read(read("/f")).await.expect("its bytes"), kept.concat());

    let largest = noise(5, 4 * MIB);
    upload.fill_honestly(&[&largest]).await.expect("the largest");
    for length in [0, 4 * MIB + 1] {
        let refused = Refused::of(upload.fill_honestly(&[&noise(6, length)]).await);
        assert_eq!(refused.kind(), INVALID, "{length}: {refused:?}");
        assert_eq!(refused.field, "heads.length");
    }
    // A list that is longer than a list may be.
    let four = [&smallest[..], &smallest, &smallest, &a];
    let three = Part::Content(content(1, &four[1..]));
    upload.commit(vec![three, entries(&[numbered("three", 1)])]).await.expect("three chunks");
    let parts = vec![Part::Content(content(1, &four)), entries(&[numbered("four", 1)])];
    let refused = Refused::of(upload.commit(parts).await).saying("more than 3 chunks");
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
    assert_eq!(tree(&ann).await, ["/f", "/three"]);
}

#[tokio::test]
async fn lists_that_do_not_add_up_are_refused() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let upload = Upload::of(&ann);
    let (one, two) = (noise(1, 256 * KIB), noise(2, 10));
    upload.fill_honestly(&[&one, &two]).await.expect("chunks");
    let whole = content(1, &[&one, &two]);
    let with = |change: fn(&mut ContentPart)| {
        let mut part = whole.clone();
        change(&mut part);
        vec![Part::Content(part), entries(&[numbered("f", 1)])]
    };
    for (what, parts) in [
        ("shorter than it says", with(|part| part.size += 1)),
        ("longer than it says", with(|part| part.size -= 1)),
        ("half a chunk", with(|part| part.chunks = part.chunks.slice(..50))),
        ("half a digest", with(|part| part.blake3 = part.blake3.slice(..16))),
        ("another number", with(|part| part.number = 2)),
        ("no end", with(|part| part.last = false)),
        ("a number that none has", vec![entries(&[numbered("f", 7)])]),
        ("no kind", vec![entries(&[NewEntry { kind: 0, ..file("f", &two) }])]),
        ("a mode that is none", vec![entries(&[NewEntry { mode: 0o10_000, ..file("f", &two) }])]),
        ("a begin in the middle", vec![upload.begin(), entries(&[file("f", &two)])]),
        ("one path twice", vec![entries(&[file("f", &two), file("f/g", &two)])]),
    ] {
        let refused = Refused::of(upload.commit(parts).await);
        let codes = [Code::InvalidArgument, Code::FailedPrecondition];
        assert!(codes.contains(&refused.code), "{what}: {refused:?}");
        assert!(!refused.reason.is_empty() && !refused.message.is_empty(), "{what}: {refused:?}");
        assert_eq!(tree(&ann).await, [""; 0], "{what}");
    }
    upload.commit(with(|_| ())).await.expect("the list itself is good");
}

#[tokio::test]
async fn what_stops_before_its_end_leaves_nothing_that_is_seen() {
    let world = World::start();
    let ann = world.admin("ann").calls().await;
    let upload = Upload::of(&ann);
    let (one, two) = (noise(1, 5000), noise(2, 5000));
    let cut = [(head(&one), &one[..]), (head(&two), &two[..4999])];
    let refused = Refused::of(upload.fill(&cut).await).saying("send them");
    assert_eq!(refused.kind(), (Code::InvalidArgument, "TRUNCATED"));
    assert!(!upload.is_missing(&one).await, "what came whole is kept");
    assert!(upload.is_missing(&two).await);
    let more = [two.clone(), vec![0]].concat();
    let refused = Refused::of(upload.fill(&[(head(&two), &more)]).await);
    assert_eq!((refused.kind(), refused.field.as_str()), (INVALID, "data"));

    let put = entries(&[file("f", &one)]);
    let end = |entries| Part::End(CommitEnd { entries });
    for (parts, kind) in [
        (vec![upload.begin(), put.clone()], (Code::InvalidArgument, "TRUNCATED")),
        (vec![upload.begin(), put.clone(), end(2)], (Code::InvalidArgument, "TRUNCATED")),
        (vec![upload.begin()], (Code::InvalidArgument, "TRUNCATED")),
        (vec![put.clone(), end(1)], INVALID),
        (vec![], INVALID),
    ] {
        assert_eq!(Refused::of(upload.commit_parts(parts).await).kind(), kind);
    }
    // Nor do commits that are so long that they are staged before their end.
    let many: Vec<NewEntry> = (0..1_100).map(|n| file(&format!("tree/{n}"), &one)).collect();
    let staged: Vec<Part> = many.chunks(100).map(entries).collect();
    let refused = upload.commit_parts([vec![upload.begin()], staged].concat()).await;
    assert_eq!(Refused::of(refused).kind(), (Code::InvalidArgument, "TRUNCATED"));
    assert_eq!(tree(&ann).await, [""; 0]);
}

#[tokio::test]
async fn a_chunk_that_somebody_else_has_sent_is_missing_to_everybody_else() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob").calls().await;
    let ann = ann.calls().await;
    let secret = noise(1, 2000);
    let (hers, his) = (Upload::of(&ann), Upload::of(&bob));
    hers.fill_honestly(&[&secret]).await.expect("a chunk");
    hers.commit(vec![entries(&[file("secret", &secret)])]).await.expect("a commit");
    assert!(his.is_missing(&secret).await, "whoever asks learns nothing");
    let refused = Refused::of(his.commit(vec![entries(&[file("mine", &secret)])]).await);
    assert_eq!(refused.kind(), MISSING, "a hash is no right");
    let two = [&noise(2, 256 * KIB)[..], &secret];
    his.fill_honestly(&two[..1]).await.expect("a chunk of his own");
    let parts = vec![Part::Content(content(1, &two)), entries(&[numbered("mine", 1)])];
    assert_eq!(Refused::of(his.commit(parts).await).kind(), MISSING);
    assert_eq!(tree(&bob).await, [""; 0]);
}

#[tokio::test]
async fn a_fill_without_a_commit_cannot_pass_the_quota() {
    let world = World::limited(|limits| limits.fill_bytes_max = 600 * KIB as u64);
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1M"]);
    let calls = bob.calls().await;
    let [one, two, three] = [1, 2, 3].map(|seed| noise(seed, 400 * KIB));
    let refused = Upload::of(&calls).fill_honestly(&[&one, &two]).await;
    let refused = Refused::of(refused).saying("614400");
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"), "one call has a limit");

    let first = Upload::of(&calls);
    first.fill_honestly(&[&one]).await.expect("it fits");
    Upload::of(&calls).fill_honestly(&[&two]).await.expect("it fits");
    let third = Upload::of(&calls);
    let refused = Refused::of(third.fill_honestly(&[&three]).await).saying("other uploads");
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    // An upload that nobody goes on with makes room.
    world.pass(Duration::from_secs(125));
    third.fill_honestly(&[&three]).await.expect("there is room again");
    third.commit(vec![entries(&[file("three", &three)])]).await.expect("a commit");
    let whoami = bob.one(["whoami"]);
    assert_eq!(whoami["used_bytes"], 400 * KIB, "{whoami}");
}
