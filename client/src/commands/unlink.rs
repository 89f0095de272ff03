//! `depot unlink`: takes links back.

use clap::Args;
use depot_proto::files::RevokeLinkRequest;

use crate::app::App;
use crate::batch::Batch;
use crate::connect::Repeat;
use crate::error::Result;

/// What `depot unlink` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot unlink 01a20555-e24b-7396-8e3c-1bf1f474ec36")]
pub(crate) struct Arguments {
    /// Links by their ids, as `depot links` lists them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let session = app.session().await?;
    let mut batch = Batch::new(app, arguments.ids.len());
    for id in &arguments.ids {
        let answer = session.call(Repeat::Unsent, || async {
            session.sharing().revoke_link(RevokeLinkRequest { id: id.clone() }).await
        });
        let revoked = answer.await.map(drop).map_err(|error| error.about(id));
        if revoked.is_ok() {
            app.output.note(&format!("the link {id} no longer opens"));
        }
        batch.took(revoked)?;
    }
    batch.ended()
}
