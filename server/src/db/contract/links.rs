//! Stories of links: what their holders see, how often they may be used, and until when.

use crate::db::contract::people::{Person, content, path, paths, refused, version};
use crate::db::contract::{World, stories};
use crate::db::{Dropped, Link, LinkUse, NewLink, Position, TICKET_IDLE_MS, Upload};
use crate::error::{Kind, Result};
use crate::model::{At, By, Entry, FileName, LinkId, Mode, Right, UploadId};

stories! {
    a_link_shows_what_it_leads_to_and_nothing_else
    a_link_to_a_file_shows_the_file
    a_link_changes_nothing
    a_link_to_drop_files_shows_nothing
    what_is_dropped_is_never_in_the_way
    what_is_dropped_counts_against_its_owner
    a_use_is_taken_once_for_a_ticket
    a_use_is_given_back_when_little_was_served
    a_ticket_in_use_keeps_its_use
    tickets_end
    a_link_follows_its_entry
    a_link_taken_back_is_gone
    links_of_a_disabled_account_do_not_open
    links_are_listed_in_pages
    links_have_a_limit
}

fn terms(ann: &Person, at: &str, secret: u8) -> NewLink {
    NewLink {
        owner: ann.id,
        secret: [secret; 32],
        path: path(at),
        purpose: LinkUse::Read,
        password: None,
        expires_at: None,
        uses_max: None,
        links_max: 5,
        now: ann.now(),
    }
}

async fn link(ann: &Person, at: &str) -> Link {
    ann.db.make_link(terms(ann, at, 1)).await.unwrap()
}

/// Opens a link; the ticket has this number.
async fn open(ann: &Person, link: &Link, ticket: u8) -> Result<()> {
    ann.db.open_link(link.id, [ticket; 32], ann.now() + 1_000_000_000, ann.now()).await
}

async fn uses(ann: &Person) -> u32 {
    ann.db.links(ann.id, None, 9, ann.now()).await.unwrap().0[0].uses
}

fn by(link: &Link) -> By {
    By::Link(link.id)
}

/// A place as whoever holds a link calls it.
fn below(link: &Link, at: &str) -> At {
    At { account: link.account, owner: None, path: path(at) }
}

async fn a_link_shows_what_it_leads_to_and_nothing_else(world: &World) {
    let ann = world.account("ann").await;
    let file = ann.put("/a/b/file", b"one").await;
    let secret = ann.put("/a/secret", b"two").await;
    let made = ann.db.make_link(terms(&ann, "/a/b", 1)).await.unwrap();
    assert_eq!((made.path.to_string().as_str(), made.uses, made.uses_max), ("/a/b", 0, None));
    let found = ann.db.link([1; 32], ann.now()).await.unwrap().unwrap();
    assert_eq!(found, made);
    assert_eq!(ann.db.link([2; 32], ann.now()).await.unwrap(), None);
    let list = ann.db.list(by(&made), &below(&made, "/"), true, Position::Start, 9).await.unwrap();
    assert_eq!(paths(&list), ["/file"], "it is the root of all that its holder sees");
    let seen = ann.db.entry(by(&made), &below(&made, "/file")).await.unwrap();
    assert_eq!(seen.id, file.id);
    let read = ann.db.version(by(&made), version(&file)).await.unwrap();
    assert_eq!((read.content, read.owner), (content(b"one"), ann.id));
    assert_eq!(refused(ann.db.version(by(&made), version(&secret)).await), Kind::NotFound);
    for at in ["/secret", "/b", "/a", "/b/file", "/absent"] {
        let seen = ann.db.entry(by(&made), &below(&made, at)).await;
        assert_eq!(refused(seen), Kind::NotFound, "{at}");
    }
    let bob = world.account("bob").await;
    bob.put("/file", b"3").await;
    let elsewhere = ann.db.entry(by(&made), &bob.at("/file")).await;
    assert_eq!(refused(elsewhere), Kind::NotFound);
    let nobody = By::Link(LinkId::new());
    assert_eq!(refused(ann.db.entry(nobody, &ann.at("/")).await), Kind::NotFound);
}

async fn a_link_to_a_file_shows_the_file(world: &World) {
    let ann = world.account("ann").await;
    let file = ann.put("/a/file", b"one").await;
    let made = link(&ann, "/a/file").await;
    let list = ann.db.list(by(&made), &below(&made, "/"), true, Position::Start, 9).await.unwrap();
    assert_eq!((list.entries.len(), list.entries[0].entry.id), (1, file.id));
    assert!(ann.db.version(by(&made), version(&file)).await.is_ok());
    let new = ann.put("/a/file", b"two").await;
    assert!(ann.db.version(by(&made), version(&new)).await.is_ok());
    assert_eq!(ann.db.size_below(file.id).await.unwrap(), 3);
    let absent = ann.db.make_link(terms(&ann, "/absent", 2)).await;
    assert_eq!(refused(absent), Kind::NotFound);
}

async fn a_link_changes_nothing(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/file", b"one").await;
    let made = link(&ann, "/a").await;
    open(&ann, &made, 1).await.unwrap();
    let dropped = drop_file(&ann, 1, "new", b"two").await;
    assert_eq!(refused(dropped), Kind::Unauthenticated);
    assert_eq!(ann.tree("/").await, ["/a", "/a/file"]);
}

fn dropping(ann: &Person) -> NewLink {
    NewLink { purpose: LinkUse::Drop, ..terms(ann, "/in", 1) }
}

async fn drop_file(ann: &Person, ticket: u8, name: &str, bytes: &[u8]) -> Result<Entry> {
    let upload = UploadId::new();
    ann.db.register(Upload { id: upload, ..ann.upload(upload) }, vec![ann.arrived(bytes)]).await?;
    let dropped = Dropped {
        ticket: [ticket; 32],
        upload,
        name: FileName::parse(name).unwrap(),
        content: content(bytes),
        mode: Mode::FILE,
        modified_ns: 5,
        now: ann.now(),
    };
    let put = ann.db.drop_file(dropped).await;
    ann.db.close_upload(ann.id, upload).await?;
    put
}

async fn a_link_to_drop_files_shows_nothing(world: &World) {
    let ann = world.account("ann").await;
    let file = ann.put("/in/file", b"one").await;
    let made = ann.db.make_link(dropping(&ann)).await.unwrap();
    open(&ann, &made, 1).await.unwrap();
    for at in ["/", "/file"] {
        assert_eq!(refused(ann.db.entry(by(&made), &below(&made, at)).await), Kind::NotFound);
    }
    let list = ann.db.list(by(&made), &below(&made, "/"), true, Position::Start, 9).await;
    assert_eq!(refused(list), Kind::NotFound);
    assert_eq!(refused(ann.db.version(by(&made), version(&file)).await), Kind::NotFound);
    let of_file = NewLink { path: path("/in/file"), ..dropping(&ann) };
    assert_eq!(refused(ann.db.make_link(of_file).await), Kind::FailedPrecondition);
}

async fn what_is_dropped_is_never_in_the_way(world: &World) {
    let ann = world.account("ann").await;
    let first = ann.put("/in/a.txt", b"one").await;
    let made = ann.db.make_link(dropping(&ann)).await.unwrap();
    open(&ann, &made, 1).await.unwrap();
    world.told();
    for bytes in [b"two", b"one"] {
        drop_file(&ann, 1, "A.txt", bytes).await.unwrap();
    }
    assert_eq!(world.told(), [ann.id], "whoever watches hears of it");
    assert_eq!(ann.ls("/in").await, ["/in/A (2).txt", "/in/A (3).txt", "/in/a.txt"]);
    assert_eq!(ann.stat("/in/a.txt").await.unwrap(), first);
    ann.mv("/in", "/moved").await.unwrap();
    drop_file(&ann, 1, "b", b"b").await.unwrap();
    assert!(ann.stands("/moved/b").await);
    ann.rm("/moved").await;
    assert_eq!(refused(drop_file(&ann, 1, "c", b"c").await), Kind::Unauthenticated);
}

async fn what_is_dropped_counts_against_its_owner(world: &World) {
    let ann = world.account_with("ann", 10).await;
    ann.mkdir("/in").await;
    let made = ann.db.make_link(NewLink { uses_max: Some(2), ..dropping(&ann) }).await.unwrap();
    open(&ann, &made, 1).await.unwrap();
    drop_file(&ann, 1, "a", &[1; 6]).await.unwrap();
    assert_eq!(refused(drop_file(&ann, 1, "b", &[2; 6]).await), Kind::QuotaExceeded);
    assert_eq!((ann.used().await, uses(&ann).await), (6, 1), "what was refused is no use");
    drop_file(&ann, 1, "b", &[3; 2]).await.unwrap();
    assert_eq!(refused(drop_file(&ann, 1, "c", &[4; 1]).await), Kind::LinkUsedUp);
    assert_eq!(refused(open(&ann, &made, 2).await), Kind::LinkUsedUp);
    assert_eq!(ann.ls("/in").await, ["/in/a", "/in/b"]);
}

async fn a_use_is_taken_once_for_a_ticket(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let made =
        ann.db.make_link(NewLink { uses_max: Some(1), ..terms(&ann, "/a", 1) }).await.unwrap();
    open(&ann, &made, 1).await.unwrap();
    open(&ann, &made, 2).await.unwrap();
    assert_eq!(uses(&ann).await, 0, "opening it takes none");
    let begin = async |ticket| ann.db.begin_download([ticket; 32], 3, ann.now()).await;
    begin(1).await.unwrap();
    begin(1).await.unwrap();
    assert_eq!(uses(&ann).await, 1);
    assert_eq!(ann.db.ticket([1; 32], ann.now()).await.unwrap().unwrap().size, Some(3));
    assert_eq!(refused(begin(2).await), Kind::LinkUsedUp);
    assert_eq!(refused(open(&ann, &made, 3).await), Kind::LinkUsedUp);
    assert_eq!(refused(begin(9).await), Kind::Unauthenticated, "no ticket");
}

async fn a_use_is_given_back_when_little_was_served(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let made =
        ann.db.make_link(NewLink { uses_max: Some(3), ..terms(&ann, "/a", 1) }).await.unwrap();
    // Of nine bytes four, five and none were served; one was opened and never read.
    for (ticket, served) in [(1, 4), (2, 5), (3, 0)] {
        open(&ann, &made, ticket).await.unwrap();
        ann.db.begin_download([ticket; 32], 9, ann.now()).await.unwrap();
        ann.db.note_served([ticket; 32], served, ann.now()).await.unwrap();
    }
    assert_eq!(refused(open(&ann, &made, 4).await), Kind::LinkUsedUp);
    world.later(TICKET_IDLE_MS);
    assert_eq!(uses(&ann).await, 3, "not yet");
    world.later(1);
    assert_eq!(uses(&ann).await, 1);
    open(&ann, &made, 4).await.unwrap();
    world.later(TICKET_IDLE_MS + 1);
    assert_eq!(uses(&ann).await, 1, "what took none gives none back");
    assert_eq!(ann.db.ticket([4; 32], ann.now()).await.unwrap(), None);
}

async fn a_ticket_in_use_keeps_its_use(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let made =
        ann.db.make_link(NewLink { uses_max: Some(1), ..terms(&ann, "/a", 1) }).await.unwrap();
    open(&ann, &made, 1).await.unwrap();
    open(&ann, &made, 2).await.unwrap();
    ann.db.begin_download([1; 32], 1_000, ann.now()).await.unwrap();
    for _ in 0..5 {
        world.later(TICKET_IDLE_MS);
        ann.db.note_served([1; 32], 1, ann.now()).await.unwrap();
        ann.db.note_served([2; 32], 0, ann.now()).await.unwrap();
        let begun = ann.db.begin_download([2; 32], 1_000, ann.now()).await;
        assert_eq!(refused(begun), Kind::LinkUsedUp);
    }
    world.later(TICKET_IDLE_MS);
    ann.db.note_served([2; 32], 0, ann.now()).await.unwrap();
    world.later(1);
    ann.db.begin_download([2; 32], 1_000, ann.now()).await.unwrap();
}

async fn tickets_end(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let ends = ann.now() + 1_000;
    let new = NewLink { expires_at: Some(ends + 1_000), ..terms(&ann, "/a", 1) };
    let made = ann.db.make_link(new).await.unwrap();
    ann.db.open_link(made.id, [1; 32], ends, ann.now()).await.unwrap();
    ann.db.open_link(made.id, [2; 32], ends + 9_000, ann.now()).await.unwrap();
    let valid = async |ticket| ann.db.ticket([ticket; 32], ann.now()).await.unwrap().is_some();
    world.later(999);
    assert!(valid(1).await && valid(2).await);
    world.later(1);
    assert!(!valid(1).await && valid(2).await);
    world.later(1_000);
    assert!(!valid(2).await, "with its link at the latest");
    world.later(TICKET_IDLE_MS);
    assert_eq!(ann.db.end_tickets(ann.now(), 1).await.unwrap(), 1);
    assert_eq!(ann.db.end_tickets(ann.now(), 9).await.unwrap(), 1);
}

async fn a_link_follows_its_entry(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a/file", b"one").await;
    let made = link(&ann, "/a").await;
    open(&ann, &made, 1).await.unwrap();
    ann.mv("/a", "/b/c").await.unwrap();
    let found = ann.db.link([1; 32], ann.now()).await.unwrap().unwrap();
    assert_eq!(found.path.to_string(), "/b/c");
    assert!(ann.db.entry(by(&made), &below(&made, "/file")).await.is_ok());
    let id = ann.rm("/b").await;
    assert_eq!(ann.db.link([1; 32], ann.now()).await.unwrap(), None);
    assert_eq!(ann.db.ticket([1; 32], ann.now()).await.unwrap(), None);
    assert_eq!(refused(ann.db.entry(by(&made), &below(&made, "/file")).await), Kind::NotFound);
    let (account, now) = (ann.id, ann.now());
    let back = crate::db::Restoration { account, request: None, id, target: None, now };
    ann.db.restore(back).await.unwrap();
    assert!(ann.db.ticket([1; 32], ann.now()).await.unwrap().is_some());
    ann.rm("/b").await;
    assert!(ann.db.purge_trash(i64::MAX).await.unwrap());
    assert_eq!(ann.db.links(ann.id, None, 9, ann.now()).await.unwrap().0, []);
}

async fn a_link_taken_back_is_gone(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    ann.put("/a", b"one").await;
    ann.share("/a", "bob", Right::Write).await;
    let made = link(&ann, "/a").await;
    open(&ann, &made, 1).await.unwrap();
    assert_eq!(refused(bob.db.revoke_link(bob.id, made.id).await), Kind::NotFound, "not bob's");
    ann.db.revoke_link(ann.id, made.id).await.unwrap();
    assert_eq!(ann.db.link([1; 32], ann.now()).await.unwrap(), None);
    assert_eq!(ann.db.ticket([1; 32], ann.now()).await.unwrap(), None);
    assert_eq!(refused(ann.db.entry(by(&made), &below(&made, "/")).await), Kind::NotFound);
    assert_eq!(refused(ann.db.revoke_link(ann.id, made.id).await), Kind::NotFound);
}

async fn links_of_a_disabled_account_do_not_open(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"one").await;
    let made = link(&ann, "/a").await;
    open(&ann, &made, 1).await.unwrap();
    ann.db.set_disabled(&ann.name, true, ann.now()).await.unwrap();
    assert_eq!(ann.db.link([1; 32], ann.now()).await.unwrap(), None);
    assert_eq!(ann.db.ticket([1; 32], ann.now()).await.unwrap(), None);
    ann.db.set_disabled(&ann.name, false, ann.now()).await.unwrap();
    assert!(ann.db.link([1; 32], ann.now()).await.unwrap().is_some());
}

async fn links_are_listed_in_pages(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    bob.put("/x", b"1").await;
    bob.db.make_link(terms(&bob, "/x", 99)).await.unwrap();
    let mut made = Vec::new();
    for number in 0..5 {
        let at = format!("/{number}");
        ann.put(&at, b"1").await;
        made.push(ann.db.make_link(terms(&ann, &at, number)).await.unwrap());
    }
    ann.rm("/1").await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let (some, next) = ann.db.links(ann.id, after, 2, ann.now()).await.unwrap();
        seen.extend(some);
        after = next;
        if after.is_none() {
            break;
        }
    }
    made.remove(1);
    assert_eq!(seen, made, "but for what is in the trash");
}

async fn links_have_a_limit(world: &World) {
    let ann = world.account("ann").await;
    ann.put("/a", b"1").await;
    for secret in 0..5 {
        ann.db.make_link(terms(&ann, "/a", secret)).await.unwrap();
    }
    assert_eq!(refused(ann.db.make_link(terms(&ann, "/a", 9)).await), Kind::LimitExceeded);
    assert_eq!(ann.db.link([9; 32], ann.now()).await.unwrap(), None);
}
