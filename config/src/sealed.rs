//! Secrets at rest. A sealed secret is `enc:` and the Base64 of
//!
//! ```text
//! u8 version (1: not bound; 2: bound to one camera) | 24 bytes nonce | ciphertext and 16 bytes tag
//! ```
//!
//! by XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under a key that lives in a file of its own, never in the
//! configuration. A bound secret opens for its camera alone, so that nobody with write access to the configuration
//! can have another device sent the password.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::ids::CameraId;
use crate::limits;

/// First words of a key file, so that no other file is taken for one.
const MAGIC: &str = "fengsui-secret-key-1 ";
const UNBOUND: u8 = 1;
const BOUND: u8 = 2;
const NONCE_BYTES: usize = 24;

/// The key that seals camera passwords.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key file {path} {problem}")]
    File {
        /// The key file.
        path: PathBuf,
        /// What happened, as a clause.
        problem: String,
    },
    /// Somebody else can read the file.
    #[error("the key file {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    Open {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// Why a sealed secret stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not Base64, too short, or of an unknown version.
    #[error("it is no sealed secret")]
    Shape,
    /// Another key, another camera, or changed bytes.
    #[error("it was sealed with another key or for another camera, or it was changed")]
    Refused,
}

impl SecretKey {
    /// Reads the key file.
    ///
    /// # Errors
    /// When the file is missing, holds no key, or can be read by others.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let wrong = |problem: String| KeyError::File { path: path.to_owned(), problem };
        let bytes = crate::load::read_bytes(path, limits::SECRET_FILE_BYTES_MAX).map_err(wrong)?;
        let bytes = Zeroizing::new(bytes);
        let metadata = std::fs::metadata(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let no_key = || wrong("holds no key".to_owned());
        let text = std::str::from_utf8(&bytes).map_err(|_| no_key())?;
        let text = text.strip_prefix(MAGIC).ok_or_else(no_key)?;
        let key = Zeroizing::new(STANDARD.decode(text.trim_end()).map_err(|_| no_key())?);
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| no_key())?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Makes a key file with mode 0600. The file is complete and on disk before it has its name, and an existing
    /// file is never replaced.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let wrong = |error: std::io::Error| KeyError::File {
            path: path.to_owned(),
            problem: format!("cannot be made: {error}"),
        };
        let mut key = Zeroizing::new([0_u8; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|error| KeyError::Random(error.to_string()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let mut suffix = [0_u8; 8];
        getrandom::fill(&mut suffix).map_err(|error| KeyError::Random(error.to_string()))?;
        let draft = folder.join(format!(".secret-{:016x}.new", u64::from_be_bytes(suffix)));
        let text = Zeroizing::new(format!("{MAGIC}{}\n", STANDARD.encode(key.as_slice())));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        written.and(removed).map_err(wrong)?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)?;
        Ok(Self(key))
    }

    /// The key of the file, made when there is none; true when it was made.
    ///
    /// # Errors
    /// As [`SecretKey::load`] and [`SecretKey::create`].
    pub fn load_or_create(path: &Path) -> Result<(Self, bool), KeyError> {
        if path.exists() {
            Self::load(path).map(|key| (key, false))
        } else {
            Self::create(path).map(|key| (key, true))
        }
    }

    /// Seals a password; what comes back starts with `enc:` and goes into the configuration.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn seal(&self, password: &str, camera: Option<CameraId>) -> Result<String, KeyError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| KeyError::Random(error.to_string()))?;
        let version = if camera.is_some() { BOUND } else { UNBOUND };
        let aad = associated(version, camera);
        let payload = Payload { msg: password.as_bytes(), aad: &aad };
        let sealed = XChaCha20Poly1305::new(self.0.as_slice().into())
            .encrypt(nonce.as_slice().into(), payload)
            .map_err(|_| KeyError::Random("the password is too long".to_owned()))?;
        let mut bytes = vec![version];
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(format!("enc:{}", STANDARD.encode(bytes)))
    }

    /// Opens a sealed secret given without its `enc:`.
    ///
    /// # Errors
    /// When it is no sealed secret, or not for this key and camera.
    pub fn open(&self, sealed: &str, camera: Option<CameraId>) -> Result<String, OpenError> {
        let bytes = STANDARD.decode(sealed.trim()).map_err(|_| OpenError::Shape)?;
        let (version, rest) = bytes.split_first().ok_or(OpenError::Shape)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(OpenError::Shape)?;
        let camera = match *version {
            UNBOUND => None,
            BOUND => Some(camera.ok_or(OpenError::Refused)?),
            _ => return Err(OpenError::Shape),
        };
        let aad = associated(*version, camera);
        let opened = XChaCha20Poly1305::new(self.0.as_slice().into())
            .decrypt(nonce.into(), Payload { msg: sealed, aad: &aad })
            .map_err(|_| OpenError::Refused)?;
        String::from_utf8(opened).map_err(|_| OpenError::Refused)
    }
}

/// What is authenticated beside the password.
fn associated(version: u8, camera: Option<CameraId>) -> Vec<u8> {
    let mut bytes = b"fengsui camera secret".to_vec();
    bytes.push(version);
    if let Some(camera) = camera {
        bytes.extend_from_slice(camera.0.as_str().as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn the_key_file_is_for_its_owner_alone_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/secret.key");
        let key = SecretKey::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(SecretKey::create(&path), Err(KeyError::File { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
        assert_eq!(SecretKey::load(&path).unwrap().0, key.0);
        assert_eq!(format!("{key:?}"), "SecretKey(***)");

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SecretKey::load(&path), Err(KeyError::Open { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "-----BEGIN KEY-----").unwrap();
        assert!(SecretKey::load(&path).is_err());
    }

    #[test]
    fn every_changed_byte_of_a_sealed_secret_is_found() {
        let key = SecretKey(Zeroizing::new([7; 32]));
        let camera = "33080201001320000001".parse().ok();
        for camera in [None, camera] {
            let sealed = key.seal("p4ss wörd 密码", camera).unwrap();
            let sealed = sealed.strip_prefix("enc:").unwrap();
            assert_eq!(key.open(sealed, camera).unwrap(), "p4ss wörd 密码");
            let bytes = STANDARD.decode(sealed).unwrap();
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert!(key.open(&STANDARD.encode(&changed), camera).is_err(), "byte {at}");
                assert!(key.open(&STANDARD.encode(&bytes[..at]), camera).is_err(), "cut at {at}");
            }
        }
        assert_ne!(key.seal("a", None).unwrap(), key.seal("a", None).unwrap(), "each time another nonce");
    }
}
