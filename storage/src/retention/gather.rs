//! From the catalogue to the facts that plan and forecast go by.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use fengsui_config::topology::CameraClass;

use super::age::{Label, effective_ends};
use super::alarm::Subject;
use super::forecast::{ForecastFacts, HOUR_US, Load, forecast};
use super::plan::{Deletion, Facts, Plan, Row, StreamFacts, VolumeFacts, Why, plan};
use super::{Core, Inner, VolumeNow};
use crate::catalogue::{Catalogue, StoredSegment};
use crate::segment::SegmentRow;

/// How long after the last broken promise its alarm stays.
const BROKEN_ALARM_US: i64 = 24 * HOUR_US;

/// A segment as a row of the planner, if it may be thought of.
struct Sieve<'a> {
    /// Places of the catalogue's volumes among the facts'.
    places: Vec<Option<usize>>,
    /// Labels that end later are too young whatever happens.
    cutoff: UtcMicros,
    volumes: &'a [VolumeFacts],
    /// Segments that one plan may delete.
    limit: usize,
}

/// How far a plan goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Looks for what is over, even while no volume fills.
    duty: bool,
    /// Segments.
    limit: usize,
    /// All that would be deleted one batch after the other.
    whole: bool,
}

impl Reach {
    /// The next batch.
    pub(super) fn batch(duty: bool) -> Self {
        Self { duty, limit: limits::RETENTION_BATCH_MAX, whole: false }
    }
    /// Everything.
    pub(super) fn whole() -> Self {
        Self { duty: true, limit: limits::RETENTION_DRY_RUN_MAX, whole: true }
    }
}

/// End of the newest footage of all.
pub(super) fn newest(catalogue: &Catalogue) -> Option<UtcMicros> {
    catalogue.keys().into_iter().filter_map(|key| catalogue.summary(key).last).max()
}

fn micros(ms: i64) -> UtcMicros {
    UtcMicros(ms.saturating_mul(1000))
}

impl Core {
    /// Volumes with what they measure now.
    pub(super) fn volume_facts(&self, volumes: &[VolumeNow]) -> Vec<VolumeFacts> {
        let of = |v: &VolumeNow| {
            let space = if v.usable { self.options.fs.space(&v.root).ok() } else { None };
            VolumeFacts {
                id: v.id.clone(),
                usable: space.is_some(),
                total: space.map_or(0, |s| s.total),
                free: space.map_or(0, |s| s.free),
                reserve: v.reserve_bytes,
                inodes_free: space.map_or(u64::MAX, |s| s.inodes_free),
                water: self.options.water.get(&v.id).copied().unwrap_or_default(),
            }
        };
        volumes.iter().map(of).collect()
    }

    /// Plans and deletes one batch; `true` when there may be more to do.
    pub(super) fn round(&self, inner: &mut Inner, volumes: &[VolumeNow]) -> bool {
        let (utc, mono) = (self.options.clock.utc(), self.options.clock.mono());
        let now = inner.age.now(utc, mono);
        let rest = if inner.policy.lab { Duration::ZERO } else { limits::RETENTION_DUTY_INTERVAL };
        let duty = inner.duty_done.is_none_or(|at| mono.since(at) >= rest);
        let (facts, streams, plan) = self.plan(inner, volumes, now, Reach::batch(duty));
        if duty && !plan.more {
            inner.duty_done = Some(mono);
        }
        self.stuck(inner, &facts, &plan);
        let mut groups: BTreeMap<(Why, usize), Vec<SegmentRow>> = BTreeMap::new();
        for d in &plan.deletions {
            if let Some(row) =
                streams.get(d.stream).and_then(|s| self.options.catalogue.segment(s.key, d.row.number))
            {
                groups.entry((d.why, d.row.volume)).or_default().push(row);
            }
        }
        if plan.deletions.iter().any(|d| d.why == Why::Sacrifice)
            && !self.confess(inner, &streams, &plan.deletions)
        {
            return false;
        }
        let mut good = true;
        for ((why, at), rows) in groups {
            let Some(volume) = volumes.get(at) else { continue };
            let rows: Vec<SegmentRow> =
                rows.into_iter().filter(|r| r.closed && r.volume == volume.id).collect();
            good &= self.delete(inner, volume, why, &rows);
        }
        good && !plan.deletions.is_empty()
    }

    /// A plan for now. Breaking promises is thought of only when nothing else is left, with every row at hand. Without
    /// `reach.duty`, and while no volume fills, nothing is looked at.
    pub(super) fn plan(
        &self,
        inner: &Inner,
        volumes: &[VolumeNow],
        now: UtcMicros,
        reach: Reach,
    ) -> (Vec<VolumeFacts>, Vec<StreamFacts>, Plan) {
        let facts = self.volume_facts(volumes);
        let least = |f: fn(&fengsui_config::retention::ClassRetention) -> Duration| {
            inner.policy.classes.values().map(f).min().unwrap_or_default()
        };
        let filling = facts.iter().any(|v| v.usable && v.free < v.high_free())
            || facts.iter().any(|v| v.usable && v.inodes_free < 2 * limits::VOLUME_INODES_MIN);
        if !filling && !reach.duty {
            return (facts, Vec::new(), Plan::default());
        }
        let age = if filling { least(|c| c.min) } else { least(|c| c.max) };
        let streams = self.streams(inner, &facts, now, now - age, reach.limit);
        let found = plan(&self.facts(inner, &facts, &streams, now, (false, reach.limit)));
        let first = !reach.whole && !found.deletions.is_empty();
        if found.more || first || found.short.is_empty() {
            return (facts, streams, found);
        }
        let streams = self.streams(inner, &facts, now, now, reach.limit);
        let found = plan(&self.facts(inner, &facts, &streams, now, (true, reach.limit)));
        (facts, streams, found)
    }

    fn facts<'a>(
        &self,
        inner: &'a Inner,
        volumes: &'a [VolumeFacts],
        streams: &'a [StreamFacts],
        now: UtcMicros,
        (complete, limit): (bool, usize),
    ) -> Facts<'a> {
        Facts { now, policy: &inner.policy, streams, volumes, holds: &inner.state.holds, limit, complete }
    }

    /// Of every stream the oldest segments that may be thought of: as many as one plan may delete.
    fn streams(
        &self,
        inner: &Inner,
        volumes: &[VolumeFacts],
        now: UtcMicros,
        cutoff: UtcMicros,
        limit: usize,
    ) -> Vec<StreamFacts> {
        let catalogue = &self.options.catalogue;
        let names = catalogue.volume_names();
        let places = names.iter().map(|n| volumes.iter().position(|v| v.id == *n && v.usable)).collect();
        let sieve = Sieve { places, cutoff, volumes, limit };
        let mut out = Vec::new();
        for key in catalogue.keys() {
            let class = inner.cameras.get(&key.camera).map(|c| c.class);
            let rows = self.rows(inner, key, &sieve, now);
            if !rows.is_empty() {
                out.push(StreamFacts { key, class, rows });
            }
        }
        out
    }

    fn rows(&self, inner: &Inner, key: StreamKey, sieve: &Sieve<'_>, now: UtcMicros) -> Vec<Row> {
        let mut stored: Vec<StoredSegment> = Vec::new();
        self.options.catalogue.visit_closed(key, &mut |s| {
            if stored.is_empty() && micros(s.end_ms()) > sieve.cutoff {
                return ControlFlow::Break(());
            }
            stored.push(s);
            ControlFlow::Continue(())
        });
        let label = |s: &StoredSegment| Label { number: s.number, start_ms: s.start_ms, end_ms: s.end_ms() };
        let labels: Vec<Label> = stored.iter().map(label).collect();
        if labels.is_empty() {
            return Vec::new();
        }
        let deleted = inner.state.newest.get(&key).map(|(number, end)| (*number, end.millis()));
        let ends = effective_ends(&labels, now.millis(), deleted);
        let holds = &inner.state.holds;
        let mut rows = Vec::new();
        for (s, end) in stored.iter().zip(ends) {
            let (start, stop, aged) = (micros(s.start_ms), micros(s.end_ms()), micros(end));
            let place = sieve.places.get(s.volume).copied().flatten();
            let Some(volume) = place.filter(|_| aged <= sieve.cutoff) else { continue };
            if holds.holds(key, start, stop) {
                continue;
            }
            let archived = sieve
                .volumes
                .get(volume)
                .is_some_and(|v| self.options.archived.is_archived(&row_of(key, s, &v.id)));
            rows.push(Row { volume, number: s.number, start, end: stop, aged, bytes: s.bytes, archived });
            if rows.len() > sieve.limit {
                break;
            }
        }
        rows
    }

    /// Says which volumes will stop because nothing on them may be deleted.
    fn stuck(&self, inner: &mut Inner, facts: &[VolumeFacts], plan: &Plan) {
        for (at, volume) in facts.iter().enumerate().filter(|(_, v)| v.usable) {
            let subject = Subject::NothingDeletable { volume: volume.id.clone() };
            if plan.stuck.contains(&at) {
                let detail = format!(
                    "Volume {} has {} MiB free and nothing on it may be deleted: recording to it stops. Add room, or \
                     lower what is promised or held.",
                    volume.id,
                    volume.free >> 20
                );
                self.raise(inner, subject, detail);
            } else if volume.free >= volume.high_free() {
                self.clear(inner, &subject);
            }
        }
    }

    /// Raises the alarms of promises about to be broken; `false` when the journal does not take them.
    fn confess(&self, inner: &mut Inner, streams: &[StreamFacts], deletions: &[Deletion]) -> bool {
        let utc = self.options.clock.utc();
        let mut said = true;
        for d in deletions.iter().filter(|d| d.why == Why::Sacrifice) {
            let Some(stream) = streams.get(d.stream) else { continue };
            let class = stream.class.unwrap_or(CameraClass::Key);
            inner.broken.insert(class, utc);
            let detail = format!(
                "A disk is full: footage of class {} is deleted before its promised time, by the policy for emergencies.",
                class.as_str()
            );
            said &= self.raise(inner, Subject::PromiseBroken { class }, detail);
        }
        said
    }

    /// Keeps the forecast and the alarms that follow from it and from the clock.
    pub(super) fn look_ahead(&self, inner: &mut Inner, volumes: &[VolumeNow]) {
        let (utc, mono) = (self.options.clock.utc(), self.options.clock.mono());
        let now = inner.age.now(utc, mono);
        self.clock_alarm(inner, utc);
        for class in CameraClass::ALL {
            let since = inner.broken.get(&class).copied();
            if since.is_none_or(|s| utc.since(s) > BROKEN_ALARM_US) {
                self.clear(inner, &Subject::PromiseBroken { class });
            }
        }
        if inner.forecast_made.is_some_and(|at| mono.since(at) < limits::FORECAST_INTERVAL) {
            return;
        }
        inner.forecast_made = Some(mono);
        let made = forecast(&self.forecast_facts(inner, volumes, now));
        for class in CameraClass::ALL {
            let subject = Subject::PromiseAtRisk { class };
            match made.outlook {
                super::forecast::Outlook::Breaks { class: first, at_us }
                    if first == class && made.is_alarming(now) =>
                {
                    let hours = at_us.since(now) / HOUR_US;
                    let detail = format!(
                        "The promise of class {} breaks in {hours} hours: it needs {} GiB, the volumes hold {} GiB.",
                        class.as_str(),
                        made.needed_bytes >> 30,
                        made.capacity_bytes >> 30
                    );
                    self.raise(inner, subject, detail);
                }
                _ => self.clear(inner, &subject),
            }
        }
        inner.forecast = Some(made);
    }

    fn clock_alarm(&self, inner: &mut Inner, utc: UtcMicros) {
        let lag = inner.age.lag(utc);
        if lag > limits::AGE_LAG_ALARM {
            let detail = format!(
                "The wall clock was set forward by {} hours, or the node was off for long; until that is certain, ages \
                 are counted from before.",
                lag.as_secs() / 3600
            );
            self.raise(inner, Subject::ClockAhead, detail);
        } else {
            self.clear(inner, &Subject::ClockAhead);
        }
    }

    /// Looks at every row.
    pub(super) fn forecast_facts(
        &self,
        inner: &Inner,
        volumes: &[VolumeNow],
        now: UtcMicros,
    ) -> ForecastFacts {
        let facts = self.volume_facts(volumes);
        let names = self.options.catalogue.volume_names();
        let usable: Vec<bool> = names.iter().map(|n| facts.iter().any(|v| v.id == *n && v.usable)).collect();
        let day_ago = now - Duration::from_secs(86_400);
        let mut out = ForecastFacts { now, ..ForecastFacts::default() };
        let mut stored_bytes = 0_u64;
        for key in self.options.catalogue.keys() {
            let class = inner.cameras.get(&key.camera).map_or(CameraClass::Key, |c| c.class);
            let min = inner.policy.class(class).min;
            let load = out.loads.entry(class).or_default();
            load.min_hours = min.as_secs() / 3600;
            let (mut recent, mut first) = (0_u64, None::<UtcMicros>);
            self.options.catalogue.visit_closed(key, &mut |s| {
                let (start, end) = (micros(s.start_ms), micros(s.end_ms()));
                if usable.get(s.volume).copied().unwrap_or(false) {
                    stored_bytes += s.bytes;
                }
                load.bytes += s.bytes;
                load.oldest = Some(load.oldest.map_or(start, |o| o.min(start)));
                if inner.state.holds.holds(key, start, end) {
                    load.held_bytes += s.bytes;
                } else if end + min > now {
                    let left = u64::try_from(((end + min).since(now) - 1) / HOUR_US).unwrap_or(0);
                    *load.promised.entry(left).or_default() += s.bytes;
                }
                if end > day_ago && end <= now {
                    recent += s.bytes;
                    first = Some(first.map_or(start, |f| f.min(start)));
                }
                ControlFlow::Continue(())
            });
            measure(load, &mut out.measured_seconds, recent, first, now, inner.state.holds.holds_future(key));
        }
        let room = |v: &VolumeFacts| v.free.saturating_sub(v.critical_free());
        out.capacity_bytes = stored_bytes + facts.iter().filter(|v| v.usable).map(room).sum::<u64>();
        out
    }
}

/// Adds what came in of one stream within the last day.
fn measure(
    load: &mut Load,
    seconds: &mut u64,
    recent: u64,
    first: Option<UtcMicros>,
    now: UtcMicros,
    held: bool,
) {
    let Some(first) = first else { return };
    let span = u64::try_from(now.since(first) / 1_000_000).unwrap_or(0).clamp(1, 86_400);
    #[expect(clippy::cast_precision_loss, reason = "bytes a second")]
    let rate = recent as f64 / span as f64;
    load.streams += 1;
    load.rate += rate;
    if held {
        load.rate_held += rate;
    }
    *seconds = (*seconds).max(span);
}

fn row_of(key: StreamKey, s: &StoredSegment, volume: &fengsui_config::ids::VolumeId) -> SegmentRow {
    SegmentRow {
        volume: volume.clone(),
        key,
        number: s.number,
        start_ms: s.start_ms,
        duration_ms: s.duration_ms,
        flags: s.flags,
        bytes: s.bytes,
        closed: true,
    }
}
