//! The commands as scripts rely on them: where things go, how commands end, what they print and where.

mod ends;
mod json;
mod output;
mod targets;
mod trust;
