//! `depot-server account …`: accounts while the server does not run. Opens or makes the data directory
//! with everything that a first start makes.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use depot_server::accounts::{Account, Accounts, Lifetimes, SetupCode};
use depot_server::clock::SystemClock;
use depot_server::config::Config;
use depot_server::error::{Error, Kind, Result};
use depot_server::model::AccountName;
use depot_server::serve::{Purpose, Stores, make_identity};
use secrecy::SecretString;

use crate::cli::output::say;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account
    Add {
        /// 1 to 64 letters, digits, `.`, `_` or `-`
        name: String,
        /// It may make and change accounts on the running server
        #[arg(long)]
        admin: bool,
        /// The password is the first line of this file; asked for otherwise
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The bytes it may hold, such as 500M or 20G; no limit otherwise
        #[arg(long, value_name = "SIZE", value_parser = size)]
        quota: Option<u64>,
    },
    /// List the accounts
    List,
    /// Let nobody log in to an account or send to it
    Disable {
        /// Whose
        name: String,
    },
    /// Undo `disable`
    Enable {
        /// Whose
        name: String,
    },
    /// Set a password; all logins of the account end
    Passwd {
        /// Whose
        name: String,
        /// The password is the first line of this file; asked for otherwise
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

impl Command {
    pub(super) async fn run(self, config: Config) -> Result<ExitCode> {
        let purpose = match self {
            Self::Add { .. } => Purpose::AddAccount,
            _ => Purpose::Accounts,
        };
        let stores = Stores::open_for(purpose, &config, Arc::new(SystemClock)).await?;
        make_identity(&config, &stores)?;
        let accounts = accounts(&config, &stores)?;
        let done = self.change(&accounts).await;
        drop(accounts);
        stores.close().await;
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn change(self, accounts: &Accounts) -> Result<()> {
        match self {
            Self::Add { name, admin, password_file, quota } => {
                let name = AccountName::parse(&name)?;
                let made = accounts
                    .create(name.clone(), password(&name, password_file)?, admin, quota)
                    .await?;
                say(&format!("made the account {}", made.name));
            }
            Self::List => {
                let mut after = String::new();
                loop {
                    let some = accounts.list(&after, 100).await?;
                    some.iter().for_each(|account| say(&line(account)));
                    match some.last() {
                        Some(last) => after = last.name.key(),
                        None => return Ok(()),
                    }
                }
            }
            Self::Disable { name } => {
                accounts.set_disabled(&AccountName::parse(&name)?, true).await?;
                say(&format!("disabled {name}"));
            }
            Self::Enable { name } => {
                accounts.set_disabled(&AccountName::parse(&name)?, false).await?;
                say(&format!("enabled {name}"));
            }
            Self::Passwd { name, password_file } => {
                let parsed = AccountName::parse(&name)?;
                let ended =
                    accounts.set_password(&parsed, password(&parsed, password_file)?).await?;
                say(&format!("set the password of {name}; {ended} logins ended"));
            }
        }
        Ok(())
    }
}

fn accounts(config: &Config, stores: &Stores) -> Result<Accounts> {
    let lifetimes = Lifetimes { token: Duration::ZERO, login: Duration::ZERO };
    let (db, clock) = (Arc::clone(&stores.db), Arc::clone(&stores.clock));
    Accounts::new(db, clock, config.limits.clone(), lifetimes, SetupCode::none())
}

fn line(account: &Account) -> String {
    let quota = account.quota.map_or_else(|| "no quota".to_owned(), |quota| quota.to_string());
    let admin = if account.admin { " admin" } else { "" };
    let disabled = if account.disabled { " disabled" } else { "" };
    format!("{} {} bytes of {quota}{admin}{disabled}", account.name, account.used)
}

/// From a file, a terminal without echo and twice, or the first line of what is piped in.
fn password(name: &AccountName, file: Option<PathBuf>) -> Result<SecretString> {
    let unreadable = |what: String, error: std::io::Error| {
        Error::field("--password-file", format!("{what}: {error}"))
    };
    let text = match file {
        Some(path) => std::fs::read_to_string(&path)
            .map_err(|error| unreadable(path.display().to_string(), error))?,
        None if std::io::stdin().is_terminal() => {
            let ask = |prompt: String| {
                rpassword::prompt_password(prompt)
                    .map_err(|error| unreadable("terminal".to_owned(), error))
            };
            let first = ask(format!("New password of {name}: "))?;
            if first != ask(format!("New password of {name}, once more: "))? {
                let problem = "the two passwords differ; nothing was changed";
                return Err(Error::new(Kind::InvalidArgument, problem));
            }
            first
        }
        None => {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map_err(|error| unreadable("standard input".to_owned(), error))?;
            line
        }
    };
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err(Error::field("--password-file", "there is no password in its first line"));
    }
    Ok(SecretString::from(first))
}

/// A number of bytes; K, M, G and T are powers of 1,024.
fn size(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => {
            let power = ["K", "M", "G", "T"]
                .iter()
                .position(|known| unit.to_string().eq_ignore_ascii_case(known))
                .ok_or("units are K, M, G and T")?;
            (&text[..at], 1024_u64.pow(u32::try_from(power).unwrap_or(0) + 1))
        }
        _ => (text, 1),
    };
    let count: u64 = digits.parse().map_err(|_| "a size is a number such as 500M".to_owned())?;
    count.checked_mul(factor).ok_or_else(|| "that is more than 2^64 bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("500"), Ok(500));
        assert_eq!(size("3K"), Ok(3 << 10));
        assert_eq!(size("20g"), Ok(20 << 30));
        for text in ["", "K", "1.5G", "-1", "5X", "99999999T"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }
}
