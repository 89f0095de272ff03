//! `depot fetch`: all that was unread when it began, the oldest first. A message is acknowledged after
//! it has been kept: printed without error, or written to a Maildir and synced.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use clap::Args;
use depot_proto::mail::Message;
use futures_util::StreamExt as _;
use tokio::sync::mpsc::Sender;
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};

use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::mail::fetch::{Arrived, Attaching, Unread};
use crate::mail::maildir::{Kept, Maildir, Written};
use crate::mail::{Acks, show};
use crate::output::json::MessageLine;
use crate::transfer::Downloads;
use crate::units;

/// Messages that are handed on together; one with attachments goes by itself, because it is large.
const BATCH: usize = 256;
const BATCHES_QUEUED: usize = 4;

/// Messages that are written and wait for their sync.
const WRITTEN_QUEUED: usize = 4096;

/// What `depot fetch` takes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  depot fetch --into ~/Maildir")]
pub(crate) struct Arguments {
    /// Leave them unread
    #[arg(long)]
    peek: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Keep them in a Maildir instead of printing them
    #[arg(long, value_name = "MAILDIR")]
    into: Option<PathBuf>,
    /// With --into: so much of a message's attachments is inside
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "25M")]
    inline_max: u64,
    /// Exit with 12 where nothing is unread
    #[arg(long)]
    fail_if_none: bool,
}

pub(crate) async fn run(arguments: Arguments, app: &'static App) -> Result<()> {
    let session = app.session().await?;
    let acks = (!arguments.peek).then(|| Acks::start(&session));
    let mut unread = Unread::new(&session, arguments.limit);
    let fetched = match &arguments.into {
        Some(path) => {
            let keeping = Keeping { app, session: &session, acks: acks.as_ref() };
            keeping.fill_maildir(path, arguments.inline_max, &mut unread).await
        }
        None => {
            let printed = print(app, acks.as_ref(), &mut unread).await;
            printed.map(|messages| Fetched { messages, damaged: 0 })
        }
    };
    // Why acknowledging failed says more than that nothing more could be handed in.
    if let Some(acks) = acks {
        acks.finish().await?;
    }
    match fetched? {
        Fetched { messages: 0, .. } if arguments.fail_if_none => {
            Err(Error::new(Exit::NothingToFetch, "NOTHING_UNREAD", "nothing is unread"))
        }
        Fetched { messages: 0, .. } => {
            app.output.note("nothing is unread");
            Ok(())
        }
        Fetched { damaged: 0, .. } => Ok(()),
        Fetched { damaged, .. } => {
            let attachments = units::count(damaged, "attachment");
            Err(Error::partial(format!("{attachments} left out; all else is kept")))
        }
    }
}

async fn print(app: &App, acks: Option<&Acks>, unread: &mut Unread) -> Result<u64> {
    let mut count = 0;
    while let Some(messages) = unread.next().await? {
        block_in_place(|| -> Result<()> {
            for message in &messages {
                if count > 0 && !app.output.is_json() {
                    app.output.line("")?;
                }
                line(app, message, None)?;
                count += 1;
            }
            // Only what has been taken is acknowledged.
            app.output.flush()
        })?;
        if let Some(acks) = acks {
            acks.kept(messages.into_iter().map(|message| message.id).collect()).await?;
        }
    }
    Ok(count)
}

fn line(app: &App, message: &Message, file: Option<&str>) -> Result<()> {
    match (app.output.is_json(), file) {
        (true, _) => app.output.object(&MessageLine::new(message, file)),
        (false, None) => app.output.text(&show(message)),
        (false, Some(_)) => Ok(()),
    }
}

struct Keeping<'a> {
    app: &'static App,
    session: &'a Session,
    acks: Option<&'a Acks>,
}

/// How a fetch into a Maildir ended.
struct Fetched {
    messages: u64,
    /// Attachments that could not be read; their messages are kept without them.
    damaged: usize,
}

impl Keeping<'_> {
    /// Three things at once: messages arrive, are written, and are synced and handed in.
    async fn fill_maildir(
        &self,
        path: &Path,
        inline_max: u64,
        unread: &mut Unread,
    ) -> Result<Fetched> {
        let domain = self.session.address().mail_domain();
        let maildir = Arc::new(block_in_place(|| Maildir::open(path, &domain))?);
        let (out, arrived) = sync_channel(BATCHES_QUEUED);
        let keeper = self.keeper(maildir.clone(), arrived);
        let downloads = Downloads::new(self.session);
        let attaching = Attaching { downloads: &downloads, maildir: &maildir, inline_max };
        let arrived = self.arrive(&attaching, unread, out).await;
        let kept = keeper.await.map_err(|error| Error::io("keep messages", &error.into()))?;
        if kept.messages > 0 {
            let messages = units::count(kept.messages as usize, "message");
            self.app.output.note(&format!("kept {messages} in {}", path.display()));
        }
        // A keeper that has failed makes what arrives fail too, and knows why.
        kept.ended?;
        Ok(Fetched { messages: kept.messages, damaged: arrived? })
    }

    /// Hands on what has arrived, also before an error.
    async fn arrive(
        &self,
        attaching: &Attaching<'_>,
        unread: &mut Unread,
        out: SyncSender<Vec<Arrived>>,
    ) -> Result<usize> {
        let mut damaged = 0;
        let gone = |_| Error::io("keep messages", &std::io::Error::other("it has failed"));
        while let Some(messages) = unread.next().await? {
            let mut letters = pin!(attaching.letters(messages));
            let mut batch = Vec::new();
            let mut ended = Ok(());
            while let Some(letter) = letters.next().await {
                let (letter, problems) = match letter {
                    Ok(letter) => letter,
                    Err(error) => {
                        ended = Err(error);
                        break;
                    }
                };
                for problem in &problems {
                    self.app.output.error(problem);
                }
                damaged += problems.len();
                let is_large = matches!(letter, Arrived::Whole(_));
                batch.push(letter);
                if is_large || batch.len() == BATCH {
                    let batch = std::mem::take(&mut batch);
                    block_in_place(|| out.send(batch)).map_err(gone)?;
                }
            }
            block_in_place(|| out.send(batch)).map_err(gone)?;
            ended?;
        }
        Ok(damaged)
    }

    fn keeper(
        &self,
        maildir: Arc<Maildir>,
        arrived: Receiver<Vec<Arrived>>,
    ) -> JoinHandle<KeptAll> {
        let app = self.app;
        let acks = self.acks.map(Acks::sender);
        spawn_blocking(move || {
            let mut keeper = Keeper { app, maildir, acks, written: Vec::new(), messages: 0 };
            let ended = keeper.all(&arrived);
            KeptAll { messages: keeper.messages, ended }
        })
    }
}

/// How keeping messages ended; an error does not undo what was kept before it.
struct KeptAll {
    messages: u64,
    ended: Result<()>,
}

/// Writes what comes, syncs it, and hands it in.
struct Keeper {
    app: &'static App,
    maildir: Arc<Maildir>,
    acks: Option<Sender<Vec<String>>>,
    written: Vec<Written>,
    messages: u64,
}

impl Keeper {
    /// Whenever nothing more has come, one sync is for all that was written.
    fn all(&mut self, arrived: &Receiver<Vec<Arrived>>) -> Result<()> {
        loop {
            let pause = if self.written.is_empty() { Duration::MAX } else { Duration::ZERO };
            match arrived.recv_timeout(pause) {
                Ok(batch) => {
                    if let Err(error) = self.write(batch) {
                        // Such as a full disk: what was written before it is worth keeping.
                        self.keep()?;
                        return Err(error);
                    }
                    if self.written.len() < WRITTEN_QUEUED {
                        continue;
                    }
                }
                Err(_) if self.written.is_empty() => return Ok(()),
                Err(_) => {}
            }
            self.keep()?;
        }
    }

    fn write(&mut self, batch: Vec<Arrived>) -> Result<()> {
        for arrived in batch {
            self.written.push(match arrived {
                Arrived::Alone(message) => self.maildir.write(message)?,
                Arrived::Whole(written) => written,
            });
        }
        Ok(())
    }

    fn keep(&mut self) -> Result<()> {
        let kept: Vec<Kept> = self.maildir.keep(std::mem::take(&mut self.written))?;
        for Kept { message, file } in &kept {
            line(self.app, message, Some(&file.to_string_lossy()))?;
        }
        self.app.output.flush()?;
        self.messages += kept.len() as u64;
        if let Some(acks) = &self.acks {
            let ids = kept.into_iter().map(|kept| kept.message.id).collect();
            // Where it fails, the acknowledging task itself says why.
            let _ = acks.blocking_send(ids);
        }
        Ok(())
    }
}
