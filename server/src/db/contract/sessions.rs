//! Stories of logins: their tokens, how many there may be, and what a refresh token is good for.

use crate::db::contract::people::{Person, refused};
use crate::db::contract::{World, stories};
use crate::db::{NewSession, Refreshed, Session, Tokens};
use crate::error::Kind;
use crate::model::SessionId;

stories! {
    a_login_is_found_by_its_token_until_it_ends
    the_login_that_was_unused_longest_makes_room
    a_refresh_gives_new_secrets_for_the_old
    a_lost_answer_can_be_asked_for_again_until_its_token_was_used
    an_answer_can_be_lost_while_the_clock_is_put_back
    a_spent_refresh_token_that_comes_late_ends_the_login
    nothing_refreshes_a_login_that_has_ended
    logins_are_listed_the_newest_first
    all_logins_but_one_can_be_ended
    what_has_run_out_is_swept
}

/// Tokens with these first bytes; good for an hour and a day.
fn tokens(now: i64, number: u8) -> Tokens {
    Tokens {
        token: [number; 32],
        token_expires_at: now + 3_600_000,
        refresh: [100 + number; 32],
        refresh_expires_at: now + 86_400_000,
    }
}

fn new_session(person: &Person, number: u8) -> NewSession {
    NewSession {
        id: SessionId::new(),
        account: person.id,
        client: format!("client {number}"),
        tokens: tokens(person.now(), number),
        sessions_max: 3,
        now: person.now(),
    }
}

/// Logs in with token `number` and refresh token `100 + number`; at most three logins stay.
pub(super) async fn login(person: &Person, number: u8) -> Session {
    person.db.create_session(new_session(person, number)).await.unwrap();
    found(person, number).await.unwrap()
}

async fn found(person: &Person, number: u8) -> Option<Session> {
    person.db.session([number; 32]).await.unwrap()
}

/// Spends refresh token `100 + old` for the tokens of `new`.
async fn refresh(person: &Person, old: u8, new: u8) -> Refreshed {
    let new = tokens(person.now(), new);
    person.db.refresh([100 + old; 32], new, person.now()).await.unwrap()
}

async fn use_token(person: &Person, number: u8) {
    let session = found(person, number).await.unwrap();
    person.db.touch_session(session.id, person.now()).await.unwrap();
}

async fn a_login_is_found_by_its_token_until_it_ends(world: &World) {
    let (ann, bob) = (world.account("Ann").await, world.account("bob").await);
    let session = login(&ann, 1).await;
    assert_eq!((session.account, session.name.as_str()), (ann.id, "Ann"));
    assert_eq!((session.client.as_str(), session.confirmed), ("client 1", true));
    assert_eq!((session.admin, session.disabled), (false, false));
    let now = world.now();
    assert_eq!((session.created_at, session.used_at), (now, now));
    assert_eq!(session.token_expires_at, now + 3_600_000);
    assert_eq!(session.expires_at, now + 86_400_000);
    assert!(found(&ann, 2).await.is_none());
    let foreign = bob.db.revoke_session(bob.id, session.id).await;
    assert_eq!(refused(foreign), Kind::NotFound);
    assert!(ann.db.session_is_good(session.id, now).await.unwrap());
    assert!(!ann.db.session_is_good(session.id, session.expires_at).await.unwrap());
    ann.db.revoke_session(ann.id, session.id).await.unwrap();
    assert!(found(&ann, 1).await.is_none());
    assert!(!ann.db.session_is_good(session.id, now).await.unwrap());
    assert_eq!(refused(ann.db.revoke_session(ann.id, session.id).await), Kind::NotFound);
}

async fn the_login_that_was_unused_longest_makes_room(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    login(&bob, 9).await;
    for number in 1..=3 {
        login(&ann, number).await;
        world.later(1_000);
    }
    use_token(&ann, 1).await;
    login(&ann, 4).await;
    for (number, stays) in [(1, true), (2, false), (3, true), (4, true)] {
        assert_eq!(found(&ann, number).await.is_some(), stays, "login {number}");
    }
    let new = NewSession { sessions_max: 1, ..new_session(&ann, 5) };
    assert!(ann.db.create_session(new).await.unwrap(), "others ended for it");
    let first = new_session(&world.account("cid").await, 6);
    assert!(!ann.db.create_session(first).await.unwrap(), "there is room");
    let left = ann.db.sessions(ann.id, None, world.now(), 9).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(found(&bob, 9).await.is_some(), "nobody else's login makes room");
}

async fn a_refresh_gives_new_secrets_for_the_old(world: &World) {
    let ann = world.account("ann").await;
    let before = login(&ann, 1).await;
    world.later(1_000);
    let Refreshed::Renewed(renewed) = refresh(&ann, 1, 2).await else { panic!("not renewed") };
    assert_eq!(renewed.id, before.id);
    assert!(found(&ann, 1).await.is_none(), "the token before is no longer good");
    let after = found(&ann, 2).await.unwrap();
    assert_eq!((after.id, after.confirmed, after.used_at), (before.id, false, world.now()));
    assert_eq!(after.token_expires_at, world.now() + 3_600_000);
    assert_eq!(after.expires_at, world.now() + 86_400_000);
    use_token(&ann, 2).await;
    assert!(found(&ann, 2).await.unwrap().confirmed);
    assert!(matches!(refresh(&ann, 2, 3).await, Refreshed::Renewed(_)));
    assert!(matches!(refresh(&ann, 77, 4).await, Refreshed::Unknown));
    assert!(found(&ann, 3).await.is_some());
}

async fn a_lost_answer_can_be_asked_for_again_until_its_token_was_used(world: &World) {
    let ann = world.account("ann").await;
    login(&ann, 1).await;
    for new in 2..=4 {
        assert!(matches!(refresh(&ann, 1, new).await, Refreshed::Renewed(_)), "answer {new}");
        assert!(found(&ann, new - 1).await.is_none());
        world.later(1);
    }
    assert!(matches!(refresh(&ann, 3, 5).await, Refreshed::Unknown), "what was lost is void");
    assert!(found(&ann, 4).await.is_some());
    assert!(matches!(refresh(&ann, 4, 5).await, Refreshed::Renewed(_)));
    assert!(matches!(refresh(&ann, 4, 6).await, Refreshed::Renewed(_)));
    use_token(&ann, 6).await;
    assert!(matches!(refresh(&ann, 4, 7).await, Refreshed::Reused));
    assert!(found(&ann, 6).await.is_none(), "somebody has a copy: the login has ended");
    assert!(matches!(refresh(&ann, 6, 8).await, Refreshed::Unknown));
}

async fn an_answer_can_be_lost_while_the_clock_is_put_back(world: &World) {
    let ann = world.account("ann").await;
    login(&ann, 1).await;
    assert!(matches!(refresh(&ann, 1, 2).await, Refreshed::Renewed(_)));
    use_token(&ann, 2).await;
    world.later(-3_600_000);
    assert!(matches!(refresh(&ann, 2, 3).await, Refreshed::Renewed(_)));
    assert!(matches!(refresh(&ann, 2, 4).await, Refreshed::Renewed(_)), "the answer was lost");
    assert!(found(&ann, 4).await.is_some());
}

async fn a_spent_refresh_token_that_comes_late_ends_the_login(world: &World) {
    let ann = world.account("ann").await;
    login(&ann, 1).await;
    // Not the one spent last: no answer to it can have been lost.
    assert!(matches!(refresh(&ann, 1, 2).await, Refreshed::Renewed(_)));
    use_token(&ann, 2).await;
    assert!(matches!(refresh(&ann, 2, 3).await, Refreshed::Renewed(_)));
    assert!(matches!(refresh(&ann, 1, 4).await, Refreshed::Reused));
    assert!(found(&ann, 3).await.is_none());
}

async fn nothing_refreshes_a_login_that_has_ended(world: &World) {
    let ann = world.account("ann").await;
    login(&ann, 1).await;
    world.later(86_400_000);
    assert!(matches!(refresh(&ann, 1, 2).await, Refreshed::Unknown), "it has run out");
    world.later(-1);
    assert!(matches!(refresh(&ann, 1, 2).await, Refreshed::Renewed(_)));
    let session = found(&ann, 2).await.unwrap();
    ann.db.revoke_session(ann.id, session.id).await.unwrap();
    assert!(matches!(refresh(&ann, 2, 3).await, Refreshed::Unknown), "it was ended");
    login(&ann, 4).await;
    ann.db.set_disabled(&ann.name, true, world.now()).await.unwrap();
    assert!(matches!(refresh(&ann, 4, 5).await, Refreshed::Unknown), "the account is disabled");
}

async fn logins_are_listed_the_newest_first(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    login(&bob, 9).await;
    for number in 1..=3 {
        login(&ann, number).await;
    }
    let list = async |before, limit| {
        let page = ann.db.sessions(ann.id, before, world.now(), limit).await.unwrap();
        page.into_iter().map(|session| (session.id, session.client)).collect::<Vec<_>>()
    };
    let all = list(None, 9).await;
    let clients: Vec<&str> = all.iter().map(|(_, client)| client.as_str()).collect();
    assert_eq!(clients, ["client 3", "client 2", "client 1"]);
    assert_eq!(list(None, 2).await, all[..2]);
    assert_eq!(list(Some(all[0].0), 9).await, all[1..]);
    assert_eq!(list(Some(all[2].0), 9).await, []);
    world.later(86_400_000);
    assert_eq!(list(None, 9).await, [], "those that have run out are none");
}

async fn all_logins_but_one_can_be_ended(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    login(&bob, 9).await;
    let keep = login(&ann, 1).await;
    login(&ann, 2).await;
    login(&ann, 3).await;
    assert_eq!(ann.db.revoke_sessions(ann.id, Some(keep.id)).await.unwrap(), 2);
    let left: Vec<bool> = [found(&ann, 1).await, found(&ann, 2).await, found(&bob, 9).await]
        .map(|s| s.is_some())
        .into();
    assert_eq!(left, [true, false, true]);
    assert_eq!(ann.db.revoke_sessions(ann.id, None).await.unwrap(), 1);
    assert_eq!(ann.db.revoke_sessions(ann.id, None).await.unwrap(), 0);
}

async fn what_has_run_out_is_swept(world: &World) {
    let ann = world.account("ann").await;
    login(&ann, 1).await;
    world.later(86_400_000);
    login(&ann, 2).await;
    // Logging in swept the first one already.
    assert_eq!(ann.db.end_sessions(world.now()).await.unwrap(), 0);
    world.later(86_400_000 + 1);
    assert_eq!(ann.db.end_sessions(world.now()).await.unwrap(), 1);
    assert!(found(&ann, 2).await.is_none());
    assert!(matches!(refresh(&ann, 2, 3).await, Refreshed::Unknown));
}
