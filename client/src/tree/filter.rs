//! What of a tree is left out: `--exclude` and `--include`, in the patterns of gitignore(5), and what the tree's
//! own `.gitignore` files say.
//!
//! The last pattern that matches decides, includes after excludes; the command line before the tree's files,
//! and of those the deepest. What is in a folder that is left out is never looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, Result};

/// The flags.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FilterArgs {
    /// Leave out what is like this, in a tree; as in .gitignore: *.o, /build/, docs/**/*.pdf
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// But not what is like this
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
}

/// What is left out.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    rules: Gitignore,
    /// Whether `.gitignore` files are read.
    reads_gitignore: bool,
    /// Those of the folders from the root of the tree down to the one that is looked at.
    found: Vec<PathBuf>,
    /// All of them by folder, also those of folders that were left.
    files: BTreeMap<PathBuf, Gitignore>,
}

/// The file that says what git leaves out.
const GITIGNORE: &str = ".gitignore";

impl FilterArgs {
    /// What the flags say; `reads_gitignore`: and the `.gitignore` files of the tree.
    pub(crate) fn filter(&self, reads_gitignore: bool) -> Result<Filter> {
        // Of paths below the root of a tree, wherever that is.
        let mut rules = GitignoreBuilder::new("");
        // git takes `[` for itself where no `]` follows; typed, it is a slip that would leave nothing out.
        rules.allow_unclosed_class(false);
        let includes = self.include.iter().map(|pattern| format!("!{pattern}"));
        for line in self.exclude.iter().cloned().chain(includes) {
            let wrong = |error: &dyn std::fmt::Display| {
                Error::usage(format!("the pattern {:?}: {error}", line.trim_start_matches('!')))
            };
            if line.trim_start_matches('!').is_empty() {
                return Err(wrong(&"it is empty"));
            }
            rules.add_line(None, &line).map_err(|error| wrong(&error))?;
        }
        let rules = rules.build().map_err(|error| Error::usage(error.to_string()))?;
        Ok(Filter { rules, reads_gitignore, found: Vec::new(), files: BTreeMap::new() })
    }
}

impl Filter {
    /// Lets everything through.
    pub(crate) fn none() -> Self {
        Self {
            rules: Gitignore::empty(),
            reads_gitignore: false,
            found: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// Whether anything could be left out.
    pub(crate) fn is_none(&self) -> bool {
        self.rules.is_empty() && !self.reads_gitignore
    }

    /// Goes into a folder of this machine; what its `.gitignore` says holds until it is left. A line that
    /// is no pattern says nothing, as in git.
    pub(crate) fn enter(&mut self, local: &Path) {
        if self.reads_gitignore {
            let file = local.join(GITIGNORE);
            if file.is_file() {
                self.files.insert(local.to_owned(), Gitignore::new(file).0);
            }
            self.found.push(local.to_owned());
        }
    }

    /// Leaves the folder that was entered last.
    pub(crate) fn leave(&mut self) {
        self.found.pop();
    }

    /// Whether something is left out: at `path` below the root of the tree, and at `local` on this machine.
    pub(crate) fn leaves_out(&self, path: &str, local: &Path, is_folder: bool) -> bool {
        let above = self.found.iter().rev().map(PathBuf::as_path);
        self.decides(path, (local, above), is_folder)
    }

    /// The same after the walk, and of something that need not be here, with all folders that it is in.
    /// `root` is where the tree is on this machine.
    pub(crate) fn leaves_out_below(&self, path: &str, root: &Path, is_folder: bool) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| (end, true));
        ends.chain([(path.len(), is_folder)]).any(|(end, is_folder)| {
            let local = root.join(&path[..end]);
            let above = local.ancestors().skip(1).take_while(|above| above.starts_with(root));
            self.decides(&path[..end], (&local, above), is_folder)
        })
    }

    /// Whether something alone is left out; `above` has the folders that it is in, the deepest first.
    fn decides<'a>(
        &self,
        path: &str,
        (local, above): (&Path, impl Iterator<Item = &'a Path>),
        is_folder: bool,
    ) -> bool {
        let mut decided = match self.rules.is_empty() {
            true => Match::None,
            false => self.rules.matched(path, is_folder),
        };
        if !self.files.is_empty() {
            for file in above.filter_map(|folder| self.files.get(folder)) {
                if decided.is_none() {
                    decided = file.matched(local, is_folder);
                }
            }
        }
        decided.is_ignore()
    }

    /// The same of something on the server, with all folders that it is in.
    pub(crate) fn leaves_out_remote(&self, path: &str, is_folder: bool) -> bool {
        !self.rules.is_empty()
            && self.rules.matched_path_or_any_parents(path, is_folder).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FilterArgs;

    fn out(exclude: &[&str], include: &[&str], path: &str, is_folder: bool) -> bool {
        let owned = |list: &[&str]| list.iter().map(|&pattern| pattern.to_owned()).collect();
        let arguments = FilterArgs { exclude: owned(exclude), include: owned(include) };
        arguments.filter(false).unwrap().leaves_out(path, Path::new("/nowhere"), is_folder)
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        for (pattern, path, is_folder) in [
            ("*.o", "a/b.o", false),
            ("/build", "build", true),
            ("build/", "a/build", true),
            ("docs/**/*.pdf", "docs/a/b/c.pdf", false),
            ("a b", "x/a b", false),
            ("\\!odd", "!odd", false),
        ] {
            assert!(out(&[pattern], &[], path, is_folder), "{pattern} {path}");
        }
        for (pattern, path, is_folder) in
            [("/build", "a/build", true), ("build/", "a/build", false), ("*.o", "o", false)]
        {
            assert!(!out(&[pattern], &[], path, is_folder), "{pattern} {path}");
        }
    }

    #[test]
    fn an_include_takes_back_what_an_exclude_says() {
        assert!(!out(&["*.log"], &["keep.log"], "a/keep.log", false));
        assert!(out(&["*.log"], &["keep.log"], "a/other.log", false));
        assert!(!out(&[], &["keep.log"], "a/other", false), "nothing is left out by an include");
        let arguments = FilterArgs { exclude: vec![String::new()], include: Vec::new() };
        assert!(arguments.filter(false).is_err());
        let arguments = FilterArgs { exclude: vec!["a[".into()], include: Vec::new() };
        assert!(arguments.filter(false).is_err());
    }

    #[test]
    fn on_the_server_what_is_in_a_folder_goes_with_it() {
        let arguments = FilterArgs { exclude: vec!["build/".into()], include: Vec::new() };
        let filter = arguments.filter(false).unwrap();
        assert!(filter.leaves_out_remote("a/build/x/y.o", false));
        assert!(!filter.leaves_out_remote("a/built/x", false));
    }

    #[test]
    fn the_deepest_gitignore_decides() {
        let dir = tempfile::TempDir::new().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(dir.path().join(".gitignore"), "*.log\n/top\n").unwrap();
        std::fs::write(below.join(".gitignore"), "!keep.log\n").unwrap();
        let arguments = FilterArgs { exclude: vec!["*.tmp".into()], include: Vec::new() };
        let mut filter = arguments.filter(true).unwrap();
        filter.enter(dir.path());
        let at = |name: &str| dir.path().join(name);
        assert!(filter.leaves_out("a.log", &at("a.log"), false));
        assert!(filter.leaves_out("top", &at("top"), false));
        assert!(filter.leaves_out("a.tmp", &at("a.tmp"), false));
        filter.enter(&below);
        assert!(!filter.leaves_out("below/keep.log", &below.join("keep.log"), false));
        assert!(filter.leaves_out("below/a.log", &below.join("a.log"), false));
        assert!(!filter.leaves_out("below/top", &below.join("top"), false), "above alone");
        filter.leave();
        assert!(filter.leaves_out("keep.log", &at("keep.log"), false));
    }
}
