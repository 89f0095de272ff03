//! Stories of quotas: what an account and its uploads hold never passes it, and what goes before
//! anything is refused goes in its order.

use crate::db::FileWrite;
use crate::db::contract::people::{Person, content, refused, version};
use crate::db::contract::{World, stories};
use crate::error::{Kind, Result};
use crate::model::{Content, UploadId, VersionId};

stories! {
    uploads_are_held_to_the_quota
    a_refusal_names_all_of_an_upload
    files_are_held_to_the_quota
    two_paths_and_past_versions_count
    idle_uploads_then_the_trash_then_past_versions_make_room
    an_upload_under_way_makes_no_room
    what_is_refused_evicts_nothing
    an_upload_that_brought_nothing_is_left_alone
    room_is_made_for_a_write_too
    many_at_once_never_pass_the_quota
    sizes_past_all_bounds_are_refused
    an_account_past_a_lowered_quota_can_still_remove
}

/// Bytes that are like no others of another number.
fn bytes(number: u8, length: usize) -> Vec<u8> {
    vec![number; length]
}

async fn put(person: &Person, at: &str, number: u8, length: usize) -> VersionId {
    version(&person.put(at, &bytes(number, length)).await)
}

async fn has_version(person: &Person, version: VersionId) -> bool {
    person.db.versions(person.id.into(), vec![version]).await.unwrap()[0].is_some()
}

async fn reserve(person: &Person, bytes: u64) -> Result<()> {
    person.db.reserve(person.upload(UploadId::new()), bytes).await
}

async fn uploads_are_held_to_the_quota(world: &World) {
    let ann = world.account_with("ann", 100).await;
    let upload = UploadId::new();
    ann.fill(upload, &[&bytes(1, 60)]).await.unwrap();
    assert_eq!(refused(ann.fill(upload, &[&bytes(2, 41)]).await), Kind::QuotaExceeded);
    assert_eq!(ann.missing(&[&bytes(2, 41)]).await, [true], "what was refused is not kept");
    assert_eq!(refused(reserve(&ann, 41).await), Kind::QuotaExceeded);
    reserve(&ann, 40).await.unwrap();
    ann.fill(upload, &[&bytes(1, 60)]).await.unwrap();
    ann.fill(upload, &[&bytes(3, 40)]).await.unwrap();
    assert_eq!(refused(reserve(&ann, 1).await), Kind::QuotaExceeded, "the same is not new");
    ann.db.close_upload(ann.id, upload).await.unwrap();
    reserve(&ann, 100).await.unwrap();
    assert_eq!(ann.used().await, 0);
}

async fn a_refusal_names_all_of_an_upload(world: &World) {
    let ann = world.account_with("ann", 100).await;
    let upload = UploadId::new();
    ann.fill(upload, &[&bytes(1, 60)]).await.unwrap();
    let told = ann.fill(upload, &[&bytes(2, 41)]).await.unwrap_err().message().to_owned();
    assert!(told.contains("0 of 100 bytes are used, and at least 101 would be added"), "{told}");
    assert!(!told.contains("remove"), "there is nothing to remove: {told}");
    let told = reserve(&ann, 41).await.unwrap_err().message().to_owned();
    assert!(told.contains("other uploads under way have brought 60"), "{told}");
    assert!(told.ends_with("try again when the other uploads have ended"), "{told}");
    ann.db.close_upload(ann.id, upload).await.unwrap();
    put(&ann, "/a", 1, 60).await;
    let told = ann.cp("/a", "/b").await.unwrap_err().message().to_owned();
    assert!(told.contains("60 of 100 bytes are used, and 60 would be added; remove"), "{told}");
}

async fn files_are_held_to_the_quota(world: &World) {
    let ann = world.account_with("ann", 100).await;
    put(&ann, "/a", 1, 60).await;
    let upload = UploadId::new();
    ann.fill(upload, &[&bytes(2, 40)]).await.unwrap();
    let write = FileWrite { upload: Some(upload), ..ann.writing("/b", content(&bytes(2, 40))) };
    ann.db.write_file(write).await.unwrap();
    assert_eq!(ann.used().await, 100, "what the upload held is what the file holds");
    assert_eq!(refused(ann.cp("/b", "/c").await), Kind::QuotaExceeded);
    assert!(!ann.stands("/c").await);
    assert_eq!(ann.used().await, 100);
    assert!(ann.db.write_file(ann.writing("/empty", Content::empty())).await.is_ok());
}

async fn two_paths_and_past_versions_count(world: &World) {
    let ann = world.account("ann").await;
    put(&ann, "/a", 1, 10).await;
    ann.cp("/a", "/b").await.unwrap();
    assert_eq!(ann.used().await, 20);
    put(&ann, "/a", 2, 5).await;
    assert_eq!(ann.used().await, 25);
    put(&ann, "/a", 2, 5).await;
    assert_eq!(ann.used().await, 25, "the same again is nothing new");
    ann.mv("/a", "/b").await.unwrap();
    ann.rm("/b").await;
    assert_eq!(ann.used().await, 25, "the trash counts");
}

async fn idle_uploads_then_the_trash_then_past_versions_make_room(world: &World) {
    let ann = world.account_with("ann", 100).await;
    let older = put(&ann, "/v", 1, 10).await;
    world.later(1_000);
    let newer = put(&ann, "/v", 2, 10).await;
    world.later(1_000);
    put(&ann, "/v", 3, 10).await;
    put(&ann, "/first", 4, 10).await;
    put(&ann, "/second", 5, 10).await;
    ann.rm("/first").await;
    world.later(1_000);
    ann.rm("/second").await;
    ann.fill(UploadId::new(), &[&bytes(6, 10)]).await.unwrap();
    assert_eq!(ann.used().await, 50);
    world.later(120_000);
    let gone = async || {
        let versions = [has_version(&ann, older).await, has_version(&ann, newer).await];
        (ann.used().await, versions)
    };
    reserve(&ann, 40).await.unwrap();
    assert_eq!(gone().await, (50, [true, true]), "it fits as it is");
    reserve(&ann, 50).await.unwrap();
    assert_eq!(gone().await, (50, [true, true]), "the idle upload went");
    reserve(&ann, 60).await.unwrap();
    assert_eq!(gone().await, (40, [true, true]), "what was removed first went");
    let trash = ann.db.purge_trash(i64::MAX).await.unwrap();
    assert!(trash, "the second is still there");
    assert_eq!(gone().await, (30, [true, true]));
    reserve(&ann, 71).await.unwrap();
    assert_eq!(gone().await, (20, [false, true]), "the oldest version went");
    reserve(&ann, 90).await.unwrap();
    assert_eq!(gone().await, (10, [false, false]));
    assert_eq!(refused(reserve(&ann, 91).await), Kind::QuotaExceeded);
    assert!(ann.stands("/v").await, "what stands stays");
}

async fn an_upload_under_way_makes_no_room(world: &World) {
    let (ann, bob) = (world.account_with("ann", 100).await, world.account_with("bob", 100).await);
    bob.fill(UploadId::new(), &[&bytes(1, 100)]).await.unwrap();
    ann.fill(UploadId::new(), &[&bytes(2, 60)]).await.unwrap();
    world.later(119_999);
    assert_eq!(refused(reserve(&ann, 41).await), Kind::QuotaExceeded);
    world.later(1);
    reserve(&ann, 41).await.unwrap();
    world.later(-120_000);
    assert_eq!(refused(reserve(&bob, 1).await), Kind::QuotaExceeded, "bob's upload stays");
}

async fn what_is_refused_evicts_nothing(world: &World) {
    let ann = world.account_with("ann", 100).await;
    put(&ann, "/live", 1, 50).await;
    let past = put(&ann, "/v", 2, 10).await;
    put(&ann, "/v", 3, 10).await;
    put(&ann, "/trash", 4, 10).await;
    ann.rm("/trash").await;
    ann.fill(UploadId::new(), &[&bytes(5, 10)]).await.unwrap();
    world.later(120_000);
    assert_eq!(refused(reserve(&ann, 41).await), Kind::QuotaExceeded);
    assert_eq!(refused(ann.cp("/live", "/copy").await), Kind::QuotaExceeded);
    assert_eq!(ann.used().await, 80);
    assert!(has_version(&ann, past).await);
    assert_eq!(ann.db.end_leases(i64::MAX, i64::MIN).await.unwrap(), 1, "the upload");
    reserve(&ann, 40).await.unwrap();
}

async fn an_upload_that_brought_nothing_is_left_alone(world: &World) {
    let ann = world.account_with("ann", 100).await;
    let upload = UploadId::new();
    ann.db.missing(ann.upload(upload), vec![]).await.unwrap();
    put(&ann, "/trash", 1, 60).await;
    ann.rm("/trash").await;
    world.later(120_000);
    put(&ann, "/a", 2, 60).await;
    assert_eq!(ann.used().await, 60, "the trash went");
    assert_eq!(ann.db.end_leases(i64::MAX, i64::MIN).await.unwrap(), 1, "the upload did not");
}

async fn room_is_made_for_a_write_too(world: &World) {
    let ann = world.account_with("ann", 100).await;
    put(&ann, "/a", 1, 40).await;
    put(&ann, "/a", 2, 40).await;
    put(&ann, "/folder/below", 3, 20).await;
    ann.rm("/folder").await;
    put(&ann, "/b", 4, 20).await;
    assert_eq!(ann.used().await, 100, "the trash went, whole");
    put(&ann, "/c", 5, 30).await;
    assert_eq!(ann.used().await, 90, "the past version went");
}

async fn many_at_once_never_pass_the_quota(world: &World) {
    let ann = world.account_with("ann", 300).await;
    let writes: Vec<_> = (0..64_u8)
        .map(|number| {
            let ann = ann.clone();
            tokio::spawn(async move {
                let upload = UploadId::new();
                ann.fill(upload, &[&bytes(number, 10)]).await?;
                let write = ann.writing(&format!("/file{number}"), content(&bytes(number, 10)));
                ann.db.write_file(FileWrite { upload: Some(upload), ..write }).await
            })
        })
        .collect();
    let mut written = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(_) => written += 1,
            Err(error) => assert_eq!(error.kind(), Kind::QuotaExceeded),
        }
        assert!(ann.used().await <= 300);
    }
    assert_eq!((written, ann.used().await, ann.ls("/").await.len()), (30, 300, 30));
}

async fn sizes_past_all_bounds_are_refused(world: &World) {
    let ann = world.account_with("ann", 100).await;
    put(&ann, "/a", 1, 1).await;
    let most = i64::MAX.unsigned_abs();
    assert_eq!(refused(reserve(&ann, most).await), Kind::QuotaExceeded);
    assert_eq!(refused(reserve(&ann, most - 1).await), Kind::QuotaExceeded);
    assert_eq!(refused(reserve(&ann, most + 1).await), Kind::LimitExceeded);
    assert_eq!(refused(reserve(&ann, u64::MAX).await), Kind::LimitExceeded);
    assert!(ann.stands("/a").await);
}

async fn an_account_past_a_lowered_quota_can_still_remove(world: &World) {
    let ann = world.account("ann").await;
    put(&ann, "/a", 1, 60).await;
    put(&ann, "/b", 2, 60).await;
    ann.db.set_quota(&ann.name, Some(50)).await.unwrap();
    assert_eq!(refused(ann.fill(UploadId::new(), &[b"c"]).await), Kind::QuotaExceeded);
    ann.mkdir("/folder").await;
    ann.mv("/a", "/folder/a").await.unwrap();
    ann.rm("/folder").await;
    ann.rm("/b").await;
    put(&ann, "/c", 3, 50).await;
    assert_eq!((ann.used().await, ann.tree("/").await), (50, vec!["/c".to_owned()]));
}
