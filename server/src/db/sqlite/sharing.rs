//! Grants as rows. Each belongs to an entry, by its id: it goes where the entry goes, and rests with it in
//! the trash.

use async_trait::async_trait;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use crate::db::sqlite::accounts::by_key;
use crate::db::sqlite::paths::Upwards;
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::requests::once;
use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, groups};
use crate::db::{Grant, GrantKey, Grants, NewGrant, Sharing};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, AccountName, EntryId, Grantee, GroupName, Right, TreePath};

const ACCOUNT: i64 = 1;
const GROUP: i64 = 2;

#[async_trait]
impl Sharing for Sqlite {
    async fn grant(&self, new: NewGrant) -> Result<Grant> {
        self.write("sharing.grant", move |tx| {
            once(tx, new.owner, new.request.as_ref(), new.now, |tx| grant(tx, &new))
        })
        .await
    }

    async fn revoke(&self, owner: AccountId, path: &TreePath, grantee: &Grantee) -> Result<()> {
        let (path, grantee) = (path.clone(), grantee.clone());
        self.write("sharing.revoke", move |tx| revoke(tx, owner, &path, &grantee)).await
    }

    async fn grants(
        &self,
        owner: AccountId,
        path: Option<&TreePath>,
        after: Option<GrantKey>,
        limit: usize,
    ) -> Result<Grants> {
        let path = path.cloned();
        self.read("sharing.grants", move |conn| {
            let entry = match &path {
                Some(path) => Some(standing(conn, owner, path)?),
                None => None,
            };
            let sql = format!(
                "SELECT {GRANT} FROM access_grant AS g WHERE g.owner = ?1 AND {LATER}
                 AND g.entry >= ?5 AND g.entry <= ?6
                 ORDER BY g.entry, g.grantee_kind, g.grantee LIMIT ?7"
            );
            let (first, last) = match entry {
                Some(id) => (id.as_bytes().to_vec(), id.as_bytes().to_vec()),
                None => (Vec::new(), vec![0xff; 17]),
            };
            let (entry, kind, grantee) = after_key(after);
            let params = (owner, entry, kind, grantee, first, last, limit);
            found(conn, all(conn, &sql, params, grant_row)?, limit)
        })
        .await
    }

    async fn shared_with(
        &self,
        account: AccountId,
        after: Option<GrantKey>,
        limit: usize,
    ) -> Result<Grants> {
        self.read("sharing.shared_with", move |conn| {
            let sql = format!(
                "SELECT {GRANT} FROM access_grant AS g
                 WHERE (g.grantee_kind, g.grantee) IN (
                   SELECT 1, ?1 UNION ALL SELECT 2, account_group FROM member WHERE account = ?1)
                 AND {LATER} ORDER BY g.entry, g.grantee_kind, g.grantee LIMIT ?5"
            );
            let (entry, kind, grantee) = after_key(after);
            let params = (account, entry, kind, grantee, limit);
            let mut rows = all(conn, &sql, params, grant_row)?;
            let next = next(&rows, limit);
            // A group's owner may be in it, and needs no grant.
            rows.retain(|row| row.owner != account);
            Ok(Grants { next, ..found(conn, rows, limit)? })
        })
        .await
    }
}

fn grant(tx: &mut Tx<'_>, new: &NewGrant) -> Result<Grant> {
    let entry = standing(tx.conn(), new.owner, &new.path)?;
    let (kind, grantee) = key_of(tx.conn(), &new.grantee)?;
    if (kind, grantee) == (ACCOUNT, new.owner.0) {
        return Err(Error::field("grantee", "the tree is their own"));
    }
    tx.execute(
        "INSERT INTO access_grant (entry, grantee_kind, grantee, owner, rights, granted_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET rights = excluded.rights, granted_at = excluded.granted_at",
        (entry, kind, grantee, new.owner, new.right, new.now),
    )?;
    let sql = "SELECT count(*) FROM access_grant WHERE owner = ?1";
    let made: u32 = one(tx.conn(), sql, [new.owner], |row| row.get(0))?.unwrap_or(0);
    if made > new.grants_max {
        let message = format!("{} grants are the most; take some back", new.grants_max);
        return Err(Error::new(Kind::LimitExceeded, message));
    }
    let sql = format!(
        "SELECT {GRANT} FROM access_grant AS g
         WHERE g.entry = ?1 AND g.grantee_kind = ?2 AND g.grantee = ?3"
    );
    let row = one(tx.conn(), &sql, (entry, kind, grantee), grant_row)?;
    let made = found(tx.conn(), row.into_iter().collect(), 2)?.grants.pop();
    made.ok_or_else(|| Error::internal("sharing.grant", "a grant that was made"))
}

fn revoke(tx: &mut Tx<'_>, owner: AccountId, path: &TreePath, to: &Grantee) -> Result<()> {
    let entry = standing(tx.conn(), owner, path)?;
    let (kind, grantee) = key_of(tx.conn(), to)?;
    let sql = "DELETE FROM access_grant WHERE entry = ?1 AND grantee_kind = ?2 AND grantee = ?3";
    match tx.execute(sql, (entry, kind, grantee))? {
        0 => Err(Error::not_found(format_args!("a grant on {path} to {to}"))),
        _ => Ok(()),
    }
}

/// The entry at a path of the owner's tree.
fn standing(conn: &Connection, owner: AccountId, path: &TreePath) -> Result<EntryId> {
    let stands = Reach::own(conn, owner)?.find(path)?;
    Ok(stands.ok_or_else(|| Error::not_found(path))?.id)
}

fn key_of(conn: &Connection, grantee: &Grantee) -> Result<(i64, i64)> {
    match grantee {
        Grantee::Account(name) => {
            let account = by_key(conn, &name.key())?;
            let id = account.ok_or_else(|| Error::not_found(format_args!("account {name}")))?.id;
            Ok((ACCOUNT, id.0))
        }
        Grantee::Group(name) => Ok((GROUP, groups::required(conn, name)?)),
    }
}

const GRANT: &str = "g.entry, g.grantee_kind, g.grantee, g.owner, g.rights, g.granted_at,
     CASE g.grantee_kind WHEN 1 THEN (SELECT name FROM account WHERE id = g.grantee)
                         ELSE (SELECT name FROM account_group WHERE id = g.grantee) END,
     (SELECT name FROM account WHERE id = g.owner)";

/// After the key in ?2, ?3 and ?4.
const LATER: &str = "(g.entry, g.grantee_kind, g.grantee) > (?2, ?3, ?4)";

fn after_key(after: Option<GrantKey>) -> (Vec<u8>, i64, i64) {
    match after {
        None => (Vec::new(), 0, 0),
        Some(key) => {
            (key.entry.as_bytes().to_vec(), if key.group { GROUP } else { ACCOUNT }, key.grantee)
        }
    }
}

struct GrantRow {
    key: GrantKey,
    owner: AccountId,
    owner_name: AccountName,
    grantee: Grantee,
    right: Right,
    granted_at: i64,
}

fn grant_row(row: &Row<'_>) -> rusqlite::Result<GrantRow> {
    let damaged = |column, error: Error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    };
    let (group, name) = (row.get::<_, i64>(1)? == GROUP, row.get::<_, String>(6)?);
    let grantee = match group {
        true => GroupName::parse(&name).map(Grantee::Group),
        false => AccountName::parse(&name).map(Grantee::Account),
    };
    let owner_name = AccountName::parse(&row.get::<_, String>(7)?);
    Ok(GrantRow {
        key: GrantKey { entry: row.get(0)?, group, grantee: row.get(2)? },
        owner: row.get(3)?,
        owner_name: owner_name.map_err(|error| damaged(7, error))?,
        grantee: grantee.map_err(|error| damaged(6, error))?,
        right: row.get(4)?,
        granted_at: row.get(5)?,
    })
}

fn next(rows: &[GrantRow], limit: usize) -> Option<GrantKey> {
    rows.last().filter(|_| rows.len() >= limit).map(|row| row.key)
}

/// With the paths where they are now, without those in the trash.
fn found(conn: &Connection, rows: Vec<GrantRow>, limit: usize) -> Result<Grants> {
    let next = next(&rows, limit);
    let mut grants = Vec::new();
    for row in rows {
        let GrantRow { key, owner, owner_name, grantee, right, granted_at } = row;
        if let Some((path, kind)) = Upwards::new(conn, owner)?.place(key.entry)? {
            let (entry, owner) = (key.entry, owner_name);
            grants.push(Grant { entry, owner, path, kind, grantee, right, granted_at });
        }
    }
    Ok(Grants { grants, next })
}
