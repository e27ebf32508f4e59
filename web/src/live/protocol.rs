//! The wire of the wall socket.
//!
//! Text from the browser: [`Request`]. Text to the browser: [`Notice`]. Binary to the browser, big endian:
//! ```text
//! u8 version = 1 | u8 flags | u16 zero | u32 sub | i64 utc_us | u32 seq | u32 server_us | moof mdat
//! flags: 1 key frame, 2 first after a start or a drop, 4 from the cached group of pictures
//! ```
//! `utc_us` is the picture's moment on the node's clock, `seq` the low 32 bits of its number in the stream, `server_us`
//! the time from the arrival of its last packet to its hand-over to the socket.

use bytes::{BufMut as _, Bytes, BytesMut};
use fengsui_config::clock::UtcMicros;
use serde::{Deserialize, Serialize};

use super::standing::Why;

/// Version of the binary header.
pub const VERSION: u8 = 1;
/// Length of the binary header in bytes.
pub const HEADER_BYTES: usize = 24;
/// Flag: a decoder can start here.
pub const FLAG_KEY: u8 = 1;
/// Flag: first picture after a start or a drop.
pub const FLAG_FIRST: u8 = 2;
/// Flag: from the cached group of pictures.
pub const FLAG_WARM: u8 = 4;

/// What a browser asks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Show a stream on the tile `sub`.
    Subscribe {
        /// Number chosen by the browser; names the tile in everything that follows.
        sub: u32,
        /// Camera code.
        camera: String,
        /// `main` or `sub`.
        stream: String,
        /// Higher is served first.
        #[serde(default)]
        priority: i32,
    },
    /// Stop showing.
    Unsubscribe {
        /// The tile.
        sub: u32,
    },
    /// Change the order in which tiles are served.
    Priority {
        /// The tile.
        sub: u32,
        /// Higher is served first.
        priority: i32,
    },
    /// What the browser sees, for the counters.
    Stat {
        /// The tile.
        sub: u32,
        /// Send to display, in milliseconds.
        #[serde(default)]
        latency_ms: Option<f64>,
        /// Buffered ahead, in milliseconds.
        #[serde(default)]
        buffered_ms: Option<f64>,
        /// Pictures the browser did not show.
        #[serde(default)]
        dropped: Option<u64>,
    },
}

/// State of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TileState {
    /// Waits for its turn to connect.
    Waiting,
    /// Connects.
    Opening,
    /// Pictures come.
    Playing,
    /// Connected, but nothing comes.
    Stalled,
    /// Failed; will be tried again.
    Offline,
    /// Will not come: the camera is disabled or gone.
    Ended,
}

/// What the node tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Notice {
    /// Parameters of the pictures that follow.
    Init {
        /// The tile.
        sub: u32,
        /// RFC 6381 codec string.
        codec: String,
        /// Pixels across.
        width: u16,
        /// Pixels down.
        height: u16,
        /// `ftyp` and `moov`, base64.
        init: String,
    },
    /// Pictures were skipped; a key frame follows.
    Drop {
        /// The tile.
        sub: u32,
        /// How many.
        units: u64,
    },
    /// State of the stream.
    State {
        /// The tile.
        sub: u32,
        /// State.
        state: TileState,
        /// Class of the failure.
        reason: Option<Why>,
        /// One sentence.
        detail: Option<String>,
        /// The node below this one that has the camera; absent when it is this node's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// A request was refused; the tile is not subscribed.
    Error {
        /// The tile; absent when the request could not be read.
        sub: Option<u32>,
        /// A stable word.
        code: &'static str,
        /// One sentence.
        detail: String,
    },
}

impl Notice {
    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What stands before a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `FLAG_*`.
    pub flags: u8,
    /// The tile.
    pub sub: u32,
    /// The picture's moment on the node's clock.
    pub utc: UtcMicros,
    /// Low 32 bits of the picture's number in the stream.
    pub seq: u32,
    /// Arrival to hand-over, in microseconds.
    pub server_us: u32,
}

/// Header and fragment in one message.
#[must_use]
pub fn picture(header: Header, fragment: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + fragment.len());
    out.put_u8(VERSION);
    out.put_u8(header.flags);
    out.put_u16(0);
    out.put_u32(header.sub);
    out.put_i64(header.utc.0);
    out.put_u32(header.seq);
    out.put_u32(header.server_us);
    out.put_slice(fragment);
    out.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_storage::board::FailureClass;

    use super::super::standing::LinkTrouble;
    use super::*;

    #[test]
    fn the_header_is_24_bytes_big_endian() {
        let header =
            Header { flags: 5, sub: 0x0102_0304, utc: UtcMicros(-2), seq: 7, server_us: 0x0000_ff00 };
        let bytes = picture(header, b"moof");
        assert_eq!(hex::encode(&bytes), "0105000001020304fffffffffffffffe000000070000ff006d6f6f66");
    }

    #[test]
    fn requests_are_read_and_what_is_optional_may_be_absent() {
        let text = r#"{"op":"subscribe","sub":1,"camera":"33080200001320000001","stream":"sub"}"#;
        let Request::Subscribe { sub, priority, .. } = serde_json::from_str(text).unwrap() else {
            unreachable!()
        };
        assert_eq!((sub, priority), (1, 0));
        assert!(serde_json::from_str::<Request>(r#"{"op":"stat","sub":1}"#).is_ok());
        assert!(serde_json::from_str::<Request>(r#"{"op":"dance","sub":1}"#).is_err());
    }

    #[test]
    fn notices_have_the_agreed_members() {
        let notice = Notice::State {
            sub: 1,
            state: TileState::Offline,
            reason: Some(Why::Camera(FailureClass::Auth)),
            detail: None,
            node: None,
        };
        assert_eq!(
            notice.text(),
            r#"{"op":"state","sub":1,"state":"offline","reason":"auth","detail":null}"#
        );
        let far = Notice::State {
            sub: 2,
            state: TileState::Offline,
            reason: Some(Why::Link(LinkTrouble::LinkFull)),
            detail: None,
            node: Some("east".into()),
        };
        let text =
            r#"{"op":"state","sub":2,"state":"offline","reason":"link_full","detail":null,"node":"east"}"#;
        assert_eq!(far.text(), text);
    }
}
