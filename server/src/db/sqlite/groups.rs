//! Groups as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use crate::db::sqlite::Sqlite;
use crate::db::sqlite::accounts::{by_key, name};
use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::writer::Tx;
use crate::db::{Group, GroupAsker, Groups, Member, MemberChange};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, AccountName, GroupName};

#[async_trait]
impl Groups for Sqlite {
    async fn create_group(
        &self,
        name: &GroupName,
        owner: AccountId,
        members: MemberChange,
        now: i64,
    ) -> Result<Group> {
        let name = name.clone();
        self.write("groups.create", move |tx| create(tx, &name, owner, &members, now)).await
    }

    async fn groups(&self, after: &str, limit: usize) -> Result<Vec<Group>> {
        let after = after.to_owned();
        self.read("groups.list", move |conn| {
            let sql = "SELECT name, (SELECT count(*) FROM member AS m WHERE m.account_group = g.id)
                       FROM account_group AS g WHERE name_key > ?1 ORDER BY name_key LIMIT ?2";
            all(conn, sql, (after, limit), group)
        })
        .await
    }

    async fn members(
        &self,
        group: &GroupName,
        by: GroupAsker,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Member>> {
        let (group, after) = (group.clone(), after.to_owned());
        self.read("groups.members", move |conn| {
            let id = required(conn, &group)?;
            if !by.admin && owns(conn, id, by.account)?.is_none() {
                let message = format!("only those who are in @{group} may see who is");
                return Err(Error::new(Kind::PermissionDenied, message));
            }
            members(conn, id, &after, limit)
        })
        .await
    }

    async fn change_members(
        &self,
        group: &GroupName,
        by: GroupAsker,
        change: MemberChange,
    ) -> Result<Group> {
        let group = group.clone();
        self.write("groups.change_members", move |tx| {
            let id = owned(tx.conn(), &group, by)?;
            include(tx, id, &change)?;
            for account in &change.exclude {
                exclude(tx, (&group, id), account)?;
            }
            if !has_owner(tx.conn(), id)? {
                let message =
                    format!("nobody would own @{group} any more; remove the group instead");
                return Err(Error::new(Kind::FailedPrecondition, message));
            }
            by_id(tx.conn(), id)
        })
        .await
    }

    async fn remove_group(&self, group: &GroupName, by: GroupAsker) -> Result<()> {
        let group = group.clone();
        self.write("groups.remove", move |tx| {
            let id = owned(tx.conn(), &group, by)?;
            let sql = "DELETE FROM access_grant WHERE grantee_kind = 2 AND grantee = ?1";
            tx.execute(sql, [id])?;
            tx.execute("DELETE FROM account_group WHERE id = ?1", [id]).map(drop)
        })
        .await
    }
}

fn create(
    tx: &mut Tx<'_>,
    name: &GroupName,
    owner: AccountId,
    members: &MemberChange,
    now: i64,
) -> Result<Group> {
    if find(tx.conn(), name)?.is_some() {
        let message = format!("the group @{name} exists already; choose another name");
        return Err(Error::new(Kind::AlreadyExists, message));
    }
    let sql = "INSERT INTO account_group (name, name_key, made_at) VALUES (?1, ?2, ?3)";
    tx.execute(sql, (name.as_str(), name.key(), now))?;
    let id = tx.conn().last_insert_rowid();
    tx.execute(
        "INSERT INTO member (account_group, account, owns) VALUES (?1, ?2, 1)",
        (id, owner),
    )?;
    include(tx, id, members)?;
    by_id(tx.conn(), id)
}

fn include(tx: &Tx<'_>, id: i64, change: &MemberChange) -> Result<()> {
    for name in &change.include {
        let account = account(tx.conn(), name)?;
        let sql = "INSERT OR IGNORE INTO member (account_group, account, owns) VALUES (?1, ?2, 0)";
        tx.execute(sql, (id, account))?;
    }
    let group = by_id(tx.conn(), id)?;
    if group.members > u64::from(change.members_max) {
        let message = format!("a group has at most {} members", change.members_max);
        return Err(Error::new(Kind::LimitExceeded, message));
    }
    Ok(())
}

fn exclude(tx: &Tx<'_>, (group, id): (&GroupName, i64), name: &AccountName) -> Result<()> {
    let account = account(tx.conn(), name)?;
    let sql = "DELETE FROM member WHERE account_group = ?1 AND account = ?2";
    match tx.execute(sql, (id, account))? {
        0 => Err(Error::not_found(format_args!("{name} in @{group}"))),
        _ => Ok(()),
    }
}

fn account(conn: &Connection, name: &AccountName) -> Result<AccountId> {
    let found = by_key(conn, &name.key())?;
    Ok(found.ok_or_else(|| Error::not_found(format_args!("account {name}")))?.id)
}

fn find(conn: &Connection, name: &GroupName) -> Result<Option<i64>> {
    let sql = "SELECT id FROM account_group WHERE name_key = ?1";
    one(conn, sql, [name.key()], |row| row.get(0))
}

/// A group's number.
pub(super) fn required(conn: &Connection, name: &GroupName) -> Result<i64> {
    find(conn, name)?.ok_or_else(|| Error::not_found(format_args!("group @{name}")))
}

/// A group's number, if whoever asks may change it.
fn owned(conn: &Connection, name: &GroupName, by: GroupAsker) -> Result<i64> {
    let id = required(conn, name)?;
    if by.admin || owns(conn, id, by.account)? == Some(true) {
        return Ok(id);
    }
    let message = format!("only the owners of @{name} and administrators may change it");
    Err(Error::new(Kind::PermissionDenied, message))
}

/// Whether somebody in a group owns it; `None` of those who are not in it.
fn owns(conn: &Connection, group: i64, account: AccountId) -> Result<Option<bool>> {
    let sql = "SELECT owns FROM member WHERE account_group = ?1 AND account = ?2";
    one(conn, sql, (group, account), |row| row.get(0))
}

fn has_owner(conn: &Connection, group: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM member WHERE account_group = ?1 AND owns LIMIT 1";
    Ok(one(conn, sql, [group], |_| Ok(()))?.is_some())
}

fn by_id(conn: &Connection, id: i64) -> Result<Group> {
    let sql = "SELECT name, (SELECT count(*) FROM member AS m WHERE m.account_group = g.id)
               FROM account_group AS g WHERE id = ?1";
    one(conn, sql, [id], group)?.ok_or_else(|| Error::internal("groups", "a group that is there"))
}

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group { name: group_name(row, 0)?, members: row.get(1)? })
}

/// A group's name in a column.
pub(super) fn group_name(row: &Row<'_>, column: usize) -> rusqlite::Result<GroupName> {
    let text: String = row.get(column)?;
    GroupName::parse(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn members(conn: &Connection, group: i64, after: &str, limit: usize) -> Result<Vec<Member>> {
    // By name, of which a group holds at most as many as its limit says.
    let sql = "SELECT a.name AS name, m.owns FROM member AS m JOIN account AS a ON a.id = m.account
               WHERE m.account_group = ?1 AND a.name_key > ?2 ORDER BY a.name_key LIMIT ?3";
    all(conn, sql, (group, after, limit), |row| {
        Ok(Member { account: name(row)?, owns: row.get(1)? })
    })
}
