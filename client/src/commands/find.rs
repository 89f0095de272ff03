//! `depot find`: entries by name, size, time and kind.

use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use depot_proto::files::{FindRequest, Kind};
use prost_types::Timestamp;

use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};
use crate::output::json;
use crate::path::RemotePath;
use crate::units;

/// Entries in one page.
const PAGE_SIZE: u32 = 5000;

/// What `depot find` takes.
#[derive(Args, Debug)]
#[command(after_help = "A NAME is a pattern: * ? [a-z] {one,other}. A WHEN is a time such as \
                  2026-03-01 or 2026-03-01T12:00:00Z,\nor a time ago such as 7d.\n\
                  Examples:\n  depot find /photos --name '*.jpg' --min-size 10M\n  \
                  depot find --kind file --newer 1d")]
pub(crate) struct Arguments {
    /// Where to look; / without any
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Whose name is like this
    #[arg(long, value_name = "NAME", conflicts_with = "iname")]
    name: Option<String>,
    /// The same, whatever the case of its letters
    #[arg(long, value_name = "NAME")]
    iname: Option<String>,
    /// Which are this
    #[arg(long, value_name = "KIND")]
    kind: Vec<What>,
    /// Files of at least this size
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    min_size: Option<u64>,
    /// Files of at most this size
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_size: Option<u64>,
    /// Modified then or later
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    newer: Option<Moment>,
    /// Modified before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    older: Option<Moment>,
}

/// A kind as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    File,
    Folder,
    Symlink,
}

/// A time in seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment(i64, i32);

/// A day, a time, or a time ago.
fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = units::duration(text) {
        return Ok(before_now(ago));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let parsed: jiff::Timestamp = whole.parse().map_err(|_| {
        "a day such as 2026-03-01, a time such as 2026-03-01T12:00:00Z, or a time ago such as 7d"
    })?;
    Ok(Moment(parsed.as_second(), parsed.subsec_nanosecond()))
}

fn before_now(ago: Duration) -> Moment {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let then = now.saturating_sub(ago);
    Moment(
        i64::try_from(then.as_secs()).unwrap_or(i64::MAX),
        i32::try_from(then.subsec_nanos()).unwrap_or(0),
    )
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths = RemotePath::parse_all(&arguments.paths)?;
    let session = app.session().await?;
    for path in &paths {
        below(app, &session, path, &arguments).await?;
    }
    Ok(())
}

async fn below(app: &App, session: &Session, path: &RemotePath, wanted: &Arguments) -> Result<()> {
    let mut request = request(path, wanted);
    loop {
        let answer =
            session.call(Repeat::Always, || async { session.files().find(request.clone()).await });
        let page = answer.await.map_err(|error| error.at(path.to_string()))?;
        for entry in &page.entries {
            match app.output.is_json() {
                true => app.output.object(&json::Listed::from(entry))?,
                false => app.output.line(&entry.path)?,
            }
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        if page.next_page_token == request.page_token {
            return Err(Error::bad_answer("the server's search does not end"));
        }
        request.page_token = page.next_page_token;
    }
}

fn request(path: &RemotePath, wanted: &Arguments) -> FindRequest {
    let kind = |what: &What| match what {
        What::File => Kind::File.into(),
        What::Folder => Kind::Folder.into(),
        What::Symlink => Kind::Symlink.into(),
    };
    let time = |Moment(seconds, nanos)| Timestamp { seconds, nanos };
    FindRequest {
        path: path.to_string(),
        name: wanted.name.clone().or_else(|| wanted.iname.clone()).unwrap_or_default(),
        ignore_case: wanted.iname.is_some(),
        kinds: wanted.kind.iter().map(kind).collect(),
        size_min: wanted.min_size,
        size_max: wanted.max_size,
        modified_from: wanted.newer.map(time),
        modified_before: wanted.older.map(time),
        page_size: PAGE_SIZE,
        page_token: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Moment, moment};

    #[test]
    fn moments_are_days_times_and_times_ago() {
        assert_eq!(moment("1970-01-02"), Ok(Moment(86_400, 0)));
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(Moment(1, 500_000_000)));
        assert_eq!(moment("1970-01-01T02:00:00+02:00"), Ok(Moment(0, 0)));
        let ago = moment("7d").unwrap();
        let now = moment("0s").unwrap();
        assert!((now.0 - ago.0 - 7 * 86_400).abs() < 2);
        for wrong in ["", "soon", "2026-13-01", "2026-02-30", "7x"] {
            assert!(moment(wrong).is_err(), "{wrong:?}");
        }
    }
}
