//! `depot admin`: what administrators do with the accounts of a running server; what it holds is in `storage`.

use clap::{Args, Subcommand};
use depot_proto::admin::{
    Account, CreateAccountRequest, DisableAccountRequest, EnableAccountRequest,
    ListAccountsRequest, SetPasswordRequest, SetQuotaRequest,
};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::storage;
use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};
use crate::password::PasswordArgs;
use crate::units::{self, rfc3339, show_size};

/// Accounts in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot admin` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot admin account add bob --quota 10G")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Add, list and change accounts
    #[command(subcommand)]
    Account(Action),
    /// Show what the server holds, and what that takes of its disk
    #[command(after_help = "Example:\n  depot admin storage")]
    Storage,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make an account
    #[command(after_help = "Example:\n  depot admin account add bob --password-file bob.password")]
    Add(Add),
    /// List the accounts
    #[command(after_help = "Example:\n  depot admin account list")]
    List,
    /// End an account's logins, and let nobody log in to it
    #[command(after_help = "Example:\n  depot admin account disable bob")]
    Disable(Name),
    /// Let its owner log in again
    #[command(after_help = "Example:\n  depot admin account enable bob")]
    Enable(Name),
    /// Set an account's password, and end its logins
    #[command(after_help = "Example:\n  depot admin account passwd bob")]
    Passwd(Passwd),
    /// Set or lift an account's quota
    #[command(after_help = "Example:\n  depot admin account quota bob 10G")]
    Quota(Quota),
}

#[derive(Args, Debug)]
struct Name {
    /// The account
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    account: Name,
    /// It is an administrator
    #[arg(long)]
    admin: bool,
    /// The most it may hold; without it there is no quota
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    quota: Option<u64>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Args, Debug)]
struct Passwd {
    #[command(flatten)]
    account: Name,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Args, Debug)]
struct Quota {
    #[command(flatten)]
    account: Name,
    /// The most it may hold, or none
    #[arg(value_name = "SIZE|none", value_parser = parse_quota)]
    quota: Limit,
}

/// A quota, or that there is none.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<u64>);

fn parse_quota(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => units::size(text).map(|bytes| Limit(Some(bytes))),
    }
}

#[derive(Serialize)]
struct AccountLine<'a> {
    name: &'a str,
    admin: bool,
    disabled: bool,
    used_bytes: u64,
    quota_bytes: Option<u64>,
    created_at: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let What::Account(action) = arguments.what else {
        return storage::show(app).await;
    };
    let admin = Admin { app, session: app.session().await? };
    match action {
        Action::Add(add) => admin.add(add).await,
        Action::List => admin.list().await,
        Action::Disable(Name { name }) => admin.disable(name).await,
        Action::Enable(Name { name }) => admin.enable(name).await,
        Action::Passwd(passwd) => admin.passwd(passwd).await,
        Action::Quota(quota) => admin.quota(quota).await,
    }
}

struct Admin<'a> {
    app: &'a App,
    session: Session,
}

impl Admin<'_> {
    async fn add(&self, add: Add) -> Result<()> {
        let name = add.account.name;
        let password = add.password.fresh(self.app, &format!("Password of {name}"))?;
        let answer = self.session.call(Repeat::Unsent, || async {
            let request = CreateAccountRequest {
                name: name.clone(),
                password: password.expose_secret().to_owned(),
                admin: add.admin,
                quota_bytes: add.quota,
            };
            self.session.admin().create_account(request).await
        });
        let answer = answer.await.map_err(|error| error.at(name.as_str()))?;
        self.done(answer.account, &format!("made the account {name}"))
    }

    async fn list(&self) -> Result<()> {
        let mut page_token = String::new();
        loop {
            let answer = self.session.call(Repeat::Always, || async {
                let page_token = page_token.clone();
                let request = ListAccountsRequest { page_size: PAGE_SIZE, page_token };
                self.session.admin().list_accounts(request).await
            });
            let page = answer.await?;
            for account in &page.accounts {
                match self.app.output.is_json() {
                    true => self.app.output.object(&line(account))?,
                    false => self.app.output.line(&shown(account))?,
                }
            }
            if page.next_page_token.is_empty() || page.next_page_token == page_token {
                return Ok(());
            }
            page_token = page.next_page_token;
        }
    }

    async fn disable(&self, name: String) -> Result<()> {
        let answer = self.session.call(Repeat::Always, || async {
            let request = DisableAccountRequest { name: name.clone() };
            self.session.admin().disable_account(request).await
        });
        let answer = answer.await.map_err(|error| error.at(name.as_str()))?;
        self.done(answer.account, &format!("disabled {name}"))
    }

    async fn enable(&self, name: String) -> Result<()> {
        let answer = self.session.call(Repeat::Always, || async {
            let request = EnableAccountRequest { name: name.clone() };
            self.session.admin().enable_account(request).await
        });
        let answer = answer.await.map_err(|error| error.at(name.as_str()))?;
        self.done(answer.account, &format!("enabled {name}"))
    }

    async fn passwd(&self, passwd: Passwd) -> Result<()> {
        let name = passwd.account.name;
        let password = passwd.password.fresh(self.app, &format!("New password of {name}"))?;
        let answer = self.session.call(Repeat::Always, || async {
            let request = SetPasswordRequest {
                name: name.clone(),
                password: password.expose_secret().to_owned(),
            };
            self.session.admin().set_password(request).await
        });
        let revoked = answer.await.map_err(|error| error.at(name.as_str()))?.revoked;
        let logins = units::count(revoked as usize, "login");
        let told = format!("the password of {name} is changed, and {logins} ended");
        self.app.output.note(&told);
        Ok(())
    }

    async fn quota(&self, quota: Quota) -> Result<()> {
        let name = quota.account.name;
        let Limit(quota_bytes) = quota.quota;
        let answer = self.session.call(Repeat::Always, || async {
            let request = SetQuotaRequest { name: name.clone(), quota_bytes };
            self.session.admin().set_quota(request).await
        });
        let answer = answer.await.map_err(|error| error.at(name.as_str()))?;
        let limit = quota_bytes.map_or("no quota".to_owned(), show_size);
        self.done(answer.account, &format!("{name} may hold: {limit}"))
    }

    fn done(&self, account: Option<Account>, told: &str) -> Result<()> {
        let account = account.ok_or_else(|| Error::bad_answer("the server sent no account"))?;
        if self.app.output.is_json() {
            return self.app.output.object(&line(&account));
        }
        self.app.output.note(told);
        Ok(())
    }
}

fn line(account: &Account) -> AccountLine<'_> {
    AccountLine {
        name: &account.name,
        admin: account.admin,
        disabled: account.disabled,
        used_bytes: account.used_bytes,
        quota_bytes: account.quota_bytes,
        created_at: rfc3339(account.created_at.as_ref()),
    }
}

fn shown(account: &Account) -> String {
    let quota = account
        .quota_bytes
        .map_or("no quota".to_owned(), |quota| format!("of {}", show_size(quota)));
    let role = if account.admin { "  administrator" } else { "" };
    let state = if account.disabled { "  disabled" } else { "" };
    format!("{:<24}  {:>10} {quota}{role}{state}", account.name, show_size(account.used_bytes))
}
