//! A file system of names and lengths: fast enough for a million steps. Segment files have no contents; files below
//! `/data` have, and lose what was not synced in a crash. Removals that were not synced may come back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fs::{DirEntry, Fs, FsFile, Metadata, OpenOptions, Space};
use crate::volume::IDENTITY_FILE;

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Default)]
struct Disk {
    capacity: u64,
    used: u64,
    rival: u64,
    missing: bool,
}

#[derive(Debug, Default)]
struct State {
    segments: BTreeMap<PathBuf, u64>,
    files: BTreeMap<PathBuf, Arc<Mutex<Contents>>>,
    disks: BTreeMap<PathBuf, Disk>,
    /// Removed, and not yet durably so.
    limbo: Vec<(PathBuf, u64)>,
    /// Removed since somebody looked.
    removed: Vec<PathBuf>,
    /// Changing calls until the machine stops.
    countdown: Option<u64>,
    dead: bool,
    dice: u64,
}

#[derive(Debug, Clone, Default)]
pub struct LightFs(Arc<Mutex<State>>);

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl State {
    fn call(&mut self, changes: bool) -> io::Result<()> {
        if self.dead {
            return Err(eio());
        }
        if let Some(left) = self.countdown.as_mut().filter(|_| changes) {
            if *left == 0 {
                self.dead = true;
                return Err(eio());
            }
            *left -= 1;
        }
        Ok(())
    }
    fn disk(&mut self, path: &Path) -> Option<&mut Disk> {
        self.disks.iter_mut().find(|(root, _)| path.starts_with(root)).map(|(_, d)| d)
    }
    fn is_missing(&mut self, path: &Path) -> bool {
        self.disk(path).is_some_and(|d| d.missing)
    }
    fn coin(&mut self) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.dice >> 63 == 0
    }
}

impl LightFs {
    pub fn new(seed: u64, disks: &[(&str, u64)]) -> Self {
        let disk = |(root, capacity): &(&str, u64)| {
            (PathBuf::from(root), Disk { capacity: *capacity, ..Disk::default() })
        };
        let state = State { disks: disks.iter().map(disk).collect(), dice: seed, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }
    pub fn put(&self, path: PathBuf, len: u64) {
        let mut s = self.0.lock();
        s.disk(&path).unwrap().used += len;
        s.segments.insert(path, len);
    }
    pub fn has(&self, path: &Path) -> bool {
        self.0.lock().segments.contains_key(path)
    }
    pub fn free(&self, root: &Path) -> u64 {
        let mut s = self.0.lock();
        let d = s.disk(root).unwrap();
        d.capacity.saturating_sub(d.used + d.rival)
    }
    /// Bytes taken by files and by others.
    pub fn taken(&self, root: &Path) -> u64 {
        let mut s = self.0.lock();
        let d = s.disk(root).unwrap();
        d.used + d.rival
    }
    pub fn set_rival(&self, root: &Path, bytes: u64) {
        self.0.lock().disk(root).unwrap().rival = bytes;
    }
    pub fn set_capacity(&self, root: &Path, bytes: u64) {
        self.0.lock().disk(root).unwrap().capacity = bytes;
    }
    pub fn set_missing(&self, root: &Path, missing: bool) {
        self.0.lock().disk(root).unwrap().missing = missing;
    }
    pub fn removed(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0.lock().removed)
    }
    /// The machine stops at the changing call after this many more.
    pub fn die_after(&self, calls: u64) {
        self.0.lock().countdown = Some(calls);
    }
    /// The machine starts again; returns the files that came back.
    pub fn crash(&self) -> Vec<PathBuf> {
        let mut s = self.0.lock();
        s.dead = false;
        s.countdown = None;
        let mut back = Vec::new();
        for (path, len) in std::mem::take(&mut s.limbo) {
            if s.coin() {
                s.disk(&path).unwrap().used += len;
                s.segments.insert(path.clone(), len);
                back.push(path);
            }
        }
        let files: Vec<_> = s.files.values().cloned().collect();
        for file in files {
            let keep = s.coin();
            let mut file = file.lock();
            if !keep {
                let synced = file.synced;
                file.bytes.truncate(synced);
            }
            file.synced = file.bytes.len();
        }
        back
    }
}

impl Fs for LightFs {
    fn open(&self, path: &Path, o: OpenOptions) -> io::Result<Box<dyn FsFile>> {
        let mut s = self.0.lock();
        let exists = s.files.contains_key(path);
        s.call(o.create || o.create_new)?;
        if !exists && !o.create && !o.create_new {
            return Err(io::ErrorKind::NotFound.into());
        }
        let contents = s.files.entry(path.to_path_buf()).or_default().clone();
        Ok(Box::new(LightFile { fs: self.clone(), contents }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        s.call(true)?;
        let file = s.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        s.files.insert(to.to_path_buf(), file);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        s.call(true)?;
        if s.is_missing(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(len) = s.segments.remove(path) {
            s.disk(path).unwrap().used -= len;
            s.limbo.push((path.to_path_buf(), len));
            s.removed.push(path.to_path_buf());
            return Ok(());
        }
        s.files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        self.0.lock().call(true)
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        self.0.lock().call(true)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        s.call(true)?;
        s.limbo.retain(|(p, _)| p.parent() != Some(path));
        Ok(())
    }
    fn read_dir(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut s = self.0.lock();
        s.call(false)?;
        if s.is_missing(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let identity = path.file_name().is_some_and(|n| n == IDENTITY_FILE);
        let len = if identity { Some(1) } else { s.segments.get(path).copied() };
        len.map(|len| Metadata { len, is_dir: false }).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn sync_volume(&self, path: &Path) -> io::Result<()> {
        let mut s = self.0.lock();
        s.call(true)?;
        s.limbo.retain(|(p, _)| !p.starts_with(path));
        Ok(())
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        let mut s = self.0.lock();
        s.call(false)?;
        let d = s.disk(path).filter(|d| !d.missing).ok_or(io::ErrorKind::NotFound)?;
        Ok(Space {
            total: d.capacity,
            free: d.capacity.saturating_sub(d.used + d.rival),
            inodes_free: 1 << 20,
        })
    }
}

#[derive(Debug)]
struct LightFile {
    fs: LightFs,
    contents: Arc<Mutex<Contents>>,
}

impl FsFile for LightFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.fs.0.lock().call(true)?;
        let mut c = self.contents.lock();
        let end = offset as usize + bytes.len();
        if c.bytes.len() < end {
            c.bytes.resize(end, 0);
        }
        c.bytes[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.fs.0.lock().call(false)?;
        let c = self.contents.lock();
        let from = c.bytes.get(offset as usize..).unwrap_or_default();
        let n = from.len().min(out.len());
        out[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }
    fn allocate_keep_size(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.fs.0.lock().call(true)?;
        self.contents.lock().bytes.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.sync_all()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.fs.0.lock().call(true)?;
        let mut c = self.contents.lock();
        c.synced = c.bytes.len();
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.lock().bytes.len() as u64)
    }
}
