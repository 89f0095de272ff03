//! Where things go: *the target is the new name*, unless it ends in `/`, `.` or `..`, or there are
//! several sources, or one file meets an existing folder; then things go into it and keep their names.
//! One rule for put, get, mv and cp.

use crate::error::{Error, Exit, Result};
use crate::names;

/// One thing that is to go somewhere.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// As it was typed.
    pub(crate) typed: &'a str,
    /// The name it keeps when it goes into a folder; none for stdin and for a root.
    pub(crate) name: Option<String>,
    pub(crate) is_folder: bool,
}

/// What stands at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Nothing,
    File,
    Folder,
}

/// Where the sources go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The target is the new name of the only source.
    Exactly,
    /// Into the target, under these names, one for each source.
    Into(Vec<String>),
}

/// Whether a target says by its own form that things go into it.
pub(crate) fn says_into(target: &str) -> bool {
    let last = target.rsplit('/').next().unwrap_or_default();
    matches!(last, "" | "." | "..")
}

/// Whether what stands at the target matters at all.
pub(crate) fn depends_on_target(target: &str, sources: &[Source<'_>]) -> bool {
    !says_into(target) && matches!(sources, [only] if !only.is_folder)
}

/// Where each source goes.
pub(crate) fn place(target: &str, sources: &[Source<'_>], standing: Standing) -> Result<Place> {
    let goes_into = match sources {
        [] => return Err(Error::usage("there is nothing to do")),
        [only] => says_into(target) || (!only.is_folder && standing == Standing::Folder),
        _ => true,
    };
    if !goes_into {
        return match (sources[0].is_folder, standing) {
            (true, Standing::File) => {
                Err(in_the_way(target, "is a file, and no folder can go there"))
            }
            _ => Ok(Place::Exactly),
        };
    }
    if standing == Standing::File {
        return Err(in_the_way(target, "is a file, and nothing can go into it"));
    }
    let kept: Vec<String> = sources
        .iter()
        .map(|source| source.name.clone().ok_or_else(|| nameless(source.typed)))
        .collect::<Result<_>>()?;
    Ok(Place::Into(kept))
}

/// The sources that would have one name, or names that count as one.
pub(crate) fn same_names(place: &Place) -> Vec<(usize, usize)> {
    match place {
        Place::Exactly => Vec::new(),
        Place::Into(kept) => names::twins(kept.iter().map(String::as_str)),
    }
}

fn in_the_way(target: &str, problem: &str) -> Error {
    Error::new(Exit::Conflict, "TARGET_IS_FILE", format!("{target} {problem}")).at(target)
}

fn nameless(typed: &str) -> Error {
    Error::usage(format!("`{typed}` has no name to keep; give the target a name of its own"))
}

#[cfg(test)]
mod tests {
    use super::{Place, Source, Standing, depends_on_target, place, same_names, says_into};
    use crate::error::Exit;

    fn file(name: &str) -> Source<'_> {
        Source { typed: name, name: Some(name.to_owned()), is_folder: false }
    }

    fn folder(name: &str) -> Source<'_> {
        Source { is_folder: true, ..file(name) }
    }

    fn into(names: &[&str]) -> Place {
        Place::Into(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn a_target_may_say_into_by_its_form() {
        for target in ["/x/", "/", ".", "..", "/x/.", "/x/..", "./", "a/"] {
            assert!(says_into(target), "{target:?}");
        }
        for target in ["/x", "x", "...", "/x/.y", "/x/y..", "a.", "-"] {
            assert!(!says_into(target), "{target:?}");
        }
    }

    #[test]
    fn the_target_is_the_new_name() {
        let nothing = Standing::Nothing;
        assert_eq!(place("/x", &[file("a")], nothing).unwrap(), Place::Exactly);
        assert_eq!(place("/x", &[file("a")], Standing::File).unwrap(), Place::Exactly);
        assert_eq!(place("/x", &[folder("a")], nothing).unwrap(), Place::Exactly);
        assert_eq!(place("/x", &[folder("a")], Standing::Folder).unwrap(), Place::Exactly);
    }

    #[test]
    fn one_file_onto_a_folder_goes_into_it() {
        assert_eq!(place("/x", &[file("a")], Standing::Folder).unwrap(), into(&["a"]));
    }

    #[test]
    fn a_slash_or_several_sources_mean_into() {
        let nothing = Standing::Nothing;
        assert_eq!(place("/x/", &[file("a")], nothing).unwrap(), into(&["a"]));
        assert_eq!(place("/x/", &[folder("a")], Standing::Folder).unwrap(), into(&["a"]));
        assert_eq!(place("/x", &[file("a"), folder("b")], nothing).unwrap(), into(&["a", "b"]));
    }

    #[test]
    fn a_file_in_the_way_is_a_conflict() {
        for (target, sources) in [
            ("/x", vec![folder("a")]),
            ("/x/", vec![file("a")]),
            ("/x", vec![file("a"), file("b")]),
        ] {
            let error = place(target, &sources, Standing::File).unwrap_err();
            assert_eq!(error.exit(), Exit::Conflict, "{target}");
        }
    }

    #[test]
    fn what_has_no_name_needs_a_target_that_gives_one() {
        let stdin = || Source { typed: "-", name: None, is_folder: false };
        assert_eq!(place("/x", &[stdin()], Standing::Nothing).unwrap(), Place::Exactly);
        assert_eq!(place("/x/", &[stdin()], Standing::Nothing).unwrap_err().exit(), Exit::Usage);
        assert_eq!(place("/x", &[stdin()], Standing::Folder).unwrap_err().exit(), Exit::Usage);
        assert_eq!(place("/x", &[], Standing::Nothing).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn the_target_is_asked_for_only_where_it_decides() {
        assert!(depends_on_target("/x", &[file("a")]));
        assert!(!depends_on_target("/x/", &[file("a")]));
        assert!(!depends_on_target("/x", &[folder("a")]));
        assert!(!depends_on_target("/x", &[file("a"), file("b")]));
    }

    #[test]
    fn sources_of_one_name_are_found() {
        assert_eq!(same_names(&into(&["a", "b", "A"])), [(2, 0)]);
        assert_eq!(same_names(&Place::Exactly), []);
    }
}
