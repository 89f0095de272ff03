//! A message on its way out: what is wrong with it is found before anybody types a text for it; its local
//! attachments are contents that are brought like any file (and go on after an interruption); and it is
//! sent once. The request's id is kept until the server has answered for certain, so that a send that
//! was cut or killed and is typed again does not double the message.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use depot_proto::auth::ServerInfoResponse;
use depot_proto::files::Kind;
use depot_proto::mail::new_attachment::Source;
use depot_proto::mail::{
    AttachedContent, NewAttachment, RecipientState, SendRequest, SendResponse,
};
use tokio::task::block_in_place;
use uuid::Uuid;

use super::find;
use super::text::{Text, check_recipients, is_typed};
use crate::app::App;
use crate::connect::{Repeat, Session};
use crate::error::{Error, Exit, Result};
use crate::output::json::{Sent, SentAttachment};
use crate::path::RemotePath;
use crate::state::{KeptId, Purpose};
use crate::transfer::{Content, Input, Job, Outcome, PLACE_BYTES, Upload, UploadKey};
use crate::units::count;
use crate::{listing, names};

/// Chunks of all attachments that are not files on the server; the server takes so many.
const CHUNKS_MAX: u64 = 65_536;

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

/// A file of this machine, and the name that recipients see.
struct LocalFile {
    path: PathBuf,
    name: String,
    size: u64,
}

/// Sends it, and prints what became of it.
pub(crate) async fn send(
    app: &App,
    session: &Session,
    args: DraftArgs,
    to: Envelope,
) -> Result<()> {
    check_recipients(&to.to)?;
    let local = args.attach.iter().map(|path| local(path)).collect::<Result<Vec<_>>>()?;
    let remote = args.attach_remote.iter().map(|path| remote(path)).collect::<Result<Vec<_>>>()?;
    let is_typed = is_typed(app, args.body.as_deref());
    if is_typed {
        check_standing(session, &remote).await?;
    }
    let info = match args.body.is_some() && local.is_empty() {
        true => ServerInfoResponse::default(),
        false => session.server_info().await?,
    };
    check_chunks(&local, &info)?;
    let limits = info.limits.unwrap_or_default();
    let body_bytes_max = Some(limits.message_body_bytes_max).filter(|max| *max > 0);
    let text = block_in_place(|| {
        Text::read(app, args.body.as_deref(), body_bytes_max.unwrap_or(u64::MAX))
    })?;
    let mut draft = SendRequest {
        to: to.to,
        subject: to.subject,
        body: text.body.clone(),
        in_reply_to: to.in_reply_to,
        ..SendRequest::default()
    };
    let request_id = args.request_id;
    let sending = Sending { app, session, info, local, remote, text: &text, request_id };
    let (response, sent) =
        sending.send(&mut draft).await.map_err(|error| sending.text.tell(error))?;
    text.sent();
    app.say_after_interrupt("it was sent".to_owned());
    report(app, session, &draft, response, sent).await
}

/// A message whose text is there.
struct Sending<'a> {
    app: &'a App,
    session: &'a Session,
    info: ServerInfoResponse,
    local: Vec<LocalFile>,
    remote: Vec<(RemotePath, String)>,
    text: &'a Text,
    request_id: Option<Uuid>,
}

impl Sending<'_> {
    /// Brings the attachments, then sends; once more where the server has lost chunks meanwhile.
    async fn send(&self, draft: &mut SendRequest) -> Result<(SendResponse, Vec<SentAttachment>)> {
        let upload_id = (!self.local.is_empty()).then(|| self.upload_id());
        let mut is_last_try = self.local.is_empty();
        loop {
            let contents = match &upload_id {
                Some(id) => self.contents(id).await?,
                None => Vec::new(),
            };
            draft.upload_id = upload_id.as_ref().map(KeptId::id).unwrap_or_default();
            draft.attachments = self.attachments(&contents);
            match self.once(draft).await {
                Err(error) if error.reason() == "CHUNKS_MISSING" && !is_last_try => {
                    is_last_try = true;
                }
                answer => {
                    let response = answer?;
                    if let Some(id) = upload_id {
                        id.done();
                    }
                    let sent = contents.iter().zip(&self.local).map(|((content, sent), file)| {
                        let (name, size) = (file.name.clone(), Some(content.seen.size));
                        SentAttachment { name, size, sent_bytes: *sent }
                    });
                    return Ok((response, sent.collect()));
                }
            }
        }
    }

    /// One effect, however often it is tried, by this run or by the next one.
    async fn once(&self, draft: &mut SendRequest) -> Result<SendResponse> {
        let kept = match self.request_id {
            Some(id) => {
                draft.request_id = id.to_string();
                None
            }
            None => {
                let kept = self.kept_id(draft).await?;
                draft.request_id = kept.id();
                Some(kept)
            }
        };
        let again = self.text.run_again();
        self.app.say_after_interrupt(format!("it may have been sent; {again}: it is sent once"));
        let draft = &*draft;
        let answer = self
            .session
            .call(Repeat::Always, || async { self.session.mail().send(draft.clone()).await })
            .await;
        if let Some(kept) = kept
            && is_settled(&answer)
        {
            kept.done();
        }
        answer
    }

    /// The request's id: that of the same message whose sending ended nobody knows how, or a fresh one.
    async fn kept_id(&self, draft: &SendRequest) -> Result<KeptId> {
        let server = self.session.address().to_string();
        let account = self.session.account().await?;
        let parts = parts(draft);
        let mut all: Vec<&[u8]> = vec![server.as_bytes(), account.as_bytes()];
        all.extend(parts.iter().map(Bytes::as_ref));
        Ok(KeptId::take(&self.app.state, Purpose::Send, &all))
    }

    fn upload_id(&self) -> KeptId {
        let server = self.session.address().to_string();
        let paths: Vec<&[u8]> =
            self.local.iter().map(|file| file.path.as_os_str().as_encoded_bytes()).collect();
        let account = self.session.known_account().as_bytes();
        let mut place: Vec<&[u8]> = vec![server.as_bytes(), account, b"attachments"];
        place.extend(paths);
        KeptId::take(&self.app.state, Purpose::Upload, &place)
    }

    async fn contents(&self, upload_id: &KeptId) -> Result<Vec<(Content, u64)>> {
        let progress = self.app.output.progress("attach", None);
        let key = UploadKey { id: upload_id.id(), tree: String::new() };
        let upload = Upload::new(self.session, &self.info, key, progress)?;
        let paths: Vec<PathBuf> = self.local.iter().map(|file| file.path.clone()).collect();
        let jobs = paths
            .into_iter()
            .enumerate()
            .map(|(slot, path)| Job { slot, input: Input::Named(path) });
        let uploaded = upload.run(self.local.iter().map(|_| None).collect(), jobs).await?;
        let mut contents = Vec::new();
        let mut chunks = 0;
        let outcomes = uploaded.outcomes.into_iter().zip(uploaded.sent);
        for ((outcome, sent), file) in outcomes.zip(&self.local) {
            let content = match outcome {
                Outcome::Read(content) => content,
                Outcome::Failed(error) => return Err(error.at(file.path.to_string_lossy())),
            };
            chunks += (content.chunks.len() / PLACE_BYTES) as u64;
            if chunks > CHUNKS_MAX {
                return Err(too_large(&file.path));
            }
            let sent = sent.min(content.seen.size);
            contents.push((content, sent));
        }
        Ok(contents)
    }

    fn attachments(&self, contents: &[(Content, u64)]) -> Vec<NewAttachment> {
        let local = contents.iter().zip(&self.local).map(|((content, _), file)| {
            let source = Some(Source::Content(attached(content)));
            NewAttachment { name: file.name.clone(), source }
        });
        let remote = self.remote.iter().map(|(path, name)| {
            let source = Some(Source::Path(path.to_string()));
            NewAttachment { name: name.clone(), source }
        });
        local.chain(remote).collect()
    }
}

/// All that makes a message the same: what the server compares under one request's id.
fn parts(draft: &SendRequest) -> Vec<Bytes> {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut parts: Vec<Bytes> =
        [&draft.subject, &draft.body, &draft.in_reply_to].map(|part| text(part)).into();
    parts.push(text(&draft.to.len().to_string()));
    parts.extend(draft.to.iter().map(|to| text(to)));
    for attachment in &draft.attachments {
        parts.push(text(&attachment.name));
        parts.push(match &attachment.source {
            Some(Source::Content(content)) => content.blake3.clone(),
            Some(Source::Path(path)) => text(path),
            None => Bytes::new(),
        });
    }
    parts
}

/// Whether it is certain what became of a send. Errors of the way to the server leave it open whether an
/// earlier try has arrived.
fn is_settled(answer: &Result<SendResponse>) -> bool {
    match answer {
        Ok(_) => true,
        Err(error) if error.reason() == "CHUNKS_MISSING" => false,
        Err(error) => matches!(
            error.exit(),
            Exit::Usage | Exit::NotFound | Exit::Permission | Exit::Conflict | Exit::Exhausted
        ),
    }
}

fn attached(content: &Content) -> AttachedContent {
    AttachedContent {
        size: content.seen.size,
        blake3: Bytes::copy_from_slice(content.digest.as_bytes()),
        chunks: Bytes::from(content.chunks.clone()),
    }
}

fn local(path: &Path) -> Result<LocalFile> {
    let shown = path.to_string_lossy();
    let metadata = fs::metadata(path).map_err(|error| Error::file("read", path, &error))?;
    if metadata.is_dir() {
        let message = format!("{shown} is a folder; only files can be attached");
        return Err(Error::usage(message).at(shown));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match names::problem(name) {
        None => {
            let (path, name) = (path.to_owned(), name.to_owned());
            Ok(LocalFile { path, name, size: metadata.len() })
        }
        Some(problem) => {
            let message = format!("{shown} cannot be attached: {problem}");
            Err(Error::new(Exit::Usage, "INVALID_NAME", message).at(shown))
        }
    }
}

fn remote(typed: &str) -> Result<(RemotePath, String)> {
    let path = RemotePath::parse(typed)?;
    match path.name().map(str::to_owned) {
        Some(name) => Ok((path, name)),
        None => Err(Error::usage(format!("{path} cannot be attached"))),
    }
}

async fn check_standing(session: &Session, remote: &[(RemotePath, String)]) -> Result<()> {
    for (path, _) in remote {
        if listing::stat(session, path).await?.kind() != Kind::File {
            let message = format!("{path} is no file; only files can be attached");
            return Err(Error::usage(message).at(path.to_string()));
        }
    }
    Ok(())
}

/// What would be refused after hours of sending is refused before: contents come to about as many chunks
/// as the chunker means them to.
fn check_chunks(local: &[LocalFile], info: &ServerInfoResponse) -> Result<()> {
    let meant = info.chunker.as_ref().map_or(0, |chunker| u64::from(chunker.chunk_bytes_avg));
    let mut chunks = 0;
    for file in local {
        chunks += file.size / meant.max(1);
        if chunks > CHUNKS_MAX && meant > 0 {
            return Err(too_large(&file.path));
        }
    }
    Ok(())
}

fn too_large(path: &Path) -> Error {
    let message = format!(
        "{} is too large to be attached from here; put it on the server first, then attach it with \
         --attach-remote",
        path.display()
    );
    Error::usage(message).at(path.to_string_lossy())
}

async fn report(
    app: &App,
    session: &Session,
    draft: &SendRequest,
    response: SendResponse,
    mut sent: Vec<SentAttachment>,
) -> Result<()> {
    if app.output.is_json() {
        sent.extend(on_the_server(session, draft, &response, sent.len()).await);
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

/// The attachments that are on the server already. Their sizes are those of the message; where they
/// cannot be asked for, the message is sent all the same.
async fn on_the_server(
    session: &Session,
    draft: &SendRequest,
    response: &SendResponse,
    local: usize,
) -> Vec<SentAttachment> {
    let remote = draft.attachments.get(local..).unwrap_or_default();
    let message = match (remote, super::parse(&response.id)) {
        ([_, ..], Ok(which)) => find(session, &which).await.unwrap_or_default(),
        _ => Default::default(),
    };
    let size = |place: usize| message.attachments.get(place).map(|attachment| attachment.size);
    let told = (local..).zip(remote).map(|(place, attachment)| {
        let (name, size) = (attachment.name.clone(), size(place));
        SentAttachment { name, size, sent_bytes: 0 }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use depot_proto::auth::{Chunker, ServerInfoResponse};
    use depot_proto::mail::new_attachment::Source;
    use depot_proto::mail::{NewAttachment, SendRequest, SendResponse};

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::{CHUNKS_MAX, LocalFile, check_chunks, is_settled, on_the_server, parts};
    use crate::connect::{Address, Dialer, Opening, Session};
    use crate::error::{Error, Exit};

    #[test]
    fn what_would_be_too_many_chunks_is_refused_before_it_is_sent() {
        let chunker = Chunker { chunk_bytes_avg: 1 << 20, ..Chunker::default() };
        let info = ServerInfoResponse { chunker: Some(chunker), ..ServerInfoResponse::default() };
        let file = |chunks: u64| {
            let (path, name) = ("x".into(), "x".to_owned());
            LocalFile { path, name, size: chunks << 20 }
        };
        assert!(check_chunks(&[file(CHUNKS_MAX - 1), file(1)], &info).is_ok());
        let refused = check_chunks(&[file(CHUNKS_MAX), file(1)], &info).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(refused.message().contains("--attach-remote"), "{refused}");
    }

    #[test]
    fn only_a_certain_answer_settles_a_send() {
        let failed = |exit, reason: &'static str| Err(Error::new(exit, reason, "x"));
        assert!(is_settled(&Ok(SendResponse::default())));
        assert!(is_settled(&failed(Exit::NotFound, "UNKNOWN_RECIPIENT")));
        assert!(is_settled(&failed(Exit::Exhausted, "QUOTA")));
        for open in [
            Err(Error::cut("x")),
            Err(Error::unreachable("x")),
            failed(Exit::Unauthenticated, "UNAUTHENTICATED"),
            failed(Exit::Trust, "PIN_CHANGED"),
            failed(Exit::Other, "INTERNAL"),
            failed(Exit::Conflict, "CHUNKS_MISSING"),
        ] {
            assert!(!is_settled(&open), "{open:?}");
        }
    }

    #[tokio::test]
    async fn a_size_that_cannot_be_asked_for_is_none() {
        let address = Address::parse("127.0.0.1:1").unwrap();
        let authority =
            CertificateDer::from_pem_slice(include_bytes!("../connect/testdata/ca.pem")).unwrap();
        let session = Session::open(Opening {
            dialer: Dialer::new(address.clone(), &[authority], Duration::ZERO).unwrap(),
            address,
            account: None,
            token: None,
            keeper: None,
            connections: 1,
            retry_for: Duration::ZERO,
            bwlimit: None,
            output: None,
        })
        .unwrap();
        let source = Some(Source::Path("/a".into()));
        let attachments = vec![NewAttachment { name: "a".into(), source }];
        let draft = SendRequest { attachments, ..SendRequest::default() };
        let id = "0190aaaa-0000-7000-8000-000000000001".into();
        let response = SendResponse { id, ..SendResponse::default() };
        let told = on_the_server(&session, &draft, &response, 0).await;
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].name.as_str(), told[0].size), ("a", None));
        assert!(on_the_server(&session, &draft, &response, 1).await.is_empty());
    }

    #[test]
    fn whatever_differs_is_another_message() {
        let message = SendRequest {
            to: vec!["bob".into(), "carl".into()],
            subject: "x".into(),
            attachments: vec![NewAttachment {
                name: "a".into(),
                source: Some(Source::Path("/a".into())),
            }],
            ..SendRequest::default()
        };
        let changed = |change: fn(&mut SendRequest)| {
            let mut other = message.clone();
            change(&mut other);
            parts(&other) != parts(&message)
        };
        assert!(!changed(|message| message.request_id = "another".into()));
        assert!(!changed(|message| message.upload_id = "another".into()));
        assert!(changed(|message| message.to = vec!["bob".into()]));
        assert!(changed(|message| message.subject = "y".into()));
        assert!(changed(|message| message.body = "y".into()));
        assert!(changed(|message| message.in_reply_to = "y".into()));
        assert!(changed(|message| message.attachments[0].name = "b".into()));
        assert!(changed(|message| message.attachments.clear()));
    }
}
