//! The ring of one stream: plain state, no locks, no clock.

use std::collections::VecDeque;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::{HubUnit, RingItem};
use crate::frame::{AccessUnit, GapReason, StreamInfo, Track};
use crate::segment::mux;

/// What one place of the ring costs beside the coded bytes.
const SLOT_BYTES: usize = 256;

/// Duration of a picture when nothing is known yet: 25 pictures a second.
const DURATION_DEFAULT: u32 = 3600;

/// Longest duration believed from two timestamps: two seconds of video.
const DURATION_MAX: i64 = 180_000;

/// One place of the ring.
#[derive(Debug)]
pub(super) enum Slot {
    Begin(Arc<StreamInfo>),
    Unit {
        unit: Arc<HubUnit>,
        /// Number among the pictures alone.
        picture: u64,
    },
    End {
        reason: GapReason,
        at: UtcMicros,
    },
}

impl Slot {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Unit { unit, .. } => unit.unit.data.len() + SLOT_BYTES,
            Self::Begin(_) | Self::End { .. } => SLOT_BYTES,
        }
    }
}

/// What the recorder's cursor knows.
#[derive(Debug)]
pub(super) struct RecorderCursor {
    pub(super) generation: u64,
    /// Next place to drain.
    pub(super) at: u64,
    /// To be handed out before the ring: what a drop or the attachment left behind.
    pub(super) pending: Vec<RingItem>,
    /// After a drop: units up to the next key frame are of no use.
    pub(super) skip_to_key: bool,
}

/// State of the stream at the ring's end.
#[derive(Debug, Clone)]
pub(super) enum Edge {
    /// Nothing was ever said.
    Unknown,
    /// A run is in progress.
    Running(Arc<StreamInfo>),
    /// Absent.
    Ended { reason: GapReason, at: UtcMicros, number: u64 },
}

#[derive(Debug)]
pub(super) struct Ring {
    /// Absolute place of `slots[0]`.
    pub(super) base: u64,
    pub(super) slots: VecDeque<Slot>,
    pub(super) bytes: usize,
    pub(super) edge: Edge,
    pub(super) recorder: Option<RecorderCursor>,
    /// Place of the key frame that opens the newest group, and units since.
    pub(super) group: Option<(u64, usize)>,
    /// Arrival of the newest unit.
    pub(super) newest: UtcMicros,
    /// Some viewer sleeps.
    pub(super) waiting: bool,
    next_seq: u64,
    pub(super) next_picture: u64,
    ends: u64,
    last_pts: [Option<i64>; 2],
    last_duration: [u32; 2],
    decode_time: i64,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            base: 0,
            slots: VecDeque::new(),
            bytes: 0,
            edge: Edge::Unknown,
            recorder: None,
            group: None,
            newest: UtcMicros(0),
            waiting: false,
            next_seq: 0,
            next_picture: 0,
            ends: 0,
            last_pts: [None; 2],
            last_duration: [DURATION_DEFAULT, 1024],
            decode_time: i64::MIN,
        }
    }

    /// Absolute place after the newest slot.
    pub(super) fn head(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    pub(super) fn slot(&self, place: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(place.checked_sub(self.base)?).ok()?)
    }

    fn append(&mut self, slot: Slot) {
        self.bytes += slot.bytes();
        self.slots.push_back(slot);
    }

    pub(super) fn begin(&mut self, info: Arc<StreamInfo>) {
        self.edge = Edge::Running(info.clone());
        self.group = None;
        self.last_pts = [None; 2];
        self.decode_time = i64::MIN;
        self.append(Slot::Begin(info));
        self.evict(false);
    }

    /// Takes one unit; `false` when no run is in progress.
    pub(super) fn push(&mut self, unit: AccessUnit) -> bool {
        let Edge::Running(info) = &self.edge else { return false };
        let info = info.clone();
        let track = usize::from(unit.track == Track::Audio);
        let duration = self.duration_of(track, unit.pts);
        self.newest = unit.arrived;
        let picture = self.next_picture;
        let mut decode_time = mux::utc_ticks(unit.utc);
        if unit.track == Track::Video {
            self.next_picture += 1;
            decode_time = mux::next_decode_time(&mut self.decode_time, &unit);
        }
        let unit = Arc::new(HubUnit::new(self.next_seq, info, unit, duration, decode_time));
        self.next_seq += 1;
        if unit.starts_picture_group() {
            self.group = Some((self.head(), 0));
        }
        if let Some((_, units)) = &mut self.group {
            *units += 1;
        }
        self.append(Slot::Unit { unit, picture });
        true
    }

    fn duration_of(&mut self, track: usize, pts: i64) -> u32 {
        let (Some(last), Some(known)) = (self.last_pts.get_mut(track), self.last_duration.get_mut(track))
        else {
            return DURATION_DEFAULT;
        };
        if let Some(before) = last.replace(pts) {
            let distance = pts.saturating_sub(before);
            if (1..=DURATION_MAX).contains(&distance) {
                *known = u32::try_from(distance).unwrap_or(DURATION_DEFAULT);
            }
        }
        *known
    }

    pub(super) fn end(&mut self, reason: GapReason, at: UtcMicros, watched: bool) {
        if let Edge::Ended { reason: known, .. } = &self.edge
            && *known == reason
        {
            return;
        }
        self.ends += 1;
        self.edge = Edge::Ended { reason, at, number: self.ends };
        self.group = None;
        self.append(Slot::End { reason, at });
        self.evict(watched);
    }

    /// Lets go of what no reader needs: what the recorder has drained, is older than the newest group, and too old for
    /// the viewers there are.
    pub(super) fn evict(&mut self, watched: bool) {
        let group = self.group.filter(|(_, units)| *units <= limits::WARM_START_UNITS_MAX);
        let mut floor = group.map_or(self.head(), |(place, _)| place);
        if let Some(recorder) = &self.recorder {
            floor = floor.min(recorder.at);
        }
        let oldest = self.newest - limits::VIEWER_LAG_MAX;
        while self.base < floor {
            if watched
                && matches!(self.slots.front(), Some(Slot::Unit { unit, .. }) if unit.unit.arrived >= oldest)
            {
                break;
            }
            let Some(slot) = self.slots.pop_front() else { break };
            self.bytes -= slot.bytes();
            self.base += 1;
        }
    }

    /// Bytes that only the recorder still needs, and that it has not drained.
    pub(super) fn backlog_bytes(&self) -> usize {
        let Some(recorder) = &self.recorder else { return 0 };
        let drained = usize::try_from(recorder.at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.slots.iter().skip(drained).map(Slot::bytes).sum()
    }

    /// Lets go of everything the recorder has drained, the warm start included.
    pub(super) fn forget_warm(&mut self) {
        let floor = self.recorder.as_ref().map_or(self.head(), |r| r.at);
        while self.base < floor {
            let Some(slot) = self.slots.pop_front() else { break };
            self.bytes -= slot.bytes();
            self.base += 1;
        }
        if self.group.is_some_and(|(place, _)| place < self.base) {
            self.group = None;
        }
    }

    /// Drops the recorder's oldest group of pictures; returns the units lost to it.
    pub(super) fn drop_oldest_group(&mut self) -> u64 {
        self.forget_warm();
        let Some(mut recorder) = self.recorder.take() else { return 0 };
        let mut lost = 0;
        let mut first = true;
        while let Some(slot) = self.slots.front() {
            if !first && matches!(slot, Slot::Unit { unit, .. } if unit.starts_picture_group()) {
                break;
            }
            first = matches!(slot, Slot::Begin(_) | Slot::End { .. }) && first;
            let Some(slot) = self.slots.pop_front() else { break };
            self.bytes -= slot.bytes();
            self.base += 1;
            recorder.at = self.base;
            match slot {
                Slot::Begin(info) => recorder.pending.push(RingItem::Begin(info)),
                Slot::End { reason, at } => recorder.pending.push(RingItem::End { reason, at }),
                Slot::Unit { unit, .. } => {
                    lost += 1;
                    note_lost(&mut recorder.pending, unit.unit.utc);
                }
            }
        }
        recorder.skip_to_key = true;
        if self.group.is_some_and(|(place, _)| place < self.base) {
            self.group = None;
        }
        self.recorder = Some(recorder);
        lost
    }

    /// Hands the recorder everything new; returns the units skipped on the way to a key frame.
    pub(super) fn drain(&mut self, generation: u64, out: &mut Vec<RingItem>, watched: bool) -> u64 {
        let head = self.head();
        let Some(recorder) = self.recorder.as_mut().filter(|r| r.generation == generation) else { return 0 };
        let mut skipped = 0;
        let start = usize::try_from(recorder.at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        for slot in self.slots.iter().skip(start) {
            match slot {
                Slot::Begin(info) => recorder.pending.push(RingItem::Begin(info.clone())),
                Slot::End { reason, at } => recorder.pending.push(RingItem::End { reason: *reason, at: *at }),
                Slot::Unit { unit, .. } if recorder.skip_to_key && !unit.starts_picture_group() => {
                    skipped += 1;
                    note_lost(&mut recorder.pending, unit.unit.utc);
                }
                Slot::Unit { unit, .. } => {
                    recorder.skip_to_key = false;
                    recorder.pending.push(RingItem::Unit(unit.clone()));
                }
            }
        }
        recorder.at = head;
        out.append(&mut recorder.pending);
        self.evict(watched);
        skipped
    }

    /// Puts the recorder's cursor at the newest key frame, so that nothing at hand is lost.
    pub(super) fn attach_recorder(&mut self, generation: u64) {
        let mut pending = Vec::new();
        let mut at = self.head();
        match &self.edge {
            Edge::Unknown => {}
            Edge::Running(info) => {
                pending.push(RingItem::Begin(info.clone()));
                if let Some((place, _)) = self.group
                    && place >= self.base
                {
                    at = place;
                }
            }
            Edge::Ended { reason, at, .. } => pending.push(RingItem::End { reason: *reason, at: *at }),
        }
        self.recorder = Some(RecorderCursor { generation, at, pending, skip_to_key: false });
    }
}

/// Extends the drop noted last, or notes a new one.
fn note_lost(pending: &mut Vec<RingItem>, at: UtcMicros) {
    if let Some(RingItem::Dropped { units, from, to }) = pending.last_mut() {
        *units += 1;
        *from = (*from).min(at);
        *to = (*to).max(at);
    } else {
        pending.push(RingItem::Dropped { units: 1, from: at, to: at });
    }
}
