//! The map of the server, from the edge inwards: a room may use those below it, never those above.

pub mod accept;
pub mod accounts;
pub mod changes;
pub mod chunks;
pub mod clock;
pub mod config;
pub mod content;
pub mod db;
pub mod error;
pub mod faults;
pub mod files;
pub mod mail;
pub mod model;
pub mod password;
pub mod rpc;
pub mod serve;
pub mod tls;
pub mod token;
pub mod upkeep;
pub mod whole_file;
