//! Depot.
fn main() {}
