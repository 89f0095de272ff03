//! Depot from outside: a real server, real TLS, and people with the real `depot`.

mod access;
mod bad_input;
mod contract;
mod lines;
mod outside;
mod readme;
mod rights;
mod stories;
