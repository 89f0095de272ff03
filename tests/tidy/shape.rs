//! Does a file look as in this house: a head that says what it is, no globs, no leftovers, names that
//! mean something, and sizes that a reader can hold?

use syn::visit::{self, Visit};

use crate::paths;
use crate::sources::{Source, first_line_of, is_test_module, lines_of};

/// Lines of a file, its test modules not counted.
pub(crate) const FILE_LINES_MAX: usize = 700;
/// The same, of nine files in ten.
pub(crate) const FILE_LINES_P90_MAX: usize = 400;
/// Lines of a function past which it is a design question.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
/// So many functions of a hundred may be longer: fewer than this.
pub(crate) const LONG_FUNCTIONS_PERCENT: usize = 4;

const EMPTY_NAMES: [&str; 6] = ["Manager", "Helper", "Helpers", "Util", "Utils", "Handler"];
// Cut in two, so that this file may be read by its own check.
const LEFTOVERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[", "ignore")];

/// What is wrong with a file by itself, one line each.
pub(crate) fn complaints(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if !source.text.starts_with("//!") {
        found.push(format!(
            "{}: begins without `//!`; say what the file is and promises",
            source.path
        ));
    }
    let globs = paths::of(source).into_iter().filter(|named| named.glob);
    found.extend(
        globs.map(|named| format!("{}: a glob import hides what is used", source.at(named.line))),
    );
    for (index, line) in source.text.lines().enumerate() {
        let leftover = LEFTOVERS.iter().find(|mark| line.contains(**mark));
        found.extend(leftover.map(|mark| format!("{}: {mark} is left", source.at(index + 1))));
    }
    let lines = file_lines(source);
    if lines > FILE_LINES_MAX {
        found.push(format!("{}: {lines} lines; the most is {FILE_LINES_MAX}", source.path));
    }
    let mut names = Names { source, found };
    names.visit_file(&source.syntax);
    names.found
}

/// What is wrong with all files together.
pub(crate) fn complaints_about_all(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines: Vec<usize> = sources.iter().map(file_lines).collect();
    lines.sort_unstable();
    let p90 = lines[(lines.len() - 1) * 9 / 10];
    if p90 > FILE_LINES_P90_MAX {
        found.push(format!(
            "one file in ten is longer than {p90} lines; the aim is {FILE_LINES_P90_MAX}"
        ));
    }
    let functions: Vec<Function> = sources.iter().flat_map(functions).collect();
    let long: Vec<&Function> =
        functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX).collect();
    if !long.is_empty() && long.len() * 100 >= functions.len() * LONG_FUNCTIONS_PERCENT {
        found.push(format!("{} of {} functions are too long", long.len(), functions.len()));
        found.extend(
            long.iter().map(|function| format!("{}: {} lines", function.at, function.lines)),
        );
    }
    found
}

/// Lines that are not test modules.
fn file_lines(source: &Source) -> usize {
    let tests = source.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if is_test_module(module) => Some(lines_of(module)),
        _ => None,
    });
    source.text.lines().count() - tests.sum::<usize>()
}

struct Function {
    at: String,
    lines: usize,
}

fn functions(source: &Source) -> Vec<Function> {
    let mut lengths = Lengths { source, found: Vec::new() };
    lengths.visit_file(&source.syntax);
    lengths.found
}

struct Lengths<'a> {
    source: &'a Source,
    found: Vec<Function>,
}

impl Lengths<'_> {
    fn add(&mut self, name: &syn::Ident, block: &syn::Block) {
        let at = self.source.at(first_line_of(name));
        self.found.push(Function { at, lines: lines_of(block) });
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

struct Names<'a> {
    source: &'a Source,
    found: Vec<String>,
}

impl Names<'_> {
    fn function(&mut self, name: &syn::Ident) {
        if name.to_string().starts_with("get_") {
            let at = self.source.at(first_line_of(name));
            self.found.push(format!("{at}: `{name}`: say what it gives, without `get_`"));
        }
    }

    fn noun(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        if EMPTY_NAMES.iter().any(|empty| text.ends_with(empty)) {
            let at = self.source.at(first_line_of(name));
            self.found.push(format!("{at}: `{name}` does not say what it is"));
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident);
        visit::visit_item_fn(self, item);
    }

    // In another's trait the names are not ours; in one of our own they are judged where it is declared.
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        for member in &item.items {
            match member {
                syn::ImplItem::Fn(function) if item.trait_.is_none() => {
                    self.function(&function.sig.ident);
                }
                _ => {}
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig.ident);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.noun(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.noun(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.noun(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.noun(&item.ident);
        visit::visit_item_trait(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        FILE_LINES_MAX, FUNCTION_LINES_MAX, LEFTOVERS, Source, complaints, complaints_about_all,
    };

    fn file(text: &str) -> Source {
        Source::parse("server/src/files.rs", format!("//! A file.\n{text}"))
    }

    fn flagged(text: &str) -> bool {
        !complaints(&file(text)).is_empty()
    }

    #[test]
    fn what_does_not_belong_is_flagged() {
        assert!(
            !complaints(&Source::parse("proto/build.rs", "fn main() {}")).is_empty(),
            "no head"
        );
        for text in [
            "use std::fmt::*;",
            "use std::{fmt::{self, *}, io};",
            "fn f() { m!(use crate::model::*;) }",
            "fn get_name() {}",
            "impl Name { fn get_text(&self) {} }",
            "trait Names { fn get_all(&self); }",
            "struct ChunkManager;",
            "enum PathUtil {}",
            "trait FillHandler {}",
            "type PutHelper = u8;",
        ] {
            assert!(flagged(text), "{text}");
        }
        for mark in LEFTOVERS {
            assert!(flagged(&format!("// {mark}")), "{mark}");
        }
    }

    #[test]
    fn what_belongs_passes() {
        for text in
            ["fn target() {}", "impl Foreign for Name { fn get_ref(&self) {} }", "struct Utility;"]
        {
            assert_eq!(complaints(&file(text)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_file_may_be_as_long_as_the_most_and_no_longer() {
        let most = "\n".repeat(FILE_LINES_MAX - 1);
        let tests = "#[cfg(test)]\nmod tests {\n\n\n}\n";
        assert!(!flagged(&most));
        assert!(!flagged(&(most.clone() + tests)), "test modules do not count");
        assert!(flagged(&(most + "\n")));
    }

    #[test]
    fn the_tail_of_long_files_and_functions_is_flagged() {
        let long_file = || file(&"\n".repeat(500));
        assert!(!complaints_about_all(&[long_file()]).is_empty());
        let tenth: Vec<Source> = (0..10).map(|_| file("")).chain([long_file()]).collect();
        assert_eq!(complaints_about_all(&tenth), Vec::<String>::new());

        let function = |lines: usize| format!("fn f() {{{}}}\n", "\n".repeat(lines - 1));
        let mixed = |short: usize| {
            let all = function(1).repeat(short) + &function(FUNCTION_LINES_MAX + 1);
            complaints_about_all(&[file(&all)])
        };
        assert!(!mixed(24).is_empty(), "one of 25 is four of a hundred");
        assert!(mixed(25).is_empty(), "one of 26 is less");
        assert!(complaints_about_all(&[file(&function(FUNCTION_LINES_MAX))]).is_empty());
    }
}
