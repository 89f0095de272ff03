//! What files of this machine held when they were read last, so that those that are as they were then need
//! not be read again. A file is known by its place on the disk, its size and its times; one that was
//! changed a moment before it was read is not taken up, since it could change once more unseen.
//!
//! The index is a convenience: where it cannot be opened or is damaged, all is read and nothing is said.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

use rusqlite::{Connection, OptionalExtension as _};

use super::chunk::{ChunkRef, Digest};
use super::cut::Cutter;
use super::seen::{Seen, nanoseconds};
use crate::state::StateDir;

/// Of the table below; an index of another one is begun anew.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE file (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL, -- nanoseconds since 1970
    changed INTEGER NOT NULL,  -- as well
    digest BLOB NOT NULL,
    cutter INTEGER,            -- how it was cut; NULL where it was not
    chunks BLOB,               -- 36 bytes each; NULL for a single one
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;
PRAGMA user_version = 1;";

/// One that is larger is begun anew: nobody counts what was removed.
const BYTES_MAX: u64 = 512 << 20;

/// What was read is kept this often, or when it is this much.
const KEPT_EVERY: Duration = Duration::from_secs(1);
const KEPT_AT_ONCE: usize = 4096;

/// How long another `depot` is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// To look files up.
pub(crate) struct Index {
    connection: Mutex<Connection>,
}

/// To keep what was read, on a thread of its own.
pub(crate) struct Recorder {
    records: Option<Sender<Record>>,
    thread: Option<JoinHandle<()>>,
}

/// The content of a file, as it was when it was read.
pub(crate) struct Kept {
    pub(crate) digest: Digest,
    /// 36 bytes each.
    pub(crate) chunks: Vec<u8>,
}

struct Record {
    seen: Seen,
    digest: Digest,
    cut: Option<Cut>,
}

/// How a content was cut, and into what: nothing where that is one chunk.
struct Cut {
    cutter: i64,
    chunks: Option<Vec<u8>>,
}

impl Index {
    /// Nothing, where nothing was ever kept.
    pub(crate) fn open(state: &StateDir) -> Option<Self> {
        let path = state.index();
        if !path.exists() {
            return None;
        }
        let connection = open(&path).ok()?;
        Some(Self { connection: Mutex::new(connection) })
    }

    /// The digest of a file's content, if the file is as it was.
    pub(crate) fn digest(&self, seen: &Seen) -> Option<Digest> {
        self.find(seen).map(|record| record.digest)
    }

    /// A file's content as `cutter` cuts it, if the file is as it was.
    pub(crate) fn content(&self, seen: &Seen, cutter: &Cutter) -> Option<Kept> {
        let Record { digest, cut, .. } = self.find(seen)?;
        let single = || match u32::try_from(seen.size) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(length) => {
                let mut chunks = Vec::new();
                ChunkRef { length, hash: digest }.append_to(&mut chunks);
                chunks
            }
        };
        let chunks = match cut {
            Some(cut) if cut.cutter == cutter.id() => cut.chunks.unwrap_or_else(single),
            // However it is cut, it is not.
            _ if seen.size <= cutter.min() as u64 => single(),
            _ => return None,
        };
        Some(Kept { digest, chunks })
    }

    fn find(&self, seen: &Seen) -> Option<Record> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection
            .prepare_cached(
                "SELECT digest, cutter, chunks FROM file
                 WHERE device = ?1 AND inode = ?2 AND size = ?3 AND modified = ?4 AND changed = ?5",
            )
            .ok()?;
        let (device, inode, size) = key(seen);
        let times = (nanoseconds(seen.modified), nanoseconds(seen.changed));
        let row = statement.query_row((device, inode, size, times.0, times.1), |row| {
            let (digest, cutter): ([u8; 32], Option<i64>) = (row.get(0)?, row.get(1)?);
            let chunks: Option<Vec<u8>> = row.get(2)?;
            Ok((digest, cutter.map(|cutter| Cut { cutter, chunks })))
        });
        let (digest, cut) = row.optional().ok()??;
        Some(Record { seen: *seen, digest: Digest::parse(&digest).ok()?, cut })
    }
}

impl Recorder {
    pub(crate) fn start(state: &StateDir) -> Self {
        let (records, incoming) = channel();
        let path = state.ready_index();
        let work = move || {
            if let Ok(path) = path {
                let _ = keep(&path, &incoming);
            }
        };
        let thread = thread::Builder::new().name("index".into()).spawn(work).ok();
        Self { records: Some(records), thread }
    }

    /// One that keeps nothing.
    pub(crate) fn nowhere() -> Self {
        Self { records: None, thread: None }
    }

    /// Keeps what a file holds, of which no more is known.
    pub(crate) fn whole(&self, seen: &Seen, digest: Digest) {
        self.record(seen, digest, || None);
    }

    /// Keeps what a file holds, and how that was cut.
    pub(crate) fn cut(&self, seen: &Seen, known: (Digest, &[u8]), cutter: &Cutter) {
        let (digest, chunks) = known;
        self.record(seen, digest, || {
            let is_single = chunks.len() <= super::PLACE_BYTES;
            let chunks = (!is_single).then(|| chunks.to_vec());
            Some(Cut { cutter: cutter.id(), chunks })
        });
    }

    fn record(&self, seen: &Seen, digest: Digest, cut: impl FnOnce() -> Option<Cut>) {
        if let Some(records) = &self.records
            && seen.inode != 0
        {
            // Without its thread, there is nobody to take it.
            let _ = records.send(Record { seen: *seen, digest, cut: cut() });
        }
    }
}

impl Drop for Recorder {
    /// Waits until all is kept.
    fn drop(&mut self) {
        self.records = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Keeps all that comes, some at a time.
fn keep(path: &Path, incoming: &Receiver<Record>) -> io::Result<()> {
    let mut connection = None;
    let mut records = Vec::new();
    let mut is_open = true;
    while is_open {
        let Ok(first) = incoming.recv() else { break };
        records.push(first);
        let end = Instant::now() + KEPT_EVERY;
        while records.len() < KEPT_AT_ONCE {
            match incoming.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(record) => records.push(record),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    is_open = false;
                    break;
                }
            }
        }
        let connection = match &mut connection {
            Some(connection) => connection,
            none => {
                if fs::metadata(path).is_ok_and(|metadata| metadata.len() > BYTES_MAX) {
                    remove(path);
                }
                none.insert(
                    open(path)
                        .or_else(|_| {
                            // Damaged, or of another version.
                            remove(path);
                            open(path)
                        })
                        .map_err(io::Error::other)?,
                )
            }
        };
        write(connection, &records).map_err(io::Error::other)?;
        records.clear();
    }
    Ok(())
}

fn write(connection: &mut Connection, records: &[Record]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT OR REPLACE INTO file
                 (device, inode, size, modified, changed, digest, cutter, chunks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for Record { seen, digest, cut } in records {
            let (device, inode, size) = key(seen);
            statement.execute((
                device,
                inode,
                size,
                nanoseconds(seen.modified),
                nanoseconds(seen.changed),
                digest.as_bytes(),
                cut.as_ref().map(|cut| cut.cutter),
                cut.as_ref().and_then(|cut| cut.chunks.as_deref()),
            ))?;
        }
    }
    transaction.commit()
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // After a loss of power the latest records may be missing, and no more.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    match version {
        VERSION => Ok(connection),
        0 => {
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;")).or_else(
                |error| {
                    // Another `depot` has just made it.
                    let made: i64 =
                        connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
                    let _ = connection.execute_batch("ROLLBACK");
                    if made == VERSION { Ok(()) } else { Err(error) }
                },
            )?;
            Ok(connection)
        }
        _ => Err(rusqlite::Error::InvalidQuery),
    }
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}

/// As SQLite has them.
fn key(seen: &Seen) -> (i64, i64, i64) {
    (seen.device.cast_signed(), seen.inode.cast_signed(), seen.size.cast_signed())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use depot_proto::auth::Chunker;
    use tempfile::TempDir;

    use super::{BYTES_MAX, Cutter, Digest, Index, Recorder, Seen};
    use crate::state::StateDir;

    fn cutter(min: u32) -> Cutter {
        Cutter::of(Some(&Chunker {
            algorithm: "fastcdc2020".into(),
            chunk_bytes_min: min,
            chunk_bytes_avg: 1024,
            chunk_bytes_max: 4096,
        }))
        .unwrap()
    }

    fn seen(inode: u64, size: u64) -> Seen {
        let (modified, changed) = ((7, 8), (9, 10));
        Seen { device: 1, inode, size, modified, changed, mode: 0o644 }
    }

    fn digest(text: &str) -> Digest {
        Digest::from(blake3::hash(text.as_bytes()))
    }

    #[test]
    fn a_file_is_known_while_it_is_as_it_was() {
        let dir = TempDir::new().unwrap();
        let state = StateDir::at(dir.path().join("state"));
        assert!(Index::open(&state).is_none(), "nothing was ever kept");
        let (was, x) = (seen(u64::MAX, 300), digest("x"));
        let recorder = Recorder::start(&state);
        recorder.cut(&was, (x, &[5; 72]), &cutter(256));
        recorder.whole(&Seen::default(), x);
        drop(recorder);
        let index = Index::open(&state).unwrap();
        assert_eq!(index.digest(&was), Some(x));
        for other in [
            Seen { device: 2, ..was },
            Seen { inode: 2, ..was },
            Seen { size: 301, ..was },
            Seen { modified: (7, 9), ..was },
            Seen { changed: (10, 10), ..was },
        ] {
            assert_eq!(index.digest(&other), None, "{other:?}");
        }
        assert_eq!(index.digest(&Seen { mode: 0o600, ..was }), Some(x));
        assert_eq!(index.digest(&Seen::default()), None, "it is of no file");
        // What comes later takes its place.
        Recorder::start(&state).whole(&was, digest("y"));
        assert_eq!(index.digest(&was), Some(digest("y")));
    }

    #[test]
    fn chunks_are_those_of_the_same_cutter() {
        let dir = TempDir::new().unwrap();
        let state = StateDir::at(dir.path().join("state"));
        let (one, other) = (cutter(256), cutter(128));
        let recorder = Recorder::start(&state);
        let x = digest("x");
        recorder.cut(&seen(1, 300), (x, &[5; 72]), &one);
        recorder.cut(&seen(2, 300), (x, &[5; 36]), &one);
        recorder.whole(&seen(3, 300), x);
        recorder.whole(&seen(4, 200), x);
        recorder.whole(&seen(5, 0), x);
        drop(recorder);
        let index = Index::open(&state).unwrap();
        let chunks = |inode, size, cutter| {
            index.content(&seen(inode, size), cutter).map(|kept| kept.chunks.len() / 36)
        };
        let both = |inode, size| [&one, &other].map(|cutter| chunks(inode, size, cutter));
        assert_eq!(both(1, 300), [Some(2), None]);
        assert_eq!(both(2, 300), [Some(1), None]);
        assert_eq!(both(3, 300), [None, None], "it was not cut");
        assert_eq!(both(4, 200), [Some(1), None], "it is one chunk in any case");
        assert_eq!(both(5, 0), [Some(0), Some(0)]);
    }

    #[test]
    fn one_that_is_damaged_or_of_another_version_or_too_large_is_begun_anew() {
        let dir = TempDir::new().unwrap();
        let state = StateDir::at(dir.path().join("state"));
        let (file, x) = (seen(1, 300), digest("x"));
        let keep = || Recorder::start(&state).whole(&file, x);
        keep();
        let damage: [&dyn Fn(); 3] = [
            &|| fs::write(state.index(), [7; 10_000]).unwrap(),
            &|| {
                let connection = rusqlite::Connection::open(state.index()).unwrap();
                connection.execute_batch("PRAGMA user_version = 77").unwrap();
            },
            &|| fs::File::create(state.index()).unwrap().set_len(BYTES_MAX + 1).unwrap(),
        ];
        for damage in damage {
            damage();
            assert!(Index::open(&state).and_then(|index| index.digest(&file)).is_none());
            keep();
            assert_eq!(Index::open(&state).unwrap().digest(&file), Some(x));
            assert!(fs::metadata(state.index()).unwrap().len() < 1 << 20);
        }
    }
}
