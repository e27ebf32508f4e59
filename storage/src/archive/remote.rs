//! Objects as read-only files: what reads segments from a volume reads them from an archive, by ranges.
//!
//! Ranges are fetched in whole blocks and kept in a bounded cache. Blocks are not trusted: the reader of segments
//! checks every group that it serves. When one does not hold, [`Remote::forget`] drops the object's blocks, so that a
//! fault on the way does not stay.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_config::limits;
use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use super::store::{ArchiveError, ArchiveStore};
use crate::fs::{DirEntry, Fs, FsFile, Metadata, OpenOptions, Space};

const BLOCK: u64 = limits::ARCHIVE_BLOCK_BYTES;

/// Counters of reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RemoteStats {
    /// Requests for bytes.
    pub requests: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
    /// Blocks that were at hand.
    pub hits: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Bytes in the cache.
    pub cached_bytes: u64,
}

/// Blocks of objects, the least recently used ones dropped first.
#[derive(Debug, Default)]
struct Cache {
    uses: u64,
    bytes: usize,
    blocks: HashMap<(Arc<str>, u64), (Bytes, u64)>,
    by_use: BTreeMap<u64, (Arc<str>, u64)>,
}

impl Cache {
    fn get(&mut self, key: &Arc<str>, block: u64) -> Option<Bytes> {
        let place = (key.clone(), block);
        let (bytes, used) = self.blocks.get_mut(&place)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, place);
        Some(bytes.clone())
    }

    fn put(&mut self, key: &Arc<str>, block: u64, bytes: Bytes, max: usize) {
        self.drop_one(&(key.clone(), block));
        self.uses += 1;
        self.bytes += bytes.len();
        self.blocks.insert((key.clone(), block), (bytes, self.uses));
        self.by_use.insert(self.uses, (key.clone(), block));
        while self.bytes > max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.drop_one(&oldest);
        }
    }

    fn drop_one(&mut self, place: &(Arc<str>, u64)) {
        if let Some((bytes, used)) = self.blocks.remove(place) {
            self.bytes -= bytes.len();
            self.by_use.remove(&used);
        }
    }
}

#[derive(Debug, Default)]
struct Gate {
    busy: usize,
    /// Nobody asks before: the archive did not answer.
    rest_until: MonoMicros,
}

/// The objects of an archive as files, whose paths are their keys.
pub struct Remote {
    store: Arc<dyn ArchiveStore>,
    clock: Arc<dyn Clock>,
    cache: Mutex<Cache>,
    cache_max: usize,
    gate: Mutex<Gate>,
    free: Condvar,
    requests: AtomicU64,
    fetched: AtomicU64,
    hits: AtomicU64,
    failures: AtomicU64,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Remote {
    /// Reads `store`, keeping at most `cache_max` bytes.
    #[must_use]
    pub fn new(store: Arc<dyn ArchiveStore>, clock: Arc<dyn Clock>, cache_max: usize) -> Self {
        Self {
            store,
            clock,
            cache: Mutex::default(),
            cache_max,
            gate: Mutex::default(),
            free: Condvar::new(),
            requests: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Drops what is kept of an object: its bytes did not hold.
    pub fn forget(&self, key: &str) {
        let mut cache = self.cache.lock();
        let gone: Vec<_> = cache.blocks.keys().filter(|(k, _)| &**k == key).cloned().collect();
        for place in gone {
            cache.drop_one(&place);
        }
    }

    /// Counters.
    pub fn stats(&self) -> RemoteStats {
        let load = |c: &AtomicU64| c.load(Ordering::Relaxed);
        RemoteStats {
            requests: load(&self.requests),
            fetched_bytes: load(&self.fetched),
            hits: load(&self.hits),
            failures: load(&self.failures),
            cached_bytes: self.cache.lock().bytes as u64,
        }
    }

    /// Asks the store within the bounds: few at once, and not at all while it rests.
    fn ask<T>(&self, work: impl FnOnce() -> Result<T, ArchiveError>) -> io::Result<T> {
        let entered = self.clock.mono();
        let mut gate = self.gate.lock();
        loop {
            let now = self.clock.mono();
            if now < gate.rest_until {
                return Err(unreachable("it did not answer a moment ago"));
            }
            if gate.busy < limits::ARCHIVE_READS_MAX {
                break;
            }
            if now.since(entered) >= limits::ARCHIVE_TIMEOUT {
                return Err(unreachable("too many wait for it"));
            }
            self.free.wait_for(&mut gate, limits::ARCHIVE_TIMEOUT);
        }
        gate.busy += 1;
        drop(gate);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let done = work();
        let mut gate = self.gate.lock();
        gate.busy -= 1;
        if let Err(ArchiveError::Unreachable(_)) = &done {
            gate.rest_until = self.clock.mono() + limits::ARCHIVE_REST_AFTER_FAILURE;
        }
        drop(gate);
        self.free.notify_one();
        done.map_err(|error| {
            self.failures.fetch_add(1, Ordering::Relaxed);
            match error {
                ArchiveError::NotFound(what) => io::Error::new(io::ErrorKind::NotFound, what),
                ArchiveError::Wrong(what) => io::Error::new(io::ErrorKind::InvalidData, what),
                other => unreachable(&other.to_string()),
            }
        })
    }

    /// Blocks `first..=last` of an object of `len` bytes, each from the cache or fetched; neighbours in one request.
    fn blocks(&self, key: &Arc<str>, len: u64, first: u64, last: u64) -> io::Result<Vec<Bytes>> {
        let mut out: Vec<Option<Bytes>> = Vec::new();
        {
            let mut cache = self.cache.lock();
            out.extend((first..=last).map(|block| cache.get(key, block)));
        }
        self.hits.fetch_add(out.iter().flatten().count() as u64, Ordering::Relaxed);
        let mut at = 0;
        while let Some(missing) = out.iter().skip(at).position(Option::is_none).map(|n| at + n) {
            let run = out.iter().skip(missing).take_while(|b| b.is_none()).count();
            let from = (first + missing as u64) * BLOCK;
            let to = (from + run as u64 * BLOCK).min(len);
            let want = usize::try_from(to - from).map_err(|_| io::ErrorKind::InvalidInput)?;
            let bytes = self.ask(|| self.store.get(key, from, want))?;
            if bytes.len() != want {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "fewer bytes than asked for"));
            }
            self.fetched.fetch_add(want as u64, Ordering::Relaxed);
            let mut cache = self.cache.lock();
            for n in 0..run {
                let begin = n * usize::try_from(BLOCK).unwrap_or(usize::MAX);
                let end = (begin + usize::try_from(BLOCK).unwrap_or(usize::MAX)).min(bytes.len());
                // A copy of its own: a slice would keep the whole answer in memory.
                let block = Bytes::copy_from_slice(bytes.get(begin..end).unwrap_or_default());
                cache.put(key, first + (missing + n) as u64, block.clone(), self.cache_max);
                if let Some(place) = out.get_mut(missing + n) {
                    *place = Some(block);
                }
            }
            at = missing + run;
        }
        Ok(out.into_iter().flatten().collect())
    }
}

/// The error that means: the archive does not answer; later it may.
fn unreachable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::HostUnreachable, format!("the archive does not answer: {why}"))
}

/// An object as a file.
struct Object {
    remote: Arc<Remote>,
    key: Arc<str>,
    len: u64,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Object").field(&self.key).field(&self.len).finish()
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "objects are read here, not written"))
}

impl FsFile for Object {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let want = (out.len() as u64).min(self.len.saturating_sub(offset));
        if want == 0 {
            return Ok(0);
        }
        let (first, last) = (offset / BLOCK, (offset + want - 1) / BLOCK);
        let blocks = self.remote.blocks(&self.key, self.len, first, last)?;
        let mut skip = usize::try_from(offset % BLOCK).unwrap_or(0);
        let mut done = 0;
        for block in blocks {
            let part = block.get(skip..).unwrap_or_default();
            let Some(room) = out.get_mut(done..).filter(|r| !r.is_empty()) else { break };
            for (to, from) in room.iter_mut().zip(part) {
                *to = *from;
            }
            (done, skip) = (done + part.len().min(room.len()), 0);
        }
        Ok(done)
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        read_only()
    }
    fn allocate_keep_size(&self, _: u64) -> io::Result<()> {
        read_only()
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        read_only()
    }
    fn sync_data(&self) -> io::Result<()> {
        read_only()
    }
    fn sync_all(&self) -> io::Result<()> {
        read_only()
    }
}

/// [`Remote`] as a file system, for what takes one.
#[derive(Debug, Clone)]
pub(super) struct RemoteFs {
    pub remote: Arc<Remote>,
    /// Length of the object that is going to be opened, where it is known: saves a request.
    pub known: Option<u64>,
}

impl Fs for RemoteFs {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn FsFile>> {
        if options.write {
            return read_only();
        }
        let len = match self.known {
            Some(len) => len,
            None => self.metadata(path)?.len,
        };
        let key: Arc<str> = path.to_string_lossy().into();
        Ok(Box::new(Object { remote: self.remote.clone(), key, len }))
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let key = path.to_string_lossy();
        let len = self.remote.ask(|| self.remote.store.size(&key))?;
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, key.into_owned()))?;
        Ok(Metadata { len, is_dir: false })
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn read_dir(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn sync_volume(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
