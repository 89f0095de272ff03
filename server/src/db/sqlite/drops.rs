//! Names for files that are put by people who cannot see what is there: a name that is taken gets a number.

use crate::error::{Error, Kind, Result};
use crate::model::{FileName, NAME_BYTES_MAX};

/// The highest number that is given.
const NUMBER_MAX: u32 = 1 << 30;

/// `report.pdf`, or `report (2).pdf`, and so on. With n of them, it takes log n looks, and so the number may
/// not be the lowest where some are gone.
pub(super) fn free_name(
    wanted: &FileName,
    mut is_free: impl FnMut(&FileName) -> Result<bool>,
) -> Result<FileName> {
    if is_free(wanted)? {
        return Ok(wanted.clone());
    }
    let mut free = |number: u32| -> Result<Option<FileName>> {
        let numbered = numbered(wanted.as_str(), number);
        let name = FileName::parse(&numbered)
            .map_err(|problem| Error::internal("drops", problem.to_string()))?;
        Ok(if is_free(&name)? { Some(name) } else { None })
    };
    let (mut taken, mut next) = (1, 2);
    let mut found = loop {
        match free(next)? {
            Some(name) => break name,
            None if next == NUMBER_MAX => return Err(too_many(wanted)),
            None => (taken, next) = (next, next * 2),
        }
    };
    while next - taken > 1 {
        let middle = taken + (next - taken) / 2;
        match free(middle)? {
            Some(name) => (next, found) = (middle, name),
            None => taken = middle,
        }
    }
    Ok(found)
}

fn too_many(wanted: &FileName) -> Error {
    let message =
        format!("too many files are called {:?} there; choose another name", wanted.as_str());
    Error::new(Kind::AlreadyExists, message)
}

fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 16 => {
            (stem, format!(".{extension}"))
        }
        _ => (name, String::new()),
    };
    let tail = format!(" ({number}){extension}");
    let end = stem.floor_char_boundary(NAME_BYTES_MAX.saturating_sub(tail.len()).min(stem.len()));
    format!("{}{tail}", &stem[..end])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::free_name;
    use crate::model::{FileName, NAME_BYTES_MAX};

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut taken = HashSet::new();
        let mut put = |name: &str| {
            let name = FileName::parse(name).unwrap();
            let free = free_name(&name, |name| Ok(!taken.contains(&name.key()))).unwrap();
            taken.insert(free.key());
            free.as_str().to_owned()
        };
        assert_eq!(put("a.pdf"), "a.pdf");
        assert_eq!(put("A.pdf"), "A (2).pdf", "they would be one name on some machines");
        assert_eq!(put("a.pdf"), "a (3).pdf");
        let numbers = (4..=20).map(|_| put("a.pdf")).collect::<Vec<_>>();
        assert_eq!(numbers, (4..=20).map(|n| format!("a ({n}).pdf")).collect::<Vec<_>>());
        assert_eq!([put("README"), put("README")], ["README", "README (2)"]);
        assert_eq!([put(".profile"), put(".profile")], [".profile", ".profile (2)"]);
        let long = "ä".repeat(NAME_BYTES_MAX / 2);
        assert_eq!(put(&long), long);
        assert!(put(&long).len() <= NAME_BYTES_MAX);
        assert!(put(&format!("{}.tar", "x".repeat(251))).ends_with(".tar"));
        assert!(put(&format!("{}.tar", "x".repeat(251))).ends_with(" (2).tar"));
    }
}
