//! R9: the collector and the compactor against people who put again what is on its way out. No order of
//! their steps loses a chunk that is referred to, nor refuses an upload what it was told is there: tried in
//! thousands of orders, one step at a time, and at full speed with everybody at once.

mod house;
mod tenant;
mod turns;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use depot_server::upkeep::{Collected, Graces};
use futures_util::FutureExt;
use tokio::task::JoinHandle;

use crate::chance::{Chance, seeds, tries};
use crate::report::say;
use crate::runtime;
use house::{House, some_time};
use turns::play;

/// Orders tried in one house, and how long one is.
const ORDERS_A_LIFE: usize = 50;
const TENANTS: usize = 3;
const THINGS: usize = 4;
const RUNS: usize = 5;
/// People at full speed, and how often the collector runs meanwhile.
const TENANTS_AT_ONCE: usize = 6;
/// A day, and what is over it.
const A_DAY: Duration = Duration::from_millis(24 * 3_600_000 + 1);

#[test]
fn no_order_of_steps_loses_a_chunk() {
    let began = Instant::now();
    let (mut orders, mut steps, mut all) = (0, 0, Collected::default());
    for seed in seeds(tries(500, 20_000).div_ceil(ORDERS_A_LIFE)) {
        say(format_args!("R9 orders: DEPOT_SEED={seed}"));
        runtime().block_on(async {
            let (house, mut chance) = (Arc::new(House::new().await), Chance::new(seed));
            for order in 1..=ORDERS_A_LIFE {
                let (took, collected) = one_order(&house, &mut chance).await;
                let problem = house.problem().await;
                assert_eq!(problem, None, "seed {seed}, order {order}");
                (orders, steps) = (orders + 1, steps + took);
                add(&mut all, collected);
            }
        });
    }
    say(format_args!(
        "R9 orders: {orders} orders of {steps} steps, {all:?}; {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    assert!(all.condemned > orders && all.chunks > orders / 2, "little was on its way out");
    assert!(all.moved > 0 && all.packs > 0, "no pack was rewritten");
}

/// Some people and the collector; what it did.
async fn one_order(house: &Arc<House>, chance: &mut Chance) -> (usize, Collected) {
    let tenant = |chance: &mut Chance| house.tenant.clone().does_some(chance.split(), THINGS);
    let mut players: Vec<_> = (0..TENANTS).map(|_| tenant(chance).boxed()).collect();
    let (upkeep, done) = (house.upkeep.clone(), Arc::new(std::sync::Mutex::default()));
    let collected = Arc::clone(&done);
    let collect = async move {
        for _ in 0..RUNS {
            let run = upkeep.collect(Graces::default()).await.expect("a run of the collector");
            add(&mut collected.lock().expect("no panic"), run);
        }
    };
    players.push(collect.boxed());
    let between = |chance: &mut Chance| {
        if chance.once_in(12) {
            house.hold_up();
        }
        house.may_pass(some_time(chance));
    };
    let steps = play(players, chance, between).await;
    let collected = *done.lock().expect("no panic");
    (steps, collected)
}

#[test]
fn nothing_is_lost_while_all_go_at_once() {
    let (began, runs) = (Instant::now(), tries(300, 20_000));
    for seed in seeds(1) {
        say(format_args!("R9 at once: DEPOT_SEED={seed}"));
        let (things, collected) = runtime().block_on(at_once(seed, runs));
        say(format_args!(
            "R9 at once: {runs} runs of the collector against {things} things done by \
             {TENANTS_AT_ONCE} people, {collected:?}; {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        assert!(collected.chunks > runs / 20 && collected.moved > 0, "little was on its way out");
        assert!(things > runs, "people stood still while the collector ran");
    }
}

async fn at_once(seed: u64, runs: usize) -> (usize, Collected) {
    let (house, mut chance) = (Arc::new(House::new().await), Chance::new(seed));
    let (working, things) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicUsize>::default());
    let people: Vec<_> = (0..TENANTS_AT_ONCE)
        .map(|_| {
            let (tenant, mut chance) = (house.tenant.clone(), chance.split());
            let (working, things) = (Arc::clone(&working), Arc::clone(&things));
            tokio::spawn(async move {
                while working.load(Ordering::SeqCst) {
                    tenant.does_something(&mut chance).await;
                    things.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mut all = Collected::default();
    for _ in 0..runs {
        house.hold_up();
        while !house.may_pass(A_DAY / 2) {
            tokio::task::yield_now().await;
        }
        add(&mut all, house.upkeep.collect(Graces::default()).await.expect("a run"));
        if people.iter().any(JoinHandle::is_finished) {
            break;
        }
    }
    working.store(false, Ordering::SeqCst);
    for person in people {
        if let Err(error) = person.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    assert_eq!(house.problem().await, None, "seed {seed}");
    (things.load(Ordering::SeqCst), all)
}

/// The controls: without any one of what keeps chunks from going too early an order is found in which one
/// is lost, or an upload refused.
#[test]
fn each_protection_is_needed() {
    for (fault, said) in
        [("no-pardon", "lost"), ("no-second-look", "lost"), ("no-lease", "lost or refused")]
    {
        let began = Instant::now();
        // Switches are read once, for a whole process: another one of this test's own program, which goes
        // on until it has found what it must.
        let mut again = Command::new(std::env::current_exe().expect("this program"));
        again.args(["--exact", "collect::no_order_of_steps_loses_a_chunk", "--nocapture"]);
        again.env_remove("DEPOT_SEED").env("DEPOT_LONG", "1");
        let found = again.env("DEPOT_FAULTS", fault).env("RUST_BACKTRACE", "0").output();
        let found = found.expect("it ran");
        let all = String::from_utf8_lossy(&found.stderr);
        let problem = all.lines().find(|line| line.contains(said));
        say(format_args!(
            "R9's control, {fault}: {problem:?}; {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        let is_noticed = !found.status.success() && problem.is_some();
        assert!(is_noticed, "{fault} makes no difference: this test proves nothing");
    }
}

fn add(sum: &mut Collected, one: Collected) {
    sum.contents += one.contents;
    sum.condemned += one.condemned;
    sum.chunks += one.chunks;
    sum.bytes += one.bytes;
    sum.moved += one.moved;
    sum.packs += one.packs;
}
