//! What is known to be damaged of stored footage: a list beside the catalogue. Derived: every entry can be found
//! again by reading the file that it names. The files themselves are left as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::gaps::Interval;
use crate::segment::{Damage, SegmentRow};

/// One damaged place of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedPlace {
    /// Counts up; names it in the API.
    pub id: u64,
    /// The volume.
    pub volume: String,
    /// The stream.
    pub key: StreamKey,
    /// Segment number.
    pub number: u64,
    /// Start of the segment in milliseconds since 1970.
    pub start_ms: i64,
    /// The file, relative to its volume.
    pub path: PathBuf,
    /// When it was found.
    pub found_at: UtcMicros,
    /// The finding stands in the journal.
    pub reported: bool,
    /// What does not hold.
    #[serde(flatten)]
    pub damage: Damage,
}

impl DamagedPlace {
    /// The footage that is lost by it.
    #[must_use]
    pub fn lost(&self) -> Option<Interval> {
        self.damage.lost.map(|(from, to)| Interval::new(from, to))
    }
    fn of(&self, row: &SegmentRow) -> bool {
        (self.number, self.start_ms) == (row.number, row.start_ms)
    }
    fn same(&self, damage: &Damage) -> bool {
        (self.damage.part, self.damage.offset) == (damage.part, damage.offset)
    }
}

/// What a look at one file changed in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Places that were not known.
    pub new: usize,
    /// Places that were known and hold again.
    pub gone: usize,
}

#[derive(Debug, Default)]
struct Inner {
    streams: BTreeMap<StreamKey, Vec<DamagedPlace>>,
    last_id: u64,
    /// Places beyond the bound.
    unlisted: u64,
}

/// All damaged places of a node, at most `limits::DAMAGED_PLACES_MAX`. Safe from many threads.
#[derive(Debug, Default)]
pub struct Damages {
    inner: RwLock<Inner>,
    /// How many there are: most nodes have none, and every timeline asks.
    count: AtomicUsize,
}

impl Damages {
    /// How many places are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// None are known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Places found beyond the bound of the list.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.inner.read().unlisted
    }

    /// Takes up a list that was kept.
    pub fn restore(&self, places: Vec<DamagedPlace>) {
        let mut inner = self.inner.write();
        for place in places.into_iter().take(limits::DAMAGED_PLACES_MAX) {
            inner.last_id = inner.last_id.max(place.id);
            inner.streams.entry(place.key).or_default().push(place);
        }
        self.recount(&inner);
    }

    fn recount(&self, inner: &Inner) {
        self.count.store(inner.streams.values().map(Vec::len).sum(), Ordering::Release);
    }

    /// Sets what is damaged of one segment to `damages`; keeps what was known already as it is.
    pub fn set(&self, row: &SegmentRow, damages: &[Damage], now: UtcMicros) -> Change {
        let mut inner = self.inner.write();
        let room = limits::DAMAGED_PLACES_MAX.saturating_sub(self.len());
        let Inner { streams, last_id, unlisted } = &mut *inner;
        let list = streams.entry(row.key).or_default();
        let before = list.len();
        list.retain(|p| !p.of(row) || damages.iter().any(|d| p.same(d)));
        let gone = before - list.len();
        let mut new = 0;
        for damage in damages {
            if list.iter().any(|p| p.of(row) && p.same(damage)) {
                continue;
            }
            if new >= room {
                *unlisted += 1;
                continue;
            }
            new += 1;
            *last_id += 1;
            list.push(DamagedPlace {
                id: *last_id,
                volume: row.volume.to_string(),
                key: row.key,
                number: row.number,
                start_ms: row.start_ms,
                path: row.path(),
                found_at: now,
                reported: false,
                damage: damage.clone(),
            });
        }
        if list.is_empty() {
            streams.remove(&row.key);
        }
        self.recount(&inner);
        Change { new, gone }
    }

    /// Forgets a segment that is no longer stored.
    pub fn forget(&self, row: &SegmentRow) {
        if !self.is_empty() {
            self.set(row, &[], UtcMicros(0));
        }
    }

    /// Up to `max` places that the journal does not know of yet.
    #[must_use]
    pub fn unreported(&self, max: usize) -> Vec<DamagedPlace> {
        let inner = self.inner.read();
        inner.streams.values().flatten().filter(|p| !p.reported).take(max).cloned().collect()
    }

    /// The journal knows of place `id` now.
    pub fn reported(&self, id: u64) {
        let mut inner = self.inner.write();
        if let Some(place) = inner.streams.values_mut().flatten().find(|p| p.id == id) {
            place.reported = true;
        }
    }

    /// Lost footage of a stream and the segments it is lost of, as far as it overlaps `from <= t < to`.
    #[must_use]
    pub fn lost(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<(u64, Interval)> {
        if self.is_empty() {
            return Vec::new();
        }
        let inner = self.inner.read();
        let places = inner.streams.get(&key).map(Vec::as_slice).unwrap_or_default();
        let lost = places.iter().filter_map(|p| Some((p.number, p.lost()?)));
        lost.filter(|(_, i)| i.from < to && i.to > from).collect()
    }

    /// All places, the newest finding first: at most `max` with an id below `before`.
    #[must_use]
    pub fn list(&self, before: Option<u64>, max: usize) -> Vec<DamagedPlace> {
        let inner = self.inner.read();
        let below = |p: &&DamagedPlace| before.is_none_or(|b| p.id < b);
        let mut out: Vec<&DamagedPlace> = inner.streams.values().flatten().filter(below).collect();
        out.sort_unstable_by_key(|p| std::cmp::Reverse(p.id));
        out.into_iter().take(max).cloned().collect()
    }

    /// Microseconds of footage that are lost by all of it.
    #[must_use]
    pub fn lost_us(&self) -> i64 {
        let inner = self.inner.read();
        inner.streams.values().flatten().filter_map(DamagedPlace::lost).map(|i| i.length_us()).sum()
    }
}
