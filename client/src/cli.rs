//! The command line: the global flags and the verbs. What a verb takes stands in its own file, beside
//! what it does.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::app::App;
use crate::commands;
use crate::connect::Timetable;
use crate::error::Result;
use crate::units;

const LONG_HELP: &str = "\
Example:
  depot login --server localhost:7420 --account ann
  depot put report.pdf /reports/
  depot send bob -s Q3 -m 'see attached' --attach-remote /reports/report.pdf

Paths: /reports/q3.pdf is in your own tree, ann:/reports in that of somebody who shares it.

Exit codes:
    0  done
    1  something else went wrong
    2  the command line is wrong, or asks for what cannot be
    3  not found; an unknown recipient too
    4  not permitted
    5  wrong password, login expired, or not logged in
    6  it conflicts with what stands there
    7  a quota, a limit or a disk is full, here or at the server
    8  the server cannot be reached or is busy; safe to try again
    9  data is damaged
   10  the server is not the one that is trusted
   11  part of it was done; what was left out is named
   12  nothing to fetch (only with fetch --fail-if-none)
  130  interrupted

Environment:
  DEPOT_SERVER         the server, HOST:PORT
  DEPOT_ACCOUNT        the account
  DEPOT_TOKEN          a token in place of the remembered login
  DEPOT_CA             a file with the authority to trust
  DEPOT_PIN            the pin of the authority to trust
  DEPOT_STATE_DIR      where the login is remembered
  DEPOT_PASSWORD_FILE  a file whose first line is the password
  DEPOT_RETRY_FOR      how long an unreachable server is tried again
  DEPOT_BWLIMIT        how fast files may go, as for --bwlimit
  NO_COLOR             no colors";

/// The client of a Depot server: your files and your mail
#[derive(Parser, Debug)]
#[command(
    name = "depot",
    version,
    arg_required_else_help = true,
    after_help = "Example:\n  depot login --server localhost:7420 --account ann\n  \
                  depot put report.pdf /reports/\n  \
                  depot send bob -s Q3 -m 'see attached' --attach-remote /reports/report.pdf\n\n\
                  Paths: /reports/q3.pdf is in your own tree, ann:/reports in ann's.\n\
                  Exit codes and environment variables: depot --help",
    after_long_help = LONG_HELP
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every verb takes, before or after it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// One JSON object a line, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// No colors (also NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Ask nothing: fail instead
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// Answer every question with yes
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// Try an unreachable server again for so long
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::duration,
        default_value = "5s",
        env = "DEPOT_RETRY_FOR",
        hide_env = true
    )]
    pub(crate) retry_for: Duration,
    /// Send and get files no faster: 512K (bytes a second), or by local time: "08:00,512K 19:00,off",
    /// "Mon-08:00,512K Fri-19:00,off"
    #[arg(
        long,
        global = true,
        value_name = "RATE",
        value_parser = Timetable::parse,
        env = "DEPOT_BWLIMIT",
        hide_env = true
    )]
    pub(crate) bwlimit: Option<Timetable>,
    /// Connections that file data is spread over
    #[arg(
        long,
        global = true,
        hide = true,
        default_value_t = 2,
        value_parser = parse_connections,
        env = "DEPOT_CONNECTIONS"
    )]
    pub(crate) connections: usize,
}

fn parse_connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=16) => Ok(number),
        _ => Err("from 1 to 16".to_owned()),
    }
}

macro_rules! verbs {
    ($($(#[$meta:meta])* $verb:ident => $module:ident, $hint:expr;)*) => {
        /// What a person can do.
        #[derive(Subcommand, Debug)]
        pub(crate) enum Command {
            $($(#[$meta])* $verb(commands::$module::Arguments),)*
        }

        impl Command {
            /// Does it.
            pub(crate) async fn run(self, app: &'static App) -> Result<()> {
                match self {
                    $(Self::$verb(arguments) => commands::$module::run(arguments, app).await,)*
                }
            }

            /// What Ctrl-C leaves behind, and how to go on.
            pub(crate) fn after_interrupt(&self) -> &'static str {
                match self {
                    $(Self::$verb(_) => $hint,)*
                }
            }
        }
    };
}

const NOTHING: &str = "nothing is left half done";
const EACH: &str = "each of them was done or was not; none is left half done";

const KEPT: &str = "what was sent is kept; run the same command again to go on";
const UNSENT: &str = "nothing was sent; run the same command again";
const GOT: &str = "what has arrived is kept; run the same command again to go on";

verbs! {
    /// Log in to a server, and remember it
    Login => login, NOTHING;
    /// End this login
    Logout => logout, NOTHING;
    /// Show who is logged in
    Whoami => whoami, NOTHING;
    /// Change your password
    Passwd => passwd, "log in to see which password holds";
    /// List your logins, and end them
    Sessions => sessions, NOTHING;
    /// Make the first administrator of a new server, and log in
    Setup => setup, "log in to see whether it was done";
    /// Manage the accounts of the server
    Admin => admin, "look with `depot admin account list` whether it was done";
    /// Put files and folders on the server
    Put => put, KEPT;
    /// Get files and folders from the server
    Get => get, GOT;
    /// Compare files and folders with the server's, without getting them
    Verify => verify, NOTHING;
    /// List a folder
    Ls => ls, NOTHING;
    /// Find entries by name, size, time and kind
    Find => find, NOTHING;
    /// Show how much is in folders
    Du => du, NOTHING;
    /// Show how much you hold and may hold
    Quota => quota, NOTHING;
    /// Show all that is known about an entry
    Stat => stat, NOTHING;
    /// Print files
    Cat => cat, NOTHING;
    /// Make folders
    Mkdir => mkdir, EACH;
    /// Move or rename
    Mv => mv, EACH;
    /// Copy on the server
    Cp => cp, EACH;
    /// Remove
    Rm => rm, EACH;
    /// List the versions of a file
    Versions => versions, NOTHING;
    /// Make an earlier version of a file the current one again
    Restore => restore, EACH;
    /// List what was removed, bring it back, or remove it for good
    Trash => trash, EACH;
    /// Take back what the last put into a folder did
    Undo => undo, "look with `depot ls` whether it was done";
    /// Share a file or a folder with others
    Share => share, EACH;
    /// Take back what was shared
    Unshare => unshare, EACH;
    /// List what is shared, by you or with you
    Shares => shares, NOTHING;
    /// Make a link for whoever has it
    Link => link, "look with `depot links` whether it was made";
    /// List your links
    Links => links, NOTHING;
    /// Take links back
    Unlink => unlink, EACH;
    /// Make groups of accounts, to share with
    Group => group, "look with `depot group list` whether it was done";
    /// Send a message
    Send => send, UNSENT;
    /// Fetch what is unread
    Fetch => fetch, "what was not kept stays unread; run it again";
    /// List the messages that came
    Inbox => inbox, NOTHING;
    /// Show a message, and mark it as read
    Read => read, NOTHING;
    /// Save the attachments of a message
    Save => save, GOT;
    /// Mark messages as no longer unread
    Ack => ack, NOTHING;
    /// Answer a message
    Reply => reply, UNSENT;
    /// Print what changes, as it happens
    Watch => watch, NOTHING;
    /// Print what a shell needs to complete the command line
    Completions => completions, NOTHING;
}
