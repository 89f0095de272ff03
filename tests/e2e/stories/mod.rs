//! What people do with their files and their mail, from the first put to the last restore.

mod attributes;
mod backup;
mod contents;
mod fetches;
mod files;
mod filters;
mod frozen;
mod history;
mod large;
mod links;
mod looking;
mod mail;
mod maildir;
mod mirror;
mod operator;
mod pace;
mod quota;
mod restart;
mod sends;
mod several;
mod sharing;
mod special;
mod together;
mod toolchain;
mod trees;
mod unread;
mod verify;
mod watch;

use std::fs;
use std::path::Path;

/// Bytes of which no two parts are alike; another seed gives others.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Flips one bit of the place where these bytes are stored.
fn flip(data: &Path, bytes: &[u8]) {
    for pack in fs::read_dir(data.join("packs")).expect("packs") {
        let path = pack.expect("a pack").path();
        let mut pack = fs::read(&path).expect("a pack");
        if let Some(place) = pack.windows(bytes.len()).position(|window| window == bytes) {
            pack[place + bytes.len() / 2] ^= 4;
            return fs::write(&path, pack).expect("a pack");
        }
    }
    panic!("these bytes are in no pack");
}
