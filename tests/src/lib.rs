//! What the stories, the fault tests and the measurements share.
