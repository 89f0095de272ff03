//! One thing done to each of several: a failure is named and the rest goes on. What fails for one because
//! nobody is there to ask would fail for all, and ends it.

use crate::app::App;
use crate::error::{Error, Exit, Result};
use crate::units::count;

/// How far a batch is.
pub(crate) struct Batch<'a> {
    app: &'a App,
    operands: usize,
    done: usize,
    failed: usize,
    first: Option<Error>,
}

impl<'a> Batch<'a> {
    /// `operands` is how many were named.
    pub(crate) fn new(app: &'a App, operands: usize) -> Self {
        Self { app, operands, done: 0, failed: 0, first: None }
    }

    /// What became of one of them. An error ends the batch.
    pub(crate) fn took(&mut self, result: Result<()>) -> Result<()> {
        let error = match result {
            Ok(()) => {
                self.done += 1;
                return Ok(());
            }
            Err(error) if self.operands == 1 => return Err(error),
            Err(error) => error,
        };
        self.app.output.error(&error);
        self.failed += 1;
        let concerns_all = matches!(
            error.exit(),
            Exit::Unavailable | Exit::Unauthenticated | Exit::Trust | Exit::Interrupted
        );
        self.first.get_or_insert(error);
        if concerns_all { self.ended() } else { Ok(()) }
    }

    /// All have been tried.
    pub(crate) fn ended(&self) -> Result<()> {
        let Some(first) = &self.first else { return Ok(()) };
        let untried = match self.operands - self.done - self.failed {
            0 => String::new(),
            untried => format!(", {untried} not tried"),
        };
        let failed = format!("{} failed{untried}", count(self.failed, "operand"));
        match self.done {
            0 => {
                let reason = first.reason().to_owned();
                Err(Error::new(first.exit(), reason, format!("{failed}; nothing was done")))
            }
            done => Err(Error::partial(format!("{failed}; {done} done"))),
        }
    }
}
