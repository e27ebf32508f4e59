//! The thread of one volume.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::VolumeId;
use fengsui_config::limits;

use super::Core;
use super::stats::count;
use super::stream::{Look, Place, StreamRecorder};
use crate::error::StoreError;
use crate::fs::PageBuf;
use crate::segment::EndReason;
use crate::volume::{Volume, VolumeMode, VolumeState};

/// How much of a failure's open segments may still be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// The volume works: close them.
    InOrder,
    /// The volume fails: give them up; recovery may look at them when it works again.
    GiveUp,
    /// A sync failed: nobody may touch them before the next start.
    Untouched,
}

/// One volume with its streams.
pub(super) struct Worker {
    core: Arc<Core>,
    index: usize,
    volume: Volume,
    streams: Vec<StreamRecorder>,
    /// How many these were at the last look.
    count: usize,
    buf: PageBuf,
    synced: MonoMicros,
    written: bool,
}

impl Worker {
    pub(super) fn new(core: Arc<Core>, index: usize, volume: Volume) -> Self {
        let synced = core.options.clock.mono();
        Self {
            core,
            index,
            volume,
            streams: Vec::new(),
            count: 0,
            buf: PageBuf::default(),
            synced,
            written: false,
        }
    }

    pub(super) fn id(&self) -> &VolumeId {
        &self.volume.status().id
    }

    /// Works until the recorder stops. A panic costs the volume, not the node.
    pub(super) fn run(mut self) {
        while !self.core.is_stopping() {
            if catch_unwind(AssertUnwindSafe(|| self.step())).is_err() {
                self.streams.clear();
                let error = StoreError::Invalid("the volume's writer ended by a defect of ours".into());
                self.fail(&error);
            }
            self.core.pause(limits::VOLUME_SWEEP_INTERVAL);
        }
        if catch_unwind(AssertUnwindSafe(|| self.finish())).is_err() {
            self.streams.clear();
        }
    }

    /// One look at the volume and all its streams.
    pub(super) fn step(&mut self) {
        let (utc, mono) = (self.core.options.clock.utc(), self.core.options.clock.mono());
        if let Some(cell) = self.core.volumes.get(self.index) {
            cell.round.begin(mono);
            self.streams.append(&mut cell.inbox.lock());
        }
        self.count = self.streams.len();
        self.probe(utc, mono);
        match self.volume.status().state {
            VolumeState::Ok => self.look(),
            // What is open is brought to its next key frame, and the stream goes on elsewhere without a seam.
            VolumeState::Full if self.volume.may_finish() => self.look(),
            VolumeState::Full => self.leave(Leave::InOrder),
            VolumeState::Error | VolumeState::Missing => self.leave(Leave::GiveUp),
        }
        if self.volume.is_ok() || self.volume.may_finish() {
            self.sync(mono);
        }
        if let Some(cell) = self.core.volumes.get(self.index) {
            cell.round.end(self.core.options.clock.mono());
        }
    }

    /// Looks at the volume itself when that is due.
    fn probe(&mut self, utc: UtcMicros, mono: MonoMicros) {
        let Some(cell) = self.core.volumes.get(self.index) else { return };
        if cell.reload.swap(false, Ordering::AcqRel) {
            self.volume.forget();
        }
        if !self.volume.probe_due(mono) {
            return;
        }
        let was_there = self.volume.status().is_there();
        if self.volume.probe(&*self.core.options.fs, utc, mono) {
            let status = self.volume.status();
            tracing::warn!(volume = %status.id, state = ?status.state, mode = ?status.mode, detail = status.detail, "volume changed");
            if status.is_there() && !was_there {
                cell.unchecked.store(true, Ordering::Release);
            }
            self.core.moves.rescan();
        }
        self.publish();
    }

    fn look(&mut self) {
        let mut failure = None;
        let leaving = {
            let status = self.volume.status();
            status.state != VolumeState::Ok || status.mode != VolumeMode::Use
        };
        let streams = std::mem::take(&mut self.streams);
        for mut stream in streams {
            if failure.is_some() {
                self.streams.push(stream);
                continue;
            }
            match stream.look(&mut Place { leaving, ..self.place() }) {
                Ok(Look::Stay) => self.streams.push(stream),
                Ok(Look::Move) => self.core.homeless.lock().push(stream),
                Ok(Look::Done) => drop(stream),
                Err(e) => {
                    failure = Some(e);
                    stream.abandon(true);
                    self.core.homeless.lock().push(stream);
                }
            }
        }
        self.written |= !self.streams.is_empty();
        if let Some(error) = failure {
            self.fail(&error);
            let full = self.volume.status().state == VolumeState::Full;
            self.leave(if full { Leave::InOrder } else { Leave::GiveUp });
        }
    }

    /// The volume is not to be used any more: every stream looks for another.
    fn leave(&mut self, how: Leave) {
        for mut stream in std::mem::take(&mut self.streams) {
            let closed = how == Leave::InOrder && stream.depart(&mut self.place()).is_ok();
            if !closed {
                stream.abandon(how != Leave::Untouched);
            }
            self.core.homeless.lock().push(stream);
        }
    }

    fn fail(&mut self, error: &StoreError) {
        let (utc, mono) = (self.core.options.clock.utc(), self.core.options.clock.mono());
        tracing::error!(volume = %self.id(), error = %error, "volume failed");
        count(&self.core.totals.errors, 1);
        self.volume.failed(error, utc, mono);
        self.publish();
    }

    fn publish(&self) {
        if let Some(cell) = self.core.volumes.get(self.index) {
            *cell.status.write() = self.volume.status().clone();
        }
    }

    /// Makes what was written durable, every `limits::VOLUME_SYNC_INTERVAL`.
    fn sync(&mut self, mono: MonoMicros) {
        if !self.written || mono.since(self.synced) < limits::VOLUME_SYNC_INTERVAL {
            return;
        }
        self.synced = mono;
        self.written = false;
        let lengths: Vec<Option<u64>> = self.streams.iter().map(StreamRecorder::stored_bytes).collect();
        let root = &self.volume.status().root;
        match self.core.options.fs.sync_volume(root).map_err(StoreError::io("sync volume", root)) {
            Ok(()) => {
                count(&self.core.totals.syncs, 1);
                for (stream, length) in self.streams.iter_mut().zip(lengths) {
                    if let Some(length) = length {
                        stream.synced(length);
                    }
                }
            }
            Err(error) => {
                self.fail(&error);
                self.leave(Leave::Untouched);
            }
        }
    }

    /// Stores everything at hand and closes all segments.
    pub(super) fn finish(&mut self) {
        if let Some(cell) = self.core.volumes.get(self.index) {
            self.streams.append(&mut cell.inbox.lock());
        }
        for mut stream in std::mem::take(&mut self.streams) {
            if let Err(e) = stream.finish(&mut self.place(), EndReason::Stopped) {
                count(&self.core.totals.errors, 1);
                tracing::error!(stream = %stream.key(), error = %e, "segment is left open at the end");
            }
        }
    }

    fn place(&mut self) -> Place<'_> {
        let status = self.volume.status();
        Place {
            core: &self.core,
            index: self.index,
            volume: &status.id,
            root: &status.root,
            leaving: false,
            room: status.free_bytes.saturating_sub(status.reserve_bytes),
            streams: self.count,
            now: self.core.options.clock.utc(),
            buf: &mut self.buf,
        }
    }
}
