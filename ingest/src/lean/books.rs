//! What a session has delivered so far, as far as its next item depends on it.

use std::collections::VecDeque;

use bytes::Bytes;
use fengsui_config::limits;
use fengsui_storage::frame::{AudioParams, Track, VideoParams};

use super::wire::{Trouble, WireItem};
use crate::source::{SourceItem, SourceUnit};

/// The books of one session.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub audio: Option<AudioParams>,
    /// The video parameters were told once.
    told: bool,
    bad_in_a_row: u32,
    /// Bad packets count as lost before the next unit.
    lost: u32,
}

impl Books {
    /// Nothing whole has come since the last bad packet.
    pub fn is_bad(&self) -> bool {
        self.bad_in_a_row > 0
    }

    /// A packet could not be used.
    pub fn bad(&mut self, why: &'static str, out: &mut VecDeque<WireItem>) -> Result<(), Trouble> {
        self.lost = self.lost.saturating_add(1);
        self.bad_in_a_row += 1;
        if self.bad_in_a_row > limits::BAD_PACKETS_MAX {
            return Err(Trouble::Broken(format!("The device sent unusable packets: {why}.")));
        }
        out.push_back(WireItem::Source(SourceItem::BadPacket));
        Ok(())
    }

    /// A video unit; the parameters come before it when they are new.
    pub fn video(
        &mut self,
        (raw_pts, lost, data): (i64, u32, Bytes),
        (changed, known): (bool, Option<&VideoParams>),
        out: &mut VecDeque<WireItem>,
    ) {
        let unit = self.unit(Track::Video, raw_pts, lost, data);
        if changed || !self.told {
            let tracks = SourceItem::Tracks { video: known.cloned(), audio: self.audio.clone() };
            out.push_back(WireItem::Source(tracks));
            self.told = known.is_some();
        }
        out.push_back(unit);
    }

    /// An audio unit.
    pub fn audio(&mut self, raw_pts: i64, lost: u32, data: Bytes, out: &mut VecDeque<WireItem>) {
        let unit = self.unit(Track::Audio, raw_pts, lost, data);
        out.push_back(unit);
    }

    fn unit(&mut self, track: Track, raw_pts: i64, lost: u32, data: Bytes) -> WireItem {
        self.bad_in_a_row = 0;
        let lost_before = lost.saturating_add(std::mem::take(&mut self.lost));
        WireItem::Source(SourceItem::Unit(SourceUnit { track, raw_pts, lost_before, data }))
    }
}
