//! The scrubber's work, a step at a time.

use std::path::PathBuf;
use std::sync::Arc;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use serde_json::json;

use super::repair::{Wanted, repair};
use super::state::{self, Kept};
use super::{Doing, Progress, Request, RequestState, ScrubOptions, Shared};
use crate::damage::DamagedPlace;
use crate::error::StoreError;
use crate::frame::GapReason;
use crate::journal::kinds;
use crate::segment::{Damage, Hash, Part, SegmentRow, Surveyor};

/// For whom a segment is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Pass,
    Request(u64),
    Reader,
}

/// A segment under way.
struct Work {
    whom: Whom,
    row: SegmentRow,
    path: PathBuf,
    root: PathBuf,
    surveyor: Surveyor,
    bytes: u64,
}

/// See the module.
pub(super) struct Core {
    options: ScrubOptions,
    shared: Arc<Shared>,
    kept: Kept,
    work: Option<Work>,
    /// Bytes that may be read now; negative after a large group.
    credit: i64,
    stepped: Option<MonoMicros>,
    saved: Option<MonoMicros>,
    /// The pass came through and the next is not due before.
    rest_until: Option<MonoMicros>,
    dirty: bool,
}

impl Core {
    pub(super) fn new(options: ScrubOptions, shared: Arc<Shared>) -> Self {
        let now = options.clock.utc();
        let kept = state::load(&*options.fs, &options.dir, now).unwrap_or_else(|error| {
            tracing::error!(%error, "state of the scrubber cannot be read; all footage is read anew");
            shared.status.lock().errors += 1;
            Kept::default()
        });
        options.catalogue.damages().restore(kept.damaged.clone());
        if !options.replicas.is_empty() {
            // A repair may have been cut short, or a copy may be there by now.
            kept.damaged.iter().for_each(|p| options.suspects.push(p.key, p.number));
        }
        if options.rate == 0 {
            tracing::warn!("storage.scrub_mib_per_s is 0: stored footage is not checked in the background");
        }
        let core = Self {
            options,
            shared,
            kept,
            work: None,
            credit: 0,
            stepped: None,
            saved: None,
            rest_until: None,
            dirty: false,
        };
        core.show(if core.options.rate == 0 { Doing::Off } else { Doing::Idle });
        core
    }

    /// Bytes a second: requests and suspects are read even where the pass is turned off.
    fn rate(&self) -> u64 {
        if self.options.rate == 0 { limits::SCRUB_RATE_DEFAULT } else { self.options.rate }
    }

    /// Reads what the time since the last step allows.
    pub(super) fn step(&mut self) {
        let mono = self.options.clock.mono();
        let passed = self.stepped.map_or(0, |s| mono.since(s).as_micros());
        self.stepped = Some(mono);
        // At most a second's worth at once, however long the pause was.
        let earned = u128::from(self.rate()) * passed.min(1_000_000) / 1_000_000;
        let most = i64::try_from(self.rate()).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(most);
        self.take_requests();
        self.report();
        if self.options.surroundings.busy() {
            self.show(Doing::Paused);
            return self.save_when_due(mono);
        }
        let mut doing = if self.options.rate == 0 { Doing::Off } else { Doing::Idle };
        while self.credit > 0 && !self.is_stopping() {
            if self.work.is_none() && !self.next_work(mono) {
                break;
            }
            doing = Doing::Reading;
            let took = self.read_on();
            self.credit = self.credit.saturating_sub(i64::try_from(took).unwrap_or(i64::MAX));
        }
        if self.work.is_some() {
            doing = Doing::Reading;
        }
        self.show(doing);
        self.save_when_due(mono);
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(super) fn finish(&mut self) {
        self.report();
        self.save();
    }

    fn take_requests(&mut self) {
        let now = self.options.clock.utc();
        while let Some(request) = self.shared.asked.lock().pop_front() {
            self.kept.next_request += 1;
            let progress = Progress { started: now, ..Progress::default() };
            let id = self.kept.next_request;
            self.kept.requests.push(RequestState { id, request, progress, cursor: None });
            if self.kept.requests.len() > limits::SCRUB_REQUESTS_MAX {
                self.kept.requests.remove(0);
            }
            self.dirty = true;
        }
    }

    /// Finds the next segment to read. False when there is nothing to do.
    fn next_work(&mut self, mono: MonoMicros) -> bool {
        // Names that turn out to be of no use now cost no credit: not more of them than this in one step.
        for _ in 0..64 {
            let Some((whom, row)) = self.next_row(mono) else { return false };
            let key = (row.start_ms, row.key, row.number);
            if let Some(p) = self.progress(whom) {
                p.segments += 1;
            }
            match whom {
                Whom::Pass => self.kept.cursor = Some(key),
                Whom::Request(id) => {
                    if let Some(r) = self.kept.requests.iter_mut().find(|r| r.id == id) {
                        r.cursor = Some(key);
                    }
                }
                Whom::Reader => {}
            }
            self.dirty = true;
            if self.begin(whom, row) {
                return true;
            }
        }
        false
    }

    fn next_row(&mut self, mono: MonoMicros) -> Option<(Whom, SegmentRow)> {
        while let Some((key, number)) = self.options.suspects.pop() {
            if let Some(row) = self.options.catalogue.segment(key, number).filter(|r| r.closed) {
                return Some((Whom::Reader, row));
            }
        }
        let now = self.options.clock.utc();
        for r in self.kept.requests.iter_mut().filter(|r| r.progress.finished.is_none()) {
            // A segment that reaches into the range began at most an hour before it.
            let early = r.request.from.millis().saturating_sub(3_600_000);
            let any = r.request.key.or_else(|| self.options.catalogue.keys().first().copied());
            let mut after = r.cursor.or_else(|| Some((early, any?, u64::MAX)));
            while let Some(row) = self.options.catalogue.next_closed(after, r.request.key) {
                if row.start() >= r.request.to {
                    break;
                }
                if wants(&r.request, &row) {
                    return Some((Whom::Request(r.id), row));
                }
                after = Some((row.start_ms, row.key, row.number));
            }
            r.progress.finished = Some(now);
            self.dirty = true;
        }
        if self.options.rate == 0 || self.rest_until.is_some_and(|until| mono < until) {
            return None;
        }
        let pass = self.kept.pass.get_or_insert_with(|| Progress { started: now, ..Progress::default() });
        if let Some(row) = self.options.catalogue.next_closed(self.kept.cursor, None) {
            return Some((Whom::Pass, row));
        }
        let done = Progress { finished: Some(now), ..*pass };
        (self.kept.pass, self.kept.cursor) = (None, None);
        self.rest_until = Some(mono + limits::SCRUB_PASS_MIN);
        self.dirty = true;
        if done.segments > 0 {
            self.kept.last = Some(done);
            tracing::info!(
                segments = done.segments,
                bytes = done.bytes,
                damaged = done.damaged,
                "all footage was read"
            );
        }
        None
    }

    fn progress(&mut self, whom: Whom) -> Option<&mut Progress> {
        match whom {
            Whom::Pass => self.kept.pass.as_mut(),
            Whom::Request(id) => self.kept.requests.iter_mut().find(|r| r.id == id).map(|r| &mut r.progress),
            Whom::Reader => None,
        }
    }

    fn root(&self, volume: &VolumeId) -> Option<PathBuf> {
        let root = self.options.volumes.iter().find(|(id, _)| id == volume).map(|(_, root)| root.clone());
        root.filter(|_| self.options.surroundings.readable(volume))
    }

    fn skip(&mut self, whom: Whom) {
        if let Some(p) = self.progress(whom) {
            p.skipped += 1;
        }
    }

    /// Opens a segment. False when there is nothing more to do about it.
    fn begin(&mut self, whom: Whom, row: SegmentRow) -> bool {
        let Some(root) = self.root(&row.volume) else {
            self.skip(whom);
            return false;
        };
        let path = root.join(row.path());
        match Surveyor::open(&*self.options.fs, &path, row.end()) {
            Ok(surveyor) => {
                self.work = Some(Work { whom, row, path, root, surveyor, bytes: 0 });
                return true;
            }
            Err(StoreError::Damaged { at, detail, .. }) => {
                let damage = Damage {
                    part: Part::File,
                    offset: at,
                    length: row.bytes,
                    lost: Some((row.start(), row.end())),
                    expected: None,
                    found: None,
                    detail,
                };
                self.settle(whom, &row, &root, &[damage], None);
            }
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => self.missing(&row),
            Err(error) => self.failed(whom, &row, &error),
        }
        false
    }

    /// The file is gone; unless it was removed in order just now, its time is a gap.
    fn missing(&self, row: &SegmentRow) {
        let known = self.options.catalogue.segment(row.key, row.number);
        if known.is_some_and(|k| k == *row) {
            tracing::error!(stream = %row.key, segment = row.number, "a segment's file is gone");
            self.options.catalogue.removed(row, GapReason::Damaged);
            let body = json!({
                "camera": row.key.camera, "stream": row.key.stream, "volume": row.volume.as_str(),
                "file": row.path(), "segment": row.number, "part": "file", "detail": "the file is gone",
                "lost_from_us": row.start().0, "lost_to_us": row.end().0,
            });
            self.tell(kinds::INTEGRITY_DAMAGED, body);
        }
    }

    fn failed(&mut self, whom: Whom, row: &SegmentRow, error: &StoreError) {
        self.skip(whom);
        self.shared.status.lock().errors += 1;
        tracing::warn!(stream = %row.key, segment = row.number, %error, "a segment cannot be checked now");
    }

    /// Reads the next part of the segment under way; returns its bytes.
    fn read_on(&mut self) -> u64 {
        let Some(work) = &mut self.work else { return 0 };
        match work.surveyor.step() {
            Ok(Some(took)) => {
                work.bytes += took;
                self.shared.status.lock().bytes += took;
                took
            }
            Ok(None) => {
                if let Some(Work { whom, row, root, surveyor, path, .. }) = self.work.take() {
                    let survey = surveyor.finish();
                    if let Some(p) = self.progress(whom) {
                        p.bytes += survey.bytes;
                    }
                    self.shared.status.lock().segments += 1;
                    let mut damages = survey.damages;
                    let head = &survey.head;
                    if (head.key, head.number, head.start.millis()) != (row.key, row.number, row.start_ms) {
                        damages.push(stranger(&row, &path));
                    }
                    self.settle(whom, &row, &root, &damages, survey.hash);
                }
                0
            }
            Err(error) => {
                if let Some(Work { whom, row, .. }) = self.work.take() {
                    self.failed(whom, &row, &error);
                }
                0
            }
        }
    }

    /// Notes what a segment came to, and repairs it where it can be.
    fn settle(
        &mut self,
        whom: Whom,
        row: &SegmentRow,
        root: &std::path::Path,
        damages: &[Damage],
        hash: Option<Hash>,
    ) {
        let catalogue = self.options.catalogue.clone();
        // Removed while it was being read: nothing to say about it.
        if catalogue.segment(row.key, row.number).is_none_or(|known| known != *row) {
            return;
        }
        let change = catalogue.damages().set(row, damages, self.options.clock.utc());
        if change.gone > 0 && damages.is_empty() {
            tracing::info!(stream = %row.key, segment = row.number, "a damaged segment holds again");
            self.tell(kinds::INTEGRITY_CLEARED, about(row));
        }
        if change.new > 0 {
            self.shared.status.lock().damaged += change.new as u64;
            if let Some(p) = self.progress(whom) {
                p.damaged += change.new as u64;
            }
            let detail = damages.first().map(|d| d.detail.clone()).unwrap_or_default();
            tracing::error!(stream = %row.key, segment = row.number, places = change.new, detail, "stored footage is damaged");
        }
        if change != crate::damage::Change::default() {
            self.report();
            self.save();
        }
        if !damages.is_empty() {
            self.repair(whom, row, root, hash);
        }
    }

    fn repair(&mut self, whom: Whom, row: &SegmentRow, root: &std::path::Path, hash: Option<Hash>) {
        let wanted = Wanted { hash, key: self.options.key };
        // Put in place while retention deletes it, a copy would be footage that came back.
        let Some(_claim) = self.options.catalogue.claim(row.key, row.number) else { return };
        let here = self.options.catalogue.segment(row.key, row.number);
        if here.is_none_or(|r| r.closed && r.volume != row.volume) {
            return;
        }
        for replica in self.options.replicas.clone() {
            let name = replica.name();
            match repair(&*self.options.fs, root, row, &*replica, wanted) {
                Ok(Some(Ok(kept))) => {
                    self.options.surroundings.replaced(row);
                    self.options.catalogue.damages().set(row, &[], self.options.clock.utc());
                    self.shared.status.lock().repaired += 1;
                    if let Some(p) = self.progress(whom) {
                        p.repaired += 1;
                    }
                    tracing::info!(stream = %row.key, segment = row.number, replica = name, "a damaged segment was replaced");
                    let mut body = about(row);
                    if let Some(body) = body.as_object_mut() {
                        body.insert("replica".into(), name.into());
                        body.insert("kept".into(), kept.display().to_string().into());
                    }
                    self.tell(kinds::INTEGRITY_REPAIRED, body);
                    self.save();
                    return;
                }
                Ok(Some(Err(why))) => {
                    tracing::warn!(stream = %row.key, segment = row.number, replica = name, why, "a copy was refused");
                }
                Ok(None) => {}
                Err(error) => self.failed(whom, row, &error),
            }
        }
    }

    /// Puts what the journal does not know into it.
    fn report(&mut self) {
        let damages = self.options.catalogue.damages();
        if damages.is_empty() {
            return;
        }
        for place in damages.unreported(limits::SCRUB_REPORTS_AT_ONCE_MAX) {
            if !self.tell(kinds::INTEGRITY_DAMAGED, finding(&place)) {
                // The journal cannot take it now; the next step tries again.
                return;
            }
            self.options.catalogue.damages().reported(place.id);
            self.dirty = true;
        }
    }

    fn tell(&self, kind: &'static str, body: serde_json::Value) -> bool {
        match self.options.reporter.report(kind, body) {
            Ok(()) => true,
            Err(error) => {
                self.shared.status.lock().errors += 1;
                tracing::error!(kind, error, "a finding cannot be written to the journal yet");
                false
            }
        }
    }

    fn save_when_due(&mut self, mono: MonoMicros) {
        let due = self.saved.is_none_or(|s| mono.since(s) >= limits::SCRUB_SAVE_INTERVAL);
        if self.dirty && due {
            self.saved = Some(mono);
            self.save();
        }
    }

    fn save(&mut self) {
        self.kept.damaged = self.options.catalogue.damages().list(None, limits::DAMAGED_PLACES_MAX);
        self.kept.damaged.reverse();
        // The segment under way is read again after a restart.
        let mut kept = self.kept.clone();
        if let Some(Work { whom: Whom::Pass, row, .. }) = &self.work {
            kept.cursor = kept.cursor.filter(|c| *c != (row.start_ms, row.key, row.number));
            if kept.cursor.is_none() {
                kept.cursor = before(row);
            }
        }
        match state::save(&*self.options.fs, &self.options.dir, &kept) {
            Ok(()) => self.dirty = false,
            Err(error) => {
                self.shared.status.lock().errors += 1;
                tracing::error!(%error, "the scrubber cannot keep its place");
            }
        }
    }

    fn show(&self, doing: Doing) {
        let mut status = self.shared.status.lock();
        status.doing = doing;
        status.rate = self.options.rate;
        status.pass = self.kept.pass;
        status.reached = self.kept.cursor.map(|(ms, _, _)| UtcMicros(ms.saturating_mul(1000)));
        status.last = self.kept.last;
        status.requests.clone_from(&self.kept.requests);
    }
}

/// The place just before a segment.
fn before(row: &SegmentRow) -> Option<(i64, StreamKey, u64)> {
    Some((row.start_ms, row.key, row.number.checked_sub(1)?))
}

fn wants(request: &Request, row: &SegmentRow) -> bool {
    request.key.is_none_or(|k| k == row.key) && row.start() < request.to && row.end() > request.from
}

/// The file holds, but is not the segment that its name says.
fn stranger(row: &SegmentRow, path: &std::path::Path) -> Damage {
    Damage {
        part: Part::File,
        offset: 0,
        length: row.bytes,
        lost: Some((row.start(), row.end())),
        expected: None,
        found: None,
        detail: format!("{} is another segment by its header", path.display()),
    }
}

fn about(row: &SegmentRow) -> serde_json::Value {
    json!({
        "camera": row.key.camera, "stream": row.key.stream, "volume": row.volume.as_str(),
        "file": row.path(), "segment": row.number,
        "from_us": row.start().0, "to_us": row.end().0,
    })
}

fn finding(place: &DamagedPlace) -> serde_json::Value {
    let d = &place.damage;
    json!({
        "camera": place.key.camera, "stream": place.key.stream, "volume": place.volume, "file": place.path,
        "segment": place.number, "part": d.part, "offset": d.offset, "length": d.length,
        "lost_from_us": d.lost.map(|l| l.0.0), "lost_to_us": d.lost.map(|l| l.1.0),
        "expected": d.expected, "found": d.found, "detail": d.detail,
    })
}
