//! The nouns: ids, names, paths, contents, entries, messages. Pure data whose values cannot be wrong
//! once they are built; nothing here knows of storage, of the wire or of a clock.

mod caller;
mod chunk;
mod condition;
mod content;
mod entry;
mod filter;
mod ids;
mod limits;
mod mail;
mod name;
mod path;
mod sharing;
mod xattrs;

pub use caller::{By, Caller, Reader, Visitor};
pub use chunk::{ChunkHash, ChunkPlace, NewChunk};
pub use condition::{Condition, Etag};
pub use content::{Content, Digest, ManifestHasher, ManifestKey, Piece, chunker};
pub use entry::{Entry, Mode, Node, SYMLINK_BYTES_MAX};
pub use filter::{Filter, Kinds, NamePattern};
pub use ids::{
    AccountId, CommitId, EntryId, LinkId, MessageId, Modseq, PackId, RequestId, SessionId, StoreId,
    ThreadId, UploadId, VersionId,
};
pub use limits::Limits;
pub use mail::{Attachment, Body, Message, Recipient, RecipientState};
pub use name::{
    ACCOUNT_NAME_BYTES_MAX, AccountName, FOLD_VERSION, FileName, GroupName, NAME_BYTES_MAX,
    NameProblem,
};
pub use path::{At, Location, PATH_BYTES_MAX, PATH_DEPTH_MAX, TreePath};
pub use sharing::{Grantee, Right};
pub use xattrs::{XATTRS_BYTES_MAX, Xattrs};
