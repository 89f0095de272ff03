//! The project's Rust sources, read and parsed once for all checks.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::LineColumn;
use syn::spanned::Spanned;

/// The crates of the workspace, which are also its folders.
pub(crate) const CRATES: [&str; 4] = ["proto", "server", "client", "tests"];

/// One file.
pub(crate) struct Source {
    /// From the root of the repository, such as `server/src/rpc/files.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

impl Source {
    pub(crate) fn parse(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path, text, syntax }
    }

    /// Where to look, as editors and terminals understand it.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Every .rs file of the workspace, in the order of their paths.
pub(crate) fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = Vec::new();
    for name in CRATES {
        collect(&root.join(name), &mut paths);
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source is readable UTF-8");
            let shown = path.strip_prefix(&root).expect("it lies below the root");
            Source::parse(shown.to_string_lossy(), text)
        })
        .collect()
}

/// The lines something takes up.
pub(crate) fn lines_of(item: &impl Spanned) -> usize {
    let LineColumn { line: last, .. } = item.span().end();
    last + 1 - first_line_of(item)
}

/// The line something begins on.
pub(crate) fn first_line_of(item: &impl Spanned) -> usize {
    item.span().start().line
}

/// Whether an item is there for unit tests only.
pub(crate) fn is_test_module(module: &syn::ItemMod) -> bool {
    module.attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace can be listed") {
        let path = entry.expect("a folder of the workspace can be listed").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}
