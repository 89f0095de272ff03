//! The check of everything: the metadata's structure and sums, each chunk's row against its record, every
//! byte against its name, and each list of chunks with the digest of all its bytes. It holds a page of
//! each in memory, however large the store is.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::chunks::{Found, Record};
use crate::db::{ChunkRow, ChunkState, Db, Manifest};
use crate::error::{Error, Kind, Result};
use crate::model::{ChunkHash, ChunkPlace, Content, ManifestHasher, ManifestKey, PackId, Piece};
use crate::upkeep::Upkeep;

const MANIFESTS: usize = 500;
const PIECES: usize = 4_096;
const ROWS: usize = 5_000;
const RECORDS: usize = 4_096;
/// Files and messages named for one damaged chunk.
const NAMED: usize = 10;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, in a sentence.
    pub problem: String,
    /// The files and messages it touches, some of them.
    pub touches: Vec<String>,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Packs that were read.
    pub packs: usize,
    /// Chunks that are what their names say.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The files and messages that are touched, each with the number of its problems, in the order in
    /// which they were found.
    pub fn touched(&self) -> Vec<(&str, usize)> {
        let mut found: Vec<(&str, usize)> = Vec::new();
        let mut places = HashMap::new();
        for name in self.findings.iter().flat_map(|finding| &finding.touches) {
            let place = *places.entry(name.as_str()).or_insert_with(|| {
                found.push((name, 0));
                found.len() - 1
            });
            found[place].1 += 1;
        }
        found
    }

    /// Whether something touches so many that there may be others.
    pub fn may_touch_more(&self) -> bool {
        self.findings.iter().any(|finding| finding.touches.len() >= NAMED)
    }
}

impl Upkeep {
    /// Checks everything there is.
    pub async fn verify(&self) -> Result<Report> {
        let mut report = Report::default();
        let found = self.db.problems().await?;
        report.findings.extend(found.into_iter().map(Finding::new));
        self.verify_packs(&mut report).await?;
        self.verify_lists(&mut report).await?;
        Ok(report)
    }

    async fn verify_packs(&self, report: &mut Report) -> Result<()> {
        let packs: HashSet<PackId> =
            self.chunks.packs().await?.into_iter().map(|pack| pack.id).collect();
        report.packs = packs.len();
        for pack in &packs {
            self.verify_pack(*pack, report).await?;
        }
        // What rows say is in packs that are not there.
        for used in self.db.pack_uses().await? {
            if !packs.contains(&used.pack) {
                self.verify_rows(&mut Rows::of(used.pack), None, report).await?;
            }
        }
        Ok(())
    }

    /// Reads a pack beside the rows of what is in it, both in the order in which it lies there.
    async fn verify_pack(&self, pack: PackId, report: &mut Report) -> Result<()> {
        let mut rows = Rows::of(pack);
        let mut offset = Some(0);
        while let Some(from) = offset {
            let (records, next) = self.chunks.scan(pack, from, RECORDS).await?;
            for record in records {
                if let Some(found) = self.verify_record(pack, record, report).await? {
                    self.verify_rows(&mut rows, Some(found), report).await?;
                }
            }
            offset = next;
        }
        self.verify_rows(&mut rows, None, report).await
    }

    /// What a record holds, when that is known.
    async fn verify_record(
        &self,
        pack: PackId,
        record: Record,
        report: &mut Report,
    ) -> Result<Option<Found>> {
        match record {
            Record::Good(found) => {
                report.chunks += 1;
                report.bytes += u64::from(found.place.length);
                Ok(Some(found))
            }
            Record::Damaged(found) => {
                let state = self.db.chunk_states(vec![found.hash]).await?;
                let is_here = |state: &ChunkState| match state {
                    ChunkState::Stored(place) | ChunkState::Condemned(place) => {
                        *place == found.place
                    }
                    ChunkState::Absent => false,
                };
                // What no row leads to is dead, and nobody will ever read it.
                if !state.first().is_some_and(is_here) {
                    return Ok(Some(found));
                }
                let touches = self.db.users_of(found.hash, NAMED).await?;
                let offset = found.place.offset;
                let problem = format!("chunk {} in pack {pack} at {offset} is damaged", found.hash);
                report.findings.push(Finding { problem, touches });
                Ok(Some(found))
            }
            Record::Unreadable { offset } => {
                let problem = format!("pack {pack} cannot be read from byte {offset} on");
                report.findings.push(Finding::new(problem));
                Ok(None)
            }
        }
    }

    /// Each row up to a record against that record; without one, all that are left against nothing.
    async fn verify_rows(
        &self,
        rows: &mut Rows,
        found: Option<Found>,
        report: &mut Report,
    ) -> Result<()> {
        let through = found.map_or(u64::MAX, |found| found.place.offset);
        while let Some(row) = rows.next(&*self.db, through).await? {
            if found == Some(Found { hash: row.hash, place: row.place }) {
                continue;
            }
            let touches = self.db.users_of(row.hash, NAMED).await?;
            if touches.is_empty() {
                continue;
            }
            let (hash, ChunkPlace { pack, offset, .. }) = (row.hash, row.place);
            let problem = format!("chunk {hash} is not in pack {pack} at {offset}, or damaged");
            report.findings.push(Finding { problem, touches });
        }
        Ok(())
    }

    async fn verify_lists(&self, report: &mut Report) -> Result<()> {
        let mut after = ManifestKey(0);
        loop {
            let found = self.db.manifests(after, MANIFESTS).await?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = last.key;
            for list in &found {
                match self.verify_list(list, report).await {
                    Err(error) if error.kind() == Kind::DataLoss => {
                        let touches = self.db.users_of_list(list.key, NAMED).await?;
                        report.findings.push(Finding { problem: error.to_string(), touches });
                    }
                    done => done?,
                }
            }
        }
    }

    /// A list's chunks, what they hash to, and all their bytes. One that is still coming in has only
    /// chunks.
    async fn verify_list(&self, list: &Manifest, report: &mut Report) -> Result<()> {
        let content = Content { size: list.size, digest: list.digest, manifest: Some(list.key) };
        let mut identity = ManifestHasher::new(list.size, &list.digest);
        // Of what nobody uses and of what is damaged already the digest says nothing.
        let used = list.id.is_some() && !self.db.users_of_list(list.key, 1).await?.is_empty();
        let mut digest = used.then(blake3::Hasher::new);
        let mut offset = 0;
        loop {
            let (begins, pieces) = self.db.pieces(content, offset, PIECES).await?;
            if pieces.is_empty() {
                break;
            }
            if begins != offset {
                return Err(damaged(list));
            }
            let mut encoded = Vec::with_capacity(pieces.len() * Piece::ENCODED_BYTES);
            pieces.iter().for_each(|piece| piece.encode_to(&mut encoded));
            identity.update(&encoded);
            offset += pieces.iter().map(|piece| u64::from(piece.length)).sum::<u64>();
            self.verify_pieces(&pieces, &mut digest, report).await?;
        }
        if list.id.is_some_and(|id| identity.finish() != id || offset != list.size) {
            return Err(damaged(list));
        }
        if digest.is_some_and(|digest| *digest.finalize().as_bytes() != list.digest.0) {
            let touches = self.db.users_of_list(list.key, NAMED).await?;
            let problem = "the bytes of a content are not what its digest says; perhaps whoever \
                           sent it said so";
            report.findings.push(Finding { problem: problem.to_owned(), touches });
        }
        Ok(())
    }

    /// Adds the bytes of chunks to the digest, which is given up at one that is not good: that is told
    /// by its record.
    async fn verify_pieces(
        &self,
        pieces: &[Piece],
        digest: &mut Option<blake3::Hasher>,
        report: &mut Report,
    ) -> Result<()> {
        let hashes: Vec<ChunkHash> = pieces.iter().map(|piece| piece.hash).collect();
        for (piece, state) in pieces.iter().zip(self.db.chunk_states(hashes).await?) {
            let place = match state {
                ChunkState::Stored(place) | ChunkState::Condemned(place) => place,
                ChunkState::Absent => {
                    *digest = None;
                    let touches = self.db.users_of(piece.hash, NAMED).await?;
                    let problem = format!("chunk {} is not stored", piece.hash);
                    report.findings.push(Finding { problem, touches });
                    continue;
                }
            };
            if let Some(hasher) = digest {
                match self.chunks.read(piece.hash, place).await {
                    Ok(bytes) => drop(hasher.update(&bytes)),
                    Err(error) if error.kind() == Kind::DataLoss => *digest = None,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The rows of what is in a pack, in the order in which it lies there.
struct Rows {
    pack: PackId,
    fetched: VecDeque<ChunkRow>,
    /// Where to go on; `None` when there are no more.
    next: Option<u64>,
}

impl Rows {
    fn of(pack: PackId) -> Self {
        Self { pack, fetched: VecDeque::new(), next: Some(0) }
    }

    /// The next one, if it lies no further than `through`.
    async fn next(&mut self, db: &dyn Db, through: u64) -> Result<Option<ChunkRow>> {
        if let (true, Some(from)) = (self.fetched.is_empty(), self.next) {
            self.fetched = db.chunks_of(self.pack, from, ROWS).await?.into();
            let last = self.fetched.back().map(|row| row.place.offset + 1);
            self.next = last.filter(|_| self.fetched.len() == ROWS);
        }
        match self.fetched.front() {
            Some(row) if row.place.offset <= through => Ok(self.fetched.pop_front()),
            _ => Ok(None),
        }
    }
}

impl Finding {
    fn new(problem: String) -> Self {
        Self { problem, touches: Vec::new() }
    }
}

fn damaged(list: &Manifest) -> Error {
    Error::new(Kind::DataLoss, format!("the list of chunks {} is damaged", list.key.0))
}
