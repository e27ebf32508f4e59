//! What an archive is known to hold: an append-only log on the node's disk and packed rows in memory.
//!
//! ```text
//! file    magic "FENGSUI ARCHIVE 1\n" padded with zeros to 96 bytes, then records of 96 bytes
//! record  u8 kind (1 stored, 2 removed) | u8 stream | u8 flags | u8 zero | camera 20 | u64 number | u64 bytes | i64 start ms
//!         | u32 duration ms | i64 when it was acknowledged (us) | 32 BLAKE3 of the object | u32 crc32c of the 92 before
//! ```
//! All numbers little endian. A record is durable before its segment counts as archived. The log is derived from the
//! archive's own keys and can be made anew from them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, StreamKind, VolumeId};
use fengsui_config::limits;

use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};
use crate::segment::{Hash, SegmentFlags, SegmentRow};

const RECORD: usize = 96;
const MAGIC: &[u8] = b"FENGSUI ARCHIVE 1\n";
const STORED: u8 = 1;
const REMOVED: u8 = 2;
/// A log of which this many records, and half of all, tell of what is gone is written afresh when it is opened.
const REMOVED_KEPT_MAX: u64 = 10_000;

/// One segment that was stored and proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its stream.
    pub key: StreamKey,
    /// Its number.
    pub number: u64,
    /// Start in milliseconds since 1970.
    pub start_ms: i64,
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// Flags of its name.
    pub flags: SegmentFlags,
    /// Length of the object.
    pub bytes: u64,
    /// When it was acknowledged.
    pub at: UtcMicros,
    /// BLAKE3 of the whole object; zeros when it was not read whole.
    pub hash: Hash,
}

/// A row in memory: 24 bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Packed {
    start_ms: i64,
    number: u32,
    bytes: u32,
    duration_ms: u32,
    flags: u8,
}

const _: () =
    assert!(size_of::<Packed>() == 24, "a row of an archive takes 24 bytes, as one of the catalogue");

impl Packed {
    fn order(&self) -> (i64, u32) {
        (self.start_ms, self.number)
    }
    fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(i64::from(self.duration_ms))
    }
}

#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Packed>,
    longest_ms: u32,
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOpening {
    /// There was none.
    New,
    /// Every record holds.
    Clean,
    /// The last record was not whole; the bytes lie beside the log now.
    TornTail {
        /// How many.
        bytes: u64,
    },
    /// Records within do not hold and were passed over: the index should be made anew from the archive.
    Damaged {
        /// How many.
        records: u64,
    },
}

/// The index of one archive.
#[derive(Debug)]
pub struct ArchiveIndex {
    id: VolumeId,
    path: PathBuf,
    file: Box<dyn FsFile>,
    length: u64,
    streams: BTreeMap<StreamKey, Rows>,
    segments: u64,
    bytes: u64,
}

fn encode(kind: u8, s: &Stored) -> [u8; RECORD] {
    let mut out = Vec::with_capacity(RECORD);
    out.extend_from_slice(&[kind, u8::from(s.key.stream == StreamKind::Sub), s.flags.0, 0]);
    out.extend_from_slice(s.key.camera.0.as_str().as_bytes());
    out.extend_from_slice(&s.number.to_le_bytes());
    out.extend_from_slice(&s.bytes.to_le_bytes());
    out.extend_from_slice(&s.start_ms.to_le_bytes());
    out.extend_from_slice(&s.duration_ms.to_le_bytes());
    out.extend_from_slice(&s.at.0.to_le_bytes());
    out.extend_from_slice(&s.hash);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    let mut record = [0; RECORD];
    for (to, from) in record.iter_mut().zip(out) {
        *to = from;
    }
    record
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn decode(record: &[u8]) -> Option<(u8, Stored)> {
    let (body, crc) = record.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut b = body;
    let [kind, stream, flags, _] = take(&mut b)?;
    let camera = std::str::from_utf8(&take::<20>(&mut b)?).ok()?.parse().ok()?;
    let stream = if stream == 0 { StreamKind::Main } else { StreamKind::Sub };
    (kind == STORED || kind == REMOVED).then_some(())?;
    let stored = Stored {
        key: StreamKey { camera, stream },
        flags: SegmentFlags(flags),
        number: u64::from_le_bytes(take(&mut b)?),
        bytes: u64::from_le_bytes(take(&mut b)?),
        start_ms: i64::from_le_bytes(take(&mut b)?),
        duration_ms: u32::from_le_bytes(take(&mut b)?),
        at: UtcMicros(i64::from_le_bytes(take(&mut b)?)),
        hash: take(&mut b)?,
    };
    Some((kind, stored))
}

fn first_record() -> [u8; RECORD] {
    let mut out = [0; RECORD];
    for (to, from) in out.iter_mut().zip(MAGIC) {
        *to = *from;
    }
    out
}

impl ArchiveIndex {
    /// Opens `<dir>/<id>.log`, made when missing. A torn tail is put aside and cut off.
    pub fn open(
        fs: &dyn Fs,
        dir: &Path,
        id: VolumeId,
        now: UtcMicros,
    ) -> Result<(Self, IndexOpening), StoreError> {
        fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
        let path = dir.join(format!("{id}.log"));
        let bytes = match fs.read(&path, limits::ARCHIVE_INDEX_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(StoreError::io("read the archive's index", &path)(e)),
        };
        if bytes.len() < RECORD || !bytes.starts_with(&first_record()) {
            let opening = if bytes.is_empty() {
                IndexOpening::New
            } else {
                put_aside(fs, &path, &bytes, now)?;
                IndexOpening::TornTail { bytes: bytes.len() as u64 }
            };
            return Ok((Self::create(fs, dir, &path, id)?, opening));
        }
        let file =
            fs.open(&path, OpenOptions::WRITE).map_err(StoreError::io("open the archive's index", &path))?;
        let mut index = Self::empty(id, path, file, RECORD as u64);
        let (mut broken, mut removed) = (0, 0_u64);
        let mut good = RECORD;
        for (n, record) in (1usize..).zip(bytes.get(RECORD..).unwrap_or_default().chunks(RECORD)) {
            match decode(record) {
                Some((kind, stored)) => {
                    if kind == REMOVED {
                        removed += 1;
                        index.take_out(stored.key, stored.start_ms, stored.number);
                    } else {
                        index.insert(&stored);
                    }
                    good = (n + 1) * RECORD;
                }
                None => broken += 1,
            }
        }
        index.length = good as u64;
        let opening = if good == bytes.len() {
            if broken == 0 { IndexOpening::Clean } else { IndexOpening::Damaged { records: broken } }
        } else {
            let tail = bytes.get(good..).unwrap_or_default();
            put_aside(fs, &index.path, tail, now)?;
            let at = StoreError::io("cut the archive's index", &index.path);
            index.file.truncate(good as u64).and_then(|()| index.file.sync_all()).map_err(at)?;
            let torn = tail.len() as u64;
            broken -= torn.div_ceil(RECORD as u64);
            if broken == 0 {
                IndexOpening::TornTail { bytes: torn }
            } else {
                IndexOpening::Damaged { records: broken }
            }
        };
        if removed >= REMOVED_KEPT_MAX && removed >= index.segments && broken == 0 {
            index = index.afresh(fs, dir, bytes.get(..good).unwrap_or_default())?;
        }
        Ok((index, opening))
    }

    /// As [`Self::open`], and changes nothing: for reading beside a node that writes. None when there is no log.
    pub fn look(fs: &dyn Fs, dir: &Path, id: VolumeId) -> Result<Option<(Self, IndexOpening)>, StoreError> {
        let path = dir.join(format!("{id}.log"));
        let bytes = match fs.read(&path, limits::ARCHIVE_INDEX_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read the archive's index", &path)(e)),
        };
        let file =
            fs.open(&path, OpenOptions::READ).map_err(StoreError::io("open the archive's index", &path))?;
        let mut index = Self::empty(id, path, file, bytes.len() as u64);
        let length = bytes.len() as u64;
        if !bytes.starts_with(&first_record()) {
            let opening =
                if bytes.is_empty() { IndexOpening::New } else { IndexOpening::TornTail { bytes: length } };
            return Ok(Some((index, opening)));
        }
        // Records that do not hold at the end are what a crash leaves; those before one that holds are damage.
        let (mut broken, mut since) = (0, 0);
        for record in bytes.get(RECORD..).unwrap_or_default().chunks(RECORD) {
            match decode(record) {
                Some((kind, stored)) => {
                    if kind == STORED {
                        index.insert(&stored);
                    } else {
                        index.take_out(stored.key, stored.start_ms, stored.number);
                    }
                    (broken, since) = (broken + since, 0);
                }
                None => since += 1,
            }
        }
        let opening = match (broken, since) {
            (0, 0) => IndexOpening::Clean,
            (0, torn) => IndexOpening::TornTail { bytes: (torn * RECORD as u64).min(length) },
            (records, _) => IndexOpening::Damaged { records },
        };
        Ok(Some((index, opening)))
    }

    /// Writes the log anew with the records of what is there alone, and puts it in the place of the old one.
    fn afresh(self, fs: &dyn Fs, dir: &Path, log: &[u8]) -> Result<Self, StoreError> {
        let decoded = log.chunks(RECORD).skip(1).filter_map(decode);
        let here = decoded.filter(|(kind, s)| *kind == STORED && self.has(s.key, s.start_ms, s.number));
        let rows: Vec<Stored> = here.map(|(_, s)| s).collect();
        let aside = dir.join(format!("{}.log.new", self.id));
        let mut index = Self::create(fs, dir, &aside, self.id.clone())?;
        index.append(&rows)?;
        fs.rename(&aside, &self.path).map_err(StoreError::io("rename the archive's index", &aside))?;
        fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
        index.path = self.path;
        Ok(index)
    }

    fn empty(id: VolumeId, path: PathBuf, file: Box<dyn FsFile>, length: u64) -> Self {
        Self { id, path, file, length, streams: BTreeMap::new(), segments: 0, bytes: 0 }
    }

    fn create(fs: &dyn Fs, dir: &Path, path: &Path, id: VolumeId) -> Result<Self, StoreError> {
        let file =
            fs.open(path, OpenOptions::CREATE).map_err(StoreError::io("create the archive's index", path))?;
        let at = || StoreError::io("write the archive's index", path);
        file.truncate(0).map_err(at())?;
        file.write_at(0, &first_record()).map_err(at())?;
        file.sync_all().map_err(at())?;
        fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
        Ok(Self::empty(id, path.to_path_buf(), file, RECORD as u64))
    }

    /// Makes the index anew: `rows` and nothing else. The old log stays beside it.
    pub fn replace(
        fs: &dyn Fs,
        dir: &Path,
        id: VolumeId,
        rows: &[Stored],
        now: UtcMicros,
    ) -> Result<Self, StoreError> {
        let path = dir.join(format!("{id}.log"));
        let aside = dir.join(format!("{id}.log.new"));
        fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
        let mut index = Self::create(fs, dir, &aside, id)?;
        index.append(rows)?;
        match fs.read(&path, limits::ARCHIVE_INDEX_BYTES_MAX) {
            Ok(old) => put_aside(fs, &path, &old, now)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::io("read the archive's index", &path)(e)),
        }
        fs.rename(&aside, &path).map_err(StoreError::io("rename the archive's index", &path))?;
        fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
        index.path = path;
        Ok(index)
    }

    /// Writes rows down durably, then knows them. After a failure none of them counts, and the next attempt writes over
    /// what may have been written.
    pub fn append(&mut self, rows: &[Stored]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.write(rows.iter().flat_map(|r| encode(STORED, r)).collect())?;
        for row in rows {
            self.insert(row);
        }
        Ok(())
    }

    fn write(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let at = StoreError::io("write the archive's index", &self.path);
        self.file.write_at(self.length, &bytes).and_then(|()| self.file.sync_data()).map_err(at)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Writes down durably that these segments are no longer there, then forgets them. After a failure all of them
    /// count as before.
    pub fn remove(&mut self, rows: &[SegmentRow], at: UtcMicros) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let gone = |r: &SegmentRow| {
            let (key, number, start_ms) = (r.key, r.number, r.start_ms);
            let (duration_ms, flags, bytes) = (r.duration_ms, r.flags, r.bytes);
            encode(REMOVED, &Stored { key, number, start_ms, duration_ms, flags, bytes, at, hash: [0; 32] })
        };
        self.write(rows.iter().flat_map(gone).collect())?;
        for row in rows {
            self.take_out(row.key, row.start_ms, row.number);
        }
        Ok(())
    }

    fn take_out(&mut self, key: StreamKey, start_ms: i64, number: u64) {
        let Some(rows) = self.streams.get_mut(&key) else { return };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        if let Ok(at) = rows.rows.binary_search_by_key(&(start_ms, number), Packed::order) {
            let gone = rows.rows.remove(at);
            self.segments -= 1;
            self.bytes = self.bytes.saturating_sub(u64::from(gone.bytes));
        }
    }

    /// Streams with segments.
    #[must_use]
    pub fn keys(&self) -> Vec<StreamKey> {
        self.streams.iter().filter(|(_, rows)| !rows.rows.is_empty()).map(|(key, _)| *key).collect()
    }

    /// Every segment of a stream by start, when the first of them ends at `until_ms` or before; nothing otherwise.
    #[must_use]
    pub fn stream(&self, key: StreamKey, until_ms: i64) -> Vec<SegmentRow> {
        let rows = self.streams.get(&key).map(|s| s.rows.as_slice()).unwrap_or_default();
        if rows.first().is_none_or(|r| r.end_ms() > until_ms) {
            return Vec::new();
        }
        rows.iter().map(|r| self.row(key, r)).collect()
    }

    fn insert(&mut self, s: &Stored) {
        let row = Packed {
            start_ms: s.start_ms,
            // Both fit: the catalogue has the same bounds, and a segment has at most 512 MiB.
            number: u32::try_from(s.number).unwrap_or(u32::MAX),
            bytes: u32::try_from(s.bytes).unwrap_or(u32::MAX),
            duration_ms: s.duration_ms,
            flags: s.flags.0,
        };
        let rows = self.streams.entry(s.key).or_default();
        rows.longest_ms = rows.longest_ms.max(row.duration_ms);
        match rows.rows.binary_search_by_key(&row.order(), Packed::order) {
            Ok(at) => {
                if let Some(known) = rows.rows.get_mut(at) {
                    self.bytes = self.bytes.saturating_sub(u64::from(known.bytes)) + u64::from(row.bytes);
                    *known = row;
                }
            }
            Err(at) => {
                rows.rows.insert(at, row);
                self.segments += 1;
                self.bytes += u64::from(row.bytes);
            }
        }
    }

    /// Whether a segment is there.
    #[must_use]
    pub fn has(&self, key: StreamKey, start_ms: i64, number: u64) -> bool {
        let Ok(number) = u32::try_from(number) else { return false };
        let rows = self.streams.get(&key);
        rows.is_some_and(|r| r.rows.binary_search_by_key(&(start_ms, number), Packed::order).is_ok())
    }

    /// Segments that hold any of `from <= t <= to`, in order of start; their volume is the archive.
    #[must_use]
    pub fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        let Some(stream) = self.streams.get(&key) else { return Vec::new() };
        let (from_ms, to_ms) = (from.millis(), to.millis());
        let earliest = from_ms.saturating_sub(i64::from(stream.longest_ms) + 1);
        let first = stream.rows.partition_point(|r| r.start_ms < earliest);
        let rows = stream.rows.iter().skip(first).take_while(|r| r.start_ms <= to_ms);
        rows.filter(|r| r.end_ms() > from_ms).map(|r| self.row(key, r)).collect()
    }

    /// Every segment.
    pub fn all(&self) -> impl Iterator<Item = SegmentRow> {
        self.streams.iter().flat_map(|(key, rows)| rows.rows.iter().map(|r| self.row(*key, r)))
    }

    fn row(&self, key: StreamKey, r: &Packed) -> SegmentRow {
        SegmentRow {
            volume: self.id.clone(),
            key,
            number: u64::from(r.number),
            start_ms: r.start_ms,
            duration_ms: r.duration_ms,
            flags: SegmentFlags(r.flags),
            bytes: u64::from(r.bytes),
            closed: true,
        }
    }

    /// Start of the oldest and end of the newest segment of a stream.
    #[must_use]
    pub fn extent(&self, key: StreamKey) -> Option<(UtcMicros, UtcMicros)> {
        let rows = &self.streams.get(&key)?.rows;
        let last = rows.iter().rev().take(8).map(Packed::end_ms).max()?;
        let micros = |ms: i64| UtcMicros(ms.saturating_mul(1000));
        Some((micros(rows.first()?.start_ms), micros(last)))
    }

    /// Segments and their bytes.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.segments, self.bytes)
    }
}

/// Keeps bytes that are about to go from a log.
fn put_aside(fs: &dyn Fs, path: &Path, bytes: &[u8], now: UtcMicros) -> Result<(), StoreError> {
    let aside = path.with_extension(format!("log.old-{}", now.millis()));
    let file = fs.open(&aside, OpenOptions::CREATE).map_err(StoreError::io("create file", &aside))?;
    file.write_at(0, bytes).map_err(StoreError::io("write file", &aside))?;
    file.truncate(bytes.len() as u64).map_err(StoreError::io("cut file", &aside))?;
    file.sync_all().map_err(StoreError::io("sync file", &aside))
}
