//! `depot completions`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::Shell;

use crate::app::App;
use crate::command_line;
use crate::error::Result;

/// What `depot completions` takes.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  depot completions bash >~/.local/share/bash-completion/completions/depot"
)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command_line(), "depot", &mut script);
    app.output.text(&String::from_utf8_lossy(&script))
}
