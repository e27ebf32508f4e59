//! Deleting, so that a crash at any point leaves the truth.
//!
//! 1. journal `retention.deleting`: what is about to go, durable;
//! 2. the files are removed, and their directories synced;
//! 3. the catalogue's rows become gaps, durable;
//! 4. journal `retention.deleted`: what is gone.
//!
//! A batch that is announced and not entered is settled before anything else is deleted.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::alarm::Subject;
use super::plan::Why;
use super::register::{Batch, Deleted};
use super::{Core, Inner, VolumeNow};
use crate::error::StoreError;
use crate::journal::kinds;
use crate::segment::{SegmentRow, stream_dir};
use crate::volume::IDENTITY_FILE;

/// Directories of days that ended less than this ago stay, for whoever is about to create a file there.
const DAY_DIR_REST_MS: i64 = 3 * 86_400_000;

impl Core {
    /// The volume's identity file is there: what looks like no files may be a disk that is not mounted.
    pub(super) fn is_there(&self, volume: &VolumeNow) -> bool {
        self.options.fs.metadata(&volume.root.join(IDENTITY_FILE)).is_ok()
    }

    /// Deletes segments of one volume. `false` when nothing more should be deleted in this look.
    pub(super) fn delete(
        &self,
        inner: &mut Inner,
        volume: &VolumeNow,
        why: Why,
        rows: &[SegmentRow],
    ) -> bool {
        // The planner has looked; whoever deletes looks again.
        let holds = &inner.state.holds;
        let free: Vec<&SegmentRow> =
            rows.iter().filter(|r| !holds.holds(r.key, r.start(), r.end())).collect();
        // In hand until all of it is done. What a mover or a repair has in hand waits for the next look; what was moved
        // before it was in hand is not deleted from where it was.
        let (mut claims, mut rows) = (Vec::with_capacity(free.len()), Vec::with_capacity(free.len()));
        let mut waits = false;
        for row in free {
            let Some(claim) = self.options.catalogue.claim(row.key, row.number) else {
                waits = true;
                continue;
            };
            let now = self.options.catalogue.segment(row.key, row.number);
            if now.is_some_and(|r| r.closed && r.volume == volume.id && r.start_ms == row.start_ms) {
                claims.push(claim);
                rows.push(row.clone());
            }
        }
        if rows.is_empty() {
            return !waits;
        }
        let batch = Batch::of(volume.id.clone(), why, &rows);
        let body = serde_json::to_value(&batch).unwrap_or(Value::Null);
        let seq = match self.options.log.append(kinds::RETENTION_DELETING, body) {
            Ok(seq) => seq,
            Err(error) => {
                inner.errors += 1;
                tracing::error!(error, "nothing is deleted while the journal takes no records");
                self.raise(inner, Subject::JournalFailed, format!("The journal takes no records: {error}"));
                return false;
            }
        };
        self.clear(inner, &Subject::JournalFailed);
        inner.state.pending.insert(seq, batch.clone());
        self.remove_copies(inner, volume, &rows);
        let gone = self.remove_files(inner, volume, &rows);
        let whole = gone.len() == rows.len();
        let synced = self.sync_dirs(inner, volume, &gone);
        self.options.catalogue.expired(&gone, batch.reason());
        if let Some(forget) = &self.options.forget {
            forget.forget(&gone);
        }
        if synced && self.flush(inner) {
            let batch = Batch::of(volume.id.clone(), why, &gone);
            let left = (rows.len() - gone.len()) as u64;
            self.enter(inner, Deleted { announced: seq, batch, left, after_crash: false });
        }
        tracing::info!(volume = %volume.id, ?why, segments = gone.len(), bytes = batch.bytes, "footage deleted");
        drop(claims);
        whole && synced && !waits
    }

    /// Removes second copies on other volumes, which a crash in the middle of a move may have left: found later, they
    /// would be taken for footage.
    fn remove_copies(&self, inner: &mut Inner, home: &VolumeNow, rows: &[SegmentRow]) {
        let source = self.volumes.lock().clone();
        let all = source.map(|s| s.volumes()).unwrap_or_default();
        for volume in all.iter().filter(|v| v.id != home.id && v.usable && self.is_there(v)) {
            for row in rows {
                let path = volume.root.join(row.path());
                match self.options.fs.remove(&path) {
                    Ok(()) => {
                        let dir = path.parent().unwrap_or(&volume.root);
                        inner.errors += u64::from(self.options.fs.sync_dir(dir).is_err());
                        tracing::info!(volume = %volume.id, stream = %row.key, number = row.number, "a second copy goes too");
                    }
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => {
                        inner.errors += 1;
                        tracing::error!(error = %StoreError::io("delete second copy", &path)(e), "a second copy is left");
                    }
                }
            }
        }
    }

    /// Removes files; returns the rows whose file is gone.
    fn remove_files(&self, inner: &mut Inner, volume: &VolumeNow, rows: &[SegmentRow]) -> Vec<SegmentRow> {
        let mut gone = Vec::with_capacity(rows.len());
        let mut failure = None;
        for row in rows {
            let path = volume.root.join(row.path());
            match self.options.fs.remove(&path) {
                Ok(()) => gone.push(row.clone()),
                // Whoever took it: it is gone, unless the whole volume is.
                Err(e) if e.kind() == ErrorKind::NotFound && self.is_there(volume) => gone.push(row.clone()),
                Err(e) => {
                    inner.errors += 1;
                    failure = Some(StoreError::io("delete", &path)(e));
                }
            }
        }
        let subject = Subject::DeletionFailed { volume: volume.id.clone() };
        match failure {
            Some(error) => {
                self.raise(inner, subject, format!("Files cannot be deleted: {error}"));
            }
            None => self.clear(inner, &subject),
        }
        gone
    }

    /// Makes the removal durable, and removes directories of days that are empty now.
    fn sync_dirs(&self, inner: &mut Inner, volume: &VolumeNow, gone: &[SegmentRow]) -> bool {
        let now_ms = self.options.clock.utc().millis();
        let dirs: BTreeSet<(PathBuf, bool)> = gone
            .iter()
            .map(|r| {
                (
                    volume.root.join(stream_dir(r.key, r.start_ms)),
                    r.start_ms < now_ms.saturating_sub(DAY_DIR_REST_MS),
                )
            })
            .collect();
        let mut synced = true;
        for (dir, old) in dirs {
            match self.options.fs.sync_dir(&dir) {
                Ok(()) if old => {
                    // Refused while there is anything in it.
                    let _ = self.options.fs.remove_dir(&dir);
                }
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    tracing::error!(error = %StoreError::io("sync directory", &dir)(e), "a deletion is not durable yet");
                    inner.errors += 1;
                    synced = false;
                }
            }
        }
        synced
    }

    fn flush(&self, inner: &mut Inner) -> bool {
        match self.options.catalogue.flush(true) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the catalogue keeps deletions in memory");
                inner.errors += 1;
                false
            }
        }
    }

    /// Enters a batch into the register.
    pub(super) fn enter(&self, inner: &mut Inner, deleted: Deleted) {
        let body = serde_json::to_value(&deleted).unwrap_or(Value::Null);
        match self.options.log.append(kinds::RETENTION_DELETED, body) {
            Ok(_) => {
                inner.state.deleted(&deleted, self.options.clock.utc());
                inner.totals.add(&deleted.batch);
            }
            Err(error) => {
                tracing::error!(error, "a deletion waits to be entered into the register");
                inner.errors += 1;
            }
        }
    }

    /// Settles batches that were announced and not entered, on volumes that are there.
    pub(super) fn settle(&self, inner: &mut Inner, volumes: &[VolumeNow]) {
        let waiting: Vec<(u64, Batch)> = inner.state.pending.iter().map(|(s, b)| (*s, b.clone())).collect();
        for (seq, batch) in waiting {
            let volume = volumes.iter().find(|v| v.id == batch.volume && v.usable && self.is_there(v));
            if let Some(volume) = volume {
                self.settle_one(inner, volume, seq, &batch);
            }
        }
    }

    fn settle_one(&self, inner: &mut Inner, volume: &VolumeNow, seq: u64, batch: &Batch) {
        let (mut gone, mut left, mut claims) = (Vec::new(), Vec::new(), Vec::new());
        for (key, number) in batch.segments() {
            // A mover may have it in hand; then later.
            let Some(claim) = self.options.catalogue.claim(key, number) else { return };
            claims.push(claim);
            let Some(row) = self.options.catalogue.segment(key, number).filter(|r| r.closed) else {
                continue;
            };
            if row.volume != batch.volume {
                // It could not be deleted, and was moved since.
                left.push(row);
                continue;
            }
            match self.is_gone(&volume.root.join(row.path())) {
                Some(true) => gone.push(row),
                Some(false) => left.push(row),
                // Nobody knows now; later.
                None => return,
            }
        }
        self.remove_copies(inner, volume, &gone);
        if self.options.fs.sync_volume(&volume.root).is_err() {
            inner.errors += 1;
            return;
        }
        self.options.catalogue.expired(&gone, batch.reason());
        if !self.flush(inner) {
            return;
        }
        tracing::warn!(volume = %volume.id, segments = batch.segments, left = left.len(), "an interrupted deletion is settled");
        // Rows of which the catalogue knew already are gone too, so the register gets the announcement less what is left.
        let done = batch.without(&left);
        let left = left.len() as u64;
        self.enter(inner, Deleted { announced: seq, batch: done, left, after_crash: true });
    }

    /// Whether a file is gone; `None` when the file system does not say.
    fn is_gone(&self, path: &Path) -> Option<bool> {
        match self.options.fs.metadata(path) {
            Ok(_) => Some(false),
            Err(e) if e.kind() == ErrorKind::NotFound => Some(true),
            Err(_) => None,
        }
    }
}
