//! `depot-server verify` and `depot-server gc`.

use std::process::ExitCode;
use std::sync::Arc;

use depot_server::clock::SystemClock;
use depot_server::config::{Config, Store};
use depot_server::error::Result;
use depot_server::serve::{Purpose, Stores};
use depot_server::upkeep::{Collected, Graces, Held, Report, Upkeep};
use time::OffsetDateTime;

use crate::cli::output::say;

/// What `verify` ends with when something is damaged.
const DAMAGED: u8 = 9;

#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// How long what nothing refers to is kept, such as 24h or 10m, and how long an unfinished upload may
    /// have been idle; 0s ends all uploads and removes everything in this run
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = milliseconds)]
    grace: i64,
}

/// Checks everything.
pub(super) async fn verify(config: Config) -> Result<ExitCode> {
    let stores = Stores::open_for(Purpose::Verify, &config, Arc::new(SystemClock)).await?;
    let report = stores.upkeep(&config.store).verify().await;
    stores.close().await;
    Ok(show(&report?))
}

fn show(report: &Report) -> ExitCode {
    let Report { packs, chunks, bytes, findings } = report;
    for finding in findings {
        say(&finding.problem);
    }
    for (name, problems) in report.touched() {
        say(&format!("  {name:?} is touched by {}", counted(problems, "problem")));
    }
    if report.may_touch_more() {
        say("  and perhaps others: ten are named for each problem");
    }
    say(&format!("{chunks} chunks in {packs} packs are good, {bytes} bytes in all"));
    match findings.len() {
        0 => ExitCode::SUCCESS,
        count => {
            say(&counted(count, "problem"));
            ExitCode::from(DAMAGED)
        }
    }
}

/// Such as `1 problem` and `2 problems`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

impl Gc {
    /// Collects. Nobody else is at work, so with no grace both passes are made at once.
    pub(super) async fn run(self, config: Config) -> Result<ExitCode> {
        let stores = Stores::open_for(Purpose::Collect, &config, Arc::new(SystemClock)).await?;
        let store = Store { compact_bytes_per_second: 0, ..config.store.clone() };
        let done = self.collect(&stores.upkeep(&store), store.trash_days).await;
        stores.close().await;
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn collect(&self, upkeep: &Upkeep, trash_days: u64) -> Result<()> {
        upkeep.sweep(Some(i64::MAX)).await?;
        let ended = upkeep.end_uploads(self.grace).await?;
        let graces = Graces { unreferenced_ms: self.grace, empty_pack_ms: self.grace };
        let first = upkeep.collect(graces).await?;
        let mut done = vec![first];
        if self.grace == 0 {
            // Contents, then their chunks, then those chunks' packs.
            done.push(upkeep.collect(graces).await?);
            done.push(upkeep.collect(graces).await?);
        }
        let sum = |part: fn(&Collected) -> usize| done.iter().map(part).sum::<usize>();
        let bytes: u64 = done.iter().map(|run| run.bytes).sum();
        say(&format!(
            "{} chunks with {bytes} bytes removed, {} found dead, {} moved, {} packs unlinked, {}",
            sum(|run| run.chunks),
            sum(|run| run.condemned),
            sum(|run| run.moved),
            sum(|run| run.packs),
            counted(ended, "upload") + " ended",
        ));
        say_held(&upkeep.held().await?, trash_days);
        Ok(())
    }
}

/// What was not given back, and what decides for how long.
fn say_held(held: &Held, trash_days: u64) {
    if let Some((first, last)) = held.removed_at {
        let until = |removed_at: i64| date(removed_at.saturating_add(days(trash_days)));
        say(&format!(
            "held back: {} bytes in the trash, each file until {} after its removal \
             (store.trash_days): the first until {}, the last until {}",
            held.trash_bytes,
            counted(usize::try_from(trash_days).unwrap_or(usize::MAX), "day"),
            until(first),
            until(last)
        ));
    }
    if held.uploads > 0 {
        say(&format!(
            "held back: {} with {} bytes, each until nothing was heard of it for the grace",
            counted(held.uploads, "unfinished upload"),
            held.upload_bytes
        ));
    }
}

fn days(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(86_400_000)
}

/// Such as `2026-12-22 10:30 UTC`; a time that no calendar has is far away.
fn date(milliseconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(milliseconds / 1_000) {
        Ok(time) => format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute()),
        Err(_) => "no calendar's end".to_owned(),
    }
}

fn milliseconds(text: &str) -> Result<i64, String> {
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let factor = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a time is a number with s, m, h or d, such as 24h".to_owned()),
    };
    let count: i64 = digits.parse().map_err(|_| "a time is a number such as 24h".to_owned())?;
    let time = count.checked_mul(factor).filter(|time| *time >= 0);
    time.ok_or_else(|| "that time is too long".to_owned())
}
