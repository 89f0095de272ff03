//! A path on the server: `/a/b` in the caller's own tree, `ann:/a/b` in another account's.

use std::fmt;

use crate::error::{Error, Exit, Result};
use crate::names;

/// A path that the server can have, without `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemotePath {
    owner: Option<String>,
    names: Vec<String>,
}

impl RemotePath {
    /// Reads a path as it is typed: `.` and doubled slashes are taken out, and so is `..`, which can only
    /// stand at the end.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (owner, rest) = match text.split_once(":/") {
            Some((owner, _)) if !owner.is_empty() && !owner.contains('/') => {
                (Some(owner.to_owned()), &text[owner.len() + 1..])
            }
            _ => (None, text),
        };
        if !rest.starts_with('/') {
            return Err(Error::usage(format!(
                "`{text}` is no path on the server: it begins with `/`, or with an account and `:/`"
            )));
        }
        let mut path = Self { owner, names: Vec::new() };
        let mut goes_up = false;
        for name in rest.split('/') {
            match name {
                "" | "." => {}
                ".." => {
                    path.names.pop();
                    goes_up = true;
                }
                _ if goes_up => return Err(goes_up_inside(text)),
                _ => path.names.push(name.to_owned()),
            }
        }
        path.check()?;
        Ok(path)
    }

    /// Paths as they are typed; the root, where none is.
    pub(crate) fn parse_all(typed: &[String]) -> Result<Vec<Self>> {
        match typed {
            [] => Ok(vec![Self::root()]),
            typed => typed.iter().map(|path| Self::parse(path)).collect(),
        }
    }

    /// The root of the caller's own tree.
    pub(crate) fn root() -> Self {
        Self { owner: None, names: Vec::new() }
    }

    /// Whose tree it is in; none for the caller's own.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The names from the root on.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn is_root(&self) -> bool {
        self.names.is_empty()
    }

    /// The last name; none for the root.
    pub(crate) fn name(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// The folder that it is in; the root is in itself.
    pub(crate) fn parent(&self) -> Self {
        let names = self.names.split_last().map_or(&[][..], |(_, before)| before);
        Self { owner: self.owner.clone(), names: names.to_vec() }
    }

    /// The entry of this name in it.
    pub(crate) fn join(&self, name: &str) -> Result<Self> {
        let mut path = self.clone();
        path.names.push(name.to_owned());
        path.check()?;
        Ok(path)
    }

    /// The path of what stands at `relative` below it, such as `a/b`; itself, where that is empty.
    pub(crate) fn below(&self, relative: &str) -> String {
        match relative {
            "" => self.to_string(),
            _ if self.is_root() => format!("{self}{relative}"),
            _ => format!("{self}/{relative}"),
        }
    }

    /// Bytes of the path without the account.
    pub(crate) fn bytes(&self) -> usize {
        self.names.iter().map(|name| name.len() + 1).sum()
    }

    fn check(&self) -> Result<()> {
        let problem = self.names.iter().find_map(|name| names::problem(name));
        let problem = match problem {
            None if self.names.len() > names::DEPTH_MAX => Some("a path is at most 128 names deep"),
            None if self.bytes() > names::PATH_BYTES_MAX => {
                Some("a path is at most 4,096 bytes long")
            }
            found => found,
        };
        match problem {
            None => Ok(()),
            Some(problem) => {
                let message = format!("{self}: {problem}");
                Err(Error::new(Exit::Usage, "INVALID_NAME", message).at(self.to_string()))
            }
        }
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{owner}:")?;
        }
        if self.names.is_empty() {
            return f.write_str("/");
        }
        self.names.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

fn goes_up_inside(text: &str) -> Error {
    let message = format!(
        "`{text}` goes up with `..` in the middle; a path on the server has it at its end at most"
    );
    Error::new(Exit::Usage, "INVALID_NAME", message).at(text)
}

#[cfg(test)]
mod tests {
    use super::RemotePath;

    fn shown(text: &str) -> Option<String> {
        RemotePath::parse(text).ok().map(|path| path.to_string())
    }

    #[test]
    fn paths_are_read_as_they_are_typed() {
        for (typed, path) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("//a//b", "/a/b"),
            ("/a/./b/..", "/a"),
            ("/..", "/"),
            ("/a/b/../.", "/a"),
            ("/a/b/../..", "/"),
            ("ann:/a", "ann:/a"),
            ("ann:/", "ann:/"),
            ("/a:/b", "/a:/b"),
            ("/a:b", "/a:b"),
        ] {
            assert_eq!(shown(typed).as_deref(), Some(path), "{typed:?}");
        }
        for wrong in
            ["", "a", "a/b", "./a", ":/a", "ann:a", "/a/../a", "/../a", "/a\u{202e}", "/a\nb"]
        {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_limits_hold_exactly() {
        assert!(shown(&"/a".repeat(128)).is_some());
        assert!(shown(&"/a".repeat(129)).is_none());
        let longest = format!("/{}", "x".repeat(255)).repeat(16);
        assert!(shown(&longest).is_some());
        assert!(shown(&format!("{longest}/y")).is_none());
    }

    #[test]
    fn the_root_is_in_itself() {
        let path = |text| RemotePath::parse(text).unwrap();
        assert_eq!(path("/a/b").parent(), path("/a"));
        assert_eq!(path("/").parent(), path("/"));
    }
}
