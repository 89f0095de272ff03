//! One file per verb: what it takes (`Arguments`) and what it does (`run`).

pub(crate) mod ack;
pub(crate) mod admin;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod cp;
pub(crate) mod fetch;
pub(crate) mod get;
pub(crate) mod inbox;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod ls;
pub(crate) mod mkdir;
pub(crate) mod mv;
pub(crate) mod passwd;
pub(crate) mod put;
pub(crate) mod read;
pub(crate) mod reply;
pub(crate) mod rm;
pub(crate) mod save;
pub(crate) mod send;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod stat;
pub(crate) mod watch;
pub(crate) mod whoami;
