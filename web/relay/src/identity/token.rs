//! One-time enrolment tokens. The centre shows a token once and keeps its hash; whoever brings it back before its time
//! is over has a key entered for the node that it was made for.
//!
//! ```text
//! fengsui1.<node>.<secret>.<pin>
//!          |      |        SHA-256 of the certificate that the centre's HTTPS shows, base64url: the node talks to nobody else
//!          |      32 random bytes, base64url
//!          the node's name, so that a token brought to the wrong machine is noticed there
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::ids::NodeId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const FORM: &str = "fengsui1";

/// A token as a person carries it to the node. Its `Debug` does not show the secret.
pub struct Token {
    /// The node that it is for.
    pub node: NodeId,
    /// SHA-256 of the certificate of the centre's HTTPS.
    pub pin: [u8; 32],
    secret: Zeroizing<[u8; 32]>,
}

impl Token {
    /// A new token for `node`.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn make(node: NodeId, pin: [u8; 32]) -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Self { node, pin, secret })
    }

    /// What the centre keeps of it. 256 random bits need no slow hash: nobody guesses them.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hasher = Sha256::new();
        hasher.update(b"fengsui enrolment\0");
        hasher.update(self.node.as_str().as_bytes());
        hasher.update(b"\0");
        hasher.update(self.secret.as_slice());
        TokenHash(hasher.finalize().into())
    }

    /// The text, for the one place that shows or sends it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_slice()));
        Zeroizing::new(format!("{FORM}.{}.{}.{}", self.node, *secret, URL_SAFE_NO_PAD.encode(self.pin)))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} ***)", self.node)
    }
}

/// A text is no token. What it holds is not repeated: it may be most of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no enrolment token; copy it whole, as `fengsui node invite` printed it")]
pub struct NoToken;

impl FromStr for Token {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        let mut parts = text.trim().split('.');
        let (Some(FORM), Some(node), Some(secret), Some(pin), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoToken);
        };
        let bytes = |part: &str| -> Option<[u8; 32]> {
            Zeroizing::new(URL_SAFE_NO_PAD.decode(part).ok()?).as_slice().try_into().ok()
        };
        Ok(Self {
            node: node.parse().map_err(|_| NoToken)?,
            secret: Zeroizing::new(bytes(secret).ok_or(NoToken)?),
            pin: bytes(pin).ok_or(NoToken)?,
        })
    }
}

/// The hash of a token's secret, compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct TokenHash([u8; 32]);

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&text, &mut hash).map_err(serde::de::Error::custom)?;
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_and_shows_itself_to_nobody() {
        let token = Token::make("east".parse().unwrap(), [9; 32]).unwrap();
        let text = token.expose();
        let again: Token = text.parse().unwrap();
        assert_eq!((again.node.as_str(), again.pin, again.hash() == token.hash()), ("east", [9; 32], true));
        let secret = text.split('.').nth(2).unwrap();
        assert!(!format!("{token:?} {:?}", token.hash()).contains(secret));
        let other = text.replacen("east", "west", 1).parse::<Token>().unwrap();
        assert!(other.hash() != token.hash(), "the node's name is part of what is kept");
        assert!(Token::make("east".parse().unwrap(), [9; 32]).unwrap().hash() != token.hash());
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_refused(text in "(fengsui1\\.)?[a-z.A-Z0-9_-]{0,120}") {
            let _ = text.parse::<Token>();
        }
    }
}
