//! Names of entries, of accounts and of groups: what is accepted, and which names count as the same.
//!
//! A file name is kept exactly as it was sent. Two names are twins when they fold to the same key:
//! NFC, full Unicode case folding, NFC again (Unicode 3.13, D145 in its NFC form); a folder never holds
//! two of them, because some of the machines that fetch it could not hold both.

use std::fmt;

use caseless::default_case_fold_str;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// Version of the folding that `key` does: Unicode's major version. A store remembers the one its keys
/// were made with.
pub const FOLD_VERSION: u64 = caseless::UNICODE_VERSION.0;

/// The longest file name, in bytes: what the file systems of the day can hold.
pub const NAME_BYTES_MAX: usize = 255;

/// The longest name of an account or a group, in bytes.
pub const ACCOUNT_NAME_BYTES_MAX: usize = 64;

/// The name of one entry in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileName(String);

impl FileName {
    /// Accepts what every machine can hold and a terminal can show; says what is wrong otherwise.
    pub fn parse(text: &str) -> Result<Self, NameProblem> {
        match text {
            "" => return Err(NameProblem::Empty),
            "." | ".." => return Err(NameProblem::Dots),
            _ if text.len() > NAME_BYTES_MAX => return Err(NameProblem::TooLong),
            _ => {}
        }
        match text.chars().find_map(refused) {
            Some(problem) => Err(problem),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names share when one folder may not hold both.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a file name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// "".
    Empty,
    /// "." and "..".
    Dots,
    /// More than 255 bytes.
    TooLong,
    /// "/" cannot be part of a name.
    Slash,
    /// NUL, or another control character (C0, DEL, C1).
    Control,
    /// A character that changes the direction of text around it.
    Bidi,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a name cannot be empty",
            Self::Dots => "`.` and `..` are no names",
            Self::TooLong => "a name is at most 255 bytes long",
            Self::Slash => "a name cannot contain `/`",
            Self::Control => "a name cannot contain control characters",
            Self::Bidi => "a name cannot contain characters that turn the direction of text",
        })
    }
}

fn refused(character: char) -> Option<NameProblem> {
    match character {
        '/' => Some(NameProblem::Slash),
        // The bidirectional controls of UAX #9; they make one name look like another (CVE-2021-42574).
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => Some(NameProblem::Bidi),
        _ if character.is_control() => Some(NameProblem::Control),
        _ => None,
    }
}

fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let composed: String = text.nfc().collect();
    default_case_fold_str(&composed).nfc().collect()
}

macro_rules! plain_name {
    ($(#[doc = $doc:literal] $name:ident, $field:literal, $what:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 64 of `a–z A–Z 0–9 . _ -`, beginning with a letter or a digit: names that
            /// are safe in paths (`ann:/x`), in mail addresses and on a command line.
            pub fn parse(text: &str) -> Result<Self> {
                if !is_plain(text) {
                    return Err(Error::field(
                        $field,
                        concat!(
                            $what,
                            " is 1 to 64 letters, digits, `.`, `_` or `-`, and begins with a \
                             letter or a digit"
                        ),
                    ));
                }
                Ok(Self(text.to_owned()))
            }

            /// As its owner writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// What two names share that cannot both exist.
            pub fn key(&self) -> String {
                self.0.to_ascii_lowercase()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

plain_name! {
    #[doc = "The name of an account, as its owner writes it; compared without case."]
    AccountName, "account", "an account's name";
    #[doc = "The name of a group of accounts, as it was made; compared without case."]
    GroupName, "group", "a group's name";
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins && text.len() <= ACCOUNT_NAME_BYTES_MAX && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{AccountName, FileName, NameProblem};

    #[test]
    fn the_attack_list_is_refused_for_its_reason() {
        for (name, problem) in [
            ("", NameProblem::Empty),
            (".", NameProblem::Dots),
            ("..", NameProblem::Dots),
            ("a/b", NameProblem::Slash),
            ("/", NameProblem::Slash),
            ("a\0b", NameProblem::Control),
            ("a\nb", NameProblem::Control),
            ("\u{1b}[31m", NameProblem::Control),
            ("a\u{7f}", NameProblem::Control),
            ("a\u{9b}31m", NameProblem::Control),
            ("gpj.\u{202e}exe", NameProblem::Bidi),
            ("a\u{2066}b", NameProblem::Bidi),
            ("\u{200f}x", NameProblem::Bidi),
            (&"x".repeat(256), NameProblem::TooLong),
            (&"ä".repeat(128), NameProblem::TooLong),
        ] {
            assert_eq!(FileName::parse(name), Err(problem), "{name:?}");
        }
    }

    #[test]
    fn odd_but_honest_names_are_kept_as_they_are() {
        let longest = "x".repeat(255);
        for name in
            ["...", " ", "a b", "CON", "nul.txt", "a:b", "ä", "日本語", "-rf", "a\\b", &longest]
        {
            assert_eq!(FileName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn twins_have_one_key() {
        let key = |name| FileName::parse(name).unwrap().key();
        assert_eq!(key("README"), key("readme"));
        assert_eq!(key("\u{e9}"), key("e\u{301}"));
        assert_eq!(key("\u{c9}"), key("e\u{301}"));
        assert_eq!(key("straße"), key("STRASSE"));
        assert_ne!(key("a"), key("b"));
        assert_ne!(key("a"), key("ä"));
    }

    #[test]
    fn account_names_are_plain() {
        for name in ["ann", "Ann-2", "a.b_c", "7", &"a".repeat(64)] {
            assert!(AccountName::parse(name).is_ok(), "{name:?}");
        }
        for name in ["", ".a", "-a", "a b", "a:b", "a/b", "ä", "a@b", &"a".repeat(65)] {
            assert!(AccountName::parse(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(text in any::<String>()) {
            if let Ok(name) = FileName::parse(&text) {
                prop_assert_eq!(super::fold(&name.key()), name.key());
            }
        }

        #[test]
        fn an_accepted_name_holds_nothing_that_a_terminal_obeys(text in any::<String>()) {
            if let Ok(name) = FileName::parse(&text) {
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert!(!name.as_str().contains('/'));
            }
        }
    }
}
