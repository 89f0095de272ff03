//! Logins as rows. Secrets are kept as SHA-256 hashes alone.
//!
//! A refresh token is spent by its use. Because the answer may be lost, the one spent last stays good
//! until the token that it gave is used; a spent one that comes after that is a copy in other hands,
//! and ends the login.

use rusqlite::{Connection, Row};

use crate::db::sqlite::accounts::name;
use crate::db::sqlite::rows::{all, one};
use crate::db::sqlite::writer::Tx;
use crate::db::{NewSession, Refreshed, Session, Tokens};
use crate::error::{Error, Result};
use crate::model::{AccountId, SessionId};

const SESSION: &str = "SELECT s.id AS id, s.account AS account, a.name AS name, a.admin AS admin,
     a.disabled_at IS NOT NULL AS disabled, s.client AS client, s.created_at AS created_at,
     s.used_at AS used_at, s.token_expires_at AS token_expires_at, s.expires_at AS expires_at,
     s.confirmed AS confirmed
   FROM session AS s JOIN account AS a ON a.id = s.account";

/// Records a login; the longest unused one of too many makes room. Whether one did.
pub(super) fn create(tx: &mut Tx<'_>, new: &NewSession) -> Result<bool> {
    tx.execute(
        "DELETE FROM session WHERE account = ?1 AND expires_at <= ?2",
        (new.account, new.now),
    )?;
    let ended = tx.execute(
        "DELETE FROM session WHERE id IN (
           SELECT id FROM session WHERE account = ?1 ORDER BY used_at DESC, id DESC
           LIMIT -1 OFFSET ?2)",
        (new.account, new.sessions_max.saturating_sub(1)),
    )?;
    tx.execute(
        "INSERT INTO session (id, account, client, token, token_expires_at, expires_at, confirmed,
                              created_at, used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)",
        (
            new.id,
            new.account,
            &new.client,
            new.tokens.token,
            new.tokens.token_expires_at,
            new.tokens.refresh_expires_at,
            new.now,
        ),
    )?;
    add_refresh(tx, new.id, new.tokens.refresh)?;
    Ok(ended > 0)
}

/// The login of a token.
pub(super) fn by_token(conn: &Connection, token: [u8; 32]) -> Result<Option<Session>> {
    one(conn, &format!("{SESSION} WHERE s.token = ?1"), [token], session)
}

/// Whether a login goes on.
pub(super) fn is_good(conn: &Connection, id: SessionId, now: i64) -> Result<bool> {
    let sql = format!("{SESSION} WHERE s.id = ?1 AND s.expires_at > ?2");
    Ok(one(conn, &sql, (id, now), session)?.is_some_and(|session| !session.disabled))
}

/// Exchanges a refresh token for new secrets.
pub(super) fn refresh(
    tx: &mut Tx<'_>,
    refresh: [u8; 32],
    new: Tokens,
    now: i64,
) -> Result<Refreshed> {
    let sql = format!(
        "{SESSION} JOIN refresh AS r ON r.session = s.id
         WHERE r.hash = ?1 AND s.expires_at > ?2 AND a.disabled_at IS NULL"
    );
    let Some(session) = one(tx.conn(), &sql, (refresh, now), session)? else {
        return Ok(Refreshed::Unknown);
    };
    if is_spent(tx, refresh)? && (session.confirmed || !is_spent_last(tx, session.id, refresh)?) {
        tx.execute("DELETE FROM session WHERE id = ?1", [session.id])?;
        return Ok(Refreshed::Reused);
    }
    // What an earlier, lost answer gave.
    let sql = "DELETE FROM refresh WHERE session = ?1 AND spent_at IS NULL AND hash <> ?2";
    tx.execute(sql, (session.id, refresh))?;
    tx.execute("UPDATE refresh SET spent_at = ?2 WHERE hash = ?1", (refresh, now))?;
    add_refresh(tx, session.id, new.refresh)?;
    tx.execute(
        "UPDATE session SET token = ?2, token_expires_at = ?3, expires_at = ?4, confirmed = 0,
                            spent_last = ?5, used_at = ?6
         WHERE id = ?1",
        (session.id, new.token, new.token_expires_at, new.refresh_expires_at, refresh, now),
    )?;
    Ok(Refreshed::Renewed(session))
}

fn is_spent(tx: &Tx<'_>, refresh: [u8; 32]) -> Result<bool> {
    let sql = "SELECT spent_at IS NOT NULL FROM refresh WHERE hash = ?1";
    Ok(one(tx.conn(), sql, [refresh], |row| row.get(0))?.unwrap_or(false))
}

/// Remembered rather than found by its time: the clock may be put back.
fn is_spent_last(tx: &Tx<'_>, session: SessionId, refresh: [u8; 32]) -> Result<bool> {
    let sql = "SELECT 1 FROM session WHERE id = ?1 AND spent_last = ?2";
    Ok(one(tx.conn(), sql, (session, refresh), |_| Ok(()))?.is_some())
}

fn add_refresh(tx: &Tx<'_>, session: SessionId, refresh: [u8; 32]) -> Result<()> {
    tx.execute("INSERT INTO refresh (hash, session) VALUES (?1, ?2)", (refresh, session)).map(drop)
}

/// Notes that a login's current token was used.
pub(super) fn touch(tx: &Tx<'_>, id: SessionId, now: i64) -> Result<()> {
    tx.execute("UPDATE session SET used_at = ?2, confirmed = 1 WHERE id = ?1", (id, now)).map(drop)
}

/// Logins that are good, the newest first.
pub(super) fn list(
    conn: &Connection,
    account: AccountId,
    before: Option<SessionId>,
    (now, limit): (i64, usize),
) -> Result<Vec<Session>> {
    let sql = format!(
        "{SESSION} WHERE s.account = ?1 AND s.expires_at > ?2 AND (?3 IS NULL OR s.id < ?3)
         ORDER BY s.id DESC LIMIT ?4"
    );
    all(conn, &sql, (account, now, before, limit), session)
}

/// Ends one login of an account.
pub(super) fn revoke(tx: &Tx<'_>, account: AccountId, id: SessionId) -> Result<()> {
    match tx.execute("DELETE FROM session WHERE account = ?1 AND id = ?2", (account, id))? {
        0 => Err(Error::not_found(format_args!("login {id}"))),
        _ => Ok(()),
    }
}

/// Ends all logins of an account but one.
pub(super) fn revoke_all(tx: &Tx<'_>, account: AccountId, keep: Option<SessionId>) -> Result<u32> {
    let sql = "DELETE FROM session WHERE account = ?1 AND (?2 IS NULL OR id <> ?2)";
    let ended = tx.execute(sql, (account, keep))?;
    Ok(u32::try_from(ended).unwrap_or(u32::MAX))
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        account: row.get("account")?,
        name: name(row)?,
        admin: row.get("admin")?,
        disabled: row.get("disabled")?,
        client: row.get("client")?,
        created_at: row.get("created_at")?,
        used_at: row.get("used_at")?,
        token_expires_at: row.get("token_expires_at")?,
        expires_at: row.get("expires_at")?,
        confirmed: row.get("confirmed")?,
    })
}
