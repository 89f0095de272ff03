//! Links and tickets as rows.
//!
//! A use is taken when the first byte leaves under a ticket, and given back when nothing was heard of the
//! ticket for a while and less than half had left. Nobody waits for that: it is looked for when somebody wants
//! a use.

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use crate::db::sqlite::accounts::name;
use crate::db::sqlite::changes::entry_kind;
use crate::db::sqlite::contents::{Provenance, end_upload};
use crate::db::sqlite::merge::Merge;
use crate::db::sqlite::paths::{Upwards, by_id, sibling};
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::rows::{FOLDER, all, one};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, drops, measure};
use crate::db::{
    Dropped, Link, LinkUse, Links, NewLink, NewNode, StagedEntry, TICKET_IDLE_MS, Ticket,
};
use crate::error::{Error, Kind, Result};
use crate::model::{AccountId, Condition, Entry, EntryId, LinkId, TreePath};

/// Tickets that are ended while somebody waits for a use.
const ENDED_ROWS: usize = 500;

#[async_trait]
impl Links for Sqlite {
    async fn make_link(&self, new: NewLink) -> Result<Link> {
        self.write("links.make", move |tx| make(tx, &new)).await
    }

    async fn links(
        &self,
        owner: AccountId,
        after: Option<LinkId>,
        limit: usize,
        now: i64,
    ) -> Result<(Vec<Link>, Option<LinkId>)> {
        self.end_idle(now).await?;
        self.read("links.list", move |conn| {
            let sql = format!("{LINK} WHERE l.owner = ?1 AND l.id > ?2 ORDER BY l.id LIMIT ?3");
            let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
            let rows = all(conn, &sql, (owner, after, limit), link)?;
            let next = rows.last().filter(|_| rows.len() >= limit).map(|link| link.id);
            let placed = rows.into_iter().filter_map(|link| placed(conn, link).transpose());
            Ok((placed.collect::<Result<_>>()?, next))
        })
        .await
    }

    async fn revoke_link(&self, owner: AccountId, id: LinkId) -> Result<()> {
        self.write("links.revoke", move |tx| {
            match tx.execute("DELETE FROM link WHERE id = ?1 AND owner = ?2", (id, owner))? {
                0 => Err(Error::not_found(format_args!("link {id}"))),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn link(&self, secret: [u8; 32], now: i64) -> Result<Option<Link>> {
        self.end_idle(now).await?;
        self.read("links.link", move |conn| {
            let sql = format!("{LINK} WHERE l.secret = ?1 AND a.disabled_at IS NULL");
            match one(conn, &sql, [secret], link)? {
                Some(link) => placed(conn, link),
                None => Ok(None),
            }
        })
        .await
    }

    async fn open_link(&self, link: LinkId, ticket: [u8; 32], ends: i64, now: i64) -> Result<()> {
        self.write("links.open", move |tx| {
            let sql = "SELECT 1 FROM link WHERE id = ?1 AND (uses_max IS NULL OR uses < uses_max)";
            one(tx.conn(), sql, [link], |_| Ok(()))?.ok_or_else(used_up)?;
            tx.execute(
                "INSERT INTO ticket (hash, link, expires_at, touched_at) VALUES (?1, ?2, ?3, ?4)",
                (ticket, link, ends, now),
            )
            .map(drop)
        })
        .await
    }

    async fn ticket(&self, ticket: [u8; 32], now: i64) -> Result<Option<Ticket>> {
        self.read("links.ticket", move |conn| find_ticket(conn, ticket, now)).await
    }

    async fn begin_download(&self, ticket: [u8; 32], size: u64, now: i64) -> Result<()> {
        self.write("links.begin_download", move |tx| {
            let found = find_ticket(tx.conn(), ticket, now)?.ok_or_else(ended)?;
            if found.size.is_some() {
                return Ok(());
            }
            let sql = "UPDATE ticket SET size = ?2, touched_at = ?3 WHERE hash = ?1";
            tx.execute(sql, (ticket, size, now))?;
            take_use(tx, found.link, now)
        })
        .await
    }

    async fn note_served(&self, ticket: [u8; 32], bytes: u64, now: i64) -> Result<()> {
        self.write("links.note_served", move |tx| {
            let sql = "UPDATE ticket SET served = served + ?2, touched_at = max(touched_at, ?3)
                       WHERE hash = ?1";
            tx.execute(sql, (ticket, bytes, now)).map(drop)
        })
        .await
    }

    async fn end_tickets(&self, now: i64, rows: usize) -> Result<usize> {
        self.write("links.end_tickets", move |tx| end_tickets(tx, now, rows)).await
    }

    async fn drop_file(&self, dropped: Dropped) -> Result<Entry> {
        self.write_in_quota("links.drop_file", false, move |tx| drop_file(tx, &dropped)).await
    }

    async fn size_below(&self, entry: EntryId) -> Result<u64> {
        self.read_long("links.size_below", move |conn| match by_id(conn, entry)? {
            Some(entry) => measure::bytes_below(conn, &entry),
            None => Ok(0),
        })
        .await
    }
}

impl Sqlite {
    /// What is idle ends when somebody looks: mostly there is nothing, and that takes a reading alone.
    async fn end_idle(&self, now: i64) -> Result<()> {
        let any = self
            .read("links.any_idle", move |conn| {
                let sql = "SELECT 1 FROM ticket WHERE touched_at < ?1 LIMIT 1";
                Ok(one(conn, sql, [now.saturating_sub(TICKET_IDLE_MS)], |_| Ok(()))?.is_some())
            })
            .await?;
        if any {
            self.end_tickets(now, ENDED_ROWS).await?;
        }
        Ok(())
    }
}

fn make(tx: &mut Tx<'_>, new: &NewLink) -> Result<Link> {
    let stands = Reach::own(tx.conn(), new.owner)?.find(&new.path)?;
    let entry = stands.ok_or_else(|| Error::not_found(&new.path))?;
    if new.purpose == LinkUse::Drop && !entry.node.is_folder() {
        let message = format!("{} is no folder; files are put into one", new.path);
        return Err(Error::new(Kind::FailedPrecondition, message));
    }
    let id = LinkId::new();
    tx.execute(
        "INSERT INTO link (id, secret, owner, entry, drops, password, expires_at, uses_max, made_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            id,
            new.secret,
            new.owner,
            entry.id,
            new.purpose == LinkUse::Drop,
            &new.password,
            new.expires_at,
            new.uses_max,
            new.now,
        ),
    )?;
    let sql = "SELECT count(*) FROM link WHERE owner = ?1";
    let made: u32 = one(tx.conn(), sql, [new.owner], |row| row.get(0))?.unwrap_or(0);
    if made > new.links_max {
        let message = format!("{} links are the most; take some back", new.links_max);
        return Err(Error::new(Kind::LimitExceeded, message));
    }
    let made = one(tx.conn(), &format!("{LINK} WHERE l.id = ?1"), [id], link)?;
    let made = made.map(|link| placed(tx.conn(), link)).transpose()?.flatten();
    made.ok_or_else(|| Error::internal("links.make", "a link that was made"))
}

const LINK: &str =
    "SELECT l.id, l.owner, a.name AS name, l.entry, l.drops, l.password, l.expires_at,
     l.uses_max, l.uses, l.made_at FROM link AS l JOIN account AS a ON a.id = l.owner";

fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        id: row.get(0)?,
        account: row.get(1)?,
        owner: name(row)?,
        entry: row.get(3)?,
        path: TreePath::default(),
        kind: entry_kind(FOLDER),
        purpose: purpose(row.get(4)?),
        password: row.get(5)?,
        expires_at: row.get(6)?,
        uses_max: row.get(7)?,
        uses: row.get(8)?,
        made_at: row.get(9)?,
    })
}

fn purpose(drops: bool) -> LinkUse {
    if drops { LinkUse::Drop } else { LinkUse::Read }
}

/// With what it leads to as it is now; `None` in the trash.
fn placed(conn: &Connection, link: Link) -> Result<Option<Link>> {
    let place = Upwards::new(conn, link.account)?.place(link.entry)?;
    Ok(place.map(|(path, kind)| Link { path, kind, ..link }))
}

fn find_ticket(conn: &Connection, hash: [u8; 32], now: i64) -> Result<Option<Ticket>> {
    let sql = "SELECT t.link, l.owner, l.drops,
                      min(t.expires_at, coalesce(l.expires_at, t.expires_at)), t.size, l.entry
               FROM ticket AS t JOIN link AS l ON l.id = t.link
               JOIN account AS a ON a.id = l.owner
               WHERE t.hash = ?1 AND a.disabled_at IS NULL";
    let found = one(conn, sql, [hash], |row| {
        let ticket = Ticket {
            link: row.get(0)?,
            owner: row.get(1)?,
            purpose: purpose(row.get(2)?),
            expires_at: row.get(3)?,
            size: row.get(4)?,
        };
        Ok((ticket, row.get::<_, EntryId>(5)?))
    })?;
    match found.filter(|(ticket, _)| now < ticket.expires_at) {
        Some((ticket, entry)) => {
            let place = Upwards::new(conn, ticket.owner)?.place(entry)?;
            Ok(place.map(|_| ticket))
        }
        None => Ok(None),
    }
}

/// Takes one of a link's uses; what idle tickets give back is among them.
fn take_use(tx: &Tx<'_>, link: LinkId, now: i64) -> Result<()> {
    let sql = "UPDATE link SET uses = uses + 1
               WHERE id = ?1 AND (uses_max IS NULL OR uses < uses_max)";
    if tx.execute(sql, [link])? == 0 {
        end_tickets(tx, now, ENDED_ROWS)?;
        if tx.execute(sql, [link])? == 0 {
            return Err(used_up());
        }
    }
    Ok(())
}

fn end_tickets(tx: &Tx<'_>, now: i64, rows: usize) -> Result<usize> {
    let sql = "DELETE FROM ticket WHERE hash IN (
                 SELECT hash FROM ticket WHERE touched_at < ?1 ORDER BY touched_at LIMIT ?2)
               RETURNING link, size IS NOT NULL AND served < size - served";
    let before = now.saturating_sub(TICKET_IDLE_MS);
    let ended = all(tx.conn(), sql, (before, rows), |row| {
        Ok((row.get::<_, LinkId>(0)?, row.get::<_, bool>(1)?))
    })?;
    for (link, _) in ended.iter().filter(|(_, gives_back)| *gives_back) {
        tx.execute("UPDATE link SET uses = max(uses - 1, 0) WHERE id = ?1", [link])?;
    }
    Ok(ended.len())
}

fn used_up() -> Error {
    Error::new(Kind::LinkUsedUp, "this link was used as often as it may be; ask for another one")
}

fn ended() -> Error {
    Error::new(Kind::Unauthenticated, "this link was taken back, or has ended; open it again")
}

fn drop_file(tx: &mut Tx<'_>, dropped: &Dropped) -> Result<Entry> {
    let ticket = find_ticket(tx.conn(), dropped.ticket, dropped.now)?.ok_or_else(ended)?;
    let sql = "SELECT entry FROM link WHERE id = ?1 AND drops";
    let folder: Option<EntryId> = one(tx.conn(), sql, [ticket.link], |row| row.get(0))?;
    let folder = folder.map(|id| by_id(tx.conn(), id)).transpose()?.flatten();
    let folder = folder.filter(|folder| folder.node.is_folder()).ok_or_else(ended)?;
    take_use(tx, ticket.link, dropped.now)?;
    end_upload(tx, ticket.owner, Some(dropped.upload))?;
    let name =
        drops::free_name(&dropped.name, |name| Ok(sibling(tx.conn(), folder.id, name)?.is_none()))?;
    let new = StagedEntry {
        path: TreePath::default(),
        node: NewNode::File(dropped.content),
        mode: dropped.mode,
        modified_ns: dropped.modified_ns,
        xattrs: None,
        condition: Condition::generation(0),
    };
    let provenance = Provenance::SentBy(ticket.owner);
    let mut merge = Merge::below(folder.id, (ticket.owner, provenance), dropped.now);
    let put = merge.put(tx, &TreePath::from(vec![name]), &new)?;
    merge.charge(tx)?;
    let sql = "UPDATE ticket SET touched_at = max(touched_at, ?2) WHERE hash = ?1";
    tx.execute(sql, (dropped.ticket, dropped.now))?;
    Ok(put.entry)
}
