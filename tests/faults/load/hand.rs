//! One hand: does one thing after the other in a folder of its own, and remembers what was acknowledged
//! and what it was doing when a fault came.

use std::collections::BTreeSet;
use std::ops::{Add, Range};
use std::sync::Arc;

use depot_proto::files::{ListRequest, ReadRequest};
use depot_proto::mail::FetchUnreadRequest;
use depot_tests::caller::Caller;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::NAMES;
use super::content::Content;
use super::deed::{Deed, Doing, Letter, Node, Tree};
use super::fault::Fault;
use super::witness::Witness;
use crate::chance::Chance;

/// Entries of a folder past which it is rather emptied than filled.
const ENTRIES_MANY: usize = 40;
/// Names that files have.
const NAMES_OF_FILES: u64 = 24;

/// How somebody works.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Bytes of most files.
    pub(crate) small: Range<u64>,
    /// Bytes of one file in ten.
    pub(crate) large: Range<u64>,
    /// Whether a full disk is an answer like any other.
    pub(crate) full_is_fine: bool,
}

/// What a hand did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) read: usize,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            refused: self.refused + other.refused,
            read: self.read + other.read,
        }
    }
}

/// A message that was sent, as its sender remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) letter: Letter,
    pub(crate) id: String,
    /// Whether all of it has been compared already.
    pub(crate) compared: bool,
}

/// See above.
pub(crate) struct Hand {
    /// Place among the accounts.
    pub(crate) person: usize,
    /// Its folder.
    pub(crate) home: String,
    /// What stands in it.
    pub(crate) tree: Tree,
    pub(crate) sent: Vec<Sent>,
    /// Whether it reads the account's mail, and what it has acknowledged of it.
    pub(crate) reads_mail: bool,
    pub(crate) acked: BTreeSet<String>,
    /// What it was doing when the fault came.
    pub(crate) doing: Option<Doing>,
    pub(crate) tally: Tally,
    habits: Habits,
    witness: Arc<Witness>,
    chance: Chance,
    number: usize,
    made: usize,
}

impl Hand {
    /// A hand of the account at this place, whose folder is empty.
    pub(super) fn new(
        number: usize,
        person: usize,
        (habits, witness): (Habits, Arc<Witness>),
        chance: Chance,
    ) -> Self {
        Self {
            person,
            home: format!("/h{number}"),
            tree: Tree::new(),
            sent: Vec::new(),
            reads_mail: number < NAMES.len(),
            acked: BTreeSet::new(),
            doing: None,
            tally: Tally::default(),
            habits,
            witness,
            chance,
            number,
            made: 0,
        }
    }

    /// Works until the fault.
    ///
    /// # Panics
    ///
    /// When something goes wrong before it, or something is seen that should not be.
    pub(super) async fn work(&mut self, calls: &Caller, fault: &Fault) {
        while !fault.has_begun() {
            let worked = match self.chance.of(0..100) {
                0..14 => self.read(calls).await,
                14..24 => self.look(calls).await,
                _ => match self.next_deed(calls).await {
                    Ok(Some(deed)) => self.does(deed, calls, fault).await,
                    Ok(None) => Ok(()),
                    Err(status) => Err(status),
                },
            };
            if let Err(status) = worked {
                let doing = &self.doing;
                // A server whose disk is gone may take that for damage; one that is gone may not.
                let is_said = status.code() != Code::DataLoss || !fault.counts();
                let is_due = fault.has_begun() && is_said;
                assert!(is_due, "this no fault explains: {status:?} of {doing:?}");
                return;
            }
        }
    }

    /// Asks for a change; an error where nobody knows what became of it.
    pub(crate) async fn does(
        &mut self,
        deed: Deed,
        calls: &Caller,
        fault: &Fault,
    ) -> Result<(), Status> {
        self.announce(&deed);
        let doing = Doing::new(deed);
        self.doing = Some(doing.clone());
        match doing.perform(calls, &self.home).await {
            Ok(id) if fault.counts() => {
                self.doing = None;
                self.done(doing.deed, id);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(status) if self.habits.full_is_fine && is_full(&status) => {
                self.doing = None;
                self.tally.refused += 1;
                Ok(())
            }
            Err(status) => Err(status),
        }
    }

    /// Does again what it was doing, half of the time: the same number is one effect.
    pub(super) async fn settle(&mut self, calls: &Caller) {
        let Some(doing) = self.doing.take() else { return };
        if self.chance.once_in(2) {
            return;
        }
        let again = doing.perform(calls, &self.home).await;
        let id = again.unwrap_or_else(|status| panic!("again {doing:?}: {status:?}"));
        let is_known = |id: &String| self.sent.iter().any(|sent| sent.id == *id);
        if !id.as_ref().is_some_and(is_known) {
            self.done(doing.deed, id);
        }
    }

    /// A change was acknowledged.
    pub(crate) fn done(&mut self, deed: Deed, id: Option<String>) {
        self.tally.acknowledged += 1;
        self.tree = deed.after(&self.tree);
        match deed {
            Deed::Send(letter) => {
                let id = id.expect("a message has an id");
                self.sent.push(Sent { letter, id, compared: false });
            }
            Deed::Ack { ids } => self.acked.extend(ids),
            _ => {}
        }
    }

    /// Tells the witness what may be seen from now on.
    fn announce(&self, deed: &Deed) {
        let after = deed.after(&self.tree);
        for (path, node) in &after {
            if let Node::File(content) = node
                && self.tree.get(path) != Some(node)
            {
                self.witness.file(self.person, format!("{}/{path}", self.home), content.digest());
            }
        }
        let top = match deed {
            Deed::Commit { base, .. } => base,
            Deed::Move { to, .. } if after.get(to) == Some(&Node::Folder) => to,
            _ => return,
        };
        let below = format!("{top}/");
        let below = after.keys().filter(|path| path.starts_with(&below));
        let files = below.map(|path| format!("{}/{path}", self.home)).collect();
        self.witness.tree(self.person, format!("{}/{top}", self.home), files);
    }

    /// Reads a file of its own: it is what was acknowledged.
    async fn read(&mut self, calls: &Caller) -> Result<(), Status> {
        let files = self.files();
        let Some(path) = self.chance.pick(&files).cloned() else { return Ok(()) };
        let Some(Node::File(content)) = self.tree.get(&path).copied() else { return Ok(()) };
        let path = format!("{}/{path}", self.home);
        let bytes =
            calls.read(ReadRequest { path: path.clone(), ..ReadRequest::default() }).await?;
        assert!(bytes == content.bytes(), "{path} is not what was acknowledged");
        self.tally.read += 1;
        Ok(())
    }

    /// Looks at what another hand may be changing right now: it is seen as a whole or not at all.
    async fn look(&mut self, calls: &Caller) -> Result<(), Status> {
        if self.chance.once_in(3) {
            return self.look_at_tree(calls).await;
        }
        let Some(path) = self.witness.some_file(self.person, &mut self.chance) else {
            return Ok(());
        };
        let wanted = ReadRequest { path: path.clone(), ..ReadRequest::default() };
        let bytes = match calls.read(wanted).await {
            // A folder may stand there by now.
            Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
                return Ok(());
            }
            answer => answer?,
        };
        let digest = blake3::hash(&bytes);
        let was_tried = self.witness.was_tried(self.person, &path, digest.as_bytes());
        assert!(was_tried, "half-visible: {path} holds {} bytes that nobody put", bytes.len());
        self.tally.read += 1;
        Ok(())
    }

    async fn look_at_tree(&mut self, calls: &Caller) -> Result<(), Status> {
        let Some((path, files)) = self.witness.some_tree(self.person, &mut self.chance) else {
            return Ok(());
        };
        let wanted = ListRequest { path: path.clone(), recursive: true, ..ListRequest::default() };
        let answer = match calls.files().list(wanted).await {
            Err(status) if status.code() == Code::NotFound => return Ok(()),
            answer => answer?.into_inner(),
        };
        let seen: BTreeSet<String> = answer.entries.into_iter().map(|entry| entry.path).collect();
        assert_eq!(seen, files, "half-visible: the tree {path}");
        self.tally.read += 1;
        Ok(())
    }

    fn files(&self) -> Vec<String> {
        let files = self.tree.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// Files that are not in a tree, and trees: what may be moved and removed.
    pub(crate) fn tops(&self) -> Vec<String> {
        self.tree.keys().filter(|path| !path.contains('/')).cloned().collect()
    }

    /// What to do next, if there is anything of the kind that chance wants.
    async fn next_deed(&mut self, calls: &Caller) -> Result<Option<Deed>, Status> {
        let tops = self.tops();
        let puts = if self.tree.len() > ENTRIES_MANY { 30 } else { 55 };
        let roll = self.chance.of(0..100);
        Ok(match roll {
            _ if roll < puts => Some(self.next_put()),
            0..66 => self.chance.pick(&tops).map(|path| Deed::Remove { path: path.clone() }),
            66..77 => self.chance.pick(&tops).map(|from| self.next_move(from.clone())),
            77..84 => Some(self.next_commit()),
            84..94 => Some(Deed::Send(self.next_letter())),
            _ if self.reads_mail => self.next_ack(calls).await?,
            _ => None,
        })
    }

    /// To a new name; a file also over another one.
    fn next_move(&mut self, from: String) -> Deed {
        let to = match self.tree.get(&from) {
            Some(Node::Folder) => self.name("t"),
            _ => format!("f{}", self.chance.of(0..NAMES_OF_FILES)),
        };
        // Onto itself would be no move.
        if to == from { Deed::Remove { path: from } } else { Deed::Move { from, to } }
    }

    /// A file that is new, or another content of one that stands.
    pub(crate) fn next_put(&mut self) -> Deed {
        let path = format!("f{}", self.chance.of(0..NAMES_OF_FILES));
        Deed::Put { path, content: self.content() }
    }

    /// A tree that is new.
    pub(crate) fn next_commit(&mut self) -> Deed {
        let count = self.chance.of(2..9);
        let name = |place| if place % 3 == 2 { format!("d{place}/x") } else { format!("x{place}") };
        let files = (0..count).map(|place| (name(place), self.content())).collect();
        Deed::Commit { base: self.name("t"), files }
    }

    /// A message to one, some or all.
    pub(crate) fn next_letter(&mut self) -> Letter {
        let first = self.chance.place(NAMES.len());
        let count = 1 + self.chance.place(NAMES.len());
        let to = (0..count).map(|next| NAMES[(first + next) % NAMES.len()]).collect();
        let filling = if self.chance.once_in(10) { 70 << 10 } else { self.chance.of(0..2_000) };
        let files = self.files();
        let path = if self.chance.once_in(3) { self.chance.pick(&files).cloned() } else { None };
        let attached = path.and_then(|path| match self.tree.get(&path) {
            Some(Node::File(content)) => Some((path, *content)),
            _ => None,
        });
        Letter { tag: self.name("letter "), to, filling: filling as usize, attached }
    }

    /// Marks that are due, if there are any.
    pub(crate) async fn next_ack(&mut self, calls: &Caller) -> Result<Option<Deed>, Status> {
        let limit = self.chance.of(1..6) as u32;
        let request = FetchUnreadRequest { limit };
        let mut answers = calls.mail().fetch_unread(request).await?.into_inner();
        let mut ids = Vec::new();
        while let Some(answer) = answers.message().await? {
            ids.extend(answer.messages.into_iter().map(|message| message.id));
        }
        let known = ids.iter().find(|id| self.acked.contains(*id));
        assert!(known.is_none(), "{known:?} was acknowledged and is unread again");
        Ok((!ids.is_empty()).then_some(Deed::Ack { ids }))
    }

    fn content(&mut self) -> Content {
        let range = match self.chance.once_in(10) {
            true => self.habits.large.clone(),
            false => self.habits.small.clone(),
        };
        Content { seed: self.chance.next(), size: self.chance.of(range) as usize }
    }

    /// A name that nobody else gives, and that is given once.
    fn name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{}-{}", self.number, self.made)
    }
}

/// Whether the server says that its disk is full, in the way that is documented.
pub(crate) fn is_full(status: &Status) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason);
    status.code() == Code::ResourceExhausted && reason.as_deref() == Some("DISK_FULL")
}
