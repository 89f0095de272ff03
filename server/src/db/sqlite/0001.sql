-- The first schema. Times are milliseconds since 1970 (…_at) or nanoseconds (…_ns). Numbers of an
-- account's order of changes are called modseq; every row that a client can follow carries its own.

CREATE TABLE store (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id BLOB NOT NULL,
  -- Rises when the store is put back to an earlier state: cursors from before are then answered in full.
  epoch INTEGER NOT NULL,
  -- Where it lay at its last start, as something that a copy does not share. Null before the first.
  home TEXT,
  -- Unicode version that name_key columns were folded with.
  fold_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  -- When the collector last ran to its end; when the store was made, before that.
  collected_at INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  password TEXT NOT NULL,
  admin INTEGER NOT NULL,
  disabled_at INTEGER,
  quota INTEGER,
  -- Equals the recount in upkeep.rs at every commit.
  used INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
  -- The last number given, to a change and to a delivery.
  modseq INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0,
  -- Tombstones up to this number are gone.
  horizon INTEGER NOT NULL DEFAULT 0,
  root BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
-- Everybody may ask whether there is an administrator.
CREATE INDEX account_admin ON account (id) WHERE admin AND disabled_at IS NULL;

CREATE TABLE session (
  id BLOB PRIMARY KEY,
  account INTEGER NOT NULL REFERENCES account (id),
  client TEXT NOT NULL,
  token BLOB NOT NULL UNIQUE,
  token_expires_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- Whether the current token has been used.
  confirmed INTEGER NOT NULL,
  -- Hash of the refresh token that was spent last: its answer may have been lost.
  spent_last BLOB,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX session_account ON session (account, id);

CREATE TABLE refresh (
  hash BLOB PRIMARY KEY,
  session BLOB NOT NULL REFERENCES session (id) ON DELETE CASCADE,
  spent_at INTEGER
) WITHOUT ROWID, STRICT;
CREATE INDEX refresh_session ON refresh (session);

-- Answers to requests that must have one effect.
CREATE TABLE request (
  account INTEGER NOT NULL REFERENCES account (id),
  id BLOB NOT NULL,
  digest BLOB NOT NULL,
  -- As postcard: the answer to a commit lists up to 500 entries.
  answer BLOB NOT NULL,
  made_at INTEGER NOT NULL,
  PRIMARY KEY (account, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX request_made ON request (made_at);

CREATE TABLE pack (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE,
  -- Set when no chunk is left in it; the file is unlinked a day later.
  emptied_at INTEGER
) STRICT;

-- Hashes come in no order: the index is the one place where each new chunk dirties a page of its own. What
-- else belongs to a chunk is filed under its key, and lies beside what came with it.
CREATE TABLE chunk (
  key INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  pack INTEGER NOT NULL REFERENCES pack (key),
  offset INTEGER NOT NULL,
  length INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  -- Set when nothing referred to it; from then on it is reported missing, and what refers to it again
  -- clears this.
  condemned_at INTEGER
) STRICT;
-- With the length, so that what lives in a pack is summed up without a look at each chunk's row.
CREATE INDEX chunk_place ON chunk (pack, offset, length);

-- Possession: what an account itself has sent. "Have you this chunk?" is answered only over this.
-- By the chunk first: what is collected goes for all accounts, and its key may be given again.
CREATE TABLE account_chunk (
  chunk INTEGER NOT NULL REFERENCES chunk (key),
  account INTEGER NOT NULL,
  PRIMARY KEY (chunk, account)
) WITHOUT ROWID, STRICT;

CREATE TABLE lease (
  account INTEGER NOT NULL REFERENCES account (id),
  upload BLOB NOT NULL,
  -- In whose tree it shall end, and whose quota it has to fit into.
  charged INTEGER NOT NULL REFERENCES account (id),
  -- Logical bytes it brought that no commit has used yet.
  bytes INTEGER NOT NULL DEFAULT 0,
  opened_at INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  PRIMARY KEY (account, upload)
) WITHOUT ROWID, STRICT;
CREATE INDEX lease_charged ON lease (charged);

-- Contents of several chunks. One-chunk contents need no row: their chunk is named by their digest.
CREATE TABLE content (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Null while its list is still coming in.
  id BLOB UNIQUE,
  size INTEGER NOT NULL,
  digest BLOB NOT NULL,
  made_at INTEGER NOT NULL,
  -- Set when nothing referred to it; what refers to it again clears this.
  unreferenced_at INTEGER
) STRICT;
CREATE INDEX content_unreferenced ON content (unreferenced_at) WHERE unreferenced_at IS NOT NULL;

CREATE TABLE segment (
  key INTEGER PRIMARY KEY,
  content INTEGER NOT NULL REFERENCES content (key) ON DELETE CASCADE,
  -- Byte of the content where the first chunk in it begins.
  offset INTEGER NOT NULL,
  pieces BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX segment_place ON segment (content, offset);

CREATE TABLE entry (
  id BLOB PRIMARY KEY,
  account INTEGER NOT NULL REFERENCES account (id),
  -- Null for the root of a tree, and for the top of one that is being staged.
  parent BLOB REFERENCES entry (id),
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
  mode INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  -- Extended attributes, as postcard; null where there are none.
  xattrs BLOB,
  -- Files.
  size INTEGER,
  digest BLOB,
  content INTEGER REFERENCES content (key),
  version BLOB,
  -- Symlinks.
  target TEXT,
  -- The account's number when it was made, and at the last change of content, of place, of anything.
  made INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  placed INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  -- 0, or the account's number at its removal: what was removed keeps its place beside its successors.
  removed INTEGER NOT NULL DEFAULT 0,
  removed_at INTEGER,
  CHECK ((removed = 0) = (removed_at IS NULL)),
  CHECK ((kind = 1) = (size IS NOT NULL AND digest IS NOT NULL AND version IS NOT NULL)),
  CHECK ((kind = 3) = (target IS NOT NULL))
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX entry_sibling ON entry (parent, name_key, removed);
CREATE INDEX entry_modseq ON entry (account, modseq);
CREATE INDEX entry_version ON entry (version) WHERE version IS NOT NULL;
CREATE INDEX entry_content ON entry (content) WHERE content IS NOT NULL;
CREATE INDEX entry_removed ON entry (account, removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX entry_trash ON entry (removed_at) WHERE removed_at IS NOT NULL;

-- Lists of accounts, by a name.
CREATE TABLE account_group (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
  account_group INTEGER NOT NULL REFERENCES account_group (id) ON DELETE CASCADE,
  account INTEGER NOT NULL REFERENCES account (id),
  -- Whether it may change the list.
  owns INTEGER NOT NULL,
  PRIMARY KEY (account_group, account)
) WITHOUT ROWID, STRICT;
CREATE INDEX member_account ON member (account, account_group);

-- Who else may use an entry and all below it. It stays with the entry wherever that is moved, and in the
-- trash, where nobody sees it.
CREATE TABLE access_grant (
  entry BLOB NOT NULL REFERENCES entry (id) ON DELETE CASCADE,
  -- 1: an account, 2: a group.
  grantee_kind INTEGER NOT NULL CHECK (grantee_kind BETWEEN 1 AND 2),
  grantee INTEGER NOT NULL,
  -- Whose tree the entry is in.
  owner INTEGER NOT NULL REFERENCES account (id),
  -- 1: read, 2: write.
  rights INTEGER NOT NULL CHECK (rights BETWEEN 1 AND 2),
  granted_at INTEGER NOT NULL,
  PRIMARY KEY (entry, grantee_kind, grantee)
) WITHOUT ROWID, STRICT;
CREATE INDEX access_grant_grantee ON access_grant (grantee_kind, grantee, owner);
CREATE INDEX access_grant_owner ON access_grant (owner, entry);

-- Contents that files had before the current one.
CREATE TABLE version (
  id BLOB PRIMARY KEY,
  entry BLOB NOT NULL REFERENCES entry (id),
  account INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  size INTEGER NOT NULL,
  digest BLOB NOT NULL,
  content INTEGER REFERENCES content (key),
  mode INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  xattrs BLOB,
  replaced_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX version_entry ON version (entry, generation);
CREATE INDEX version_content ON version (content) WHERE content IS NOT NULL;
-- With the size, so that what could be evicted is summed up without a look at each version's row.
CREATE INDEX version_replaced ON version (account, replaced_at, id, size);

-- Commits that can be undone, by the numbers that they gave.
CREATE TABLE made_commit (
  account INTEGER NOT NULL REFERENCES account (id),
  last INTEGER NOT NULL,
  first INTEGER NOT NULL,
  -- The folder that its paths started from.
  base BLOB NOT NULL,
  -- How many entries had one of these numbers when it was made; fewer have changed since.
  entries INTEGER NOT NULL,
  -- As postcard: the permission bits and times of entries of which it changed nothing else.
  adjusted BLOB NOT NULL,
  committed_at INTEGER NOT NULL,
  PRIMARY KEY (account, last)
) WITHOUT ROWID, STRICT;
CREATE INDEX made_commit_at ON made_commit (committed_at);

-- Secrets that let whoever holds one read an entry, or put files into a folder.
CREATE TABLE link (
  id BLOB PRIMARY KEY,
  -- SHA-256.
  secret BLOB NOT NULL UNIQUE,
  owner INTEGER NOT NULL REFERENCES account (id),
  entry BLOB NOT NULL REFERENCES entry (id) ON DELETE CASCADE,
  -- Whether it is for putting files into a folder, and for nothing else.
  drops INTEGER NOT NULL,
  password TEXT,
  expires_at INTEGER,
  uses_max INTEGER,
  uses INTEGER NOT NULL DEFAULT 0,
  made_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX link_owner ON link (owner, id);
CREATE INDEX link_entry ON link (entry);

-- What a link gives when it is opened.
CREATE TABLE ticket (
  -- SHA-256.
  hash BLOB PRIMARY KEY,
  link BLOB NOT NULL REFERENCES link (id) ON DELETE CASCADE,
  expires_at INTEGER NOT NULL,
  -- Bytes that the link led to when the first of them left; null before.
  size INTEGER,
  served INTEGER NOT NULL DEFAULT 0,
  touched_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX ticket_link ON ticket (link);
CREATE INDEX ticket_touched ON ticket (touched_at);

-- What is left of rows that were purged, so that clients who were away hear of it.
CREATE TABLE tombstone (
  account INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  id BLOB NOT NULL,
  kind INTEGER NOT NULL,
  path TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (account, modseq, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX tombstone_at ON tombstone (at);

-- Commits too large for one transaction. A new tree's entries are rows of `entry` below a top that has
-- no parent yet; a merge's wait in staged_entry.
CREATE TABLE staged_commit (
  id BLOB PRIMARY KEY,
  account INTEGER NOT NULL REFERENCES account (id),
  -- Of a new tree: its unlinked top. Of a merge: the folder that stood at the base.
  top BLOB,
  base BLOB,
  -- Being dropped, some rows at a time: it can no longer be published.
  abandoned INTEGER NOT NULL DEFAULT 0,
  -- Bytes: of a new tree, of its files; of a merge, of the extended attributes that it changes.
  size INTEGER NOT NULL DEFAULT 0,
  entries INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0,
  opened_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE staged_entry (
  commit_id BLOB NOT NULL REFERENCES staged_commit (id),
  place INTEGER NOT NULL,
  path TEXT NOT NULL,
  -- The folder it shall be in, where that stood; it must stand there still.
  parent BLOB,
  kind INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  size INTEGER,
  digest BLOB,
  content INTEGER REFERENCES content (key),
  target TEXT,
  -- Null: those that are there are left. Empty: none.
  xattrs BLOB,
  if_generation INTEGER,
  if_etag INTEGER,
  PRIMARY KEY (commit_id, place)
) WITHOUT ROWID, STRICT;
CREATE INDEX staged_entry_content ON staged_entry (content) WHERE content IS NOT NULL;

CREATE TABLE message (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE,
  thread BLOB NOT NULL,
  in_reply_to BLOB,
  sender INTEGER NOT NULL REFERENCES account (id),
  -- As the sender wrote it: a JSON list of names.
  recipients TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- Up to 64 KiB; longer texts are contents.
  body TEXT,
  body_size INTEGER NOT NULL,
  body_digest BLOB,
  body_content INTEGER REFERENCES content (key),
  attachments INTEGER NOT NULL,
  -- Bytes the sender is charged.
  size INTEGER NOT NULL,
  sent_at INTEGER NOT NULL
) STRICT;
CREATE INDEX message_sender ON message (sender, key);
CREATE INDEX message_body ON message (body_content) WHERE body_content IS NOT NULL;

CREATE TABLE attachment (
  message INTEGER NOT NULL REFERENCES message (key),
  place INTEGER NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  digest BLOB NOT NULL,
  content INTEGER REFERENCES content (key),
  PRIMARY KEY (message, place)
) WITHOUT ROWID, STRICT;
CREATE INDEX attachment_content ON attachment (content) WHERE content IS NOT NULL;

CREATE TABLE delivery (
  account INTEGER NOT NULL REFERENCES account (id),
  number INTEGER NOT NULL,
  message INTEGER NOT NULL REFERENCES message (key),
  modseq INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  acked_at INTEGER,
  read_at INTEGER,
  PRIMARY KEY (account, number)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX delivery_message ON delivery (message, account);
CREATE INDEX delivery_unread ON delivery (account, number) WHERE acked_at IS NULL;
CREATE INDEX delivery_modseq ON delivery (account, modseq);
