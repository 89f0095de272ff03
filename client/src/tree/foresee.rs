//! What a get would do with a list of entries, and how many bytes would come, without doing any of it.

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustix::fs::{FileType, Stat};
use tokio::task::block_in_place;

use super::beneath::{Beneath, Folder, has_other_mode, has_other_time};
use super::listed::{Item, ItemKind};
use super::reading;
use super::standing::holds;
use crate::error::Result;
use crate::transfer::index::{Index, Recorder};
use crate::transfer::many::is_small;
use crate::transfer::{Downloads, Wanted};

/// Large files at once whose lists of chunks are asked for.
const ASKED_AT_ONCE: usize = 16;

/// What would become of what stands in an entry's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing stands there.
    New,
    /// It is another, or of another kind.
    Change,
    /// Permission bits or the time alone.
    Attributes,
    Nothing,
}

/// Where it would go; nothing, where that folder would be made.
pub(crate) struct Foreseeing<'a> {
    pub(crate) beneath: Option<&'a Beneath>,
    pub(crate) downloads: &'a Downloads,
    pub(crate) index: Option<&'a Index>,
    pub(crate) recorder: &'a Recorder,
}

impl Foreseeing<'_> {
    /// For each item what would be done, and the bytes that would be received for it.
    pub(crate) async fn all(&self, items: &[Item]) -> Result<Vec<(Action, u64)>> {
        let places: Vec<usize> = (0..items.len()).collect();
        let actions =
            block_in_place(|| reading::for_each(&places, |place| self.action(&items[place])));
        let mut received = Vec::with_capacity(items.len());
        for (item, action) in items.iter().zip(&actions) {
            received.push(self.received(item, *action));
        }
        let received = stream::iter(received).buffered(ASKED_AT_ONCE);
        let received: Vec<u64> = received.try_collect().await?;
        Ok(actions.into_iter().zip(received).collect())
    }

    /// What cannot be looked at is nothing that would be left as it is.
    fn action(&self, item: &Item) -> Action {
        match self.stat(item) {
            Ok(Some((folder, stat))) => self.difference(item, &folder, &stat),
            Ok(None) => Action::New,
            // Of the folder; where that is something else, it gives way first.
            Err(error) if is_no_folder(&error) => Action::New,
            Err(_) => Action::Change,
        }
    }

    fn stat(&self, item: &Item) -> io::Result<Option<(Arc<Folder>, Stat)>> {
        let Some(beneath) = self.beneath else { return Ok(None) };
        let folder = beneath.folder(&item.folder)?;
        Ok(folder.standing(&item.name)?.map(|stat| (folder, stat)))
    }

    fn difference(&self, item: &Item, folder: &Folder, stat: &Stat) -> Action {
        let is_same = match (&item.what, FileType::from_raw_mode(stat.st_mode)) {
            (ItemKind::Folder, FileType::Directory) => true,
            (ItemKind::Symlink(target), FileType::Symlink) => {
                folder.target(&item.name).is_ok_and(|stands| stands == target.as_bytes())
            }
            (ItemKind::File { .. }, _) => holds(folder, item, stat, (self.index, self.recorder)),
            _ => false,
        };
        let is_symlink = matches!(item.what, ItemKind::Symlink(_));
        match is_same {
            false => Action::Change,
            true if has_other_time(stat, &item.attributes) => Action::Attributes,
            true if !is_symlink && has_other_attributes(item, folder, stat) => Action::Attributes,
            true => Action::Nothing,
        }
    }

    /// The bytes that would come.
    async fn received(&self, item: &Item, action: Action) -> Result<u64> {
        let ItemKind::File { version, size, digest } = &item.what else { return Ok(0) };
        if matches!(action, Action::Attributes | Action::Nothing) {
            return Ok(0);
        }
        if is_small(*size) {
            return Ok(*size);
        }
        let wanted = Wanted::version(version, *size, digest.as_bytes())?;
        let folder = self.beneath.and_then(|beneath| beneath.folder(&item.folder).ok());
        let left = folder.and_then(|folder| folder.left(&item.name));
        self.downloads.received(&wanted, left.as_ref()).await
    }
}

/// What cannot be read is taken to be other, as it would be set then.
fn has_other_attributes(item: &Item, folder: &Folder, stat: &Stat) -> bool {
    let attributes = &item.attributes;
    has_other_mode(stat, attributes)
        || folder.has_other_xattrs(&item.name, attributes).unwrap_or(true)
}

fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
