//! Who may do what in a tree that is not theirs: every call that names a place in one, by everybody, at what is
//! shared with them, at what is not, and at what is not there. What is not shared is refused like what is
//! absent. A call of these services that is not in the table fails a test.

use std::collections::BTreeSet;

use bytes::Bytes;
use depot_proto::DESCRIPTORS;
use depot_proto::files::commit_request::Part;
use depot_proto::files::content_source::Source;
use depot_proto::files::{
    CommitBegin, CommitEnd, CommitRequest, ContentSource, CopyRequest, EntriesPart, FillRequest,
    FindRequest, GrantRequest, Kind, LinkUse, ListGrantsRequest, ListRequest, ListVersionsRequest,
    MakeFolderRequest, MakeLinkRequest, MeasureRequest, MissingRequest, MoveRequest, NewEntry,
    OpenLinkRequest, ReadChunksRequest, ReadManifestRequest, ReadManyRequest, ReadRequest,
    RemoveRequest, RestoreVersionRequest, RevokeRequest, Right, StatRequest, UndoRequest,
    WriteHeader,
};
use depot_tests::caller::{Caller, Refused, bearer};
use depot_tests::user::{User, text};
use depot_tests::world::World;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{Code, Status};

/// What a call needs at the place that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Read,
    Write,
    Own,
}

use Needs::{Own, Read, Write};

/// The calls that name a place in a tree.
const PLACED: &[(&str, Needs)] = &[
    ("FilesService/Write", Write),
    ("FilesService/Read", Read),
    ("FilesService/Stat", Read),
    ("FilesService/List", Read),
    ("FilesService/Find", Read),
    ("FilesService/Measure", Read),
    ("FilesService/MakeFolder", Write),
    ("FilesService/Move", Write),
    ("FilesService/Copy", Read),
    ("FilesService/Remove", Write),
    ("FilesService/Commit", Write),
    ("FilesService/ReadManifest", Read),
    ("FilesService/ReadChunks", Read),
    ("FilesService/ReadMany", Read),
    ("HistoryService/ListVersions", Read),
    ("HistoryService/RestoreVersion", Write),
    ("HistoryService/Undo", Write),
    ("SharingService/Grant", Own),
    ("SharingService/Revoke", Own),
    ("SharingService/ListGrants", Own),
    ("SharingService/MakeLink", Own),
];

/// Those that name a tree and no place in it.
const IN_A_TREE: &[(&str, Needs)] =
    &[("FilesService/Missing", Write), ("FilesService/Fill", Write)];

/// Those that are about what is the caller's own, or name nothing.
const OF_ONE_S_OWN: &[&str] = &[
    "FilesService/Usage",
    "HistoryService/ListTrash",
    "HistoryService/RestoreRemoved",
    "HistoryService/EmptyTrash",
    "SharingService/ListShared",
    "SharingService/ListLinks",
    "SharingService/RevokeLink",
    "SharingService/OpenLink",
];

/// What a link to read allows, and no more.
const BY_LINK: &[&str] = &[
    "FilesService/Read",
    "FilesService/Stat",
    "FilesService/List",
    "FilesService/ReadManifest",
    "FilesService/ReadChunks",
    "FilesService/ReadMany",
];

/// Where a call goes: a folder with a file in it, of a version.
struct Spot {
    folder: String,
    version: String,
}

impl Spot {
    fn file(&self) -> String {
        format!("{}/file", self.folder)
    }

    /// As it is named in ann's tree by somebody else.
    fn of_ann(&self) -> Self {
        Self { folder: format!("ann:{}", self.folder), version: self.version.clone() }
    }

    fn source(&self) -> Option<ContentSource> {
        Some(ContentSource { source: Some(Source::Version(self.version.clone())) })
    }
}

#[test]
fn every_call_has_its_place_in_the_table() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("descriptors");
    let services = set.file.iter().filter(|file| file.package() == "depot.files.v1");
    let services = services.flat_map(|file| &file.service);
    let calls: BTreeSet<String> = services
        .flat_map(|service| {
            service.method.iter().map(|method| format!("{}/{}", service.name(), method.name()))
        })
        .collect();
    let placed = PLACED.iter().chain(IN_A_TREE).map(|(call, _)| *call);
    let known: BTreeSet<String> =
        placed.chain(OF_ONE_S_OWN.iter().copied()).map(str::to_owned).collect();
    assert_eq!(known, calls);
}

#[tokio::test]
async fn everybody_does_what_was_granted_and_no_more() {
    let world = World::start();
    let ann = world.admin("ann");
    let people = ["nobody", "reader", "writer"].map(|name| ann.adds(name));
    for top in ["/shared", "/private"] {
        ann.does(["mkdir", top]);
    }
    ann.does(["share", "/shared", "reader", "--read"]);
    ann.does(["share", "/shared", "writer", "--write"]);
    let mut spots = Spots { ann: ann.calls().await, count: 0 };
    for (person, may) in people.iter().zip([None, Some(Read), Some(Write)]) {
        let caller = person.calls().await;
        for &(call, needs) in PLACED {
            let told = format!("{call} by {}", person.name());
            let shared = spots.fresh("/shared").await.of_ann();
            let done = called(&caller, call, &shared).await;
            match may {
                _ if needs == Own => is_refused_to_others(&Refused::of(done), &told),
                None => {
                    let refused = Refused::of(done);
                    assert_eq!(refused.code, Code::NotFound, "{told}: {refused:?}");
                }
                Some(may) if may >= needs => {
                    done.unwrap_or_else(|status| panic!("{told}: {status:?}"));
                }
                Some(_) => {
                    let refused = Refused::of(done);
                    assert_eq!(refused.code, Code::PermissionDenied, "{told}: {refused:?}");
                }
            }
            // What is there and not shared is like what is not there.
            let private = spots.fresh("/private").await.of_ann();
            let absent = Spot {
                folder: "ann:/private/absent".to_owned(),
                version: "01890000-0000-7000-8000-000000000000".to_owned(),
            };
            let unseen = async |spot: &Spot| {
                let refused = Refused::of(called(&caller, call, spot).await);
                let message = refused.message.replace(&spot.folder, "SPOT");
                (refused.code, refused.reason, message.replace(&spot.version, "VERSION"))
            };
            let (private, absent) = (unseen(&private).await, unseen(&absent).await);
            assert!(needs == Own || private.0 == Code::NotFound, "{told}: {private:?}");
            assert_eq!(private, absent, "{told}");
        }
        for &(call, needs) in IN_A_TREE {
            let spot = Spot { folder: "ann".to_owned(), version: String::new() };
            let done = called(&caller, call, &spot).await;
            match may {
                None => assert_eq!(Refused::of(done).code, Code::NotFound, "{call}"),
                Some(may) if may >= needs => done.expect(call),
                Some(_) => assert_eq!(Refused::of(done).code, Code::PermissionDenied, "{call}"),
            }
        }
    }
    for &(call, _) in PLACED {
        let own = spots.fresh("/private").await;
        called(&spots.ann, call, &own).await.unwrap_or_else(|status| panic!("{call}: {status:?}"));
    }
}

/// Whatever there is.
#[track_caller]
fn is_refused_to_others(refused: &Refused, told: &str) {
    let is_refused = refused.code == Code::InvalidArgument && refused.message.contains("ask ann");
    assert!(is_refused, "{told}: {refused:?}");
}

#[tokio::test]
async fn a_link_leads_to_what_it_was_made_for_and_nowhere_else() {
    let world = World::start();
    let ann = world.admin("ann");
    ann.does(["mkdir", "/shared"]);
    ann.does(["mkdir", "/private"]);
    let mut spots = Spots { ann: ann.calls().await, count: 0 };
    let reading = opened(&world, &ann, &[]).await;
    let dropping = opened(&world, &ann, &["--drop"]).await;
    for &(call, _) in PLACED.iter().chain(IN_A_TREE) {
        let shared = spots.fresh("/shared").await;
        let below = shared.folder.strip_prefix("/shared").expect("it is below").to_owned();
        let linked = Spot { folder: below, version: shared.version.clone() };
        let done = called(&reading, call, &linked).await;
        match BY_LINK.contains(&call) {
            true => done.unwrap_or_else(|status| panic!("{call}: {status:?}")),
            false => assert!(done.is_err(), "{call}"),
        }
        let refused = called(&dropping, call, &linked).await;
        assert!(
            refused.is_err(),
            "{call}: what is put through a link goes nowhere but into its folder"
        );
        // By its own path, by its owner's, and by a version.
        let private = spots.fresh("/private").await;
        for spot in [private.of_ann(), private] {
            for visitor in [&reading, &dropping] {
                assert!(called(visitor, call, &spot).await.is_err(), "{call} {}", spot.folder);
            }
        }
    }
    let put = WriteHeader { path: "/dropped".to_owned(), ..WriteHeader::default() };
    dropping.write(put, b"x").await.expect("that is what it is for");
    assert!(ann.tree("/shared").contains(&"/shared/dropped".to_owned()));
}

/// Somebody without an account, with a link to `/shared`.
async fn opened(world: &World, ann: &User, flags: &[&str]) -> Caller {
    let run = ann.runs(["--json", "link", "/shared"].iter().chain(flags)).succeeded();
    let link = run.json().remove(0);
    let secret = text(&link["url"]).split(['/', '#']).nth(4).expect("a secret").to_owned();
    let stranger = world.caller().await;
    let request = OpenLinkRequest { secret, ..OpenLinkRequest::default() };
    let answer = stranger.sharing().open_link(request).await.expect("a ticket").into_inner();
    stranger.with(bearer(&answer.ticket))
}

/// Makes spots in ann's tree.
struct Spots {
    ann: Caller,
    count: u32,
}

impl Spots {
    /// A new one: two versions of a file, and a commit that can be undone.
    async fn fresh(&mut self, top: &str) -> Spot {
        self.count += 1;
        let spot = Spot { folder: format!("{top}/{}", self.count), version: String::new() };
        let make = MakeFolderRequest { path: spot.folder.clone(), ..MakeFolderRequest::default() };
        self.ann.files().make_folder(make).await.expect("a folder");
        let mut version = String::new();
        for content in ["one", "two"] {
            let header = WriteHeader { path: spot.file(), ..WriteHeader::default() };
            version = self.ann.write(header, content.as_bytes()).await.expect("a file").version;
        }
        called(&self.ann, "FilesService/Commit", &spot).await.expect("a commit");
        Spot { version, ..spot }
    }
}

/// Makes a call about a spot.
async fn called(caller: &Caller, call: &str, spot: &Spot) -> Result<(), Status> {
    let (service, name) = call.split_once('/').expect("a service and its call");
    match service {
        "FilesService" if READING.contains(&name) => reading(caller, name, spot).await,
        "FilesService" => changing(caller, name, spot).await,
        "HistoryService" => history(caller, name, spot).await,
        _ => sharing(caller, name, spot).await,
    }
}

const READING: &[&str] =
    &["Read", "Stat", "List", "Find", "Measure", "ReadManifest", "ReadChunks", "ReadMany"];

/// What a stream says is read to its first message, and bytes to their end.
async fn reading(caller: &Caller, call: &str, spot: &Spot) -> Result<(), Status> {
    let (path, version, folder) = (spot.file(), spot.version.clone(), spot.folder.clone());
    let mut files = caller.files();
    match call {
        "Read" => caller.read(ReadRequest { path, ..ReadRequest::default() }).await.map(drop),
        "Stat" => files.stat(StatRequest { path }).await.map(drop),
        "List" => {
            let request = ListRequest { path: folder, recursive: true, ..ListRequest::default() };
            files.list(request).await.map(drop)
        }
        "Find" => {
            files.find(FindRequest { path: folder, ..FindRequest::default() }).await.map(drop)
        }
        "Measure" => files.measure(MeasureRequest { path: folder }).await.map(drop),
        "ReadManifest" => {
            let request = ReadManifestRequest { source: spot.source() };
            files.read_manifest(request).await?.into_inner().message().await.map(drop)
        }
        "ReadChunks" => {
            let request =
                ReadChunksRequest { source: spot.source(), ..ReadChunksRequest::default() };
            files.read_chunks(request).await?.into_inner().message().await.map(drop)
        }
        "ReadMany" => {
            let request = ReadManyRequest { versions: vec![version] };
            files.read_many(request).await?.into_inner().message().await.map(drop)
        }
        _ => panic!("{call} is in no table"),
    }
}

/// Those of FilesService that change something, or bring what is put.
async fn changing(caller: &Caller, call: &str, spot: &Spot) -> Result<(), Status> {
    let (path, folder) = (spot.file(), spot.folder.clone());
    let mut files = caller.files();
    match call {
        "Write" => {
            let header = WriteHeader { path, ..WriteHeader::default() };
            caller.write(header, b"three").await.map(drop)
        }
        "MakeFolder" => {
            let path = format!("{folder}/new");
            let request = MakeFolderRequest { path, ..MakeFolderRequest::default() };
            files.make_folder(request).await.map(drop)
        }
        "Move" => {
            let target = format!("{folder}/moved");
            let request = MoveRequest { source: path, target, ..MoveRequest::default() };
            files.r#move(request).await.map(drop)
        }
        "Copy" => {
            // To one's own tree: what counts is whether it may be read.
            let target = format!("/copy of {}", folder.replace(['/', ':'], " "));
            let request = CopyRequest { source: path, target, ..CopyRequest::default() };
            files.copy(request).await.map(drop)
        }
        "Remove" => {
            files.remove(RemoveRequest { path, ..RemoveRequest::default() }).await.map(drop)
        }
        "Commit" => {
            let begin = CommitBegin { base: folder, ..CommitBegin::default() };
            let entry = NewEntry {
                path: "committed".to_owned(),
                kind: Kind::Folder.into(),
                mode: 0o755,
                ..NewEntry::default()
            };
            let parts = [
                Part::Begin(begin),
                Part::Entries(EntriesPart { entries: vec![entry] }),
                Part::End(CommitEnd { entries: 1 }),
            ];
            let parts = parts.map(|part| CommitRequest { part: Some(part) });
            files.commit(tokio_stream::iter(parts)).await.map(drop)
        }
        "Missing" => {
            let hashes = Bytes::copy_from_slice(blake3::hash(b"four").as_bytes());
            let (upload_id, tree) = (uuid(), folder);
            files.missing(MissingRequest { upload_id, hashes, tree }).await.map(drop)
        }
        "Fill" => {
            let request = FillRequest { upload_id: uuid(), tree: folder, ..FillRequest::default() };
            files.fill(tokio_stream::iter([request])).await.map(drop)
        }
        _ => panic!("{call} is in no table"),
    }
}

/// Those of HistoryService.
async fn history(caller: &Caller, call: &str, spot: &Spot) -> Result<(), Status> {
    let (path, folder) = (spot.file(), spot.folder.clone());
    let mut history = caller.history();
    match call {
        "ListVersions" => {
            let request = ListVersionsRequest { path, ..ListVersionsRequest::default() };
            history.list_versions(request).await.map(drop)
        }
        "RestoreVersion" => {
            let request = RestoreVersionRequest { path, ..RestoreVersionRequest::default() };
            history.restore_version(request).await.map(drop)
        }
        "Undo" => {
            let request = UndoRequest { path: folder, ..UndoRequest::default() };
            history.undo(request).await.map(drop)
        }
        _ => panic!("{call} is in no table"),
    }
}

/// Those of SharingService.
async fn sharing(caller: &Caller, call: &str, spot: &Spot) -> Result<(), Status> {
    let path = spot.file();
    let mut sharing = caller.sharing();
    match call {
        "Grant" => {
            let (grantee, right) = ("nobody".to_owned(), Right::Read.into());
            let request = GrantRequest { path, grantee, right, ..GrantRequest::default() };
            sharing.grant(request).await.map(drop)
        }
        "Revoke" => {
            let grantee = "nobody".to_owned();
            match sharing.revoke(RevokeRequest { path, grantee }).await {
                // Its owner is told that there is no grant on it.
                Err(status) if status.message().contains("nobody") => Ok(()),
                done => done.map(drop),
            }
        }
        "ListGrants" => {
            let request = ListGrantsRequest { path, ..ListGrantsRequest::default() };
            sharing.list_grants(request).await.map(drop)
        }
        "MakeLink" => {
            let r#use = LinkUse::Read.into();
            let request = MakeLinkRequest { path, r#use, ..MakeLinkRequest::default() };
            sharing.make_link(request).await.map(drop)
        }
        _ => panic!("{call} is in no table"),
    }
}

fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}
