//! `depot quota`: how much you hold and may hold, and what that consists of.

use clap::Args;
use depot_proto::files::{UsageRequest, UsageResponse};
use serde::Serialize;

use crate::app::App;
use crate::connect::Repeat;
use crate::error::{Error, Exit, Result};
use crate::units::show_size;

/// Parts of a quota, in percent, from which on it is said how much is used.
const WARNED: [u64; 2] = [95, 80];

/// What `depot quota` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "When there is no room, what nobody will miss goes first: uploads that nobody goes on \
                  with,\nthen the trash, then past versions, each the oldest first.\n\
                  Example:\n  depot quota"
)]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct QuotaLine {
    used_bytes: u64,
    quota_bytes: Option<u64>,
    staged_bytes: u64,
    file_bytes: u64,
    trash_bytes: u64,
    version_bytes: u64,
    mail_bytes: u64,
}

pub(crate) async fn run(_: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let answer =
        session.call(Repeat::Always, || async { session.files().usage(UsageRequest {}).await });
    let usage = answer.await?;
    if app.output.is_json() {
        return app.output.object(&line(&usage));
    }
    let quota = usage.quota_bytes.map_or("no quota".to_owned(), |quota| {
        format!("of {} ({} %)", show_size(quota), percent(usage.used_bytes, quota))
    });
    app.output.line(&format!("{:<10}{:>10}  {quota}", "used", show_size(usage.used_bytes)))?;
    for (name, bytes) in [
        ("files", usage.file_bytes),
        ("versions", usage.version_bytes),
        ("trash", usage.trash_bytes),
        ("mail", usage.mail_bytes),
        ("uploads", usage.staged_bytes),
    ] {
        app.output.line(&format!("{name:<10}{:>10}", show_size(bytes)))?;
    }
    Ok(())
}

fn line(usage: &UsageResponse) -> QuotaLine {
    QuotaLine {
        used_bytes: usage.used_bytes,
        quota_bytes: usage.quota_bytes,
        staged_bytes: usage.staged_bytes,
        file_bytes: usage.file_bytes,
        trash_bytes: usage.trash_bytes,
        version_bytes: usage.version_bytes,
        mail_bytes: usage.mail_bytes,
    }
}

fn percent(used: u64, quota: u64) -> u64 {
    used.saturating_mul(100).checked_div(quota).unwrap_or(100)
}

/// Says when most of the quota is used, after something was added. Nothing fails by it.
pub(super) fn warn(app: &App, used: u64, quota: u64) {
    let share = percent(used, quota);
    if WARNED.iter().any(|warned| share >= *warned) {
        let message = format!(
            "{share} % of your quota is used ({} of {}); `depot quota` shows what that consists of",
            show_size(used),
            show_size(quota)
        );
        app.output.error(&Error::new(Exit::Fine, "QUOTA_NEARLY_USED", message));
    }
}
