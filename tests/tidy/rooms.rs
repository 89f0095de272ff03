//! The house: which room of the server may import which, as one table, and which room alone may name
//! a crate. What is not declared here is not allowed, and a room that is not declared fails the check.

/// A room is a module right below the crate's root: `server/src/NAME.rs` or all of `server/src/NAME/`.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) may_import: &'static [&'static str],
    pub(crate) because: &'static str,
}

const fn room(
    name: &'static str,
    may_import: &'static [&'static str],
    because: &'static str,
) -> Room {
    Room { name, may_import, because }
}

/// From left to right as in ARCHITECTURE.md: nothing imports to its left, and rooms of one kind do not
/// import each other.
pub(crate) const ROOMS: &[Room] = &[
    room(
        "main",
        &["cli", "config", "serve", "tls", "clock", "faults", "model", "error"],
        "it reads the configuration and chooses what to run",
    ),
    room(
        "cli",
        &[
            "config",
            "serve",
            "tls",
            "accounts",
            "upkeep",
            "content",
            "db",
            "chunks",
            "password",
            "token",
            "whole_file",
            "faults",
            "clock",
            "model",
            "error",
        ],
        "arguments, and the commands on a store that no server holds: they put a part of it together",
    ),
    room("config", &["model", "error"], "read in main, handed on as plain values"),
    room(
        "serve",
        &[
            "accept",
            "tls",
            "config",
            "rpc",
            "accounts",
            "files",
            "mail",
            "changes",
            "upkeep",
            "content",
            "db",
            "chunks",
            "password",
            "token",
            "whole_file",
            "clock",
            "model",
            "error",
        ],
        "it puts everything together and passes it in",
    ),
    room(
        "accept",
        &["tls", "clock", "faults", "model", "error"],
        "connections, whatever they carry",
    ),
    room("tls", &["whole_file", "clock", "faults", "model", "error"], "keys and certificates"),
    room(
        "rpc",
        &["accounts", "files", "mail", "changes", "upkeep", "model", "error"],
        "the edge translates for the rules; never past them, to db or chunks",
    ),
    room("accounts", RULE, "a rule"),
    room("files", RULE, "a rule; what an attachment pins is resolved inside db's send"),
    room("mail", RULE, "a rule; a stored attachment is resolved inside db's send"),
    room("changes", RULE, "a rule"),
    room("upkeep", RULE, "a rule"),
    room(
        "content",
        &["db", "chunks", "password", "token", "clock", "faults", "model", "error"],
        "what files, mail and upkeep know of bytes",
    ),
    room("db", ADAPTER, "an adapter: no wire, no chunks"),
    room("chunks", ADAPTER, "an adapter: no wire, no metadata"),
    room("password", NOUNS, "hashing, and nothing else"),
    room("token", NOUNS, "secrets, and nothing else"),
    room(
        "whole_file",
        &["error"],
        "a small file that is there or not; rows and chunks are not such",
    ),
    room("faults", &[], "switches for fault tests; what they switch asks, they know nothing"),
    room("clock", &["model", "error"], "time, passed in"),
    room("faults", &[], "the switches of the fault tests; whoever protects something may ask"),
    room("model", &["error"], "the nouns; what cannot be built says why"),
    room("error", &[], "every room has it"),
    room("lib", &[], "the map: it names the rooms and does nothing"),
];

const RULE: &[&str] =
    &["content", "db", "chunks", "password", "token", "clock", "faults", "model", "error"];
const ADAPTER: &[&str] = &["faults", "clock", "faults", "model", "error"];
const NOUNS: &[&str] = &["clock", "faults", "model", "error"];

/// A crate of which only these rooms of the server know.
pub(crate) struct Home {
    pub(crate) crate_prefix: &'static str,
    pub(crate) rooms: &'static [&'static str],
}

/// The wire is rpc's; serve and accept wire it up.
pub(crate) const HOMES: &[Home] = &[
    Home { crate_prefix: "tonic", rooms: &["rpc", "serve", "accept"] },
    Home { crate_prefix: "depot_proto", rooms: &["rpc", "serve", "accept"] },
    Home { crate_prefix: "prost", rooms: &["rpc", "serve", "accept"] },
    Home { crate_prefix: "rusqlite", rooms: &["db"] },
];

/// Which crates of ours a crate may name: server and client meet in the contract alone.
pub(crate) const CRATE_IMPORTS: &[(&str, &[&str])] = &[
    ("proto", &["depot_proto"]),
    ("server", &["depot_server", "depot_proto"]),
    ("client", &["depot_client", "depot_proto"]),
    ("tests", &["depot_tests", "depot_proto", "depot_server"]),
];

/// The room of that name, if it is declared.
pub(crate) fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}
