//! Paths of trees: `/a/b` in the caller's own, `ann:/a/b` in another account's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{AccountId, AccountName, FileName};

/// The deepest entry, in names below the root.
pub const PATH_DEPTH_MAX: usize = 128;

/// The longest path, in bytes, without the account before it.
pub const PATH_BYTES_MAX: usize = 4096;

/// The names from the root of a tree to an entry; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TreePath(Vec<FileName>);

impl TreePath {
    /// The names, from the root on.
    pub fn names(&self) -> &[FileName] {
        &self.0
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last name and the path of the folder it is in; `None` for the root.
    pub fn split_last(&self) -> Option<(&FileName, &[FileName])> {
        self.0.split_last()
    }

    /// Parses names joined by `/`, such as `a/b`; the empty text is the place it starts from.
    pub fn parse_relative(text: &str, field: &str) -> Result<Self> {
        if text.len() > PATH_BYTES_MAX {
            return Err(Error::field(field, "a path is at most 4,096 bytes long"));
        }
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<FileName> = text
            .split('/')
            .map(|name| {
                FileName::parse(name)
                    .map_err(|problem| Error::field(field, format!("{text:?}: {problem}")))
            })
            .collect::<Result<_>>()?;
        if names.len() > PATH_DEPTH_MAX {
            return Err(Error::field(field, "a path is at most 128 names deep"));
        }
        Ok(Self(names))
    }

    /// This path and one of its relatives below it, within the limits of a path.
    pub fn join(&self, below: &Self, field: &str) -> Result<Self> {
        let names: Vec<FileName> = self.0.iter().chain(&below.0).cloned().collect();
        let bytes: usize = names.iter().map(|name| name.as_str().len() + 1).sum();
        if names.len() > PATH_DEPTH_MAX || bytes > PATH_BYTES_MAX {
            return Err(Error::field(
                field,
                "a path is at most 128 names deep and 4,096 bytes long",
            ));
        }
        Ok(Self(names))
    }

    /// Whether `other` is this or below it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl From<Vec<FileName>> for TreePath {
    fn from(names: Vec<FileName>) -> Self {
        Self(names)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

/// A path in somebody's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Whose; `None` is the caller's own.
    pub owner: Option<AccountName>,
    /// Where in it.
    pub path: TreePath,
}

impl Location {
    /// Parses `/a/b` or `ann:/a/b`; one `/` at the end is allowed.
    pub fn parse(text: &str, field: &str) -> Result<Self> {
        let (owner, rest) = match text.split_once(":/") {
            Some((owner, _)) if !owner.contains('/') => {
                let owner_name = AccountName::parse(owner)
                    .map_err(|error| Error::field(field, error.message().to_owned()))?;
                (Some(owner_name), &text[owner.len() + 1..])
            }
            _ => (None, text),
        };
        let Some(rest) = rest.strip_prefix('/') else {
            let hint = "a path begins with `/`, or with an account's name and `:/`";
            return Err(Error::field(field, format!("{text:?}: {hint}")));
        };
        let rest = rest.strip_suffix('/').filter(|names| !names.is_empty()).unwrap_or(rest);
        let path = TreePath::parse_relative(rest, field)?;
        Ok(Self { owner, path })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{owner}:")?;
        }
        self.path.fmt(f)
    }
}

/// A place in a tree whose owner is known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Whose tree.
    pub account: AccountId,
    /// As the caller named it; `None` is the caller's own.
    pub owner: Option<AccountName>,
    /// Where in it.
    pub path: TreePath,
}

impl At {
    /// The same tree, another path.
    pub fn beside(&self, path: TreePath) -> Self {
        Self { account: self.account, owner: self.owner.clone(), path }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{owner}:")?;
        }
        self.path.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    fn shown(text: &str) -> Option<String> {
        Location::parse(text, "path").ok().map(|location| location.to_string())
    }

    #[test]
    fn both_forms_are_parsed() {
        assert_eq!(shown("/").as_deref(), Some("/"));
        assert_eq!(shown("/a/b").as_deref(), Some("/a/b"));
        assert_eq!(shown("/a/b/").as_deref(), Some("/a/b"));
        assert_eq!(shown("ann:/a").as_deref(), Some("ann:/a"));
        assert_eq!(shown("ann:/").as_deref(), Some("ann:/"));
        assert_eq!(shown("/a:/b").as_deref(), Some("/a:/b"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", "a", "a/b", "//", "/a//b", "/../a", "/a/./b", "/a/\u{202e}", "a b:/x", ":/x"]
        {
            assert_eq!(shown(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_limits_hold_exactly() {
        assert!(shown(&"/a".repeat(128)).is_some());
        assert!(shown(&"/a".repeat(129)).is_none());
        let name = "x".repeat(255);
        let longest = format!("/{name}").repeat(16);
        assert_eq!(longest.len(), 4096);
        assert!(shown(&longest).is_some());
        assert!(shown(&format!("{longest}/y")).is_none());
    }
}
