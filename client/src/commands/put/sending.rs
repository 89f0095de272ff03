//! One put, once it is clear what goes where: its contents are brought to the server, and then all
//! entries are committed at once.

use std::sync::Arc;

use depot_proto::auth::ServerInfoResponse;
use depot_proto::files::{CommitBegin, CommitResponse, Entry, Kind, NewEntry};
use tokio::task::block_in_place;
use uuid::Uuid;

use super::Arguments;
use super::sources::Aim;
use crate::app::App;
use crate::connect::Session;
use crate::error::{Error, Result};
use crate::listing;
use crate::state::{KeptId, Purpose};
use crate::transfer::commit::{Planned, Tree, commit, commit_in_parts};
use crate::transfer::index::{Index, Recorder};
use crate::transfer::{Upload, UploadKey, Uploaded};
use crate::tree::compare::There;
use crate::tree::plan::{Files, Prepared};
use crate::tree::walk::Walked;

/// How often a put begins again because what it builds on has changed meanwhile.
const TRIES_AGAIN: u32 = 3;

/// What is said when the connection is lost in the middle.
const GOES_ON: &str = "what was sent is kept; running it again goes on where it stopped";

pub(super) struct Put<'a> {
    pub(super) app: &'a App,
    pub(super) session: &'a Session,
    pub(super) info: &'a ServerInfoResponse,
    pub(super) aim: &'a Aim,
    pub(super) arguments: &'a Arguments,
}

/// What a put came to.
pub(super) struct Done {
    pub(super) prepared: Prepared,
    pub(super) removed: Vec<Entry>,
    pub(super) response: CommitResponse,
}

/// What stands on the server where things are put.
struct Standing {
    there: There,
    /// The number of the oldest list that it is from.
    modseq: Option<u64>,
}

impl Put<'_> {
    /// Puts all; nothing where it was only asked what would be done.
    pub(super) async fn everything(
        &self,
        walked: Walked,
        left_out: &mut Vec<Error>,
    ) -> Result<Option<Done>> {
        let base = self.aim.base.to_string();
        let upload_id = self.upload_id();
        let walked = Arc::new(walked);
        let files = Files::of(walked.clone());
        let mut tries_left = if files.can_be_read_again() { TRIES_AGAIN } else { 0 };
        let mut sent_before = vec![0; files.len()];
        let recorder = Arc::new(Recorder::start(&self.app.state));
        loop {
            let mut uploaded = self.upload(&walked, &files, (&upload_id, &recorder)).await?;
            uploaded.sent.iter_mut().zip(&sent_before).for_each(|(sent, before)| *sent += before);
            sent_before.clone_from(&uploaded.sent);
            let mut prepared = files.prepare(uploaded);
            if prepared.entries.is_empty() {
                left_out.append(&mut prepared.left_out);
                return Err(nothing_put(self.app, left_out));
            }
            self.condition(&mut prepared);
            let is_whole = left_out.is_empty() && prepared.left_out.is_empty();
            let standing = match self.arguments.delete || self.arguments.dry_run {
                true => Some(self.standing(&walked).await?),
                false => None,
            };
            let removed = match &standing {
                Some(standing) if self.arguments.delete && is_whole => {
                    let is_spared = |path: &str, is_folder| walked.spares(path, is_folder);
                    standing.there.gone(&walked.here(), is_spared)
                }
                _ => Vec::new(),
            };
            if self.arguments.delete && !is_whole {
                let message = "nothing is removed, since not all could be read";
                self.app.output.error(&Error::partial(message));
            }
            if self.arguments.dry_run {
                left_out.append(&mut prepared.left_out);
                let standing = standing.as_ref().map(|standing| &standing.there);
                standing.map_or(Ok(()), |there| self.plan(&prepared, &removed, there))?;
                return Ok(None);
            }
            let as_of = standing.as_ref().and_then(|standing| standing.modseq);
            let entries = std::mem::take(&mut prepared.entries);
            let removals = standing
                .iter()
                .flat_map(|standing| removed.iter().map(|entry| removal(&standing.there, entry)));
            let entries = removals.chain(entries).collect();
            match self.commit(&upload_id, (prepared.bytes, as_of), entries).await {
                Err(error) if tries_left > 0 && self.has_changed_meanwhile(&error) => {
                    tries_left -= 1;
                }
                done => {
                    let response = done.map_err(|error| self.told(error).at(base.as_str()))?;
                    upload_id.done();
                    left_out.append(&mut prepared.left_out);
                    let removed = removed.into_iter().cloned().collect();
                    return Ok(Some(Done { prepared, removed, response }));
                }
            }
        }
    }

    /// The same for the same thing, so that one that is run again goes on.
    fn upload_id(&self) -> KeptId {
        if self.arguments.dry_run {
            return KeptId::fresh();
        }
        let address = self.session.address().to_string();
        let base = self.aim.base.to_string();
        let mut place = vec![address.as_bytes(), self.session.known_account().as_bytes()];
        place.push(base.as_bytes());
        place.extend(self.aim.names.iter().map(String::as_bytes));
        KeptId::take(&self.app.state, Purpose::Upload, &place)
    }

    async fn upload(
        &self,
        walked: &Walked,
        files: &Files,
        (upload_id, recorder): (&KeptId, &Arc<Recorder>),
    ) -> Result<Uploaded> {
        let total = (walked.bytes > 0).then_some(walked.bytes);
        let progress = self.app.output.progress("put", total);
        let tree = self.aim.base.owner().unwrap_or_default().to_owned();
        let key = UploadKey { id: upload_id.id(), tree };
        let upload = Upload::new(self.session, self.info, key, progress)?;
        let upload = upload.recorded(recorder.clone());
        let upload = if self.arguments.dry_run { upload.counting() } else { upload };
        let index = match self.arguments.checksum {
            true => None,
            false => Index::open(&self.app.state),
        };
        let mut known = block_in_place(|| files.known(index.as_ref(), upload.cutter()));
        drop(index);
        let done = async {
            upload.leave_present(&mut known).await?;
            let jobs = files.jobs(&known);
            upload.run(known, jobs).await
        };
        done.await.map_err(|error: Error| error.if_run_again(GOES_ON))
    }

    /// An error of the commit, in the words of what was typed.
    fn told(&self, error: Error) -> Error {
        let is_there = self.arguments.if_absent && error.reason() == "GENERATION_MISMATCH";
        match &self.aim.names[..] {
            [only] if is_there => {
                let path = self.aim.base.below(only);
                let message = format!("{path} exists already, and --if-absent replaces nothing");
                error.with_message(message)
            }
            _ => error.if_run_again(GOES_ON),
        }
    }

    /// What was there has been collected, such as under another put's upload; or somebody has made the
    /// target, or moved it, and the next try merges into what stands now.
    fn has_changed_meanwhile(&self, error: &Error) -> bool {
        match error.reason() {
            "CHUNKS_MISSING" => true,
            "ABORTED" => !self.arguments.if_absent,
            // What was to be removed, and nothing that was asked for by whoever typed it.
            "GENERATION_MISMATCH" => {
                self.arguments.delete
                    && !self.arguments.if_absent
                    && self.arguments.conditions.are_none()
            }
            _ => false,
        }
    }

    fn condition(&self, prepared: &mut Prepared) {
        let generation = match self.arguments.if_absent {
            true => Some(0),
            false => self.arguments.conditions.if_generation,
        };
        let etag = self.arguments.conditions.etag();
        for planned in &mut prepared.entries {
            if self.aim.names.contains(&planned.entry.path) && planned.entry.kind() == Kind::File {
                planned.entry.if_generation = generation;
                planned.entry.if_etag.clone_from(&etag);
            }
        }
    }

    async fn commit(
        &self,
        upload_id: &KeptId,
        (bytes, removals_as_of): (u64, Option<u64>),
        entries: Vec<Planned>,
    ) -> Result<CommitResponse> {
        let is_tree = self.aim.names.iter().all(String::is_empty);
        let begin = CommitBegin {
            request_id: Uuid::new_v4().to_string(),
            upload_id: upload_id.id(),
            base: self.aim.base.to_string(),
            if_absent: self.arguments.if_absent && is_tree,
            size: Some(bytes),
            if_etag: if is_tree { self.arguments.conditions.etag() } else { String::new() },
            removals_as_of,
        };
        let tree = Arc::new(Tree { begin, entries });
        let entries_max = self.info.limits.unwrap_or_default().commit_merge_entries_max as usize;
        let is_too_large =
            |error: &Error| error.reason() == "LIMIT_EXCEEDED" && tree.entries.len() > entries_max;
        match commit(self.session, tree.clone()).await {
            Err(error) if is_too_large(&error) && self.arguments.no_atomic => {
                commit_in_parts(self.session, &tree, entries_max).await
            }
            Err(error) if is_too_large(&error) => {
                let message = format!(
                    "more than {entries_max} entries of {} would change at once; nothing was put. \
                     Put the tree under a new name and move it, or give --no-atomic to put it in \
                     several steps",
                    self.aim.base
                );
                Err(error.with_message(message))
            }
            done => done,
        }
    }

    /// What stands at each root, and below those that are folders.
    async fn standing(&self, walked: &Walked) -> Result<Standing> {
        let mut entries = Vec::new();
        let mut modseq: Option<u64> = None;
        for name in &self.aim.names {
            let path = match name.as_str() {
                "" => self.aim.base.clone(),
                name => self.aim.base.join(name)?,
            };
            let Some(entry) = listing::find(self.session, &path).await? else { continue };
            let is_folder = entry.kind() == Kind::Folder;
            entries.push(entry);
            if is_folder && walked.is_folder(name) {
                let listed = listing::moment(self.session, &path).await?;
                modseq = Some(modseq.map_or(listed.modseq, |other| other.min(listed.modseq)));
                entries.extend(listed.entries);
            }
        }
        Ok(Standing { there: There::new(&self.aim.base, entries), modseq })
    }
}

/// Removes an entry if it is what was listed.
fn removal(there: &There, entry: &Entry) -> Planned {
    let path = there.below(entry).to_owned();
    let mut new = NewEntry { path, remove: true, ..NewEntry::default() };
    match entry.kind() {
        Kind::File => new.if_generation = Some(entry.generation),
        // Of folders, it is asked whether anything in them has changed.
        Kind::Folder => {}
        Kind::Symlink | Kind::Unspecified => new.if_etag.clone_from(&entry.etag),
    }
    Planned { entry: new, manifest: None }
}

fn nothing_put(app: &App, left_out: &[Error]) -> Error {
    match left_out {
        // The only thing that was asked for: its own error says best what is wrong.
        [only] => only.clone(),
        _ => {
            left_out.iter().for_each(|error| app.output.error(error));
            Error::partial("nothing could be read, and nothing was put")
        }
    }
}
