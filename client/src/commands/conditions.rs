//! `--if-generation` and `--if-etag`: a change happens only if an entry is what it was taken for.

use clap::Args;

use crate::error::{Error, Result};

/// The flags.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// Only if the file has this generation; 0 means that nothing is there
    #[arg(long, value_name = "N")]
    pub(super) if_generation: Option<u64>,
    /// Only if it has this etag, as `depot stat` shows it; folders have one, too
    #[arg(long, value_name = "ETAG")]
    if_etag: Option<String>,
}

impl Conditions {
    /// Refuses where they would be about several things.
    pub(super) fn about_one(&self, operands: usize) -> Result<()> {
        match operands {
            1 => Ok(()),
            _ if self.if_generation.is_some() => {
                Err(Error::usage("--if-generation is about one file"))
            }
            _ if self.if_etag.is_some() => Err(Error::usage("--if-etag is about one entry")),
            _ => Ok(()),
        }
    }

    /// Whether anything goes.
    pub(super) fn are_none(&self) -> bool {
        self.if_generation.is_none() && self.if_etag.is_none()
    }

    /// As it is sent.
    pub(super) fn etag(&self) -> String {
        self.if_etag.clone().unwrap_or_default()
    }
}
