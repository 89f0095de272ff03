//! The contract between Depot's server and its clients: what is generated from `depot/*/v1/*.proto`,
//! and nothing else. Each service has its messages, a client and a server trait in a module of its own.

/// The descriptors of every proto and of what they import, for reflection and for tests that walk them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/depot.descriptors"));

macro_rules! contract {
    ($name:ident, $package:literal, $doc:literal) => {
        #[doc = $doc]
        #[allow(missing_docs, unused_qualifications, unreachable_pub, clippy::all)]
        #[allow(clippy::use_self, clippy::wildcard_imports, clippy::too_many_lines)]
        pub mod $name {
            tonic::include_proto!($package);
        }
    };
}

contract!(admin, "depot.admin.v1", "What administrators do on a running server.");
contract!(auth, "depot.auth.v1", "Who is asking: first contact, logins, passwords, groups.");
contract!(changes, "depot.changes.v1", "What is new in an account, files and mail in one order.");
contract!(
    files,
    "depot.files.v1",
    "Trees of files, the fast path of their bytes, their past, and who shares them."
);
contract!(mail, "depot.mail.v1", "Messages between the accounts of a server.");
