//! What a sender and its centre say to each other beside frames: where to go on, and what was taken in.

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{DecodeError, Key, Mark, to_bytes};

const VERSION: u64 = 1;

/// A sender's question on `fengsui.where.<node>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Version of the question.
    pub v: u64,
    /// Tells questions apart; also the number of the walk that begins at the answer.
    pub ask: u64,
}

/// Where one origin stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginMark {
    /// The origin.
    pub origin: NodeId,
    /// Its newest frame in the centre's journal.
    #[serde(flatten)]
    pub mark: Mark,
}

/// The centre's answer: where everything stands that this sender may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Where {
    /// Version of the answer.
    pub v: u64,
    /// The question.
    pub ask: u64,
    /// Record of the sender's journal up to which the centre has everything; `None` when it does not know the sender.
    pub base: Option<Key>,
    /// The origins.
    pub marks: Vec<OriginMark>,
}

/// What a centre says on `fengsui.confirm.<node>` after its journal took something in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Version.
    pub v: u64,
    /// The sender should ask where to go on: something is missing, or the centre has just started.
    pub anew: bool,
    /// Origins that have come further.
    pub marks: Vec<OriginMark>,
}

fn decode<T: DeserializeOwned>(bytes: &[u8], version: fn(&T) -> u64) -> Result<T, DecodeError> {
    let max = limits::RELAY_ANSWER_BYTES_MAX;
    if bytes.len() > max {
        return Err(DecodeError::Oversized { bytes: bytes.len(), max, head: None });
    }
    let read: T =
        serde_json::from_slice(bytes).map_err(|_| DecodeError::Malformed("bytes that are no message"))?;
    // Newer versions may add fields, which are passed over; none may take one away.
    if version(&read) == 0 {
        return Err(DecodeError::Malformed("a message without a version"));
    }
    Ok(read)
}

impl Ask {
    /// A question.
    #[must_use]
    pub fn new(ask: u64) -> Self {
        Self { v: VERSION, ask }
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The question that `bytes` are.
    ///
    /// # Errors
    /// Says why they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, |m: &Self| m.v)
    }
}

impl Where {
    /// An answer.
    #[must_use]
    pub fn new(ask: u64, base: Option<Key>, marks: Vec<OriginMark>) -> Self {
        Self { v: VERSION, ask, base, marks }
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The answer that `bytes` are.
    ///
    /// # Errors
    /// Says why they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, |m: &Self| m.v)
    }
}

impl Confirmation {
    /// A confirmation.
    #[must_use]
    pub fn new(anew: bool, marks: Vec<OriginMark>) -> Self {
        Self { v: VERSION, anew, marks }
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The confirmation that `bytes` are.
    ///
    /// # Errors
    /// Says why they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, |m: &Self| m.v)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::frame::Chain;

    #[test]
    fn what_is_said_is_heard_also_from_a_newer_program() {
        let mark = Mark { key: Key::new(1, 2), chain: Chain([3; 32]) };
        let marks = vec![OriginMark { origin: "s01".parse().unwrap(), mark }];
        let answer = Where::new(9, Some(Key::new(1, 1)), marks.clone());
        assert_eq!(Where::decode(&answer.encode()).unwrap(), answer);
        let confirmation = Confirmation::new(true, marks);
        assert_eq!(Confirmation::decode(&confirmation.encode()).unwrap(), confirmation);
        assert_eq!(Ask::decode(br#"{"v":2,"ask":5,"more":[]}"#).unwrap(), Ask { v: 2, ask: 5 });
        assert!(Ask::decode(br#"{"v":0,"ask":5}"#).is_err());
    }

    /// The same message as a program of the next version would say it: a higher version, and a field more in everything
    /// that has fields.
    fn newer(bytes: &[u8]) -> Vec<u8> {
        fn more(value: &mut Value) {
            match value {
                Value::Object(map) => {
                    map.values_mut().for_each(more);
                    map.insert("a_new_field".to_owned(), serde_json::json!({"of": ["the next version"]}));
                }
                Value::Array(items) => items.iter_mut().for_each(more),
                _ => {}
            }
        }
        let mut value: Value = serde_json::from_slice(bytes).unwrap();
        more(&mut value);
        *value.get_mut("v").unwrap() = 2.into();
        serde_json::to_vec(&value).unwrap()
    }

    #[test]
    fn every_message_of_the_next_version_is_read_by_this_one() {
        let mark = Mark { key: Key::new(1, 2), chain: Chain([3; 32]) };
        let marks = vec![OriginMark { origin: "s01".parse().unwrap(), mark }];
        let (ask, answer) = (Ask::new(9), Where::new(9, Some(Key::new(1, 1)), marks.clone()));
        let confirmation = Confirmation::new(true, marks);
        assert_eq!(Ask::decode(&newer(&ask.encode())).unwrap(), Ask { v: 2, ..ask });
        assert_eq!(Where::decode(&newer(&answer.encode())).unwrap(), Where { v: 2, ..answer });
        let read = Confirmation::decode(&newer(&confirmation.encode())).unwrap();
        assert_eq!(read, Confirmation { v: 2, ..confirmation });
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_message_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Ask::decode(&bytes), Where::decode(&bytes), Confirmation::decode(&bytes));
        }
    }
}
