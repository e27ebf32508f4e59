//! The catalogue against the disk: names are the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fengsui_config::clock::Clock;
use fengsui_config::ids::{CameraId, StreamKey, StreamKind, VolumeId};
use fengsui_config::limits;
use serde::Serialize;

use super::index::{Index, StreamRows};
use super::log::{Packed, Record};
use super::query::closed_row;
use super::{Catalogue, narrow, store};
use crate::error::StoreError;
use crate::frame::GapReason;
use crate::fs::Fs;
use crate::segment::{SegmentName, SegmentRow};

/// What a comparison of one volume with the catalogue found and mended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Segment files seen.
    pub files: u64,
    /// Closed files that the catalogue did not know; now it does.
    pub added: u64,
    /// Files without a footer that the catalogue did not know; they wait for recovery now.
    pub unfinished: u64,
    /// Rows whose file is gone; their time is a gap `damaged` now.
    pub missing: u64,
    /// Closed files that are shorter than they were; their names tell now what is left.
    pub shortened: u64,
    /// Names in the directories of footage that are none of ours; left alone.
    pub foreign: u64,
    /// Closed files whose segment the catalogue knows on another volume: left by a move that a crash cut short.
    #[serde(skip)]
    pub strays: Vec<SegmentRow>,
}

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// By volume.
    pub volumes: BTreeMap<String, CheckReport>,
    /// Gaps taken over from the old log; names do not tell them.
    pub gaps_kept: u64,
    /// Where the old log lies now.
    pub old_log: Option<PathBuf>,
}

/// Names of one stream on one volume.
pub(super) type Names = BTreeSet<SegmentName>;

impl Catalogue {
    /// Compares the names on a volume with the rows and mends the rows. `stop` ends it early, without harm.
    /// Fails when a directory cannot be listed; nothing is taken for missing then.
    pub fn check_volume(
        &self,
        volume: &VolumeId,
        root: &Path,
        stop: &AtomicBool,
    ) -> Result<CheckReport, StoreError> {
        self.compare(volume, root, stop, true)
    }

    /// See [`Self::check_volume`]; without `look` an unknown closed file is what its name says.
    fn compare(
        &self,
        volume: &VolumeId,
        root: &Path,
        stop: &AtomicBool,
        look: bool,
    ) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        let identity = root.join(crate::volume::IDENTITY_FILE);
        let known_disk = self.fs.metadata(&identity).is_ok();
        let mut keys: BTreeSet<StreamKey> = self.keys().into_iter().collect();
        keys.extend(list_streams(&*self.fs, root, &mut report)?);
        for key in keys {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            // Rows first, names second: a segment closed in between is no missing file.
            let rows = self.rows_on(volume, key);
            let names = list_names(&*self.fs, root, key, &mut report)?;
            if known_disk {
                // A disk that went away meanwhile has no names, but its footage is not gone.
                self.fs.metadata(&identity).map_err(StoreError::io("look at volume identity", &identity))?;
            }
            self.mend((volume, root, look), key, &rows, &names, &mut report)?;
        }
        Ok(report)
    }

    /// Closed rows of one stream on one volume.
    pub(crate) fn rows_on(&self, volume: &VolumeId, key: StreamKey) -> Vec<SegmentRow> {
        let inner = self.inner.read();
        let Some(rows) = inner.index.rows(&key) else { return Vec::new() };
        let Some(at) = inner.index.volumes.iter().position(|v| v == volume) else { return Vec::new() };
        rows.closed
            .iter()
            .filter(|r| usize::from(r.volume) == at)
            .filter_map(|r| closed_row(&inner.index, key, &r))
            .collect()
    }

    fn mend(
        &self,
        (volume, root, look): (&VolumeId, &Path, bool),
        key: StreamKey,
        rows: &[SegmentRow],
        names: &Names,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let known: Names = rows.iter().map(SegmentRow::name).collect();
        // First: a power cut may have taken the closed name back, and the file is there under its open one.
        for row in rows.iter().filter(|r| !names.contains(&r.name())) {
            // A row that was taken out meanwhile (retention, a move) is not missing.
            if self.removed(row, GapReason::Damaged) {
                report.missing += 1;
            }
        }
        for name in names.difference(&known) {
            match name.closed {
                Some((duration_ms, flags)) => {
                    let mut row = SegmentRow {
                        volume: volume.clone(),
                        key,
                        number: name.number,
                        start_ms: name.start_ms,
                        duration_ms,
                        flags,
                        bytes: 0,
                        closed: true,
                    };
                    let path = root.join(row.path());
                    row.bytes = match self.fs.metadata(&path) {
                        Ok(found) => found.len,
                        // Deleted since it was listed.
                        Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                        Err(e) => return Err(StoreError::io("look at segment", &path)(e)),
                    };
                    if self.add_found(&row) {
                        report.added += 1;
                        if look && self.was_cut(&path, &row)? {
                            self.shorten(root, &row, row.bytes)?;
                            report.shortened += 1;
                        }
                    } else if report.strays.len() < limits::MOVES_QUEUED_MAX
                        && self.segment(key, name.number).is_some_and(|known| known.volume != *volume)
                    {
                        report.strays.push(row);
                    }
                }
                None if self.add_unfinished(volume, key, name) => report.unfinished += 1,
                None => {}
            }
        }
        for row in rows.iter().filter(|r| names.contains(&r.name())) {
            match self.fs.metadata(&root.join(row.path())) {
                Ok(found) if found.len < row.bytes => {
                    self.shorten(root, row, found.len)?;
                    report.shortened += 1;
                }
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("look at segment", root)(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a closed file that was found; `false` when the catalogue came to know it meanwhile.
    fn add_found(&self, row: &SegmentRow) -> bool {
        let mut inner = self.inner.write();
        let number = narrow(row.number);
        let known = |r: &StreamRows| r.closed.get(row.start_ms, number).is_some();
        if inner.index.rows(&row.key).is_some_and(known) {
            return false;
        }
        let stream = inner.stream(row.key);
        let volume = inner.volume(&row.volume);
        let packed = Packed {
            start_ms: row.start_ms,
            number,
            bytes: u32::try_from(row.bytes).unwrap_or(u32::MAX),
            duration_ms: row.duration_ms,
            volume,
            flags: row.flags.0,
        };
        inner.record(Record::Closed { stream, row: packed, hash: [0; 32] });
        true
    }

    fn add_unfinished(&self, volume: &VolumeId, key: StreamKey, name: &SegmentName) -> bool {
        let mut inner = self.inner.write();
        let number = narrow(name.number);
        let same = |start_ms: i64, n: u32| start_ms == name.start_ms && n == number;
        let known = |r: &StreamRows| {
            r.open.iter().any(|o| same(o.start_ms, o.number)) || r.closed.get(name.start_ms, number).is_some()
        };
        if inner.index.rows(&key).is_some_and(known) {
            return false;
        }
        let stream = inner.stream(key);
        let volume = inner.volume(volume);
        inner.record(Record::Opened { stream, volume, number, start_ms: name.start_ms });
        true
    }

    /// Makes the log anew from the names on the volumes. Gaps come from the old log, as far as it can be read; the
    /// old log is kept beside the new one. Not while a node runs on this directory.
    pub fn rebuild(
        fs: Arc<dyn Fs>,
        dir: &Path,
        volumes: &[(VolumeId, PathBuf)],
        clock: Arc<dyn Clock>,
    ) -> Result<RebuildReport, StoreError> {
        let mut report = RebuildReport::default();
        let old = store::set_aside(&*fs, dir, clock.utc())?;
        let catalogue = Self::open(fs, dir, clock)?;
        let never = AtomicBool::new(false);
        for (id, root) in volumes {
            // Millions of files are not opened for this; the check of footage finds what was cut.
            let found = catalogue.compare(id, root, &never, false)?;
            report.volumes.insert(id.to_string(), found);
        }
        if let Some((path, old)) = old {
            report.gaps_kept = catalogue.take_over(&old);
            report.old_log = Some(path);
        }
        catalogue.flush(true)?;
        Ok(report)
    }

    /// Takes gaps, hashes and signs of life over from an old log.
    fn take_over(&self, old: &Index) -> u64 {
        let mut kept = 0;
        let mut inner = self.inner.write();
        for (key, rows) in old.keys.iter().zip(&old.streams) {
            if rows.gaps.is_empty() && rows.open_gap.is_none() {
                continue;
            }
            let stream = inner.stream(*key);
            for gap in rows.gaps.iter() {
                let (from, to) = (gap.interval.from, gap.interval.to);
                inner.record(Record::Gap { stream, reason: gap.reason, from, to });
                kept += 1;
            }
            if let Some((reason, from)) = rows.open_gap {
                inner.record(Record::GapBegin { stream, reason, from });
            }
        }
        if let Some(at) = old.alive {
            inner.record(Record::Alive { at });
        }
        kept
    }
}

/// The streams that have a directory on a volume.
pub(super) fn list_streams(
    fs: &dyn Fs,
    root: &Path,
    report: &mut CheckReport,
) -> Result<Vec<StreamKey>, StoreError> {
    let mut out = Vec::new();
    for entry in list(fs, root)?.into_iter().filter(|e| e.is_dir) {
        let Ok(camera) = entry.name.parse::<CameraId>() else { continue };
        for stream in list(fs, &root.join(&entry.name))? {
            match stream.name.parse::<StreamKind>() {
                Ok(kind) if stream.is_dir => out.push(StreamKey { camera, stream: kind }),
                _ => report.foreign += 1,
            }
        }
    }
    Ok(out)
}

/// The segment names of one stream on a volume.
pub(super) fn list_names(
    fs: &dyn Fs,
    root: &Path,
    key: StreamKey,
    report: &mut CheckReport,
) -> Result<Names, StoreError> {
    let dir = root.join(key.camera.to_string()).join(key.stream.as_str());
    let mut names = Names::new();
    for day in list(fs, &dir)? {
        if !day.is_dir {
            report.foreign += 1;
            continue;
        }
        for file in list(fs, &dir.join(&day.name))? {
            match file.name.parse::<SegmentName>() {
                Ok(name) if !file.is_dir => {
                    report.files += 1;
                    names.insert(name);
                }
                _ => report.foreign += 1,
            }
        }
    }
    Ok(names)
}

/// The names in a directory; none when there is no such directory.
fn list(fs: &dyn Fs, dir: &Path) -> Result<Vec<crate::fs::DirEntry>, StoreError> {
    match fs.read_dir(dir) {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(StoreError::io("list directory", dir)(e)),
    }
}
