//! What a crash left behind: three outcomes, and the way to close a torn file. Nothing is ever deleted here.

use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;

use super::group::Builder;
use super::preamble::{self, Trust};
use super::reader::salvage;
use super::scan::{self, Scan, Stop, Window};
use super::writer::{Seal, rename_closed, row, seal};
use super::{EndReason, Hash, NodeKey, SegmentFlags, SegmentHead, SegmentName, SegmentRow};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions, PageBuf};

/// The three outcomes of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Every byte is accounted for.
    Clean,
    /// The last `bytes` bytes belong to a group that was never committed, or not durably: a crash's normal trace.
    TornTail {
        /// How many.
        bytes: u64,
    },
    /// Bytes at `at` were durable once and do not hold now: the disk or somebody changed them.
    Damaged {
        /// File offset of the first group or record that does not hold.
        at: u64,
    },
}

/// What recovery found in one file.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The outcome.
    pub outcome: Outcome,
    /// A footer is there and holds.
    pub closed: bool,
    /// Length of the preamble and all groups that hold, from the start of the file without a hole.
    pub committed: u64,
    /// The head; none when not even the preamble holds.
    pub head: Option<SegmentHead>,
    /// Start of the first and end of the last picture or sound in those groups.
    pub extent: Option<(UtcMicros, UtcMicros)>,
    /// Pictures and audio units in those groups.
    pub units: u64,
    /// Chain hash after the last of them; of a closed file, the segment's hash.
    pub chain: Hash,
}

/// What [`finish_torn`] did.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What was found.
    pub recovery: Recovery,
    /// What the catalogue keeps; none when the file held no whole group and went to quarantine entirely.
    pub row: Option<SegmentRow>,
    /// Where the torn tail was put, if there was one.
    pub quarantined: Option<PathBuf>,
    /// The segment's hash, for the next one's [`SegmentHead::previous`].
    pub hash: Hash,
}

/// Everything a look at a file brings up.
struct Look {
    recovery: Recovery,
    scan: Option<Scan>,
    len: u64,
}

/// Looks at a file without changing it. Groups known to be durable are checked by structure and record; those
/// after them by every byte. Fails only when the file system does.
pub fn recover(fs: &dyn Fs, path: &Path) -> Result<Recovery, StoreError> {
    let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open segment", path))?;
    Ok(look(&*file, path)?.recovery)
}

/// Whether the file has a closed name: then all of it was durable before it got that name.
fn was_closed(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.parse::<SegmentName>().is_ok_and(|n| n.closed.is_some())
}

fn look(file: &dyn FsFile, path: &Path) -> Result<Look, StoreError> {
    let len = file.len().map_err(StoreError::io("measure segment", path))?;
    let mut w = Window::new(file, path);
    let (mut scan, trust) = match preamble::open(&mut w) {
        Ok(opened) => opened,
        Err(Stop::Io(e)) => return Err(e),
        Err(Stop::Bad(..)) => {
            let outcome = judge(&mut w, path, 0, len)?;
            let recovery = Recovery {
                outcome,
                closed: false,
                committed: 0,
                head: None,
                extent: None,
                units: 0,
                chain: [0; 32],
            };
            return Ok(Look { recovery, scan: None, len });
        }
    };
    if let Some(footer) = ok(scan::footer(&mut w, len))?.flatten() {
        if !was_closed(path) && trust != Trust::Mended {
            // Without the sync that comes before the closed name, the footer may have reached the disk and a group
            // before it not.
            walk(file, path, &mut scan, &mut w, footer.last.footer)?;
            if scan.next != footer.last.footer || !footer.continues(&scan.chain) {
                let outcome = judge(&mut w, path, scan.next, len)?;
                return Ok(Look { recovery: summary(&scan, outcome), scan: Some(scan), len });
            }
        }
        let outcome = if trust != Trust::Linked {
            Outcome::Damaged { at: 0 }
        } else if footer.signed && footer.last.key_id == scan.header.key_id {
            Outcome::Clean
        } else {
            Outcome::Damaged { at: footer.at }
        };
        (scan.groups, scan.fragments) = (footer.groups, footer.fragments);
        (scan.next, scan.chain) = (footer.last.footer, footer.last.chain);
        let recovery = Recovery { closed: true, ..summary(&scan, outcome) };
        return Ok(Look { recovery, scan: Some(scan), len });
    }
    walk(file, path, &mut scan, &mut w, len)?;
    let outcome = if trust == Trust::Mended {
        Outcome::Damaged { at: 0 }
    } else if scan.next == len && !was_closed(path) {
        Outcome::Clean
    } else {
        judge(&mut w, path, scan.next, len)?
    };
    Ok(Look { recovery: summary(&scan, outcome), scan: Some(scan), len })
}

/// Tells a refusal of the file system from bytes that do not hold.
fn ok<T>(r: Result<T, Stop>) -> Result<Option<T>, StoreError> {
    match r {
        Ok(v) => Ok(Some(v)),
        Err(Stop::Bad(..)) => Ok(None),
        Err(Stop::Io(e)) => Err(e),
    }
}

/// Takes in all groups that hold; those not known to be durable by every byte.
fn walk(
    file: &dyn FsFile,
    path: &Path,
    scan: &mut Scan,
    w: &mut Window<'_>,
    len: u64,
) -> Result<(), StoreError> {
    let mut before = Vec::new();
    while scan.next < len {
        before.push((scan.chain, scan.next));
        if ok(scan.step(w, len))?.is_none() {
            break;
        }
    }
    let mut room = Vec::new();
    for n in 0..scan.groups.len() {
        let Some(g) = scan.groups.get(n).copied() else { break };
        if g.offset < scan.synced {
            continue;
        }
        if !scan::hash_holds(file, path, &g, &mut room)? {
            let (chain, next) = before.get(n).copied().unwrap_or((scan.chain, g.offset));
            scan.back_to(n, chain, next);
            break;
        }
    }
    Ok(())
}

/// What it means that nothing holds from `at` to the end: damage if a record further on says that it was durable,
/// or if the file was closed already; otherwise the trace of a crash.
fn judge(w: &mut Window<'_>, path: &Path, at: u64, len: u64) -> Result<Outcome, StoreError> {
    if was_closed(path) {
        return Ok(Outcome::Damaged { at });
    }
    let mut from = at;
    while let Some((found, synced)) = ok(scan::later_group(w, from, len))?.flatten() {
        if synced > at {
            return Ok(Outcome::Damaged { at });
        }
        from = found;
    }
    Ok(Outcome::TornTail { bytes: len - at })
}

fn summary(scan: &Scan, outcome: Outcome) -> Recovery {
    let start = scan.fragments.iter().map(|f| f.utc).min();
    let end = scan.fragments.iter().map(|f| f.utc_end).max();
    Recovery {
        outcome,
        closed: false,
        committed: scan.next,
        head: Some(scan.head.clone()),
        extent: start.zip(end),
        units: scan.fragments.iter().map(|f| u64::from(f.frames) + u64::from(f.audio_units)).sum(),
        chain: scan.chain,
    }
}

/// Brings an open file to its end: moves a torn tail to `quarantine`, writes the footer after the last commit,
/// gives the file its closed name. Of a damaged file no byte is changed; it only gets its closed name. Can be
/// called again after a crash in the middle of it.
pub fn finish_torn(
    fs: &dyn Fs,
    path: &Path,
    quarantine: &Path,
    signer: &NodeKey,
) -> Result<Finished, StoreError> {
    // What a failed sync left in the page cache alone must not be taken for stored.
    let file = fs.open(path, OpenOptions::WRITE_DISK).map_err(StoreError::io("open segment", path))?;
    let Look { recovery, mut scan, len } = look(&*file, path)?;
    if let (Outcome::Damaged { .. }, Some(scan)) = (recovery.outcome, &mut scan) {
        // What holds behind the damage is footage too: the name tells how far the file reaches.
        salvage(scan, &mut Window::new(&*file, path), path, len)?;
    }
    let whole = |quarantined| Finished {
        recovery: recovery.clone(),
        row: None,
        quarantined: Some(quarantined),
        hash: [0; 32],
    };
    let Some(scan) = scan.filter(|s| !s.groups.is_empty()) else {
        release_reservation(&*file, path, len);
        return Ok(whole(quarantine_file(fs, path, quarantine)?));
    };
    let finished =
        |row, quarantined, hash| Finished { recovery: recovery.clone(), row: Some(row), quarantined, hash };
    if recovery.closed && recovery.outcome == Outcome::Clean {
        // The node died between footer and rename, or this is a second call.
        file.sync_all().map_err(StoreError::io("sync segment", path))?;
        let row = row(&scan.head, &scan.fragments, len, reason_flags(&*file, path, len)?);
        rename_closed(fs, path, &row)?;
        return Ok(finished(row, None, scan.chain));
    }
    if matches!(recovery.outcome, Outcome::Damaged { .. }) {
        let flags = SegmentFlags::TORN.with(SegmentFlags::DAMAGED);
        let row = row(&scan.head, &scan.fragments, len, flags);
        release_reservation(&*file, path, len);
        rename_closed(fs, path, &row)?;
        return Ok(finished(row, None, [0; 32]));
    }
    let quarantined = if scan.next < len {
        let tail = quarantine_tail(fs, &*file, path, quarantine, scan.next, len)?;
        file.truncate(scan.next).map_err(StoreError::io("truncate segment", path))?;
        Some(tail)
    } else {
        None
    };
    let Scan { head, next, chain, groups, fragments, .. } = scan;
    let mut builder = Builder::resume(head, signer.id(), next, chain, groups, fragments);
    let how = Seal { reason: EndReason::CrashTail, signer };
    let closed = seal(fs, &*file, path, &mut builder, how, &mut PageBuf::new())?;
    Ok(finished(closed.row, quarantined, closed.hash))
}

/// Whether a file ends with a footer that holds in itself: a closed file of which nothing was cut.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn has_footer(fs: &dyn Fs, path: &Path, len: u64) -> Result<bool, StoreError> {
    let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open segment", path))?;
    Ok(ok(scan::footer(&mut Window::new(&*file, path), len))?.flatten().is_some())
}

/// The flags that the end reason of a file with a footer gives its name.
fn reason_flags(file: &dyn FsFile, path: &Path, len: u64) -> Result<SegmentFlags, StoreError> {
    let footer = ok(scan::footer(&mut Window::new(file, path), len))?.flatten();
    Ok(match footer.map(|f| f.last.reason) {
        Some(EndReason::CrashTail) => SegmentFlags::TORN,
        Some(EndReason::Damaged) => SegmentFlags::DAMAGED,
        _ => SegmentFlags::default(),
    })
}

/// Gives back what was reserved behind the end of a file that is never written to again. No byte changes. A node that
/// dies again and again would otherwise fill its disk with reservations that nobody can see.
fn release_reservation(file: &dyn FsFile, path: &Path, len: u64) {
    if let Err(error) = file.truncate(len) {
        tracing::warn!(file = %path.display(), %error, "the reservation behind a file's end stays");
    }
}

/// A free name in the quarantine for something out of `path`.
fn quarantine_name(fs: &dyn Fs, path: &Path, quarantine: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
    fs.create_dir_all(quarantine).map_err(StoreError::io("create directory", quarantine))?;
    // `<camera>_<stream>_<day>_<file name>`: the place it came from, readable without an index.
    let parts: Vec<_> = path.iter().rev().take(4).map(|p| p.to_string_lossy()).collect();
    let stem = parts.iter().rev().map(AsRef::as_ref).collect::<Vec<_>>().join("_");
    for n in 0..10_000u32 {
        let name = if n == 0 { format!("{stem}.{suffix}") } else { format!("{stem}.{n}.{suffix}") };
        let to = quarantine.join(name);
        match fs.metadata(&to) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(to),
            Err(e) => return Err(StoreError::io("look into quarantine", &to)(e)),
            Ok(_) => {}
        }
    }
    Err(StoreError::Invalid(format!("{}: no free name for {stem}", quarantine.display())))
}

fn quarantine_file(fs: &dyn Fs, path: &Path, quarantine: &Path) -> Result<PathBuf, StoreError> {
    let to = quarantine_name(fs, path, quarantine, "whole")?;
    fs.rename(path, &to).map_err(StoreError::io("move to quarantine", path))?;
    for dir in [Some(quarantine), path.parent()].into_iter().flatten() {
        fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
    }
    Ok(to)
}

fn quarantine_tail(
    fs: &dyn Fs,
    file: &dyn FsFile,
    path: &Path,
    quarantine: &Path,
    from: u64,
    len: u64,
) -> Result<PathBuf, StoreError> {
    let to = quarantine_name(fs, path, quarantine, &format!("{from}.tail"))?;
    let copy = fs.open(&to, OpenOptions::NEW).map_err(StoreError::io("create quarantine file", &to))?;
    let mut room = vec![0; 1 << 20];
    let mut at = from;
    while at < len {
        let n = file.read_at(at, &mut room).map_err(StoreError::io("read torn tail", path))?;
        if n == 0 {
            break;
        }
        let part = room.get(..n).unwrap_or_default();
        copy.write_at(at - from, part).map_err(StoreError::io("write quarantine file", &to))?;
        at += n as u64;
    }
    copy.sync_all().map_err(StoreError::io("sync quarantine file", &to))?;
    fs.sync_dir(quarantine).map_err(StoreError::io("sync directory", quarantine))?;
    Ok(to)
}
