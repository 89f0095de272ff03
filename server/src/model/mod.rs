//! The nouns: ids, names, paths, contents, entries, messages. Pure data whose values cannot be wrong
//! once they are built; nothing here knows of storage, of the wire or of a clock.

mod chunk;
mod ids;

pub use chunk::{ChunkHash, ChunkPlace, NewChunk};
pub use ids::{
    AccountId, CommitId, EntryId, MessageId, Modseq, PackId, RequestId, SessionId, StoreId,
    ThreadId, UploadId, VersionId,
};
