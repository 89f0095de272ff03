//! Conditional changes: what must be true of an entry for a change to happen.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Modseq;

/// The tag of an entry's latest change, of whatever: content, mode, time, name, place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Etag(pub Modseq);

impl Etag {
    /// Parses what a client was given.
    pub fn parse(text: &str, field: &str) -> Result<Self> {
        // As it was given, and not any other spelling of the same number.
        let number =
            i64::from_str_radix(text, 16).ok().filter(|number| format!("{number:x}") == text);
        let refused =
            || Error::field(field, format!("{text:?} is no etag; `stat` shows an entry's"));
        number.map(|number| Self(Modseq(number))).ok_or_else(refused)
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0.0)
    }
}

/// What an entry must be for a change to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// A file has this generation; 0: nothing is there.
    pub generation: Option<u64>,
    /// The entry has this tag.
    pub etag: Option<Etag>,
}

impl Condition {
    /// A file has this generation; 0: nothing is there.
    pub fn generation(generation: u64) -> Self {
        Self { generation: Some(generation), etag: None }
    }

    /// The entry has this tag.
    pub fn etag(etag: Etag) -> Self {
        Self { generation: None, etag: Some(etag) }
    }

    /// Whether anything goes.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::Etag;
    use crate::model::Modseq;

    #[test]
    fn etags_come_back_as_they_were() {
        for number in [0, 1, 255, i64::MAX] {
            let etag = Etag(Modseq(number));
            assert_eq!(Etag::parse(&etag.to_string(), "etag").unwrap(), etag);
        }
        for text in ["", "x", "-1", "+1", "01", "FF", "8000000000000000"] {
            assert!(Etag::parse(text, "etag").is_err(), "{text:?}");
        }
    }
}
