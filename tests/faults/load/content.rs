//! Bytes that need not be kept to be known: noise that a number stands for, so that a model of a thousand
//! files is small, and texts of messages that begin with what tells them apart.

/// Bytes of the longest piece that a content is committed in.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) size: usize,
}

impl Content {
    /// The bytes themselves.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        blake3::Hasher::new().update(&self.seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// BLAKE3 of them.
    pub(crate) fn digest(self) -> [u8; 32] {
        *blake3::hash(&self.bytes()).as_bytes()
    }
}

/// A message's text: a line that no other message has, and so many bytes of filling.
pub(crate) fn text(tag: &str, filling: usize) -> String {
    let line = format!("{tag}\n");
    let filler = line.repeat(filling / line.len());
    line + &filler
}

/// What tells a message from all others.
pub(crate) fn tag_of(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
