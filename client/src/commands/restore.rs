//! `depot restore`: an earlier version of a file becomes the current one again.

use clap::Args;
use depot_proto::files::{Entry, RestoreVersionRequest};
use uuid::Uuid;

use super::conditions::Conditions;
use super::versions::meant;
use crate::app::App;
use crate::connect::Repeat;
use crate::error::{Error, Result};
use crate::output::json;
use crate::path::RemotePath;

/// What `depot restore` takes.
#[derive(Args, Debug)]
#[command(after_help = "The version that stands there now is kept like any other.\n\
                  What was removed comes back with `depot trash restore`.\n\
                  Examples:\n  depot restore /reports/q3.pdf\n  \
                  depot restore /reports/q3.pdf --version 17")]
pub(crate) struct Arguments {
    /// The file
    #[arg(value_name = "PATH")]
    path: String,
    /// The version, by its id or its generation; without it the one before the current one
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    conditions: Conditions,
}

pub(crate) async fn run(arguments: Arguments, app: &App) -> Result<()> {
    let path = RemotePath::parse(&arguments.path)?;
    let session = app.session().await?;
    let version = match &arguments.version {
        Some(text) => meant(&session, &path, text).await?.version,
        None => String::new(),
    };
    let request_id = Uuid::new_v4().to_string();
    let answer = session.call(Repeat::Always, || async {
        let request = RestoreVersionRequest {
            path: path.to_string(),
            version: version.clone(),
            request_id: request_id.clone(),
            if_generation: arguments.conditions.if_generation,
            if_etag: arguments.conditions.etag(),
        };
        session.history().restore_version(request).await
    });
    let entry = answer.await.map_err(|error| error.at(path.to_string()))?.entry;
    report(app, entry, &format!("{path} is as it was"))
}

/// Says that something is there again.
pub(super) fn report(app: &App, entry: Option<Entry>, told: &str) -> Result<()> {
    let entry = entry.ok_or_else(|| Error::bad_answer("the server sent no entry"))?;
    if app.output.is_json() {
        return app.output.object(&json::Listed::from(&entry));
    }
    app.output.note(told);
    Ok(())
}
