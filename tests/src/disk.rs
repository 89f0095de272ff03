//! Small disks: a tmpfs of its own size that only one command and its children see, and that is gone with
//! them. It takes a mount namespace, which root has and others mostly have too.

use std::path::Path;
use std::process::Command;

use crate::process::run;

/// A command that runs `script` with `sh` where `folder` is a disk of `size`, such as `1m`.
pub fn with_small_disk(folder: &Path, size: &str, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = format!("mount -t tmpfs -o size=$1,mode=700 none \"$2\" && shift 2 && {script}");
    command.args(["sh", "-ec", &script, "sh", size]).arg(folder);
    command
}

/// Whether this machine lets us have small disks; says so loudly where not.
///
/// # Panics
///
/// In CI and as root, where they are not an extra.
pub fn is_possible() -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tried = run(&mut with_small_disk(folder.path(), "1m", "true"));
    if tried.exit == 0 {
        return true;
    }
    let is_needed = std::env::var_os("CI").is_some() || rustix::process::geteuid().is_root();
    assert!(!is_needed, "no small disks: {tried:?}");
    crate::skip(&format!("a small disk takes a mount namespace: {}", tried.stderr.trim()));
    false
}
