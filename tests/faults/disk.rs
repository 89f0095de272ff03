//! A disk of a test's own: an image in memory with ext4 on it, mounted through a loop device, whose power
//! can be cut and which can be filled to the last byte. Root alone can do that; elsewhere the tests that
//! need it say so and are skipped, except where `CI=true` promises that they run.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use depot_tests::process::{Run, run};
use depot_tests::repository;
use depot_tests::wait::until_true;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::report::say;

/// Where images are: memory, so that no real disk is worn.
const SHM: &str = "/dev/shm";
/// What our folders there are called; the process that they belong to follows.
const PREFIX: &str = "depot-faults-";

/// A mounted disk; unmounted and gone when dropped.
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Whether disks can be had here; says why not, and fails instead where that must not be.
    ///
    /// # Panics
    ///
    /// With `CI=true`, where tests are not left out.
    pub(crate) fn can_be_had(test: &str) -> bool {
        let tried = Self::try_new(8 << 20, &[]);
        let Err(reason) = tried else { return true };
        let is_promised = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!is_promised, "{test} must run in CI: {reason}");
        say(format_args!("{test}: SKIPPED, it needs root and loop devices: {reason}"));
        false
    }

    /// A new disk of so many bytes; `options` are those of mkfs.ext4.
    ///
    /// # Panics
    ///
    /// When there can be none.
    pub(crate) fn new(bytes: u64, options: &[&str]) -> Self {
        Self::try_new(bytes, options).expect("a disk")
    }

    fn try_new(bytes: u64, options: &[&str]) -> Result<Self, String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);

        remove_orphans();
        if !rustix::process::geteuid().is_root() {
            return Err("not root".to_owned());
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let disk = Self { folder: Path::new(SHM).join(name) };
        fs::create_dir_all(disk.path()).map_err(|error| error.to_string())?;
        let image = File::create(disk.image()).map_err(|error| error.to_string())?;
        image.set_len(bytes).map_err(|error| error.to_string())?;
        // Made at once and as a whole: nothing of it is written later, behind the test's back.
        let mut mkfs = tool("mkfs.ext4");
        mkfs.args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]);
        did(run_tool(mkfs.args(options).arg(disk.image()))?)?;
        did(run_tool(&mut disk.mounting())?)?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    fn mounting(&self) -> Command {
        let mut command = tool("mount");
        command.args(["-o", "loop"]).arg(self.image()).arg(self.path());
        command
    }

    /// Gets the means to cut its power ready.
    pub(crate) fn switch(&self) -> Switch {
        Switch::new(&self.path())
    }

    /// What a machine does that comes back after its power was cut: the journal is replayed. Then the file
    /// system is checked, and mounted again.
    ///
    /// # Panics
    ///
    /// When the file system is not clean.
    pub(crate) fn come_back(&self) {
        self.unmount();
        did(run(&mut self.mounting())).expect("it can be mounted");
        self.unmount();
        let checked = run(tool("fsck.ext4").args(["-n", "-f"]).arg(self.image()));
        assert_eq!(checked.exit, 0, "fsck is not content: {checked:?}");
        did(run(&mut self.mounting())).expect("it can be mounted");
    }

    fn unmount(&self) {
        // A process that was just killed may hold it a moment longer.
        until_true("unmounting", || run(tool("umount").arg(self.path())).exit == 0);
        // Mounted again before it is really gone, it would be the same file system, cut off as it is.
        let loops = || run(tool("losetup").arg("-j").arg(self.image()));
        until_true("the end of the loop device", || loops().stdout.is_empty());
    }

    /// Another program's file takes all but about so many bytes.
    pub(crate) fn fill(&self, leave: u64) -> Ballast {
        let ballast = Ballast(self.path().join("ballast"));
        let file = File::create(&ballast.0).expect("a file");
        let disk = statvfs(self.path()).expect("numbers of a disk");
        let mut wanted = (disk.f_bfree * disk.f_frsize).saturating_sub(leave);
        // Not all that is free is for bytes: what says where they are takes some.
        while wanted > 0 && fallocate(&file, FallocateFlags::empty(), 0, wanted).is_err() {
            wanted -= wanted.min(64 << 10);
        }
        ballast
    }

    /// Another program's empty files take every inode.
    ///
    /// # Panics
    ///
    /// When something else than the disk keeps them from being made.
    pub(crate) fn take_inodes(&self) -> Crowd {
        let crowd = Crowd(self.path().join("crowd"));
        fs::create_dir_all(&crowd.0).expect("a folder");
        for number in 0.. {
            match File::create_new(crowd.0.join(number.to_string())) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{error}"),
            }
        }
        crowd
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        discard(&self.folder);
    }
}

/// A file that is in the way until this is dropped.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    /// Takes the rest too, to the very last byte.
    ///
    /// # Panics
    ///
    /// When something else than the disk ends it.
    pub(crate) fn take_the_rest(&self) {
        let mut file = OpenOptions::new().append(true).open(&self.0).expect("a file");
        for length in [64 << 10, 1024, 1] {
            let bytes = vec![7; length];
            let end = loop {
                if let Err(error) = file.write_all(&bytes) {
                    break error;
                }
            };
            assert_eq!(end.kind(), std::io::ErrorKind::StorageFull, "{end}");
        }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Many files that are in the way until this is dropped.
pub(crate) struct Crowd(PathBuf);

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that cuts a disk's power as soon as it is told to.
pub(crate) struct Switch {
    child: Child,
    tell: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
}

impl Switch {
    fn new(mounted: &Path) -> Self {
        let script = repository().join("tests/faults/cut_power.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(mounted).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let tell = child.stdin.take();
        let told = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut switch = Self { child, tell, told };
        switch.hears("ready");
        switch
    }

    /// Cuts the power; when this returns, nothing reaches the disk any more.
    pub(crate) fn cut(mut self) {
        let mut tell = self.tell.take().expect("a pipe");
        tell.write_all(b"now\n").expect("it listens");
        self.hears("cut");
    }

    fn hears(&mut self, word: &str) {
        let mut line = String::new();
        self.told.read_line(&mut line).expect("a line");
        assert_eq!(line.trim_end(), word, "the program that cuts the power said");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // Without a line to read it ends by itself.
        self.tell.take();
        let _ = self.child.wait();
    }
}

/// Tools in sbin are not on everybody's path.
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn run_tool(command: &mut Command) -> Result<Run, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    match path.split(':').any(|folder| Path::new(folder).join(&name).is_file()) {
        true => Ok(run(command)),
        false => Err(format!("there is no program {name}")),
    }
}

fn did(run: Run) -> Result<(), String> {
    if run.exit == 0 { Ok(()) } else { Err(format!("{run:?}")) }
}

/// Unmounts whatever is mounted in a folder of ours, and removes it.
fn discard(folder: &Path) {
    let mounted = folder.join("mounted");
    for lazily in [false, false, true] {
        let mut umount = tool("umount");
        if lazily {
            umount.arg("--lazy");
        }
        umount.arg(&mounted).stderr(Stdio::null());
        // It was unmounted before, or a process that was just killed holds it a moment longer.
        if !is_mounted(&mounted) || umount.status().is_ok_and(|status| status.success()) {
            break;
        }
    }
    if !is_mounted(&mounted) {
        let _ = fs::remove_dir_all(folder);
    }
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let path = path.to_string_lossy();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(&path))
}

/// What tests left behind that were killed themselves.
fn remove_orphans() {
    for entry in fs::read_dir(SHM).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            discard(&entry.path());
        }
    }
}
