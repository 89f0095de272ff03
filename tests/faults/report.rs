//! What a row of the table came to, on one line for whoever reads the log.

use std::fmt;
use std::time::{Duration, Instant};

use crate::load::{Findings, Tally};

/// Says something to whoever reads the log.
#[expect(clippy::print_stdout, reason = "shown with a test that fails, and by --no-capture")]
pub(crate) fn say(line: fmt::Arguments<'_>) {
    println!("{line}");
}

/// Counts while a test runs.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    began: Instant,
    tries: usize,
    lost: usize,
    half: usize,
    slowest: Duration,
    tally: Tally,
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            began: Instant::now(),
            tries: 0,
            lost: 0,
            half: 0,
            slowest: Duration::ZERO,
            tally: Tally::default(),
        }
    }

    /// Says with which number this one can be had again.
    pub(crate) fn life(&self, seed: u64) {
        say(format_args!("{}: DEPOT_SEED={seed}", self.name));
    }

    /// One more try.
    pub(crate) fn tried(&mut self, findings: &Findings) {
        self.tries += 1;
        self.lost += findings.lost.len();
        self.half += findings.half.len();
    }

    /// A server was ready after so long.
    pub(crate) fn restarted(&mut self, took: Duration) {
        self.slowest = self.slowest.max(took);
    }

    /// What was done meanwhile.
    pub(crate) fn did(&mut self, tally: Tally) {
        self.tally = self.tally + tally;
    }

    /// Prints it.
    pub(crate) fn end(&self) {
        let Self { name, began, tries, lost, half, slowest, tally } = self;
        let Tally { acknowledged, refused, read } = tally;
        say(format_args!(
            "{name}: {tries} tries, {acknowledged} acknowledged, {refused} refused, {read} read; \
             {lost} lost, {half} half-visible; slowest start {slowest:?}; {:.1} s",
            began.elapsed().as_secs_f64()
        ));
    }
}
