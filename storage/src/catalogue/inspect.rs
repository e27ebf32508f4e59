//! The catalogue's log as it lies on the disk, held against the names of the files. Reads alone; the node may run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fengsui_config::ids::VolumeId;
use serde::Serialize;

use super::check::{CheckReport, list_names, list_streams};
use super::index::Index;
use super::query::closed_row;
use super::{Opening, store};
use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::SegmentRow;

/// A difference between log and files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The file.
    pub path: PathBuf,
    /// What differs.
    pub kind: DifferenceKind,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// A file that the log does not know.
    NoRow,
    /// A row whose file is not there.
    NoFile,
    /// The file is shorter than its row.
    Short,
}

/// What a look at the log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// How the log was found; `New`: there is none.
    pub opening: Opening,
    /// Closed segments that it knows.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Length of the log.
    pub log_bytes: u64,
    /// Where it differs from the files, in order.
    pub differences: Vec<Difference>,
    /// Volumes whose names could not be listed, and why.
    pub unlisted: Vec<(VolumeId, String)>,
}

/// The log's file in the catalogue's folder.
#[must_use]
pub fn log_path(dir: &Path) -> PathBuf {
    dir.join(store::NAME)
}

/// Looks at the log in `dir` and compares it with the names on these volumes. Changes nothing. Fails only when the log
/// cannot be read.
pub fn inspect(fs: &dyn Fs, dir: &Path, volumes: &[(VolumeId, PathBuf)]) -> Result<Inspection, StoreError> {
    let (index, opening, log_bytes) = store::peek(fs, dir)?;
    let rows = index.streams.iter().flat_map(|s| s.closed.iter());
    let (segments, bytes) = rows.fold((0, 0), |(n, b), row| (n + 1, b + u64::from(row.bytes)));
    let mut out =
        Inspection { opening, segments, bytes, log_bytes, differences: Vec::new(), unlisted: Vec::new() };
    for (id, root) in volumes {
        if let Err(e) = compare(fs, &index, id, root, &mut out.differences) {
            out.unlisted.push((id.clone(), e.to_string()));
        }
    }
    out.differences.sort();
    Ok(out)
}

fn compare(
    fs: &dyn Fs,
    index: &Index,
    id: &VolumeId,
    root: &Path,
    out: &mut Vec<Difference>,
) -> Result<(), StoreError> {
    fs.read_dir(root).map_err(StoreError::io("list volume", root))?;
    let mut ignored = CheckReport::default();
    let mut keys: BTreeSet<_> = index.keys.iter().copied().collect();
    keys.extend(list_streams(fs, root, &mut ignored)?);
    let at = index.volumes.iter().position(|v| v == id);
    for key in keys {
        let names = list_names(fs, root, key, &mut ignored)?;
        let stream = index.rows(&key);
        let here = |volume: u8| Some(usize::from(volume)) == at;
        let closed = stream.into_iter().flat_map(|s| s.closed.iter());
        let rows: Vec<SegmentRow> =
            closed.filter(|r| here(r.volume)).filter_map(|r| closed_row(index, key, &r)).collect();
        let known: BTreeSet<_> = rows.iter().map(SegmentRow::name).collect();
        let open = stream.map(|s| s.open.as_slice()).unwrap_or_default();
        for name in names.difference(&known) {
            let waits = name.closed.is_none()
                && open.iter().any(|o| (o.start_ms, u64::from(o.number)) == (name.start_ms, name.number));
            if !waits {
                let dir = root.join(crate::segment::stream_dir(key, name.start_ms));
                let path = dir.join(name.to_string());
                out.push(Difference { path, kind: DifferenceKind::NoRow });
            }
        }
        for row in rows {
            let path = root.join(row.path());
            if !names.contains(&row.name()) {
                out.push(Difference { path, kind: DifferenceKind::NoFile });
            } else if fs.metadata(&path).is_ok_and(|found| found.len < row.bytes) {
                out.push(Difference { path, kind: DifferenceKind::Short });
            }
        }
    }
    Ok(())
}
