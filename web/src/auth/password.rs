//! Passwords by argon2id (RFC 9106), with the second recommended parameter set of OWASP: 19 MiB, 2 passes, 1 lane.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use super::random;

/// Hashes that may run at once: each takes 19 MiB and some 20 ms of a core.
const AT_ONCE_MAX: usize = 2;
/// Fewest characters of a password.
const CHARS_MIN: usize = 12;
/// Most characters of a password: what is longer only costs time.
const CHARS_MAX: usize = 128;
/// Verified when the name is unknown, so that the answer takes as long as for a known one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashing on threads of its own, bounded.
pub struct Passwords {
    permits: Semaphore,
}

/// Hashing failed; the log says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash: {0}")]
pub struct HashError(String);

impl Passwords {
    /// A hasher with nothing to do.
    #[must_use]
    pub fn new() -> Self {
        Self { permits: Semaphore::new(AT_ONCE_MAX) }
    }

    /// The PHC text of `password` under a new salt.
    ///
    /// # Errors
    /// When the machine gives no random bytes or the runtime stops.
    pub async fn hash(&self, password: String) -> Result<String, HashError> {
        let _permit = self.permits.acquire().await.map_err(|e| HashError(e.to_string()))?;
        tokio::task::spawn_blocking(move || hash(&password)).await.map_err(|e| HashError(e.to_string()))?
    }

    /// True when `password` is the one behind `hash`. No hash means an unknown name: false, in the same time.
    ///
    /// # Errors
    /// When the runtime stops.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, HashError> {
        let _permit = self.permits.acquire().await.map_err(|e| HashError(e.to_string()))?;
        let work = move || {
            let known = hash.is_some();
            let text = hash.unwrap_or_else(|| NOBODY.to_owned());
            let fits = PasswordHash::new(&text)
                .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
            known && fits
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| HashError(e.to_string()))
    }
}

/// As [`Passwords::hash`], on the caller's thread.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn hash(password: &str) -> Result<String, HashError> {
    let salt = random::bytes::<16>().map_err(|e| HashError(e.to_string()))?;
    let salt = SaltString::encode_b64(&salt).map_err(|e| HashError(e.to_string()))?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|e| HashError(e.to_string()))?.to_string())
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// Says why a text cannot be the password of `name`.
///
/// # Errors
/// One sentence for the person who typed it.
pub fn check(name: &str, password: &str) -> Result<(), String> {
    let count = password.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&count) {
        return Err(format!("A password has {CHARS_MIN} to {CHARS_MAX} characters; this one has {count}."));
    }
    if password.to_lowercase().contains(&name.to_lowercase()) {
        return Err("A password must not contain the name.".into());
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return Err("A password is more than one character repeated.".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn the_right_password_and_only_it_verifies() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
    }

    #[test]
    fn the_hash_for_unknown_names_is_well_formed() {
        assert!(PasswordHash::new(NOBODY).is_ok());
    }

    #[test]
    fn weak_passwords_are_refused_with_a_reason() {
        assert!(check("li", "short").unwrap_err().contains("this one has 5"));
        assert!(check("li", "elevenchars").unwrap_err().contains("12 to"));
        assert!(check("wangwu", "my-WANGWU-pw").is_err());
        assert!(check("li", "aaaaaaaaaaaa").is_err());
        assert!(check("li2", "correct horse").is_ok());
    }
}
