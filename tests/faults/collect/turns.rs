//! Who goes next: several players take turns, one step at a time, in an order that chance makes. A step is
//! a reading or a transaction of the store of metadata, or an append to the packs, with all that is
//! done before the next one.
//!
//! shuttle does this for locks and channels that it has replaced with its own, in one thread. SQLite and
//! the writer's thread are none of these, and a task that waits for them is to shuttle one that waits for
//! ever. What can be interleaved here is whole transactions, so it is their order that is tried, on
//! the real store.

use std::sync::Arc;

use depot_server::faults::{TURNS, turn};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::chance::Chance;

/// What one player does.
pub(crate) type Play = BoxFuture<'static, ()>;

/// What a player tells.
enum Event {
    /// It waits for its turn.
    Waits(usize, oneshot::Sender<()>),
    Ended,
}

/// Tells of a player's end, even by a panic.
struct End(mpsc::UnboundedSender<Event>);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Ended);
    }
}

/// Lets all play to their end; `between` is called before each step. How many steps it were.
///
/// # Panics
///
/// When a player does.
pub(crate) async fn play(
    players: Vec<Play>,
    chance: &mut Chance,
    mut between: impl FnMut(&mut Chance),
) -> usize {
    let (tell, mut told) = mpsc::unbounded_channel();
    let tasks: Vec<_> = players
        .into_iter()
        .enumerate()
        .map(|(number, player)| tokio::spawn(begin(number, player, tell.clone())))
        .collect();
    let mut order = Order::new(chance);
    let mut waiting: Vec<(usize, oneshot::Sender<()>)> = Vec::new();
    let mut running = tasks.len();
    loop {
        while running > 0 {
            match told.recv().await.expect("we hold an end of it ourselves") {
                Event::Waits(number, go) => waiting.push((number, go)),
                Event::Ended => {}
            }
            running -= 1;
        }
        if waiting.is_empty() {
            break;
        }
        between(chance);
        let who: Vec<usize> = waiting.iter().map(|(number, _)| *number).collect();
        let (_, go) = waiting.swap_remove(order.next(&who, chance));
        running = 1;
        let _ = go.send(());
    }
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    order.steps
}

/// Who went last, and who sleeps. Where it matters one stands still in the middle of something while
/// another comes and goes several times, which even chances for all would hardly ever bring about.
struct Order {
    steps: usize,
    last: Option<usize>,
    /// One step in so many is another's than the one before.
    stays: u64,
    /// Who stands still, and up to which step.
    asleep: Option<(usize, usize)>,
}

impl Order {
    fn new(chance: &mut Chance) -> Self {
        Self { steps: 0, last: None, stays: [1, 2, 4, 12][chance.place(4)], asleep: None }
    }

    /// The place of the one who goes next among those who wait.
    fn next(&mut self, waiting: &[usize], chance: &mut Chance) -> usize {
        self.steps += 1;
        self.asleep = self.asleep.filter(|(_, until)| self.steps < *until);
        if self.asleep.is_none() && chance.once_in(8) {
            let until = self.steps + chance.of(5..100) as usize;
            self.asleep = chance.pick(waiting).map(|number| (*number, until));
        }
        let sleeps = |number: usize| self.asleep.is_some_and(|(asleep, _)| asleep == number);
        let awake: Vec<usize> =
            (0..waiting.len()).filter(|place| !sleeps(waiting[*place])).collect();
        let same = awake.iter().copied().find(|place| Some(waiting[*place]) == self.last);
        let place = match same {
            Some(place) if !chance.once_in(self.stays) => place,
            _ => chance.pick(&awake).copied().unwrap_or(0),
        };
        self.last = Some(waiting[place]);
        place
    }
}

async fn begin(number: usize, player: Play, tell: mpsc::UnboundedSender<Event>) {
    let _end = End(tell.clone());
    let turns = move || {
        let (go, gone) = oneshot::channel();
        let _ = tell.send(Event::Waits(number, go));
        async move { drop(gone.await) }.boxed()
    };
    let play = async {
        turn().await;
        player.await;
    };
    TURNS.scope(Arc::new(turns), play).await;
}

#[tokio::test]
async fn one_steps_at_a_time_and_all_orders_come() {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    let (mut chance, mut orders) = (Chance::new(1), BTreeSet::new());
    for _ in 0..200 {
        let order = Arc::<Mutex<String>>::default();
        let player = |name: char| {
            let order = Arc::clone(&order);
            async move {
                order.lock().expect("no panic").push(name);
                turn().await;
                order.lock().expect("no panic").push(name);
            }
            .boxed()
        };
        assert_eq!(play(vec![player('a'), player('b')], &mut chance, |_| {}).await, 4);
        orders.insert(order.lock().expect("no panic").clone());
    }
    let all = ["aabb", "abab", "abba", "baab", "baba", "bbaa"];
    assert_eq!(orders, all.map(str::to_owned).into());
}
