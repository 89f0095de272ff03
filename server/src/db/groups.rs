//! Groups: lists of accounts under a name.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{AccountId, AccountName, GroupName};

/// A group as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// How many are in it.
    pub members: u64,
}

/// One who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub account: AccountName,
    /// Whether they may change the group.
    pub owns: bool,
}

/// Who asks about a group: administrators may look at and change each of them.
#[derive(Clone, Copy, Debug)]
pub struct GroupAsker {
    /// Who.
    pub account: AccountId,
    /// Whether they are an administrator.
    pub admin: bool,
}

/// What shall become of a group's members.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    /// Who comes in; those who are in it stay what they are.
    pub include: Vec<AccountName>,
    /// Who goes out.
    pub exclude: Vec<AccountName>,
    /// Members a group may have.
    pub members_max: u32,
}

/// Transactions on groups.
#[async_trait]
pub trait Groups {
    /// Makes a group that its maker owns. `AlreadyExists` when the name is taken, `NotFound` for accounts
    /// that do not exist.
    async fn create_group(
        &self,
        name: &GroupName,
        owner: AccountId,
        members: MemberChange,
        now: i64,
    ) -> Result<Group>;

    /// In the order of their folded names, those after `after`.
    async fn groups(&self, after: &str, limit: usize) -> Result<Vec<Group>>;

    /// A group's members in the order of their folded names, those after `after`. `PermissionDenied` to
    /// those who are not in it.
    async fn members(
        &self,
        group: &GroupName,
        by: GroupAsker,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Member>>;

    /// Changes who is in a group, which its owners may. `FailedPrecondition` when nobody would own it.
    async fn change_members(
        &self,
        group: &GroupName,
        by: GroupAsker,
        change: MemberChange,
    ) -> Result<Group>;

    /// Removes a group, which its owners may, and with it what was granted to it.
    async fn remove_group(&self, group: &GroupName, by: GroupAsker) -> Result<()>;
}
