//! Mixed load, and the question afterwards: several hands put, read, remove, move, commit, send and
//! acknowledge at once, each in a folder of its own, and each remembers what was acknowledged to it and
//! what it was doing last. After a fault the server is asked whether it remembers the same.

mod check;
mod content;
mod deed;
mod fault;
mod hand;
mod witness;

pub(crate) use check::{Findings, check};
pub(crate) use content::Content;
pub(crate) use deed::{Deed, Doing, Letter};
pub(crate) use fault::{Answers, Fault};
pub(crate) use hand::{Habits, Hand, Tally};

use std::sync::Arc;

use depot_tests::caller::Caller;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::chance::Chance;
use crate::site::{Person, Site};
use witness::Witness;

/// The accounts that are used, the administrator first.
pub(crate) const NAMES: [&str; 3] = ["ann", "bob", "cid"];
/// Hands that each of them has.
const HANDS_EACH: usize = 2;

/// People at work on a site, and what they remember.
pub(crate) struct Crew {
    pub(crate) people: Vec<Person>,
    pub(crate) hands: Vec<Hand>,
}

impl Crew {
    /// Makes the accounts on a new server.
    pub(crate) fn new(
        site: &Site,
        runtime: &Runtime,
        habits: &Habits,
        chance: &mut Chance,
    ) -> Self {
        let people = site.people(runtime, &NAMES);
        let witness = Arc::<Witness>::default();
        let hand = |number| {
            let person = number % NAMES.len();
            let witness = Arc::clone(&witness);
            Hand::new(number, person, (habits.clone(), witness), chance.split())
        };
        let hands = (0..NAMES.len() * HANDS_EACH).map(hand).collect();
        Self { people, hands }
    }

    /// Lets all hands work until the fault; see [`Crew::come_back`].
    pub(crate) fn begin(&mut self, site: &Site, runtime: &Runtime, fault: &Arc<Fault>) -> Work {
        let started = std::mem::take(&mut self.hands).into_iter().map(|mut hand| {
            let calls = runtime.block_on(site.calls(&self.people[hand.person]));
            let fault = Arc::clone(fault);
            runtime.spawn(async move {
                hand.work(&calls, &fault).await;
                hand
            })
        });
        Work(started.collect())
    }

    /// Waits until all hands have noticed the fault.
    pub(crate) fn come_back(&mut self, runtime: &Runtime, work: Work) {
        self.hands = work.0.into_iter().map(|hand| ended(runtime, hand)).collect();
    }

    /// Asks the server whether it remembers what the hands do. What they were doing at the fault is
    /// settled by it.
    pub(crate) fn check(&mut self, site: &Site, runtime: &Runtime) -> Findings {
        runtime.block_on(async {
            let calls = self.calls(site).await;
            check(&calls, &self.people, &mut self.hands).await
        })
    }

    /// Does again what some hands were doing at the fault, under the same numbers.
    pub(crate) fn settle(&mut self, site: &Site, runtime: &Runtime) {
        runtime.block_on(async {
            let calls = self.calls(site).await;
            for hand in &mut self.hands {
                hand.settle(&calls[hand.person]).await;
            }
        });
    }

    /// What all of them did so far.
    pub(crate) fn tally(&self) -> Tally {
        self.hands.iter().fold(Tally::default(), |sum, hand| sum + hand.tally)
    }

    async fn calls(&self, site: &Site) -> Vec<Caller> {
        let mut calls = Vec::new();
        for person in &self.people {
            calls.push(site.calls(person).await);
        }
        calls
    }
}

/// Hands at work.
pub(crate) struct Work(Vec<JoinHandle<Hand>>);

fn ended(runtime: &Runtime, hand: JoinHandle<Hand>) -> Hand {
    let waited = async { tokio::time::timeout(depot_tests::wait::PATIENCE, hand).await };
    match runtime.block_on(waited).expect("every call ends when the server has gone") {
        Ok(hand) => hand,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
