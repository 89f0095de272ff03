//! The map of the server.

pub mod chunks;
pub mod db;
pub mod error;
pub mod model;
