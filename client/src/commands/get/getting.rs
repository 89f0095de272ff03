//! One get, once it is clear what goes where: the entries are listed, and then brought here; or it is said
//! what that would do.

use std::ffi::OsString;
use std::sync::Arc;
use std::{fs, io};

use depot_proto::files::Kind;
use tokio::task::block_in_place;

use super::{Aim, Arguments, Remote};
use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Result};
use crate::listing;
use crate::transfer::Downloads;
use crate::transfer::index::{Index, Recorder};
use crate::tree::beneath::Beneath;
use crate::tree::extra::{self, Extra};
use crate::tree::filter::Filter;
use crate::tree::foresee::Foreseeing;
use crate::tree::listed::{Item, ItemKind, check};
use crate::tree::receive::Receiving;

/// What is said when the connection is lost in the middle.
const GOES_ON: &str = "what has arrived is kept; running it again goes on where it stopped";

pub(super) struct Get<'a> {
    pub(super) app: &'a App,
    pub(super) session: Session,
    pub(super) arguments: &'a Arguments,
    pub(super) filter: Filter,
}

/// What is to be here, and what is not.
pub(super) struct Listed {
    pub(super) items: Vec<Item>,
    /// The directory that is written beneath, where that is the source.
    pub(super) root: Option<Item>,
    pub(super) extra: Vec<Extra>,
}

impl Get<'_> {
    pub(super) async fn all(&self, remotes: Vec<Remote>, aim: Aim) -> Result<()> {
        let listed = self.listed(remotes, &aim).await?;
        if self.arguments.dry_run {
            return self.foresee(&listed, &aim).await;
        }
        let Listed { items, root, extra } = listed;
        let items = Arc::new(items);
        let failed = |error: io::Error| Error::file("make", &aim.folder, &error);
        if !aim.folder.as_os_str().is_empty() {
            fs::create_dir_all(&aim.folder).map_err(failed)?;
        }
        let beneath = Arc::new(Beneath::open(&aim.folder).map_err(failed)?);
        if root.is_some() {
            beneath.folder("").and_then(|folder| folder.admit()).map_err(failed)?;
        }
        let receiving = Receiving {
            session: self.session.clone(),
            downloads: Downloads::new(&self.session),
            beneath: beneath.clone(),
            progress: self.app.output.progress("get", Some(size(&items))),
            reads_all: self.arguments.checksum,
            state: self.is_known().then(|| self.app.state.clone()),
            extra,
        };
        let received = receiving.all(&items).await;
        let received = received.map_err(|error| error.if_run_again(GOES_ON))?;
        receiving.progress.end();
        if let Some(root) = root {
            let done = beneath.folder("").and_then(|folder| folder.finish(&root.attributes));
            done.map_err(failed)?;
        }
        if self.arguments.sync {
            block_in_place(|| beneath.sync()).map_err(failed)?;
        }
        self.report(&receiving, &items, &received)?;
        self.finish(&items, &received.left_out)
    }

    /// Whether it is an account that gets it, and not whoever has a link.
    fn is_known(&self) -> bool {
        self.arguments.link.link.is_none()
    }

    async fn listed(&self, remotes: Vec<Remote>, aim: &Aim) -> Result<Listed> {
        let mut listed = Listed { items: Vec::new(), root: None, extra: Vec::new() };
        let mut folders = Vec::new();
        for (remote, name) in remotes.into_iter().zip(&aim.names) {
            if remote.entry.kind() == Kind::Folder {
                folders.push(name.to_string_lossy().into_owned());
            }
            listed.root = self.list(remote, name.clone(), &mut listed.items).await?;
        }
        if !self.arguments.xattrs {
            let items = listed.items.iter_mut().chain(&mut listed.root);
            items.for_each(|item| item.attributes.xattrs = None);
        }
        if self.arguments.delete {
            for name in folders {
                let filter = self.filter.clone();
                let items = &listed.items;
                let found = block_in_place(|| extra::find(&aim.folder, &name, items, filter));
                listed.extra.extend(found);
            }
        }
        Ok(listed)
    }

    /// What a source comes to: itself, or all that is in it, and the directory that is written beneath,
    /// where that is the source.
    async fn list(
        &self,
        remote: Remote,
        name: OsString,
        items: &mut Vec<Item>,
    ) -> Result<Option<Item>> {
        if remote.entry.kind() != Kind::Folder {
            items.push(Item::alone(remote.entry, name)?);
            return Ok(None);
        }
        let mut entries = listing::tree(&self.session, &remote.path).await?;
        let root_path = remote.path.below("");
        entries.retain(|entry| {
            let below = entry.path.strip_prefix(&root_path).unwrap_or(&entry.path);
            let is_folder = entry.kind() == Kind::Folder;
            !self.filter.leaves_out_remote(below.trim_start_matches('/'), is_folder)
        });
        let below = check(&remote.path, &name.to_string_lossy(), entries)?;
        let root = match name.is_empty() {
            true => Some(Item::alone(remote.entry, ".".into())?),
            false => {
                items.push(Item::alone(remote.entry, name)?);
                None
            }
        };
        items.extend(below);
        Ok(root)
    }

    /// Says what would be done.
    async fn foresee(&self, listed: &Listed, aim: &Aim) -> Result<()> {
        let beneath = match Beneath::open(&aim.folder) {
            Ok(beneath) => Some(beneath),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::file("read", &aim.folder, &error)),
        };
        let state = &self.app.state;
        let index = match self.is_known() && !self.arguments.checksum {
            true => Index::open(state),
            false => None,
        };
        let recorder = match self.is_known() {
            true => Recorder::start(state),
            false => Recorder::nowhere(),
        };
        let foreseeing = Foreseeing {
            beneath: beneath.as_ref(),
            downloads: &Downloads::new(&self.session),
            index: index.as_ref(),
            recorder: &recorder,
        };
        let mut foreseen = foreseeing.all(listed.root.as_slice()).await?;
        foreseen.extend(foreseeing.all(&listed.items).await?);
        self.plan(listed, &foreseen, &aim.folder)
    }
}

fn size(items: &[Item]) -> u64 {
    let sizes = items.iter().map(|item| match &item.what {
        ItemKind::File { size, .. } => *size,
        _ => 0,
    });
    sizes.sum()
}
