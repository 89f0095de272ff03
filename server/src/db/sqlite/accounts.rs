//! Accounts as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::sessions;
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, quota, rows};
use crate::db::{Account, Accounts, NewAccount, NewSession, Refreshed, Session, Tokens, Usage};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, AccountName, EntryId, Mode, SessionId};

const ACCOUNT: &str = "id, name, password, admin, disabled_at, used, quota, created_at";

#[async_trait]
impl Accounts for Sqlite {
    async fn create_account(&self, new: NewAccount) -> Result<Account> {
        self.write("accounts.create", move |tx| create(tx, &new)).await
    }

    async fn has_admin(&self) -> Result<bool> {
        self.read("accounts.has_admin", |conn| Ok(admins(conn)? > 0)).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        let key = name.key();
        self.read("accounts.account", move |conn| by_key(conn, &key)).await
    }

    async fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>> {
        let after = after.to_owned();
        self.read("accounts.list", move |conn| {
            let sql = format!(
                "SELECT {ACCOUNT} FROM account WHERE name_key > ?1 ORDER BY name_key LIMIT ?2"
            );
            all(conn, &sql, (after, limit), account)
        })
        .await
    }

    async fn set_disabled(&self, name: &AccountName, disabled: bool, now: i64) -> Result<Account> {
        let name = name.clone();
        self.write("accounts.set_disabled", move |tx| set_disabled(tx, &name, disabled, now)).await
    }

    async fn set_password(
        &self,
        account: AccountId,
        password: String,
        keep: Option<SessionId>,
    ) -> Result<u32> {
        self.write("accounts.set_password", move |tx| {
            let sql = "UPDATE account SET password = ?2 WHERE id = ?1";
            tx.execute(sql, (account, &password))?;
            sessions::revoke_all(tx, account, keep)
        })
        .await
    }

    async fn set_quota(&self, name: &AccountName, quota: Option<u64>) -> Result<Account> {
        let name = name.clone();
        self.write("accounts.set_quota", move |tx| {
            let sql = "UPDATE account SET quota = ?2 WHERE name_key = ?1";
            tx.execute(sql, (name.key(), quota))?;
            required(tx.conn(), &name)
        })
        .await
    }

    async fn usage(&self, account: AccountId) -> Result<Usage> {
        self.read("accounts.usage", move |conn| quota::usage(conn, account)).await
    }

    async fn create_session(&self, new: NewSession) -> Result<bool> {
        self.write("sessions.create", move |tx| sessions::create(tx, &new)).await
    }

    async fn session(&self, token: [u8; 32]) -> Result<Option<Session>> {
        self.read("sessions.session", move |conn| sessions::by_token(conn, token)).await
    }

    async fn session_is_good(&self, id: SessionId, now: i64) -> Result<bool> {
        self.read("sessions.is_good", move |conn| sessions::is_good(conn, id, now)).await
    }

    async fn refresh(&self, refresh: [u8; 32], new: Tokens, now: i64) -> Result<Refreshed> {
        self.write("sessions.refresh", move |tx| sessions::refresh(tx, refresh, new, now)).await
    }

    async fn touch_session(&self, id: SessionId, now: i64) -> Result<()> {
        self.write("sessions.touch", move |tx| sessions::touch(tx, id, now)).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionId>,
        now: i64,
        limit: usize,
    ) -> Result<Vec<Session>> {
        self.read("sessions.list", move |conn| sessions::list(conn, account, before, (now, limit)))
            .await
    }

    async fn revoke_session(&self, account: AccountId, id: SessionId) -> Result<()> {
        self.write("sessions.revoke", move |tx| sessions::revoke(tx, account, id)).await
    }

    async fn revoke_sessions(&self, account: AccountId, keep: Option<SessionId>) -> Result<u32> {
        self.write("sessions.revoke_all", move |tx| sessions::revoke_all(tx, account, keep)).await
    }
}

fn create(tx: &mut Tx<'_>, new: &NewAccount) -> Result<Account> {
    if new.only_first_admin && admins(tx.conn())? > 0 {
        let message = "an administrator exists; log in, or ask them for an account";
        return Err(Error::new(Kind::FailedPrecondition, message));
    }
    if by_key(tx.conn(), &new.name.key())?.is_some() {
        let message = format!("the account {} exists already; choose another name", new.name);
        return Err(Error::new(Kind::AlreadyExists, message));
    }
    let root = EntryId::new();
    let quota = new.quota;
    tx.execute(
        "INSERT INTO account (name, name_key, password, admin, quota, root, modseq, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)",
        (new.name.as_str(), new.name.key(), &new.password, new.admin, quota, root, new.now),
    )?;
    let id = AccountId(tx.conn().last_insert_rowid());
    tx.execute(
        "INSERT INTO entry (id, account, name, name_key, kind, mode, modified_ns, made, generation,
                            placed, modseq, changed_at)
         VALUES (?1, ?2, '', '', ?3, ?4, ?5, 1, 1, 1, 1, ?6)",
        (root, id, rows::FOLDER, Mode::FOLDER.bits(), new.now.saturating_mul(1_000_000), new.now),
    )?;
    required(tx.conn(), &new.name)
}

fn set_disabled(tx: &mut Tx<'_>, name: &AccountName, disabled: bool, now: i64) -> Result<Account> {
    let account = required(tx.conn(), name)?;
    if disabled && account.admin && !account.disabled && admins(tx.conn())? == 1 {
        let message = format!("{name} is the last administrator; make another one first");
        return Err(Error::new(Kind::FailedPrecondition, message));
    }
    let at = disabled.then_some(now);
    tx.execute("UPDATE account SET disabled_at = ?2 WHERE id = ?1", (account.id, at))?;
    if disabled {
        sessions::revoke_all(tx, account.id, None)?;
    }
    required(tx.conn(), name)
}

fn admins(conn: &Connection) -> Result<u32> {
    let sql = "SELECT count(*) FROM account WHERE admin AND disabled_at IS NULL";
    Ok(one(conn, sql, [], |row| row.get(0))?.unwrap_or(0))
}

/// An account by its folded name.
pub(super) fn by_key(conn: &Connection, key: &str) -> Result<Option<Account>> {
    one(conn, &format!("SELECT {ACCOUNT} FROM account WHERE name_key = ?1"), [key], account)
}

fn required(conn: &Connection, name: &AccountName) -> Result<Account> {
    by_key(conn, &name.key())?.ok_or_else(|| Error::not_found(format_args!("account {name}")))
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get("id")?,
        name: name(row)?,
        password: row.get("password")?,
        admin: row.get("admin")?,
        disabled: row.get::<_, Option<i64>>("disabled_at")?.is_some(),
        used: row.get("used")?,
        quota: row.get("quota")?,
        created_at: row.get("created_at")?,
    })
}

/// The account's name in column `name`.
pub(super) fn name(row: &Row<'_>) -> rusqlite::Result<AccountName> {
    let text: String = row.get("name")?;
    AccountName::parse(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })
}
