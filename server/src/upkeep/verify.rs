//! The check of everything: the metadata's structure and sums, each list of chunks, each chunk's row
//! against its record, and every byte against its name.

use std::collections::HashSet;

use crate::chunks::Record;
use crate::db::Manifest;
use crate::error::Result;
use crate::model::{ChunkHash, ChunkPlace, ManifestHasher, ManifestKey, PackId, Piece};
use crate::upkeep::Upkeep;

const MANIFESTS: usize = 16;
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

/// A record that was read: where it is, and how its name begins. There may be millions.
type Seen = (ChunkPlace, u64);

fn as_seen(ChunkHash(name): &ChunkHash, place: &ChunkPlace) -> Seen {
    let [a, b, c, d, e, f, g, h, ..] = *name;
    (*place, u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

impl Upkeep {
    /// Checks everything there is.
    pub async fn verify(&self) -> Result<Report> {
        let mut report = Report::default();
        let found = self.db.problems().await?;
        report.findings.extend(found.into_iter().map(Finding::new));
        let seen = self.verify_packs(&mut report).await?;
        self.verify_rows(&seen, &mut report).await?;
        self.verify_manifests(&mut report).await?;
        Ok(report)
    }

    /// Reads every pack; its records, those that hold what their names say and those that are told of.
    async fn verify_packs(&self, report: &mut Report) -> Result<HashSet<Seen>> {
        let mut seen = HashSet::new();
        for pack in self.chunks.packs().await? {
            report.packs += 1;
            let mut offset = Some(0);
            while let Some(from) = offset {
                let (records, next) = self.chunks.scan(pack.id, from, RECORDS).await?;
                for record in records {
                    self.verify_record(pack.id, record, &mut seen, report).await?;
                }
                offset = next;
            }
        }
        Ok(seen)
    }

    async fn verify_record(
        &self,
        pack: PackId,
        record: Record,
        seen: &mut HashSet<Seen>,
        report: &mut Report,
    ) -> Result<()> {
        match record {
            Record::Good(found) => {
                report.chunks += 1;
                report.bytes += u64::from(found.place.length);
                seen.insert(as_seen(&found.hash, &found.place));
            }
            Record::Damaged(found) => {
                let touches = self.db.users_of(found.hash, NAMED).await?;
                let offset = found.place.offset;
                let problem = format!("chunk {} in pack {pack} at {offset} is damaged", found.hash);
                report.findings.push(Finding { problem, touches });
                seen.insert(as_seen(&found.hash, &found.place));
            }
            Record::Unreadable { offset } => {
                let problem = format!("pack {pack} cannot be read from byte {offset} on");
                report.findings.push(Finding::new(problem));
            }
        }
        Ok(())
    }

    /// Each chunk's row against what was read.
    async fn verify_rows(&self, seen: &HashSet<Seen>, report: &mut Report) -> Result<()> {
        let mut after = None;
        loop {
            let rows = self.db.chunks(after, ROWS).await?;
            after = rows.last().map(|row| row.hash);
            if after.is_none() {
                return Ok(());
            }
            for row in rows {
                if seen.contains(&as_seen(&row.hash, &row.place)) {
                    continue;
                }
                let ChunkPlace { pack, offset, .. } = row.place;
                let touches = self.db.users_of(row.hash, NAMED).await?;
                if touches.is_empty() {
                    continue;
                }
                let hash = row.hash;
                let problem = format!("chunk {hash} is not in pack {pack} at {offset}, or damaged");
                report.findings.push(Finding { problem, touches });
            }
        }
    }

    async fn verify_manifests(&self, report: &mut Report) -> Result<()> {
        let mut after = ManifestKey(0);
        loop {
            let found = self.db.manifests(after, MANIFESTS).await?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = last.key;
            for manifest in found {
                if let Some(problem) = wrong(&manifest) {
                    report.findings.push(Finding::new(problem));
                }
                self.verify_pieces(&manifest, report).await?;
            }
        }
    }

    async fn verify_pieces(&self, manifest: &Manifest, report: &mut Report) -> Result<()> {
        for pieces in manifest.pieces.chunks(ROWS) {
            let hashes: Vec<ChunkHash> = pieces.iter().map(|piece| piece.hash).collect();
            let states = self.db.chunk_states(hashes.clone()).await?;
            for (hash, state) in hashes.into_iter().zip(states) {
                if state == crate::db::ChunkState::Absent {
                    let touches = self.db.users_of(hash, NAMED).await?;
                    let problem = format!("chunk {hash} is not stored");
                    report.findings.push(Finding { problem, touches });
                }
            }
        }
        Ok(())
    }
}

impl Finding {
    fn new(problem: String) -> Self {
        Self { problem, touches: Vec::new() }
    }
}

/// What is wrong with a list itself. One that is still coming in is not judged.
fn wrong(manifest: &Manifest) -> Option<String> {
    let id = manifest.id?;
    let mut hasher = ManifestHasher::new(manifest.size, &manifest.digest);
    let mut encoded = Vec::with_capacity(manifest.pieces.len() * Piece::ENCODED_BYTES);
    manifest.pieces.iter().for_each(|piece| piece.encode_to(&mut encoded));
    hasher.update(&encoded);
    let bytes: u64 = manifest.pieces.iter().map(|piece| u64::from(piece.length)).sum();
    (hasher.finish() != id || bytes != manifest.size)
        .then(|| format!("the list of chunks {} is damaged", manifest.key.0))
}
