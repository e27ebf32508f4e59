//! Legal holds: stretches of time whose footage is not deleted, whatever its age and however full the disks. What is in
//! force is the reduction of the journal's records `hold.*`.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NationalCode, StreamKey, StreamKind};
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use crate::gaps::Interval;

/// One hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its number on this node.
    pub id: u64,
    /// The cameras, those of the places included.
    pub cameras: BTreeSet<CameraId>,
    /// Sites, stations or sub-centres: cameras that come to belong to them are held too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub places: BTreeSet<NationalCode>,
    /// One stream alone; both when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamKind>,
    /// Start of the footage held.
    pub from_us: UtcMicros,
    /// End of the footage held; until the release when absent. May lie in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_us: Option<UtcMicros>,
    /// Why.
    pub reason: String,
    /// Number of the case, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_number: Option<String>,
    /// Who placed it.
    pub by: String,
    /// When it was placed.
    pub placed_us: UtcMicros,
    /// What was added to it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Release>,
}

/// More time or more cameras for a hold; never less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// The hold.
    pub id: u64,
    /// Who.
    pub by: String,
    /// When.
    pub at_us: UtcMicros,
    /// Why.
    pub reason: String,
    /// A start before the one so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_us: Option<UtcMicros>,
    /// An end after the one so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_us: Option<UtcMicros>,
    /// No end any more.
    #[serde(default)]
    pub open_end: bool,
    /// More cameras.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cameras: BTreeSet<CameraId>,
}

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The hold.
    pub id: u64,
    /// Who.
    pub by: String,
    /// When.
    pub at_us: UtcMicros,
    /// Why.
    pub reason: String,
}

impl Hold {
    /// Not released.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.released.is_none()
    }
    /// The time it covers.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval::new(self.from_us, self.to_us.unwrap_or(UtcMicros(i64::MAX)))
    }
    /// Covers this stream.
    #[must_use]
    pub fn covers(&self, key: StreamKey) -> bool {
        self.stream.is_none_or(|s| s == key.stream) && self.cameras.contains(&key.camera)
    }
    /// The streams it covers.
    pub fn streams(&self) -> impl Iterator<Item = StreamKey> {
        let kinds = [StreamKind::Main, StreamKind::Sub].into_iter();
        let kinds: Vec<StreamKind> = kinds.filter(|k| self.stream.is_none_or(|s| s == *k)).collect();
        self.cameras.iter().flat_map(move |camera| {
            kinds.clone().into_iter().map(|stream| StreamKey { camera: *camera, stream })
        })
    }
}

/// Every hold of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    by_id: BTreeMap<u64, Hold>,
    last_id: u64,
    /// What is in force, by camera: for quick answers.
    in_force: BTreeMap<CameraId, Vec<(Option<StreamKind>, Interval)>>,
}

impl Holds {
    /// The holds as they were stored.
    pub(super) fn stored(holds: Vec<Hold>, last_id: u64) -> Self {
        let by_id = holds.into_iter().map(|h| (h.id, h)).collect();
        let mut all = Self { by_id, last_id, ..Self::default() };
        all.index();
        all
    }

    /// The highest number that a hold had.
    pub(super) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// A number no hold had.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn place(&mut self, hold: Hold) {
        self.last_id = self.last_id.max(hold.id);
        // The first record of a number stands; a second one can only be a replay.
        self.by_id.entry(hold.id).or_insert(hold);
        self.index();
    }

    pub(super) fn extend(&mut self, more: Extension) {
        let Some(hold) = self.by_id.get_mut(&more.id) else { return };
        if hold.extensions.contains(&more) {
            return;
        }
        if let Some(from) = more.from_us {
            hold.from_us = hold.from_us.min(from);
        }
        if let (Some(to), Some(new)) = (hold.to_us, more.to_us) {
            hold.to_us = Some(to.max(new));
        }
        if more.open_end {
            hold.to_us = None;
        }
        hold.cameras.extend(&more.cameras);
        hold.extensions.push(more);
        self.index();
    }

    pub(super) fn release(&mut self, release: Release) {
        if let Some(hold) = self.by_id.get_mut(&release.id) {
            hold.released.get_or_insert(release);
        }
        let mut released = self.by_id.values().filter(|h| !h.is_in_force()).map(|h| h.id);
        let first = released.next();
        if released.count() >= limits::HOLDS_RELEASED_MAX
            && let Some(first) = first
        {
            self.by_id.remove(&first);
        }
        self.index();
    }

    fn index(&mut self) {
        self.in_force.clear();
        for hold in self.by_id.values().filter(|h| h.is_in_force()) {
            for camera in &hold.cameras {
                self.in_force.entry(*camera).or_default().push((hold.stream, hold.interval()));
            }
        }
    }

    /// Whether any moment of `[from, to)` of a stream is held. A moment that both only touch is not.
    #[must_use]
    pub fn holds(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> bool {
        let Some(held) = self.in_force.get(&key.camera) else { return false };
        // A segment of no length is held when it lies within.
        let to = to.max(UtcMicros(from.0.saturating_add(1)));
        held.iter().any(|(stream, i)| stream.is_none_or(|s| s == key.stream) && i.from < to && from < i.to)
    }

    /// Whether footage of the stream that is yet to come is held without end.
    #[must_use]
    pub fn holds_future(&self, key: StreamKey) -> bool {
        self.holds(key, UtcMicros(i64::MAX - 2), UtcMicros(i64::MAX - 1))
    }

    /// One hold.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Hold> {
        self.by_id.get(&id)
    }

    /// Every hold, in order of number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Hold> {
        self.by_id.values()
    }

    /// Holds in force.
    #[must_use]
    pub fn in_force(&self) -> usize {
        self.by_id.values().filter(|h| h.is_in_force()).count()
    }
}
