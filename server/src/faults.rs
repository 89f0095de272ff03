//! Protections that a fault test may switch off, to see the test fail without them. Compiled in by the
//! feature `faults`, which the tests alone have; `depot-server --version` shows it. In every other build
//! each question here is answered "on" at compile time.

/// A protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// fdatasync of packs and SQLite's `synchronous=FULL`.
    Sync,
    /// The room on the disk that is kept for removals.
    Reserve,
    /// That a file is what a change asks for.
    Conditions,
    /// The look at a quota in the change that adds to what is held; the one before it stays.
    Quota,
}

/// Whether a protection is switched off, by its name in the variable `DEPOT_FAULTS` (a list with commas).
#[cfg(feature = "faults")]
pub fn is_off(protection: Protection) -> bool {
    use std::sync::LazyLock;

    static OFF: LazyLock<String> =
        LazyLock::new(|| std::env::var("DEPOT_FAULTS").unwrap_or_default());
    let name = match protection {
        Protection::Sync => "no-sync",
        Protection::Reserve => "no-reserve",
        Protection::Conditions => "no-conditions",
        Protection::Quota => "no-quota",
    };
    OFF.split(',').any(|off| off == name)
}

/// Whether a protection is switched off: never.
#[cfg(not(feature = "faults"))]
pub const fn is_off(_: Protection) -> bool {
    false
}

/// What `--version` shows.
pub const VERSION: &str = if cfg!(feature = "faults") {
    concat!(env!("CARGO_PKG_VERSION"), " with faults: for tests alone")
} else {
    env!("CARGO_PKG_VERSION")
};
