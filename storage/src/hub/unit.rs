//! One access unit in the hub.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::frame::{AccessUnit, StreamInfo, Track};
use crate::segment::mux;

/// One access unit with its place in the stream.
#[derive(Debug)]
pub struct HubUnit {
    /// Number of the unit in its stream; never repeats in the life of the process.
    pub seq: u64,
    /// Parameters of the run it belongs to.
    pub info: Arc<StreamInfo>,
    /// The unit as the camera sent it.
    pub unit: AccessUnit,
    /// How long it is expected to last, in ticks of its track: the distance between the two units before it.
    pub duration: u32,
    /// Decode time for browsers, in ticks of 90 kHz since 1970; grows with every picture of a run.
    pub decode_time: i64,
    live: OnceLock<Bytes>,
}

impl HubUnit {
    /// A unit that has not been muxed yet.
    #[must_use]
    pub fn new(seq: u64, info: Arc<StreamInfo>, unit: AccessUnit, duration: u32, decode_time: i64) -> Self {
        Self { seq, info, unit, duration, decode_time, live: OnceLock::new() }
    }

    /// The unit as a fragment (`moof` + `mdat`) of one picture for browsers, muxed once for all viewers.
    #[must_use]
    pub fn live_fragment(&self) -> &Bytes {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a sequence number of fragments has 32 bits and may wrap"
        )]
        let sequence = self.seq as u32;
        self.live.get_or_init(|| mux::live_fragment(&self.unit, sequence, self.decode_time, self.duration))
    }

    /// A decoder of pictures can start here.
    #[must_use]
    pub fn starts_picture_group(&self) -> bool {
        self.unit.key && (self.unit.track == Track::Video || self.info.video.is_none())
    }
}
