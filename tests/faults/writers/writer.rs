//! One writer: looks at the files, changes them as they remember them, and writes down what was asked and
//! answered. Most changes say what the file must be; what others did since then refuses them.

use std::ops::Add;
use std::sync::Arc;

use depot_tests::caller::Caller;
use tonic::Status;
use uuid::Uuid;

use super::calls::{Asked, Folder};
use crate::chance::Chance;
use crate::history::{Answer, Key, Log, Make, Operation, Seen, Step, Want};
use crate::load::Fault;
use crate::site::Person;

/// Files that all of them write.
const FILES: usize = 5;

/// What became of what was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) changed: usize,
    pub(super) refused: usize,
    pub(super) looked: usize,
    /// Nobody will ever know.
    pub(super) unknown: usize,
    /// Asked again after a crash.
    pub(super) settled: usize,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            changed: self.changed + other.changed,
            refused: self.refused + other.refused,
            looked: self.looked + other.looked,
            unknown: self.unknown + other.unknown,
            settled: self.settled + other.settled,
        }
    }
}

/// See above.
pub(super) struct Writer {
    pub(super) person: Person,
    pub(super) tally: Tally,
    folder: Folder,
    log: Arc<Log>,
    chance: Chance,
    /// What they saw last.
    known: Vec<Option<Seen>>,
    /// Where that was wrong.
    stale: Option<Key>,
    /// What they were asking for when the server went, and since when.
    open: Option<(Asked, u64)>,
}

impl Writer {
    /// One of the first person's, in their own tree, or one of another's, who visits.
    pub(super) fn new(number: usize, people: &[Person], log: Arc<Log>, chance: Chance) -> Self {
        let place = number % people.len();
        let folder = match place {
            0 => Folder { path: "/r", tree: "" },
            _ => Folder { path: "ann:/r", tree: "ann" },
        };
        let (person, known) = (people[place].clone(), vec![None; FILES]);
        let (tally, stale, open) = (Tally::default(), None, None);
        Self { person, tally, folder, log, chance, known, stale, open }
    }

    /// Works until the fault, or until so many operations were answered.
    ///
    /// # Panics
    ///
    /// When something goes wrong before the fault.
    pub(super) async fn work(&mut self, calls: &Caller, (fault, operations): (&Fault, usize)) {
        if let Some((asked, since)) = self.open.take() {
            self.tally.settled += 1;
            self.asks(calls, (asked, since), fault).await;
        }
        while self.open.is_none() && !fault.has_begun() && self.log.answered() < operations {
            if self.stale.is_some() || self.chance.once_in(6) {
                self.looks(calls, fault).await;
            } else {
                let asked = Asked { request: Uuid::new_v4(), steps: self.next_steps() };
                let since = self.log.tick();
                self.asks(calls, (asked, since), fault).await;
            }
        }
    }

    /// Half of the time nobody will know whether the server did what it was asked last.
    pub(super) fn give_up_some(&mut self) {
        if self.chance.once_in(2)
            && let Some((asked, since)) = self.open.take()
        {
            self.tally.unknown += 1;
            self.keep(asked.steps, Answer::Unknown, since);
        }
    }

    async fn asks(&mut self, calls: &Caller, (asked, since): (Asked, u64), fault: &Fault) {
        match self.folder.ask(calls, &self.log, &asked).await {
            Ok(answer) => {
                self.remembers(&asked.steps, &answer);
                self.keep(asked.steps, answer, since);
            }
            Err(status) => {
                is_due(&status, fault);
                self.open = Some((asked, since));
            }
        }
    }

    async fn looks(&mut self, calls: &Caller, fault: &Fault) {
        let (since, any) = (self.log.tick(), self.chance.place(FILES));
        let key = self.stale.take().unwrap_or(any);
        let looked = if self.chance.once_in(3) {
            self.folder.look_at_all(calls, &self.log, FILES).await
        } else {
            let looked = self.folder.look(calls, &self.log, key).await;
            looked.map(|seen| vec![(key, seen)])
        };
        match looked {
            Ok(saw) => {
                for (key, seen) in &saw {
                    self.known[*key].clone_from(seen);
                }
                self.keep(Vec::new(), Answer::Saw(saw), since);
            }
            // A look that was not answered saw nothing.
            Err(status) => is_due(&status, fault),
        }
    }

    fn remembers(&mut self, steps: &[Step], answer: &Answer) {
        match answer {
            Answer::Done(made) => {
                steps.iter().for_each(|step| self.known[step.key] = None);
                made.iter().for_each(|(key, seen)| self.known[*key] = Some(seen.clone()));
            }
            // What they believe is wrong of one of them: that is looked at next.
            _ => self.stale = self.chance.pick(steps).map(|step| step.key),
        }
    }

    fn keep(&mut self, steps: Vec<Step>, answer: Answer, called: u64) {
        match answer {
            Answer::Done(_) => self.tally.changed += 1,
            Answer::Refused => self.tally.refused += 1,
            Answer::Saw(_) => self.tally.looked += 1,
            Answer::Unknown => {}
        }
        self.log.keep(Operation { steps, answer, called, returned: self.log.tick() });
    }

    fn next_steps(&mut self) -> Vec<Step> {
        let key = self.chance.place(FILES);
        let put = Make::Content(self.log.content());
        match self.chance.of(0..100) {
            0..52 => vec![Step { key, want: self.as_known(key), make: put }],
            52..57 => vec![Step { key, want: Want::Anything, make: put }],
            57..70 => {
                let want = match self.as_known(key) {
                    Want::Generation(0) => Want::Something,
                    want => want,
                };
                vec![Step { key, want, make: Make::Nothing }]
            }
            70..85 => self.next_move(key),
            _ => self.next_commit(key, put),
        }
    }

    fn next_move(&mut self, key: Key) -> Vec<Step> {
        let want = match self.as_known(key) {
            Want::Generation(0) => Want::Something,
            want => want,
        };
        let to = if self.chance.once_in(2) { Want::Generation(0) } else { Want::Anything };
        vec![
            Step { key, want, make: Make::Nothing },
            Step { key: self.beside(key), want: to, make: Make::From(key) },
        ]
    }

    /// Two files at once; one of them may go.
    fn next_commit(&mut self, key: Key, put: Make) -> Vec<Step> {
        let other = self.beside(key);
        let make = match self.chance.once_in(4) {
            true => Make::Nothing,
            false => Make::Content(self.log.content()),
        };
        let want = self.as_known(other);
        vec![Step { key, want: self.as_known(key), make: put }, Step { key: other, want, make }]
    }

    fn beside(&mut self, key: Key) -> Key {
        (key + 1 + self.chance.place(FILES - 1)) % FILES
    }

    /// That a file is what they saw last, said in one of two ways.
    fn as_known(&mut self, key: Key) -> Want {
        match &self.known[key] {
            None => Want::Generation(0),
            Some(seen) if self.chance.once_in(4) => Want::Etag(seen.etag.clone()),
            Some(seen) => Want::Generation(seen.generation),
        }
    }
}

/// A server that is being killed need not answer; any other must.
fn is_due(status: &Status, fault: &Fault) {
    assert!(fault.has_begun(), "this no fault explains: {status:?}");
}
