//! Opening a journal: finds the end, mends it, never deletes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

use super::format::{ChainHash, Decoded, FILE_HEAD, FileHead, decode_head, decode_record, mend_head};
use super::head::{self, HEAD_FILE, HeadFound, JournalHead};
use super::read::JournalIter;
use super::writer::Tail;
use super::{JournalOpening, checkpoint};
use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions};

/// Where a journal stands.
#[derive(Debug)]
pub(super) struct Found {
    pub opening: JournalOpening,
    pub epoch: u64,
    pub last_seq: u64,
    pub last_hash: ChainHash,
    /// Time of the newest record.
    pub last_at: Option<UtcMicros>,
    /// There is no head that holds.
    pub head_lost: bool,
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
    fs.read(path, 2 * file_bytes_max()).map_err(StoreError::io("read journal file", path))
}

/// The same as the disk has them: after a failed sync the page cache may remember records that are nowhere else, and
/// nothing must be chained to those.
fn load_from_disk(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, StoreError> {
    fs.read_disk(path, 2 * file_bytes_max()).map_err(StoreError::io("read journal file", path))
}

fn file_bytes_max() -> u64 {
    limits::JOURNAL_FILE_BYTES_MAX + (limits::JOURNAL_GROUP_MAX * limits::JOURNAL_RECORD_BYTES_MAX) as u64
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
    /// Times of the first and the last record.
    pub first_at: Option<UtcMicros>,
    pub last_at: Option<UtcMicros>,
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
        first_at: None,
        last_at: None,
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
        out.first_at.get_or_insert(record.at);
        out.last_at = Some(record.at);
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
pub(super) fn open(shared: &Arc<dyn Fs>, dir: &Path, now: UtcMicros) -> Result<Found, StoreError> {
    let fs = &**shared;
    fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
    let files = files(fs, dir)?;
    let vouched = vouched(fs, dir, now)?;
    let mut found = Found {
        opening: JournalOpening::New,
        epoch: 0,
        last_seq: 0,
        last_hash: [0; 32],
        last_at: None,
        head_lost: !matches!(head::read(fs, &dir.join(HEAD_FILE))?, HeadFound::Good(..)),
        next_ordinal: files.last().map_or(1, |(n, _)| n + 1),
        tail: None,
    };
    let mut headless = 0;
    for (_, path) in files.iter().rev() {
        let bytes = load_from_disk(fs, path)?;
        let mended = mend_head(&bytes);
        let Some(head) = decode_head(&bytes).or(mended) else {
            headless += bytes.len() as u64;
            if bytes.len() <= FILE_HEAD {
                // A crash while the file was being made; there is no record in it.
                set_aside(fs, dir, path, now)?;
            } else {
                quarantine(fs, dir, path, &bytes, now)?;
            }
            continue;
        };
        let scan = scan(&bytes, &head);
        found.last_seq = scan.last_seq;
        found.last_hash = scan.last_hash;
        found.last_at = scan.last_at;
        found.epoch = found.epoch.max(scan.epoch);
        if scan.valid == FILE_HEAD as u64 {
            found.epoch = found.epoch.max(epoch_before(fs, &files, path)?);
        }
        if vouched.as_ref().is_some_and(|h| h.seq > scan.last_seq) {
            // Not torn: bytes that were durable are gone or changed. They stay as they are.
            let at = scan.valid;
            let damaged = || JournalOpening::Damaged { file: path.clone(), at };
            found.opening = if scan.more_behind { damaged() } else { JournalOpening::Clean };
            break;
        }
        found.opening = if mended.is_some() {
            JournalOpening::Damaged { file: path.clone(), at: 0 }
        } else {
            settle(fs, dir, path, &bytes, &scan, headless, now)?
        };
        if !matches!(found.opening, JournalOpening::Damaged { .. }) && headless == 0 {
            let file =
                fs.open(path, OpenOptions::WRITE).map_err(StoreError::io("open journal file", path))?;
            let begun = scan.first_at.unwrap_or(now);
            found.tail = Some(Tail { path: path.clone(), file, length: scan.valid, begun });
        }
        break;
    }
    if let Some(head) = vouched {
        compare(shared, dir, &head, &mut found, now)?;
    }
    Ok(found)
}

/// The head, and failing that the newest checkpoint: what is known from outside the files. A head that does not hold is
/// kept in `quarantine`.
fn vouched(fs: &dyn Fs, dir: &Path, now: UtcMicros) -> Result<Option<JournalHead>, StoreError> {
    let path = dir.join(HEAD_FILE);
    match head::read(fs, &path)? {
        HeadFound::Good(_, head) => return Ok(Some(head)),
        HeadFound::Missing => {}
        HeadFound::Invalid(why) => {
            tracing::error!(path = %path.display(), "the head of the journal does not hold: {why}");
            match fs.read(&path, 1 << 20) {
                Ok(bytes) => quarantine(fs, dir, &path, &bytes, now)?,
                // Something else in its place.
                Err(e) if e.kind() == io::ErrorKind::FileTooLarge => set_aside(fs, dir, &path, now)?,
                Err(e) => return Err(StoreError::io("read file", &path)(e)),
            }
        }
    }
    let (checkpoint, _) = checkpoint::newest(fs, dir)?;
    Ok(checkpoint.map(|c| JournalHead {
        node: c.head.node,
        epoch: 0,
        seq: c.head.seq,
        hash: c.head.hash,
        at_us: c.head.at_us,
    }))
}

/// Holds what was found in the files against what the head vouches for.
fn compare(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    head: &JournalHead,
    found: &mut Found,
    now: UtcMicros,
) -> Result<(), StoreError> {
    found.epoch = found.epoch.max(head.epoch);
    if head.seq > found.last_seq {
        if !matches!(found.opening, JournalOpening::Damaged { .. }) {
            found.opening = JournalOpening::Cut { last_seq: found.last_seq, head_seq: head.seq };
        }
        // The numbers of what is gone are never given again, and the chain goes on from the hash that is known.
        found.last_seq = head.seq;
        found.last_hash = head.chain_hash();
        found.tail = None;
        return Ok(());
    }
    let record = JournalIter::open(fs.clone(), dir, head.seq, head.seq)?.next().transpose()?;
    // A record that cannot be read is for the check of the whole journal to report; another one in its place is not.
    if record.is_some_and(|r| r.seq == head.seq && r.hash != head.chain_hash()) {
        found.opening = JournalOpening::Rewritten { head_seq: head.seq };
        let path = dir.join(HEAD_FILE);
        let bytes = fs.read(&path, 1 << 20).map_err(StoreError::io("read file", &path))?;
        quarantine(&**fs, dir, &path, &bytes, now)?;
    }
    Ok(())
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

/// Moves a file without a record out of the way of those that have some.
fn set_aside(fs: &dyn Fs, dir: &Path, path: &Path, now: UtcMicros) -> Result<(), StoreError> {
    let place = dir.join("quarantine");
    fs.create_dir_all(&place).map_err(StoreError::io("create directory", &place))?;
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("journal");
    let names = (0..1000).map(|n| place.join(format!("{name}.{}", now.0.saturating_add(n))));
    let to = names.into_iter().find(|to| fs.metadata(to).is_err());
    let to =
        to.ok_or_else(|| StoreError::Invalid(format!("{}: no free name for {name}", place.display())))?;
    fs.rename(path, &to).map_err(StoreError::io("move to quarantine", path))?;
    fs.sync_dir(&place).map_err(StoreError::io("sync directory", &place))?;
    fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))
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
