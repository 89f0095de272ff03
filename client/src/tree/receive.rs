//! Brings a checked list of entries here: folders first, then files (small ones by the hundred, large
//! ones by chunks), symlinks after all that is written, and the folders' own permissions at the very
//! end. What stands already as it should is left alone. What cannot be written is named, and the rest
//! goes on.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::task::{block_in_place, spawn_blocking};

use super::beneath::{Attributes, Beneath};
use super::extra::Extra;
use super::listed::{Item, ItemKind};
use super::partial::Existing;
use super::standing::{admit, standing};
use crate::connect::Session;
use crate::error::{Error, Exit, Result};
use crate::output::Progress;
use crate::state::StateDir;
use crate::transfer::index::{Index, Recorder};
use crate::transfer::many::{self, Small, is_small};
use crate::transfer::{Downloads, Target, Wanted};

/// Calls for small files at once, for each connection; each writes its files while others arrive.
const CALLS_A_CONNECTION: usize = 2;

/// Large files at once.
const LARGE_AT_ONCE: usize = 3;

/// Where a list of entries goes.
pub(crate) struct Receiving {
    pub(crate) session: Session,
    pub(crate) downloads: Downloads,
    pub(crate) beneath: Arc<Beneath>,
    pub(crate) progress: Progress,
    /// Whether files are read that are as they were when they were read last.
    pub(crate) reads_all: bool,
    /// Where it is kept what they held; a visitor leaves nothing behind.
    pub(crate) state: Option<StateDir>,
    /// What stands here and is to go.
    pub(crate) extra: Vec<Extra>,
}

/// What became of each item.
pub(crate) struct Received {
    /// For files that stand now as they should, the bytes that were fetched for them.
    pub(crate) bytes: Vec<Option<u64>>,
    pub(crate) left_out: Vec<Error>,
    /// For what was to go, whether it has.
    pub(crate) gone: Vec<bool>,
}

impl Receiving {
    /// Writes all items; an error only where nothing more can be written at all.
    pub(crate) async fn all(&self, items: &Arc<Vec<Item>>) -> Result<Received> {
        let mut received = Received {
            bytes: vec![None; items.len()],
            left_out: Vec::new(),
            gone: vec![false; self.extra.len()],
        };
        block_in_place(|| self.remove(true, &mut received))?;
        let lost = block_in_place(|| self.folders(items, &mut received))?;
        let (small, large) = block_in_place(|| self.missing(items, &lost, &mut received))?;
        self.small(items, small, &mut received).await?;
        self.large(items, large, &mut received).await?;
        block_in_place(|| self.symlinks(items, &lost, &mut received))?;
        // What is not whole is no reason to remove anything.
        if received.left_out.is_empty() {
            block_in_place(|| self.remove(false, &mut received))?;
        }
        block_in_place(|| self.attributes(items, &lost, &mut received));
        Ok(received)
    }

    /// Where an item goes, for messages and JSON.
    pub(crate) fn shown(&self, item: &Item) -> PathBuf {
        self.beneath.shown(&item.folder, &item.name)
    }

    /// Makes the folders; those that cannot be made are lost, with all that is in them.
    fn folders(&self, items: &[Item], received: &mut Received) -> Result<HashSet<String>> {
        let mut lost = HashSet::new();
        for item in items.iter().filter(|item| matches!(item.what, ItemKind::Folder)) {
            let relative = item.relative();
            if lost.contains(&item.folder) {
                lost.insert(relative);
                continue;
            }
            let made = admit(item).and_then(|()| self.beneath.make_folder(&relative));
            if let Err(error) = made {
                received.leave_out(failed(&self.beneath, item, &error))?;
                lost.insert(relative);
            }
        }
        Ok(lost)
    }

    /// The places of the files that do not stand here yet: small ones, and large ones.
    fn missing(
        &self,
        items: &[Item],
        lost: &HashSet<String>,
        received: &mut Received,
    ) -> Result<(Vec<Small>, Vec<usize>)> {
        let is_wanted = |item: &Item| {
            matches!(item.what, ItemKind::File { .. }) && !lost.contains(&item.folder)
        };
        let places: Vec<usize> = (0..items.len()).filter(|&at| is_wanted(&items[at])).collect();
        let index = match &self.state {
            Some(state) if !self.reads_all => Index::open(state),
            _ => None,
        };
        let recorder = self.state.as_ref().map_or_else(Recorder::nowhere, Recorder::start);
        let known = (index.as_ref(), &recorder);
        let looked = standing(&self.beneath, items, &places, known, &self.progress);
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for (place, stands) in places.into_iter().zip(looked) {
            let item = &items[place];
            let ItemKind::File { version, size, digest } = &item.what else { continue };
            match stands {
                Ok(true) => received.bytes[place] = Some(0),
                Ok(false) if is_small(*size) => {
                    let (version, digest) = (version.clone(), *digest);
                    small.push(Small { place, version, size: *size, digest });
                }
                Ok(false) => large.push(place),
                Err(error) => received.leave_out(failed(&self.beneath, item, &error))?,
            }
        }
        Ok((small, large))
    }

    async fn small(
        &self,
        items: &Arc<Vec<Item>>,
        small: Vec<Small>,
        received: &mut Received,
    ) -> Result<()> {
        let calls = CALLS_A_CONNECTION * self.session.connections();
        let batches = many::batches(&self.session, small).into_iter();
        let mut done = stream::iter(batches.map(|batch| self.batch(items.clone(), batch)))
            .buffer_unordered(calls);
        while let Some(batch) = done.next().await {
            for (file, written) in batch? {
                match written {
                    Ok(()) => received.bytes[file.place] = Some(file.size),
                    Err(error) => received.leave_out(error)?,
                }
            }
        }
        Ok(())
    }

    /// Fetches one batch. Where one file of it spoils the call, each is fetched by itself.
    async fn batch(
        &self,
        items: Arc<Vec<Item>>,
        batch: Vec<Small>,
    ) -> Result<Vec<(Small, Result<()>)>> {
        let contents = match many::fetch(&self.session, &batch).await {
            Ok(contents) => contents,
            Err(error) if is_of_one_file(&error) => {
                let mut done = Vec::with_capacity(batch.len());
                for file in batch {
                    let fetched = self.one(&items[file.place]).await;
                    done.push((file, fetched.map(drop)));
                }
                return Ok(done);
            }
            Err(error) => return Err(error),
        };
        // Those that are fetched by themselves are counted there.
        self.progress.add(batch.iter().map(|file| file.size).sum());
        let beneath = self.beneath.clone();
        let written = spawn_blocking(move || {
            let write = |(file, content): (Small, Bytes)| {
                let item = &items[file.place];
                let written = write(&beneath, item, &content);
                (file, written.map_err(|error| failed(&beneath, item, &error)))
            };
            batch.into_iter().zip(contents).map(write).collect()
        });
        written.await.map_err(|error| Error::io("write the files", &io::Error::other(error)))
    }

    async fn large(
        &self,
        items: &[Item],
        large: Vec<usize>,
        received: &mut Received,
    ) -> Result<()> {
        let fetched =
            large.into_iter().map(|place| async move { (place, self.one(&items[place]).await) });
        let mut done = stream::iter(fetched).buffer_unordered(LARGE_AT_ONCE);
        while let Some((place, fetched)) = done.next().await {
            match fetched {
                Ok(bytes) => received.bytes[place] = Some(bytes),
                Err(error) if is_of_one_file(&error) => received.leave_out(error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fetches one file by its chunks; the bytes received.
    async fn one(&self, item: &Item) -> Result<u64> {
        let ItemKind::File { version, size, digest } = &item.what else {
            return Err(Error::bad_answer(format!("{} is no file", item.path)));
        };
        let wanted = Wanted::version(version, *size, digest.as_bytes())?;
        let to = Destination {
            folder: &item.folder,
            name: &item.name,
            attributes: &item.attributes,
            existing: Existing::Replace,
        };
        let received = receive(&self.downloads, &self.beneath, &wanted, to, &self.progress).await;
        received.map_err(|error| error.about(&item.path))
    }

    /// Last of all that has a name, so that nothing is ever written through one of them.
    fn symlinks(
        &self,
        items: &[Item],
        lost: &HashSet<String>,
        received: &mut Received,
    ) -> Result<()> {
        for item in items.iter().filter(|item| !lost.contains(&item.folder)) {
            let ItemKind::Symlink(target) = &item.what else { continue };
            let folder = admit(item).and_then(|()| self.beneath.folder(&item.folder));
            let made =
                folder.and_then(|folder| folder.symlink(&item.name, target, &item.attributes));
            if let Err(error) = made {
                received.leave_out(failed(&self.beneath, item, &error))?;
            }
        }
        Ok(())
    }

    /// What is in the way of something goes before that comes, all else when everything is here.
    fn remove(&self, in_the_way: bool, received: &mut Received) -> Result<()> {
        for (place, extra) in self.extra.iter().enumerate() {
            if extra.is_in_the_way == in_the_way {
                match extra.remove(&self.beneath) {
                    Ok(is_gone) => received.gone[place] = is_gone,
                    Err(error) => {
                        let path = self.beneath.shown("", OsStr::new(&extra.path));
                        received.leave_out(Error::file("remove", &path, &error))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The deepest first: writing into a folder would change its time.
    fn attributes(&self, items: &[Item], lost: &HashSet<String>, received: &mut Received) {
        for item in items.iter().rev() {
            let relative = item.relative();
            if !matches!(item.what, ItemKind::Folder) || lost.contains(&relative) {
                continue;
            }
            let folder = self.beneath.folder(&relative);
            if let Err(error) = folder.and_then(|folder| folder.finish(&item.attributes)) {
                let what = "set the permissions of";
                received.left_out.push(Error::file(what, &self.shown(item), &error));
            }
        }
    }
}

impl Received {
    /// Goes on without it, unless nothing more can be written at all.
    fn leave_out(&mut self, error: Error) -> Result<()> {
        if error.exit() == Exit::Exhausted {
            return Err(error);
        }
        self.left_out.push(error);
        Ok(())
    }
}

/// Where one content goes.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) folder: &'a str,
    pub(crate) name: &'a OsStr,
    pub(crate) attributes: &'a Attributes,
    pub(crate) existing: Existing,
}

/// What is said of an item that cannot be written.
fn failed(beneath: &Beneath, item: &Item, error: &io::Error) -> Error {
    let told = Error::file("write", &beneath.shown(&item.folder, &item.name), error);
    let with = match item.what {
        ItemKind::Folder => " with all that is in it",
        ItemKind::File { .. } | ItemKind::Symlink(_) => "",
    };
    let message = format!("{}; it is left out{with}", told.message());
    told.with_message(message)
}

/// Fetches one content into its place beneath a directory; the bytes received.
pub(crate) async fn receive(
    downloads: &Downloads,
    beneath: &Beneath,
    wanted: &Wanted,
    to: Destination<'_>,
    progress: &Progress,
) -> Result<u64> {
    let path = beneath.shown(to.folder, to.name);
    let failed = |error: io::Error| Error::file("write", &path, &error);
    let folder = beneath.folder(to.folder).map_err(failed)?;
    let partial = folder.begin(to.name).map_err(failed)?;
    let target = Target { file: &partial.file, path: &path, is_resumed: partial.is_resumed };
    let received = match downloads.to_file(wanted, target, progress).await {
        Ok(received) => received,
        Err(error) => {
            let is_empty = partial.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
            if is_empty || error.exit() == Exit::DataLoss {
                partial.discard();
            }
            return Err(error);
        }
    };
    partial.finish(to.name, to.attributes, to.existing).map_err(failed)?;
    Ok(received)
}

fn write(beneath: &Beneath, item: &Item, content: &Bytes) -> io::Result<()> {
    let folder = beneath.folder(&item.folder)?;
    let mut partial = folder.begin(&item.name)?;
    if partial.is_resumed {
        partial.file.set_len(0)?;
    }
    match partial.file.write_all(content) {
        Ok(()) => partial.finish(&item.name, &item.attributes, Existing::Replace),
        Err(error) => {
            partial.discard();
            Err(error)
        }
    }
}

/// Whether other files can be fetched all the same.
fn is_of_one_file(error: &Error) -> bool {
    let is_here = error.reason().starts_with("LOCAL_");
    is_here || matches!(error.exit(), Exit::DataLoss | Exit::NotFound)
}
