//! Stories of upkeep: what is referred to is kept, what is not goes in two passes, and packs are known
//! for what is in them.

use std::collections::BTreeSet;
use std::sync::mpsc;

use crate::db::contract::contents::condemn;
use crate::db::contract::people::{Person, attached, file, folder, manifest, piece, version};
use crate::db::contract::{World, stories};
use crate::db::{AttachmentSource, ChunkState, CommitPlan, Held, NewMessage};
use crate::model::{Body, ChunkHash, ChunkPlace, ManifestKey, MessageId, Modseq, PackId, UploadId};

stories! {
    everything_that_needs_a_chunk_refers_to_it
    what_is_held_back_is_summed
    only_old_chunks_are_condemned
    a_condemned_chunk_is_collected_when_its_time_has_come
    an_upload_that_was_told_of_a_chunk_keeps_it
    a_mark_is_no_older_than_an_open_upload
    the_store_knows_when_it_was_last_collected
    a_store_that_is_not_where_it_was_is_another_epoch
    tombstones_are_pruned_and_the_horizon_rises
    whoever_refers_to_a_chunk_saves_it
    contents_go_in_two_passes
    many_contents_go_in_one_run
    a_content_that_is_wanted_again_stays
    a_content_that_an_upload_has_recorded_waits_for_its_end
    a_chunk_moves_only_from_where_it_was
    packs_are_known_by_what_is_in_them
    an_empty_pack_is_forgotten_when_its_file_is_gone
    a_pack_that_fills_again_is_not_empty
    chunks_are_listed_in_pages
    found_chunks_belong_to_nobody
    who_uses_a_chunk_is_said_in_words
}

async fn referred(person: &Person) -> BTreeSet<ChunkHash> {
    let (seen, names) = mpsc::channel();
    person.db.references(Box::new(move |name| seen.send(name).unwrap())).await.unwrap();
    names.into_iter().collect()
}

fn names(chunks: &[&[u8]]) -> BTreeSet<ChunkHash> {
    chunks.iter().map(|bytes| ChunkHash::of(bytes)).collect()
}

async fn everything_that_needs_a_chunk_refers_to_it(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/version", b"past").await;
    ann.put("/version", b"current").await;
    ann.put("/trash/below", b"trash").await;
    ann.rm("/trash").await;
    ann.put("/empty", b"").await;
    let (given, body) = (ann.content(b"attachment").await, ann.content(b"body").await);
    let attachments = vec![attached("f", AttachmentSource::Content(given))];
    let message = NewMessage { attachments, body: Body::Stored(body), ..ann.message(&[&bob], "") };
    ann.db.send(message).await.unwrap();
    ann.send(&[&bob], "inline").await;
    ann.long(&[b"segment one", b"segment two"]).await;
    for (base, bytes) in [("/new", &b"new"[..]), ("/", b"merged")] {
        let content = ann.content(bytes).await;
        let staged = ann.db.stage_open(ann.plan(base)).await.unwrap();
        ann.db.stage(&staged, &ann.plan(base), vec![file("f", content)]).await.unwrap();
    }
    ann.content(b"nobody needs this").await;
    let expected: [&[u8]; 9] = [
        b"past",
        b"current",
        b"trash",
        b"attachment",
        b"body",
        b"segment one",
        b"segment two",
        b"new",
        b"merged",
    ];
    assert_eq!(referred(&ann).await, names(&expected));
}

async fn state(person: &Person, bytes: &[u8]) -> ChunkState {
    person.db.chunk_states(vec![ChunkHash::of(bytes)]).await.unwrap()[0]
}

async fn collect(person: &Person, bytes: &[u8], before: i64) -> usize {
    let (gone, freed) = person.db.collect(vec![ChunkHash::of(bytes)], before).await.unwrap();
    assert_eq!(freed, (gone * bytes.len()) as u64);
    gone
}

async fn what_is_held_back_is_summed(world: &World) {
    let ann = world.account("ann").await;
    assert_eq!(ann.db.held().await.unwrap(), Held::default());
    ann.put("/lives", b"not counted").await;
    ann.put("/tree/a", b"past").await;
    ann.put("/tree/a", b"current").await;
    ann.put("/tree/below/b", b"b").await;
    ann.rm("/tree/below/b").await;
    let first = world.now();
    world.later(10);
    ann.rm("/tree").await;
    ann.fill(UploadId::new(), &[b"brought"]).await.unwrap();
    let held = ann.db.held().await.unwrap();
    assert_eq!(held.trash_bytes, 4 + 7 + 1, "each once");
    assert_eq!(held.removed_at, Some((first, first + 10)));
    assert_eq!((held.uploads, held.upload_bytes), (1, 7));
}

async fn only_old_chunks_are_condemned(world: &World) {
    let ann = world.account("ann").await;
    ann.content(b"one").await;
    let registered = world.now();
    world.later(10);
    let condemn = async |before| {
        let names = vec![ChunkHash::of(b"one"), ChunkHash::of(b"unknown")];
        ann.db.condemn(names, before, world.now()).await.unwrap()
    };
    assert_eq!(condemn(registered).await, 0);
    // Sent again: as good as new.
    ann.content(b"one").await;
    assert_eq!(condemn(registered + 10).await, 0);
    assert_eq!(condemn(registered + 11).await, 1);
    assert_eq!(condemn(i64::MAX).await, 0, "once is enough");
    let row = ann.db.chunks(None, 9).await.unwrap()[0];
    assert_eq!(row.condemned_at, Some(world.now()));
    ann.db.pardon(vec![row.hash]).await.unwrap();
    assert!(matches!(state(&ann, b"one").await, ChunkState::Stored(_)));
    assert_eq!(collect(&ann, b"one", i64::MAX).await, 0);
}

async fn a_condemned_chunk_is_collected_when_its_time_has_come(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.content(b"one").await;
    bob.content(b"one").await;
    assert_eq!(collect(&ann, b"one", i64::MAX).await, 0, "it is not condemned");
    condemn(&ann, b"one").await;
    let condemned = world.now();
    assert_eq!(collect(&ann, b"one", condemned - 1).await, 0);
    assert!(matches!(state(&ann, b"one").await, ChunkState::Condemned(_)), "it can be read");
    assert_eq!(collect(&ann, b"one", condemned).await, 1);
    assert_eq!(state(&ann, b"one").await, ChunkState::Absent);
    assert_eq!(collect(&ann, b"one", i64::MAX).await, 0);
    // Whoever sends it again possesses it again, and nobody else does.
    ann.content(b"one").await;
    assert_eq!(
        (ann.missing(&[b"one"]).await, bob.missing(&[b"one"]).await),
        (vec![false], vec![true])
    );
}

async fn an_upload_that_was_told_of_a_chunk_keeps_it(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.content(b"one").await;
    let (before, after) = (UploadId::new(), UploadId::new());
    let told = async |id| ann.db.missing(ann.upload(id), vec![ChunkHash::of(b"one")]).await;
    assert_eq!(told(before).await.unwrap(), [false]);
    world.later(10);
    condemn(&bob, b"one").await;
    world.later(10);
    assert_eq!(told(after).await.unwrap(), [true]);
    assert_eq!(collect(&bob, b"one", i64::MAX).await, 0, "the first upload was told it is there");
    ann.db.close_upload(ann.id, before).await.unwrap();
    assert_eq!(collect(&bob, b"one", i64::MAX).await, 1, "the second was not");
}

async fn a_mark_is_no_older_than_an_open_upload(world: &World) {
    let ann = world.account("ann").await;
    ann.content(b"one").await;
    let began = world.now();
    world.later(10);
    let upload = UploadId::new();
    let hashes = vec![ChunkHash::of(b"one")];
    let missing = ann.db.missing(ann.upload(upload), hashes.clone()).await.unwrap();
    assert_eq!(missing, [false], "a run of the collector is under way");
    assert_eq!(ann.db.condemn(hashes, i64::MAX, began).await.unwrap(), 1);
    assert_eq!(collect(&ann, b"one", i64::MAX).await, 0, "it was told that the chunk is there");
    ann.db.close_upload(ann.id, upload).await.unwrap();
    assert_eq!(collect(&ann, b"one", i64::MAX).await, 1);
}

async fn the_store_knows_when_it_was_last_collected(world: &World) {
    let made = world.db().store().await.unwrap().collected_at;
    assert!(made > 0, "a new store has been collected");
    world.db().note_collected(made + 10).await.unwrap();
    world.reopen();
    assert_eq!(world.db().store().await.unwrap().collected_at, made + 10);
}

async fn a_store_that_is_not_where_it_was_is_another_epoch(world: &World) {
    let settle = async |home: &str| {
        let rose = world.db().settle(home.to_owned(), world.now()).await.unwrap();
        (rose, world.db().store().await.unwrap().epoch)
    };
    let ann = world.account("ann").await;
    assert_eq!(settle("here").await, (false, 1), "its first start");
    assert_eq!(settle("here").await, (false, 1));
    let (rose, copy) = settle("a copy").await;
    assert!(rose && copy > 1);
    assert_eq!(ann.db.start(ann.id).await.unwrap().epoch, copy, "cursors are judged by it");
    assert_eq!(settle("a copy").await, (false, copy));
    world.later(-1_000_000);
    assert_eq!(settle("here").await, (true, copy + 1), "it rises whatever the clock says");
    world.later(2_000_000);
    let (_, later) = settle("a second copy").await;
    assert!(later > copy + 1, "two copies of one store have nothing in common");
}

async fn tombstones_are_pruned_and_the_horizon_rises(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let horizon = async |person: &Person| person.db.start(person.id).await.unwrap().horizon;
    for name in ["/1", "/2", "/3"] {
        ann.put(name, b"1").await;
        bob.put(name, b"1").await;
    }
    ann.rm("/1").await;
    ann.rm("/2").await;
    let (old, before) = (ann.head().await, world.now() + 1);
    world.later(10);
    ann.rm("/3").await;
    bob.rm("/3").await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    assert_eq!(horizon(&ann).await, Modseq(0));
    let prune = async |rows| ann.db.prune_tombstones(before, rows).await.unwrap();
    assert_eq!((prune(1).await, prune(1).await, prune(1).await), (1, 1, 0), "some at a time");
    assert_eq!((horizon(&ann).await, horizon(&bob).await), (old, Modseq(0)));
    assert_eq!(ann.news(old).await, ["remove /3"], "what is younger is told still");
    assert_eq!(bob.news(Modseq(0)).await.last().map(String::as_str), Some("remove /3"));
}

async fn whoever_refers_to_a_chunk_saves_it(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let chunk = b"one";
    let one = ann.content(chunk).await;
    ann.put("/standing", chunk).await;
    let other = ann.content(b"two").await;
    let list = || manifest(vec![piece(chunk), piece(b"two")]);
    let open = ann.db.open_content(6, other.digest, world.now()).await.unwrap();
    let message = || ann.message(&[&bob], "");
    for way in 0..8 {
        condemn(&ann, chunk).await;
        match way {
            0 => drop(ann.db.write_file(ann.writing("/a", one)).await.unwrap()),
            1 => drop(ann.commit("/b", vec![file("c", one)]).await.unwrap()),
            2 => drop(ann.stage(ann.plan("/d"), vec![file("e", one)]).await.unwrap()),
            3 => drop(ann.db.add_contents(ann.id, vec![list()], world.now()).await.unwrap()),
            4 => {
                let pieces = vec![piece(chunk), piece(b"two")];
                ann.db.append_pieces(ann.id, open, 0, pieces).await.unwrap();
            }
            5 => {
                let attachments = vec![attached("f", AttachmentSource::Content(one))];
                ann.db.send(NewMessage { attachments, ..message() }).await.unwrap();
            }
            6 => drop(
                ann.db.send(NewMessage { body: Body::Stored(one), ..message() }).await.unwrap(),
            ),
            _ => {
                let attachments = vec![attached("f", AttachmentSource::Path(ann.at("/standing")))];
                ann.db.send(NewMessage { attachments, ..message() }).await.unwrap();
            }
        }
        assert_eq!(collect(&ann, chunk, i64::MAX).await, 0, "way {way}");
        assert!(matches!(state(&ann, chunk).await, ChunkState::Stored(_)), "way {way}");
    }
    condemn(&ann, chunk).await;
    ann.cp("/standing", "/copy").await.unwrap();
    assert!(matches!(state(&ann, chunk).await, ChunkState::Stored(_)), "a copy");
    condemn(&ann, chunk).await;
    let plan = CommitPlan { held: true, ..ann.plan("/held") };
    ann.stage(plan, vec![folder("a"), file("a/b", one)]).await.unwrap();
    assert!(matches!(state(&ann, chunk).await, ChunkState::Stored(_)), "what is held");
}

async fn contents_go_in_two_passes(world: &World) {
    let ann = world.account("ann").await;
    let gone = ann.long(&[b"one", b"two"]).await;
    let stays = ann.long(&[b"one", b"three"]).await;
    ann.db.write_file(ann.writing("/a", gone)).await.unwrap();
    ann.db.write_file(ann.writing("/b", stays)).await.unwrap();
    let sweep = async |before| ann.db.sweep_contents(before, world.now(), 500).await.unwrap();
    assert_eq!(sweep(i64::MAX).await, 0);
    assert_eq!(sweep(i64::MAX).await, 0, "both are used");
    ann.put("/a", b"other").await;
    assert_eq!((sweep(i64::MAX).await, sweep(i64::MAX).await), (0, 0), "a past version uses it");
    ann.rm("/a").await;
    while ann.db.purge_trash(i64::MAX).await.unwrap() {}
    world.later(10);
    assert_eq!(sweep(i64::MAX).await, 0, "it is marked");
    let marked = world.now();
    world.later(10);
    assert_eq!(sweep(marked - 1).await, 0, "it is kept for a while");
    assert_eq!(sweep(marked).await, 1);
    let left = ann.db.manifests(ManifestKey(0), 9).await.unwrap();
    assert_eq!((left.len(), left[0].key), (1, stays.manifest.unwrap()));
    assert_eq!(referred(&ann).await, names(&[b"one", b"three"]), "its list has gone with it");
}

async fn many_contents_go_in_one_run(world: &World) {
    let ann = world.account("ann").await;
    ann.content(b"one").await;
    ann.content(b"two").await;
    let lists = (1..=40).map(|ones| {
        let mut pieces = vec![piece(b"one"); ones];
        pieces.push(piece(b"two"));
        manifest(pieces)
    });
    ann.db.add_contents(ann.id, lists.collect(), world.now()).await.unwrap();
    let sweep = async |before| ann.db.sweep_contents(before, world.now(), 10).await.unwrap();
    assert_eq!(sweep(world.now()).await, 0);
    assert_eq!(sweep(world.now()).await, 40, "however few rows a job has");
    assert_eq!(ann.db.manifests(ManifestKey(0), 9).await.unwrap(), []);
}

async fn a_content_that_an_upload_has_recorded_waits_for_its_end(world: &World) {
    let ann = world.account("ann").await;
    // A run that began before the upload marks what the upload has recorded.
    let began = world.now();
    let sweep = async |before| ann.db.sweep_contents(before, began, 500).await.unwrap();
    world.later(10);
    let upload = UploadId::new();
    let pieces = ann.fill(upload, &[b"one", b"two"]).await.unwrap();
    ann.db.add_contents(ann.id, vec![manifest(pieces)], world.now()).await.unwrap();
    assert_eq!(sweep(i64::MAX).await, 0, "it is marked");
    assert_eq!(sweep(i64::MAX).await, 0, "the upload is open");
    ann.db.close_upload(ann.id, upload).await.unwrap();
    assert_eq!(sweep(world.now() - 1).await, 0, "the mark is no older than the upload");
    assert_eq!(sweep(world.now()).await, 1);
}

async fn a_content_that_is_wanted_again_stays(world: &World) {
    let ann = world.account("ann").await;
    let sweep = async || ann.db.sweep_contents(i64::MAX, world.now(), 500).await.unwrap();
    let first = ann.long(&[b"one", b"two"]).await;
    assert_eq!(sweep().await, 0, "it is marked");
    assert_eq!(ann.long(&[b"one", b"two"]).await, first, "recorded again: the mark goes");
    assert_eq!(sweep().await, 0, "it is marked anew");
    ann.db.write_file(ann.writing("/a", first)).await.unwrap();
    assert_eq!((sweep().await, sweep().await), (0, 0));
    assert_eq!(ann.db.pieces(first, 0, 9).await.unwrap().1.len(), 2);
    // One that is still coming in is kept as long as more of it comes.
    let open = ann.db.open_content(6, first.digest, world.now()).await.unwrap();
    sweep().await;
    ann.db.append_pieces(ann.id, open, 0, vec![piece(b"one")]).await.unwrap();
    assert_eq!(sweep().await, 0);
    assert_eq!(sweep().await, 1, "and no longer");
}

async fn a_chunk_moves_only_from_where_it_was(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let before = ann.db.chunks(None, 9).await.unwrap()[0];
    let there = ChunkPlace { pack: PackId::new(), offset: 9, length: 3 };
    let relocate = async |from, to| {
        ann.db.relocate(vec![(before.hash, from, to)]).await.unwrap();
        ann.db.chunks(None, 9).await.unwrap()[0].place
    };
    for wrong in [
        ChunkPlace { offset: before.place.offset + 1, ..before.place },
        ChunkPlace { pack: PackId::new(), ..before.place },
    ] {
        assert_eq!(relocate(wrong, there).await, before.place, "it has moved meanwhile");
    }
    assert_eq!(relocate(before.place, there).await, there);
    assert_eq!(relocate(before.place, ann.place(3)).await, there);
    assert_eq!(ann.db.last_places().await.unwrap().get(&there.pack), Some(&there));
}

async fn packs_are_known_by_what_is_in_them(world: &World) {
    let ann = world.account("ann").await;
    ann.content(b"one").await;
    ann.content(b"three").await;
    let other = ChunkPlace { pack: PackId::new(), offset: 0, length: 4 };
    ann.db.adopt(vec![(ChunkHash::of(b"four"), other)], world.now()).await.unwrap();
    let uses = ann.db.pack_uses().await.unwrap();
    let mut found: Vec<_> =
        uses.iter().map(|pack| (pack.pack == other.pack, pack.chunks, pack.bytes)).collect();
    found.sort_unstable();
    assert_eq!(found, [(false, 2, 8), (true, 1, 4)]);
    let pack = uses.iter().find(|pack| pack.chunks == 2).unwrap().pack;
    let rows = ann.db.chunks_of(pack, 0, 9).await.unwrap();
    let hashes: Vec<ChunkHash> = rows.iter().map(|row| row.hash).collect();
    assert_eq!(hashes, [ChunkHash::of(b"one"), ChunkHash::of(b"three")], "as they lie there");
    assert_eq!(ann.db.chunks_of(pack, 0, 1).await.unwrap(), rows[..1]);
    assert_eq!(ann.db.chunks_of(pack, rows[0].place.offset + 1, 9).await.unwrap(), rows[1..]);
    assert_eq!(ann.db.chunks_of(PackId::new(), 0, 9).await.unwrap(), []);
    let last = ann.db.last_places().await.unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!((last.get(&pack), last.get(&other.pack)), (Some(&rows[1].place), Some(&other)));
}

async fn an_empty_pack_is_forgotten_when_its_file_is_gone(world: &World) {
    let ann = world.account("ann").await;
    ann.content(b"one").await;
    let pack = ann.db.pack_uses().await.unwrap()[0].pack;
    // One whose chunks were all refused has no row yet.
    let unknown = PackId::new();
    let noted = world.now();
    for pack in [pack, unknown] {
        ann.db.note_empty(pack, noted).await.unwrap();
    }
    let empty = async |before| ann.db.empty_packs(before).await.unwrap();
    assert_eq!(empty(noted).await, [unknown], "the other holds a chunk");
    condemn(&ann, b"one").await;
    assert_eq!(collect(&ann, b"one", i64::MAX).await, 1);
    world.later(10);
    for pack in [pack, unknown] {
        ann.db.note_empty(pack, world.now()).await.unwrap();
    }
    assert_eq!(empty(noted).await, [unknown], "since when it was empty stays");
    assert_eq!(empty(noted - 1).await, []);
    assert_eq!(empty(world.now()).await.len(), 2);
    for pack in [pack, unknown, pack] {
        ann.db.forget_pack(pack).await.unwrap();
    }
    assert_eq!((empty(i64::MAX).await, ann.db.pack_uses().await.unwrap().len()), (vec![], 0));
}

async fn a_pack_that_fills_again_is_not_empty(world: &World) {
    let ann = world.account("ann").await;
    let place = ann.place(3);
    ann.db.note_empty(place.pack, world.now()).await.unwrap();
    let (one, two) = (ChunkHash::of(b"one"), ChunkHash::of(b"two"));
    let emptied = async |hash| {
        world.later(10);
        ann.db.condemn(vec![hash], i64::MAX, world.now()).await.unwrap();
        assert_eq!(ann.db.collect(vec![hash], i64::MAX).await.unwrap(), (1, 3));
        let before = ann.db.empty_packs(i64::MAX).await.unwrap();
        assert_eq!(before, [], "since when it is empty is not known yet");
        ann.db.note_empty(place.pack, world.now()).await.unwrap();
        assert_eq!(ann.db.empty_packs(world.now() - 1).await.unwrap(), []);
        assert_eq!(ann.db.empty_packs(world.now()).await.unwrap(), [place.pack]);
    };
    // Synced before it was noted, registered after.
    ann.db.adopt(vec![(one, place)], world.now()).await.unwrap();
    emptied(one).await;
    let elsewhere = ChunkPlace { pack: PackId::new(), ..place };
    ann.db.adopt(vec![(two, elsewhere)], world.now()).await.unwrap();
    ann.db.relocate(vec![(two, elsewhere, place)]).await.unwrap();
    emptied(two).await;
}

async fn chunks_are_listed_in_pages(world: &World) {
    let ann = world.account("ann").await;
    let chunks: Vec<[u8; 1]> = (0..20).map(|byte| [byte]).collect();
    let slices: Vec<&[u8]> = chunks.iter().map(<[u8; 1]>::as_slice).collect();
    ann.fill(UploadId::new(), &slices).await.unwrap();
    let expected: Vec<ChunkHash> = names(&slices).into_iter().collect();
    for size in [1, 3, 20, 21] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = ann.db.chunks(after, size).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.hash);
            found.extend(page.iter().map(|row| row.hash));
        }
        assert_eq!(found, expected, "in pages of {size}");
    }
}

async fn found_chunks_belong_to_nobody(world: &World) {
    let ann = world.account("ann").await;
    let place = ann.place(3);
    ann.content(b"known").await;
    let known = state(&ann, b"known").await;
    let found = vec![(ChunkHash::of(b"one"), place), (ChunkHash::of(b"known"), ann.place(5))];
    for _again in 0..2 {
        ann.db.adopt(found.clone(), world.now()).await.unwrap();
    }
    assert_eq!(state(&ann, b"one").await, ChunkState::Stored(place));
    assert_eq!(state(&ann, b"known").await, known, "it stays where it is");
    assert_eq!(ann.missing(&[b"one", b"known"]).await, [true, false]);
}

async fn who_uses_a_chunk_is_said_in_words(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let long = ann.long(&[b"one", b"two"]).await;
    ann.db.write_file(ann.writing("/d/long", long)).await.unwrap();
    ann.put("/d/one", b"one").await;
    let past = version(&ann.put("/d/past", b"one").await);
    ann.put("/d/past", b"other").await;
    ann.put("/gone", b"one").await;
    ann.rm("/gone").await;
    let attachments = vec![attached("f", AttachmentSource::Path(ann.at("/d/one")))];
    let message = NewMessage { attachments, ..ann.message(&[&bob], "") };
    let sent: MessageId = ann.db.send(message).await.unwrap().id;
    let users = async |bytes: &[u8], limit| {
        let mut users = ann.db.users_of(ChunkHash::of(bytes), limit).await.unwrap();
        users.sort();
        users
    };
    let all = users(b"one", 99).await;
    for user in ["ann:/d/long", "ann:/d/one", "ann:/d/past"] {
        assert!(all.iter().any(|found| found == user), "{user} of {all:?}");
    }
    assert!(all.contains(&format!("message {sent}")), "{all:?}");
    assert_eq!((all.len(), users(b"one", 2).await.len()), (5, 2), "{all:?}");
    assert_eq!(users(b"two", 99).await, ["ann:/d/long"]);
    assert_eq!(users(b"nobody's", 99).await, Vec::<String>::new());
    assert!(ann.db.version(ann.id.into(), past).await.is_ok());
}
