//! Protections that a fault test may switch off, to see the test fail without them. Compiled in by the
//! feature `faults`, which the tests alone have; `depot-server --version` shows it. In every other build
//! each question here is answered "on" at compile time.
//!
//! And turns: a test may decide in which order several take their steps in a store.

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
    /// That whoever refers to a condemned chunk saves it.
    Pardon,
    /// The look whether a condemned chunk is referred to after all, before it goes.
    SecondLook,
    /// That chunks wait for the uploads that were told that they are there.
    Lease,
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
        Protection::Pardon => "no-pardon",
        Protection::SecondLook => "no-second-look",
        Protection::Lease => "no-lease",
    };
    OFF.split(',').any(|off| off == name)
}

/// Whether a protection is switched off: never.
#[cfg(not(feature = "faults"))]
pub const fn is_off(_: Protection) -> bool {
    false
}

/// Gives somebody a turn when it is theirs.
#[cfg(feature = "faults")]
pub type Turns =
    std::sync::Arc<dyn Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

#[cfg(feature = "faults")]
tokio::task_local! {
    /// Who is asked before each reading and each transaction of what runs in its scope.
    pub static TURNS: Turns;
}

/// Waits until it is this one's turn to take a step, where a test decides that.
#[cfg(feature = "faults")]
pub async fn turn() {
    if let Ok(turns) = TURNS.try_with(std::sync::Arc::clone) {
        turns().await;
    }
}

/// Waits until it is this one's turn: at once.
#[cfg(not(feature = "faults"))]
pub async fn turn() {}

/// What `--version` shows.
pub const VERSION: &str = if cfg!(feature = "faults") {
    concat!(env!("CARGO_PKG_VERSION"), " with faults: for tests alone")
} else {
    env!("CARGO_PKG_VERSION")
};
