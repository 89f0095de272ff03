//! What people and programs do wrong: each gets the code and the reason that are documented and a message
//! that says what to do, and nothing is lost or half-visible.

mod chunks;
mod disk;
mod limits;
mod logins;
mod names;
mod once;
mod sources;
mod start;
mod streams;

use depot_proto::files::ListRequest;
use depot_proto::files::write_request::Part;
use depot_proto::files::{NewEntry, WriteHeader};
use depot_tests::caller::Caller;
use tonic::Code;

/// The request is not what it should be.
const INVALID: (Code, &str) = (Code::InvalidArgument, "INVALID_ARGUMENT");

/// The paths of all that is in a caller's tree.
async fn tree(caller: &Caller) -> Vec<String> {
    let wanted = ListRequest { path: "/".to_owned(), recursive: true, ..ListRequest::default() };
    let listed = caller.files().list(wanted).await.expect("a list").into_inner();
    assert!(listed.next_page_token.is_empty(), "it fits into a page");
    listed.entries.into_iter().map(|entry| entry.path).collect()
}

/// A header with nothing but a path.
fn header(path: &str) -> WriteHeader {
    WriteHeader { path: path.to_owned(), ..WriteHeader::default() }
}

/// A piece of a Write's data.
fn data(bytes: &[u8]) -> Part {
    Part::Data(bytes.to_vec().into())
}

/// A file of one chunk in a commit.
fn file(path: &str, bytes: &[u8]) -> NewEntry {
    NewEntry {
        path: path.to_owned(),
        kind: depot_proto::files::Kind::File.into(),
        mode: 0o644,
        size: bytes.len() as u64,
        blake3: blake3::hash(bytes).as_bytes().to_vec().into(),
        ..NewEntry::default()
    }
}
