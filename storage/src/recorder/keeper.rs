//! The keeper: hands streams to volumes, keeps the catalogue's log, closes what was left open.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;

use super::stats::count;
use super::stream::StreamRecorder;
use super::{Core, VolumeCell};
use crate::catalogue::Unfinished;
use crate::error::StoreError;
use crate::frame::GapReason;
use crate::segment::{SegmentName, finish_torn, stream_dir};
use crate::volume::VolumeState;

/// Longest pause between two attempts to close a file.
pub(super) const RECOVERY_PAUSE_MAX: Duration = Duration::from_secs(600);

/// See the module.
pub(super) struct Keeper {
    core: Arc<Core>,
    alive: Option<MonoMicros>,
    flushed: Option<MonoMicros>,
    synced: Option<MonoMicros>,
}

impl Keeper {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, alive: None, flushed: None, synced: None }
    }

    pub(super) fn checker(&self) -> Checker {
        Checker { core: self.core.clone() }
    }

    pub(super) fn run(mut self) {
        while !self.core.is_stopping() {
            self.step();
            self.core.pause(limits::VOLUME_SWEEP_INTERVAL);
        }
        self.finish();
    }

    /// One look.
    pub(super) fn step(&mut self) {
        let planned = self.core.planned.load(Ordering::Acquire);
        self.take_up();
        if planned {
            self.core.taken_up.store(true, Ordering::Release);
        }
        self.place();
        self.log();
    }

    /// Takes up streams that are due and that nobody drives.
    fn take_up(&self) {
        let now = self.core.options.clock.utc();
        let cells: Vec<_> = self.core.cells.read().iter().map(|(k, c)| (*k, c.clone())).collect();
        for (key, cell) in cells {
            if cell.is_due() && cell.take() {
                let stream = StreamRecorder::new(self.core.clone(), cell, key, now);
                self.core.homeless.lock().push(stream);
            }
        }
    }

    /// Finds a volume for every stream without one.
    fn place(&self) {
        let waiting = std::mem::take(&mut *self.core.homeless.lock());
        if waiting.is_empty() {
            return;
        }
        let now = self.core.options.clock.utc();
        let why = self.why_homeless();
        let mut left = Vec::new();
        for mut stream in waiting {
            match self.core.preferred(stream.key(), None).and_then(|i| self.core.volumes.get(i)) {
                Some(volume) => volume.inbox.lock().push(stream),
                None if !stream.cell.is_due() => {
                    stream.homeless(GapReason::Policy, now);
                    drop(stream);
                }
                None => {
                    stream.homeless(why, now);
                    left.push(stream);
                }
            }
        }
        self.core.homeless.lock().append(&mut left);
    }

    fn why_homeless(&self) -> GapReason {
        let full = self.core.volumes.iter().any(|v| v.status.read().state == VolumeState::Full);
        if full { GapReason::DiskFull } else { GapReason::DiskError }
    }

    /// Signs of life and new rows go to the catalogue's log.
    fn log(&mut self) {
        let options = &self.core.options;
        let mono = options.clock.mono();
        let due = |last: &mut Option<MonoMicros>, every: Duration| {
            let due = last.is_none_or(|l| mono.since(l) >= every);
            if due {
                *last = Some(mono);
            }
            due
        };
        // A sign of life vouches for the gaps before it, so those of the start have to be in the log first.
        if self.core.is_taken_up() && due(&mut self.alive, limits::CATALOGUE_ALIVE_INTERVAL) {
            options.catalogue.alive(options.clock.utc());
        }
        if due(&mut self.flushed, limits::CATALOGUE_FLUSH_INTERVAL) {
            let sync = due(&mut self.synced, limits::VOLUME_SYNC_INTERVAL);
            self.flush(sync);
        }
    }

    fn flush(&self, sync: bool) {
        if let Err(e) = self.core.options.catalogue.flush(sync) {
            count(&self.core.totals.errors, 1);
            tracing::error!(error = %e, "catalogue keeps its rows in memory");
        }
    }

    /// Closes the files that wait for it.
    pub(super) fn recover(&self) {
        self.checker().recover();
    }

    pub(super) fn finish(&mut self) {
        drop(std::mem::take(&mut *self.core.homeless.lock()));
        if self.core.is_taken_up() {
            self.core.options.catalogue.alive(self.core.options.clock.utc());
        }
        self.flush(true);
    }
}

/// Compares names with rows, and closes what was left open: on a thread of its own, beside the recording.
pub(super) struct Checker {
    core: Arc<Core>,
}

impl Checker {
    /// First the files that are known to be open, then all names, then files that come to be left open.
    pub(super) fn run(self) {
        self.recover();
        // Files that only the disk knows of must not hide the time before them from those that explain it.
        while !self.core.is_taken_up() && !self.core.is_stopping() {
            self.core.pause(limits::VOLUME_SWEEP_INTERVAL);
        }
        self.check();
        let mut audited = None;
        while !self.core.is_stopping() {
            self.core.pause(limits::VOLUME_PROBE_INTERVAL);
            self.recover();
            self.tend_catalogue(&mut audited);
            self.core.settle_strays();
            let back = |v: &VolumeCell| v.unchecked.load(Ordering::Acquire) && v.status.read().is_there();
            if self.core.volumes.iter().any(back) {
                self.check();
            }
        }
    }

    /// Writes the catalogue's log afresh when that is due, and looks for time that nothing explains.
    fn tend_catalogue(&self, audited: &mut Option<MonoMicros>) {
        let (catalogue, now) = (&self.core.options.catalogue, self.core.options.clock.mono());
        if catalogue.compaction_due(now) {
            match catalogue.compact() {
                Ok(done) => tracing::info!(?done, "catalogue written afresh"),
                Err(e) => {
                    count(&self.core.totals.errors, 1);
                    tracing::error!(error = %e, "catalogue keeps its old log");
                }
            }
        }
        if audited.is_none_or(|at| now.since(at) >= limits::AUDIT_INTERVAL) {
            *audited = Some(now);
            let report = catalogue.audit();
            if report.unexplained_us > 0 {
                let (unexplained_us, first) = (report.unexplained_us, report.holes.first());
                tracing::error!(unexplained_us, ?first, "time is neither footage nor gap");
            }
        }
    }

    /// Compares the names on every volume that is there and has not been looked at since it came.
    pub(super) fn check(&self) {
        self.recover();
        let mut missing = Vec::new();
        for (index, volume) in self.core.volumes.iter().enumerate() {
            if volume.status.read().state == VolumeState::Missing || self.core.is_stopping() {
                continue;
            }
            if !volume.unchecked.swap(false, Ordering::AcqRel) {
                continue;
            }
            match self.core.options.catalogue.check_volume(&volume.id, &volume.root, &self.core.stopping) {
                Ok(report) => {
                    let found = report.added + report.missing + report.unfinished + report.shortened;
                    if found + report.strays.len() as u64 > 0 {
                        tracing::warn!(volume = %volume.id, ?report, "catalogue was not what is on the disk");
                    }
                    if report.missing > 0 {
                        missing.push(index);
                    }
                    self.core.add_strays(index, report.strays);
                }
                Err(e) => {
                    volume.unchecked.store(true, Ordering::Release);
                    tracing::error!(volume = %volume.id, error = %e, "names could not be checked");
                }
            }
        }
        // A file that somebody moved to another volume counts as a second copy there until it is missed here.
        for index in missing {
            let others = self.core.volumes.iter().enumerate().filter(|(other, _)| *other != index);
            others.for_each(|(_, volume)| volume.unchecked.store(true, Ordering::Release));
        }
        self.core.settle_strays();
        self.core.moves.rescan();
        self.queue_unfinished();
        self.recover();
    }

    /// Queues everything without a footer that nobody writes.
    fn queue_unfinished(&self) {
        for file in self.core.options.catalogue.unfinished() {
            self.core.recover_later(file);
        }
    }

    pub(super) fn recover(&self) {
        let waiting = std::mem::take(&mut *self.core.recoveries.lock());
        let mut left = Vec::new();
        for mut one in waiting {
            let now = self.core.options.clock.mono();
            if self.core.is_stopping() || one.at > now || !self.usable(&one.file) {
                left.push(one);
                continue;
            }
            if let Err(e) = self.recover_one(&one.file) {
                count(&self.core.totals.recovery_errors, 1);
                tracing::error!(stream = %one.file.key, number = one.file.number, error = %e, "segment is left open");
                one.at = now + one.pause;
                one.pause = (one.pause * 2).min(RECOVERY_PAUSE_MAX);
                left.push(one);
            }
        }
        self.core.recoveries.lock().append(&mut left);
    }

    /// The volume of the file can be worked on; a full one can, recovery gives room back.
    fn usable(&self, file: &Unfinished) -> bool {
        let volume = self.core.volumes.iter().find(|v| v.id == file.volume);
        volume.is_some_and(|v| matches!(v.status.read().state, VolumeState::Ok | VolumeState::Full))
    }

    fn recover_one(&self, file: &Unfinished) -> Result<(), StoreError> {
        let Some(volume) = self.core.volumes.iter().find(|v| v.id == file.volume) else { return Ok(()) };
        let options = &self.core.options;
        let catalogue = &options.catalogue;
        let name = SegmentName { start_ms: file.start_ms, number: file.number, closed: None };
        let path = volume.root.join(stream_dir(file.key, file.start_ms)).join(name.to_string());
        let quarantine = volume.root.join("quarantine");
        let finished = match finish_torn(&*options.fs, &path, &quarantine, &options.node_key) {
            Ok(finished) => Some(finished),
            // Never came to be, or was closed just before the log could say so; then the names tell.
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => None,
            Err(e) => return Err(e),
        };
        count(&self.core.totals.recovered, 1);
        let row = finished.as_ref().and_then(|f| f.row.clone());
        let stored_to = match (&row, &finished) {
            (Some(row), Some(f)) => {
                catalogue.closed(row, f.hash);
                self.core.closed_on(&row.volume, row.key, row.number, row.start_ms);
                row.end()
            }
            _ => {
                catalogue.open_lost(file.key, file.number, file.start_ms);
                fengsui_config::clock::UtcMicros(file.start_ms.saturating_mul(1000))
            }
        };
        tracing::info!(stream = %file.key, number = file.number, ?row, "segment closed after a crash");
        if let Some(alive) = catalogue.alive_before() {
            catalogue.gap(file.key, GapReason::CrashTail, stored_to, alive);
        }
        Ok(())
    }
}
