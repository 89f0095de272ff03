//! The set-up code: whoever can read the server's terminal or its data directory makes the first
//! administrator, and nobody else does.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// Letters and digits that are not mistaken for each other.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const GROUPS: usize = 4;
const GROUP_LETTERS: usize = 4;

/// The code of this start, if the first administrator is still to be made.
pub struct SetupCode {
    code: Mutex<Option<SecretString>>,
    file: Option<PathBuf>,
}

impl SetupCode {
    /// There is an administrator.
    pub fn none() -> Self {
        Self { code: Mutex::new(None), file: None }
    }

    /// A new code of 80 bits; the file that holds it is removed when the code is spent.
    pub fn new(file: Option<PathBuf>) -> Result<Self> {
        let mut random = [0; GROUPS * GROUP_LETTERS];
        getrandom::fill(&mut random).map_err(|error| Error::internal("setup", error))?;
        let letters: Vec<char> =
            random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        let groups: Vec<String> =
            letters.chunks(GROUP_LETTERS).map(|group| group.iter().collect()).collect();
        Ok(Self { code: Mutex::new(Some(groups.join("-").into())), file })
    }

    /// For the one who starts the server.
    pub fn reveal(&self) -> Option<String> {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        code.as_ref().map(|code| code.expose_secret().to_owned())
    }

    /// Whether this is the code; hyphens, spaces and case do not matter.
    pub(super) fn is(&self, tried: &SecretString) -> bool {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(code) = code.as_ref() else {
            return false;
        };
        plain(code.expose_secret()).ct_eq(&plain(tried.expose_secret())).into()
    }

    /// It has done its work.
    pub(super) fn spend(&self) {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(file) = &self.file
            && let Err(error) = std::fs::remove_file(file)
        {
            tracing::warn!(%error, file = %file.display(), "the spent set-up code stays there");
        }
    }
}

fn plain(code: &str) -> Vec<u8> {
    code.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::SetupCode;

    #[test]
    fn a_code_works_once_and_in_any_spelling() {
        let setup = SetupCode::new(None).unwrap();
        let code = setup.reveal().unwrap();
        assert_eq!(code.len(), 19);
        assert!(setup.is(&SecretString::from(code.clone())));
        assert!(setup.is(&SecretString::from(code.to_lowercase().replace('-', " "))));
        assert!(!setup.is(&SecretString::from("")));
        assert!(!setup.is(&SecretString::from(&code[..18])));
        setup.spend();
        assert!(!setup.is(&SecretString::from(code)));
    }
}
