//! Tokens: 256 random bits with a prefix that secret scanners can find and a checksum that tells a typing
//! error from a guess. Only their SHA-256 is ever stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Goes with every call.
    Access,
    /// Is exchanged for new ones.
    Refresh,
    /// Opens what somebody shares with whoever has it.
    Link,
    /// Goes with every call of whoever opened a link.
    Ticket,
}

impl Use {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => "dpt_",
            Self::Refresh => "dpr_",
            Self::Link => "dpl_",
            Self::Ticket => "dpv_",
        }
    }
}

/// A token in the clear; only its owner keeps it.
pub struct PlainToken(Zeroizing<String>);

impl PlainToken {
    /// A new one.
    pub fn new(purpose: Use) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES + CHECK_BYTES]);
        getrandom::fill(&mut bytes[..SECRET_BYTES])
            .map_err(|error| Error::internal("token.new", error))?;
        let check = checksum(&bytes[..SECRET_BYTES]);
        bytes[SECRET_BYTES..].copy_from_slice(&check);
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(purpose.prefix());
        URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
        Ok(Self(text))
    }

    /// Accepts what `new` made for this use, and nothing else.
    pub fn parse(text: &str, purpose: Use) -> Option<Self> {
        let encoded = text.strip_prefix(purpose.prefix())?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (secret, check) = bytes.split_at_checked(SECRET_BYTES)?;
        (check == checksum(secret)).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// For its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it. A fast hash will do: there are 2^256 tokens to guess from.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn checksum(secret: &[u8]) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] =
        Sha256::new().chain_update(b"depot token check").chain_update(secret).finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{PlainToken, Use};

    #[test]
    fn a_token_is_accepted_for_its_use_alone() {
        let token = PlainToken::new(Use::Access).unwrap();
        assert!(token.reveal().starts_with("dpt_"));
        let parsed = PlainToken::parse(token.reveal(), Use::Access).unwrap();
        assert_eq!(parsed.hash(), token.hash());
        assert!(PlainToken::parse(token.reveal(), Use::Refresh).is_none());
        assert_ne!(token.hash(), PlainToken::new(Use::Access).unwrap().hash());
    }

    #[test]
    fn a_single_wrong_letter_is_noticed() {
        let token = PlainToken::new(Use::Access).unwrap();
        for at in 4..token.reveal().len() {
            let mut letters: Vec<char> = token.reveal().chars().collect();
            letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
            let wrong: String = letters.into_iter().collect();
            assert!(PlainToken::parse(&wrong, Use::Access).is_none(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn nothing_else_is_a_token(text in any::<String>()) {
            prop_assert!(PlainToken::parse(&text, Use::Access).is_none());
            let prefixed = format!("dpt_{text}");
            prop_assert!(PlainToken::parse(&prefixed, Use::Access).is_none());
        }
    }
}
