//! Sharing: who else may use an entry and all below it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{AccountName, GroupName};

/// What a grant allows; writing includes reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Right {
    /// To see it.
    Read,
    /// To change it.
    Write,
}

/// Whom a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grantee {
    /// One account.
    Account(AccountName),
    /// All that are in a group, as of each request.
    Group(GroupName),
}

impl Grantee {
    /// Parses `bob` or `@lab`.
    pub fn parse(text: &str) -> Result<Self> {
        match text.strip_prefix('@') {
            Some(group) => GroupName::parse(group).map(Self::Group),
            None => AccountName::parse(text).map(Self::Account),
        }
        .map_err(|error| Error::field("grantee", error.message().to_owned()))
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => name.fmt(f),
            Self::Group(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Grantee, Right};

    #[test]
    fn grantees_are_accounts_or_groups() {
        for text in ["bob", "@lab", "a.b-c_d", "@x"] {
            assert_eq!(Grantee::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "@", "@@x", "bob@lab", "@a b", "-x"] {
            assert!(Grantee::parse(text).is_err(), "{text:?}");
        }
        assert!(Right::Write > Right::Read, "the higher right counts");
    }
}
