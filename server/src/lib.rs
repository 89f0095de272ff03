//! The map of the server.
