//! Messages on this machine: as text for people, as RFC 5322 files in a Maildir, and on their way out
//! with their attachments. What is fetched is acknowledged only after it has been kept.

mod acks;
pub(crate) mod draft;
pub(crate) mod fetch;
mod list;
pub(crate) mod maildir;
pub(crate) mod rfc5322;
mod show;
mod text;
mod which;

pub(crate) use acks::{Acks, ack};
pub(crate) use list::list;
pub(crate) use show::{show, summary};
pub(crate) use which::{find, parse};
