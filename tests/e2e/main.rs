//! Stories from outside: a real server, real TLS, and people with the real `depot`.

mod access;
mod contract;
mod readme;
