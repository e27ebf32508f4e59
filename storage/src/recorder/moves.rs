//! Closed segments that change their volume: from a stage to the volume behind it, and away from a volume that is being
//! emptied. One thread for each volume that receives, so that a disk gets one sequential stream of writes.
//!
//! Invariants
//! - At every moment the catalogue's row names a volume that holds the whole segment.
//! - A file is removed only after its copy is durable under its name, and after the log says durably that the copy is
//!   the segment.
//! - Whoever moves a segment has it in hand ([`crate::catalogue::Catalogue::claim`]) until the old file is gone, so that
//!   retention deletes it before or after, never meanwhile.
//! - What cannot be moved stays where it is, is counted and shown, and is tried again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::Mutex;

use super::copy::{Copy, clean, hash_of};
use super::keeper::RECOVERY_PAUSE_MAX;
use super::stats::count;
use super::{Core, VolumeCell, stream_seed};
use crate::catalogue::{Claim, VolumeUsage};
use crate::error::StoreError;
use crate::fs::{OpenOptions, PageBuf};
use crate::segment::SegmentRow;
use crate::volume::{VolumeStatus, destination};

/// Pause of a mover that has nothing to do.
const IDLE_PAUSE: Duration = Duration::from_millis(500);

/// What moved away from a volume since the process started, and what did not.
#[derive(Debug, Default)]
pub(super) struct Totals {
    moved: AtomicU64,
    moved_bytes: AtomicU64,
    failures: AtomicU64,
    error: Mutex<Option<String>>,
}

/// What lies on a volume, and how its segments leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeLoad {
    /// The volume.
    pub id: VolumeId,
    /// What lies on it; counted every `limits::VOLUME_USAGE_INTERVAL`.
    pub usage: VolumeUsage,
    /// Its segments are to go to other volumes.
    pub sends_away: bool,
    /// Segments moved away since the process started.
    pub moved: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Moves that failed.
    pub failures: u64,
    /// Why segments wait longer than they should, or the last move failed.
    pub alarm: Option<String>,
    /// How long the last round of writing to all its streams took, or the running one has so far if that is longer.
    pub round: Duration,
}

/// Names a closed segment.
type SegmentId = (StreamKey, u64);

/// A segment to be moved.
#[derive(Debug, Clone)]
struct Job {
    id: SegmentId,
    start_ms: i64,
    from: usize,
    /// Not before.
    at: MonoMicros,
    pause: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Segments among `jobs`, or under way: nobody else touches their files.
    taken: BTreeSet<SegmentId>,
    /// Volumes whose rows are to be looked through, and behind which stream.
    scans: BTreeMap<usize, Option<StreamKey>>,
    /// Second copies of segments, and the volumes they lie on.
    strays: Vec<(usize, SegmentRow)>,
    usage: Option<(MonoMicros, BTreeMap<VolumeId, VolumeUsage>)>,
}

/// Closed segments on their way. At most `limits::MOVES_QUEUED_MAX` are queued; the rest are found in the catalogue.
#[derive(Debug)]
pub(super) struct Moves {
    volumes: usize,
    queue: Mutex<Queue>,
}

impl Moves {
    pub(super) fn new(volumes: usize) -> Self {
        let moves = Self { volumes, queue: Mutex::default() };
        moves.rescan();
        moves
    }

    /// Something changed that may call for moves: look through all volumes.
    pub(super) fn rescan(&self) {
        self.queue.lock().scans = (0..self.volumes).map(|i| (i, None)).collect();
    }
}

impl Queue {
    fn push(&mut self, id: SegmentId, start_ms: i64, from: usize) {
        if self.jobs.len() >= limits::MOVES_QUEUED_MAX {
            self.scans.insert(from, None);
        } else if self.taken.insert(id) {
            let (at, pause) = (MonoMicros(0), limits::VOLUME_PROBE_INTERVAL);
            self.jobs.push_back(Job { id, start_ms, from, at, pause });
        }
    }
}

impl Core {
    /// A segment was closed on a volume: queues its move, if the volume sends what it gets away.
    pub(super) fn closed_on(&self, volume: &VolumeId, key: StreamKey, number: u64, start_ms: i64) {
        let Some(from) = self.index_of(volume) else { return };
        if self.volumes.get(from).is_some_and(|v| v.status.read().sends_away()) {
            self.moves.queue.lock().push((key, number), start_ms, from);
        }
    }

    /// Looks for rows on volumes that send away, as far as the queue has room.
    fn scan(&self, statuses: &[VolumeStatus]) {
        let mut queue = self.moves.queue.lock();
        if queue.scans.is_empty() || queue.jobs.len() > limits::MOVES_QUEUED_MAX / 2 {
            return;
        }
        let scans = std::mem::take(&mut queue.scans);
        drop(queue);
        let catalogue = &self.options.catalogue;
        for (from, after) in scans {
            let Some(status) = statuses.get(from).filter(|s| s.sends_away()) else { continue };
            let keys = catalogue.keys().into_iter().filter(|k| after.is_none_or(|a| *k > a));
            for key in keys {
                let rows = catalogue.rows_on(&status.id, key);
                let mut queue = self.moves.queue.lock();
                if queue.jobs.len() + rows.len() > limits::MOVES_QUEUED_MAX && !queue.jobs.is_empty() {
                    // From this stream on, once there is room.
                    let before = catalogue.keys().into_iter().rev().find(|k| *k < key);
                    queue.scans.entry(from).or_insert(before);
                    break;
                }
                rows.iter().for_each(|r| queue.push((key, r.number), r.start_ms, from));
            }
        }
    }

    /// Takes jobs whose segments go to volume `to`.
    fn take_jobs(&self, to: usize) -> Vec<Job> {
        let statuses = self.statuses();
        if !statuses.get(to).is_some_and(VolumeStatus::takes_footage) {
            return Vec::new();
        }
        self.scan(&statuses);
        let now = self.options.clock.mono();
        let mut queue = self.moves.queue.lock();
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for job in std::mem::take(&mut queue.jobs) {
            let source = statuses.get(job.from).filter(|s| s.sends_away());
            if source.is_none() {
                queue.taken.remove(&job.id);
            } else if taken.len() < limits::MOVE_BATCH_MAX
                && job.at <= now
                && source.is_some_and(VolumeStatus::is_there)
                && destination(&statuses, stream_seed(job.id.0), job.from) == Some(to)
            {
                taken.push(job);
            } else {
                left.push_back(job);
            }
        }
        queue.jobs = left;
        taken
    }

    fn release(&self, id: SegmentId) {
        self.moves.queue.lock().taken.remove(&id);
    }

    /// Files on volume `on` whose segments the catalogue knows elsewhere: what a crash in the middle of a move left.
    pub(super) fn add_strays(&self, on: usize, strays: Vec<SegmentRow>) {
        let mut queue = self.moves.queue.lock();
        let room = limits::MOVES_QUEUED_MAX.saturating_sub(queue.strays.len());
        queue.strays.extend(strays.into_iter().take(room).map(|s| (on, s)));
    }

    /// Removes second copies that equal the known one; one that does not goes to quarantine.
    pub(super) fn settle_strays(&self) {
        let strays = std::mem::take(&mut self.moves.queue.lock().strays);
        for (on, stray) in strays {
            let id = (stray.key, stray.number);
            if !self.moves.queue.lock().taken.insert(id) {
                // It is being moved, or will be; afterwards is early enough.
                self.add_strays(on, vec![stray]);
                continue;
            }
            if let Err(e) = self.settle_stray(on, &stray) {
                tracing::error!(stream = %stray.key, number = stray.number, error = %e, "a second copy is left");
            }
            self.release(id);
        }
    }

    fn settle_stray(&self, on: usize, stray: &SegmentRow) -> Result<(), StoreError> {
        let options = &self.options;
        let Some(cell) = self.volumes.get(on) else { return Ok(()) };
        let known =
            options.catalogue.segment(stray.key, stray.number).filter(|r| r.volume != cell.id && r.closed);
        let Some(known) = known else { return Ok(()) };
        let Some(home) = self.index_of(&known.volume).and_then(|i| self.volumes.get(i)) else {
            return Ok(());
        };
        let (extra, own) = (cell.root.join(stray.path()), home.root.join(known.path()));
        let mut buf = PageBuf::new();
        let mut hash = |path: &PathBuf| {
            let file =
                options.fs.open(path, OpenOptions::READ).map_err(StoreError::io("open segment", path))?;
            hash_of(&*file, path, &mut buf, &mut || !self.is_stopping())
        };
        let Some(_claim) = options.catalogue.claim(stray.key, stray.number) else {
            self.add_strays(on, vec![stray.clone()]);
            return Ok(());
        };
        if hash(&extra)? == hash(&own)? {
            // The log must not fall back to a row that names this file.
            options.catalogue.flush(true)?;
            options.fs.remove(&extra).map_err(StoreError::io("remove second copy", &extra))?;
            tracing::info!(stream = %stray.key, number = stray.number, volume = %cell.id, "removed a second copy");
        } else {
            let dir = cell.root.join("quarantine");
            options.fs.create_dir_all(&dir).map_err(StoreError::io("create directory", &dir))?;
            let to = dir.join(format!("{}_{}.copy", stray.key.camera, stray.name()));
            options.fs.rename(&extra, &to).map_err(StoreError::io("move to quarantine", &extra))?;
            tracing::error!(stream = %stray.key, number = stray.number, "a second copy differs; it is in quarantine");
        }
        let dir = extra.parent().unwrap_or(&cell.root);
        options.fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))
    }

    /// What lies on each volume, and how moves stand.
    pub(super) fn loads(&self) -> Vec<VolumeLoad> {
        let (utc, mono) = (self.options.clock.utc(), self.options.clock.mono());
        let fresh = |u: &(MonoMicros, _)| mono.since(u.0) < limits::VOLUME_USAGE_INTERVAL;
        let held = self.moves.queue.lock().usage.clone().filter(fresh);
        let usage = held.map(|u| u.1).unwrap_or_else(|| {
            let counted = self.options.catalogue.usage();
            self.moves.queue.lock().usage = Some((mono, counted.clone()));
            counted
        });
        let statuses = self.statuses();
        let load = |(from, (cell, status)): (usize, (&VolumeCell, &VolumeStatus))| {
            let usage = usage.get(&cell.id).copied().unwrap_or_default();
            let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
            let late = usage.first_end_ms.is_some_and(|end| {
                utc.millis().saturating_sub(end)
                    > i64::try_from(limits::MOVE_BACKLOG_ALARM_AFTER.as_millis()).unwrap_or(0)
            });
            let error = cell.moves.error.lock().clone();
            let waits = usage.segments > 0 && status.sends_away();
            let alarm = match error {
                _ if !waits => None,
                Some(error) => Some(error),
                None if destination(&statuses, 0, from).is_none() => {
                    Some("no volume takes what is to be moved away; it stays here until one does".to_owned())
                }
                // What is being emptied was old before.
                None if late && status.is_stage => {
                    Some("segments wait for their move; the volume behind does not keep up".to_owned())
                }
                None => None,
            };
            VolumeLoad {
                id: cell.id.clone(),
                usage,
                sends_away: status.sends_away(),
                moved: load(&cell.moves.moved),
                moved_bytes: load(&cell.moves.moved_bytes),
                failures: load(&cell.moves.failures),
                alarm,
                round: cell.round.took(mono),
            }
        };
        self.volumes.iter().zip(&statuses).enumerate().map(load).collect()
    }
}

/// A segment whose row names its copy, and whose old file is still there.
struct Done {
    id: SegmentId,
    row: SegmentRow,
    old: PathBuf,
    from: usize,
    bytes: u64,
    /// Until the old file is gone, nobody deletes what its row names.
    _claim: Claim,
}

/// What came of one job.
enum Came {
    /// Copied; the old file is still there.
    Copied(Done),
    /// There is nothing to move any more.
    Nothing,
    /// Somebody else has it in hand.
    Waits,
}

/// Brings segments to one volume.
pub(super) struct Mover {
    core: Arc<Core>,
    index: usize,
    id: VolumeId,
    buf: PageBuf,
    cleaned: bool,
    done: Vec<Done>,
}

impl Mover {
    pub(super) fn new(core: Arc<Core>, index: usize, id: VolumeId) -> Self {
        Self { core, index, id, buf: PageBuf::new(), cleaned: false, done: Vec::new() }
    }

    pub(super) fn id(&self) -> &VolumeId {
        &self.id
    }

    /// Works until the recorder stops.
    pub(super) fn run(mut self) {
        while !self.core.is_stopping() {
            if !self.step() {
                self.core.pause(IDLE_PAUSE);
            }
        }
    }

    /// Moves one batch; `false` when there was nothing to do, or it did not work.
    pub(super) fn step(&mut self) -> bool {
        if !self.done.is_empty() {
            return self.settle();
        }
        let jobs = self.core.take_jobs(self.index);
        if jobs.is_empty() {
            return false;
        }
        for job in jobs {
            if self.core.is_stopping() {
                self.core.release(job.id);
                continue;
            }
            match self.copy(&job) {
                Ok(Came::Copied(done)) => self.done.push(done),
                Ok(Came::Nothing) => self.core.release(job.id),
                Ok(Came::Waits) => {
                    let at = self.core.options.clock.mono() + IDLE_PAUSE;
                    self.core.moves.queue.lock().jobs.push_back(Job { at, ..job });
                }
                Err(_) if self.core.is_stopping() => self.core.release(job.id),
                Err(e) => self.later(job, &e),
            }
        }
        self.settle()
    }

    /// Copies a segment and lets its row name the copy.
    fn copy(&mut self, job: &Job) -> Result<Came, StoreError> {
        let core = self.core.clone();
        let (options, catalogue) = (&core.options, &core.options.catalogue);
        let (Some(to), Some(from)) = (core.volumes.get(self.index), core.volumes.get(job.from)) else {
            return Ok(Came::Nothing);
        };
        if !self.cleaned {
            clean(&*options.fs, &to.root)?;
            self.cleaned = true;
        }
        let Some(claim) = catalogue.claim(job.id.0, job.id.1) else { return Ok(Came::Waits) };
        let row = catalogue.segment(job.id.0, job.id.1);
        let Some(row) = row.filter(|r| r.closed && r.volume == from.id && r.start_ms == job.start_ms) else {
            return Ok(Came::Nothing);
        };
        let path = row.path();
        let old = from.root.join(&path);
        let copy = Copy { fs: &*options.fs, from: &old, to_root: &to.root, path: &path };
        let (new, bytes) = copy.run(&mut self.buf, &mut || core.give_way(to, from))?;
        if !catalogue.relocated(&row, &to.id) {
            // Deleted meanwhile: so is the copy.
            options.fs.remove(&new).map_err(StoreError::io("remove copy", &new))?;
            return Ok(Came::Nothing);
        }
        Ok(Came::Copied(Done { id: job.id, row, old, from: job.from, bytes, _claim: claim }))
    }

    /// Makes the new rows durable, then removes the old files.
    fn settle(&mut self) -> bool {
        if self.done.is_empty() {
            return false;
        }
        if let Err(e) = self.core.options.catalogue.flush(true) {
            tracing::error!(error = %e, "moved segments keep their old files until the catalogue's log takes the move");
            return false;
        }
        for done in std::mem::take(&mut self.done) {
            let fs = &self.core.options.fs;
            let dir = done.old.parent().unwrap_or(&done.old);
            let removed = match fs.remove(&done.old) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::io("remove moved segment", &done.old)(e))
                }
                _ => fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir)),
            };
            if let Some(cell) = self.core.volumes.get(done.from) {
                count(&cell.moves.moved, 1);
                count(&cell.moves.moved_bytes, done.bytes);
                *cell.moves.error.lock() = removed.as_ref().err().map(ToString::to_string);
            }
            self.core.release(done.id);
            if removed.is_err() {
                self.core.add_strays(done.from, vec![done.row]);
            }
        }
        true
    }

    fn later(&self, mut job: Job, error: &StoreError) {
        tracing::error!(stream = %job.id.0, number = job.id.1, to = %self.id, error = %error, "segment is not moved");
        if let Some(cell) = self.core.volumes.get(job.from) {
            count(&cell.moves.failures, 1);
            *cell.moves.error.lock() = Some(error.to_string());
        }
        job.at = self.core.options.clock.mono() + job.pause;
        job.pause = (job.pause * 2).min(RECOVERY_PAUSE_MAX);
        self.core.moves.queue.lock().jobs.push_back(job);
    }
}

impl Core {
    /// Lets the writers of both volumes go first; `false` when the recorder stops.
    fn give_way(&self, to: &VolumeCell, from: &VolumeCell) -> bool {
        let behind =
            |cell: &VolumeCell| cell.round.took(self.options.clock.mono()) > limits::MOVE_YIELD_AFTER;
        let mut waited = Duration::ZERO;
        while (behind(to) || behind(from)) && waited < limits::MOVE_YIELD_MAX && !self.is_stopping() {
            self.pause(limits::VOLUME_SWEEP_INTERVAL);
            waited += limits::VOLUME_SWEEP_INTERVAL;
        }
        !self.is_stopping()
    }
}
