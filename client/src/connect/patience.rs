//! When a call is made again: only after an error that says "later", only if a second call does no harm,
//! with growing, jittered pauses, and no longer than `--retry-for`.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::output::Output;
use crate::units::show_duration;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whether a call may be made again when nobody knows what became of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same call twice is one effect.
    Always,
    /// Only if the server cannot have seen it.
    Unsent,
}

/// Says that a connection is lost and made again: once, however many calls notice it.
pub(crate) struct Outage {
    output: Arc<Output>,
    is_told: AtomicBool,
}

impl Outage {
    pub(crate) fn new(output: Arc<Output>) -> Arc<Self> {
        Arc::new(Self { output, is_told: AtomicBool::new(false) })
    }

    fn tell(&self, error: &Error, budget: Duration) {
        if !error.is_lost() || self.is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let lost = match error.is_unsent() {
            true => "there is no connection to the server",
            false => "the connection was lost",
        };
        self.output.note(&format!("{lost}; trying again for {}", show_duration(budget)));
    }

    fn is_over(&self) {
        self.is_told.store(false, Ordering::Relaxed);
    }
}

/// The time that is left for trying again.
pub(crate) struct Patience {
    budget: Duration,
    outage: Option<Arc<Outage>>,
    failing_since: Option<Instant>,
    tries: u32,
    pub(super) refreshed: bool,
}

impl Patience {
    pub(crate) fn new(budget: Duration) -> Self {
        Self { budget, outage: None, failing_since: None, tries: 0, refreshed: false }
    }

    /// Of a session that tells when its connection is lost.
    pub(super) fn telling(budget: Duration, outage: Option<Arc<Outage>>) -> Self {
        Self { outage, ..Self::new(budget) }
    }

    /// Something worked: the next failure has the whole time again.
    pub(crate) fn progressed(&mut self) {
        let has_failed = self.failing_since.take().is_some();
        if let Some(outage) = self.outage.as_ref().filter(|_| has_failed) {
            outage.is_over();
        }
        self.tries = 0;
        self.refreshed = false;
    }

    /// Waits before the next try; the error itself when there is to be none.
    pub(crate) async fn wait(&mut self, error: Error) -> Result<()> {
        match self.pause(&error, Instant::now()) {
            Some(pause) => {
                if let Some(outage) = &self.outage {
                    outage.tell(&error, self.budget);
                }
                sleep(pause).await;
            }
            None => return Err(error),
        }
        Ok(())
    }

    fn pause(&mut self, error: &Error, now: Instant) -> Option<Duration> {
        if !error.is_temporary() {
            return None;
        }
        // A server that does not answer has had its time before the first failure is known.
        let began = now.checked_sub(error.spent()).unwrap_or(now);
        let since = *self.failing_since.get_or_insert(began);
        let left = self.budget.checked_sub(now.duration_since(since))?;
        let grown = FIRST_PAUSE.saturating_mul(1 << self.tries.min(8)).min(LONGEST_PAUSE);
        self.tries += 1;
        let asked = error.retry_after().unwrap_or_default();
        let pause = grown.mul_f64(jitter()).max(asked);
        // The last try comes at the very end of the time, not before it.
        match pause > left {
            true if asked > left || left.is_zero() => None,
            true => Some(left),
            false => Some(pause),
        }
    }
}

/// Between a half and one and a half, so that clients that failed together do not come back together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    0.5 + (random % 1024) as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Patience;
    use crate::error::{Error, Exit};

    #[test]
    fn pauses_grow_and_end_with_the_budget() {
        let mut patience = Patience::new(Duration::from_secs(5));
        let start = Instant::now();
        let mut now = start;
        let mut tries = 0;
        while let Some(pause) = patience.pause(&Error::unreachable("x"), now) {
            now += pause;
            tries += 1;
            assert!(now.duration_since(start) <= Duration::from_secs(5));
            assert!(tries < 100);
        }
        assert_eq!(now.duration_since(start), Duration::from_secs(5));
        assert!(tries > 3);
    }

    #[test]
    fn an_answer_is_final_and_no_time_is_no_try() {
        let refused = Error::new(Exit::NotFound, "NOT_FOUND", "x");
        let mut patience = Patience::new(Duration::from_secs(5));
        assert_eq!(patience.pause(&refused, Instant::now()), None);
        let mut none = Patience::new(Duration::ZERO);
        assert_eq!(none.pause(&Error::unreachable("x"), Instant::now()), None);
    }

    #[test]
    fn the_time_that_a_try_took_counts() {
        let start = Instant::now();
        let silent = |seconds| Error::unreachable("x").after(Duration::from_secs(seconds));
        let mut patience = Patience::new(Duration::from_secs(5));
        assert_eq!(patience.pause(&silent(5), start + Duration::from_secs(5)), None);
        let mut patience = Patience::new(Duration::from_secs(5));
        let now = start + Duration::from_secs(4);
        assert!(
            patience.pause(&silent(4), now).is_some_and(|pause| pause < Duration::from_secs(1))
        );
    }

    #[test]
    fn progress_gives_the_whole_time_again() {
        let mut patience = Patience::new(Duration::from_secs(1));
        let start = Instant::now();
        assert!(patience.pause(&Error::cut("x"), start).is_some());
        let late = start + Duration::from_secs(2);
        assert_eq!(patience.pause(&Error::cut("x"), late), None);
        patience.progressed();
        assert!(patience.pause(&Error::cut("x"), late).is_some());
    }
}
