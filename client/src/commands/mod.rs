//! One file per verb: what it takes (`Arguments`) and what it does (`run`).

pub(crate) mod cat;
pub(crate) mod cp;
pub(crate) mod get;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod ls;
pub(crate) mod mkdir;
pub(crate) mod mv;
pub(crate) mod passwd;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod setup;
pub(crate) mod stat;
pub(crate) mod whoami;
