//! Encryption of a backup: one key from a passphrase by argon2id, every entry by XChaCha20-Poly1305 in pieces.
//!
//! ```text
//! entry   16 bytes random | { ciphertext of 65,536 bytes and 16 bytes tag }* | ciphertext of fewer bytes and tag
//! ```
//! The nonce of a piece is the random part and its number as u64 (little endian), with the highest bit set for the last.
//! The name of the entry is authenticated with every piece: none can be cut, exchanged or put under another name.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::BackupError;
use crate::auth::random;

/// Plain bytes of one piece.
pub(super) const PIECE: usize = 64 << 10;
const TAG: usize = 16;
const PREFIX: usize = 16;
const LAST: u64 = 1 << 63;
/// Fewest characters of a passphrase.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Most memory that a backup may ask for when it is opened, in KiB.
const MEMORY_KIB_MAX: u32 = 1 << 20;

/// How the key comes from the passphrase (argon2id, RFC 9106).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// `argon2id`.
    pub algorithm: String,
    /// `xchacha20-poly1305`.
    pub cipher: String,
    /// 16 bytes, hexadecimal.
    pub salt: String,
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
}

impl Derivation {
    /// A new salt.
    pub(super) fn new() -> Result<Self, BackupError> {
        let salt = random::bytes::<PREFIX>().map_err(|e| BackupError::Other(e.to_string()))?;
        Ok(Self {
            algorithm: "argon2id".into(),
            cipher: "xchacha20-poly1305".into(),
            salt: hex::encode(salt),
            memory_kib: 64 << 10,
            passes: 3,
        })
    }

    /// The key.
    pub(super) fn sealer(&self, passphrase: &str) -> Result<Sealer, BackupError> {
        let wrong = |why: String| BackupError::Damaged("backup.json".into(), why);
        if self.algorithm != "argon2id" || self.cipher != "xchacha20-poly1305" {
            return Err(wrong(format!("{} with {} is not known here", self.algorithm, self.cipher)));
        }
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > 64 {
            return Err(wrong("it asks for more memory or time than any backup needs".into()));
        }
        let salt = hex::decode(&self.salt).map_err(|e| wrong(e.to_string()))?;
        let params =
            Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|e| wrong(e.to_string()))?;
        let mut key = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice())
            .map_err(|e| wrong(e.to_string()))?;
        Ok(Sealer(XChaCha20Poly1305::new(key.as_slice().into())))
    }
}

/// Encrypts and opens entries.
pub(super) struct Sealer(XChaCha20Poly1305);

/// Length of an entry with `plain` bytes.
pub(super) fn sealed_length(plain: u64) -> u64 {
    let pieces = plain / PIECE as u64 + 1;
    PREFIX as u64 + plain + pieces * TAG as u64
}

fn nonce(prefix: [u8; PREFIX], number: u64, last: bool) -> [u8; 24] {
    let mut nonce = [0; 24];
    let (random, count) = nonce.split_at_mut(PREFIX);
    random.copy_from_slice(&prefix);
    count.copy_from_slice(&(if last { number | LAST } else { number }).to_le_bytes());
    nonce
}

/// Reads until `out` is full or the end; how many bytes.
fn fill(from: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..).filter(|r| !r.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

impl Sealer {
    /// Encrypts everything of `from` as entry `name`.
    pub(super) fn seal(
        &self,
        name: &str,
        from: &mut dyn Read,
        to: &mut dyn Write,
    ) -> Result<(), BackupError> {
        let prefix = random::bytes::<PREFIX>().map_err(|e| BackupError::Other(e.to_string()))?;
        to.write_all(&prefix)?;
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        for number in 0.. {
            let length = fill(from, &mut piece)?;
            let last = length < PIECE;
            let payload = Payload { msg: piece.get(..length).unwrap_or_default(), aad: name.as_bytes() };
            let sealed = self.0.encrypt(&nonce(prefix, number, last).into(), payload);
            to.write_all(&sealed.map_err(|_| BackupError::Other("cannot encrypt".into()))?)?;
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Opens entry `name`.
    pub(super) fn open(
        &self,
        name: &str,
        from: &mut dyn Read,
        to: &mut dyn Write,
    ) -> Result<(), BackupError> {
        let mut prefix = [0; PREFIX];
        let refused = || BackupError::Passphrase(name.to_owned());
        if fill(from, &mut prefix)? < PREFIX {
            return Err(refused());
        }
        let mut piece = vec![0; PIECE + TAG];
        for number in 0.. {
            let length = fill(from, &mut piece)?;
            let last = length < PIECE + TAG;
            let payload = Payload { msg: piece.get(..length).unwrap_or_default(), aad: name.as_bytes() };
            let opened = self.0.decrypt(&nonce(prefix, number, last).into(), payload);
            to.write_all(&Zeroizing::new(opened.map_err(|_| refused())?))?;
            if last {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn every_change_of_an_encrypted_entry_is_found() {
        let cheap = Derivation { memory_kib: 64, passes: 1, ..Derivation::new().unwrap() };
        let sealer = cheap.sealer("correct horse battery").unwrap();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE] {
            let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut sealed = Vec::new();
            sealer.seal("a", &mut plain.as_slice(), &mut sealed).unwrap();
            assert_eq!(sealed.len() as u64, sealed_length(length as u64));
            let open = |sealer: &Sealer, name: &str, mut bytes: &[u8]| {
                let mut out = Vec::new();
                sealer.open(name, &mut bytes, &mut out).map(|()| out)
            };
            assert_eq!(open(&sealer, "a", &sealed).unwrap(), plain);
            assert!(open(&sealer, "b", &sealed).is_err(), "another name");
            assert!(open(&cheap.sealer("wrong horse battery").unwrap(), "a", &sealed).is_err());
            for at in (0..sealed.len()).step_by(sealed.len() / 7 + 1).chain([sealed.len() - 1]) {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(open(&sealer, "a", &changed).is_err(), "byte {at} of {length}");
                assert!(open(&sealer, "a", &sealed[..at]).is_err(), "cut at {at} of {length}");
            }
            if length >= PIECE {
                let cut = PREFIX + PIECE + TAG;
                assert!(open(&sealer, "a", &sealed[..cut]).is_err(), "cut between pieces");
            }
        }
    }
}
