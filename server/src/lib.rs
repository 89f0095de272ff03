//! The map of the server, from the edge inwards: a room may use those below it, never those above.

pub mod accounts;
pub mod changes;
pub mod chunks;
pub mod clock;
pub mod content;
pub mod db;
pub mod error;
pub mod files;
pub mod mail;
pub mod model;
pub mod password;
pub mod rpc;
pub mod token;
