//! What people do with their files and their mail, from the first put to the last restore.

mod backup;
mod contents;
mod fetches;
mod files;
mod frozen;
mod large;
mod mail;
mod maildir;
mod operator;
mod quota;
mod restart;
mod sends;
mod several;
mod special;
mod together;
mod trees;
mod watch;

/// Bytes of which no two parts are alike; another seed gives others.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
