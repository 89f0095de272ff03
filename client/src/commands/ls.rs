//! `depot ls`: what is in a folder, by name.

use clap::Args;
use depot_proto::files::{Entry, Kind};

use crate::app::App;
use crate::connect::Session;
use crate::error::Result;
use crate::link::LinkArgs;
use crate::listing;
use crate::output::json;
use crate::path::RemotePath;
use crate::units::show_time;

/// What `depot ls` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot ls -l /reports")]
pub(crate) struct Arguments {
    /// Folders, or files themselves; / without any
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Mode, size and time too
    #[arg(short, long)]
    long: bool,
    /// All that is below, too
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    link: LinkArgs,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let paths = RemotePath::parse_all(&arguments.paths)?;
    let session = match arguments.link.open(app).await? {
        Some(opened) => opened.session,
        None => app.session().await?,
    };
    for (place, path) in paths.iter().enumerate() {
        if paths.len() > 1 && !app.output.is_json() {
            let space = if place > 0 { "\n" } else { "" };
            app.output.text(&format!("{space}{path}:"))?;
        }
        list(app, &session, path, &arguments).await?;
    }
    Ok(())
}

async fn list(
    app: &App,
    session: &Session,
    path: &RemotePath,
    arguments: &Arguments,
) -> Result<()> {
    listing::pages(session, path, arguments.recursive, |page| {
        for entry in &page.entries {
            if app.output.is_json() {
                app.output.object(&json::Listed::from(entry))?;
                continue;
            }
            let name = below(&path.to_string(), &entry.path);
            match arguments.long {
                true => app.output.line(&long(entry, name))?,
                false => app.output.line(name)?,
            }
        }
        Ok(())
    })
    .await
}

/// The path without the folder that is listed; a file that is listed itself keeps the whole path.
fn below<'a>(folder: &str, path: &'a str) -> &'a str {
    let rest = path.strip_prefix(folder).map(|rest| rest.trim_start_matches('/'));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(path)
}

fn long(entry: &Entry, name: &str) -> String {
    let time = show_time(entry.modified_at.as_ref());
    let size = match entry.kind() {
        Kind::File => entry.size.to_string(),
        _ => "-".to_owned(),
    };
    let arrow = match entry.kind() {
        Kind::Symlink => format!(" -> {}", entry.symlink_target),
        _ => String::new(),
    };
    format!("{}  {size:>12}  {time:>20}  {name}{arrow}", show_mode(entry))
}

/// `drwxr-xr-x`, as ls(1) shows it.
pub(super) fn show_mode(entry: &Entry) -> String {
    let kind = match entry.kind() {
        Kind::Folder => 'd',
        Kind::Symlink => 'l',
        Kind::File | Kind::Unspecified => '-',
    };
    let mode = entry.mode;
    let mut shown = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        shown.push(if mode >> shift & 4 != 0 { 'r' } else { '-' });
        shown.push(if mode >> shift & 2 != 0 { 'w' } else { '-' });
        shown.push(match (mode & special != 0, mode >> shift & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    shown
}

#[cfg(test)]
mod tests {
    use depot_proto::files::{Entry, Kind};

    use super::{below, show_mode};

    #[test]
    fn names_are_those_below_the_folder() {
        assert_eq!(below("/a", "/a/b"), "b");
        assert_eq!(below("/a", "/a/b/c"), "b/c");
        assert_eq!(below("/", "/a"), "a");
        assert_eq!(below("ann:/a", "ann:/a/b"), "b");
        assert_eq!(below("/a/b.txt", "/a/b.txt"), "/a/b.txt");
    }

    #[test]
    fn modes_are_shown_as_people_know_them() {
        let shown =
            |kind: Kind, mode| show_mode(&Entry { kind: kind.into(), mode, ..Entry::default() });
        assert_eq!(shown(Kind::File, 0o644), "-rw-r--r--");
        assert_eq!(shown(Kind::Folder, 0o1777), "drwxrwxrwt");
        assert_eq!(shown(Kind::Folder, 0o2750), "drwxr-s---");
        assert_eq!(shown(Kind::File, 0o4644), "-rwSr--r--");
    }
}
