//! Ids: UUIDv7 made by the server (or UUIDs chosen by a client for its uploads and requests), and the
//! small numbers that name accounts inside the store.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

macro_rules! uuid_id {
    ($(#[doc = $doc:literal] $name:ident, $field:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one, later than all before it in this process.
            #[expect(clippy::new_without_default, reason = "a new id is never a default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Parses what a client sent.
            pub fn parse(text: &str) -> Result<Self> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| Error::field($field, format!("{text:?} is not a UUID")))
            }

            /// As it is stored.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// As it is stored.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

uuid_id! {
    #[doc = "A file, folder or symlink, wherever it is moved to."] EntryId, "id";
    #[doc = "One content that a file has or had."] VersionId, "version";
    #[doc = "A message, the same for its sender and all recipients."] MessageId, "id";
    #[doc = "A conversation."] ThreadId, "thread";
    #[doc = "A login."] SessionId, "session_id";
    #[doc = "A client's name for one try-again-safe request."] RequestId, "request_id";
    #[doc = "A client's name for an upload whose chunks it is sending."] UploadId, "upload_id";
    #[doc = "A file of chunks."] PackId, "pack";
    #[doc = "A tree that is being staged."] CommitId, "commit";
    #[doc = "This store, from its first start on."] StoreId, "store";
    #[doc = "A link: a grant to whoever holds its secret."] LinkId, "id";
}

/// An account's key inside the store; people know it by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountId(pub i64);

/// A place in an account's order of changes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Modseq(pub i64);
