//! Is a history linearizable? Is there an order of all that was asked in which each happened as a whole,
//! at one moment between its asking and its answer, and every answer is right?
//!
//! The search is that of Wing and Gong as Lowe arranged it: answers are gone through in the order of their
//! ticks, and at each all states are kept that some order of what was open by then can have led to. What
//! was answered must have happened in each of them; what nobody knows of may have. No state left means: no
//! order explains the answers. The whole folder is one object, because moves and commits touch several
//! places at once.

use std::collections::{HashMap, HashSet};

use super::{Answer, Content, Key, Make, Operation, Seen, Step, Want};

/// More states than this are not a history that was meant to be checked.
const STATES_MAX: usize = 1 << 20;
/// Operations that may be open at once: a bit each.
const OPEN_MAX: usize = 64;

/// What a check went through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) operations: usize,
    /// The most states that were possible at once.
    pub(crate) states: usize,
}

/// Goes through a history of a folder that was empty before.
///
/// # Errors
///
/// What cannot be explained.
pub(crate) fn check(operations: &[Operation]) -> Result<Checked, String> {
    let facts = Facts::of(operations)?;
    let mut events: Vec<(u64, bool, usize)> = operations
        .iter()
        .enumerate()
        .flat_map(|(number, one)| [(one.called, false, number), (one.returned, true, number)])
        .collect();
    events.sort_unstable();
    let mut open = [None; OPEN_MAX];
    let mut states = HashSet::from([State::default()]);
    let mut checked = Checked { operations: operations.len(), states: 1 };
    for (_, is_answer, number) in events {
        if !is_answer {
            let free = open.iter().position(Option::is_none);
            open[free.ok_or("too many operations are open at once")?] = Some(number);
            continue;
        }
        let place = open.iter().position(|open| *open == Some(number)).expect("it was asked");
        let before = states.len();
        let after = Search { facts: &facts, operations, open: &open }.answered(&states, place)?;
        if after.is_empty() {
            return Err(unexplained(operations, number, &states));
        }
        checked.states = checked.states.max(before.max(after.len()));
        (states, open[place]) = (after, None);
    }
    Ok(checked)
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    content: Content,
    /// The operation that put or moved it there.
    by: usize,
}

/// The folder, and which of the open operations have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    slots: Vec<Option<Slot>>,
    happened: u64,
}

impl State {
    fn at(&self, key: Key) -> Option<Slot> {
        self.slots.get(key).copied().flatten()
    }

    fn put(&mut self, key: Key, slot: Option<Slot>) {
        if self.slots.len() <= key {
            self.slots.resize(key + 1, None);
        }
        self.slots[key] = slot;
    }
}

/// What answers tell that is true whatever the order was.
struct Facts {
    /// A content is put once, so it has one generation.
    generations: HashMap<Content, u64>,
    /// The etag of what an operation made of a place.
    etags: HashMap<(usize, Key), String>,
    told: HashSet<String>,
}

impl Facts {
    fn of(operations: &[Operation]) -> Result<Self, String> {
        let (mut generations, mut etags) = (HashMap::new(), HashMap::new());
        let mut contents = HashMap::new();
        let mut learn = |seen: &Seen| {
            let known = *generations.entry(seen.content).or_insert(seen.generation);
            let of = *contents.entry(seen.generation).or_insert(seen.content);
            if known != seen.generation || of != seen.content {
                return Err(format!("{seen:?}: generation {known} was content {of}"));
            }
            Ok(())
        };
        for (number, one) in operations.iter().enumerate() {
            match &one.answer {
                Answer::Done(made) => {
                    for (key, seen) in made {
                        learn(seen)?;
                        etags.insert((number, *key), seen.etag.clone());
                    }
                }
                Answer::Saw(saw) => {
                    let mut there = saw.iter().filter_map(|(_, seen)| seen.as_ref());
                    there.try_for_each(&mut learn)?;
                }
                Answer::Refused | Answer::Unknown => {}
            }
        }
        let told = etags.values().cloned().collect();
        Ok(Self { generations, etags, told })
    }

    /// Whether what stands there has this etag. Nobody was told that of what an unknown operation made.
    fn has_etag(&self, key: Key, slot: Slot, etag: &str) -> Truth {
        match self.etags.get(&(slot.by, key)) {
            Some(known) if known == etag => Truth::Yes,
            Some(_) => Truth::No,
            None if self.told.contains(etag) => Truth::No,
            None => Truth::Perhaps,
        }
    }

    fn is_as_wanted(&self, state: &State, step: &Step) -> Truth {
        let slot = state.at(step.key);
        let is_so = match (&step.want, slot) {
            (Want::Anything, _) => true,
            (Want::Something, slot) => slot.is_some(),
            (Want::Generation(0), slot) => slot.is_none(),
            // Who asks for a generation has seen it.
            (Want::Generation(wanted), Some(slot)) => {
                self.generations.get(&slot.content) == Some(wanted)
            }
            (Want::Etag(wanted), Some(slot)) => return self.has_etag(step.key, slot, wanted),
            (Want::Generation(_) | Want::Etag(_), None) => false,
        };
        if is_so { Truth::Yes } else { Truth::No }
    }

    fn was_seen(&self, state: &State, (key, seen): &(Key, Option<Seen>)) -> bool {
        match (state.at(*key), seen) {
            (None, None) => true,
            (Some(slot), Some(seen)) => {
                slot.content == seen.content && self.has_etag(*key, slot, &seen.etag) != Truth::No
            }
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Perhaps,
}

/// One answer being gone through.
struct Search<'a> {
    facts: &'a Facts,
    operations: &'a [Operation],
    open: &'a [Option<usize>; OPEN_MAX],
}

impl Search<'_> {
    /// The states in which what was open at this place has happened, if it must have.
    fn answered(&self, states: &HashSet<State>, place: usize) -> Result<HashSet<State>, String> {
        let number = self.open[place].expect("it is open");
        let may_not_have = self.operations[number].answer == Answer::Unknown;
        let mut after = HashSet::new();
        let mut looked_at = states.clone();
        let mut left: Vec<State> = states.iter().cloned().collect();
        while let Some(state) = left.pop() {
            let has = state.happened >> place & 1 == 1;
            if has || may_not_have {
                after.insert(State { happened: state.happened & !(1 << place), ..state.clone() });
            }
            if has {
                continue;
            }
            for next in self.steps_from(&state) {
                if looked_at.insert(next.clone()) {
                    left.push(next);
                }
            }
            if looked_at.len() > STATES_MAX {
                return Err(format!("more than {STATES_MAX} states are possible"));
            }
        }
        Ok(after)
    }

    /// The states that one open operation leads to.
    fn steps_from(&self, state: &State) -> impl Iterator<Item = State> {
        let open = self.open.iter().enumerate().filter_map(|(at, open)| Some((at, (*open)?)));
        let waiting = open.filter(|(at, _)| state.happened >> at & 1 == 0);
        waiting.filter_map(|(at, number)| {
            let mut next = self.happens(state, number)?;
            next.happened |= 1 << at;
            Some(next)
        })
    }

    /// The state after an operation, if it can have happened in this one.
    fn happens(&self, state: &State, number: usize) -> Option<State> {
        let Operation { steps, answer, .. } = &self.operations[number];
        let truth = |step| self.facts.is_as_wanted(state, step);
        let fits = match answer {
            Answer::Saw(saw) => saw.iter().all(|saw| self.facts.was_seen(state, saw)),
            Answer::Refused => steps.iter().any(|step| truth(step) != Truth::Yes),
            Answer::Done(_) | Answer::Unknown => steps.iter().all(|step| truth(step) != Truth::No),
        };
        let mut next = fits.then(|| state.clone())?;
        if matches!(answer, Answer::Saw(_) | Answer::Refused) {
            return Some(next);
        }
        for step in steps {
            let content = match step.make {
                Make::Content(content) => Some(content),
                Make::From(key) => state.at(key).map(|slot| slot.content),
                Make::Nothing => None,
            };
            next.put(step.key, content.map(|content| Slot { content, by: number }));
        }
        let is_told = |made: &[(Key, Seen)]| {
            made.iter()
                .all(|(key, seen)| next.at(*key).is_some_and(|slot| slot.content == seen.content))
        };
        match answer {
            Answer::Done(made) if !is_told(made) => None,
            _ => Some(next),
        }
    }
}

/// Says what cannot be explained, and what came before it.
fn unexplained(operations: &[Operation], number: usize, states: &HashSet<State>) -> String {
    let one = &operations[number];
    let mut before: Vec<&Operation> =
        operations.iter().filter(|other| other.called < one.returned).collect();
    before.sort_by_key(|other| other.returned);
    let last = before.iter().rev().take(12).rev();
    let last: Vec<String> = last.map(|other| format!("  {other:?}")).collect();
    let states: Vec<String> =
        states.iter().take(4).map(|state| format!("  {:?}", state.slots)).collect();
    format!(
        "no order explains {one:?}; what came before it:\n{}\nwhat may stand there:\n{}",
        last.join("\n"),
        states.join("\n")
    )
}
