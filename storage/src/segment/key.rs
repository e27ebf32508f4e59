//! The node's Ed25519 key: it signs segments, and it is the node's identity.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

use crate::error::StoreError;

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
    /// 64 hexadecimal digits. Fails when the file cannot be read or written, holds something else, or others may
    /// read it.
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(e) => Err(StoreError::io("read node key", path)(e)),
        }
    }

    /// Reads the key at `path`; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn load(path: &Path) -> Result<Option<Self>, StoreError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read node key", path)(e)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, StoreError> {
        use std::os::unix::fs::PermissionsExt;
        let mode =
            std::fs::metadata(path).map_err(StoreError::io("read node key", path))?.permissions().mode();
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(StoreError::Invalid(format!(
                "{path}: the node key may be read by others (mode {:o}); run chmod 600 on it",
                mode & 0o777
            )));
        }
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).map_err(|e| {
            StoreError::Invalid(format!("{}: not a node key (64 hexadecimal digits): {e}", path.display()))
        })?;
        Ok(Self::from_seed(seed))
    }

    fn create(path: &Path) -> Result<Self, StoreError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|e| StoreError::Invalid(format!("no random bytes for a key: {e}")))?;
        let at = |e| StoreError::io("write node key", path)(e);
        // Written aside first: a crash in between must not leave an empty key that would lock the node out.
        let aside = path.with_extension("new");
        let _ = std::fs::remove_file(&aside);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(at)?;
        file.write_all(format!("{}\n", hex::encode(seed)).as_bytes()).map_err(at)?;
        file.sync_all().map_err(at)?;
        std::fs::rename(&aside, path).map_err(at)?;
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(at)?;
        }
        Ok(Self::from_seed(seed))
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
