//! How often a password may be guessed: a number in ten minutes for each account name, whether or not
//! there is such an account. A right one costs nothing, so nobody is locked out by logging in often.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Detail, Error, Kind, Result};

const WINDOW_MS: i64 = 10 * 60 * 1000;

/// The longest name that is remembered as it is; of longer ones, which no account has, the beginning.
const NAME_CHARS_MAX: usize = 64;

/// Names remembered at once: at most about 16 MiB. An attacker who tries more names than that has spread the
/// guesses so thin that forgetting the oldest gives them nothing.
const NAMES_MAX: usize = 65_536;

/// Counts guesses.
pub(super) struct Guesses {
    allowed: u32,
    made: Mutex<HashMap<String, Window>>,
}

struct Window {
    began: i64,
    count: u32,
}

impl Guesses {
    pub(super) fn new(allowed: u32) -> Self {
        Self { allowed, made: Mutex::default() }
    }

    /// Counts a guess before it is evaluated, or refuses to evaluate it.
    pub(super) fn begin(&self, name: &str, now: i64) -> Result<()> {
        let name = remembered(name);
        let mut made = self.lock();
        if made.len() >= NAMES_MAX && !made.contains_key(&name) {
            made.retain(|_, window| now - window.began < WINDOW_MS);
            let oldest = made.iter().min_by_key(|(_, window)| window.began);
            if made.len() >= NAMES_MAX
                && let Some(oldest) = oldest.map(|(name, _)| name.clone())
            {
                made.remove(&oldest);
            }
        }
        let window = made.entry(name.clone()).or_insert(Window { began: now, count: 0 });
        // A clock that was set back must not lock anybody out.
        if now - window.began >= WINDOW_MS || now < window.began {
            *window = Window { began: now, count: 0 };
        }
        if window.count >= self.allowed {
            let wait = u64::try_from(window.began + WINDOW_MS - now).unwrap_or(0);
            let wait = Duration::from_millis(wait);
            tracing::info!(account = ?name, "too many wrong passwords");
            let message =
                format!("too many wrong passwords; try again in {} seconds", wait.as_secs() + 1);
            return Err(Error::new(Kind::RateLimited, message).with(Detail::Retry(wait)));
        }
        window.count += 1;
        Ok(())
    }

    /// Takes back the count of a guess that was right.
    pub(super) fn forgive(&self, name: &str) {
        let mut made = self.lock();
        if let Some(window) = made.get_mut(&remembered(name)) {
            window.count = window.count.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Window>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered of a name, and said of it in the log.
pub(super) fn remembered(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::{Guesses, NAME_CHARS_MAX, WINDOW_MS};

    #[test]
    fn a_name_of_any_length_takes_little_memory() {
        let guesses = Guesses::new(20);
        assert!(guesses.begin(&"ä".repeat(1 << 20), 0).is_ok());
        let made = guesses.lock();
        assert!(made.keys().all(|name| name.chars().count() <= NAME_CHARS_MAX));
        assert_eq!(made.len(), 1);
    }

    #[test]
    fn the_limit_is_exact_and_ends_with_its_window() {
        let guesses = Guesses::new(20);
        for _ in 0..20 {
            assert!(guesses.begin("ann", 0).is_ok());
        }
        assert!(guesses.begin("ann", WINDOW_MS - 1).is_err());
        assert!(guesses.begin("bob", 0).is_ok());
        assert!(guesses.begin("ann", WINDOW_MS).is_ok());
    }

    #[test]
    fn right_passwords_cost_nothing() {
        let guesses = Guesses::new(2);
        for _ in 0..10 {
            assert!(guesses.begin("ann", 0).is_ok());
            guesses.forgive("ann");
        }
    }
}
