//! Small files that are there as a whole or not at all, also after a power cut: temp beside it, write,
//! sync, rename, sync the folder.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use uuid::Uuid;

use crate::error::{Error, Kind, Result};

/// Puts `bytes` at `path`, readable by the owner alone.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(0o600, path, bytes)
}

/// Puts `bytes` at `path`, readable by whoever can reach it: no secret.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(0o644, path, bytes)
}

fn write_as(mode: u32, path: &Path, bytes: &[u8]) -> Result<()> {
    try_write(mode, path, bytes).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::DiskFull,
            std::io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
            _ => Kind::Internal,
        };
        Error::new(kind, format!("{} cannot be written: {error}", path.display())).source(error)
    })
}

fn try_write(mode: u32, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temp = folder.join(format!(".{}.tmp", Uuid::new_v4()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
    // The mask of this process leaves others nothing when a file is made.
    let put = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temp, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if put.is_err() {
        // It may not be there any more; either way there is nothing else to do.
        let _ = std::fs::remove_file(&temp);
    }
    put
}
