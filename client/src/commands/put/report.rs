//! What is told of a put: what it did, or what it would do.

use std::collections::HashMap;

use depot_proto::files::{CommitResponse, Entry};
use serde::Serialize;

use super::sending::{Done, Put};
use crate::error::Result;
use crate::listing;
use crate::output::json::{self, kind_name};
use crate::tree::compare::{Difference, There};
use crate::tree::plan::{Known, Prepared, Sent};
use crate::units::{count, show_size};

/// One line of a plan.
#[derive(Serialize)]
struct Step<'a> {
    action: &'static str,
    path: &'a str,
    kind: &'static str,
    /// Of a file that is put.
    size: Option<u64>,
    sent_bytes: Option<u64>,
}

/// An entry that was removed.
#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
    kind: &'static str,
    id: &'a str,
}

impl Put<'_> {
    /// What was done.
    pub(super) async fn report(&self, done: Done) -> Result<()> {
        let Done { prepared, removed, response } = done;
        let files = &prepared.files;
        let (size, sent) = total(files);
        let CommitResponse { changed, unchanged, .. } = response;
        // Folders and symlinks are no files, but may have changed.
        let entries = changed + unchanged;
        let of = match entries == files.len() as u64 {
            true => String::new(),
            false => format!("of {entries} entries "),
        };
        let gone = match removed.len() {
            0 => String::new(),
            // Counted with those that were changed.
            number => format!(", {number} of them removed"),
        };
        self.app.output.note(&format!(
            "put {}, {} ({} sent); {of}{changed} changed{gone}, {unchanged} unchanged",
            count(files.len(), "file"),
            show_size(size),
            show_size(sent),
        ));
        for entry in &removed {
            self.app.output.detail(&format!("removed {}", entry.path));
        }
        if !self.app.output.is_json() {
            return Ok(());
        }
        for entry in &removed {
            let (path, id, kind) = (&entry.path, &entry.id, kind_name(entry.kind()));
            self.app.output.object(&Removed { removed: path, kind, id })?;
        }
        self.lines(files, response).await
    }

    /// What would be done, step by step.
    pub(super) fn plan(
        &self,
        prepared: &Prepared,
        removed: &[&Entry],
        there: &There,
    ) -> Result<()> {
        let sent: HashMap<usize, &Sent> =
            prepared.files.iter().map(|file| (file.place, file)).collect();
        for entry in removed {
            let (path, kind) = (entry.path.as_str(), kind_name(entry.kind()));
            self.step(&Step { action: "remove", path, kind, size: None, sent_bytes: None })?;
        }
        let mut changed = removed.len();
        for (place, planned) in prepared.entries.iter().enumerate() {
            let Some(difference) = there.difference(planned) else { continue };
            changed += 1;
            let file = sent.get(&place);
            self.step(&Step {
                action: match difference {
                    Difference::New => "new",
                    Difference::Kind | Difference::Content => "change",
                    Difference::Attributes => "attributes",
                },
                path: &self.aim.base.below(&planned.entry.path),
                kind: kind_name(planned.entry.kind()),
                size: file.map(|file| file.size),
                sent_bytes: file.map(|file| file.sent_bytes),
            })?;
        }
        let (size, sent) = total(&prepared.files);
        let of = prepared.entries.len() + removed.len();
        self.app.output.note(&format!(
            "would put {}, {} ({} to send); of {of} entries {changed} would change, {} of them be removed",
            count(prepared.files.len(), "file"),
            show_size(size),
            show_size(sent),
            removed.len(),
        ));
        Ok(())
    }

    fn step(&self, step: &Step<'_>) -> Result<()> {
        if self.app.output.is_json() {
            return self.app.output.object(step);
        }
        let bytes = match step.sent_bytes {
            Some(bytes) => show_size(bytes),
            None => String::new(),
        };
        self.app.output.line(&format!("{:<10} {bytes:>9}  {}", step.action, step.path))
    }

    /// One line for each file, in the order of the tree.
    async fn lines(&self, files: &[Sent], response: CommitResponse) -> Result<()> {
        let known: Vec<Option<Known>> = match response.entries.is_empty() {
            false => files
                .iter()
                .map(|file| {
                    response.entries.get(file.place).and_then(|entry| Known::of(entry, file))
                })
                .collect(),
            true => self.listed(files).await?,
        };
        for (file, known) in files.iter().zip(&known) {
            self.app.output.object(&json::Put {
                path: &self.aim.base.below(&file.path),
                id: known.as_ref().map(|known| known.id.as_str()),
                version: known.as_ref().map(|known| known.version.as_str()),
                generation: known.as_ref().map(|known| known.generation),
                size: file.size,
                blake3: file.digest.to_hex(),
                sent_bytes: file.sent_bytes,
                reused_bytes: file.size - file.sent_bytes,
            })?;
        }
        Ok(())
    }

    /// The files of a commit that was too large for its answer to hold them; of all else that is there,
    /// nothing is kept.
    async fn listed(&self, files: &[Sent]) -> Result<Vec<Option<Known>>> {
        let places: HashMap<String, usize> =
            (0..).zip(files).map(|(at, file)| (self.aim.base.below(&file.path), at)).collect();
        let mut known: Vec<Option<Known>> = Vec::new();
        known.resize_with(files.len(), || None);
        listing::pages(self.session, &self.aim.base, true, |page| {
            for entry in &page.entries {
                if let Some(&at) = places.get(&entry.path) {
                    known[at] = Known::of(entry, &files[at]);
                }
            }
            Ok(())
        })
        .await?;
        Ok(known)
    }
}

fn total(files: &[Sent]) -> (u64, u64) {
    files.iter().fold((0, 0), |(size, sent), file| (size + file.size, sent + file.sent_bytes))
}
