//! Bytes between this machine and the server, always by chunks that are verified.
//!
//! Up: `read` cuts files into chunks, `hash` names them, `upload` asks which are missing and `fill` sends
//! those, `commit` makes entries of them. Nothing is hashed before the first bytes leave. Down:
//! `manifest` says which chunks make a content, `download` brings them in order, `many` brings small
//! files by the hundred. What is in memory is bounded on both ways.

mod buffers;
pub(crate) mod chunk;
pub(crate) mod commit;
mod cut;
mod download;
pub(crate) mod drop;
mod fill;
mod hash;
pub(crate) mod index;
mod manifest;
pub(crate) mod many;
mod read;
mod seen;
mod sparse;
pub(crate) mod upload;
mod waiting;
mod whole;

pub(crate) use chunk::{Digest, PLACE_BYTES};
pub(crate) use cut::Cutter;
pub(crate) use download::{Downloads, Target};
pub(crate) use fill::joined;
pub(crate) use manifest::Wanted;
pub(crate) use read::{Input, Job, open};
pub(crate) use seen::Seen;
pub(crate) use upload::{Content, Outcome, Upload, UploadKey, Uploaded};
