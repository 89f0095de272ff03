//! Which names an entry may have, and which names count as the same. The server has the last word; the
//! same rules here let a put name every problem before anything is sent, and keep a get from writing a
//! name that no honest server has.

use std::collections::HashMap;

use caseless::default_case_fold_str;
use unicode_normalization::UnicodeNormalization as _;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// The deepest entry, in names below the root.
pub(crate) const DEPTH_MAX: usize = 128;
/// The longest path, in bytes.
pub(crate) const PATH_BYTES_MAX: usize = 4096;

/// What is wrong with a name.
pub(crate) fn problem(name: &str) -> Option<&'static str> {
    match name {
        "" => return Some("a name cannot be empty"),
        "." | ".." => return Some("`.` and `..` are no names"),
        _ if name.len() > NAME_BYTES_MAX => return Some("a name is at most 255 bytes long"),
        _ => {}
    }
    name.chars().find_map(|character| match character {
        '/' => Some("a name cannot contain `/`"),
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => {
            Some("a name cannot contain characters that turn the direction of text")
        }
        _ if character.is_control() => Some("a name cannot contain control characters"),
        _ => None,
    })
}

/// What two names share when one folder may not hold both: NFC, full case folding, NFC.
pub(crate) fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let composed: String = name.nfc().collect();
    default_case_fold_str(&composed).nfc().collect()
}

/// For each name that has a twin before it, the place of the name and that of the first twin.
pub(crate) fn twins<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<(usize, usize)> {
    let mut first = HashMap::new();
    let mut found = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        match first.entry(fold(name)) {
            std::collections::hash_map::Entry::Occupied(earlier) => {
                found.push((place, *earlier.get()));
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(place);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{fold, problem, twins};

    #[test]
    fn names_that_no_folder_may_hold_are_refused() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "a\0", "a\n", "\u{1b}[m", "\u{9b}", "\u{202e}x", &long] {
            assert!(problem(name).is_some(), "{name:?}");
        }
        let longest = "x".repeat(255);
        for name in ["...", " ", "CON", "a:b", "日本語", "-rf", "a\\b", &longest] {
            assert_eq!(problem(name), None, "{name:?}");
        }
    }

    #[test]
    fn twins_are_found_in_every_disguise() {
        assert_eq!(twins(["README", "a", "readme"]), [(2, 0)]);
        assert_eq!(twins(["\u{e9}", "e\u{301}", "\u{c9}"]), [(1, 0), (2, 0)]);
        assert_eq!(twins(["STRASSE", "straße"]), [(1, 0)]);
        assert_eq!(twins(["a", "b", "ä"]), []);
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(name in any::<String>()) {
            prop_assert_eq!(fold(&fold(&name)), fold(&name));
        }

        #[test]
        fn an_accepted_name_is_one_name(name in any::<String>()) {
            if problem(&name).is_none() {
                prop_assert!(!name.contains('/') && !name.chars().any(char::is_control));
            }
        }
    }
}
