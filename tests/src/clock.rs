//! A clock that stands still until a story moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use depot_server::clock::{Clock, SystemClock};

/// Begins now.
pub struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(SystemClock.now()))
    }
}

impl ManualClock {
    /// Lets so much time pass.
    pub fn pass(&self, time: Duration) {
        let time = i64::try_from(time.as_millis()).expect("not that long");
        self.0.fetch_add(time, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
