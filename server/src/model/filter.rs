//! What somebody looks for in a tree: by name, size, time and kind.

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};
use crate::model::{Entry, FileName, Node};

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;

/// A pattern that names are compared with: `*`, `?`, `[a-z]`, `{one,other}`.
#[derive(Clone, Debug)]
pub struct NamePattern(GlobMatcher);

impl NamePattern {
    /// Accepts a glob. It is matched in time that grows with the name, whatever the pattern is.
    pub fn parse(text: &str, ignore_case: bool, field: &str) -> Result<Self> {
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || text.contains('/') {
            let problem = format!("a pattern of a name has 1 to {PATTERN_BYTES_MAX} bytes, no `/`");
            return Err(Error::field(field, problem));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .case_insensitive(ignore_case)
            .build()
            .map_err(|error| Error::field(field, format!("{text:?}: {}", error.kind())))?;
        Ok(Self(glob.compile_matcher()))
    }

    fn matches(&self, name: &FileName) -> bool {
        self.0.is_match(name.as_str())
    }
}

/// What an entry must be to be found; what is not said lets all through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Its name.
    pub name: Option<NamePattern>,
    /// Whether files, folders and symlinks are looked for.
    pub kinds: Kinds,
    /// Bytes at least; of files alone.
    pub size_min: Option<u64>,
    /// Bytes at most; of files alone.
    pub size_max: Option<u64>,
    /// Modified at this time or later, in nanoseconds since 1970.
    pub modified_from: Option<i64>,
    /// Modified before this time, in nanoseconds since 1970.
    pub modified_before: Option<i64>,
}

/// Which kinds are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// Files.
    pub files: bool,
    /// Folders.
    pub folders: bool,
    /// Symlinks.
    pub symlinks: bool,
}

impl Default for Kinds {
    fn default() -> Self {
        Self { files: true, folders: true, symlinks: true }
    }
}

impl Filter {
    /// Whether this entry is looked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        let kind = match entry.node {
            Node::File { .. } => self.kinds.files,
            Node::Folder => self.kinds.folders,
            Node::Symlink { .. } => self.kinds.symlinks,
        };
        kind && self.has_size(&entry.node)
            && self.modified_from.is_none_or(|from| entry.modified_ns >= from)
            && self.modified_before.is_none_or(|before| entry.modified_ns < before)
            && self.has_name(entry.name.as_ref())
    }

    fn has_size(&self, node: &Node) -> bool {
        match node {
            Node::File { content, .. } => {
                self.size_min.is_none_or(|min| content.size >= min)
                    && self.size_max.is_none_or(|max| content.size <= max)
            }
            Node::Folder | Node::Symlink { .. } => {
                self.size_min.is_none() && self.size_max.is_none()
            }
        }
    }

    fn has_name(&self, name: Option<&FileName>) -> bool {
        match (&self.name, name) {
            (None, _) => true,
            (Some(pattern), Some(name)) => pattern.matches(name),
            (Some(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NamePattern;
    use crate::model::FileName;

    fn matches(pattern: &str, ignore_case: bool, name: &str) -> bool {
        let name = FileName::parse(name).unwrap();
        NamePattern::parse(pattern, ignore_case, "name").unwrap().matches(&name)
    }

    #[test]
    fn patterns_are_those_of_shells() {
        for (pattern, name) in [
            ("*", ".hidden"),
            ("*.pdf", "q3.pdf"),
            ("q?.pdf", "q3.pdf"),
            ("q[0-9].{pdf,txt}", "q3.txt"),
            ("\\*", "*"),
            ("ä*", "ähnlich"),
        ] {
            assert!(matches(pattern, false, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.pdf", "q3.PDF"), ("q?.pdf", "q33.pdf"), ("q", "q3")] {
            assert!(!matches(pattern, false, name), "{pattern} {name}");
        }
        assert!(matches("*.pdf", true, "Q3.PDF"));
        for pattern in ["", "a/b", "[", "{a", &"x".repeat(1_025)] {
            assert!(NamePattern::parse(pattern, false, "name").is_err(), "{pattern:?}");
        }
    }
}
