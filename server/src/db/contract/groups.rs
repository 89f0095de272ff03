//! Stories of groups: who is in them, and who may say so.

use crate::db::contract::people::{Person, refused};
use crate::db::contract::{World, named, stories};
use crate::db::{GroupAsker, MemberChange};
use crate::error::Kind;
use crate::model::GroupName;

stories! {
    a_group_belongs_to_whoever_made_it
    members_come_and_go
    a_group_is_never_without_an_owner
    names_of_groups_fold_together
    groups_are_listed_in_order
    a_group_has_a_limit
}

fn lab() -> GroupName {
    GroupName::parse("Lab").unwrap()
}

fn change(include: &[&str], exclude: &[&str]) -> MemberChange {
    let names = |list: &[&str]| list.iter().map(|name| named(name)).collect();
    MemberChange { include: names(include), exclude: names(exclude), members_max: 4 }
}

fn asks(person: &Person) -> GroupAsker {
    GroupAsker { account: person.id, admin: false }
}

async fn members(by: GroupAsker, person: &Person) -> Vec<String> {
    let found = person.db.members(&lab(), by, "", 99).await.unwrap();
    found.iter().map(|m| format!("{}{}", m.account, if m.owns { "*" } else { "" })).collect()
}

async fn a_group_belongs_to_whoever_made_it(world: &World) {
    let (ann, bob) = (world.account("ann").await, world.account("bob").await);
    let carol = world.account("carol").await;
    let made = ann.db.create_group(&lab(), ann.id, change(&["bob", "ann"], &[]), 1).await.unwrap();
    assert_eq!((made.name, made.members), (lab(), 2));
    assert_eq!(members(asks(&bob), &bob).await, ["ann*", "bob"]);
    assert_eq!(members(GroupAsker { admin: true, ..asks(&carol) }, &carol).await.len(), 2);
    let of_carol = carol.db.members(&lab(), asks(&carol), "", 9).await;
    assert_eq!(refused(of_carol), Kind::PermissionDenied);
    for other in [&bob, &carol] {
        let joined = other.db.change_members(&lab(), asks(other), change(&["carol"], &[])).await;
        assert_eq!(refused(joined), Kind::PermissionDenied);
        let removed = other.db.remove_group(&lab(), asks(other)).await;
        assert_eq!(refused(removed), Kind::PermissionDenied);
    }
    let admin = GroupAsker { admin: true, ..asks(&carol) };
    carol.db.remove_group(&lab(), admin).await.unwrap();
    assert_eq!(refused(ann.db.remove_group(&lab(), asks(&ann)).await), Kind::NotFound);
}

async fn members_come_and_go(world: &World) {
    let ann = world.account("ann").await;
    for name in ["bob", "carol"] {
        world.account(name).await;
    }
    ann.db.create_group(&lab(), ann.id, change(&[], &[]), 1).await.unwrap();
    let edit = async |include: &[&str], exclude: &[&str]| {
        ann.db.change_members(&lab(), asks(&ann), change(include, exclude)).await
    };
    assert_eq!(edit(&["bob", "carol", "bob"], &[]).await.unwrap().members, 3);
    edit(&["bob"], &["carol"]).await.unwrap();
    assert_eq!(members(asks(&ann), &ann).await, ["ann*", "bob"]);
    assert_eq!(refused(edit(&["carol", "nobody"], &[]).await), Kind::NotFound);
    assert_eq!(refused(edit(&["carol"], &["nobody"]).await), Kind::NotFound);
    assert_eq!(refused(edit(&[], &["carol"]).await), Kind::NotFound, "not in it");
    assert_eq!(members(asks(&ann), &ann).await, ["ann*", "bob"], "all of it or nothing");
}

async fn a_group_is_never_without_an_owner(world: &World) {
    let ann = world.account("ann").await;
    world.account("bob").await;
    ann.db.create_group(&lab(), ann.id, change(&["bob"], &[]), 1).await.unwrap();
    let left = ann.db.change_members(&lab(), asks(&ann), change(&[], &["ann"])).await;
    assert_eq!(refused(left), Kind::FailedPrecondition);
    assert_eq!(members(asks(&ann), &ann).await, ["ann*", "bob"]);
}

async fn names_of_groups_fold_together(world: &World) {
    let ann = world.account("ann").await;
    ann.db.create_group(&lab(), ann.id, change(&[], &[]), 1).await.unwrap();
    let other = GroupName::parse("LAB").unwrap();
    let made = ann.db.create_group(&other, ann.id, change(&[], &[]), 1).await;
    assert_eq!(refused(made), Kind::AlreadyExists);
    assert_eq!(ann.db.members(&other, asks(&ann), "", 9).await.unwrap().len(), 1);
    let same = GroupName::parse("ann").unwrap();
    ann.db.create_group(&same, ann.id, change(&[], &[]), 1).await.unwrap();
}

async fn groups_are_listed_in_order(world: &World) {
    let ann = world.account("ann").await;
    for name in ["c", "A", "b"] {
        let name = GroupName::parse(name).unwrap();
        ann.db.create_group(&name, ann.id, change(&[], &[]), 1).await.unwrap();
    }
    let names = async |after: &str, limit| {
        let found = ann.db.groups(after, limit).await.unwrap();
        found.iter().map(|group| group.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("", 2).await, ["A", "b"]);
    assert_eq!(names("b", 2).await, ["c"]);
}

async fn a_group_has_a_limit(world: &World) {
    let ann = world.account("ann").await;
    for name in ["b", "c", "d", "e"] {
        world.account(name).await;
    }
    let too_many = ann.db.create_group(&lab(), ann.id, change(&["b", "c", "d", "e"], &[]), 1).await;
    assert_eq!(refused(too_many), Kind::LimitExceeded);
    ann.db.create_group(&lab(), ann.id, change(&["b", "c", "d"], &[]), 1).await.unwrap();
    let past = ann.db.change_members(&lab(), asks(&ann), change(&["e"], &[])).await;
    assert_eq!(refused(past), Kind::LimitExceeded);
    assert_eq!(members(asks(&ann), &ann).await.len(), 4);
}
