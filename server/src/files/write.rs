//! One file as plain bytes, from its header to its being visible.

use crate::content::ContentWrite;
use crate::db::{FileWrite, Request};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::model::{AccountId, At, Caller, Condition, Content, Digest, Entry, Location, Mode};

/// What one Write shall do.
#[derive(Clone, Debug)]
pub struct WriteHeader {
    /// Where.
    pub path: Location,
    /// Total bytes, where known.
    pub size: Option<u64>,
    /// Happens only if this is so of what stands there.
    pub condition: Condition,
    /// Permission bits; `None` keeps those that stand.
    pub mode: Option<Mode>,
    /// Nanoseconds since 1970; `None` is now.
    pub modified_ns: Option<i64>,
}

/// A file that is being written.
pub struct Write {
    files: Files,
    by: AccountId,
    at: At,
    header: WriteHeader,
    content: ContentWrite,
}

impl Files {
    /// Begins to write one file. What cannot succeed is refused before bytes flow.
    pub async fn write(&self, caller: &Caller, header: WriteHeader) -> Result<Write> {
        let by = caller.account;
        let at = self.at(caller, &header.path).await?;
        if at.path.is_root() {
            return Err(Error::field("path", "/ is a folder; name a file in it"));
        }
        self.db.require_write(by, &at).await?;
        match self.db.entry(by, &at).await {
            Ok(entry) if entry.node.is_folder() => {
                let message = format!("{at} is a folder; name a file in it");
                return Err(Error::new(Kind::FailedPrecondition, message));
            }
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let content = self.contents.write(by, at.account, header.size).await?;
        Ok(Write { files: self.clone(), by, at, header, content })
    }
}

impl Write {
    /// Takes the next bytes.
    pub async fn push(&mut self, data: bytes::Bytes) -> Result<()> {
        self.content.push(data).await
    }

    /// Makes the file visible; `request` is asked for when the content is known.
    pub async fn finish(
        self,
        size: u64,
        digest: Option<Digest>,
        request: impl FnOnce(&Content) -> Result<Option<Request>>,
    ) -> Result<Entry> {
        let Self { files, by, at, header, content } = self;
        let upload = content.upload();
        let content = content.finish(size, digest).await?;
        let request = request(&content)?;
        let now = files.clock.now();
        let write = FileWrite {
            by,
            request,
            upload: Some(upload),
            at,
            content,
            mode: header.mode,
            modified_ns: header.modified_ns.unwrap_or(now.saturating_mul(1_000_000)),
            condition: header.condition,
            now,
        };
        files.db.write_file(write).await
    }

    /// Gives up; nothing is visible.
    pub async fn abandon(self) {
        self.content.abandon().await;
    }
}
