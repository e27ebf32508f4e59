//! What to delete, and in which order. Pure: everything it goes by is an argument.
//!
//! Order of sacrifice, each step only when the ones before it do not make enough room:
//! 1. footage older than `max_days` of its class, whether room is needed or not;
//! 2. above the high water mark of a volume: footage on it older than `min_days`, normal cameras before key targets,
//!    oldest first, down to the low mark;
//! 3. with `emergency = "sacrifice"` alone, when the volume is about to stop: footage on it younger than `min_days`,
//!    sub-streams before main streams, normal cameras before key targets, oldest first, as little as possible and
//!    nothing younger than the floor.
//!
//! Never a segment of which any moment is held. What is left then is a volume that stops.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, StreamKind, VolumeId};
use fengsui_config::limits;
use fengsui_config::retention::{ClassRetention, Emergency, RetentionConfig, WaterMarks};
use fengsui_config::topology::CameraClass;
use serde::{Deserialize, Serialize};

use super::hold::Holds;

/// Why a segment is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its time is over (`max_days`).
    Duty,
    /// Its promise is served (`min_days`) and the volume needs room.
    Water,
    /// Its promise is broken, because the volume would stop otherwise.
    Sacrifice,
}

/// A closed segment as the planner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Place of its volume in [`Facts::volumes`].
    pub volume: usize,
    /// Number in its stream.
    pub number: u64,
    /// Start on the wall clock's label.
    pub start: UtcMicros,
    /// End on the label.
    pub end: UtcMicros,
    /// Its age counts from here: see [`super::age::effective_ends`].
    pub aged: UtcMicros,
    /// Bytes that deleting it frees.
    pub bytes: u64,
    /// A verified copy lies in the archive. Changes nothing by itself: the promise is about this node.
    pub archived: bool,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    /// The stream.
    pub key: StreamKey,
    /// Its camera's class; `None` when the camera is not configured: then the strictest rule of all classes holds.
    pub class: Option<CameraClass>,
    /// Its segments; those left out are not deleted.
    pub rows: Vec<Row>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFacts {
    /// Its name.
    pub id: VolumeId,
    /// It is there and is ours, so that deleting means something.
    pub usable: bool,
    /// Size in bytes.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Bytes that stay free.
    pub reserve: u64,
    /// Files that may still be created.
    pub inodes_free: u64,
    /// Water marks.
    pub water: WaterMarks,
}

impl VolumeFacts {
    fn above(&self, permille: u32) -> u64 {
        let usable = self.total.saturating_sub(self.reserve);
        let free = u128::from(usable) * u128::from(1000_u32.saturating_sub(permille)) / 1000;
        self.reserve.saturating_add(u64::try_from(free).unwrap_or(u64::MAX))
    }
    /// Fewer free bytes than this, and the volume is about to stop.
    #[must_use]
    pub fn critical_free(&self) -> u64 {
        let quarter = (self.above(self.water.high_permille) - self.reserve) / 4;
        self.reserve.saturating_add(quarter.max(self.reserve / 16))
    }
    /// Fewer free bytes than this, and what is no longer promised goes: the high water mark.
    #[must_use]
    pub fn high_free(&self) -> u64 {
        self.above(self.water.high_permille).max(self.critical_free())
    }
    /// Free bytes down to the low water mark.
    #[must_use]
    pub fn low_free(&self) -> u64 {
        self.above(self.water.low_permille).max(self.high_free())
    }
}

/// Everything that a plan goes by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time ages are counted by.
    pub now: UtcMicros,
    /// What was promised.
    pub policy: &'a RetentionConfig,
    /// Streams with their segments.
    pub streams: &'a [StreamFacts],
    /// Volumes.
    pub volumes: &'a [VolumeFacts],
    /// Holds.
    pub holds: &'a Holds,
    /// Segments that one plan may delete.
    pub limit: usize,
    /// Every segment is among the rows, so that breaking a promise may be thought of.
    pub complete: bool,
}

/// One segment to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Place of its stream in [`Facts::streams`].
    pub stream: usize,
    /// The segment.
    pub row: Row,
    /// Why.
    pub why: Why,
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of deletion.
    pub deletions: Vec<Deletion>,
    /// There is more to delete than the limit.
    pub more: bool,
    /// Volumes about to stop, for which nothing was found that may be deleted without breaking a promise.
    pub short: Vec<usize>,
    /// Of those, the ones on which nothing at all may be deleted: they will stop.
    pub stuck: Vec<usize>,
}

/// Room that a volume needs.
#[derive(Debug, Clone, Copy, Default)]
struct Need {
    bytes: u64,
    files: u64,
}

impl Need {
    fn of(volume: &VolumeFacts, free: u64, target: u64, trigger: u64, files_target: u64) -> Self {
        let bytes = if free < trigger { target.saturating_sub(free) } else { 0 };
        Self { bytes, files: files_target.saturating_sub(volume.inodes_free) }
    }
    fn is_met(self) -> bool {
        self.bytes == 0 && self.files == 0
    }
    fn take(&mut self, row: &Row) {
        self.bytes = self.bytes.saturating_sub(row.bytes);
        self.files = self.files.saturating_sub(1);
    }
}

/// What has been decided so far.
struct Planner<'a> {
    facts: &'a Facts<'a>,
    plan: Plan,
    /// Bytes and files that the plan frees, by volume.
    freed: Vec<(u64, u64)>,
}

/// Decides what to delete.
#[must_use]
pub fn plan(facts: &Facts<'_>) -> Plan {
    let mut planner = Planner { facts, plan: Plan::default(), freed: vec![(0, 0); facts.volumes.len()] };
    planner.duty();
    if !planner.plan.more {
        planner.water();
    }
    if !planner.plan.more {
        planner.emergency();
    }
    planner.plan
}

impl Planner<'_> {
    fn class(&self, stream: &StreamFacts) -> ClassRetention {
        stream.class.map_or_else(|| self.facts.policy.strictest(), |c| self.facts.policy.class(c))
    }

    /// Segments that may be thought of, with their stream's rule; held ones are never among them.
    fn candidates(&self, fits: impl Fn(&Row, ClassRetention) -> bool) -> Vec<(usize, &StreamFacts, Row)> {
        let mut out = Vec::new();
        for (i, stream) in self.facts.streams.iter().enumerate() {
            let rule = self.class(stream);
            let rows = stream.rows.iter().filter(|r| fits(r, rule));
            let usable = rows.filter(|r| self.facts.volumes.get(r.volume).is_some_and(|v| v.usable));
            let free = usable.filter(|r| !self.facts.holds.holds(stream.key, r.start, r.end));
            out.extend(free.map(|r| (i, stream, *r)));
        }
        out
    }

    /// Adds a deletion; `false` when the limit is reached.
    fn delete(&mut self, stream: usize, row: Row, why: Why) -> bool {
        if self.plan.deletions.len() >= self.facts.limit {
            self.plan.more = true;
            return false;
        }
        if let Some((bytes, files)) = self.freed.get_mut(row.volume) {
            *bytes = bytes.saturating_add(row.bytes);
            *files += 1;
        }
        self.plan.deletions.push(Deletion { stream, row, why });
        true
    }

    fn duty(&mut self) {
        let now = self.facts.now;
        let mut over = self.candidates(|row, rule| row.aged + rule.max <= now);
        over.sort_by_key(|(_, s, r)| (r.aged, s.key, r.number));
        let over: Vec<_> = over.into_iter().map(|(i, _, r)| (i, r)).collect();
        for (stream, row) in over {
            if !self.delete(stream, row, Why::Duty) {
                return;
            }
        }
    }

    /// Free bytes and files of a volume after the plan so far.
    fn after(&self, at: usize, volume: &VolumeFacts) -> VolumeFacts {
        let (bytes, files) = self.freed.get(at).copied().unwrap_or_default();
        VolumeFacts {
            free: volume.free.saturating_add(bytes),
            inodes_free: volume.inodes_free.saturating_add(files),
            ..volume.clone()
        }
    }

    fn water(&mut self) {
        let facts = self.facts;
        let now = facts.now;
        let needs: Vec<Need> = facts
            .volumes
            .iter()
            .enumerate()
            .map(|(at, v)| {
                let v = self.after(at, v);
                Need::of(&v, v.free, v.low_free(), v.high_free(), 2 * limits::VOLUME_INODES_MIN)
            })
            .collect();
        if needs.iter().all(|n| n.is_met()) {
            return;
        }
        let wanted = |row: &Row| needs.get(row.volume).is_some_and(|n| !n.is_met());
        let mut served = self
            .candidates(|row, rule| wanted(row) && row.aged + rule.min <= now && row.aged + rule.max > now);
        served.sort_by_key(|(_, s, r)| (rank(s.class), r.aged, s.key, r.number));
        self.take(&served.into_iter().map(|(i, _, r)| (i, r)).collect::<Vec<_>>(), needs, Why::Water);
    }

    fn emergency(&mut self) {
        let facts = self.facts;
        let now = facts.now;
        let mut needs = vec![Need::default(); facts.volumes.len()];
        for (at, volume) in facts.volumes.iter().enumerate().filter(|(_, v)| v.usable) {
            let v = self.after(at, volume);
            let critical = v.critical_free();
            let need = Need::of(&v, v.free, critical, critical, limits::VOLUME_INODES_MIN);
            if !need.is_met() {
                self.plan.short.push(at);
                if let Some(n) = needs.get_mut(at) {
                    *n = need;
                }
            }
        }
        if self.plan.short.is_empty() || !facts.complete {
            return;
        }
        if facts.policy.emergency == Emergency::Stop {
            self.plan.stuck = self.plan.short.clone();
            return;
        }
        let floor = facts.policy.sacrifice_floor;
        let wanted = |row: &Row| needs.get(row.volume).is_some_and(|n| !n.is_met());
        let mut promised =
            self.candidates(|row, rule| wanted(row) && row.aged + rule.min > now && row.aged + floor <= now);
        promised.sort_by_key(|(_, s, r)| {
            (s.key.stream == StreamKind::Main, rank(s.class), r.aged, s.key, r.number)
        });
        let promised: Vec<_> = promised.into_iter().map(|(i, _, r)| (i, r)).collect();
        let left = self.take(&promised, needs, Why::Sacrifice);
        if !self.plan.more {
            let stuck = left.iter().enumerate().filter(|(_, n)| !n.is_met());
            self.plan.stuck = stuck.map(|(at, _)| at).collect();
        }
    }

    /// Takes rows in order until every volume has what it needs; returns what it still needs.
    fn take(&mut self, rows: &[(usize, Row)], mut needs: Vec<Need>, why: Why) -> Vec<Need> {
        for (stream, row) in rows {
            let Some(need) = needs.get_mut(row.volume).filter(|n| !n.is_met()) else { continue };
            if !self.delete(*stream, *row, why) {
                break;
            }
            need.take(row);
        }
        needs
    }
}

/// Promises of a low rank are broken first; a camera that is not configured counts as the highest.
fn rank(class: Option<CameraClass>) -> u8 {
    match class {
        Some(CameraClass::Normal) => 0,
        Some(CameraClass::Key) => 1,
        None => 2,
    }
}
