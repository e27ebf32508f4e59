//! Typed identities. A camera is named by its national 20-digit code (GB/T 28181 Annex E) and by nothing else;
//! directories, journal records and addresses all carry that code.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// National 20-digit code: 8 centre + 2 industry + 3 type + 1 network + 6 serial (GB/T 28181 Annex E).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NationalCode([u8; 20]);

/// Why a text is not a national code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The text has another length than 20 characters.
    #[error("has {0} characters; a national code has exactly 20 digits")]
    Length(usize),
    /// A character is no decimal digit.
    #[error("has '{0}' at position {1}; a national code has digits only")]
    NotADigit(char, usize),
}

impl NationalCode {
    /// The 20 digits as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The three digits of the device type, for example 132 for an IP camera.
    #[must_use]
    pub fn type_code(&self) -> u16 {
        let [_, _, _, _, _, _, _, _, _, _, a, b, c, ..] = self.0;
        u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
    }
}

impl FromStr for NationalCode {
    type Err = CodeError;
    fn from_str(s: &str) -> Result<Self, CodeError> {
        if let Some((i, c)) = s.chars().enumerate().find(|(_, c)| !c.is_ascii_digit()) {
            return Err(CodeError::NotADigit(c, i + 1));
        }
        let digits: [u8; 20] = s.as_bytes().try_into().map_err(|_| CodeError::Length(s.chars().count()))?;
        Ok(Self(digits))
    }
}

impl fmt::Display for NationalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NationalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for NationalCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for NationalCode {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

/// A camera, by its national code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CameraId(pub NationalCode);

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CameraId {
    type Err = CodeError;
    fn from_str(s: &str) -> Result<Self, CodeError> {
        s.parse().map(Self)
    }
}

/// Which of a camera's two streams (主码流, 子码流).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// The full picture, recorded.
    Main,
    /// The small picture, for walls.
    Sub,
}

impl StreamKind {
    /// `main` or `sub`, as in addresses and directories.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamKind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "main" => Ok(Self::Main),
            "sub" => Ok(Self::Sub),
            _ => Err(format!("'{s}' is no stream; write main or sub")),
        }
    }
}

/// One stream of one camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    /// The camera.
    pub camera: CameraId,
    /// Main or sub.
    pub stream: StreamKind,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.camera, self.stream)
    }
}

/// A short name chosen by an administrator: letters a-z, digits and `-`, 1 to 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let fits = (1..=32).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(s.to_owned())) } else { Err(format!("'{s}': write 1 to 32 of a-z, 0-9 and '-'")) }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

/// A volume (one disk or directory that holds footage), as named in the configuration.
pub type VolumeId = Slug;
/// A node (one running `fengsui`), as named in the configuration.
pub type NodeId = Slug;

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_twenty_digits() {
        let code: NationalCode = "33080201001320000001".parse().expect("a code");
        assert_eq!((code.as_str(), code.type_code()), ("33080201001320000001", 132));
        assert_eq!("3308020100132000000".parse::<NationalCode>(), Err(CodeError::Length(19)));
        assert_eq!("".parse::<NationalCode>(), Err(CodeError::Length(0)));
        assert_eq!("3308020100132000000x".parse::<NationalCode>(), Err(CodeError::NotADigit('x', 20)));
        assert_eq!("３3080201001320000001".parse::<NationalCode>(), Err(CodeError::NotADigit('３', 1)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,40}") {
            if let Ok(code) = text.parse::<NationalCode>() {
                prop_assert_eq!(code.to_string(), text.clone());
            }
            if let Ok(slug) = text.parse::<Slug>() {
                prop_assert_eq!(slug.as_str(), text.as_str());
            }
            let _ = text.parse::<StreamKind>();
        }
    }
}
