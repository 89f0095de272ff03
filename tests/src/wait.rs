//! Waiting for something to become true: asked again and again, with an end.

use std::thread;
use std::time::{Duration, Instant};

/// What takes longer than this does not happen; machines that build something else meanwhile are slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
///
/// # Panics
///
/// When there is none in time; `what` says what was waited for.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(PAUSE);
    }
}

/// Asks until it is so.
///
/// # Panics
///
/// When it is not so in time.
pub fn until_true(what: &str, mut ask: impl FnMut() -> bool) {
    until(what, || ask().then_some(()));
}
