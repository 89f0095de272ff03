//! `depot unshare`: takes back what was shared.

use clap::Args;
use depot_proto::files::RevokeRequest;

use crate::app::App;
use crate::batch::Batch;
use crate::connect::Repeat;
use crate::error::Result;
use crate::path::RemotePath;

/// What `depot unshare` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot unshare /reports bob @lab")]
pub(crate) struct Arguments {
    /// What was shared
    #[arg(value_name = "PATH")]
    path: String,
    /// With whom: accounts, and groups as @GROUP
    #[arg(required = true, value_name = "WHO")]
    who: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = RemotePath::parse(&arguments.path)?;
    let session = app.session().await?;
    let mut batch = Batch::new(app, arguments.who.len());
    for grantee in &arguments.who {
        let answer = session.call(Repeat::Unsent, || async {
            let request = RevokeRequest { path: path.to_string(), grantee: grantee.clone() };
            session.sharing().revoke(request).await
        });
        let revoked = answer.await.map(drop).map_err(|error| error.about(grantee));
        if revoked.is_ok() {
            app.output.note(&format!("{grantee} may no longer use {path}"));
        }
        batch.took(revoked)?;
    }
    batch.ended()
}
