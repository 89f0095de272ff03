//! Passwords: argon2id with OWASP's parameters, a few at once, the same work whether or not the account
//! exists.
//!
//! Hashing costs 19 MiB and about 20 ms of a core each, so the number at once is bounded by a permit that
//! is moved into the blocking task: a caller that goes away frees nothing before the memory is free.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// KiB of memory for one hash (OWASP password storage cheat sheet: m=19 MiB, t=2, p=1).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes and verifies, a few at once.
pub struct Passwords {
    permits: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Verified against when there is no account, so that the answer takes as long.
    nobody: String,
}

impl Passwords {
    /// At most `at_once` hashes (0: one for each core) and `waiting_max` callers waiting for theirs.
    pub fn new(at_once: usize, waiting_max: usize) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let at_once = if at_once == 0 { cores } else { at_once };
        Ok(Self {
            permits: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::new(Semaphore::new(waiting_max)),
            nobody: hash(&SecretString::from("nobody has this account"))?,
        })
    }

    /// The hash to store, in PHC form.
    pub async fn hash(&self, password: SecretString) -> Result<String> {
        self.blocking(move || hash(&password)).await?
    }

    /// Whether this is the password of a stored hash; `None` is refused after the same work.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        let matches = self.blocking(move || verify(&password, &stored)).await??;
        Ok(matches && known)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            let message = "too many people are logging in; try again";
            Error::unavailable(message, Duration::from_secs(2)).op("password")
        })?;
        let permit: OwnedSemaphorePermit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|error| Error::internal("password", error))?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        task.await.map_err(|error| Error::internal("password", error))
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| Error::internal("password", error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &SecretString) -> Result<String> {
    let hash: PasswordHash = argon2()?
        .hash_password(password.expose_secret().as_bytes())
        .map_err(|error| Error::internal("password.hash", error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(password: &SecretString, stored: &str) -> Result<bool> {
    let parsed = PasswordHash::new(stored)
        .map_err(|error| Error::internal("password.verify", error.to_string()))?;
    Ok(argon2()?.verify_password(password.expose_secret().as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::Passwords;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn only_the_password_itself_is_accepted() {
        let passwords = Passwords::new(2, 8).unwrap();
        let stored = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify(secret("correct horse"), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify(secret("correct house"), Some(stored)).await.unwrap());
        assert!(!passwords.verify(secret("nobody has this account"), None).await.unwrap());
    }

    #[tokio::test]
    async fn too_many_waiting_are_told_to_come_back() {
        let passwords = Passwords::new(1, 1).unwrap();
        let (first, second) =
            tokio::join!(passwords.hash(secret("a")), passwords.hash(secret("b")));
        assert!(first.is_ok());
        assert_eq!(second.unwrap_err().kind(), crate::error::Kind::Unavailable);
    }
}
