//! A tree that nobody made for a test: a Rust toolchain, put and got back, and compared by a program that
//! knows nothing of Depot.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use depot_tests::process::run;
use depot_tests::skip;
use depot_tests::world::World;

/// What every installation of Rust has: programs with the libraries and scripts of the target, 250 MB. All
/// of it, with the compiler's own libraries and 50,000 pages of documentation, would take half a minute and
/// 3 GB of the disk.
const PARTS: [&str; 2] = ["bin", "lib/rustlib"];

#[test]
fn a_toolchain_comes_back_as_it_was() {
    let Some(toolchain) = toolchain() else { return };
    let world = World::start();
    let ann = world.admin("ann");
    let parts = PARTS.map(|part| toolchain.join(part));
    let put = [Path::new("put"), Path::new("-r"), &parts[0], &parts[1], Path::new("/toolchain/")];
    ann.does(put);
    ann.does(["get", "-r", "/toolchain", "back"]);
    let back = ann.path("back");
    assert_eq!(differences(&parts, &back), "");

    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(back.join("bin/rustc"), mode).expect("a file");
    assert_eq!(differences(&parts, &back), ".f...p..... bin/rustc\n", "it would have said so");
}

/// What rsync would do to make the trees in a folder these: names, bytes, modes, times, symlinks.
fn differences(trees: &[PathBuf], folder: &Path) -> String {
    let words = ["-n", "-rlpt", "--checksum", "--delete", "--itemize-changes"];
    let compared = run(Command::new("rsync").args(words).args(trees).arg(folder)).succeeded();
    compared.text().to_owned()
}

/// Where Rust is installed, and somebody is who compares.
///
/// # Panics
///
/// With `CI=true`, where neither is an extra.
fn toolchain() -> Option<PathBuf> {
    let printed = |command: &mut Command| command.output().ok().filter(|o| o.status.success());
    let rust = printed(Command::new("rustc").args(["--print", "sysroot"]));
    let rsync = printed(Command::new("rsync").arg("--version"));
    if let (Some(rust), Some(_)) = (rust, rsync) {
        return Some(PathBuf::from(String::from_utf8_lossy(&rust.stdout).trim_end()));
    }
    let why = "no rustc, whose toolchain is put, or no rsync, which compares; tests/run --install";
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{why}");
    skip(why);
    None
}
