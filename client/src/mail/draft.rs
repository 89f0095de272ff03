//! A message on its way out: its text from the command line, a pipe or an editor, its local attachments
//! as contents that are brought like any file (and go on after an interruption), and the send itself.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use clap::Args;
use depot_proto::mail::new_attachment::Source;
use depot_proto::mail::{
    AttachedContent, Message, NewAttachment, RecipientState, SendRequest, SendResponse,
};
use tokio::task::block_in_place;
use uuid::Uuid;

use super::find;
use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::names;
use crate::output::json::{Sent, SentAttachment};
use crate::path::RemotePath;
use crate::state::UploadId;
use crate::transfer::{Content, Input, Job, Outcome, PLACE_BYTES, Upload};
use crate::units::count;

/// Chunks of all attachments that are not files on the server; the server takes so many.
const CHUNKS_MAX: usize = 65_536;

/// What send and reply take alike.
#[derive(Args, Debug)]
pub(crate) struct DraftArgs {
    /// The text; without it stdin, or an editor on a terminal
    #[arg(short = 'm', long = "message", value_name = "BODY")]
    body: Option<String>,
    /// Attach a file of this machine
    #[arg(short, long, value_name = "LOCAL")]
    attach: Vec<PathBuf>,
    /// Attach a file that is on the server; no bytes move
    #[arg(long, value_name = "PATH")]
    attach_remote: Vec<String>,
    /// Send once, however often this is run with the same UUID
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

/// Who gets it, and what it answers.
pub(crate) struct Envelope {
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) in_reply_to: String,
}

/// Sends it, and prints what became of it.
pub(crate) async fn send(
    app: &App,
    session: &Session,
    args: DraftArgs,
    to: Envelope,
) -> Result<()> {
    let body = match &args.body {
        Some(body) => body.clone(),
        None => block_in_place(|| typed(app, &to.subject))?,
    };
    let remote: Vec<RemotePath> =
        args.attach_remote.iter().map(|path| RemotePath::parse(path)).collect::<Result<_>>()?;
    let mut names = args.attach.iter().map(|path| local_name(path)).collect::<Result<Vec<_>>>()?;
    for path in &remote {
        let nameless = || Error::usage(format!("{path} cannot be attached"));
        names.push(path.name().ok_or_else(nameless)?.to_owned());
    }
    let request_id = args.request_id.unwrap_or_else(Uuid::new_v4).to_string();
    let mut draft = SendRequest {
        request_id,
        to: to.to,
        subject: to.subject,
        body,
        attachments: Vec::new(),
        in_reply_to: to.in_reply_to,
        upload_id: String::new(),
    };
    let local = Local { app, session, paths: &args.attach };
    let (response, sent) = local.send(&mut draft, &names, &remote).await?;
    report(app, session, &draft, response, sent).await
}

/// The attachments of this machine.
struct Local<'a> {
    app: &'a App,
    session: &'a Session,
    paths: &'a [PathBuf],
}

impl Local<'_> {
    /// Brings the attachments, then sends; once more where the server has lost chunks meanwhile.
    async fn send(
        &self,
        draft: &mut SendRequest,
        names: &[String],
        remote: &[RemotePath],
    ) -> Result<(SendResponse, Vec<SentAttachment>)> {
        let upload_id = (!self.paths.is_empty()).then(|| self.upload_id());
        let mut is_last_try = self.paths.is_empty();
        loop {
            let contents = match &upload_id {
                Some(id) => self.contents(id).await?,
                None => Vec::new(),
            };
            draft.upload_id = upload_id.as_ref().map(UploadId::id).unwrap_or_default();
            let sources = contents.iter().map(|(content, _)| Source::Content(attached(content)));
            let sources = sources.chain(remote.iter().map(|path| Source::Path(path.to_string())));
            draft.attachments = names
                .iter()
                .zip(sources)
                .map(|(name, source)| NewAttachment { name: name.clone(), source: Some(source) })
                .collect();
            let answer = self
                .session
                .call(Repeat::Always, || async { self.session.mail().send(draft.clone()).await });
            match answer.await {
                Err(error) if error.reason() == "CHUNKS_MISSING" && !is_last_try => {
                    is_last_try = true;
                }
                answer => {
                    let response = answer?;
                    if let Some(id) = upload_id {
                        id.done();
                    }
                    let sent = contents.iter().zip(names).map(|((content, sent_bytes), name)| {
                        let (name, size) = (name.clone(), content.seen.size);
                        SentAttachment { name, size, sent_bytes: *sent_bytes }
                    });
                    return Ok((response, sent.collect()));
                }
            }
        }
    }

    fn upload_id(&self) -> UploadId {
        let address = self.session.address().to_string();
        let paths: Vec<String> =
            self.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let mut place = vec![address.as_str(), self.session.known_account(), "attachments"];
        place.extend(paths.iter().map(String::as_str));
        UploadId::take(&self.app.state, &place)
    }

    async fn contents(&self, upload_id: &UploadId) -> Result<Vec<(Content, u64)>> {
        let info = self.session.server_info().await?;
        let progress = self.app.output.progress("attach", None);
        let upload = Upload::new(self.session, &info, upload_id.id(), progress)?;
        let paths: Vec<PathBuf> = self.paths.to_vec();
        let jobs = paths
            .into_iter()
            .enumerate()
            .map(|(slot, path)| Job { slot, input: Input::Named(path) });
        let uploaded = upload.run(self.paths.len(), jobs).await?;
        let mut contents = Vec::new();
        let mut chunks = 0;
        for ((outcome, sent), path) in
            uploaded.outcomes.into_iter().zip(uploaded.sent).zip(self.paths)
        {
            let content = match outcome {
                Outcome::Read(content) => content,
                Outcome::Failed(error) => return Err(error.at(path.to_string_lossy())),
            };
            chunks += content.chunks.len() / PLACE_BYTES;
            if chunks > CHUNKS_MAX {
                let message = format!(
                    "{} is too large to be attached from here; put it on the server first, then \
                     attach it with --attach-remote",
                    path.display()
                );
                return Err(Error::usage(message).at(path.to_string_lossy()));
            }
            let sent = sent.min(content.seen.size);
            contents.push((content, sent));
        }
        Ok(contents)
    }
}

fn attached(content: &Content) -> AttachedContent {
    AttachedContent {
        size: content.seen.size,
        blake3: Bytes::copy_from_slice(content.digest.as_bytes()),
        chunks: Bytes::from(content.chunks.clone()),
    }
}

/// The name that recipients see.
fn local_name(path: &Path) -> Result<String> {
    let shown = path.to_string_lossy();
    let metadata = fs::metadata(path).map_err(|error| Error::file("read", path, &error))?;
    if metadata.is_dir() {
        let message = format!("{shown} is a folder; only files can be attached");
        return Err(Error::usage(message).at(shown));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match names::problem(name) {
        None => Ok(name.to_owned()),
        Some(problem) => {
            let message = format!("{shown} cannot be attached: {problem}");
            Err(Error::new(Exit::Usage, "INVALID_NAME", message).at(shown))
        }
    }
}

/// The text from a pipe, or from an editor on a terminal.
fn typed(app: &App, subject: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        let mut body = String::new();
        io::stdin()
            .lock()
            .read_to_string(&mut body)
            .map_err(|error| Error::io("read the text from stdin", &error))?;
        return Ok(body);
    }
    if !app.is_interactive() {
        return Err(Error::usage("there is no text; give -m BODY, or pipe it in"));
    }
    let body = edited(subject)?;
    match body.trim().is_empty() {
        true => Err(Error::usage("the text is empty; nothing was sent")),
        false => Ok(body),
    }
}

fn edited(subject: &str) -> Result<String> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let path = std::env::temp_dir().join(format!("depot-{}.txt", Uuid::new_v4()));
    let failed = |error: io::Error| Error::file("write", &path, &error);
    let mut fresh = OpenOptions::new();
    fresh.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    // Through a shell, because an editor may have flags: `code --wait`.
    let run = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg(subject)
        .arg(&path)
        .status();
    let text = fs::read_to_string(&path);
    let _ = fs::remove_file(&path);
    match run {
        Ok(status) if status.success() => text.map_err(|error| Error::file("read", &path, &error)),
        Ok(_) => Err(Error::usage(format!("{editor} ended with an error; nothing was sent"))),
        Err(error) => Err(Error::io(&format!("start {editor}"), &error)),
    }
}

async fn report(
    app: &App,
    session: &Session,
    draft: &SendRequest,
    response: SendResponse,
    mut sent: Vec<SentAttachment>,
) -> Result<()> {
    if app.output.is_json() {
        if sent.len() < draft.attachments.len() {
            // The sizes of files that are on the server already.
            let which = super::parse(&response.id)?;
            let message: Message = find(session, &which).await?;
            let rest = message.attachments.into_iter().skip(sent.len());
            sent.extend(rest.map(|attachment| SentAttachment {
                name: attachment.name,
                size: attachment.size,
                sent_bytes: 0,
            }));
        }
        app.output.object(&Sent::new(&response, &sent))?;
    } else {
        app.output.line(&response.id)?;
    }
    let is_refused = |state: RecipientState| state == RecipientState::Refused;
    let refused: Vec<_> = response.recipients.iter().filter(|to| is_refused(to.state())).collect();
    for recipient in &refused {
        let message = format!("{} did not get it: over quota", recipient.account);
        app.output.error(&Error::partial(message));
    }
    match refused.len() {
        0 => Ok(()),
        many => {
            let message = format!("{} did not get it; the others did", count(many, "recipient"));
            Err(Error::partial(message))
        }
    }
}
