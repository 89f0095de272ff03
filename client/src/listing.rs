//! Asks the server what is there: one entry, or all pages of a folder.

use depot_proto::files::{Entry, ListRequest, ListResponse, StatRequest};

use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::path::RemotePath;

/// Entries in one page.
const PAGE_SIZE: u32 = 5000;

/// A listing longer than this is refused rather than kept in memory.
const ENTRIES_MAX: usize = 10_000_000;

/// A tree that changes while its pages are read is read again, this many times.
const TRIES: usize = 3;

/// One entry.
pub(crate) async fn stat(session: &Session, path: &RemotePath) -> Result<Entry> {
    let answer = session.call(Repeat::Always, || async {
        session.files().stat(StatRequest { path: path.to_string() }).await
    });
    let entry = answer.await.map_err(|error| error.at(path.to_string()))?.entry;
    entry.ok_or_else(|| Error::bad_answer("the server sent no entry"))
}

/// One entry, if it is there.
pub(crate) async fn find(session: &Session, path: &RemotePath) -> Result<Option<Entry>> {
    match stat(session, path).await {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.exit() == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Hands each page to `each`, as it comes.
pub(crate) async fn pages(
    session: &Session,
    path: &RemotePath,
    recursive: bool,
    mut each: impl FnMut(ListResponse) -> Result<()>,
) -> Result<()> {
    let mut page_token = String::new();
    loop {
        let answer = session.call(Repeat::Always, || async {
            let request = ListRequest {
                path: path.to_string(),
                recursive,
                page_size: PAGE_SIZE,
                page_token: page_token.clone(),
            };
            session.files().list(request).await
        });
        let page = answer.await.map_err(|error| error.at(path.to_string()))?;
        let next = page.next_page_token.clone();
        if !next.is_empty() && (next == page_token || page.entries.is_empty()) {
            return Err(Error::bad_answer("the server's list does not end"));
        }
        each(page)?;
        if next.is_empty() {
            return Ok(());
        }
        page_token = next;
    }
}

/// What is below a folder, as it was at one moment.
pub(crate) struct Moment {
    pub(crate) entries: Vec<Entry>,
    /// The number that the owner's latest change had then.
    pub(crate) modseq: u64,
}

/// All entries below a folder, as they were at one moment.
pub(crate) async fn tree(session: &Session, path: &RemotePath) -> Result<Vec<Entry>> {
    Ok(moment(session, path).await?.entries)
}

/// The same, and when that was.
pub(crate) async fn moment(session: &Session, path: &RemotePath) -> Result<Moment> {
    for _ in 0..TRIES {
        let mut entries = Vec::new();
        let mut moment = None;
        let mut is_one_moment = true;
        pages(session, path, true, |page| {
            is_one_moment &= *moment.get_or_insert(page.modseq) == page.modseq;
            entries.extend(page.entries);
            match entries.len() <= ENTRIES_MAX {
                true => Ok(()),
                false => Err(Error::bad_answer("the tree has more than ten million entries")),
            }
        })
        .await?;
        if is_one_moment {
            return Ok(Moment { entries, modseq: moment.unwrap_or_default() });
        }
    }
    let message = format!("{path} changes faster than it can be listed; try again later");
    Err(Error::new(Exit::Conflict, "ABORTED", message).at(path.to_string()))
}
