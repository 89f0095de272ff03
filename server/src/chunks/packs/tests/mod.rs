//! Tests of the packs: the contract, then what only files can do. A `House` is a directory that outlives
//! the stores that are opened in it, and a ledger of what they acknowledged, as the metadata would be.

mod faults;
mod faulty;
mod recovery;

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::disk::{Disk, Kernel};
use super::{PackOptions, Packs, open, open_on};
use crate::chunks::contract::{append, contract, noise};
use crate::chunks::{Chunks, Found, Lane};
use crate::error::{Kind, Result};
use crate::model::PackId;

contract!(fresh);

fn fresh() -> (Arc<dyn Chunks>, Box<dyn Any>) {
    let house = House::new();
    let (chunks, found) = open(house.options(), &HashMap::new()).unwrap();
    assert_eq!(found, []);
    (chunks, Box::new(house))
}

struct House {
    dir: TempDir,
    ledger: Vec<(u64, usize, Found)>,
    pack_bytes_max: u64,
}

impl House {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), ledger: Vec::new(), pack_bytes_max: 64 << 10 }
    }

    fn options(&self) -> PackOptions {
        PackOptions {
            pack_bytes_max: self.pack_bytes_max,
            open_packs_max: 2,
            ..PackOptions::new(self.dir.path().join("packs"))
        }
    }

    /// As the metadata would tell it.
    fn known(&self) -> HashMap<PackId, u64> {
        let mut known = HashMap::new();
        for (_, _, found) in &self.ledger {
            let end = known.entry(found.place.pack).or_insert(0);
            *end = end_of(found).max(*end);
        }
        known
    }

    fn open(&self) -> (Packs, Vec<Found>) {
        self.open_on(Kernel)
    }

    fn open_on(&self, disk: impl Disk + 'static) -> (Packs, Vec<Found>) {
        open_on(Box::new(disk), &self.options(), &self.known()).unwrap()
    }

    fn try_open(&self) -> Result<(Packs, Vec<Found>)> {
        open_on(Box::new(Kernel), &self.options(), &self.known())
    }

    async fn append(&mut self, packs: &Packs, lane: Lane, length: usize) -> Found {
        let seed = self.ledger.len() as u64;
        let found = append(packs, lane, seed, length).await;
        self.ledger.push((seed, length, found));
        found
    }

    /// Everything that was acknowledged can be read.
    async fn check(&self, packs: &Packs) {
        for (seed, length, found) in &self.ledger {
            let bytes = packs.read(found.hash, found.place).await.unwrap();
            assert!(bytes == noise(*seed, *length), "chunk {seed}");
        }
    }

    /// Each acknowledged chunk is read whole or refused as damaged; how many are refused.
    async fn damaged(&self, packs: &Packs) -> usize {
        let mut damaged = 0;
        for (seed, length, found) in &self.ledger {
            match packs.read(found.hash, found.place).await {
                Ok(bytes) => assert!(bytes == noise(*seed, *length), "chunk {seed}: wrong bytes"),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::DataLoss);
                    damaged += 1;
                }
            }
        }
        damaged
    }

    fn path(&self, pack: PackId) -> PathBuf {
        self.dir.path().join(format!("packs/{pack}.pack"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("packs")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// First byte after a record.
fn end_of(found: &Found) -> u64 {
    found.place.offset + 64 + u64::from(found.place.length)
}
