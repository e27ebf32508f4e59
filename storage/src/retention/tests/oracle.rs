//! The independent judge of the model: its own list of everything recorded and of every hold, and nothing of the code
//! under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{CameraId, StreamKey, StreamKind, VolumeId};

/// One segment as it was recorded.
#[derive(Debug, Clone)]
pub struct Seg {
    pub key: StreamKey,
    pub number: u64,
    pub volume: VolumeId,
    pub bytes: u64,
    /// On the label.
    pub from: UtcMicros,
    pub to: UtcMicros,
    /// When it really ended.
    pub recorded: MonoMicros,
    /// The promise of its camera.
    pub min: Duration,
}

/// One hold as it was acknowledged.
#[derive(Debug, Clone)]
pub struct Held {
    pub cameras: BTreeSet<CameraId>,
    pub stream: Option<StreamKind>,
    pub from: UtcMicros,
    pub to: Option<UtcMicros>,
}

impl Held {
    fn covers(&self, seg: &Seg) -> bool {
        self.cameras.contains(&seg.key.camera)
            && self.stream.is_none_or(|s| s == seg.key.stream)
            && seg.to > self.from
            && self.to.is_none_or(|to| seg.from < to)
    }
}

/// What went wrong, and what was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    pub held_bytes_deleted: u64,
    pub promises_broken_without_alarm: u64,
    pub deleted_without_register: u64,
    /// Promises broken, or volumes stopped, although something better could have been deleted.
    pub wrong_order: u64,
    /// Rows without a file, or deleted time without its gap.
    pub untruths: u64,
    pub deleted: u64,
    pub sacrificed: u64,
    pub stops: u64,
    pub crashes: u64,
    pub holds: u64,
    /// The first of each kind of fault, in words.
    pub notes: Vec<String>,
}

impl Verdict {
    pub fn faults(&self) -> u64 {
        self.held_bytes_deleted
            + self.promises_broken_without_alarm
            + self.deleted_without_register
            + self.wrong_order
            + self.untruths
    }
    pub fn note(&mut self, text: String) {
        if self.notes.len() < 20 {
            self.notes.push(text);
        }
    }
    pub fn add(&mut self, other: &Self) {
        self.held_bytes_deleted += other.held_bytes_deleted;
        self.promises_broken_without_alarm += other.promises_broken_without_alarm;
        self.deleted_without_register += other.deleted_without_register;
        self.wrong_order += other.wrong_order;
        self.untruths += other.untruths;
        self.deleted += other.deleted;
        self.sacrificed += other.sacrificed;
        self.stops += other.stops;
        self.crashes += other.crashes;
        self.holds += other.holds;
        for note in &other.notes {
            self.note(note.clone());
        }
    }
}

#[derive(Debug, Default)]
pub struct Oracle {
    pub stored: BTreeMap<PathBuf, Seg>,
    pub gone: BTreeMap<PathBuf, Seg>,
    pub holds: BTreeMap<u64, Held>,
    pub verdict: Verdict,
    /// For how long the wall clock has been ahead of time: so much younger may footage be when it is deleted.
    pub ahead: Duration,
}

impl Oracle {
    pub fn is_held(&self, seg: &Seg) -> bool {
        self.holds.values().any(|h| h.covers(seg))
    }

    /// Whether the promise of a segment was still to be kept.
    pub fn is_promised(&self, seg: &Seg, now: MonoMicros) -> bool {
        now.since(seg.recorded) + self.ahead + Duration::from_secs(1) < seg.min
    }

    /// Something on this volume whose promise is served for certain, and that nobody holds.
    pub fn deletable(&self, volume: &VolumeId, now: MonoMicros) -> Option<&Seg> {
        let slack = Duration::from_secs(3600);
        let served = |s: &&Seg| s.volume == *volume && now.since(s.recorded) > s.min + slack;
        self.stored.values().filter(served).find(|s| !self.is_held(s))
    }

    /// A file is gone. `alarms` are those that are in the journal, `announced` says whether the register named it.
    pub fn removed(&mut self, path: PathBuf, now: MonoMicros, alarms: &[&str], announced: bool, clean: bool) {
        let Some(seg) = self.stored.remove(&path) else {
            self.verdict.untruths += 1;
            self.verdict.note(format!("{} was deleted and nobody had recorded it", path.display()));
            return;
        };
        self.verdict.deleted += 1;
        if self.is_held(&seg) {
            self.verdict.held_bytes_deleted += seg.bytes;
            self.verdict.note(format!("held and deleted: {seg:?}"));
        }
        if !announced {
            self.verdict.deleted_without_register += 1;
            self.verdict.note(format!("deleted without an announcement: {seg:?}"));
        }
        if self.is_promised(&seg, now) {
            self.verdict.sacrificed += 1;
            if !alarms.contains(&"promise_broken") {
                self.verdict.promises_broken_without_alarm += 1;
                self.verdict.note(format!("promise broken without an alarm at {now:?}: {seg:?}"));
            }
            if clean && let Some(better) = self.deletable(&seg.volume, now) {
                let text = format!("{seg:?} was sacrificed before {better:?}");
                self.verdict.wrong_order += 1;
                self.verdict.note(text);
            }
        }
        self.gone.insert(path, seg);
    }
}
