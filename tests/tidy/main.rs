//! Reads the sources and says where they leave the house rules: which room may import which (`rooms`),
//! and what a file looks like (`shape`). Clippy sees neither.

mod directions;
mod paths;
mod rooms;
mod shape;
mod sources;

/// Fewer files than this were not the whole workspace.
const FILES_MIN: usize = 150;

#[test]
fn rooms_import_only_to_their_right() {
    assert_none(sources::all().iter().flat_map(directions::complaints));
}

#[test]
fn files_look_as_in_this_house() {
    let sources = sources::all();
    assert_none(sources.iter().flat_map(shape::complaints));
    assert_none(shape::complaints_about_all(&sources));
}

/// A check that sees nothing finds nothing.
#[test]
fn the_whole_house_was_read() {
    let sources = sources::all();
    assert!(sources.len() >= FILES_MIN, "only {} files", sources.len());
    for name in sources::CRATES {
        assert!(sources.iter().any(|source| source.path.starts_with(name)), "nothing of {name}");
    }
    let declared = rooms::ROOMS.iter().map(|room| room.name).collect();
    assert_eq!(directions::rooms_of(&sources), declared, "the rooms that stand, and the table");
}

fn assert_none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
