//! The writer's queue: two lanes, so that collecting and sweeping never make people wait.
//!
//! The background lane gets the writer when nobody else wants it, and otherwise at most a fifth of its
//! time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::db::sqlite::writer::Job;

/// Background work gets one part in this many of the writer's time while others wait.
const BACKGROUND_SHARE: u32 = 5;

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody waits for the answer.
    Interactive,
    /// Upkeep; jobs of at most 500 rows.
    Background,
}

/// Jobs waiting for the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    jobs_max: usize,
}

#[derive(Default)]
struct State {
    interactive: VecDeque<Box<dyn Job>>,
    background: VecDeque<Box<dyn Job>>,
    /// Time the background lane still owes: what it took times the share, less what others took since.
    debt: Duration,
    closed: bool,
}

impl Queue {
    pub(super) fn new(jobs_max: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), jobs_max }
    }

    /// Puts a job at the end of its lane; gives it back when the lane is full or the queue closed.
    pub(super) fn push(&self, lane: Lane, job: Box<dyn Job>) -> Result<(), Box<dyn Job>> {
        let mut state = self.lock();
        let closed = state.closed;
        let jobs = state.lane(lane);
        if closed || jobs.len() >= self.jobs_max {
            return Err(job);
        }
        jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for the next job; `None` when the queue is closed and empty.
    pub(super) fn next(&self) -> Option<(Lane, Box<dyn Job>)> {
        let mut state = self.lock();
        loop {
            let first = match state.debt.is_zero() || state.interactive.is_empty() {
                true => [Lane::Background, Lane::Interactive],
                false => [Lane::Interactive, Lane::Background],
            };
            for lane in first {
                if let Some(job) = state.lane(lane).pop_front() {
                    return Some((lane, job));
                }
            }
            if state.closed {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job of a lane, if one waits there; background groups stop for others.
    pub(super) fn try_next(&self, lane: Lane) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        if lane == Lane::Background && !state.interactive.is_empty() {
            return None;
        }
        state.lane(lane).pop_front()
    }

    /// Accounts for the time that a group of a lane took.
    pub(super) fn spent(&self, lane: Lane, time: Duration) {
        let mut state = self.lock();
        match lane {
            Lane::Background => state.debt += time * (BACKGROUND_SHARE - 1),
            Lane::Interactive => state.debt = state.debt.saturating_sub(time),
        }
    }

    /// Lets the writer end when all jobs are done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot happen while the lock is held: nothing in here calls a job.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Box<dyn Job>> {
        match lane {
            Lane::Interactive => &mut self.interactive,
            Lane::Background => &mut self.background,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lane, Queue};
    use crate::db::sqlite::writer::{Job, Tx};
    use crate::error::Error;

    struct Idle;

    impl Job for Idle {
        fn run(&mut self, _: &mut Tx<'_>) -> bool {
            true
        }

        fn settle(self: Box<Self>, _: Option<Error>) {}
    }

    fn lane_served(queue: &Queue) -> Option<Lane> {
        queue.next().map(|(lane, _)| lane)
    }

    #[test]
    fn background_work_waits_until_others_had_their_share() {
        let queue = Queue::new(8);
        for lane in [Lane::Background, Lane::Background, Lane::Interactive, Lane::Interactive] {
            assert!(queue.push(lane, Box::new(Idle)).is_ok());
        }
        assert_eq!(lane_served(&queue), Some(Lane::Background));
        queue.spent(Lane::Background, Duration::from_millis(1));
        assert_eq!(lane_served(&queue), Some(Lane::Interactive));
        queue.spent(Lane::Interactive, Duration::from_millis(3));
        assert_eq!(lane_served(&queue), Some(Lane::Interactive));
        queue.spent(Lane::Interactive, Duration::from_millis(1));
        assert_eq!(lane_served(&queue), Some(Lane::Background));
    }

    #[test]
    fn a_full_lane_gives_the_job_back() {
        let queue = Queue::new(1);
        assert!(queue.push(Lane::Interactive, Box::new(Idle)).is_ok());
        assert!(queue.push(Lane::Interactive, Box::new(Idle)).is_err());
        assert!(queue.push(Lane::Background, Box::new(Idle)).is_ok());
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = Queue::new(8);
        assert!(queue.push(Lane::Interactive, Box::new(Idle)).is_ok());
        queue.close();
        assert!(queue.push(Lane::Interactive, Box::new(Idle)).is_err());
        assert!(lane_served(&queue).is_some());
        assert!(lane_served(&queue).is_none());
    }
}
