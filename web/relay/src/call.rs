//! What a centre and a node say when the centre uses the node's API: a request, its answer, and the parts of an answer that is
//! longer or goes on for long.
//!
//! The centre asks for each part (`fengsui.command.<node>.more`), a few ahead, and the node answers each question once: so the
//! reader sets the pace, nothing piles up, and a centre that is gone is noticed by its silence.
//!
//! A message is one line of JSON, a line feed, and bytes.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use fengsui_config::limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::DecodeError;

const VERSION: u64 = 1;
/// Verb of a request.
pub const CALL: &str = "call";
/// Verb of the question for one more part.
pub const MORE: &str = "more";
/// Verb of the word that nobody wants more.
pub const END: &str = "end";

/// On whose behalf the centre asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnBehalf {
    /// Name of the person at the centre.
    pub user: String,
    /// Their roles there, by name; what the node does not know counts for nothing.
    pub roles: Vec<String>,
}

/// A request; its body follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Version of this.
    pub v: u64,
    /// Method.
    pub method: String,
    /// Path, with its query.
    pub path: String,
    /// Headers, by name in small letters.
    pub headers: BTreeMap<String, String>,
    /// Who asks.
    pub by: OnBehalf,
}

/// The answer; the first bytes of its body follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Version of this.
    pub v: u64,
    /// Status as of HTTP.
    pub status: u16,
    /// Headers, by name in small letters.
    pub headers: BTreeMap<String, String>,
    /// The number under which more is to be asked for; none when this was all.
    pub call: Option<u64>,
}

/// The question for one more part, or the word that nobody wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct More {
    /// Version of this.
    pub v: u64,
    /// The number in the answer.
    pub call: u64,
    /// The part, counted from 0.
    pub part: u64,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// There may be more.
    More,
    /// It was the last one.
    Last,
    /// The body broke off: what came is not all.
    Broken,
    /// The node does not know the call (any more).
    Unknown,
}

/// One part; its bytes follow, none when there was nothing for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Version of this.
    pub v: u64,
    /// What follows it.
    pub rest: Rest,
}

/// A line that begins a message.
pub trait Line: Serialize + DeserializeOwned {
    /// Its version.
    fn version(&self) -> u64;
}

macro_rules! lines {
    ($($name:ident)*) => { $(impl Line for $name { fn version(&self) -> u64 { self.v } })* };
}
lines!(Request Answer More Part);

impl Request {
    /// A request of the version that is spoken here.
    #[must_use]
    pub fn new(method: &str, path: &str, headers: BTreeMap<String, String>, by: OnBehalf) -> Self {
        Self { v: VERSION, method: method.to_owned(), path: path.to_owned(), headers, by }
    }
}

impl Answer {
    /// An answer of the version that is spoken here.
    #[must_use]
    pub fn new(status: u16, headers: BTreeMap<String, String>, call: Option<u64>) -> Self {
        Self { v: VERSION, status, headers, call }
    }
}

impl More {
    /// A question of the version that is spoken here.
    #[must_use]
    pub fn new(call: u64, part: u64) -> Self {
        Self { v: VERSION, call, part }
    }
}

impl Part {
    /// A part of the version that is spoken here.
    #[must_use]
    pub fn new(rest: Rest) -> Self {
        Self { v: VERSION, rest }
    }
}

/// The message of a line and the bytes behind it.
#[must_use]
pub fn encode(line: &impl Line, bytes: &[u8]) -> Bytes {
    let head = crate::frame::to_bytes(line);
    let mut out = BytesMut::with_capacity(head.len() + 1 + bytes.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(b"\n");
    out.extend_from_slice(bytes);
    out.freeze()
}

/// The line and the bytes that a message is. Newer programs may add members to a line.
///
/// # Errors
/// Says why it is none.
pub fn decode<T: Line>(message: &Bytes) -> Result<(T, Bytes), DecodeError> {
    let max = limits::RELAY_CALL_LINE_BYTES_MAX;
    let end = message.iter().take(max).position(|b| *b == b'\n');
    let Some(end) = end else {
        if message.len() > max {
            return Err(DecodeError::Oversized { bytes: message.len(), max, head: None });
        }
        return Err(DecodeError::Malformed("a message without a line"));
    };
    let head = message.get(..end).unwrap_or_default();
    let line: T =
        serde_json::from_slice(head).map_err(|_| DecodeError::Malformed("a line that is no message"))?;
    if line.version() == 0 {
        return Err(DecodeError::Malformed("a message without a version"));
    }
    Ok((line, message.slice(end + 1..)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_asked_is_heard_with_its_bytes_also_from_a_newer_program() {
        let by = OnBehalf { user: "li".into(), roles: vec!["administrator".into()] };
        let headers = BTreeMap::from([("range".to_owned(), "bytes=0-9".to_owned())]);
        let request = Request::new("GET", "/api/v1/cameras?x=\n", headers, by);
        let message = encode(&request, b"a\nb");
        assert_eq!(decode::<Request>(&message).unwrap(), (request, Bytes::from_static(b"a\nb")));
        let newer = Bytes::from_static(b"{\"v\":2,\"rest\":\"last\",\"hash\":1}\n");
        assert_eq!(decode::<Part>(&newer).unwrap(), (Part { v: 2, rest: Rest::Last }, Bytes::new()));
        assert!(decode::<Part>(&Bytes::from_static(b"{\"v\":0,\"rest\":\"last\"}\n")).is_err());
        assert!(decode::<Part>(&Bytes::from_static(b"{\"v\":1,\"rest\":\"last\"}")).is_err());
        let long = Bytes::from(vec![b' '; limits::RELAY_CALL_LINE_BYTES_MAX + 1]);
        assert!(matches!(decode::<Part>(&long), Err(DecodeError::Oversized { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_call_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = (decode::<Request>(&bytes), decode::<Answer>(&bytes), decode::<Part>(&bytes));
        }
    }
}
