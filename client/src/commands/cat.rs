//! `depot cat`: files to stdout, in order, or a part of each.

use clap::Args;
use depot_proto::files::Kind;

use crate::app::App;
use crate::error::{Error, Exit, Result};
use crate::listing;
use crate::path::RemotePath;
use crate::transfer::{Downloads, Wanted};
use crate::units;

/// What `depot cat` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  depot cat /reports/q3.txt\n  depot cat --offset 1M --length 4K /log"
)]
pub(crate) struct Arguments {
    /// Files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Begin after so many bytes of each
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "0", hide_default_value = true)]
    offset: u64,
    /// At most so many bytes of each
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    length: Option<u64>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    if app.output.is_json() {
        return Err(Error::usage("stdout cannot carry a file and --json at once"));
    }
    let paths: Vec<RemotePath> =
        arguments.paths.iter().map(|path| RemotePath::parse(path)).collect::<Result<_>>()?;
    let session = app.session().await?;
    let downloads = Downloads::new(&session);
    for path in &paths {
        let entry = listing::stat(&session, path).await?;
        if entry.kind() != Kind::File {
            return Err(Error::usage(format!("{path} is no file")).at(path.to_string()));
        }
        if arguments.offset > entry.size {
            let message = format!("{path} has only {} bytes", entry.size);
            return Err(Error::new(Exit::Usage, "OUT_OF_RANGE", message).at(path.to_string()));
        }
        let end = match arguments.length {
            Some(length) => arguments.offset.saturating_add(length).min(entry.size),
            None => entry.size,
        };
        let wanted = Wanted::version(&entry.version, entry.size, &entry.blake3)?;
        let part = arguments.offset..end;
        let printed = downloads.in_order(&wanted, part, |bytes| app.output.bytes(bytes)).await;
        printed.map_err(|error| error.about(&path.to_string()))?;
    }
    app.output.flush()
}
