//! What must stand at a path for a change to be made: a generation, an etag, or nothing at all.

use crate::error::{Detail, Error, Kind, Result};
use crate::faults::{Protection, is_off};
use crate::model::{Condition, Entry, Etag, Node, TreePath};

/// Refuses when an entry is not what was asked for.
pub(super) fn check(path: &TreePath, stands: Option<&Entry>, condition: &Condition) -> Result<()> {
    // That nothing is there the index of names knows as well.
    if is_off(Protection::Conditions) && *condition != Condition::generation(0) {
        return Ok(());
    }
    if let Some(wanted) = condition.generation {
        check_generation(path, stands, wanted)?;
    }
    if let Some(wanted) = condition.etag {
        check_etag(path, stands, wanted)?;
    }
    Ok(())
}

fn check_generation(path: &TreePath, stands: Option<&Entry>, wanted: u64) -> Result<()> {
    let found = match stands {
        None => 0,
        Some(entry) if matches!(entry.node, Node::File { .. }) => {
            u64::try_from(entry.generation.0).unwrap_or(0)
        }
        // Of these 0 says what was asked: something is there.
        Some(entry) if wanted == 0 => u64::try_from(entry.generation.0).unwrap_or(1),
        Some(_) => {
            let message = format!("{path} is no file, and has no generation; ask for its etag");
            return Err(Error::new(Kind::FailedPrecondition, message));
        }
    };
    if found == wanted {
        return Ok(());
    }
    Err(mismatch(
        path,
        match (wanted, found) {
            (0, _) => format!("something stands there already, generation {found} and not 0"),
            (_, 0) => format!("generation {wanted} was asked for, and nothing (0) stands there"),
            _ => format!("generation {wanted} was asked for, {found} stands there"),
        },
    ))
}

fn check_etag(path: &TreePath, stands: Option<&Entry>, wanted: Etag) -> Result<()> {
    match stands.map(Entry::etag) {
        Some(found) if found == wanted => Ok(()),
        Some(found) => {
            Err(mismatch(path, format!("etag {wanted} was asked for, {found} stands there")))
        }
        None => {
            Err(mismatch(path, format!("etag {wanted} was asked for, and nothing stands there")))
        }
    }
}

fn mismatch(path: &TreePath, problem: String) -> Error {
    let message = format!("{path}: {problem}; look at it and decide again");
    Error::new(Kind::GenerationMismatch, message)
        .with(Detail::Precondition { subject: path.to_string(), problem })
}
