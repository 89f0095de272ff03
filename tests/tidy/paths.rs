//! Which paths a file names, read from its tokens: `a::b` looks the same in a `use`, in an expression and
//! inside a macro call, which no syntax tree reaches. `use` groups are spread out, and a path that
//! starts with `self` or `super` is written out from the crate's root.

use proc_macro2::{Spacing, TokenStream, TokenTree};

use crate::sources::Source;

/// A path that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its segments; `crate` is this crate's root.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Everything in it, as in `use a::b::*`.
    pub(crate) glob: bool,
}

/// All paths of a file: those of `use` items, and elsewhere those of at least two segments.
pub(crate) fn of(source: &Source) -> Vec<Named> {
    let mut finder = Finder { module: module_of(&source.path), named: Vec::new() };
    let tokens = source.text.parse().expect("what parses as a file has tokens");
    finder.read(tokens, None);
    finder.named
}

/// The modules from the crate's root to a file: `server/src/rpc/files.rs` is `rpc`, `files`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let inside = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    match inside {
        "lib" | "main" => Vec::new(),
        _ => inside.split('/').map(str::to_owned).collect(),
    }
}

struct Finder {
    /// The module that is being read, from the crate's root.
    module: Vec<String>,
    named: Vec<Named>,
}

impl Finder {
    /// Reads tokens; those in the braces of a `use` come with the path before the braces.
    fn read(&mut self, tokens: TokenStream, braced: Option<&[String]>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let before = braced.unwrap_or_default();
        let mut importing = braced.is_some();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at..] {
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body), ..]
                    if word == "mod" =>
                {
                    self.module.push(name.to_string());
                    self.read(body.stream(), None);
                    self.module.pop();
                    at += 3;
                }
                // `use<'a>` is a bound, no import.
                [TokenTree::Ident(word), next, ..] if word == "use" && !is_mark(next, '<') => {
                    importing = true;
                    at += 1;
                }
                [TokenTree::Ident(word), TokenTree::Ident(_), ..] if importing && word == "as" => {
                    at += 2;
                }
                [TokenTree::Ident(_), ..] => {
                    at += self.path(&tokens[at..], before, importing);
                }
                [TokenTree::Group(group), ..] => {
                    self.read(group.stream(), None);
                    at += 1;
                }
                [mark, ..] => {
                    if importing && is_mark(mark, '*') {
                        self.add(before.to_vec(), mark, true);
                    }
                    importing &= !is_mark(mark, ';');
                    at += 1;
                }
                [] => unreachable!("the loop ends before"),
            }
        }
    }

    /// Reads the path that the tokens begin with, and says how many of them it took.
    fn path(&mut self, tokens: &[TokenTree], before: &[String], importing: bool) -> usize {
        let mut segments = before.to_vec();
        let (mut at, mut glob) = (0, false);
        while let Some(TokenTree::Ident(name)) = tokens.get(at) {
            segments.push(name.to_string());
            at += 1;
            let Some(rest) = after_colons(&tokens[at..]) else {
                break;
            };
            match rest.first() {
                Some(TokenTree::Ident(_)) => at += 2,
                Some(TokenTree::Group(group)) => {
                    self.read(group.stream(), Some(&segments));
                    return at + 3;
                }
                Some(mark) if is_mark(mark, '*') => {
                    glob = true;
                    at += 3;
                }
                _ => break,
            }
        }
        if importing || glob || segments.len() > 1 {
            self.add(segments, &tokens[0], glob);
        }
        at
    }

    fn add(&mut self, segments: Vec<String>, first: &TokenTree, glob: bool) {
        let segments = self.written_out(segments);
        let line = first.span().start().line;
        self.named.push(Named { segments, line, glob });
    }

    /// Writes `self` and `super` out; `a::{self}` is `a`.
    fn written_out(&self, mut segments: Vec<String>) -> Vec<String> {
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let ups = segments.iter().take_while(|name| *name == "self" || *name == "super").count();
        if ups == 0 {
            return segments;
        }
        let levels = segments[..ups].iter().filter(|name| *name == "super").count();
        let kept = self.module.len().saturating_sub(levels);
        let root = std::iter::once("crate".to_owned());
        root.chain(self.module[..kept].iter().cloned()).chain(segments.split_off(ups)).collect()
    }
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// What follows a `::`.
fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(first), second, rest @ ..]
            if first.as_char() == ':'
                && first.spacing() == Spacing::Joint
                && is_mark(second, ':') =>
        {
            Some(rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, of};

    fn named(path: &str, text: &str) -> Vec<String> {
        let source = Source::parse(path, text);
        of(&source).into_iter().map(|named| named.segments.join("::")).collect()
    }

    #[test]
    fn groups_are_spread_out() {
        let text = "pub use crate::{db::{self, Db as Store}, model};";
        let expected = ["crate::db", "crate::db::Db", "crate::model"];
        assert_eq!(named("server/src/files.rs", text), expected);
    }

    #[test]
    fn relative_paths_start_from_the_root() {
        let text = "use super::auth; mod tests { use super::super::db; fn f() { self::g::h() } }";
        let expected = ["crate::rpc::auth", "crate::rpc::db", "crate::rpc::files::tests::g::h"];
        assert_eq!(named("server/src/rpc/files.rs", text), expected);
        assert_eq!(named("server/src/rpc/mod.rs", "use super::db;"), ["crate::db"]);
    }

    #[test]
    fn macros_attributes_types_and_bounds_count() {
        let text = "#[a::b] fn f(x: c::D<e::F>) -> impl Sized + use<'_> { m!(g::h[i::J::<k::L>]) }";
        assert_eq!(
            named("client/src/x.rs", text),
            ["a::b", "c::D", "e::F", "g::h", "i::J", "k::L"]
        );
    }

    #[test]
    fn a_lone_name_counts_in_a_use_alone() {
        assert_eq!(named("client/src/x.rs", "use a; use ::b as c; fn d() { e() }"), ["a", "b"]);
    }
}
