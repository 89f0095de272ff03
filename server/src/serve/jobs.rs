//! What a server does by itself: sweeping every hour, collecting as often as it is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::serve::Stores;
use crate::upkeep::{Graces, Upkeep};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts the jobs.
pub(super) fn start(stores: &Stores, config: &Config, stop: CancellationToken) -> JoinHandle<()> {
    let upkeep = Upkeep::new(
        Arc::clone(&stores.db),
        Arc::clone(&stores.chunks),
        Arc::clone(&stores.clock),
        config.store.trash_days,
    );
    let gc_hours = config.store.gc_hours;
    tokio::spawn(async move {
        tokio::select! {
            () = hourly(upkeep, gc_hours) => {}
            () = stop.cancelled() => {}
        }
    })
}

async fn hourly(upkeep: Upkeep, gc_hours: u64) {
    let mut tick = interval(HOUR);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hour = 0_u64;
    loop {
        tick.tick().await;
        match upkeep.sweep(hour == 0).await {
            Ok(swept) => tracing::debug!(?swept, "swept"),
            Err(error) => tracing::warn!(%error, cause = error.chain(), "sweeping failed"),
        }
        if gc_hours > 0 && hour > 0 && hour.is_multiple_of(gc_hours) {
            match upkeep.collect(Graces::default()).await {
                Ok(collected) => tracing::info!(?collected, "collected"),
                Err(error) => tracing::warn!(%error, cause = error.chain(), "collecting failed"),
            }
        }
        hour += 1;
    }
}
