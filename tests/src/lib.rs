//! What the stories, the fault tests and the measurements share.

pub mod caller;
pub mod clock;
pub mod disk;
pub mod process;
pub mod server;
pub mod terminal;
pub mod user;
pub mod wait;
pub mod wire;
pub mod world;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the repository")
}

/// The program `name` (`depot` or `depot-server`) that was built with the test that runs.
///
/// # Panics
///
/// Says what to type when it was not built.
pub fn binary(name: &str) -> PathBuf {
    let this = env::current_exe().expect("a test knows its own program");
    // Tests lie in `deps` below the folder with the programs.
    this.ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("no program `{name}`: cargo build --locked --workspace --bins"))
}

/// Says loudly that something was not tried.
pub fn skip(why: &str) {
    // Where nobody reads what a test prints, a line on the terminal is all that is left.
    let _ = writeln!(io::stderr(), "\n    SKIPPED: {why}\n");
}

#[cfg(test)]
mod tests {
    use super::binary;

    #[test]
    fn programs_lie_beside_their_tests() {
        assert!(binary("depot").is_file());
        assert!(binary("depot-server").is_file());
    }

    #[test]
    #[should_panic(expected = "cargo build --locked --workspace --bins")]
    fn what_was_not_built_says_how() {
        binary("depot-manager");
    }
}
