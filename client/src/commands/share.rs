//! `depot share`: lets others use what is in your tree.

use clap::Args;
use depot_proto::files::{AccessGrant, GrantRequest, Right};
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::batch::Batch;
use crate::connect::Repeat;
use crate::error::{Error, Result};
use crate::output::json::kind_name;
use crate::path::RemotePath;
use crate::units::rfc3339;

/// What `depot share` takes.
#[derive(Args, Debug)]
#[command(after_help = "They use it by its path in your tree: depot ls ann:/reports\n\
                  Examples:\n  depot share /reports bob --write\n  depot share /reports @lab carol")]
pub(crate) struct Arguments {
    /// What is shared; of a folder all that is in it
    #[arg(value_name = "PATH")]
    path: String,
    /// With whom: accounts, and groups as @GROUP
    #[arg(required = true, value_name = "WHO")]
    who: Vec<String>,
    /// They may read it; so it is unless --write is given
    #[arg(long)]
    read: bool,
    /// They may change it, too; what they put in it counts against your quota
    #[arg(long, conflicts_with = "read")]
    write: bool,
}

/// What is said of a grant with `--json`.
#[derive(Serialize)]
pub(super) struct GrantLine<'a> {
    path: &'a str,
    kind: &'static str,
    grantee: &'a str,
    right: &'static str,
    granted_at: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = RemotePath::parse(&arguments.path)?;
    let session = app.session().await?;
    let right = if arguments.write { Right::Write } else { Right::Read };
    let mut batch = Batch::new(app, arguments.who.len());
    for grantee in &arguments.who {
        let request_id = Uuid::new_v4().to_string();
        let answer = session.call(Repeat::Always, || async {
            let mut request = GrantRequest {
                path: path.to_string(),
                grantee: grantee.clone(),
                request_id: request_id.clone(),
                ..GrantRequest::default()
            };
            request.set_right(right);
            session.sharing().grant(request).await
        });
        let granted =
            answer.await.map(|answer| answer.grant).map_err(|error| error.about(grantee.as_str()));
        batch.took(granted.and_then(|grant| report(app, grant)))?;
    }
    batch.ended()
}

fn report(app: &App, grant: Option<AccessGrant>) -> Result<()> {
    let grant = grant.ok_or_else(|| Error::bad_answer("the server sent no grant"))?;
    if app.output.is_json() {
        return app.output.object(&line(&grant));
    }
    app.output.note(&format!("{} may {} {}", grant.grantee, right(&grant), grant.path));
    Ok(())
}

pub(super) fn line(grant: &AccessGrant) -> GrantLine<'_> {
    GrantLine {
        path: &grant.path,
        kind: kind_name(grant.kind()),
        grantee: &grant.grantee,
        right: right(grant),
        granted_at: rfc3339(grant.granted_at.as_ref()),
    }
}

/// What a grant allows, in a word.
pub(super) fn right(grant: &AccessGrant) -> &'static str {
    match grant.right() {
        Right::Write => "write",
        _ => "read",
    }
}
