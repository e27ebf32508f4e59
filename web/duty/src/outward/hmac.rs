//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) and the signature of webhooks that is made with it.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// HMAC-SHA-256 of the parts of a message, one behind the other.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    let hashed;
    // A key longer than a block is hashed first (RFC 2104, 2).
    let short = if key.len() > BLOCK {
        hashed = Sha256::digest(key);
        hashed.as_slice()
    } else {
        key
    };
    for (to, from) in block.iter_mut().zip(short) {
        *to = *from;
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for part in message {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// The value of `Fengsui-Signature`: `t=<seconds since 1970>,v1=<hexadecimal HMAC-SHA-256 of "t.body">`. The time stands in
/// the signed text, so that nobody sends an old event again as a new one.
#[must_use]
pub fn signature(secret: &[u8], unix_s: i64, body: &[u8]) -> String {
    let mac = hmac_sha256(secret, &[unix_s.to_string().as_bytes(), b".", body]);
    format!("t={unix_s},v1={}", hex::encode(mac))
}

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    /// It has another form.
    #[error("the header is no t=<seconds>,v1=<hex>")]
    Form,
    /// It is of another secret or another body.
    #[error("the signature is of another secret or another body")]
    Wrong,
    /// Its time is too far from now.
    #[error("the signature is too old, or of a clock that goes wrong")]
    Old,
}

/// Checks a signature as a receiver does: `tolerance_s` is how far its time may be from `now_s`.
///
/// # Errors
/// Why it is not believed.
pub fn check(
    secret: &[u8],
    header: &str,
    body: &[u8],
    now_s: i64,
    tolerance_s: i64,
) -> Result<(), Unbelieved> {
    let (t, mac) = header.split_once(",v1=").ok_or(Unbelieved::Form)?;
    let t: i64 = t.strip_prefix("t=").and_then(|t| t.parse().ok()).ok_or(Unbelieved::Form)?;
    let mac = hex::decode(mac).map_err(|_| Unbelieved::Form)?;
    let right = hmac_sha256(secret, &[t.to_string().as_bytes(), b".", body]);
    if !bool::from(right.as_slice().ct_eq(&mac)) {
        return Err(Unbelieved::Wrong);
    }
    if now_s.saturating_sub(t).saturating_abs() > tolerance_s {
        return Err(Unbelieved::Old);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    /// RFC 4231, 4.2 to 4.8 without the truncated one.
    #[test]
    fn the_vectors_of_rfc_4231_hold() {
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (counting, vec![0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                long.to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, mac) in cases {
            assert_eq!(hmac_sha256(&key, &[&message]).as_slice(), bytes(mac));
            let (a, b) = message.split_at(message.len() / 2);
            assert_eq!(hmac_sha256(&key, &[a, b]).as_slice(), bytes(mac), "in parts");
        }
    }

    #[test]
    fn a_signature_is_of_one_secret_one_body_and_one_time() {
        let header = signature(b"secret", 1_000, b"{}");
        check(b"secret", &header, b"{}", 1_200, 300).unwrap();
        assert_eq!(check(b"other", &header, b"{}", 1_000, 300), Err(Unbelieved::Wrong));
        assert_eq!(check(b"secret", &header, b"{ }", 1_000, 300), Err(Unbelieved::Wrong));
        assert_eq!(check(b"secret", &header, b"{}", 1_301, 300), Err(Unbelieved::Old));
        let moved = header.replace("t=1000", "t=1100");
        assert_eq!(check(b"secret", &moved, b"{}", 1_100, 300), Err(Unbelieved::Wrong));
        assert_eq!(check(b"secret", "v1=00", b"{}", 1_000, 300), Err(Unbelieved::Form));
    }
}
