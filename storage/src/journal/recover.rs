//! Opening a journal: finds the end, mends it, never deletes.

use std::io;
use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::JournalOpening;
use super::format::{ChainHash, Decoded, FILE_HEAD, FileHead, decode_head, decode_record, mend_head};
use super::writer::Tail;
use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions};

/// Where a journal stands.
#[derive(Debug)]
pub(super) struct Found {
    pub opening: JournalOpening,
    pub epoch: u64,
    pub last_seq: u64,
    pub last_hash: ChainHash,
    pub next_ordinal: u64,
    /// The file to go on with.
    pub tail: Option<Tail>,
}

/// The name of the n-th file.
pub(super) fn file_name(ordinal: u64) -> String {
    format!("{ordinal:010}.journal")
}

/// The journal files in a directory by ordinal.
pub(super) fn files(fs: &dyn Fs, dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let names = match fs.read_dir(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("list directory", dir)(e)),
    };
    let mut out: Vec<(u64, PathBuf)> = names
        .into_iter()
        .filter(|e| !e.is_dir)
        .filter_map(|e| Some((e.name.strip_suffix(".journal")?.parse().ok()?, dir.join(&e.name))))
        .collect();
    out.sort();
    Ok(out)
}

/// The bytes of a journal file. Group commits may carry a file a little beyond its bound.
pub(super) fn load(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, StoreError> {
    let max = limits::JOURNAL_FILE_BYTES_MAX
        + (limits::JOURNAL_GROUP_MAX * limits::JOURNAL_RECORD_BYTES_MAX) as u64;
    fs.read(path, 2 * max).map_err(StoreError::io("read journal file", path))
}

/// The head of a journal file; `None` when it does not hold.
pub(super) fn load_head(fs: &dyn Fs, path: &Path) -> Result<Option<FileHead>, StoreError> {
    let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open journal file", path))?;
    let mut bytes = [0; FILE_HEAD];
    match file.read_exact_at(0, &mut bytes) {
        Ok(()) => Ok(decode_head(&bytes).or_else(|| mend_head(&bytes))),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(StoreError::io("read journal file", path)(e)),
    }
}

/// What a scan of one file's records came to.
pub(super) struct Scan {
    pub last_seq: u64,
    pub last_hash: ChainHash,
    pub epoch: u64,
    /// Offset behind the last record that holds, chain included.
    pub valid: u64,
    /// Whole records lie behind the first place that does not hold.
    pub more_behind: bool,
}

/// Follows the records of a file as far as they hold.
pub(super) fn scan(bytes: &[u8], head: &FileHead) -> Scan {
    let mut out = Scan {
        last_seq: head.first.saturating_sub(1),
        last_hash: head.previous,
        epoch: 0,
        valid: FILE_HEAD as u64,
        more_behind: false,
    };
    let mut rest = bytes.get(FILE_HEAD..).unwrap_or_default();
    while let Decoded::Record(record, length) = decode_record(rest) {
        if record.seq != out.last_seq + 1 || record.previous != out.last_hash {
            break;
        }
        out.last_seq = record.seq;
        out.last_hash = record.hash;
        out.epoch = record.epoch;
        out.valid += length as u64;
        rest = rest.get(length..).unwrap_or_default();
    }
    // Records behind a place that does not hold are as good as those before it: what comes next continues them, or it
    // would take their numbers.
    while !rest.is_empty() {
        let step = match decode_record(rest) {
            Decoded::Record(record, length) => {
                out.more_behind = true;
                if record.seq > out.last_seq {
                    (out.last_seq, out.last_hash, out.epoch) = (record.seq, record.hash, record.epoch);
                }
                length
            }
            Decoded::Short | Decoded::Invalid => 1,
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    out
}

/// Finds the end of the journal in `dir` and makes it fit to be continued.
pub(super) fn open(fs: &dyn Fs, dir: &Path, now: UtcMicros) -> Result<Found, StoreError> {
    fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
    let files = files(fs, dir)?;
    let next_ordinal = files.last().map_or(1, |(n, _)| n + 1);
    let mut found = Found {
        opening: JournalOpening::New,
        epoch: 0,
        last_seq: 0,
        last_hash: [0; 32],
        next_ordinal,
        tail: None,
    };
    let mut headless = 0;
    for (_, path) in files.iter().rev() {
        let bytes = load(fs, path)?;
        let mended = mend_head(&bytes);
        let Some(head) = decode_head(&bytes).or(mended) else {
            // A crash while the file was being made; there is no record in it.
            headless += bytes.len() as u64;
            quarantine(fs, dir, path, &bytes, now)?;
            continue;
        };
        let scan = scan(&bytes, &head);
        found.last_seq = scan.last_seq;
        found.last_hash = scan.last_hash;
        found.epoch = found.epoch.max(scan.epoch);
        if scan.valid == FILE_HEAD as u64 {
            found.epoch = found.epoch.max(epoch_before(fs, &files, path)?);
        }
        found.opening = if mended.is_some() {
            JournalOpening::Damaged { file: path.clone(), at: 0 }
        } else {
            settle(fs, dir, path, &bytes, &scan, headless, now)?
        };
        if !matches!(found.opening, JournalOpening::Damaged { .. }) && headless == 0 {
            let file =
                fs.open(path, OpenOptions::WRITE).map_err(StoreError::io("open journal file", path))?;
            found.tail = Some(Tail { path: path.clone(), file, length: scan.valid });
        }
        break;
    }
    Ok(found)
}

/// Deals with what lies behind the last record that holds.
fn settle(
    fs: &dyn Fs,
    dir: &Path,
    path: &Path,
    bytes: &[u8],
    scan: &Scan,
    headless: u64,
    now: UtcMicros,
) -> Result<JournalOpening, StoreError> {
    let torn = bytes.len() as u64 - scan.valid;
    if torn == 0 {
        return Ok(if headless > 0 {
            JournalOpening::TornTail { bytes: headless }
        } else {
            JournalOpening::Clean
        });
    }
    if scan.more_behind {
        return Ok(JournalOpening::Damaged { file: path.to_path_buf(), at: scan.valid });
    }
    let tail = bytes.get(usize::try_from(scan.valid).unwrap_or(usize::MAX)..).unwrap_or_default();
    quarantine(fs, dir, path, tail, now)?;
    let file = fs.open(path, OpenOptions::WRITE).map_err(StoreError::io("open journal file", path))?;
    file.truncate(scan.valid).map_err(StoreError::io("truncate journal file", path))?;
    file.sync_all().map_err(StoreError::io("sync journal file", path))?;
    Ok(JournalOpening::TornTail { bytes: torn + headless })
}

/// The epoch of the newest record in the files before `path`.
fn epoch_before(fs: &dyn Fs, files: &[(u64, PathBuf)], path: &Path) -> Result<u64, StoreError> {
    for (_, earlier) in files.iter().rev().skip_while(|(_, p)| p != path).skip(1) {
        let bytes = load(fs, earlier)?;
        if let Some(head) = decode_head(&bytes) {
            let scan = scan(&bytes, &head);
            if scan.epoch > 0 {
                return Ok(scan.epoch);
            }
        }
    }
    Ok(0)
}

/// Keeps a copy of bytes that do not hold.
fn quarantine(fs: &dyn Fs, dir: &Path, path: &Path, bytes: &[u8], now: UtcMicros) -> Result<(), StoreError> {
    let place = dir.join("quarantine");
    fs.create_dir_all(&place).map_err(StoreError::io("create directory", &place))?;
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("journal");
    let copy = place.join(format!("{name}.{}", now.0));
    let file = fs.open(&copy, OpenOptions::CREATE).map_err(StoreError::io("create file", &copy))?;
    file.write_at(0, bytes).map_err(StoreError::io("write file", &copy))?;
    file.sync_all().map_err(StoreError::io("sync file", &copy))?;
    fs.sync_dir(&place).map_err(StoreError::io("sync directory", &place))
}
