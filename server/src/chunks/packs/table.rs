//! Which packs there are, how far each of them holds durable records, and those that are kept open for
//! reading: the most recently used, up to a limit.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chunks::PackInfo;
use crate::model::PackId;

/// The packs of a store.
pub(super) struct Table {
    inner: Mutex<Inner>,
    open_max: usize,
}

#[derive(Default)]
struct Inner {
    packs: HashMap<PackId, Pack>,
    open: usize,
    clock: u64,
}

struct Pack {
    bytes: u64,
    sealed: bool,
    reader: Option<Reader>,
}

struct Reader {
    files: Arc<Files>,
    used: u64,
}

/// A pack that is open for reading.
pub(super) struct Files {
    /// Through the page cache.
    pub(super) cached: OwnedFd,
    /// Past it, where the filesystem can do that.
    pub(super) direct: Option<OwnedFd>,
}

impl Table {
    /// An empty one that keeps at most so many packs open.
    pub(super) fn new(open_max: usize) -> Self {
        Self { inner: Mutex::default(), open_max: open_max.max(1) }
    }

    /// Notes a pack, or that it has grown to so many durable bytes, or that it has been sealed.
    pub(super) fn set(&self, pack: PackId, bytes: u64, sealed: bool) {
        let mut inner = self.lock();
        let known = inner.packs.entry(pack).or_insert(Pack { bytes, sealed, reader: None });
        known.bytes = bytes;
        known.sealed = sealed;
    }

    /// Forgets a pack and closes its descriptors, once its last reader is done.
    pub(super) fn remove(&self, pack: PackId) {
        let mut inner = self.lock();
        let gone = inner.packs.remove(&pack);
        inner.open -= usize::from(gone.is_some_and(|gone| gone.reader.is_some()));
    }

    /// A pack as it is now.
    pub(super) fn pack(&self, pack: PackId) -> Option<PackInfo> {
        self.lock().packs.get(&pack).map(|known| known.info(pack))
    }

    /// All packs by age.
    pub(super) fn packs(&self) -> Vec<PackInfo> {
        let mut all: Vec<_> = self.lock().packs.iter().map(|(id, known)| known.info(*id)).collect();
        all.sort_unstable_by_key(|pack| pack.id);
        all
    }

    /// A pack's descriptors, if they are kept open.
    pub(super) fn reader(&self, pack: PackId) -> Option<Arc<Files>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let used = inner.clock;
        let reader = inner.packs.get_mut(&pack)?.reader.as_mut()?;
        reader.used = used;
        Some(Arc::clone(&reader.files))
    }

    /// Keeps descriptors, unless the pack was removed while it was opened: then they must not outlive
    /// their one use, or the disk space would not come back.
    pub(super) fn keep(&self, pack: PackId, files: &Arc<Files>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.open >= self.open_max {
            inner.close_the_longest_idle();
        }
        inner.clock += 1;
        let reader = Reader { files: Arc::clone(files), used: inner.clock };
        if let Some(known) = inner.packs.get_mut(&pack) {
            inner.open += usize::from(known.reader.replace(reader).is_none());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A walk over all packs, but only when a pack is read that was not open, which costs more.
    fn close_the_longest_idle(&mut self) {
        let open = self.packs.values_mut().filter(|pack| pack.reader.is_some());
        if let Some(idle) = open.min_by_key(|pack| pack.reader.as_ref().map(|reader| reader.used)) {
            idle.reader = None;
            self.open -= 1;
        }
    }
}

impl Pack {
    fn info(&self, id: PackId) -> PackInfo {
        PackInfo { id, bytes: self.bytes, sealed: self.sealed }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::{Files, Table};
    use crate::model::PackId;

    fn descriptor() -> Arc<Files> {
        Arc::new(Files { cached: File::open("/dev/null").unwrap().into(), direct: None })
    }

    #[test]
    fn the_longest_idle_descriptor_is_closed_first() {
        let (table, files) = (Table::new(2), [descriptor(), descriptor(), descriptor()]);
        let packs = [PackId::new(), PackId::new(), PackId::new()];
        for pack in packs {
            table.set(pack, 64, false);
        }
        table.keep(packs[0], &files[0]);
        table.keep(packs[1], &files[1]);
        assert!(table.reader(packs[0]).is_some());
        table.keep(packs[2], &files[2]);
        let open = packs.map(|pack| table.reader(pack).is_some());
        assert_eq!(open, [true, false, true]);
        assert_eq!(Arc::strong_count(&files[1]), 1, "it is really let go");
    }

    #[test]
    fn a_removed_packs_descriptor_is_not_kept() {
        let (table, file) = (Table::new(2), descriptor());
        let packs = [PackId::new(), PackId::new(), PackId::new()];
        for pack in packs {
            table.set(pack, 64, true);
        }
        table.keep(packs[0], &file);
        table.remove(packs[0]);
        table.keep(packs[0], &file);
        assert_eq!(Arc::strong_count(&file), 1);
        assert!(table.reader(packs[0]).is_none());

        table.keep(packs[1], &file);
        table.keep(packs[2], &file);
        assert!(table.reader(packs[1]).is_some(), "there is room for two again");
    }
}
