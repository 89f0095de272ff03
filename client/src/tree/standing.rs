//! Which files of a list stand here already as they should. A size that is the same only makes it worth a
//! look: what a file holds is known when it has been read and hashed. Several are, at once.

use std::io;

use rustix::fs::{FileType, Stat};

use super::beneath::{Beneath, Folder};
use super::listed::{Item, ItemKind};
use super::partial::is_reserved;
use super::reading;
use crate::output::Progress;
use crate::transfer::Seen;
use crate::transfer::index::{Index, Recorder};

/// For each of `places`, whether the file of that item stands. Blocks.
pub(super) fn standing(
    beneath: &Beneath,
    items: &[Item],
    places: &[usize],
    (index, recorder): (Option<&Index>, &Recorder),
    progress: &Progress,
) -> Vec<io::Result<bool>> {
    let known = (index, recorder);
    reading::for_each(places, |place| stands(beneath, &items[place], known, progress))
}

fn stands(
    beneath: &Beneath,
    item: &Item,
    known: (Option<&Index>, &Recorder),
    progress: &Progress,
) -> io::Result<bool> {
    let ItemKind::File { size, .. } = &item.what else { return Ok(false) };
    admit(item)?;
    let folder = beneath.folder(&item.folder)?;
    let Some(stat) = folder.standing(&item.name)? else { return Ok(false) };
    let holds = holds(&folder, item, &stat, known);
    if holds {
        folder.adjust(&item.name, &stat, &item.attributes)?;
        progress.add(*size);
    }
    Ok(holds)
}

/// Whether what stands in a file's place has its content.
pub(super) fn holds(
    folder: &Folder,
    item: &Item,
    stat: &Stat,
    (index, recorder): (Option<&Index>, &Recorder),
) -> bool {
    let ItemKind::File { size, digest, .. } = &item.what else { return false };
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || u64::try_from(stat.st_size) != Ok(*size) {
        return false;
    }
    let seen = Seen::of_stat(stat);
    let held = match index.and_then(|index| index.digest(&seen)) {
        Some(known) => Some(known),
        // What cannot be read can be replaced.
        None => {
            let read = |file| reading::digest(&file, &seen, recorder);
            folder.read(&item.name).and_then(read).ok().map(|(digest, _)| digest)
        }
    };
    held == Some(*digest)
}

/// A name that unfinished files have here would take the place of one.
pub(super) fn admit(item: &Item) -> io::Result<()> {
    match is_reserved(&item.name) {
        true => Err(io::Error::other("its name is one of unfinished files")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, UNIX_EPOCH};

    use depot_proto::files::{Entry, Kind};
    use tempfile::TempDir;

    use super::standing;
    use crate::output::{Output, Style};
    use crate::transfer::index::Recorder;
    use crate::tree::beneath::Beneath;
    use crate::tree::listed::Item;

    fn item(name: &str, content: &[u8]) -> Item {
        let entry = Entry {
            path: format!("/{name}"),
            kind: Kind::File.into(),
            size: content.len() as u64,
            blake3: blake3::hash(content).as_bytes().to_vec().into(),
            mode: 0o644,
            modified_at: Some(prost_types::Timestamp { seconds: 7, nanos: 0 }),
            ..Entry::default()
        };
        Item::alone(entry, name.into()).unwrap()
    }

    #[test]
    fn only_a_file_with_the_same_content_stands() {
        let dir = TempDir::new().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(7)).unwrap();
        };
        let mut items: Vec<Item> =
            (0..40).map(|n| item(&n.to_string(), format!("content {n}").as_bytes())).collect();
        for n in 0..40 {
            // One in five has as many other bytes; one in five is not there.
            match n % 5 {
                0 => write(&n.to_string(), format!("CONTENT {n}").as_bytes()),
                1 => {}
                _ => write(&n.to_string(), format!("content {n}").as_bytes()),
            }
        }
        items.push(item(".x.depot-partial", b""));
        let places: Vec<usize> = (0..items.len()).filter(|place| place % 2 == 0).collect();
        let beneath = Beneath::open(dir.path()).unwrap();
        let progress = Output::new(Style::default()).progress("", None);
        let looked = standing(&beneath, &items, &places, (None, &Recorder::nowhere()), &progress);
        assert_eq!(looked.len(), places.len());
        for (place, stands) in places.into_iter().zip(looked) {
            match stands {
                Ok(stands) => assert_eq!(stands, place % 5 > 1, "{place}"),
                Err(_) => assert_eq!(place, 40),
            }
        }
    }
}
