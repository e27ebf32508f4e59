//! The node's Ed25519 key: it signs segments, and it is the node's identity.

use std::fmt;
use std::io;
use std::path::Path;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions, RealFs};

/// A key file is 65 bytes; a larger one is something else.
const KEY_BYTES_MAX: u64 = 4096;

/// The public half of a node's key (RFC 8032, 32 bytes).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// Whether `signature` over `message` was made with the private half.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|k| k.verify(message, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A node's private key. Its text form never appears in a log.
pub struct NodeKey(SigningKey);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.id())
    }
}

impl NodeKey {
    /// The key with this seed; for tests and for keys kept elsewhere.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads the key at `path`, or makes a new one there, readable by the owner alone. The file holds the seed as
    /// 64 hexadecimal digits, and below it the public half, which tells whether a digit has changed. Fails when the file
    /// cannot be read or written, holds something else, or others may read it.
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        refuse_open_to_others(path)?;
        Self::load_or_create_in(&RealFs, path)
    }

    /// As [`Self::load_or_create`], in this file system; does not look at who may read the file.
    pub(crate) fn load_or_create_in(fs: &dyn Fs, path: &Path) -> Result<Self, StoreError> {
        match fs.read(path, KEY_BYTES_MAX) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::create(fs, path),
            Err(e) => Err(StoreError::io("read node key", path)(e)),
        }
    }

    /// Reads the key at `path`; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn load(path: &Path) -> Result<Option<Self>, StoreError> {
        refuse_open_to_others(path)?;
        Self::load_in(&RealFs, path)
    }

    /// As [`Self::load`], in this file system; does not look at who may read the file.
    pub(crate) fn load_in(fs: &dyn Fs, path: &Path) -> Result<Option<Self>, StoreError> {
        match fs.read(path, KEY_BYTES_MAX) {
            Ok(bytes) => Self::parse(path, &bytes).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read node key", path)(e)),
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let text = String::from_utf8_lossy(bytes);
        let (seed_text, public) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
        let mut seed = [0; 32];
        hex::decode_to_slice(seed_text, &mut seed).map_err(|e| {
            StoreError::Invalid(format!("{}: not a node key (64 hexadecimal digits): {e}", path.display()))
        })?;
        let key = Self::from_seed(seed);
        // Files of earlier versions have one line. With two, a changed digit is noticed before it signs anything.
        if !public.is_empty() && !public.eq_ignore_ascii_case(&key.id().to_string()) {
            let path = path.display();
            return Err(StoreError::Invalid(format!(
                "{path}: the node key is damaged: its two lines do not belong together; put the copy of a backup in its place"
            )));
        }
        Ok(key)
    }

    fn create(fs: &dyn Fs, path: &Path) -> Result<Self, StoreError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|e| StoreError::Invalid(format!("no random bytes for a key: {e}")))?;
        let at = |e| StoreError::io("write node key", path)(e);
        // Written aside first: a crash in between must not leave an empty key that would lock the node out.
        let aside = path.with_extension("new");
        let _ = fs.remove(&aside);
        let file = fs.open(&aside, OpenOptions::NEW_PRIVATE).map_err(at)?;
        let key = Self::from_seed(seed);
        let text = format!("{}\n{}\n", hex::encode(seed), key.id());
        file.write_at(0, text.as_bytes()).map_err(at)?;
        file.sync_all().map_err(at)?;
        fs.rename(&aside, path).map_err(at)?;
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs.sync_dir(dir).map_err(at)?;
        }
        Ok(key)
    }

    /// The public half.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(self.0.verifying_key().to_bytes())
    }

    /// Signs a message (Ed25519, RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// A key that others may read is no secret.
fn refuse_open_to_others(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = match std::fs::metadata(path) {
        Ok(found) => found.permissions().mode(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StoreError::io("read node key", path)(e)),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(StoreError::Invalid(format!(
        "{path}: the node key may be read by others (mode {:o}); run chmod 600 on it",
        mode & 0o777
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn key_is_made_once_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let made = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(made.id(), again.id());
        let mut signature = made.sign(b"text");
        assert!(again.id().verifies(b"text", &signature));
        assert!(!again.id().verifies(b"texT", &signature));
        signature[5] ^= 1;
        assert!(!again.id().verifies(b"text", &signature));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(NodeKey::load_or_create(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(NodeKey::load_or_create(&path).is_err());
    }
}
