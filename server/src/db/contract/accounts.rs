//! Stories of accounts: names, administrators, passwords, quotas, pages.

use std::sync::Arc;

use crate::db::contract::people::refused;
use crate::db::contract::sessions::login;
use crate::db::contract::{World, named, new_account, stories};
use crate::db::{Account, NewAccount};
use crate::error::Kind;
use crate::model::Modseq;

stories! {
    an_account_comes_with_the_root_of_its_tree
    names_that_fold_together_are_one_account
    only_the_first_administrator_makes_itself
    of_many_at_once_one_becomes_the_first_administrator
    the_last_administrator_cannot_be_disabled
    disabling_an_account_ends_its_logins
    a_new_password_ends_the_other_logins
    quotas_are_set_and_lifted
    accounts_are_listed_in_pages
}

fn admin(name: &str) -> NewAccount {
    NewAccount { admin: true, ..new_account(name) }
}

async fn an_account_comes_with_the_root_of_its_tree(world: &World) {
    let db = world.db();
    let new = NewAccount { quota: Some(7), now: 42, ..new_account("Ann") };
    let made = db.create_account(new).await.unwrap();
    let expected = (Some(7), 0, 42, "a hash", false, false);
    let facts = |a: &Account| (a.quota, a.used, a.created_at, a.password.clone(), a.admin);
    assert_eq!(made.name.as_str(), "Ann");
    let (quota, used, at, password, admin) = facts(&made);
    assert_eq!((quota, used, at, password.as_str(), admin, made.disabled), expected);
    let found = db.account(&named("Ann")).await.unwrap().unwrap();
    assert_eq!((found.id, facts(&found)), (made.id, facts(&made)));
    let top = world.person(made.id, made.name).at("/");
    let root = db.entry(made.id.into(), &top).await.unwrap();
    assert!(root.node.is_folder() && root.parent.is_none() && root.account == made.id);
    assert_eq!(db.start(made.id).await.unwrap().modseq, Modseq(1));
    assert!(db.account(&named("bob")).await.unwrap().is_none());
}

async fn names_that_fold_together_are_one_account(world: &World) {
    world.account("Ann").await;
    for name in ["Ann", "ann", "ANN"] {
        assert_eq!(
            refused(world.db().create_account(new_account(name)).await),
            Kind::AlreadyExists
        );
        let found = world.db().account(&named(name)).await.unwrap().unwrap();
        assert_eq!(found.name.as_str(), "Ann");
    }
    assert_eq!(world.db().accounts("", 10).await.unwrap().len(), 1);
}

async fn only_the_first_administrator_makes_itself(world: &World) {
    let db = world.db();
    let first = |name| NewAccount { only_first_admin: true, ..admin(name) };
    world.account("ann").await;
    assert!(!db.has_admin().await.unwrap());
    world.make(first("bob")).await;
    assert!(db.has_admin().await.unwrap());
    assert_eq!(refused(db.create_account(first("cid")).await), Kind::FailedPrecondition);
    assert!(db.account(&named("cid")).await.unwrap().is_none());
    assert!(db.create_account(admin("cid")).await.unwrap().admin);
}

async fn of_many_at_once_one_becomes_the_first_administrator(world: &World) {
    let tries: Vec<_> = (0..20)
        .map(|number| {
            let db = world.db();
            let new = NewAccount { only_first_admin: true, ..admin(&format!("admin{number}")) };
            tokio::spawn(async move { db.create_account(new).await.is_ok() })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        made += u32::from(one.await.unwrap());
    }
    assert_eq!(made, 1);
}

async fn the_last_administrator_cannot_be_disabled(world: &World) {
    let db = world.db();
    world.make(admin("ann")).await;
    let disable = async |name: &str, on: bool| {
        world.db().set_disabled(&named(name), on, world.now()).await.map(|found| found.disabled)
    };
    assert_eq!(refused(disable("ann", true).await), Kind::FailedPrecondition);
    world.make(admin("bob")).await;
    assert!(disable("ann", true).await.unwrap());
    assert!(disable("ann", true).await.unwrap(), "twice is once");
    assert_eq!(refused(disable("bob", true).await), Kind::FailedPrecondition);
    assert!(db.has_admin().await.unwrap());
    assert!(!disable("ann", false).await.unwrap());
    assert!(disable("bob", true).await.unwrap());
    assert_eq!(refused(disable("nobody", true).await), Kind::NotFound);
}

async fn disabling_an_account_ends_its_logins(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let (gone, stays) = (login(&ann, 1).await, login(&bob, 2).await);
    assert!(world.db().session_is_good(gone.id, world.now()).await.unwrap());
    world.db().set_disabled(&ann.name, true, world.now()).await.unwrap();
    assert!(!world.db().session_is_good(gone.id, world.now()).await.unwrap());
    assert!(world.db().session([1; 32]).await.unwrap().is_none());
    assert!(world.db().session_is_good(stays.id, world.now()).await.unwrap());
    world.db().set_disabled(&ann.name, false, world.now()).await.unwrap();
    assert!(!world.db().session_is_good(gone.id, world.now()).await.unwrap(), "it stays ended");
    assert!(!ann.account().await.disabled);
}

async fn a_new_password_ends_the_other_logins(world: &World) {
    let ann = world.account("ann").await;
    let (first, second) = (login(&ann, 1).await, login(&ann, 2).await);
    let password = || "another hash".to_owned();
    assert_eq!(ann.db.set_password(ann.id, password(), Some(first.id)).await.unwrap(), 1);
    assert_eq!(ann.account().await.password, password());
    assert!(ann.db.session_is_good(first.id, world.now()).await.unwrap());
    assert!(!ann.db.session_is_good(second.id, world.now()).await.unwrap());
    assert_eq!(ann.db.set_password(ann.id, password(), None).await.unwrap(), 1);
    assert!(!ann.db.session_is_good(first.id, world.now()).await.unwrap());
}

async fn quotas_are_set_and_lifted(world: &World) {
    let ann = world.account("ann").await;
    for quota in [Some(5), Some(0), Some(i64::MAX.unsigned_abs()), None] {
        let set = ann.db.set_quota(&named("ANN"), quota).await.unwrap();
        assert_eq!((set.quota, ann.account().await.quota), (quota, quota));
    }
    let too_large = ann.db.set_quota(&ann.name, Some(1 << 63)).await;
    assert_eq!(refused(too_large), Kind::InvalidArgument);
    assert_eq!(refused(ann.db.set_quota(&named("bob"), None).await), Kind::NotFound);
}

async fn accounts_are_listed_in_pages(world: &World) {
    let expected = ["Ann", "b.b", "b_b", "Bob", "cid", "DAN", "eve"];
    let mut shuffled = expected;
    shuffled.reverse();
    shuffled.swap(1, 4);
    for name in shuffled {
        world.account(name).await;
    }
    let db: Arc<_> = world.db();
    for size in 1..=8 {
        let (mut listed, mut after) = (Vec::new(), String::new());
        loop {
            let page = db.accounts(&after, size).await.unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = last.name.key();
            listed.extend(page.into_iter().map(|account| account.name.as_str().to_owned()));
        }
        assert_eq!(listed, expected, "in pages of {size}");
    }
}
