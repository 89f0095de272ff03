//! Trees that several people use: what is shared, with whom, and what becomes of it when it no longer is.

use std::fs;
use std::time::Duration;

use depot_proto::files::content_source::Source;
use depot_proto::files::{ByteRange, ContentSource, ReadChunksRequest};
use depot_tests::caller::Refused;
use depot_tests::user::keys;
use depot_tests::world::World;
use serde_json::json;
use tonic::Code;

use super::noise;

#[test]
fn what_is_shared_is_read_by_its_path_in_its_owners_tree() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let bytes = noise(1, 3_000_000);
    ann.puts("/reports/q3/figures", &bytes);
    ann.puts("/reports/text", "a text");
    ann.puts("/private", "a secret");
    assert_eq!(bob.refused(["ls", "ann:/reports"]).kind(), (3, "NOT_FOUND"));
    let granted = ann.one(["share", "/reports", "bob"]);
    let shape = ["granted_at", "grantee", "kind", "path", "right"];
    assert_eq!(keys(&granted), shape);
    assert_eq!((&granted["path"], &granted["kind"]), (&json!("/reports"), &json!("folder")));
    assert_eq!((&granted["grantee"], &granted["right"]), (&json!("bob"), &json!("read")));

    assert_eq!(bob.lists("ann:/reports"), ["q3", "text"]);
    assert_eq!(bob.cats("ann:/reports/text"), b"a text");
    bob.does(["get", "-r", "ann:/reports", "here"]);
    assert_eq!(fs::read(bob.path("here/q3/figures")).expect("a file"), bytes);
    let listed = bob.json(["ls", "-r", "ann:/reports"]);
    assert_eq!(listed[0]["path"], "ann:/reports/q3");

    for refused in [["put", "here/text", "ann:/reports/new"], ["mv", "ann:/reports/text", "ann:/x"]]
    {
        assert_eq!(bob.refused(refused).kind(), (4, "PERMISSION_DENIED"), "{refused:?}");
    }
    assert_eq!(bob.refused(["rm", "ann:/reports/text"]).kind(), (4, "PERMISSION_DENIED"));
    for hidden in ["ann:/", "ann:/private", "ann:/absent", "nobody:/x"] {
        assert_eq!(bob.refused(["ls", hidden]).kind(), (3, "NOT_FOUND"), "{hidden}");
    }
    assert_eq!(bob.refused(["share", "ann:/reports", "carol"]).exit, 2, "not bob's to share");

    let made = ann.json(["shares"]);
    assert_eq!(made, ann.json(["shares", "/reports"]));
    assert_eq!(made, [granted]);
    let had = bob.json(["shares", "--with-me"]);
    assert_eq!((had.len(), &had[0]["path"]), (1, &json!("ann:/reports")));
    assert!(bob.json(["shares"]).is_empty());

    ann.does(["unshare", "/reports", "bob"]);
    assert_eq!(bob.refused(["stat", "ann:/reports/text"]).kind(), (3, "NOT_FOUND"));
    assert_eq!(ann.refused(["unshare", "/reports", "bob"]).kind(), (3, "NOT_FOUND"));
    assert!(bob.json(["shares", "--with-me"]).is_empty());
}

#[test]
fn who_may_write_works_in_another_tree_like_in_their_own() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds_with("bob", &["--quota", "1M"]);
    ann.does(["mkdir", "/team"]);
    ann.does(["share", "/team", "bob", "--write"]);
    for number in 0..700 {
        bob.file(format!("tree/{}/{number}", number % 7), format!("file {number}"));
    }
    bob.file("tree/big", noise(2, 5_000_000));
    let put = bob.json(["put", "-r", "tree", "ann:/team/tree"]);
    assert_eq!(put.len(), 701, "it fits into ann's quota, whatever bob's is");
    assert_eq!(put[0]["path"], "ann:/team/tree/0/0");
    assert_eq!(bob.one(["whoami"])["used_bytes"], 0);
    assert_eq!(ann.tree("/team/tree").len(), 701 + 7);
    let again = bob.json(["put", "-r", "tree", "ann:/team/tree"]);
    assert!(again.iter().all(|file| file["sent_bytes"] == 0), "a no-op");
    bob.file("tree/1/1", "changed");
    bob.does(["put", "-r", "tree", "ann:/team/tree"]);
    assert_eq!(ann.cats("/team/tree/1/1"), b"changed");

    bob.does(["mkdir", "ann:/team/done"]);
    bob.does(["mv", "ann:/team/tree/big", "ann:/team/done/"]);
    bob.does(["rm", "-r", "ann:/team/tree/2"]);
    assert_eq!(ann.lists("/team/done"), ["big"]);
    assert_eq!(bob.refused(["rm", "-r", "ann:/team"]).kind(), (4, "PERMISSION_DENIED"));
    let moved = bob.refused(["mv", "ann:/team/done", "/mine"]);
    assert_eq!((moved.exit, moved.message.contains("copy it")), (2, true), "{moved:?}");
    assert_eq!(bob.refused(["cp", "ann:/team/done/big", "/big"]).kind(), (7, "QUOTA_EXCEEDED"));
    bob.does(["cp", "ann:/team/tree/1/1", "/copy"]);
    bob.does(["cp", "-r", "ann:/team/tree/3", "/three"]);
    assert_eq!((bob.cats("/copy"), bob.tree("/three").len()), (b"changed".to_vec(), 100));
}

#[test]
fn a_group_shares_as_long_as_one_is_in_it() {
    let world = World::start();
    let ann = world.admin("ann");
    let (bob, carol) = (ann.adds("bob"), ann.adds("carol"));
    let made = bob.one(["group", "create", "lab", "carol"]);
    assert_eq!(made, json!({ "name": "lab", "members": 2 }));
    assert_eq!(bob.refused(["group", "create", "LAB"]).kind(), (6, "ALREADY_EXISTS"));
    let members =
        json!([{ "account": "bob", "owns": true }, { "account": "carol", "owns": false }]);
    assert_eq!(json!(carol.json(["group", "members", "@lab"])), members);
    let listed = carol.json(["group", "list"]);
    assert_eq!(listed, [json!({ "name": "lab", "members": 2 })]);
    let not_hers = carol.refused(["group", "include", "lab", "ann"]);
    assert_eq!(not_hers.kind(), (4, "PERMISSION_DENIED"));

    ann.puts("/data/file", "of all");
    ann.does(["share", "/data", "@lab"]);
    assert_eq!(carol.cats("ann:/data/file"), b"of all");
    bob.does(["group", "exclude", "lab", "carol"]);
    assert_eq!(carol.refused(["stat", "ann:/data/file"]).kind(), (3, "NOT_FOUND"));
    assert_eq!(carol.refused(["group", "members", "lab"]).kind(), (4, "PERMISSION_DENIED"));
    assert_eq!(bob.refused(["group", "exclude", "lab", "bob"]).exit, 6, "who would own it?");
    bob.does(["group", "include", "lab", "carol"]);
    assert_eq!(carol.cats("ann:/data/file"), b"of all");
    bob.does(["group", "remove", "lab"]);
    assert_eq!(carol.refused(["stat", "ann:/data/file"]).kind(), (3, "NOT_FOUND"));
    for absent in ["@lab", "nobody"] {
        assert_eq!(ann.refused(["share", "/data", absent]).kind(), (3, "NOT_FOUND"), "{absent}");
    }
    let some = ann.refused(["share", "/data", "bob", "nobody"]);
    assert_eq!((some.exit, some.others.len()), (11, 1), "{some:?}");
    assert_eq!(bob.cats("ann:/data/file"), b"of all");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_read_ends_when_it_is_no_longer_shared() {
    let world = World::start();
    let ann = world.admin("ann");
    let bob = ann.adds("bob");
    let size = 64 << 20;
    ann.puts("/big", noise(3, size));
    ann.does(["share", "/big", "bob"]);
    let source = Some(ContentSource { source: Some(Source::Path("ann:/big".to_owned())) });
    let ranges = vec![ByteRange { offset: 0, length: size as u64 }];
    let request = ReadChunksRequest { source, ranges };
    let answer = bob.calls().await.files().read_chunks(request).await.expect("it is shared");
    let mut stream = answer.into_inner();
    let mut read = stream.message().await.expect("bytes").expect("bytes").data.len();
    ann.does(["unshare", "/big", "bob"]);
    // The server looks once a second; whoever reads on at once has it all by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = loop {
        match stream.message().await {
            Ok(Some(more)) => read += more.data.len(),
            Ok(None) => panic!("all of it was read"),
            Err(status) => break Refused::of(Err::<(), _>(status)),
        }
    };
    assert_eq!(ended.kind(), (Code::NotFound, "NOT_FOUND"), "{ended:?}");
    assert!(read < size, "{read} bytes");
}
