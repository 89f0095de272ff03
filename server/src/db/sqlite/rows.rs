//! Rows as values: how ids and contents are stored, and the one mapping of an entry's columns.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use crate::error::{Error, Result};
use crate::model::{
    AccountId, ChunkHash, CommitId, Content, Digest, Entry, EntryId, FileName, LinkId, ManifestKey,
    MessageId, Mode, Modseq, Node, PackId, RequestId, Right, SessionId, StoreId, ThreadId,
    UploadId, VersionId, Xattrs,
};

macro_rules! stored_as_bytes {
    ($($name:ident)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 16]>::column_result(value).map(Self::from_bytes)
            }
        }
    )*};
}

stored_as_bytes! {
    EntryId VersionId MessageId ThreadId SessionId RequestId UploadId PackId CommitId StoreId LinkId
}

macro_rules! stored_as_number {
    ($($name:ident)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.0.into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }
    )*};
}

stored_as_number! { AccountId ManifestKey Modseq }

macro_rules! stored_as_hash {
    ($($name:ident)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 32]>::column_result(value).map(Self)
            }
        }
    )*};
}

stored_as_hash! { ChunkHash Digest }

impl ToSql for Right {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Read => 1,
            Self::Write => 2,
        }
        .into())
    }
}

impl FromSql for Right {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match i64::column_result(value)? {
            1 => Ok(Self::Read),
            2 => Ok(Self::Write),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl FromSql for Mode {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::parse(u32::column_result(value)?, "mode")
            .map_err(|error| FromSqlError::Other(error.into()))
    }
}

/// A statement that is kept prepared.
pub(super) fn prepared<'a>(conn: &'a Connection, sql: &str) -> Result<CachedStatement<'a>> {
    #[cfg(test)]
    super::plans::explain(conn, sql);
    let statement = conn.prepare_cached(sql)?;
    #[cfg(test)]
    super::plans::is_planned_once(&statement, sql);
    Ok(statement)
}

/// At most one row, mapped.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    Ok(prepared(conn, sql)?.query_row(params, map).optional()?)
}

/// All rows of a statement that looks at everything, for upkeep: neither kept prepared nor judged.
pub(super) fn all_once<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map(params, map)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All rows, mapped.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = prepared(conn, sql)?;
    let rows = statement.query_map(params, map)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Kinds of entries as they are stored.
pub(super) const FILE: i64 = 1;
/// A folder.
pub(super) const FOLDER: i64 = 2;
/// A symlink.
pub(super) const SYMLINK: i64 = 3;

/// The content in columns `size`, `digest`, `content`.
pub(super) fn content(row: &Row<'_>) -> rusqlite::Result<Content> {
    Ok(Content {
        size: row.get("size")?,
        digest: row.get("digest")?,
        manifest: row.get("content")?,
    })
}

/// Extended attributes as they are stored; null for none.
pub(super) fn encoded(xattrs: &Xattrs) -> Result<Option<Vec<u8>>> {
    if xattrs.is_empty() {
        return Ok(None);
    }
    let encode = |error| Error::internal("rows.encoded", error);
    postcard::to_stdvec(xattrs).map(Some).map_err(encode)
}

/// The extended attributes in column `xattrs`.
pub(super) fn xattrs(row: &Row<'_>) -> rusqlite::Result<Xattrs> {
    row.get_ref("xattrs").map(decoded)
}

fn decoded(xattrs: ValueRef<'_>) -> Xattrs {
    match xattrs {
        ValueRef::Null => Xattrs::default(),
        // What was damaged at rest is left out, like a name that fails.
        value => {
            value.as_blob().ok().and_then(|b| postcard::from_bytes(b).ok()).unwrap_or_default()
        }
    }
}

/// What `entry` maps, by its place, which costs less than by its name: a select begins with it.
pub(super) const ENTRY: &str = "id, account, parent, name, kind, mode, modified_ns, xattrs, generation, \
     placed, modseq, changed_at, size, digest, content, version, target";

/// The one mapping of an entry's row.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    // Names were checked on their way in; one that fails now was damaged at rest and is shown by
    // `verify`, while its siblings stay readable.
    let name = row.get_ref(3)?.as_bytes().ok().and_then(|name| str::from_utf8(name).ok());
    let node = match row.get(4)? {
        FILE => {
            let content =
                Content { size: row.get(12)?, digest: row.get(13)?, manifest: row.get(14)? };
            Node::File { content, version: row.get(15)? }
        }
        SYMLINK => Node::Symlink { target: row.get(16)? },
        _ => Node::Folder,
    };
    Ok(Entry {
        id: row.get(0)?,
        account: row.get(1)?,
        parent: row.get(2)?,
        name: name.and_then(|name| FileName::parse(name).ok()),
        node,
        mode: row.get(5)?,
        modified_ns: row.get(6)?,
        xattrs: decoded(row.get_ref(7)?),
        generation: row.get(8)?,
        placed: row.get(9)?,
        modseq: row.get(10)?,
        changed_at: row.get(11)?,
    })
}
