//! Entries: files, folders and symlinks, as they stand in a tree.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{AccountId, Content, EntryId, Etag, FileName, Modseq, VersionId, Xattrs};

/// The longest target of a symlink, in bytes (Linux's PATH_MAX without its NUL).
pub const SYMLINK_BYTES_MAX: usize = 4095;

/// The low twelve bits of a POSIX mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mode(u32);

impl Mode {
    /// What a file has that nobody said anything about.
    pub const FILE: Self = Self(0o644);
    /// What a folder has that nobody said anything about.
    pub const FOLDER: Self = Self(0o755);
    /// What a symlink always has.
    pub const SYMLINK: Self = Self(0o777);

    /// Accepts permission bits alone.
    pub fn parse(bits: u32, field: &str) -> Result<Self> {
        if bits > 0o7777 {
            return Err(Error::field(field, format!("{bits:#o} has more than permission bits")));
        }
        Ok(Self(bits))
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// What an entry is, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// Bytes, in versions.
    File {
        /// The current bytes.
        content: Content,
        /// Their version.
        version: VersionId,
    },
    /// A folder.
    Folder,
    /// A symlink; it is never followed here.
    Symlink {
        /// As it was sent.
        target: String,
    },
}

impl Node {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Folder)
    }

    /// Bytes that count against a quota.
    pub fn size(&self) -> u64 {
        match self {
            Self::File { content, .. } => content.size,
            Self::Folder | Self::Symlink { .. } => 0,
        }
    }
}

/// A file, folder or symlink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Survives moves and new versions.
    pub id: EntryId,
    /// Whose tree it is in.
    pub account: AccountId,
    /// The folder it is in; `None` for a root.
    pub parent: Option<EntryId>,
    /// Its name there; `None` for a root.
    pub name: Option<FileName>,
    /// What it is.
    pub node: Node,
    /// Permission bits.
    pub mode: Mode,
    /// Time of modification on the owner's machine, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// The account's number when the content last changed (folders and symlinks: when it was made).
    pub generation: Modseq,
    /// The account's number when it last came to its place.
    pub placed: Modseq,
    /// The account's number when anything of it last changed.
    pub modseq: Modseq,
    /// When that was, in milliseconds since 1970.
    pub changed_at: i64,
}

impl Entry {
    /// The tag of its latest change.
    pub fn etag(&self) -> Etag {
        Etag(self.modseq)
    }
}
