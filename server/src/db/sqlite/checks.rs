//! Whether the metadata is sound: SQLite's own structure, references, sums, and names.

use rusqlite::Connection;

use crate::db::sqlite::paths::Upwards;
use crate::db::sqlite::rows::{all_once, one};
use crate::error::{Error, Result};
use crate::model::{AccountId, ChunkHash, EntryId, FileName, ManifestKey, MessageId};

/// The most problems of one sort that are listed.
const LISTED: usize = 100;

/// Everything that is wrong, a sentence each.
pub(super) fn problems(conn: &Connection) -> Result<Vec<String>> {
    let mut found = structure(conn)?;
    found.extend(sums(conn)?);
    found.extend(names(conn)?);
    found.extend(lost_chunks(conn)?);
    Ok(found)
}

fn structure(conn: &Connection) -> Result<Vec<String>> {
    let mut found: Vec<String> =
        all_once(conn, "PRAGMA integrity_check(100)", [], |row| row.get(0))?;
    found.retain(|line| line != "ok");
    let dangling = all_once(conn, "PRAGMA foreign_key_check", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?))
    })?;
    let sentence =
        |(table, parent)| format!("a row of {table} refers to one of {parent} that is not there");
    found.extend(dangling.into_iter().take(LISTED).map(sentence));
    Ok(found)
}

/// used = every entry's and past version's content + messages sent + bodies received.
fn sums(conn: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT a.name, a.used,
                 coalesce((SELECT sum(e.size) FROM entry AS e WHERE e.account = a.id
                           AND e.id NOT IN (SELECT id FROM staged_below)), 0)
                 + coalesce((SELECT sum(size) FROM version AS v WHERE v.account = a.id), 0)
                 + coalesce((SELECT sum(m.size) FROM message AS m WHERE m.sender = a.id
                     AND EXISTS (SELECT 1 FROM delivery AS d WHERE d.message = m.key)), 0)
                 + coalesce((SELECT sum(m.body_size) FROM delivery AS d
                     JOIN message AS m ON m.key = d.message WHERE d.account = a.id), 0)
               FROM account AS a";
    // What is being staged is charged when it is published.
    let sql = format!(
        "WITH RECURSIVE staged_below (id) AS (
           SELECT top FROM staged_commit WHERE top IS NOT NULL
           UNION ALL
           SELECT e.id FROM entry AS e JOIN staged_below AS s ON e.parent = s.id)
         {sql}"
    );
    let rows = all_once(conn, &sql, [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    Ok(rows
        .into_iter()
        .filter(|(_, used, counted)| used != counted)
        .map(|(name, used, counted)| {
            format!("account {name} is charged for {used} bytes and holds {counted}")
        })
        .collect())
}

fn names(conn: &Connection) -> Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT id, name, name_key FROM entry WHERE name <> ''")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()?
        && found.len() < LISTED
    {
        // Damaged at rest they need not even be text.
        let text = |column| Ok::<_, Error>(row.get_ref(column)?.as_bytes().unwrap_or_default());
        let (id, name, key) = (row.get::<_, EntryId>(0)?, text(1)?, text(2)?);
        let name = String::from_utf8_lossy(name);
        match FileName::parse(&name) {
            Ok(parsed) if parsed.key().as_bytes() == key => {}
            Ok(_) => found.push(format!("entry {id} {name:?} is filed under a wrong key")),
            Err(problem) => found.push(format!("entry {id} has the name {name:?}: {problem}")),
        }
    }
    Ok(found)
}

/// One-chunk contents whose chunk has no row; those of lists are looked for by their reader.
fn lost_chunks(conn: &Connection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (table, name, digest, content, size) in [
        ("entry", "name", "digest", "content", "size"),
        ("version", "'a past version'", "digest", "content", "size"),
        ("attachment", "name", "digest", "content", "size"),
        ("staged_entry", "path", "digest", "content", "size"),
        ("message", "subject", "body_digest", "body_content", "body_size"),
    ] {
        let sql = format!(
            "SELECT {name} FROM {table} AS t
             WHERE t.{content} IS NULL AND t.{digest} IS NOT NULL AND t.{size} > 0
               AND NOT EXISTS (SELECT 1 FROM chunk AS c WHERE c.hash = t.{digest}) LIMIT ?1"
        );
        let names = all_once(conn, &sql, [LISTED], |row| row.get::<_, String>(0))?;
        let sentence = |name| format!("the content of a row of {table}, {name:?}, is not stored");
        found.extend(names.into_iter().map(sentence));
    }
    Ok(found)
}

/// What uses a chunk, in words.
pub(super) fn users_of(conn: &Connection, chunk: ChunkHash, limit: usize) -> Result<Vec<String>> {
    let mut users = Vec::new();
    let filter = format!("content IS NULL AND digest = x'{chunk}'");
    let body_filter = format!("body_content IS NULL AND body_digest = x'{chunk}'");
    entries_with(conn, &filter, limit, &mut users)?;
    messages_with(conn, (&filter, &body_filter), limit, &mut users)?;
    let sql = "SELECT DISTINCT content FROM segment WHERE instr(pieces, ?1) > 0";
    for list in all_once(conn, sql, [chunk], |row| row.get(0))? {
        users.extend(users_of_list(conn, list, limit)?);
    }
    users.truncate(limit);
    Ok(users)
}

/// What uses a list of chunks, in words.
pub(super) fn users_of_list(
    conn: &Connection,
    list: ManifestKey,
    limit: usize,
) -> Result<Vec<String>> {
    let mut users = Vec::new();
    let (filter, body_filter) =
        (format!("content = {}", list.0), format!("body_content = {}", list.0));
    entries_with(conn, &filter, limit, &mut users)?;
    messages_with(conn, (&filter, &body_filter), limit, &mut users)?;
    users.truncate(limit);
    Ok(users)
}

fn entries_with(
    conn: &Connection,
    filter: &str,
    limit: usize,
    users: &mut Vec<String>,
) -> Result<()> {
    let sql = format!(
        "SELECT account, id FROM entry WHERE {filter}
         UNION SELECT v.account, v.entry FROM version AS v WHERE {filter} LIMIT ?1"
    );
    let rows = all_once(conn, &sql, [limit], |row| {
        Ok((row.get::<_, AccountId>(0)?, row.get::<_, EntryId>(1)?))
    })?;
    for (account, id) in rows {
        users.extend(in_words(conn, account, id)?);
    }
    Ok(())
}

/// Such as `ann:/reports/q3.pdf`.
fn in_words(conn: &Connection, account: AccountId, id: EntryId) -> Result<Option<String>> {
    let sql = "SELECT a.name, e.parent, e.name, e.removed <> 0 FROM entry AS e
               JOIN account AS a ON a.id = e.account WHERE e.id = ?1";
    let found = one(conn, sql, [id], |row| {
        let parent: Option<EntryId> = row.get(1)?;
        Ok((row.get::<_, String>(0)?, parent, row.get::<_, String>(2)?, row.get::<_, bool>(3)?))
    })?;
    let Some((owner, parent, name, removed)) = found else {
        return Ok(None);
    };
    let above = match parent {
        Some(parent) => Upwards::new(conn, account)?.folder(parent)?,
        None => None,
    };
    Ok(Some(match above {
        Some(above) if removed || above.gone => format!("{owner}:{}/{name} (removed)", above.path),
        Some(above) => format!("{owner}:{}/{name}", above.path),
        None => format!("{owner}: {name} (not published yet)"),
    }))
}

fn messages_with(
    conn: &Connection,
    (filter, body_filter): (&str, &str),
    limit: usize,
    users: &mut Vec<String>,
) -> Result<()> {
    let sql = format!(
        "SELECT m.id FROM message AS m WHERE {body_filter}
         UNION SELECT m.id FROM attachment AS f JOIN message AS m ON m.key = f.message
         WHERE {filter} LIMIT ?1"
    );
    let ids: Vec<MessageId> = all_once(conn, &sql, [limit], |row| row.get(0))?;
    users.extend(ids.into_iter().map(|id| format!("message {id}")));
    Ok(())
}
