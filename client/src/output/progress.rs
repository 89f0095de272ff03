//! How far a transfer is: bytes, rate and time to go, on a terminal only, and only where it takes long
//! enough to be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second; more cannot be read and costs time.
const DRAWS_A_SECOND: u8 = 8;

/// What is done sooner is not worth a bar.
const SHOWN_AFTER: Duration = Duration::from_millis(400);

/// A bar that ends when it is dropped.
pub(crate) struct Progress(Arc<Shown>);

/// What the output knows of it, to end it before the last message: the transfer may still run then.
pub(super) struct Shown {
    bar: ProgressBar,
    began: Instant,
    /// Whether it waits to be shown.
    is_waiting: AtomicBool,
}

impl Progress {
    /// `what` has been escaped.
    pub(super) fn new(what: &str, total: Option<u64>, shown: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => {
                "{msg}  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} to go"
            }
            None => "{msg}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self(Arc::new(Shown { bar, began: Instant::now(), is_waiting: AtomicBool::new(shown) }))
    }

    pub(crate) fn add(&self, bytes: u64) {
        let Shown { bar, began, is_waiting } = &*self.0;
        bar.inc(bytes);
        let is_due = is_waiting.load(Ordering::Relaxed) && began.elapsed() >= SHOWN_AFTER;
        if is_due && is_waiting.swap(false, Ordering::Relaxed) {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND));
            bar.enable_steady_tick(Duration::from_millis(500));
        }
    }

    /// Nothing more is shown.
    pub(crate) fn end(&self) {
        self.0.end();
    }

    pub(super) fn shown(&self) -> Arc<Shown> {
        self.0.clone()
    }
}

impl Shown {
    /// Its line is cleared, and is not drawn again.
    pub(super) fn end(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Prints with the line out of the way.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
