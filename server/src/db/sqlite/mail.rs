//! Messages and deliveries as rows. A message is stored once; what is written for each recipient is one
//! small row.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Connection, Row};

use crate::db::sqlite::contents::{Provenance, end_upload, take};
use crate::db::sqlite::reach::Reach;
use crate::db::sqlite::requests::once;
use crate::db::sqlite::rows::{all, content, one, prepared};
use crate::db::sqlite::writer::Tx;
use crate::db::sqlite::{Sqlite, accounts, journal, quota};
use crate::db::{Account, AttachmentSource, Mail, NewMessage, PREVIEW_CHARS, SendOutcome, Which};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, AccountName, At, Attachment, Body, Content, Message, MessageId, Node, Recipient,
    RecipientState, ThreadId,
};

#[async_trait]
impl Mail for Sqlite {
    async fn send(&self, message: NewMessage) -> Result<SendOutcome> {
        self.write_in_quota("mail.send", true, move |tx| {
            let request = message.request.as_ref();
            once(tx, message.sender, request, message.now, |tx| send(tx, &message))
        })
        .await
    }

    async fn last_number(&self, account: AccountId) -> Result<u64> {
        self.read("mail.last_number", move |conn| {
            let sql = "SELECT delivered FROM account WHERE id = ?1";
            Ok(one(conn, sql, [account], |row| row.get("delivered"))?.unwrap_or(0))
        })
        .await
    }

    async fn unread(
        &self,
        account: AccountId,
        (after, through): (u64, u64),
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Message>> {
        self.read("mail.unread", move |conn| {
            let sql = format!(
                "{} WHERE d.account = ?1 AND d.acked_at IS NULL AND d.number > ?2
                   AND d.number <= ?3 ORDER BY d.number LIMIT ?4",
                delivered("m.body")
            );
            let params = (account, number(after), number(through), limit);
            Ok(some(conn, &sql, params, (bytes, u64::MAX))?.0)
        })
        .await
    }

    async fn ack(
        &self,
        account: AccountId,
        ids: Vec<MessageId>,
        read: bool,
        now: i64,
    ) -> Result<u32> {
        self.write("mail.ack", move |tx| ack(tx, account, &ids, (read, now))).await
    }

    async fn ack_range(
        &self,
        account: AccountId,
        range: (u64, u64),
        limit: usize,
        now: i64,
    ) -> Result<(u32, Option<u64>)> {
        self.write("mail.ack_range", move |tx| ack_range(tx, account, range, (limit, now))).await
    }

    async fn messages(
        &self,
        account: AccountId,
        before: Option<u64>,
        unread: bool,
        (limit, bytes): (usize, usize),
    ) -> Result<(Vec<Message>, bool)> {
        self.read("mail.messages", move |conn| {
            let filter = if unread { "AND d.acked_at IS NULL" } else { "" };
            let sql = format!(
                "{} WHERE d.account = ?1 AND d.number < ?2 {filter}
                 ORDER BY d.number DESC LIMIT ?3",
                delivered(&format!("substr(m.body, 1, {PREVIEW_CHARS})"))
            );
            let before = before.map_or(i64::MAX, number);
            some(conn, &sql, (account, before, limit), (bytes, PREVIEW_READ))
        })
        .await
    }

    async fn message(&self, account: AccountId, which: Which) -> Result<Message> {
        self.read("mail.message", move |conn| {
            message(conn, account, which)?.ok_or_else(|| not_found(which))
        })
        .await
    }

    async fn attachment(
        &self,
        account: AccountId,
        message: MessageId,
        index: u32,
    ) -> Result<Content> {
        self.read("mail.attachment", move |conn| {
            let key = seen(conn, account, message)?.ok_or_else(|| no_message(message))?;
            let sql = "SELECT size, digest, content FROM attachment
                       WHERE message = ?1 AND place = ?2";
            one(conn, sql, (key, index), content)?.ok_or_else(|| {
                Error::not_found(format_args!("attachment {index} of message {message}"))
            })
        })
        .await
    }
}

/// All but the body.
const COLUMNS: &str = "m.key AS key, m.id AS id, m.thread AS thread, s.name AS sender,
     m.recipients AS recipients, m.subject AS subject, m.body_size AS size,
     m.body_digest AS digest, m.body_content AS content, m.attachments AS attachments,
     m.sent_at AS sent_at, m.in_reply_to AS in_reply_to";

/// What the beginning of a body that is a content counts for in a list: its first chunk is read for it.
const PREVIEW_READ: u64 = 64 << 10;

/// Deliveries with so much of their bodies.
fn delivered(body: &str) -> String {
    format!(
        "SELECT d.number AS number, d.acked_at IS NULL AS unread, {body} AS body, {COLUMNS}
         FROM delivery AS d JOIN message AS m ON m.key = d.message
         JOIN account AS s ON s.id = m.sender"
    )
}

fn send(tx: &mut Tx<'_>, new: &NewMessage) -> Result<SendOutcome> {
    let recipients = recipients(tx, &new.to)?;
    let thread = thread(tx, new)?;
    end_upload(tx, new.sender, new.upload)?;
    let attachments = attachments(tx, new)?;
    let body_size = match &new.body {
        Body::Inline(text) => text.len() as u64,
        Body::Stored(content) => {
            take(tx, content, Provenance::SentBy(new.sender))?;
            content.size
        }
    };
    let size = attachments.iter().map(|file| file.content.size).sum::<u64>() + body_size;
    quota::charge(tx, new.sender, size, new.now)?;
    let id = MessageId::new();
    let key = insert(tx, new, (id, thread), (&attachments, body_size, size))?;
    let recipients = recipients
        .into_iter()
        .map(|account| {
            let state = deliver(tx, &account, (key, body_size), new.now)?;
            Ok(Recipient { account: account.name, state })
        })
        .collect::<Result<Vec<_>>>()?;
    if recipients.iter().all(|recipient| recipient.state == RecipientState::Refused) {
        // Nobody has it: it would hold its attachments, and nobody would be charged for them.
        tx.execute("DELETE FROM attachment WHERE message = ?1", [key])?;
        tx.execute("DELETE FROM message WHERE key = ?1", [key])?;
        quota::release(tx, new.sender, size)?;
    }
    Ok(SendOutcome { id, thread, recipients, sent_at: new.now })
}

fn recipients(tx: &Tx<'_>, names: &[AccountName]) -> Result<Vec<Account>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut unknown = Vec::new();
    for name in names {
        match accounts::by_key(tx.conn(), &name.key())? {
            Some(account) if !account.disabled => {
                if seen.insert(account.id) {
                    found.push(account);
                }
            }
            // A disabled account is told apart from an unknown one by nobody.
            _ => unknown.push(name.as_str()),
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    let message = format!("nobody can send to {}; nothing was sent to anyone", unknown.join(", "));
    Err(Error::new(Kind::UnknownRecipient, message))
}

fn thread(tx: &Tx<'_>, new: &NewMessage) -> Result<ThreadId> {
    let Some(answered) = new.in_reply_to else {
        return Ok(ThreadId::new());
    };
    let key = seen(tx.conn(), new.sender, answered)?.ok_or_else(|| no_message(answered))?;
    one(tx.conn(), "SELECT thread FROM message WHERE key = ?1", [key], |row| row.get(0))?
        .ok_or_else(|| no_message(answered))
}

fn attachments(tx: &Tx<'_>, new: &NewMessage) -> Result<Vec<Attachment>> {
    new.attachments
        .iter()
        .map(|file| {
            let (content, provenance) = match &file.source {
                AttachmentSource::Content(content) => (*content, Provenance::SentBy(new.sender)),
                AttachmentSource::Path(at) => (read(tx, new.sender, at)?, Provenance::Held),
            };
            take(tx, &content, provenance)?;
            Ok(Attachment { name: file.name.clone(), content })
        })
        .collect()
}

/// The content of a file that `by` may read.
fn read(tx: &Tx<'_>, by: AccountId, at: &At) -> Result<Content> {
    match Reach::of(tx.conn(), by, at.account)?.required(at)?.node {
        Node::File { content, .. } => Ok(content),
        _ => {
            let message = format!("{at} is no file; attach the files in it");
            Err(Error::new(Kind::FailedPrecondition, message))
        }
    }
}

fn insert(
    tx: &Tx<'_>,
    new: &NewMessage,
    (id, thread): (MessageId, ThreadId),
    (attachments, body_size, size): (&[Attachment], u64, u64),
) -> Result<i64> {
    // As the sender wrote them, each once, however often that was.
    let mut seen = HashSet::new();
    let names = new.to.iter().filter(|name| seen.insert(name.key()));
    let names: Vec<&str> = names.map(AccountName::as_str).collect();
    let names = serde_json::to_string(&names).map_err(|error| Error::internal("mail", error))?;
    let (text, body) = match &new.body {
        Body::Inline(text) => (Some(text), None),
        Body::Stored(content) => (None, Some(content)),
    };
    tx.execute(
        "INSERT INTO message (id, thread, in_reply_to, sender, recipients, subject, body,
                              body_size, body_digest, body_content, attachments, size, sent_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        rusqlite::params![
            id,
            thread,
            new.in_reply_to,
            new.sender,
            names,
            new.subject,
            text,
            body_size,
            body.map(|content| content.digest),
            body.and_then(|content| content.manifest),
            attachments.len(),
            size,
            new.now,
        ],
    )?;
    let key = tx.conn().last_insert_rowid();
    for (place, file) in attachments.iter().enumerate() {
        tx.execute(
            "INSERT INTO attachment (message, place, name, size, digest, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (key, place, &file.name, file.content.size, file.content.digest, file.content.manifest),
        )?;
    }
    Ok(key)
}

fn deliver(
    tx: &mut Tx<'_>,
    account: &Account,
    (message, body_size): (i64, u64),
    now: i64,
) -> Result<RecipientState> {
    if !quota::offer(tx, account.id, body_size, now)? {
        return Ok(RecipientState::Refused);
    }
    tx.touch(account.id);
    journal::write(tx)?;
    let sql = "UPDATE account SET modseq = modseq + 1, delivered = delivered + 1 WHERE id = ?1
               RETURNING modseq, delivered";
    let numbers = one(tx.conn(), sql, [account.id], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let (modseq, number) =
        numbers.ok_or_else(|| Error::internal("mail.deliver", "no such account"))?;
    tx.execute(
        "INSERT INTO delivery (account, number, message, modseq, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (account.id, number, message, modseq, now),
    )?;
    Ok(RecipientState::Delivered)
}

fn ack(
    tx: &mut Tx<'_>,
    account: AccountId,
    ids: &[MessageId],
    (read, now): (bool, i64),
) -> Result<u32> {
    let mut acked = 0;
    for id in ids {
        let sql = "SELECT d.number, d.acked_at IS NULL, d.read_at IS NULL FROM message AS m
                   JOIN delivery AS d ON d.message = m.key AND d.account = ?1 WHERE m.id = ?2";
        let found = one(tx.conn(), sql, (account, id), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?))
        })?;
        let (number, unread, unseen) = found.ok_or_else(|| no_message(*id))?;
        if unread || (read && unseen) {
            mark(tx, account, number, (read, now))?;
            acked += u32::from(unread);
        }
    }
    Ok(acked)
}

fn mark(tx: &mut Tx<'_>, account: AccountId, number: i64, (read, now): (bool, i64)) -> Result<()> {
    let modseq = journal::next(tx, account)?;
    let read_at = read.then_some(now);
    tx.execute(
        "UPDATE delivery SET acked_at = coalesce(acked_at, ?3), read_at = coalesce(read_at, ?4),
                             modseq = ?5, changed_at = ?3
         WHERE account = ?1 AND number = ?2",
        (account, number, now, read_at, modseq),
    )
    .map(drop)
}

fn ack_range(
    tx: &mut Tx<'_>,
    account: AccountId,
    (after, through): (u64, u64),
    (limit, now): (usize, i64),
) -> Result<(u32, Option<u64>)> {
    let sql = "SELECT number FROM delivery WHERE account = ?1 AND acked_at IS NULL AND number > ?2
               AND number <= ?3 ORDER BY number LIMIT ?4";
    let params = (account, number(after), number(through), limit);
    let numbers: Vec<i64> = all(tx.conn(), sql, params, |row| row.get(0))?;
    for number in &numbers {
        mark(tx, account, *number, (false, now))?;
    }
    let acked = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    let more = (numbers.len() == limit).then(|| numbers.last().copied()).flatten();
    Ok((acked, more.and_then(|number| u64::try_from(number).ok())))
}

fn message(conn: &Connection, account: AccountId, which: Which) -> Result<Option<Message>> {
    let received = |filter: &str, key: i64| {
        let sql = format!("{} WHERE d.account = ?1 AND {filter}", delivered("m.body"));
        Ok(some(conn, &sql, (account, key), ALL)?.0.pop())
    };
    match which {
        Which::Number(wanted) => received("d.number = ?2", number(wanted)),
        Which::Last => received("d.number > ?2 ORDER BY d.number DESC LIMIT 1", 0),
        Which::Id(id) => {
            let Some(key) = seen(conn, account, id)? else {
                return Ok(None);
            };
            match received("d.message = ?2", key)? {
                Some(message) => Ok(Some(message)),
                None => {
                    let sql = format!(
                        "SELECT 0 AS number, 0 AS unread, m.body AS body, {COLUMNS}
                         FROM message AS m JOIN account AS s ON s.id = m.sender WHERE m.key = ?1"
                    );
                    Ok(some(conn, &sql, [key], ALL)?.0.pop())
                }
            }
        }
    }
}

/// As SQLite holds it: past all that were ever given, when it is too large for that.
fn number(of_delivery: u64) -> i64 {
    i64::try_from(of_delivery).unwrap_or(i64::MAX)
}

/// The key of a message that the account sent or received.
fn seen(conn: &Connection, account: AccountId, id: MessageId) -> Result<Option<i64>> {
    let sql = "SELECT m.key FROM message AS m WHERE m.id = ?2 AND (m.sender = ?1 OR EXISTS (
                 SELECT 1 FROM delivery AS d WHERE d.message = m.key AND d.account = ?1))";
    one(conn, sql, (account, id), |row| row.get(0))
}

const ALL: (usize, u64) = (usize::MAX, u64::MAX);

/// Messages of a query, until they take about `bytes`, a body that is a content no more than `stored` of
/// them; whether there is more.
fn some(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    (bytes, stored): (usize, u64),
) -> Result<(Vec<Message>, bool)> {
    let mut statement = prepared(conn, sql)?;
    let mut rows = statement.query(params)?;
    let mut messages = Vec::new();
    let mut size = 0_usize;
    while let Some(row) = rows.next()? {
        if size >= bytes {
            return Ok((messages, true));
        }
        let (message, held) = mapped(conn, row, stored)?;
        size = size.saturating_add(held);
        messages.push(message);
    }
    Ok((messages, false))
}

/// A message, and about how many bytes it takes.
fn mapped(conn: &Connection, row: &Row<'_>, stored: u64) -> Result<(Message, usize)> {
    let recipients: String = row.get("recipients")?;
    let to: Vec<String> =
        serde_json::from_str(&recipients).map_err(|error| Error::internal("mail", error))?;
    let body = match row.get::<_, Option<String>>("body")? {
        Some(text) => Body::Inline(text),
        None => Body::Stored(content(row)?),
    };
    let files: u32 = row.get("attachments")?;
    let attachments = if files > 0 { attached(conn, row.get("key")?)? } else { Vec::new() };
    let subject: String = row.get("subject")?;
    let held = recipients.len()
        + subject.len()
        + 256
        + attachments.iter().map(|file| file.name.len() + 128).sum::<usize>()
        + match &body {
            Body::Inline(text) => text.len(),
            Body::Stored(content) => {
                usize::try_from(content.size.min(stored)).unwrap_or(usize::MAX)
            }
        };
    let message = Message {
        number: row.get("number")?,
        id: row.get("id")?,
        thread: row.get("thread")?,
        from: row.get("sender")?,
        to,
        subject,
        sent_at: row.get("sent_at")?,
        unread: row.get("unread")?,
        body,
        attachments,
        in_reply_to: row.get("in_reply_to")?,
    };
    Ok((message, held))
}

fn attached(conn: &Connection, key: i64) -> Result<Vec<Attachment>> {
    let sql = "SELECT name, size, digest, content FROM attachment WHERE message = ?1
               ORDER BY place";
    all(conn, sql, [key], |row| Ok(Attachment { name: row.get("name")?, content: content(row)? }))
}

fn no_message(id: MessageId) -> Error {
    Error::not_found(format_args!("message {id}"))
}

fn not_found(which: Which) -> Error {
    match which {
        Which::Number(number) => Error::not_found(format_args!("message {number}")),
        Which::Id(id) => no_message(id),
        Which::Last => Error::new(Kind::NotFound, "there is no message yet"),
    }
}
