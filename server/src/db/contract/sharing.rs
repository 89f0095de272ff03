//! Stories of sharing: what others see and may do in a tree, and until when.

use std::collections::HashMap;

use crate::db::contract::people::{
    content, file, folder, path, paths, refused, request, symlink, version,
};
use crate::db::contract::{World, named, stories};
use crate::db::{
    AttachmentSource, CommitPlan, EntryKind, FileWrite, MemberChange, NewGrant, Position,
    Relocation, Upload,
};
use crate::error::{Kind, Result};
use crate::model::{AccountId, GroupName, Right, UploadId};

stories! {
    nothing_is_seen_of_what_is_not_shared
    what_is_shared_to_be_read_cannot_be_changed
    what_is_shared_to_be_written_is_written_for_its_owner
    what_is_shared_itself_stays_where_it_is
    what_is_shared_itself_stays_what_it_is
    a_commit_tells_nothing_of_a_base_that_is_not_shared
    what_an_account_may_hold_is_told_to_itself_alone
    nothing_is_moved_from_one_owner_to_another
    a_grant_goes_where_its_entry_goes
    the_higher_of_two_rights_counts
    a_group_has_what_was_granted_to_it
    a_file_can_be_shared_alone
    a_commit_needs_the_right_when_it_is_published
    an_upload_counts_against_the_tree_it_is_for
    a_copy_counts_against_the_tree_it_comes_to
    what_may_be_read_may_be_attached
    grants_are_listed_by_who_made_them
    grants_are_listed_by_who_has_them
    only_what_exists_is_shared_with_whom_exists
    a_repeated_grant_is_one
}

async fn nothing_is_seen_of_what_is_not_shared(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    let past = ann.put("/a/secret", b"one").await;
    let secret = ann.put("/a/secret", b"two").await;
    ann.put("/b/open", b"two").await;
    ann.share("/b", "bob", Right::Write).await;
    for at in ["/", "/a", "/a/secret", "/a/secret/x", "/a/absent", "/absent"] {
        assert_eq!(refused(visit.stat(at).await), Kind::NotFound, "stat {at}");
        assert_eq!(refused(visit.tree(at).await), Kind::NotFound, "list {at}");
        assert_eq!(refused(visit.put(at, b"x").await), Kind::NotFound, "put {at}");
        assert_eq!(refused(visit.mkdir(at).await), Kind::NotFound, "mkdir {at}");
        assert_eq!(refused(visit.rm(at).await), Kind::NotFound, "rm {at}");
        assert_eq!(refused(visit.mv(at, "/b/x").await), Kind::NotFound, "mv {at}");
        // Of a root all know that it is there.
        let taken = if at == "/" { Kind::InvalidArgument } else { Kind::NotFound };
        assert_eq!(refused(visit.mv("/b/open", at).await), taken, "mv to {at}");
    }
    for entry in [&past, &secret] {
        assert_eq!(refused(visit.read(version(entry)).await), Kind::NotFound);
    }
    assert_eq!(ann.tree("/").await, ["/a", "/a/secret", "/b", "/b/open"]);
}

async fn what_is_shared_to_be_read_cannot_be_changed(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    let past = ann.put("/a/b/file", b"one").await;
    let file = ann.put("/a/b/file", b"two").await;
    ann.share("/a", "bob", Right::Read).await;
    assert_eq!(visit.stat("/a/b/file").await.unwrap(), file);
    assert_eq!(visit.tree("/a").await.unwrap(), ["/a/b", "/a/b/file"]);
    assert_eq!(visit.read(version(&file)).await.unwrap(), content(b"two"));
    assert_eq!(visit.read(version(&past)).await.unwrap(), content(b"one"), "past versions too");
    for at in ["/a", "/a/b", "/a/b/file", "/a/new", "/a/b/new"] {
        assert_eq!(refused(visit.put(at, b"x").await), Kind::PermissionDenied, "put {at}");
    }
    assert_eq!(refused(visit.mkdir("/a/new/x").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.rm("/a/b/file").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.rm("/a").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.mv("/a/b/file", "/a/file").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.stat("/a/absent").await), Kind::NotFound);
    assert_eq!(ann.db.highest_right(bob.id, ann.id).await.unwrap(), Some(Right::Read));
    ann.rm("/a/b").await;
    assert_eq!(refused(visit.read(version(&file)).await), Kind::NotFound, "it was removed");
}

async fn what_is_shared_to_be_written_is_written_for_its_owner(world: &World) {
    let (ann, bob) = (world.account_with("ann", 100).await, world.account_with("bob", 100).await);
    let visit = bob.visiting(&ann);
    ann.put("/a/file", b"one").await;
    ann.share("/a", "bob", Right::Write).await;
    assert_eq!(ann.db.highest_right(bob.id, ann.id).await.unwrap(), Some(Right::Write));
    world.told();
    let put = visit.put("/a/x/y", &[b'x'; 60]).await.unwrap();
    assert_eq!((put.account, world.told().contains(&ann.id)), (ann.id, true));
    assert_eq!(ann.stat("/a/x/y").await.unwrap(), put);
    assert_eq!((ann.used().await, bob.used().await), (63, 0));
    assert_eq!(refused(visit.put("/a/z", &[b'z'; 50]).await), Kind::QuotaExceeded, "ann's");
    visit.mv("/a/x/y", "/a/moved").await.unwrap();
    visit.rm("/a/file").await.unwrap();
    assert_eq!(ann.tree("/").await, ["/a", "/a/moved", "/a/x"]);
    assert_eq!(ann.used().await, 63, "what was removed is in ann's trash");
    // The chunks that bob sent for ann are not ann's to name.
    assert_eq!(ann.missing(&[&[b'x'; 60]]).await, [true]);
    assert_eq!(bob.missing(&[&[b'x'; 60]]).await, [false]);
}

async fn what_is_shared_itself_stays_where_it_is(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    ann.put("/a/b/file", b"one").await;
    ann.put("/c/other", b"two").await;
    ann.share("/a/b", "bob", Right::Write).await;
    ann.share("/c", "bob", Right::Read).await;
    assert_eq!(refused(visit.rm("/a/b").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.mv("/a/b", "/a/b2").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.mv("/a/b", "/a/b/b").await), Kind::InvalidArgument);
    assert_eq!(refused(visit.mv("/a/b/file", "/c/file").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.mv("/c/other", "/a/b/other").await), Kind::PermissionDenied);
    ann.share("/c", "bob", Right::Write).await;
    visit.mv("/c/other", "/a/b/other").await.unwrap();
    assert_eq!(ann.tree("/").await, ["/a", "/a/b", "/a/b/file", "/a/b/other", "/c"]);
}

async fn what_is_shared_itself_stays_what_it_is(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    ann.put("/d/file", b"one").await;
    ann.commit("/d", vec![symlink("link", "there")]).await.unwrap();
    for at in ["/d/file", "/d/link"] {
        ann.share(at, "bob", Right::Write).await;
    }
    let commit = async |entry| bob.db.commit(visit.plan("/d"), vec![entry]).await;
    for entry in [symlink("file", "x"), symlink("link", "elsewhere")] {
        assert_eq!(refused(commit(entry).await), Kind::PermissionDenied);
    }
    assert_eq!(refused(visit.put("/d/link", b"two").await), Kind::PermissionDenied);
    visit.put("/d/file", b"two").await.unwrap();
    // Where the folder may be written, so may be what is in it.
    ann.share("/d", "bob", Right::Write).await;
    commit(symlink("link", "elsewhere")).await.unwrap();
    visit.put("/d/link", b"three").await.unwrap();
    assert_eq!(ann.tree("/d").await, ["/d/file", "/d/link"]);
}

async fn a_commit_tells_nothing_of_a_base_that_is_not_shared(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let etag = ann.put("/secret/file", b"one").await.etag();
    let visit = bob.visiting(&ann);
    for base in ["/secret", "/absent"] {
        let plan = visit.plan(base);
        for plan in [
            CommitPlan { if_absent: true, ..plan.clone() },
            CommitPlan { if_etag: Some(etag), ..plan.clone() },
            plan,
        ] {
            let refusal = bob.db.commit(plan.clone(), vec![folder("x")]).await;
            assert_eq!(refused(refusal), Kind::NotFound, "{base} {plan:?}");
            assert_eq!(refused(bob.db.stage_open(plan).await), Kind::NotFound, "{base}");
        }
    }
}

async fn what_an_account_may_hold_is_told_to_itself_alone(world: &World) {
    let (ann, bob) = (world.account_with("ann", 100).await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    ann.mkdir("/a").await;
    ann.share("/a", "bob", Right::Write).await;
    let told = |refusal: Result<()>| {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), Kind::QuotaExceeded);
        error.message().contains("100") || !error.details().is_empty()
    };
    let large = [b'x'; 101];
    assert!(told(ann.db.reserve(ann.upload(UploadId::new()), 101).await));
    assert!(!told(visit.put("/a/x", &large).await.map(drop)));
    let content = bob.content(&large).await;
    let entries = vec![file("x", content)];
    assert!(!told(bob.db.commit(visit.plan("/a"), entries).await.map(drop)));
    let upload = Upload { charged: ann.id, ..bob.upload(UploadId::new()) };
    assert!(!told(bob.db.reserve(upload, 101).await));
}

async fn nothing_is_moved_from_one_owner_to_another(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a/file", b"one").await;
    ann.share("/a", "bob", Right::Write).await;
    let mv = Relocation { source: bob.visiting(&ann).at("/a/file"), ..bob.relocation("/", "/x") };
    assert_eq!(refused(bob.db.move_entry(mv).await), Kind::InvalidArgument);
    assert!(ann.stands("/a/file").await && !bob.stands("/x").await);
}

async fn a_grant_goes_where_its_entry_goes(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    ann.put("/a/b/file", b"one").await;
    ann.share("/a/b", "bob", Right::Read).await;
    ann.mv("/a/b", "/c").await.unwrap();
    assert_eq!(refused(visit.stat("/a/b").await), Kind::NotFound);
    assert_eq!(visit.tree("/c").await.unwrap(), ["/c/file"]);
    ann.rm("/c").await;
    assert_eq!(refused(visit.stat("/c").await), Kind::NotFound);
    ann.mkdir("/c").await;
    assert_eq!(refused(visit.stat("/c").await), Kind::NotFound, "its successor is another entry");
    assert_eq!(ann.db.highest_right(bob.id, ann.id).await.unwrap(), None);
    assert_eq!(ann.db.grants(ann.id, None, None, 9).await.unwrap().grants, []);
    assert!(ann.db.purge_trash(i64::MAX).await.unwrap());
}

async fn the_higher_of_two_rights_counts(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    ann.put("/a/b/c/file", b"one").await;
    ann.share("/a", "bob", Right::Read).await;
    ann.share("/a/b", "bob", Right::Write).await;
    ann.share("/a/b/c", "bob", Right::Read).await;
    visit.put("/a/b/c/file", b"two").await.unwrap();
    assert_eq!(refused(visit.put("/a/file", b"two").await), Kind::PermissionDenied);
    // A later grant on the same entry takes the place of the earlier one.
    ann.share("/a/b", "bob", Right::Read).await;
    assert_eq!(refused(visit.put("/a/b/c/file", b"3").await), Kind::PermissionDenied);
    ann.unshare("/a", "bob").await.unwrap();
    assert_eq!(refused(visit.stat("/a").await), Kind::NotFound);
    assert!(visit.stat("/a/b/c/file").await.is_ok());
    for at in ["/a/b", "/a/b/c"] {
        ann.unshare(at, "bob").await.unwrap();
        assert_eq!(refused(ann.unshare(at, "bob").await), Kind::NotFound);
    }
    assert_eq!(refused(visit.stat("/a/b/c/file").await), Kind::NotFound);
}

async fn a_group_has_what_was_granted_to_it(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let carol = world.account("carol").await;
    let lab = GroupName::parse("lab").unwrap();
    let of = |names: &[&str]| names.iter().map(|name| named(name)).collect::<Vec<_>>();
    let members = MemberChange { include: of(&["bob"]), members_max: 9, ..MemberChange::default() };
    ann.db.create_group(&lab, carol.id, members, 1).await.unwrap();
    ann.put("/a/file", b"one").await;
    ann.share("/a", "@lab", Right::Read).await;
    ann.share("/a", "bob", Right::Write).await;
    assert!(bob.visiting(&ann).put("/a/file", b"two").await.is_ok(), "what bob has by himself");
    let visit = carol.visiting(&ann);
    assert!(visit.stat("/a/file").await.is_ok());
    assert_eq!(refused(visit.put("/a/file", b"3").await), Kind::PermissionDenied);
    ann.unshare("/a", "bob").await.unwrap();
    assert!(bob.visiting(&ann).stat("/a/file").await.is_ok(), "what bob has as one of them");
    let asker = crate::db::GroupAsker { account: carol.id, admin: false };
    let out = MemberChange { exclude: of(&["bob"]), members_max: 9, ..MemberChange::default() };
    carol.db.change_members(&lab, asker, out).await.unwrap();
    assert_eq!(refused(bob.visiting(&ann).stat("/a/file").await), Kind::NotFound);
    carol.db.remove_group(&lab, asker).await.unwrap();
    assert_eq!(refused(visit.stat("/a/file").await), Kind::NotFound);
    assert_eq!(ann.db.grants(ann.id, None, None, 9).await.unwrap().grants, []);
}

async fn a_file_can_be_shared_alone(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    let before = ann.put("/a/file", b"one").await;
    ann.put("/a/other", b"one").await;
    ann.share("/a/file", "bob", Right::Write).await;
    assert_eq!(visit.tree("/a/file").await.unwrap(), ["/a/file"]);
    assert_eq!(refused(visit.tree("/a").await), Kind::NotFound);
    assert_eq!(visit.put("/a/file", b"two").await.unwrap().id, before.id);
    let three = bob.content(b"three").await;
    let commit = |name| bob.db.commit(visit.plan("/a"), vec![file(name, three)]);
    assert_eq!(commit("file").await.unwrap().entries[0].entry.id, before.id);
    assert_eq!(refused(commit("other").await), Kind::NotFound);
    assert_eq!(refused(commit("new").await), Kind::NotFound);
    assert_eq!(refused(visit.rm("/a/file").await), Kind::PermissionDenied);
    assert_eq!(refused(visit.put("/a/file/x", b"x").await), Kind::FailedPrecondition);
    let nothing = bob.db.commit(visit.plan("/a"), Vec::new()).await;
    assert_eq!(refused(nothing), Kind::NotFound, "a commit of nothing tells nothing");
}

async fn a_commit_needs_the_right_when_it_is_published(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let visit = bob.visiting(&ann);
    let one = bob.content(b"one").await;
    ann.put("/a/file", b"zero").await;
    for base in ["/a/new", "/a"] {
        let plan = visit.plan(base);
        assert_eq!(refused(bob.db.stage_open(plan.clone()).await), Kind::NotFound, "{base}");
        ann.share("/a", "bob", Right::Write).await;
        let staged = bob.db.stage_open(plan.clone()).await.unwrap();
        bob.db.stage(&staged, &plan, vec![file("x", one)]).await.unwrap();
        ann.share("/a", "bob", Right::Read).await;
        let late = bob.db.publish(&staged, plan.clone()).await;
        assert_eq!(refused(late), Kind::PermissionDenied, "{base}");
        ann.share("/a", "bob", Right::Write).await;
        bob.db.publish(&staged, plan).await.unwrap();
        ann.unshare("/a", "bob").await.unwrap();
    }
    assert_eq!(ann.tree("/").await, ["/a", "/a/file", "/a/new", "/a/new/x", "/a/x"]);
    assert_eq!((ann.used().await, bob.used().await), (10, 0));
}

async fn an_upload_counts_against_the_tree_it_is_for(world: &World) {
    let (ann, bob) = (world.account_with("ann", 100).await, world.account_with("bob", 10).await);
    let visit = bob.visiting(&ann);
    ann.mkdir("/a").await;
    ann.share("/a", "bob", Right::Write).await;
    let (id, bytes) = (UploadId::new(), [b'x'; 60]);
    let upload = || Upload { charged: ann.id, ..bob.upload(id) };
    let staged = async |id: AccountId| bob.db.usage(id).await.unwrap().staged;
    bob.db.reserve(upload(), 100).await.unwrap();
    assert_eq!(refused(bob.db.reserve(upload(), 101).await), Kind::QuotaExceeded);
    bob.db.register(upload(), vec![bob.arrived(&bytes)]).await.unwrap();
    assert_eq!((staged(ann.id).await, staged(bob.id).await), (60, 0));
    let more = bob.db.register(upload(), vec![bob.arrived(&[b'y'; 50])]).await;
    assert_eq!(refused(more), Kind::QuotaExceeded);
    let mine = bob.db.missing(bob.upload(id), Vec::new()).await;
    assert_eq!(refused(mine), Kind::InvalidArgument, "it was begun for ann's tree");
    let write = bob.writing("/", content(&bytes));
    let write = FileWrite { at: visit.at("/a/x"), upload: Some(id), ..write };
    bob.db.write_file(write).await.unwrap();
    assert_eq!((ann.used().await, staged(ann.id).await), (60, 0));
}

async fn a_copy_counts_against_the_tree_it_comes_to(world: &World) {
    let (ann, bob) = (world.account_with("ann", 10).await, world.account_with("bob", 4).await);
    let visit = bob.visiting(&ann);
    ann.put("/a/file", b"one").await;
    let cp = |target| Relocation { source: visit.at("/a/file"), ..bob.relocation("/", target) };
    assert_eq!(refused(bob.db.copy_entry(cp("/file")).await), Kind::NotFound);
    ann.share("/a", "bob", Right::Read).await;
    let copy = bob.db.copy_entry(cp("/file")).await.unwrap();
    assert_eq!((copy.account, bob.used().await, ann.used().await), (bob.id, 3, 3));
    assert_eq!(refused(bob.db.copy_entry(cp("/again")).await), Kind::QuotaExceeded);
    let back = Relocation { target: visit.at("/a/back"), ..bob.relocation("/file", "/") };
    assert_eq!(refused(bob.db.copy_entry(back.clone()).await), Kind::PermissionDenied);
    ann.share("/a", "bob", Right::Write).await;
    assert_eq!(bob.db.copy_entry(back).await.unwrap().account, ann.id);
    assert_eq!((bob.used().await, ann.used().await), (3, 6));
    ann.unshare("/a", "bob").await.unwrap();
    assert!(bob.stands("/file").await, "it is bob's own");
}

async fn what_may_be_read_may_be_attached(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a/file", b"one").await;
    let source = || AttachmentSource::Path(bob.visiting(&ann).at("/a/file"));
    let message = || {
        let attachments = vec![crate::db::contract::people::attached("f", source())];
        crate::db::NewMessage { attachments, ..bob.message(&[&bob], "see") }
    };
    assert_eq!(refused(bob.db.send(message()).await), Kind::NotFound);
    ann.share("/a/file", "bob", Right::Read).await;
    bob.db.send(message()).await.unwrap();
}

async fn grants_are_listed_by_who_made_them(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    world.account("carol").await;
    for at in ["/a/x", "/b", "/c"] {
        ann.put(at, b"1").await;
        ann.share(at, "carol", Right::Write).await;
        ann.share(at, "bob", Right::Read).await;
    }
    ann.share("/", "carol", Right::Read).await;
    bob.put("/d", b"1").await;
    bob.share("/d", "carol", Right::Read).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = ann.db.grants(ann.id, None, after, 2).await.unwrap();
        assert!(page.grants.len() <= 2);
        seen.extend(page.grants.iter().map(|g| format!("{} {} {:?}", g.path, g.grantee, g.right)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    let all = [
        "/ carol Read",
        "/a/x bob Read",
        "/a/x carol Write",
        "/b bob Read",
        "/b carol Write",
        "/c bob Read",
        "/c carol Write",
    ];
    assert_eq!(seen, all);
    let one = ann.db.grants(ann.id, Some(&path("/b")), None, 9).await.unwrap();
    assert_eq!(one.grants.len(), 2);
    assert!(one.grants.iter().all(|g| g.kind == EntryKind::File && g.owner == ann.name));
    ann.rm("/a").await;
    assert_eq!(ann.db.grants(ann.id, None, None, 9).await.unwrap().grants.len(), 5, "no trash");
    let gone = ann.db.grants(ann.id, Some(&path("/a")), None, 9).await;
    assert_eq!(refused(gone), Kind::NotFound);
}

async fn grants_are_listed_by_who_has_them(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let carol = world.account("carol").await;
    let lab = GroupName::parse("lab").unwrap();
    let include = vec![named("bob"), named("carol")];
    let members = MemberChange { include, members_max: 9, ..MemberChange::default() };
    ann.db.create_group(&lab, ann.id, members, 1).await.unwrap();
    ann.put("/a/x", b"1").await;
    ann.share("/a", "@lab", Right::Write).await;
    ann.share("/a/x", "carol", Right::Read).await;
    bob.mkdir("/of bob").await;
    bob.share("/of bob", "carol", Right::Read).await;
    bob.share("/of bob", "@lab", Right::Read).await;
    let mut seen: HashMap<AccountId, Vec<String>> = HashMap::new();
    for person in [&ann, &bob, &carol] {
        let mut after = None;
        loop {
            let page = person.db.shared_with(person.id, after, 2).await.unwrap();
            let words = page.grants.iter().map(|g| format!("{}:{} {}", g.owner, g.path, g.grantee));
            seen.entry(person.id).or_default().extend(words);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    seen.values_mut().for_each(|words| words.sort());
    assert_eq!(seen[&ann.id], ["bob:/of bob @lab"]);
    assert_eq!(seen[&bob.id], ["ann:/a @lab"]);
    let all = ["ann:/a @lab", "ann:/a/x carol", "bob:/of bob @lab", "bob:/of bob carol"];
    assert_eq!(seen[&carol.id], all);
    let page = bob.db.list(bob.id.into(), &bob.at("/"), true, Position::Start, 9).await.unwrap();
    assert_eq!(paths(&page), ["/of bob"], "sharing makes no entries");
}

async fn only_what_exists_is_shared_with_whom_exists(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a", b"1").await;
    let grant = async |at, to| ann.db.grant(ann.granting(at, to, Right::Read)).await;
    assert_eq!(refused(grant("/absent", "bob").await), Kind::NotFound);
    assert_eq!(refused(grant("/a", "nobody").await), Kind::NotFound);
    assert_eq!(refused(grant("/a", "@nobody").await), Kind::NotFound);
    assert_eq!(refused(grant("/a", "ann").await), Kind::InvalidArgument);
    for number in 0..20 {
        let at = format!("/{number}");
        ann.put(&at, b"1").await;
        ann.share(&at, "bob", Right::Read).await;
    }
    assert_eq!(refused(grant("/a", "bob").await), Kind::LimitExceeded);
    assert_eq!(refused(bob.visiting(&ann).stat("/a").await), Kind::NotFound);
    ann.share("/0", "bob", Right::Write).await;
}

async fn a_repeated_grant_is_one(world: &World) {
    let ann = world.account("ann").await;
    world.account("bob").await;
    ann.put("/a", b"1").await;
    let once = Some(request(1));
    let grant = || NewGrant { request: once, ..ann.granting("/a", "bob", Right::Write) };
    let first = ann.db.grant(grant()).await.unwrap();
    ann.unshare("/a", "bob").await.unwrap();
    assert_eq!(ann.db.grant(grant()).await.unwrap(), first);
    assert_eq!(ann.db.grants(ann.id, None, None, 9).await.unwrap().grants, [], "taken back since");
    let plan: CommitPlan = ann.plan("/");
    assert_eq!(plan.by, ann.id);
}
