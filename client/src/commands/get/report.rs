//! What is told of a get: what it did, or what it would do.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::getting::{Get, Listed};
use crate::error::{Error, Result};
use crate::output::json;
use crate::tree::extra::Extra;
use crate::tree::foresee::Action;
use crate::tree::listed::{Item, ItemKind};
use crate::tree::receive::{Received, Receiving};
use crate::units::{count, show_size};

/// What was removed on this machine.
#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
    kind: &'static str,
}

/// One line of a plan.
#[derive(Serialize)]
struct Step<'a> {
    action: &'static str,
    /// On the server; nothing where that has it not.
    path: Option<&'a str>,
    local: &'a str,
    kind: &'static str,
    /// Of a file that would be written.
    size: Option<u64>,
    received_bytes: Option<u64>,
}

impl Get<'_> {
    /// What was done.
    pub(super) fn report(
        &self,
        receiving: &Receiving,
        items: &[Item],
        received: &Received,
    ) -> Result<()> {
        let (mut files, mut size, mut fetched) = (0, 0, 0);
        for (item, bytes) in items.iter().zip(&received.bytes) {
            let (ItemKind::File { size: its, digest, .. }, Some(bytes)) = (&item.what, *bytes)
            else {
                continue;
            };
            (files, size, fetched) = (files + 1, size + its, fetched + bytes);
            if self.app.output.is_json() {
                self.app.output.object(&json::Got {
                    path: &item.path,
                    local: &receiving.shown(item).to_string_lossy(),
                    size: *its,
                    blake3: digest.to_hex(),
                    received_bytes: bytes,
                })?;
            }
        }
        let gone = receiving.extra.iter().zip(&received.gone).filter(|(_, gone)| **gone);
        let gone: Vec<&Extra> = gone.map(|(extra, _)| extra).collect();
        for extra in &gone {
            let path = receiving.beneath.shown("", OsStr::new(&extra.path));
            let path = path.to_string_lossy();
            match self.app.output.is_json() {
                true => {
                    let gone = Removed { removed: &path, kind: removed_kind(extra) };
                    self.app.output.object(&gone)?;
                }
                false => self.app.output.detail(&format!("removed {path}")),
            }
        }
        if received.left_out.len() < items.len() {
            let (files, size) = (count(files, "file"), show_size(size));
            let removed = match gone.len() {
                0 => String::new(),
                number => format!("; {number} removed"),
            };
            let told = format!("got {files}, {size} ({} received){removed}", show_size(fetched));
            self.app.output.note(&told);
        }
        if !received.left_out.is_empty() && self.arguments.delete {
            let message = "nothing else is removed, since not all could be written";
            self.app.output.error(&Error::partial(message));
        }
        Ok(())
    }

    /// Names what was left out.
    pub(super) fn finish(&self, items: &[Item], left_out: &[Error]) -> Result<()> {
        match (items, left_out) {
            (_, []) => Ok(()),
            // The only thing that was asked for: its own error says best what is wrong.
            ([_], [only]) => Err(only.clone()),
            _ => {
                for error in left_out {
                    self.app.output.error(error);
                }
                let left_out = count(left_out.len(), "thing");
                Err(Error::partial(format!("{left_out} left out; all else is here")))
            }
        }
    }

    /// What would be done, step by step.
    pub(super) fn plan(
        &self,
        listed: &Listed,
        foreseen: &[(Action, u64)],
        folder: &Path,
    ) -> Result<()> {
        for extra in &listed.extra {
            let local = folder.join(&extra.path);
            let (action, kind) = ("remove", removed_kind(extra));
            let local = &local.to_string_lossy();
            let step = Step { action, path: None, local, kind, size: None, received_bytes: None };
            self.step(&step)?;
        }
        let (mut files, mut size, mut received, mut changed) = (0, 0, 0, listed.extra.len());
        for (item, (action, bytes)) in listed.root.iter().chain(&listed.items).zip(foreseen) {
            let file_size = match &item.what {
                ItemKind::File { size, .. } => Some(*size),
                _ => None,
            };
            files += usize::from(file_size.is_some());
            size += file_size.unwrap_or_default();
            let action = match action {
                Action::New => "new",
                Action::Change => "change",
                Action::Attributes => "attributes",
                Action::Nothing => continue,
            };
            received += bytes;
            changed += 1;
            let local: PathBuf = folder.join(&item.folder).join(&item.name).components().collect();
            self.step(&Step {
                action,
                path: Some(&item.path),
                local: &local.to_string_lossy(),
                kind: kind(&item.what),
                size: file_size,
                received_bytes: file_size.map(|_| *bytes),
            })?;
        }
        self.app.output.note(&format!(
            "would get {}, {} ({} to receive); of {} entries {changed} would change, {} of them be removed",
            count(files, "file"),
            show_size(size),
            show_size(received),
            foreseen.len() + listed.extra.len(),
            listed.extra.len(),
        ));
        Ok(())
    }

    fn step(&self, step: &Step<'_>) -> Result<()> {
        if self.app.output.is_json() {
            return self.app.output.object(step);
        }
        let bytes = step.received_bytes.map_or_else(String::new, show_size);
        self.app.output.line(&format!("{:<10} {bytes:>9}  {}", step.action, step.local))
    }
}

fn kind(what: &ItemKind) -> &'static str {
    match what {
        ItemKind::Folder => "folder",
        ItemKind::File { .. } => "file",
        ItemKind::Symlink(_) => "symlink",
    }
}

fn removed_kind(extra: &Extra) -> &'static str {
    if extra.is_folder { "folder" } else { "file" }
}
