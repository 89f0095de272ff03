//! Page tokens: where a list goes on. Clients send back what they got, or anything else: a token is
//! input, and rights are looked at anew on every page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};

/// The text of a token; empty for none.
pub(super) fn encode(place: Option<&str>) -> String {
    place.map(|place| URL_SAFE_NO_PAD.encode(format!("1{place}"))).unwrap_or_default()
}

/// The place in a token; `None` for the first page.
pub(super) fn decode(token: &str) -> Result<Option<String>> {
    if token.is_empty() {
        return Ok(None);
    }
    let refused = || Error::field("page_token", "not a token of this list; begin without one");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    text.strip_prefix('1').map(|place| Some(place.to_owned())).ok_or_else(refused)
}

/// A page's size: what was asked for, within the list's own bounds.
pub(super) fn size(asked: u32, default: usize, max: usize) -> usize {
    match asked {
        0 => default,
        asked => usize::try_from(asked).unwrap_or(max).min(max),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, size};

    #[test]
    fn tokens_come_back_and_nonsense_is_refused() {
        assert_eq!(decode(&encode(Some("ann"))).unwrap().as_deref(), Some("ann"));
        assert_eq!(decode(&encode(None)).unwrap(), None);
        for token in ["x", "AAAA", "ä", "MmFubg"] {
            assert!(decode(token).is_err(), "{token:?}");
        }
    }

    #[test]
    fn sizes_are_brought_within_bounds() {
        assert_eq!(size(0, 100, 1000), 100);
        assert_eq!(size(7, 100, 1000), 7);
        assert_eq!(size(u32::MAX, 100, 1000), 1000);
    }
}
