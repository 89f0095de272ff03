//! Histories by hand: those that a right server could have made, and those that it could not.

use super::{Answer, Content, Key, Make, Operation, Seen, Step, Want, check};

fn seen(content: Content) -> Seen {
    Seen { content, generation: content + 100, etag: format!("e{content}") }
}

fn step(key: Key, want: Want, make: Make) -> Step {
    Step { key, want, make }
}

/// A put of this content that was acknowledged.
fn put(key: Key, want: Want, content: Content) -> (Vec<Step>, Answer) {
    (vec![step(key, want, Make::Content(content))], Answer::Done(vec![(key, seen(content))]))
}

fn saw(key: Key, content: Option<Content>) -> (Vec<Step>, Answer) {
    (Vec::new(), Answer::Saw(vec![(key, content.map(seen))]))
}

fn unknown((steps, _): (Vec<Step>, Answer)) -> (Vec<Step>, Answer) {
    (steps, Answer::Unknown)
}

/// Whether an order explains these, each with the ticks of its asking and its answer.
fn is_explained(history: Vec<(u64, u64, (Vec<Step>, Answer))>) -> bool {
    let operation =
        |(called, returned, (steps, answer))| Operation { steps, answer, called, returned };
    let operations: Vec<Operation> = history.into_iter().map(operation).collect();
    check(&operations).is_ok()
}

const NEW: Want = Want::Generation(0);
const FIRST: Want = Want::Generation(101);

#[test]
fn what_a_right_server_answers_is_explained() {
    assert!(is_explained(vec![
        (0, 1, saw(0, None)),
        (2, 6, put(0, NEW, 1)),
        // While it is under way both may be seen, in this order.
        (3, 4, saw(0, None)),
        (5, 7, saw(0, Some(1))),
        (8, 11, put(0, FIRST, 2)),
        (9, 10, (vec![step(0, FIRST, Make::Content(3))], Answer::Refused)),
        (12, 13, (vec![step(0, Want::Etag("e2".to_owned()), Make::Nothing)], Answer::Done(vec![]))),
        (14, 15, saw(0, None)),
    ]));
}

#[test]
fn a_lost_update_is_noticed() {
    let both = |second| vec![(0, 1, put(0, NEW, 1)), (2, 5, put(0, FIRST, 2)), (3, 6, second)];
    assert!(!is_explained(both(put(0, FIRST, 3))), "two follow the same generation");
    assert!(is_explained(both(put(0, Want::Generation(102), 3))), "one follows the other");
    assert!(!is_explained(both(put(0, NEW, 3))), "something stands there");
}

#[test]
fn a_stale_answer_is_noticed() {
    let looks =
        |content| vec![(0, 1, put(0, NEW, 1)), (2, 3, put(0, FIRST, 2)), (4, 5, saw(0, content))];
    assert!(is_explained(looks(Some(2))));
    assert!(!is_explained(looks(Some(1))), "what was before");
    assert!(!is_explained(looks(None)), "lost");
    assert!(!is_explained(looks(Some(7))), "nobody put it");
    assert!(!is_explained(vec![
        (0, 9, put(0, NEW, 1)),
        (1, 2, saw(0, Some(1))),
        (3, 4, saw(0, None)),
    ]));
}

#[test]
fn what_nobody_knows_of_is_done_or_not_and_stays_so() {
    let looks = |first, second| {
        let crash = (2, 5, unknown(put(0, FIRST, 2)));
        vec![(0, 1, put(0, NEW, 1)), crash, (6, 7, saw(0, first)), (8, 9, saw(0, second))]
    };
    assert!(is_explained(looks(Some(1), Some(1))));
    assert!(is_explained(looks(Some(2), Some(2))));
    assert!(!is_explained(looks(Some(1), Some(2))), "it came to life after the crash");
    assert!(!is_explained(looks(Some(2), Some(1))), "it was seen and is gone");
}

#[test]
fn a_commit_is_seen_as_a_whole() {
    let both = vec![step(0, NEW, Make::Content(1)), step(1, NEW, Make::Content(2))];
    let looks = |first: Option<Content>, second: Option<Content>| {
        let saw = vec![(0, first.map(seen)), (1, second.map(seen))];
        let answer = Answer::Done(vec![(0, seen(1)), (1, seen(2))]);
        vec![(0, 9, (both.clone(), answer)), (1, 2, (Vec::new(), Answer::Saw(saw)))]
    };
    assert!(is_explained(looks(None, None)));
    assert!(is_explained(looks(Some(1), Some(2))));
    assert!(!is_explained(looks(Some(1), None)));
}

#[test]
fn a_move_takes_along_what_was_there() {
    let moved = Seen { etag: "moved".to_owned(), ..seen(1) };
    let steps = vec![step(0, Want::Something, Make::Nothing), step(1, NEW, Make::From(0))];
    let history = |after: (Vec<Step>, Answer)| {
        let done = Answer::Done(vec![(1, moved.clone())]);
        vec![(0, 1, put(0, NEW, 1)), (2, 3, (steps.clone(), done)), (4, 5, after)]
    };
    let there = (Vec::new(), Answer::Saw(vec![(0, None), (1, Some(moved.clone()))]));
    assert!(is_explained(history(there)));
    assert!(!is_explained(history(saw(0, Some(1)))), "it is still where it was");
    assert!(!is_explained(history(saw(1, Some(1)))), "with the etag it had before");
}

#[test]
fn a_refusal_without_a_reason_is_noticed() {
    let refused = |want| (vec![step(0, want, Make::Content(2))], Answer::Refused);
    let history = |want| vec![(0, 1, put(0, NEW, 1)), (2, 3, refused(want))];
    assert!(is_explained(history(NEW)));
    assert!(!is_explained(history(FIRST)));
}

#[test]
fn a_generation_is_used_once() {
    let again = Seen { generation: 101, ..seen(2) };
    let steps = vec![step(0, FIRST, Make::Content(2))];
    let second = (steps, Answer::Done(vec![(0, again)]));
    assert!(!is_explained(vec![(0, 1, put(0, NEW, 1)), (2, 3, second)]));
}
