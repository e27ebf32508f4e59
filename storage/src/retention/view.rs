//! How retention stands, for people.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::retention::Emergency;
use fengsui_config::topology::CameraClass;
use serde::Serialize;

use super::alarm::Alarm;
use super::forecast::Forecast;
use super::gather::Reach;
use super::plan::{VolumeFacts, Why};
use super::register::Totals;
use super::{Inner, Retention, VolumeNow};

/// One class of cameras.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassView {
    /// The class.
    pub class: CameraClass,
    /// Promised seconds.
    pub min_seconds: u64,
    /// Seconds after which it is deleted.
    pub max_seconds: u64,
    /// Cameras of the class.
    pub cameras: usize,
    /// Bytes stored, those of cameras no longer configured among key targets.
    pub bytes: u64,
    /// Of those, held.
    pub held_bytes: u64,
    /// Start of the oldest footage.
    pub oldest_us: Option<UtcMicros>,
    /// Bytes a day that come in.
    pub bytes_per_day: u64,
}

/// How full a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeWater {
    /// Its name.
    pub id: VolumeId,
    /// Files on it may be deleted now.
    pub usable: bool,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Below this many free bytes, what is no longer promised is deleted: the high water mark.
    pub high_free_bytes: u64,
    /// Deleting stops at this many free bytes: the low water mark.
    pub low_free_bytes: u64,
    /// Below this many free bytes the volume is about to stop.
    pub critical_free_bytes: u64,
    /// Nothing more on it may be deleted, and it is about to stop or has stopped.
    pub stuck: bool,
}

/// How retention stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionView {
    /// The time that ages are counted by.
    pub now_us: UtcMicros,
    /// What happens when everything on a full volume is promised.
    pub emergency: Emergency,
    /// Promises below the law are accepted.
    pub lab: bool,
    /// Classes.
    pub classes: Vec<ClassView>,
    /// Volumes.
    pub volumes: Vec<VolumeWater>,
    /// The newest forecast; absent until the first look.
    pub forecast: Option<Forecast>,
    /// Alarms raised.
    pub alarms: Vec<Alarm>,
    /// Holds in force.
    pub holds: usize,
    /// Deleted since the start of the process.
    pub deleted: Totals,
    /// Deletions that a crash or a failure interrupted and that are not settled yet.
    pub unsettled: usize,
    /// Failures of disk or journal since the start.
    pub errors: u64,
}

/// What is known without looking at footage.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionCounts {
    /// Holds in force.
    pub holds: usize,
    /// Alarms raised.
    pub alarms: Vec<Alarm>,
    /// Deleted since the start of the process.
    pub deleted: Totals,
    /// Deletions that were interrupted and are not settled yet.
    pub unsettled: usize,
    /// Failures of disk or journal since the start.
    pub errors: u64,
    /// The newest forecast.
    pub forecast: Option<Forecast>,
}

/// One stream in a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DryRow {
    /// The stream.
    #[serde(flatten)]
    pub key: StreamKey,
    /// The volume.
    pub volume: VolumeId,
    /// Why it would be deleted.
    pub why: Why,
    /// Start of the oldest segment.
    pub from_us: UtcMicros,
    /// End of the newest segment.
    pub to_us: UtcMicros,
    /// Segments.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
}

/// All that would be deleted now, batch after batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DryRun {
    /// By stream, volume and reason.
    pub rows: Vec<DryRow>,
    /// There is more than `limits::RETENTION_DRY_RUN_MAX` segments to delete.
    pub more: bool,
    /// Volumes that will stop because nothing on them may be deleted.
    pub stuck: Vec<VolumeId>,
}

impl Retention {
    fn volumes_now(&self) -> Vec<VolumeNow> {
        let source = self.core.volumes.lock().clone();
        let mut volumes = source.map(|s| s.volumes()).unwrap_or_default();
        for volume in &mut volumes {
            volume.usable = volume.usable && self.core.is_there(volume);
        }
        volumes
    }

    /// How retention stands. Looks at every row of the catalogue.
    #[must_use]
    pub fn view(&self) -> RetentionView {
        let volumes = self.volumes_now();
        let mut inner = self.core.inner.lock();
        let clock = &self.core.options.clock;
        let now = inner.age.now(clock.utc(), clock.mono());
        let facts = self.core.forecast_facts(&inner, &volumes, now);
        let classes = CameraClass::ALL.into_iter().map(|class| {
            let rule = inner.policy.class(class);
            let load = facts.loads.get(&class).cloned().unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, rounded")]
            let bytes_per_day = (load.rate * 86_400.0).max(0.0) as u64;
            ClassView {
                class,
                min_seconds: rule.min.as_secs(),
                max_seconds: rule.max.as_secs(),
                cameras: inner.cameras.values().filter(|c| c.class == class).count(),
                bytes: load.bytes,
                held_bytes: load.held_bytes,
                oldest_us: load.oldest,
                bytes_per_day,
            }
        });
        RetentionView {
            now_us: now,
            emergency: inner.policy.emergency,
            lab: inner.policy.lab,
            classes: classes.collect(),
            volumes: self.core.volume_facts(&volumes).iter().map(|v| water(&inner, v)).collect(),
            forecast: inner.forecast.clone(),
            alarms: inner.state.alarms.values().cloned().collect(),
            holds: inner.state.holds.in_force(),
            deleted: inner.totals,
            unsettled: inner.state.pending.len(),
            errors: inner.errors,
        }
    }

    /// Counters and alarms; quick.
    #[must_use]
    pub fn counts(&self) -> RetentionCounts {
        let inner = self.core.inner.lock();
        RetentionCounts {
            holds: inner.state.holds.in_force(),
            alarms: inner.state.alarms.values().cloned().collect(),
            deleted: inner.totals,
            unsettled: inner.state.pending.len(),
            errors: inner.errors,
            forecast: inner.forecast.clone(),
        }
    }

    /// All that would be deleted now, and why; archives apart. Changes nothing.
    #[must_use]
    pub fn dry_run(&self) -> DryRun {
        let volumes = self.volumes_now();
        let mut inner = self.core.inner.lock();
        let clock = &self.core.options.clock;
        let now = inner.age.now(clock.utc(), clock.mono());
        let (facts, streams, plan) = self.core.plan(&inner, &volumes, now, Reach::whole());
        drop(inner);
        let mut rows: Vec<DryRow> = Vec::new();
        let mut places: BTreeMap<(usize, usize, Why), usize> = BTreeMap::new();
        for d in &plan.deletions {
            let (Some(stream), Some(volume)) = (streams.get(d.stream), facts.get(d.row.volume)) else {
                continue;
            };
            let at = *places.entry((d.stream, d.row.volume, d.why)).or_insert(rows.len());
            if let Some(row) = rows.get_mut(at) {
                row.from_us = row.from_us.min(d.row.start);
                row.to_us = row.to_us.max(d.row.end);
                row.segments += 1;
                row.bytes += d.row.bytes;
                continue;
            }
            rows.push(DryRow {
                key: stream.key,
                volume: volume.id.clone(),
                why: d.why,
                from_us: d.row.start,
                to_us: d.row.end,
                segments: 1,
                bytes: d.row.bytes,
            });
        }
        let stuck = plan.stuck.iter().filter_map(|at| facts.get(*at)).map(|v| v.id.clone()).collect();
        DryRun { rows, more: plan.more, stuck }
    }
}

fn water(inner: &Inner, v: &VolumeFacts) -> VolumeWater {
    let stuck = super::Subject::NothingDeletable { volume: v.id.clone() };
    VolumeWater {
        id: v.id.clone(),
        usable: v.usable,
        total_bytes: v.total,
        free_bytes: v.free,
        high_free_bytes: v.high_free(),
        low_free_bytes: v.low_free(),
        critical_free_bytes: v.critical_free(),
        stuck: inner.state.alarms.contains_key(&stuck),
    }
}
