//! One file per verb: what it takes (`Arguments`) and what it does (`run`).

pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod passwd;
pub(crate) mod put;
pub(crate) mod setup;
pub(crate) mod whoami;
