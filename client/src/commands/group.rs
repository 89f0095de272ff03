//! `depot group`: lists of accounts under a name, to share with.

use clap::{Args, Subcommand};
use depot_proto::auth::{
    CreateGroupRequest, Group, ListGroupsRequest, ListMembersRequest, RemoveGroupRequest,
    UpdateMembersRequest,
};
use serde::Serialize;

use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Result};
use crate::units::count;

/// Groups or members in one page.
const PAGE_SIZE: u32 = 1000;

/// What `depot group` takes.
#[derive(Args, Debug)]
#[command(after_help = "Elsewhere a group is written @NAME.\n\
                  Examples:\n  depot group create lab bob carol\n  depot share /data @lab")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a group, which you own and are in
    #[command(after_help = "Example:\n  depot group create lab bob carol")]
    Create(Members),
    /// List the groups
    #[command(after_help = "Example:\n  depot group list")]
    List,
    /// List who is in a group that you are in
    #[command(after_help = "Example:\n  depot group members lab")]
    Members(Name),
    /// Take accounts into a group that you own
    #[command(after_help = "Example:\n  depot group include lab dave")]
    Include(Members),
    /// Take accounts out of a group that you own
    #[command(after_help = "Example:\n  depot group exclude lab dave")]
    Exclude(Members),
    /// Remove a group that you own; what was shared with it no longer is
    #[command(after_help = "Example:\n  depot group remove lab")]
    Remove(Name),
}

#[derive(Args, Debug)]
struct Name {
    /// The group
    #[arg(value_name = "NAME")]
    group: String,
}

#[derive(Args, Debug)]
struct Members {
    #[command(flatten)]
    name: Name,
    /// Accounts
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    name: &'a str,
    members: u64,
}

#[derive(Serialize)]
struct MemberLine<'a> {
    account: &'a str,
    owns: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let groups = Groups { app, session: app.session().await? };
    match arguments.action {
        Action::Create(made) => groups.create(made).await,
        Action::List => groups.list().await,
        Action::Members(name) => groups.members(name.typed()).await,
        Action::Include(more) => {
            let (group, include) = (more.name.typed(), more.accounts);
            groups.update(UpdateMembersRequest { group, include, exclude: Vec::new() }).await
        }
        Action::Exclude(less) => {
            let (group, exclude) = (less.name.typed(), less.accounts);
            groups.update(UpdateMembersRequest { group, include: Vec::new(), exclude }).await
        }
        Action::Remove(name) => groups.remove(name.typed()).await,
    }
}

impl Name {
    /// As it is, also where it was typed as elsewhere.
    fn typed(&self) -> String {
        self.group.strip_prefix('@').unwrap_or(&self.group).to_owned()
    }
}

struct Groups<'a> {
    app: &'a App,
    session: Session,
}

impl Groups<'_> {
    async fn create(&self, made: Members) -> Result<()> {
        let name = made.name.typed();
        let answer = self.session.call(Repeat::Unsent, || async {
            let request = CreateGroupRequest { name: name.clone(), members: made.accounts.clone() };
            self.session.groups().create_group(request).await
        });
        self.done(answer.await?.group)
    }

    async fn update(&self, request: UpdateMembersRequest) -> Result<()> {
        let answer = self.session.call(Repeat::Unsent, || async {
            self.session.groups().update_members(request.clone()).await
        });
        self.done(answer.await?.group)
    }

    async fn remove(&self, group: String) -> Result<()> {
        let answer = self.session.call(Repeat::Unsent, || async {
            let request = RemoveGroupRequest { group: group.clone() };
            self.session.groups().remove_group(request).await
        });
        answer.await?;
        self.app.output.note(&format!("removed the group @{group}"));
        Ok(())
    }

    async fn list(&self) -> Result<()> {
        let mut page_token = String::new();
        loop {
            let answer = self.session.call(Repeat::Always, || async {
                let page_token = page_token.clone();
                let request = ListGroupsRequest { page_size: PAGE_SIZE, page_token };
                self.session.groups().list_groups(request).await
            });
            let page = answer.await?;
            for group in &page.groups {
                match self.app.output.is_json() {
                    true => self.app.output.object(&line(group))?,
                    false => {
                        let members = count(group.members as usize, "member");
                        self.app.output.line(&format!("@{:<24}  {members}", group.name))?;
                    }
                }
            }
            if page.next_page_token.is_empty() || page.next_page_token == page_token {
                return Ok(());
            }
            page_token = page.next_page_token;
        }
    }

    async fn members(&self, group: String) -> Result<()> {
        let mut page_token = String::new();
        loop {
            let answer = self.session.call(Repeat::Always, || async {
                let (group, page_token) = (group.clone(), page_token.clone());
                let request = ListMembersRequest { group, page_size: PAGE_SIZE, page_token };
                self.session.groups().list_members(request).await
            });
            let page = answer.await?;
            for member in &page.members {
                let line = MemberLine { account: &member.account, owns: member.owns };
                match (self.app.output.is_json(), member.owns) {
                    (true, _) => self.app.output.object(&line)?,
                    (false, true) => self.app.output.line(&format!("{}  owner", line.account))?,
                    (false, false) => self.app.output.line(line.account)?,
                }
            }
            if page.next_page_token.is_empty() || page.next_page_token == page_token {
                return Ok(());
            }
            page_token = page.next_page_token;
        }
    }

    fn done(&self, group: Option<Group>) -> Result<()> {
        let group = group.ok_or_else(|| Error::bad_answer("the server sent no group"))?;
        if self.app.output.is_json() {
            return self.app.output.object(&line(&group));
        }
        let members = count(group.members as usize, "member");
        self.app.output.note(&format!("@{} has {members}", group.name));
        Ok(())
    }
}

fn line(group: &Group) -> GroupLine<'_> {
    GroupLine { name: &group.name, members: group.members }
}
