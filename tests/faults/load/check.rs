//! Does the server remember what the hands remember? What was acknowledged must be there; what was under
//! way must be there as a whole or not at all, and is settled by what is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use depot_proto::files::content_source::Source;
use depot_proto::files::{
    Attachment, ContentSource, Entry, Kind, ListRequest, ReadChunksRequest, ReadRequest,
};
use depot_proto::mail::{ListMessagesRequest, Message, ReadMessageRequest, read_message_request};
use depot_tests::caller::Caller;
use tonic::Code;

use super::content::{tag_of, text};
use super::deed::{Deed, Node, Tree};
use super::hand::{Hand, Sent};
use crate::site::Person;

/// What is not as it should be.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Acknowledged, and not there.
    pub(crate) lost: Vec<String>,
    /// There in part, or there though nobody put it.
    pub(crate) half: Vec<String>,
}

impl Findings {
    /// Nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.half.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lost, {} half-visible", self.lost.len(), self.half.len())?;
        let lost = self.lost.iter().map(|what| ("lost", what));
        let half = self.half.iter().map(|what| ("half-visible", what));
        lost.chain(half).try_for_each(|(how, what)| write!(f, "\n  {how}: {what}"))
    }
}

/// Compares everything.
///
/// # Panics
///
/// When the server does not answer.
pub(crate) async fn check(calls: &[Caller], people: &[Person], hands: &mut [Hand]) -> Findings {
    let mut findings = Findings::default();
    for hand in &mut *hands {
        check_tree(&calls[hand.person], hand, &mut findings).await;
    }
    let mut boxes = Vec::new();
    for calls in calls {
        boxes.push(mailbox(calls).await);
    }
    check_letters(&boxes, people, hands, &mut findings);
    for hand in &mut *hands {
        if hand.reads_mail {
            check_acks(&boxes[hand.person], hand, &mut findings);
        }
        compare(calls, hand, people, &mut findings).await;
    }
    findings
}

/// What is seen of a file: its size and its digest.
type Seen = BTreeMap<String, Option<(u64, Vec<u8>)>>;

/// A hand's folder.
async fn check_tree(calls: &Caller, hand: &mut Hand, findings: &mut Findings) {
    let entries = listed(calls, &hand.home).await;
    let below = |entry: &Entry| entry.path[hand.home.len() + 1..].to_owned();
    let what =
        |entry: &Entry| (entry.kind() == Kind::File).then(|| (entry.size, entry.blake3.to_vec()));
    let seen: Seen = entries.iter().map(|entry| (below(entry), what(entry))).collect();
    let before = expected(&hand.tree);
    let after = hand.doing.as_ref().map(|doing| doing.deed.after(&hand.tree));
    let is_change = |doing: &Deed| !matches!(doing, Deed::Send(_) | Deed::Ack { .. });
    match after {
        Some(after) if seen == expected(&after) => {
            if hand.doing.as_ref().is_some_and(|doing| is_change(&doing.deed)) {
                hand.tree = after;
            }
        }
        _ if seen == before => {}
        after => {
            let after = after.map_or_else(|| before.clone(), |after| expected(&after));
            differences(hand, &seen, (&before, &after), findings);
        }
    }
    for entry in entries.iter().filter(|entry| entry.kind() == Kind::File) {
        let wanted = ReadRequest { path: entry.path.clone(), ..ReadRequest::default() };
        match calls.read(wanted).await {
            Ok(bytes) if blake3::hash(&bytes).as_bytes()[..] == entry.blake3[..] => {}
            Ok(_) => findings.half.push(format!("{} is not what its digest says", entry.path)),
            Err(status) => findings.lost.push(format!("{}: {status}", entry.path)),
        }
    }
}

fn expected(tree: &Tree) -> Seen {
    let what = |node: &Node| match node {
        Node::Folder => None,
        Node::File(content) => Some((content.size as u64, content.digest().to_vec())),
    };
    tree.iter().map(|(path, node)| (path.clone(), what(node))).collect()
}

/// Says of each path what is wrong with it.
fn differences(hand: &Hand, seen: &Seen, (before, after): (&Seen, &Seen), findings: &mut Findings) {
    let doing = hand.doing.as_ref().map(|doing| &doing.deed);
    let paths: BTreeSet<&String> = seen.keys().chain(before.keys()).chain(after.keys()).collect();
    let mut single = 0;
    for path in paths {
        let (seen, before, after) = (seen.get(path), before.get(path), after.get(path));
        if seen == before || seen == after {
            continue;
        }
        single += 1;
        let line = format!(
            "{}/{path}: {} was acknowledged, {} is there; under way was {doing:?}",
            hand.home,
            shown(before),
            shown(seen)
        );
        // What was under way here explains a part of it; without that it is simply gone, or back.
        if before == after { findings.lost.push(line) } else { findings.half.push(line) }
    }
    if single == 0 {
        findings.half.push(format!("{}: a part of {doing:?}", hand.home));
    }
}

fn shown(what: Option<&Option<(u64, Vec<u8>)>>) -> String {
    match what {
        None => "nothing".to_owned(),
        Some(None) => "a folder".to_owned(),
        Some(Some((size, _))) => format!("a file of {size} bytes"),
    }
}

async fn listed(calls: &Caller, path: &str) -> Vec<Entry> {
    let mut wanted =
        ListRequest { path: path.to_owned(), recursive: true, ..ListRequest::default() };
    let mut entries = Vec::new();
    loop {
        let page = match calls.files().list(wanted.clone()).await {
            Err(status) if status.code() == Code::NotFound => return entries,
            answer => answer.expect("a list").into_inner(),
        };
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        wanted.page_token = page.next_page_token;
    }
}

/// All messages of an account, by what they begin with.
type Mailbox = BTreeMap<String, Vec<Message>>;

async fn mailbox(calls: &Caller) -> Mailbox {
    let mut messages = Mailbox::new();
    let mut wanted = ListMessagesRequest { page_size: 1_000, ..ListMessagesRequest::default() };
    loop {
        let page = calls.mail().list_messages(wanted.clone()).await.expect("a list").into_inner();
        for message in page.messages {
            messages.entry(tag_of(&message.body).to_owned()).or_default().push(message);
        }
        if page.next_page_token.is_empty() {
            return messages;
        }
        wanted.page_token = page.next_page_token;
    }
}

/// Every message that was accepted is with all its recipients, once, and none that was not is with any;
/// one under way is with all or with none.
fn check_letters(
    boxes: &[Mailbox],
    people: &[Person],
    hands: &mut [Hand],
    findings: &mut Findings,
) {
    let mut known = BTreeSet::new();
    let ids_of = |tag: &str, to: &[&str]| -> Vec<Vec<String>> {
        let with = people.iter().zip(boxes).filter(|(person, _)| to.contains(&person.name));
        let ids = with.map(|(_, mailbox)| mailbox.get(tag).into_iter().flatten());
        ids.map(|messages| messages.map(|message| message.id.clone()).collect()).collect()
    };
    for hand in &mut *hands {
        for Sent { letter, id, .. } in &hand.sent {
            known.insert(letter.tag.clone());
            for ids in ids_of(&letter.tag, &letter.to) {
                match &ids[..] {
                    [] => findings.lost.push(format!("{} of {:?}", letter.tag, letter.to)),
                    [one] if one == id => {}
                    _ => findings.half.push(format!("{}: {id} came as {ids:?}", letter.tag)),
                }
            }
        }
        let Some(Deed::Send(letter)) = hand.doing.as_ref().map(|doing| &doing.deed) else {
            continue;
        };
        let letter = letter.clone();
        known.insert(letter.tag.clone());
        let ids = ids_of(&letter.tag, &letter.to);
        let first = ids.first().and_then(|ids| ids.first()).cloned();
        let is_whole = ids.iter().all(|ids| first.is_some() && ids.len() == 1);
        match first {
            Some(id) if is_whole => hand.sent.push(Sent { letter, id, compared: false }),
            _ if ids.iter().all(Vec::is_empty) => {}
            _ => findings.half.push(format!("{} of {:?}: {ids:?}", letter.tag, letter.to)),
        }
    }
    for (person, mailbox) in people.iter().zip(boxes) {
        for tag in mailbox.keys().filter(|tag| !known.contains(*tag)) {
            findings.half.push(format!("{} has {tag:?}, which nobody sent", person.name));
        }
    }
}

/// What was acknowledged is not unread, and nothing else is not; what was under way is marked as a whole
/// or not at all.
fn check_acks(mailbox: &Mailbox, hand: &mut Hand, findings: &mut Findings) {
    let under_way: BTreeSet<String> = match hand.doing.as_ref().map(|doing| &doing.deed) {
        Some(Deed::Ack { ids }) => ids.iter().cloned().collect(),
        _ => BTreeSet::new(),
    };
    let mut marked = BTreeSet::new();
    for message in mailbox.values().flatten() {
        match (message.unread, hand.acked.contains(&message.id)) {
            (true, false) | (false, true) => {}
            (true, true) => findings.lost.push(format!("the mark of {}", message.id)),
            (false, false) if under_way.contains(&message.id) => {
                marked.insert(message.id.clone());
            }
            (false, false) => {
                findings.half.push(format!("{} is marked, and nobody did it", message.id));
            }
        }
    }
    if !marked.is_empty() && marked != under_way {
        findings.half.push(format!("{marked:?} of {under_way:?} were marked"));
    }
    hand.acked.extend(marked);
}

/// Reads what was sent since the last time, as the first recipient does: text and attachment.
async fn compare(calls: &[Caller], hand: &mut Hand, people: &[Person], findings: &mut Findings) {
    for sent in hand.sent.iter_mut().filter(|sent| !sent.compared) {
        let reader = people.iter().position(|person| person.name == sent.letter.to[0]);
        let calls = &calls[reader.expect("somebody it was sent to")];
        let which = Some(read_message_request::Which::Id(sent.id.clone()));
        let message = match calls.mail().read_message(ReadMessageRequest { which }).await {
            Ok(answer) => answer.into_inner().message.unwrap_or_default(),
            Err(status) => {
                findings.lost.push(format!("{}: {status}", sent.letter.tag));
                continue;
            }
        };
        if message.body != text(&sent.letter.tag, sent.letter.filling) {
            findings.half.push(format!("{} has another text", sent.letter.tag));
        }
        if let Some((path, content)) = &sent.letter.attached {
            match attachment(calls, &sent.id).await {
                Ok(bytes) if bytes == content.bytes() => {}
                Ok(_) => findings.half.push(format!("{} with another {path}", sent.letter.tag)),
                Err(status) => {
                    findings.lost.push(format!("{path} of {}: {status}", sent.letter.tag));
                }
            }
        }
        sent.compared = true;
    }
}

async fn attachment(calls: &Caller, message: &str) -> Result<Vec<u8>, tonic::Status> {
    let attachment = Attachment { message_id: message.to_owned(), index: 0 };
    let source = Some(ContentSource { source: Some(Source::Attachment(attachment)) });
    let mut manifest = calls
        .files()
        .read_manifest(depot_proto::files::ReadManifestRequest { source: source.clone() })
        .await?
        .into_inner();
    let size = manifest.message().await?.map_or(0, |first| first.size);
    if size == 0 {
        return Ok(Vec::new());
    }
    let ranges = vec![depot_proto::files::ByteRange { offset: 0, length: size }];
    let request = ReadChunksRequest { source, ranges };
    let mut answers = calls.files().read_chunks(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(answer) = answers.message().await? {
        bytes.extend_from_slice(&answer.data);
    }
    Ok(bytes)
}
