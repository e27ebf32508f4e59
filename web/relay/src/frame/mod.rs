//! The wire form of what goes up: one journal record as a frame, and frames in packets.
//!
//! ```text
//! packet  {"base":{"epoch":E,"seq":S},"walk":W,"frame":F}
//! frame   {"v":1,"origin":O,"epoch":E,"seq":S,"prev":{"epoch":E,"seq":S},"at_us":T,"kind":K,"body":B,"chain":C}
//! preview {"v":1,"origin":O,"epoch":E,"seq":S,"at_us":T,"kind":K,"body":B}
//! ```
//! Bytes are canonical: fields in this order, no white space, the fields of a body sorted by name, numbers as
//! `serde_json` prints them. A frame is therefore the same bytes wherever it is encoded, and the chain can be checked
//! at every level. `chain` is the hex SHA-256 of (32 bytes of the chain before | the frame without its field `chain`).
//!
//! What stays the same in every version of a frame is what a receiver needs to go on behind one that it cannot read:
//! `v`, `origin`, `epoch`, `seq`, `prev` and `chain`, and both fields of the packet beside it.
//!
//! - What is decoded and encoded again is the same bytes: `a_frame_is_the_same_bytes_at_every_level`.
//! - Any changed byte is noticed, by form or by chain: `any_changed_byte_is_noticed`.
//! - No bytes make decoding panic: `no_bytes_make_decoding_panic`.
//! - A newer version is told apart from garbage: `a_newer_version_is_told_apart_from_garbage`.

#[cfg(test)]
mod tests;

use std::fmt;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Version of the frames that this program writes.
pub const FRAME_VERSION: u64 = 1;

/// Largest epoch and sequence number that are believed, as in the journal: nobody counts so far.
const COUNT_MAX: u64 = 1 << 62;

/// Bytes of a packet beside its frame.
const PACKET_ROOM: usize = 256;

/// Place of a record in the life of its node. Ordered by epoch, then number: a journal that was restored from a backup
/// gives numbers again, in a later epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// How many times the journal had been opened.
    pub epoch: u64,
    /// Sequence number; 0 for "before the first".
    pub seq: u64,
}

impl Key {
    /// The key of these numbers.
    #[must_use]
    pub fn new(epoch: u64, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// Whether anybody counts so far.
    fn is_believed(self) -> bool {
        self.epoch.max(self.seq) <= COUNT_MAX
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.seq)
    }
}

/// SHA-256 over everything that an origin ever sent up, ending with one frame; zeros before the first.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Chain(pub [u8; 32]);

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// How far somebody has come with what one origin sent up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The newest frame.
    pub key: Key,
    /// Its chain.
    pub chain: Chain,
}

/// One upward record on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Version of the frame.
    pub v: u64,
    /// The node that wrote the record.
    pub origin: NodeId,
    /// Epoch of the record.
    pub epoch: u64,
    /// Its number.
    pub seq: u64,
    /// The origin's upward record before it; 0/0 for the first.
    pub prev: Key,
    /// When it was written, on the origin's clock.
    pub at_us: i64,
    /// Its kind.
    pub kind: String,
    /// Its body.
    pub body: Value,
    /// Chain up to and with this frame.
    pub chain: Chain,
}

#[derive(Serialize)]
struct Unchained<'a> {
    v: u64,
    origin: &'a NodeId,
    epoch: u64,
    seq: u64,
    prev: Key,
    at_us: i64,
    kind: &'a str,
    body: &'a Value,
}

impl Frame {
    /// A frame that goes on behind `before`.
    #[must_use]
    pub fn behind(before: Mark, origin: &NodeId, key: Key, at: UtcMicros, kind: &str, body: Value) -> Self {
        let mut frame = Self {
            v: FRAME_VERSION,
            origin: origin.clone(),
            epoch: key.epoch,
            seq: key.seq,
            prev: before.key,
            at_us: at.0,
            kind: kind.to_owned(),
            body,
            chain: Chain::default(),
        };
        frame.chain = frame.chain_behind(before.chain);
        frame
    }

    /// Its place.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.epoch, self.seq)
    }

    /// Where an origin stands after it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { key: self.key(), chain: self.chain }
    }

    /// What its chain has to be when the one before was `before`.
    #[must_use]
    pub fn chain_behind(&self, before: Chain) -> Chain {
        let Self { v, origin, epoch, seq, prev, at_us, kind, body, chain: _ } = self;
        let unchained =
            Unchained { v: *v, origin, epoch: *epoch, seq: *seq, prev: *prev, at_us: *at_us, kind, body };
        let mut hash = Sha256::new();
        hash.update(before.0);
        hash.update(to_bytes(&unchained));
        Chain(hash.finalize().into())
    }

    /// Bytes of the frame on the wire.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        to_bytes(self).len()
    }

    /// What JetStream tells two packets apart by.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("{}/{}/{}", self.origin, self.epoch, self.seq)
    }
}

/// A frame on its way from one sender to its centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packet {
    /// Record of the *sender's* journal up to which the centre has confirmed everything: where to begin again if the
    /// sender should forget.
    pub base: Key,
    /// The walk through its journal in which the sender came to this frame; a new one begins at each answer of the
    /// centre to the question where to go on.
    pub walk: u64,
    /// The frame.
    pub frame: Frame,
}

/// What can be read of a packet whose frame is of a newer version or too large.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// As in [`Packet`].
    pub base: Key,
    /// As in [`Packet`].
    pub walk: u64,
    /// Version of the frame.
    pub v: u64,
    /// As in [`Frame`].
    pub origin: NodeId,
    /// Place of the frame.
    pub key: Key,
    /// As in [`Frame`].
    pub prev: Key,
    /// As in [`Frame`]; nothing was checked.
    pub chain: Chain,
}

/// Why bytes are no packet that this program takes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than the bound; with what could be read of it, if that.
    #[error("{bytes} bytes; a packet has at most {max}")]
    Oversized {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
        /// What could be read.
        head: Option<Box<Head>>,
    },
    /// A frame of a newer program.
    #[error("a frame of version {}; this program reads version {FRAME_VERSION}", .0.v)]
    Newer(Box<Head>),
    /// Nothing that any version of this program writes.
    #[error("{0}")]
    Malformed(&'static str),
}

#[derive(Deserialize)]
struct LoosePacket {
    base: Key,
    walk: u64,
    frame: LooseFrame,
}

#[derive(Deserialize)]
struct LooseFrame {
    v: u64,
    origin: NodeId,
    epoch: u64,
    seq: u64,
    prev: Key,
    chain: Chain,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let LoosePacket { base, walk, frame } = serde_json::from_slice(bytes).ok()?;
        let LooseFrame { v, origin, epoch, seq, prev, chain } = frame;
        let head = Self { base, walk, v, origin, key: Key::new(epoch, seq), prev, chain };
        (head.key.is_believed() && head.prev < head.key && base.is_believed()).then_some(head)
    }
}

/// Whether `kind` can be one: `area.verb` of small letters and `_`.
fn is_kind(kind: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    kind.len() <= limits::RELAY_KIND_BYTES_MAX
        && kind.split_once('.').is_some_and(|(a, b)| word(a) && word(b))
}

impl Packet {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The packet that `bytes` are.
    ///
    /// # Errors
    /// Says why they are none, and what could be read all the same.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let max = limits::RELAY_FRAME_BYTES_MAX + PACKET_ROOM;
        if bytes.len() > limits::RELAY_PACKET_BYTES_READ_MAX {
            return Err(DecodeError::Oversized { bytes: bytes.len(), max, head: None });
        }
        if bytes.len() > max {
            let head = Head::read(bytes).map(Box::new);
            return Err(DecodeError::Oversized { bytes: bytes.len(), max, head });
        }
        let packet = match serde_json::from_slice::<Self>(bytes) {
            Ok(packet) if packet.frame.v == FRAME_VERSION => packet,
            _ => {
                let newer = Head::read(bytes).filter(|head| head.v > FRAME_VERSION);
                let malformed = DecodeError::Malformed("bytes that are no frame");
                return Err(newer.map_or(malformed, |head| DecodeError::Newer(Box::new(head))));
            }
        };
        packet.check()?;
        if packet.encode() != bytes {
            return Err(DecodeError::Malformed("a frame that is not in canonical form"));
        }
        Ok(packet)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let Self { base, frame, .. } = self;
        let fault = if !is_kind(&frame.kind) {
            "the kind is no word.word"
        } else if !frame.key().is_believed() || !base.is_believed() || frame.seq == 0 {
            "a number that nobody counts to"
        } else if frame.prev >= frame.key() {
            "a frame that comes before the one before it"
        } else {
            return Ok(());
        };
        Err(DecodeError::Malformed(fault))
    }
}

/// A live alarm on the direct way: shown at once, and replaced by the durable frame of the same key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// Version, as in [`Frame`].
    pub v: u64,
    /// As in [`Frame`].
    pub origin: NodeId,
    /// As in [`Frame`].
    pub epoch: u64,
    /// As in [`Frame`].
    pub seq: u64,
    /// As in [`Frame`].
    pub at_us: i64,
    /// As in [`Frame`].
    pub kind: String,
    /// As in [`Frame`].
    pub body: Value,
}

impl Preview {
    /// Place of the record.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.epoch, self.seq)
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The preview that `bytes` are.
    ///
    /// # Errors
    /// Says why they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let max = limits::RELAY_FRAME_BYTES_MAX;
        if bytes.len() > max {
            return Err(DecodeError::Oversized { bytes: bytes.len(), max, head: None });
        }
        let preview: Self =
            serde_json::from_slice(bytes).map_err(|_| DecodeError::Malformed("bytes that are no preview"))?;
        if preview.v != FRAME_VERSION || !is_kind(&preview.kind) || !preview.key().is_believed() {
            return Err(DecodeError::Malformed("a preview that this program does not take"));
        }
        Ok(preview)
    }
}

/// Canonical bytes of anything here; none of it can fail to be JSON.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
