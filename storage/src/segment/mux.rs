//! Boxes of ISO/IEC 14496-12 for stored files and for browsers. Pure: bytes in, bytes out.
//!
//! Browser copies hold the video track alone, in ticks of 90 kHz, with `tfdt` = node UTC in those ticks
//! ([`utc_ticks`]), live and playback alike: a player needs one time-stamp offset for everything.

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;

use crate::error::StoreError;
use crate::frame::{AccessUnit, StreamInfo};

/// Whom an init segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Media Source Extensions: video alone.
    Browser,
    /// The file: all tracks.
    Stored,
}

/// Node UTC in ticks of 90 kHz.
#[must_use]
pub fn utc_ticks(utc: UtcMicros) -> i64 {
    utc.0.saturating_mul(9).div_euclid(100)
}

/// `ftyp` and `moov`. Fails when no track is left for the audience or its parameters cannot be described.
pub fn init_segment(_info: &StreamInfo, _audience: Audience) -> Result<Bytes, StoreError> {
    Err(StoreError::Invalid("the muxer is not built yet".into()))
}

/// Decode time of a live picture: its UTC in ticks, or one more than the decode time before where pictures come
/// out of order. `last` is the stream's state, `i64::MIN` at the start of a run.
pub fn next_decode_time(last: &mut i64, unit: &AccessUnit) -> i64 {
    let at = utc_ticks(unit.utc).max(last.saturating_add(1));
    *last = at;
    at
}

/// One picture as `moof` + `mdat` for browsers. `sequence` counts fragments of the stream, `decode_time` is that of
/// [`next_decode_time`], `duration` in ticks (an estimate will do).
#[must_use]
pub fn live_fragment(_unit: &AccessUnit, _sequence: u32, _decode_time: i64, _duration: u32) -> Bytes {
    Bytes::new()
}

/// A stored fragment as `moof` + `mdat` for browsers: video alone, times absolute. `utc` is the fragment's start.
pub fn browser_fragment(_stored: &Bytes, _utc: UtcMicros, _sequence: u32) -> Result<Bytes, StoreError> {
    Err(StoreError::Invalid("the muxer is not built yet".into()))
}
