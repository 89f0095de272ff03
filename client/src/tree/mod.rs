//! Trees of this machine: walked to be put, and written beneath a target, and nowhere else, by get.

pub(crate) mod beneath;
pub(crate) mod compare;
pub(crate) mod extra;
pub(crate) mod filter;
pub(crate) mod foresee;
pub(crate) mod listed;
pub(crate) mod partial;
pub(crate) mod plan;
pub(crate) mod reading;
pub(crate) mod receive;
mod standing;
pub(crate) mod walk;
mod xattrs;
