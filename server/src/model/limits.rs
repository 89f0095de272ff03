//! Everything has a limit: each is named with its unit, has one place, and is tested at it and one past.

use serde::{Deserialize, Serialize};

/// The limits of one server, as in the `[limits]` table of its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once. The soft limit of open files is raised as far as it may be, and half of it
    /// is the most that is taken for connections.
    pub connections_max: usize,
    /// Calls at once on one connection (HTTP/2 SETTINGS_MAX_CONCURRENT_STREAMS).
    pub streams_max: u32,
    /// Bytes of all header fields of one request.
    pub header_bytes_max: u32,
    /// Bytes of file data held in memory at once, for all calls together.
    pub buffered_bytes_max: usize,
    /// Seconds for a TLS handshake.
    pub handshake_seconds: u64,
    /// Seconds from the handshake to the first request.
    pub first_request_seconds: u64,
    /// Seconds without any call after which a connection is closed.
    pub idle_seconds: u64,
    /// Seconds for a call that is not a stream, body included.
    pub call_seconds: u64,
    /// Seconds a stream may stand still, in either direction, before it is cut.
    pub stall_seconds: u64,
    /// Seconds between heartbeats of a Watch; at most 30.
    pub heartbeat_seconds: u64,
    /// Seconds that calls under way have to finish when the server stops.
    pub drain_seconds: u64,
    /// Changes waiting for the database.
    pub writer_queue_max: usize,
    /// Passwords being hashed at once; each takes 19 MiB. 0: one for each core.
    pub password_hashes_max: usize,
    /// Logins waiting for their hash.
    pub logins_waiting_max: usize,
    /// Wrong passwords that are evaluated for one account in ten minutes.
    pub guesses_max: u32,
    /// Bytes of the shortest password.
    pub password_bytes_min: usize,
    /// Bytes of the longest password.
    pub password_bytes_max: usize,
    /// Logins of one account.
    pub sessions_max: u32,
    /// Uploads of one account that are remembered.
    pub leases_max: u32,
    /// Hashes in one Missing call.
    pub missing_hashes_max: u32,
    /// Chunk bytes in one Fill call.
    pub fill_bytes_max: u64,
    /// Entries in one commit.
    pub commit_entries_max: u64,
    /// Changed entries a merge into an existing folder may apply at once.
    pub commit_merge_entries_max: u32,
    /// Chunks of one content.
    pub content_chunks_max: u64,
    /// Ids in one ReadMany call.
    pub read_many_ids_max: u32,
    /// Ranges in one ReadChunks call.
    pub read_ranges_max: u32,
    /// Ids in one Ack call.
    pub ack_ids_max: u32,
    /// Bytes of a message's subject.
    pub message_subject_bytes_max: u32,
    /// Bytes of a message's body.
    pub message_body_bytes_max: u64,
    /// Recipients of one message.
    pub message_recipients_max: u32,
    /// Attachments of one message.
    pub message_attachments_max: u32,
    /// Chunks of all attachments of one message that come as contents rather than by path.
    pub message_attached_chunks_max: u32,
    /// Watches of one account at once.
    pub watches_max: u32,
    /// Members of one group.
    pub group_members_max: u32,
    /// Grants that one account has made.
    pub grants_max: u32,
    /// Links that one account has made.
    pub links_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            streams_max: 128,
            header_bytes_max: 16 << 10,
            buffered_bytes_max: 128 << 20,
            handshake_seconds: 10,
            first_request_seconds: 10,
            idle_seconds: 300,
            call_seconds: 60,
            stall_seconds: 60,
            heartbeat_seconds: 15,
            drain_seconds: 8,
            writer_queue_max: 4_096,
            password_hashes_max: 0,
            logins_waiting_max: 1_024,
            guesses_max: 20,
            password_bytes_min: 1,
            password_bytes_max: 1_024,
            sessions_max: 100,
            leases_max: 16,
            missing_hashes_max: 4_096,
            fill_bytes_max: 64 << 20,
            commit_entries_max: 4_000_000,
            commit_merge_entries_max: 20_000,
            content_chunks_max: 1 << 24,
            read_many_ids_max: 4_096,
            read_ranges_max: 1_024,
            ack_ids_max: 1_000,
            message_subject_bytes_max: 998,
            message_body_bytes_max: 1 << 20,
            message_recipients_max: 10_000,
            message_attachments_max: 100,
            message_attached_chunks_max: 65_536,
            watches_max: 64,
            group_members_max: 10_000,
            grants_max: 10_000,
            links_max: 10_000,
        }
    }
}
