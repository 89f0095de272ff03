//! Stories of chunks and contents: who has sent what, uploads' leases, and lists of chunks.

use crate::db::contract::people::{Person, content, manifest, piece, refused};
use crate::db::contract::{World, stories};
use crate::db::{Arrived, ChunkState, Manifest, Upload};
use crate::error::Kind;
use crate::model::{ChunkHash, Content, Digest, ManifestKey, Piece, UploadId};

stories! {
    missing_tells_only_of_what_the_account_itself_has_sent
    one_account_registers_what_another_has_stored
    a_condemned_chunk_is_missing_until_it_is_sent_again
    a_chunk_that_was_collected_meanwhile_is_asked_for
    uploads_hold_leases
    the_longest_idle_upload_makes_room_for_the_next
    a_content_needs_all_its_chunks
    the_same_content_has_one_key
    a_long_list_comes_in_parts
    a_long_list_that_is_known_gets_the_key_it_has
    contents_of_many_chunks_are_recorded_in_parts
    a_list_that_has_ended_or_gone_takes_no_more
    the_chunks_of_a_content_are_found_from_every_byte
    contents_of_at_most_one_chunk_need_no_list
}

async fn missing_tells_only_of_what_the_account_itself_has_sent(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.fill(UploadId::new(), &[b"one", b"two"]).await.unwrap();
    let asked: [&[u8]; 4] = [b"one", b"none", b"two", b"one"];
    assert_eq!(ann.missing(&asked).await, [false, true, false, false]);
    assert_eq!(bob.missing(&asked).await, [true; 4], "what others have sent is not told");
    assert_eq!(ann.missing(&[]).await, [false; 0]);
}

async fn one_account_registers_what_another_has_stored(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.fill(UploadId::new(), &[b"one"]).await.unwrap();
    let state = |hash| async move { world.db().chunk_states(vec![hash]).await.unwrap()[0] };
    let hash = piece(b"one").hash;
    let stored = state(hash).await;
    assert!(matches!(stored, ChunkState::Stored(place) if place.length == 3));
    bob.fill(UploadId::new(), &[b"one"]).await.unwrap();
    assert_eq!(bob.missing(&[b"one"]).await, [false]);
    assert_eq!(state(hash).await, stored, "it stays where it is");
    assert_eq!(state(ChunkHash::of(b"none")).await, ChunkState::Absent);
    // Stored by two at once: the first place is kept.
    let arrived = vec![bob.arrived(b"one")];
    bob.db.register(bob.upload(UploadId::new()), arrived).await.unwrap();
    assert_eq!(state(hash).await, stored);
}

/// Condemns a chunk as the collector would when nothing refers to it.
pub(super) async fn condemn(person: &Person, bytes: &[u8]) {
    let hashes = vec![ChunkHash::of(bytes)];
    assert_eq!(person.db.condemn(hashes, i64::MAX, person.now()).await.unwrap(), 1);
}

async fn a_condemned_chunk_is_missing_until_it_is_sent_again(world: &World) {
    let ann = world.account("ann").await;
    ann.fill(UploadId::new(), &[b"one", b"two"]).await.unwrap();
    condemn(&ann, b"one").await;
    assert_eq!(ann.missing(&[b"one", b"two"]).await, [true, false]);
    let states = ann.db.chunk_states(vec![piece(b"one").hash]).await.unwrap();
    let ChunkState::Condemned(before) = states[0] else { panic!("{states:?}") };
    ann.fill(UploadId::new(), &[b"one"]).await.unwrap();
    assert_eq!(ann.missing(&[b"one"]).await, [false]);
    let states = ann.db.chunk_states(vec![piece(b"one").hash]).await.unwrap();
    assert!(
        matches!(states[0], ChunkState::Stored(place) if place.offset > before.offset),
        "the fresh copy is the one that is read"
    );
}

async fn a_chunk_that_was_collected_meanwhile_is_asked_for(world: &World) {
    let ann = world.account("ann").await;
    let upload = ann.upload(UploadId::new());
    ann.fill(upload.id, &[b"gone"]).await.unwrap();
    condemn(&ann, b"gone").await;
    for (name, bytes) in [("condemned", &b"gone"[..]), ("never stored", b"none")] {
        let without_place = Arrived { place: None, ..ann.arrived(bytes) };
        let arrived = vec![ann.arrived(b"beside"), without_place];
        assert_eq!(refused(ann.db.register(upload, arrived).await), Kind::Aborted, "{name}");
        assert_eq!(ann.missing(&[b"beside", bytes]).await, [true, true], "nothing was kept");
    }
}

async fn leases(world: &World) -> usize {
    // Everything has run out by then; the answer counts them, and they are gone.
    world.db().end_leases(i64::MAX, i64::MIN).await.unwrap()
}

async fn uploads_hold_leases(world: &World) {
    let ann = world.account("ann").await;
    let upload = |id| ann.upload(id);
    let (first, second) = (UploadId::new(), UploadId::new());
    assert_eq!(ann.db.oldest_lease().await.unwrap(), None);
    let opened = world.now();
    ann.db.missing(upload(first), Vec::new()).await.unwrap();
    world.later(61_000);
    ann.fill(second, &[b"one"]).await.unwrap();
    ann.db.missing(upload(first), Vec::new()).await.unwrap();
    assert_eq!(ann.db.oldest_lease().await.unwrap(), Some(opened), "when it began stays");
    // Both were heard of just now; a lease is renewed, not doubled.
    assert_eq!(ann.db.end_leases(world.now(), i64::MIN).await.unwrap(), 0);
    ann.db.close_upload(ann.id, second).await.unwrap();
    ann.db.close_upload(ann.id, second).await.unwrap();
    // However often it is renewed, it does not last for ever.
    assert_eq!(ann.db.end_leases(i64::MIN, opened).await.unwrap(), 0);
    assert_eq!(ann.db.end_leases(i64::MIN, opened + 1).await.unwrap(), 1);
    ann.db.missing(upload(first), Vec::new()).await.unwrap();
    assert_eq!(leases(world).await, 1);
    assert_eq!(ann.db.oldest_lease().await.unwrap(), None);
}

async fn the_longest_idle_upload_makes_room_for_the_next(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let ids: Vec<UploadId> = (0..4).map(|_| UploadId::new()).collect();
    let hold = async |id: UploadId, leases_max| {
        let upload = Upload { leases_max, ..ann.upload(id) };
        ann.db.missing(upload, Vec::new()).await.unwrap();
        world.later(61_000);
    };
    bob.db.missing(bob.upload(UploadId::new()), Vec::new()).await.unwrap();
    let opened = world.now();
    for id in [ids[0], ids[1], ids[2], ids[0]] {
        hold(id, 3).await;
    }
    hold(ids[3], 3).await;
    // The second was idle longest; bob's is nobody's business.
    assert_eq!(ann.db.end_leases(opened + 122_000, i64::MIN).await.unwrap(), 1, "bob's");
    assert_eq!(ann.db.end_leases(opened + 122_001, i64::MIN).await.unwrap(), 1, "the third");
    assert_eq!(leases(world).await, 2, "the first and the fourth");
    for id in &ids {
        hold(*id, 4).await;
    }
    hold(UploadId::new(), 2).await;
    assert_eq!(leases(world).await, 2, "fewer may be had now");
}

async fn a_content_needs_all_its_chunks(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    bob.fill(UploadId::new(), &[b"his"]).await.unwrap();
    ann.fill(UploadId::new(), &[b"one", b"two"]).await.unwrap();
    let wrong = Piece { length: 4, ..piece(b"two") };
    for (name, pieces) in [
        ("one that nobody has", vec![piece(b"one"), piece(b"none")]),
        ("one that only another has", vec![piece(b"his"), piece(b"one")]),
        ("one of another length", vec![piece(b"one"), wrong]),
    ] {
        let new = vec![manifest(vec![piece(b"two"), piece(b"one")]), manifest(pieces)];
        let answer = ann.db.add_contents(ann.id, new, ann.now()).await;
        assert_eq!(refused(answer), Kind::ChunksMissing, "{name}");
        assert_eq!(ann.db.manifests(ManifestKey(0), 9).await.unwrap(), [], "nothing is kept");
    }
}

async fn the_same_content_has_one_key(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let of_ann = ann.long(&[b"one", b"two"]).await;
    assert_eq!(of_ann, ann.long(&[b"one", b"two"]).await);
    assert_eq!(of_ann, bob.long(&[b"one", b"two"]).await, "whoever it comes from");
    assert_ne!(of_ann.manifest, ann.long(&[b"two", b"one"]).await.manifest);
    let twice = || manifest(vec![piece(b"one"), piece(b"one")]);
    let keys = ann.db.add_contents(ann.id, vec![twice(), twice()], ann.now()).await.unwrap();
    assert_eq!(keys[0], keys[1]);
    let listed = ann.db.manifests(ManifestKey(0), 9).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!((listed[0].key, listed[0].size), (of_ann.manifest.unwrap(), 6));
    let pieces = pieces_of(&ann, &listed[0]).await;
    assert_eq!(pieces, [piece(b"one"), piece(b"two")]);
    assert_eq!(listed[0].id, Some(manifest(pieces).id));
    assert_eq!(ann.db.manifests(listed[1].key, 9).await.unwrap(), listed[2..]);
}

/// All chunks of a list.
async fn pieces_of(person: &Person, list: &Manifest) -> Vec<Piece> {
    let content = Content { size: list.size, digest: list.digest, manifest: Some(list.key) };
    person.db.pieces(content, 0, 100_000).await.unwrap().1
}

/// Chunks of 1 to 7 bytes, all different.
fn chunks(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let name = ChunkHash::of(&number.to_le_bytes());
            name.0[..1 + number as usize % 7].to_vec()
        })
        .collect()
}

/// Sends a content as the parts of one long list.
async fn in_parts(person: &Person, pieces: &[Piece], part: usize) -> ManifestKey {
    let whole = manifest(pieces.to_vec());
    let key = person.db.open_content(whole.size, whole.digest, person.now()).await.unwrap();
    let mut offset = 0;
    for some in pieces.chunks(part) {
        person.db.append_pieces(person.id, key, offset, some.to_vec()).await.unwrap();
        offset += some.iter().map(|piece| u64::from(piece.length)).sum::<u64>();
    }
    person.db.close_content(key, whole.id).await.unwrap()
}

async fn fill_all(person: &Person, chunks: &[Vec<u8>]) -> Vec<Piece> {
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    person.fill(UploadId::new(), &chunks).await.unwrap()
}

async fn a_long_list_comes_in_parts(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let pieces = fill_all(&ann, &chunks(2_500)).await;
    let key = in_parts(&ann, &pieces, 1_100).await;
    let manifests = ann.db.manifests(ManifestKey(0), 9).await.unwrap();
    assert_eq!((manifests.len(), manifests[0].key), (1, key));
    assert!(pieces_of(&ann, &manifests[0]).await == pieces);
    let open = ann.db.open_content(9, Digest([1; 32]), ann.now()).await.unwrap();
    let foreign = bob.db.append_pieces(bob.id, open, 0, pieces[..2].to_vec()).await;
    assert_eq!(refused(foreign), Kind::ChunksMissing);
    let open = ann.db.manifests(key, 9).await.unwrap();
    assert_eq!((open[0].id, pieces_of(&ann, &open[0]).await.len()), (None, 0));
}

async fn a_long_list_that_is_known_gets_the_key_it_has(world: &World) {
    let ann = world.account("ann").await;
    let pieces = fill_all(&ann, &chunks(5)).await;
    let new = manifest(pieces.clone());
    let id = new.id;
    let key = ann.db.add_contents(ann.id, vec![new], ann.now()).await.unwrap()[0];
    assert_eq!(in_parts(&ann, &pieces, 2).await, key);
    assert_eq!(ann.db.manifests(ManifestKey(0), 9).await.unwrap().len(), 1, "the other went");
    assert_eq!(ann.db.close_content(key, id).await.unwrap(), key, "ending twice is ending once");
    let listed = ann.db.manifests(ManifestKey(0), 9).await.unwrap();
    assert_eq!(pieces_of(&ann, &listed[0]).await, pieces);
}

async fn contents_of_many_chunks_are_recorded_in_parts(world: &World) {
    let ann = world.account("ann").await;
    let few = fill_all(&ann, &chunks(10)).await;
    let long = |count: usize| few.iter().copied().cycle().take(count).collect::<Vec<Piece>>();
    let lists = [long(3), long(9_000), long(4), long(4_000), long(200)];
    let contents: Vec<_> = lists.iter().cloned().map(manifest).collect();
    let keys = ann.db.add_contents(ann.id, contents.clone(), ann.now()).await.unwrap();
    for ((key, pieces), new) in keys.iter().zip(&lists).zip(&contents) {
        let content = Content { size: new.size, digest: new.digest, manifest: Some(*key) };
        let read = ann.db.pieces(content, 0, 100_000).await.unwrap();
        assert!(read == (0, pieces.clone()), "in order");
    }
    // One whose last chunk is missing is refused; what of it was written down stays for the collector.
    let lost = [long(9_000), vec![piece(b"never sent")]].concat();
    let refusal = ann.db.add_contents(ann.id, vec![manifest(lost)], ann.now()).await;
    assert_eq!(refused(refusal), Kind::ChunksMissing);
    let left = ann.db.manifests(ManifestKey(0), 9).await.unwrap();
    assert_eq!(left.iter().filter(|list| list.id.is_none()).count(), 1);
}

async fn a_list_that_has_ended_or_gone_takes_no_more(world: &World) {
    let ann = world.account("ann").await;
    let pieces = fill_all(&ann, &chunks(3)).await;
    let key = in_parts(&ann, &pieces, 2).await;
    for key in [key, ManifestKey(1_000)] {
        let more = ann.db.append_pieces(ann.id, key, 6, pieces[..1].to_vec()).await;
        assert_eq!(refused(more), Kind::Aborted, "{key:?}");
    }
    let gone = ann.db.close_content(ManifestKey(1_000), [9; 32]).await;
    assert_eq!(refused(gone), Kind::Aborted);
    let listed = ann.db.manifests(ManifestKey(0), 9).await.unwrap();
    assert_eq!(pieces_of(&ann, &listed[0]).await, pieces);
}

async fn the_chunks_of_a_content_are_found_from_every_byte(world: &World) {
    let ann = world.account("ann").await;
    // Segments hold 1,024 chunks; parts of 1,500 begin new ones.
    let list = fill_all(&ann, &chunks(2_600)).await;
    let key = in_parts(&ann, &list, 1_500).await;
    let whole = manifest(list.clone());
    let content = Content { size: whole.size, digest: whole.digest, manifest: Some(key) };
    let mut begins = 0;
    for (index, piece) in list.iter().enumerate() {
        let end = begins + u64::from(piece.length);
        let near_a_border = [0, 1_023, 1_024, 1_499, 1_500, 2_523, 2_524, 2_599].contains(&index);
        for offset in begins..end {
            if !near_a_border && offset % 97 != 0 {
                continue;
            }
            for limit in [1, 2, 1_024, 1_025, 5_000] {
                let (at, found) = ann.db.pieces(content, offset, limit).await.unwrap();
                assert_eq!(at, begins, "byte {offset}");
                assert!((1..=limit).contains(&found.len()), "about as many as were asked for");
                assert!(list[index..].starts_with(&found), "byte {offset}, limit {limit}");
            }
        }
        begins = end;
    }
    for offset in [content.size, content.size + 1, u64::MAX] {
        assert_eq!(ann.db.pieces(content, offset, 9).await.unwrap(), (content.size, Vec::new()));
    }
}

async fn contents_of_at_most_one_chunk_need_no_list(world: &World) {
    let ann = world.account("ann").await;
    let one = content(b"one");
    for offset in 0..3 {
        let found = ann.db.pieces(one, offset, 9).await.unwrap();
        assert_eq!(found, (0, vec![piece(b"one")]));
    }
    for (content, size) in [(one, 3), (Content::empty(), 0)] {
        for offset in [size, u64::MAX] {
            assert_eq!(ann.db.pieces(content, offset, 9).await.unwrap(), (size, Vec::new()));
        }
    }
}
