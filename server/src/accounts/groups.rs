//! Groups: the rules. Every account may make one; its owners and the administrators change it.

use crate::accounts::Accounts;
use crate::db::{Group, GroupAsker, Member, MemberChange};
use crate::error::Result;
use crate::model::{AccountName, Caller, GroupName};

impl Accounts {
    /// Makes a group that the caller owns and is in.
    pub async fn create_group(
        &self,
        caller: &Caller,
        name: &GroupName,
        members: Vec<AccountName>,
    ) -> Result<Group> {
        let change = self.change(members, Vec::new());
        self.db.create_group(name, caller.account, change, self.clock.now()).await
    }

    /// Groups in the order of their names, those after `after`.
    pub async fn groups(&self, after: &str, limit: usize) -> Result<Vec<Group>> {
        self.db.groups(after, limit).await
    }

    /// Who is in a group, in the order of their names, those after `after`.
    pub async fn members(
        &self,
        caller: &Caller,
        group: &GroupName,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Member>> {
        self.db.members(group, asker(caller), after, limit).await
    }

    /// Changes who is in a group.
    pub async fn change_members(
        &self,
        caller: &Caller,
        group: &GroupName,
        include: Vec<AccountName>,
        exclude: Vec<AccountName>,
    ) -> Result<Group> {
        let change = self.change(include, exclude);
        let changed = self.db.change_members(group, asker(caller), change).await;
        tracing::info!(%group, by = %caller.name, done = changed.is_ok(), "a group was changed");
        changed
    }

    /// Removes a group.
    pub async fn remove_group(&self, caller: &Caller, group: &GroupName) -> Result<()> {
        let removed = self.db.remove_group(group, asker(caller)).await;
        tracing::info!(%group, by = %caller.name, done = removed.is_ok(), "a group was removed");
        removed
    }

    fn change(&self, include: Vec<AccountName>, exclude: Vec<AccountName>) -> MemberChange {
        MemberChange { include, exclude, members_max: self.limits.group_members_max }
    }
}

fn asker(caller: &Caller) -> GroupAsker {
    GroupAsker { account: caller.account, admin: caller.admin }
}
