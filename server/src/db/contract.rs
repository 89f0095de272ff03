//! One suite for every store of metadata.
