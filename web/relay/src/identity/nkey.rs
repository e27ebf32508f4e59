//! An Ed25519 key as the NATS servers write it: base32 (RFC 4648, no padding) of a prefix byte that says what the key is
//! for, the 32 bytes, and their CRC-16 (XMODEM, little-endian). Only the public half has a text form here: the seed
//! stays in [`NodeKey`], which signs the server's challenge itself.

use std::fmt;

use fengsui_storage::segment::{KeyId, NodeKey};

/// Prefix byte of a user's public key: the text begins with `U`.
const USER: u8 = 20 << 3;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The public half of a key as a NATS user: 56 characters that begin with `U`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicNkey(String);

impl PublicNkey {
    /// The text of a key.
    #[must_use]
    pub fn of(key: KeyId) -> Self {
        let mut bytes = Vec::with_capacity(35);
        bytes.push(USER);
        bytes.extend_from_slice(&key.0);
        let crc = crc16(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Self(base32(&bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicNkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text and signature with which a key answers a server's challenge.
#[must_use]
pub fn answer(key: &NodeKey, nonce: &[u8]) -> (PublicNkey, [u8; 64]) {
    (PublicNkey::of(key.id()), key.sign(nonce))
}

/// CRC-16/XMODEM: polynomial 0x1021, start 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut put = |five: u32| {
        let at = usize::try_from(five & 31).unwrap_or(0);
        text.push(char::from(ALPHABET.get(at).copied().unwrap_or(b'A')));
    };
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            put(held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        put(held << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_has_the_text_that_other_programs_give_it(seed: [u8; 32], nonce: Vec<u8>) {
            let ours = NodeKey::from_seed(seed);
            let theirs = nkeys::KeyPair::new_from_raw(nkeys::KeyPairType::User, seed).unwrap();
            let (text, signature) = answer(&ours, &nonce);
            prop_assert_eq!(text.as_str(), theirs.public_key());
            theirs.verify(&nonce, &signature).unwrap();
        }
    }
}
