//! What a server does by itself: every hour it sweeps, looks whether it is time to collect, and whether
//! its certificate is about to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Result;
use crate::serve::Stores;
use crate::tls::Certificates;
use crate::upkeep::{Graces, Upkeep};

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: i64 = 3_600_000;

struct Jobs {
    upkeep: Upkeep,
    certificates: Arc<Certificates>,
    opened_at: i64,
    gc_hours: u64,
}

/// Starts the jobs.
pub(super) fn start(
    stores: &Stores,
    certificates: Arc<Certificates>,
    config: &Config,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let (upkeep, opened_at) = (stores.upkeep(&config.store), stores.opened_at);
    let jobs = Jobs { upkeep, certificates, opened_at, gc_hours: config.store.gc_hours };
    tokio::spawn(async move {
        tokio::select! {
            () = jobs.hourly() => {}
            () = stop.cancelled() => {}
        }
    })
}

impl Jobs {
    async fn hourly(&self) {
        let mut tick = interval(HOUR);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            complain("sweeping", self.sweep().await);
            complain("collecting", self.collect().await);
            complain("renewing the certificate", self.certificates.renew());
        }
    }

    async fn sweep(&self) -> Result<()> {
        let swept = self.upkeep.sweep(Some(self.opened_at)).await?;
        tracing::debug!(?swept, "swept");
        Ok(())
    }

    /// By the time of the last run, not by how long this process is up: it may be restarted every night.
    async fn collect(&self) -> Result<()> {
        let every_ms = i64::try_from(self.gc_hours).unwrap_or(i64::MAX).saturating_mul(HOUR_MS);
        if every_ms == 0 || !self.upkeep.collecting_is_due(every_ms).await? {
            return Ok(());
        }
        let collected = self.upkeep.collect(Graces::default()).await?;
        tracing::info!(?collected, "collected");
        Ok(())
    }
}

/// What failed is tried again in an hour.
fn complain(job: &str, done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, cause = error.chain(), "{job} failed");
    }
}
