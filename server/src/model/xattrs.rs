//! Extended attributes: what programs have noted at an entry, by name.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most of one entry, names and values together, in bytes: what Linux lets a file have.
pub const XATTRS_BYTES_MAX: usize = 64 << 10;

/// The longest name, in bytes (Linux's XATTR_NAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// The extended attributes of one entry, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Xattrs(Vec<(String, Vec<u8>)>);

impl Xattrs {
    /// Accepts names that are not empty and have no NUL, each once, and 64 KiB in all.
    pub fn parse(mut pairs: Vec<(String, Vec<u8>)>, field: &str) -> Result<Self> {
        pairs.sort();
        let mut seen = HashSet::new();
        let mut bytes = 0;
        for (name, value) in &pairs {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
                let problem = format!("a name has 1 to {NAME_BYTES_MAX} bytes, no NUL");
                return Err(Error::field(field, problem));
            }
            if !seen.insert(name) {
                return Err(Error::field(field, format!("{name:?} is there twice")));
            }
            bytes += name.len() + value.len();
        }
        if bytes > XATTRS_BYTES_MAX {
            let problem = format!("{bytes} bytes; an entry has at most {XATTRS_BYTES_MAX} of them");
            return Err(Error::field(field, problem));
        }
        Ok(Self(pairs))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in the order of the names.
    pub fn pairs(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }

    /// Bytes of names and values.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{XATTRS_BYTES_MAX, Xattrs};

    fn parse(pairs: &[(&str, usize)]) -> Option<Xattrs> {
        let pairs = pairs.iter().map(|(name, bytes)| ((*name).to_owned(), vec![7; *bytes]));
        Xattrs::parse(pairs.collect(), "xattrs").ok()
    }

    #[test]
    fn the_order_in_which_they_come_does_not_count() {
        assert_eq!(parse(&[("user.b", 1), ("user.a", 2)]), parse(&[("user.a", 2), ("user.b", 1)]));
        assert_eq!(parse(&[("a", 3), ("b", 4)]).unwrap().bytes(), 9);
        assert!(parse(&[]).unwrap().is_empty());
    }

    #[test]
    fn the_limits_hold_exactly() {
        assert!(parse(&[("a", XATTRS_BYTES_MAX - 1)]).is_some());
        assert!(parse(&[("a", XATTRS_BYTES_MAX)]).is_none());
        assert!(parse(&[(&"n".repeat(255), 1)]).is_some());
        assert!(parse(&[(&"n".repeat(256), 1)]).is_none());
        for pairs in [vec![("", 1)], vec![("a\0", 1)], vec![("a", 1), ("a", 2)]] {
            assert!(parse(&pairs).is_none(), "{pairs:?}");
        }
    }
}
