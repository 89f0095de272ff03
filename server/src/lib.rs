//! The map of the server.

pub mod chunks;
pub mod error;
pub mod model;
