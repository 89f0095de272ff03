//! Are the rooms' directions kept? Every path that a file names is held against the tables in `rooms`.

use std::collections::BTreeSet;

use crate::paths::{self, Named};
use crate::rooms::{CRATE_IMPORTS, HOMES, Room, find};
use crate::sources::Source;

/// What a file may not name, one line each.
pub(crate) fn complaints(source: &Source) -> Vec<String> {
    let mut found = foreign_crates(source);
    if let Some(name) = room_of(&source.path) {
        match find(name) {
            Some(room) => found.extend(wrong_imports(source, room)),
            None => found.push(format!(
                "{}: the room `{name}` is not declared; say in tests/tidy/rooms.rs what it may import",
                source.path
            )),
        }
    }
    found
}

/// The rooms of the server that these sources make up.
pub(crate) fn rooms_of(sources: &[Source]) -> BTreeSet<&str> {
    sources.iter().filter_map(|source| room_of(&source.path)).collect()
}

fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("server/src/")?;
    inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

fn wrong_imports(source: &Source, room: &Room) -> Vec<String> {
    let mut found = Vec::new();
    for named in paths::of(source) {
        let at = source.at(named.line);
        let Some(imported) = imported_room(&named, room) else {
            found.extend(away_from_home(&named, room).map(|problem| format!("{at}: {problem}")));
            continue;
        };
        if imported == room.name || room.may_import.contains(&imported) {
            continue;
        }
        let problem = match find(imported) {
            Some(_) => format!("`{}` may not import `{imported}` ({})", room.name, room.because),
            None => format!(
                "`{imported}` is not declared; rooms stand in tests/tidy/rooms.rs, and what is in one is \
                 named through it"
            ),
        };
        found.push(format!("{at}: {problem}"));
    }
    found
}

/// The room that a path leads into; the root itself is none, and may not be imported.
fn imported_room<'a>(named: &'a Named, room: &Room) -> Option<&'a str> {
    let segments: Vec<&str> = named.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["crate" | "depot_server"] => Some("the root of the crate"),
        ["crate" | "depot_server", first, ..] => Some(first),
        // At a crate's root its modules need no prefix.
        [first, ..] if matches!(room.name, "lib" | "main") && find(first).is_some() => Some(first),
        _ => None,
    }
}

/// Is this a crate that only other rooms may know?
fn away_from_home(named: &Named, room: &Room) -> Option<String> {
    let first = named.segments.first()?;
    let home = HOMES.iter().find(|home| is_or_extends(first, home.crate_prefix))?;
    (!home.rooms.contains(&room.name)).then(|| {
        format!("`{}` may not name `{first}`; only {} may", room.name, home.rooms.join(", "))
    })
}

/// `tonic_types` extends `tonic`.
fn is_or_extends(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

fn foreign_crates(source: &Source) -> Vec<String> {
    let owner = source.path.split('/').next().unwrap_or_default();
    let allowed =
        CRATE_IMPORTS.iter().find(|(name, _)| *name == owner).map_or(&[][..], |row| row.1);
    paths::of(source)
        .into_iter()
        .filter(|named| {
            let first = named.segments[0].as_str();
            first.starts_with("depot_") && !allowed.contains(&first)
        })
        .map(|named| {
            format!("{}: {owner} may not name `{}`", source.at(named.line), named.segments[0])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Source, complaints};

    fn flagged(path: &str, text: &str) -> bool {
        !complaints(&Source::parse(path, text)).is_empty()
    }

    #[test]
    fn what_the_house_forbids_is_flagged() {
        for (path, text) in [
            ("server/src/rpc/files.rs", "use crate::db::Db;"),
            ("server/src/rpc/files.rs", "fn f() { crate::chunks::open() }"),
            ("server/src/rpc/mod.rs", "use super::{accounts, db};"),
            ("server/src/db/sqlite/mod.rs", "use crate::chunks::Chunks;"),
            ("server/src/db/sqlite/mod.rs", "use crate::{error, rpc};"),
            ("server/src/db/mod.rs", "use tonic::Status;"),
            ("server/src/chunks/mod.rs", "fn f() { assert!(depot_proto::DESCRIPTORS.len() > 0) }"),
            ("server/src/model/ids.rs", "use tonic_types::ErrorDetails;"),
            ("server/src/files/mod.rs", "use crate::mail;"),
            ("server/src/mail.rs", "use super::files::put;"),
            ("server/src/content.rs", "use crate::files;"),
            ("server/src/accounts.rs", "use crate::rpc::status;"),
            ("server/src/model/mod.rs", "use crate::clock::Clock;"),
            ("server/src/error.rs", "use crate::model::Name;"),
            ("server/src/files.rs", "use rusqlite::Connection;"),
            ("server/src/files.rs", "use crate as root;"),
            ("server/src/files.rs", "use super::super::files as f; use super as root;"),
            ("server/src/files.rs", "use crate::Error;"),
            ("server/src/lib.rs", "pub use serve::serve;"),
            ("server/src/main.rs", "fn main() { depot_server::db::open() }"),
            ("server/src/attic.rs", "//! A room that nobody declared."),
            ("server/src/serve.rs", "use depot_client::run;"),
            ("server/src/serve.rs", "use depot_tests::binary;"),
            ("client/src/main.rs", "use depot_server::serve;"),
            ("proto/src/lib.rs", "use depot_server::model;"),
        ] {
            assert!(flagged(path, text), "{path}: {text}");
        }
    }

    #[test]
    fn what_the_house_allows_passes() {
        for (path, text) in [
            ("server/src/main.rs", "use depot_server::{config::Config, serve}; mod cli;"),
            (
                "server/src/serve.rs",
                "use crate::{accept, chunks, config, db, rpc, tls}; use tonic::S;",
            ),
            (
                "server/src/rpc/files.rs",
                "use super::status; use crate::files; use depot_proto::files;",
            ),
            ("server/src/files/put.rs", "use crate::{content, db::Db}; use super::names;"),
            ("server/src/content.rs", "use crate::{chunks, db, model, error::Result};"),
            (
                "server/src/db/sqlite/mod.rs",
                "use crate::db::Db; use crate::model::X; use rusqlite::C;",
            ),
            ("server/src/lib.rs", "pub mod serve;"),
            ("client/src/main.rs", "use depot_proto::files; use tonic::Status;"),
        ] {
            let source = Source::parse(path, text);
            assert_eq!(complaints(&source), Vec::<String>::new(), "{path}: {text}");
        }
    }
}
