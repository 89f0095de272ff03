//! What a fetch ends with: the range of numbers it gave. It is no secret and proves nothing: it marks
//! the caller's own deliveries alone.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::model::AccountId;

/// A range of an account's deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    /// Whose.
    pub account: AccountId,
    /// The first number that was given.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl AckToken {
    /// Accepts what `Display` made.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || Error::field("token", "not a token of FetchUnread");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (numbers, rest) = bytes.as_chunks::<8>();
        let [account, first, last] = *numbers else {
            return Err(refused());
        };
        if !rest.is_empty() {
            return Err(refused());
        }
        let [first, last] = [first, last].map(u64::from_le_bytes);
        Ok(Self { account: AccountId(i64::from_le_bytes(account)), first, last })
    }
}

impl fmt::Display for AckToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.account.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..].copy_from_slice(&self.last.to_le_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::AckToken;
    use crate::model::AccountId;

    #[test]
    fn a_token_survives_its_text_and_nothing_else_is_one() {
        let token = AckToken { account: AccountId(7), first: 3, last: 900 };
        assert_eq!(AckToken::parse(&token.to_string()).unwrap(), token);
        for text in ["", "x", "AAAA", &"A".repeat(33), "ä"] {
            assert!(AckToken::parse(text).is_err(), "{text:?}");
        }
    }
}
