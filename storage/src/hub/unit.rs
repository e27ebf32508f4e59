//! One access unit in the hub.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::frame::{AccessUnit, StreamInfo, Track};

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
    live: OnceLock<Bytes>,
}

impl HubUnit {
    /// A unit that has not been muxed yet.
    #[must_use]
    pub fn new(seq: u64, info: Arc<StreamInfo>, unit: AccessUnit, duration: u32) -> Self {
        Self { seq, info, unit, duration, live: OnceLock::new() }
    }

    /// The unit as a fragment (`moof` + `mdat`) of one picture for browsers, muxed once for all viewers.
    #[must_use]
    pub fn live_fragment(&self) -> &Bytes {
        self.live.get_or_init(|| self.unit.data.clone())
    }

    /// A decoder of pictures can start here.
    #[must_use]
    pub fn starts_picture_group(&self) -> bool {
        self.unit.key && (self.unit.track == Track::Video || self.info.video.is_none())
    }
}
