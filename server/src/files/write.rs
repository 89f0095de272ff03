//! One file as plain bytes, from its header to its being visible: at a path, or put through a link into a
//! folder that whoever puts it does not see.

use crate::content::ContentWrite;
use crate::db::{Dropped, FileWrite, LinkUse, Request};
use crate::error::{Error, Kind, Result};
use crate::files::Files;
use crate::model::{
    AccountId, At, Caller, Condition, Content, Digest, Entry, FileName, Location, Mode, Reader,
    Visitor,
};

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
    place: Place,
    header: WriteHeader,
    content: ContentWrite,
}

/// Where it will be.
enum Place {
    Path { by: AccountId, at: At },
    Through { visitor: Visitor, name: FileName },
}

impl Files {
    /// Begins to write one file. What cannot succeed is refused before bytes flow.
    pub async fn write(&self, reader: &Reader, header: WriteHeader) -> Result<Write> {
        let (place, by, charged) = match reader {
            Reader::Account(caller) => {
                let at = self.place(caller, &header).await?;
                let charged = at.account;
                (Place::Path { by: caller.account, at }, caller.account, charged)
            }
            Reader::Visitor(visitor) => {
                let name = self.dropped_name(visitor, &header).await?;
                (Place::Through { visitor: *visitor, name }, visitor.owner, visitor.owner)
            }
        };
        let content = self.contents.write(by, charged, header.size).await;
        let content = content.map_err(|error| place.told(error))?;
        Ok(Write { files: self.clone(), place, header, content })
    }

    async fn place(&self, caller: &Caller, header: &WriteHeader) -> Result<At> {
        let by = caller.account;
        let at = self.at(caller, &header.path).await?;
        if at.path.is_root() {
            return Err(Error::field("path", "/ is a folder; name a file in it"));
        }
        self.db.require_write(by, &at).await?;
        match self.db.entry(by.into(), &at).await {
            Ok(entry) if entry.node.is_folder() => {
                let message = format!("{at} is a folder; name a file in it");
                Err(Error::new(Kind::FailedPrecondition, message))
            }
            Ok(_) => Ok(at),
            Err(error) if error.kind() == Kind::NotFound => Ok(at),
            Err(error) => Err(error),
        }
    }

    async fn dropped_name(&self, visitor: &Visitor, header: &WriteHeader) -> Result<FileName> {
        if self.valid(visitor).await?.purpose != LinkUse::Drop {
            let message = "this link is for reading; nothing can be put through it";
            return Err(Error::new(Kind::PermissionDenied, message));
        }
        match header.path.path.names() {
            [name] if header.path.owner.is_none() && header.condition.is_none() => Ok(name.clone()),
            _ => {
                let problem =
                    "what is put through a link has a name and no folder, and no conditions";
                Err(Error::field("header", problem))
            }
        }
    }
}

impl Place {
    /// An error, as whoever writes there may know it.
    fn told(&self, error: Error) -> Error {
        match self {
            Self::Path { .. } => error,
            Self::Through { .. } => error.discreet(),
        }
    }
}

impl Write {
    /// Takes the next bytes.
    pub async fn push(&mut self, data: bytes::Bytes) -> Result<()> {
        self.content.push(data).await.map_err(|error| self.place.told(error))
    }

    /// Makes the file visible; `request` is asked for when the content is known.
    pub async fn finish(
        self,
        size: u64,
        digest: Option<Digest>,
        request: impl FnOnce(&Content) -> Result<Option<Request>>,
    ) -> Result<Entry> {
        let Self { files, place, header, content } = self;
        let upload = content.upload();
        let content = content.finish(size, digest).await;
        let content = content.map_err(|error| place.told(error))?;
        let request = request(&content)?;
        let now = files.clock.now();
        let modified_ns = header.modified_ns.unwrap_or(now.saturating_mul(1_000_000));
        match place {
            Place::Path { by, at } => {
                let write = FileWrite {
                    by,
                    request,
                    upload: Some(upload),
                    at,
                    content,
                    mode: header.mode,
                    modified_ns,
                    condition: header.condition,
                    now,
                };
                files.db.write_file(write).await
            }
            Place::Through { visitor, name } => {
                let (ticket, mode) = (visitor.ticket, header.mode.unwrap_or(Mode::FILE));
                let dropped = Dropped { ticket, upload, name, content, mode, modified_ns, now };
                let put = files.db.drop_file(dropped).await;
                tracing::info!(link = %visitor.link, done = put.is_ok(), "put through a link");
                put
            }
        }
    }

    /// Gives up; nothing is visible.
    pub async fn abandon(self) {
        self.content.abandon().await;
    }
}
