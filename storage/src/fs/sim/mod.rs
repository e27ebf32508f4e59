//! A file system in memory that fails on command and forgets on a crash, as disks do. Deterministic: the same seed
//! and the same calls give the same bytes.
//!
//! Model: each file has durable contents and a list of changes since its last sync. [`SimFs::crash`] keeps, of each
//! unsynced change, all of it, none of it, or some of its 512-byte sectors, each chosen by the seed and regardless of
//! the order in which they were written. Names are durable at once after [`Fs::sync_dir`] or [`Fs::sync_volume`]
//! (a rename or creation not yet synced may be undone by a crash). Handles of before a crash fail with `EIO`.

mod change;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use change::{Change, Dice};

use super::{DirEntry, Fs, FsFile, Metadata, OpenOptions, Space};

/// Calls kept in the log.
const LOG_MAX: usize = 1 << 20;

/// A kind of call, for counting and for faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Opening an existing file.
    Open,
    /// Creating a file.
    Create,
    /// Writing.
    Write,
    /// Reading.
    Read,
    /// Reserving room.
    Allocate,
    /// Setting the length.
    Truncate,
    /// `fsync`, `fdatasync`.
    SyncFile,
    /// Syncing a directory.
    SyncDir,
    /// `syncfs`.
    SyncVolume,
    /// Renaming.
    Rename,
    /// Removing a file or directory.
    Remove,
    /// Creating directories.
    CreateDir,
    /// Listing a directory, asking for metadata or room.
    Look,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`. A failed sync leaves the changes unsynced for ever, as Linux does.
    Io,
    /// `ENOSPC`.
    NoSpace,
    /// Half of the bytes are written, then `ENOSPC`.
    ShortWrite,
    /// The machine stops: this and every later call fails with `EIO` until [`SimFs::crash`].
    PowerCut,
}

/// A fault by count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultPlan {
    /// Counts calls of this kind alone; all changing calls when none.
    pub operation: Option<Operation>,
    /// Counts calls on paths below this one alone.
    pub below: Option<PathBuf>,
    /// How many such calls succeed first.
    pub after: u64,
    /// How many fail then; `u64::MAX` for ever.
    pub times: u64,
    /// How they fail.
    pub fault: Fault,
}

/// Counts of calls so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimStats {
    /// Calls by kind.
    pub calls: BTreeMap<Operation, u64>,
    /// Bytes written.
    pub bytes_written: u64,
    /// Faults given.
    pub faults: u64,
}

impl SimStats {
    /// Calls that change something (all but open, read and look).
    #[must_use]
    pub fn changing(&self) -> u64 {
        self.calls.iter().filter(|(op, _)| changes(**op)).map(|(_, n)| n).sum()
    }
}

fn changes(op: Operation) -> bool {
    !matches!(op, Operation::Open | Operation::Read | Operation::Look)
}

#[derive(Debug, Default)]
struct Node {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Change>,
    /// A sync failed: what was unsynced then is lost at the next crash, whatever later syncs say.
    lost: bool,
    reserved: usize,
}

impl Node {
    /// Bytes of the disk it takes.
    fn room(&self) -> usize {
        self.current.len().max(self.reserved)
    }
}

type Shared = Arc<Mutex<Node>>;

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<PathBuf, Shared>,
    durable_files: BTreeMap<PathBuf, Shared>,
    dirs: BTreeSet<PathBuf>,
    plans: Vec<FaultPlan>,
    stats: SimStats,
    dead: bool,
    life: u64,
    capacity: u64,
    log: Vec<(Operation, PathBuf)>,
}

/// The simulated file system. Clones share one world.
#[derive(Debug, Clone)]
pub struct SimFs {
    world: Arc<Mutex<World>>,
    dice: Arc<Mutex<Dice>>,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}
fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl SimFs {
    /// An empty world. The seed decides what crashes leave.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world =
            World { capacity: 1 << 40, dirs: BTreeSet::from([PathBuf::from("/")]), ..World::default() };
        Self { world: Arc::new(Mutex::new(world)), dice: Arc::new(Mutex::new(Dice(seed))) }
    }

    /// Adds a fault.
    pub fn plan(&self, plan: FaultPlan) {
        self.world.lock().plans.push(plan);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.world.lock().plans.clear();
    }

    /// Sets the size of the disk in bytes.
    pub fn set_capacity(&self, bytes: u64) {
        self.world.lock().capacity = bytes;
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        self.world.lock().stats.clone()
    }

    /// The first million calls, in order.
    #[must_use]
    pub fn log(&self) -> Vec<(Operation, PathBuf)> {
        self.world.lock().log.clone()
    }

    /// The machine stops and starts again: unsynced changes are kept, torn or dropped by the seed.
    pub fn crash(&self) {
        let mut dice = self.dice.lock();
        let mut world = self.world.lock();
        world.dead = false;
        world.life += 1;
        let now: BTreeSet<PathBuf> = world.files.keys().chain(world.durable_files.keys()).cloned().collect();
        let mut kept = BTreeMap::new();
        for path in now {
            let (current, durable) = (world.files.get(&path), world.durable_files.get(&path));
            let same = matches!((current, durable), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
            let survivor = if same || dice.below(2) == 0 { current } else { durable };
            if let Some(node) = survivor {
                kept.insert(path, node.clone());
            }
        }
        // A file whose rename was undone for one name and done for the other would have two names or none: one
        // name is what a journalling file system leaves.
        let mut seen: Vec<Shared> = Vec::new();
        for (path, node) in &world.durable_files {
            if !kept.values().any(|k| Arc::ptr_eq(k, node)) && !kept.contains_key(path) {
                kept.insert(path.clone(), node.clone());
            }
        }
        kept.retain(|_, node| {
            let first = !seen.iter().any(|s| Arc::ptr_eq(s, node));
            seen.push(node.clone());
            first
        });
        for node in kept.values() {
            let mut node = node.lock();
            let mut bytes = std::mem::take(&mut node.durable);
            for change in std::mem::take(&mut node.unsynced) {
                change.torn(&mut dice).iter().for_each(|c| c.apply(&mut bytes));
            }
            node.durable.clone_from(&bytes);
            node.current = bytes;
            node.lost = false;
            node.reserved = 0;
        }
        world.durable_files.clone_from(&kept);
        world.files = kept;
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let node = Node { durable: bytes.clone(), current: bytes, ..Node::default() };
        let node = Arc::new(Mutex::new(node));
        let mut world = self.world.lock();
        if let Some(dir) = path.parent() {
            add_dirs(&mut world.dirs, dir);
        }
        world.files.insert(path.to_path_buf(), node.clone());
        world.durable_files.insert(path.to_path_buf(), node);
    }

    /// The current contents of a file.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        self.world.lock().files.get(path).map(|n| n.lock().current.clone())
    }

    /// All files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.world.lock().files.keys().cloned().collect()
    }

    fn call(&self, op: Operation, path: &Path) -> io::Result<Option<Fault>> {
        self.world.lock().call(op, path)
    }
}

fn add_dirs(dirs: &mut BTreeSet<PathBuf>, dir: &Path) {
    for d in dir.ancestors() {
        dirs.insert(d.to_path_buf());
    }
}

impl World {
    /// Counts a call and says whether it fails.
    fn call(&mut self, op: Operation, path: &Path) -> io::Result<Option<Fault>> {
        if self.dead {
            return Err(eio());
        }
        *self.stats.calls.entry(op).or_default() += 1;
        if self.log.len() < LOG_MAX {
            self.log.push((op, path.to_path_buf()));
        }
        let mut given = None;
        for plan in &mut self.plans {
            let counts = plan.operation.map_or(changes(op), |o| o == op)
                && plan.below.as_ref().is_none_or(|b| path.starts_with(b));
            if !counts {
                continue;
            }
            if plan.after > 0 {
                plan.after -= 1;
            } else if plan.times > 0 && given.is_none() {
                plan.times = if plan.times == u64::MAX { u64::MAX } else { plan.times - 1 };
                given = Some(plan.fault);
            }
        }
        let Some(fault) = given else { return Ok(None) };
        self.stats.faults += 1;
        match fault {
            Fault::PowerCut => {
                self.dead = true;
                // The call that was under way may have come through in part: let the caller apply it as unsynced.
                if op == Operation::Write { Ok(Some(Fault::PowerCut)) } else { Err(eio()) }
            }
            Fault::ShortWrite if op == Operation::Write => Ok(Some(Fault::ShortWrite)),
            Fault::NoSpace | Fault::ShortWrite => Err(enospc()),
            Fault::Io if op == Operation::SyncFile || op == Operation::SyncVolume => Ok(Some(Fault::Io)),
            Fault::Io => Err(eio()),
        }
    }

    fn used(&self) -> u64 {
        self.files.values().map(|n| n.lock().room() as u64).sum()
    }
}

impl Fs for SimFs {
    fn open(&self, path: &Path, o: OpenOptions) -> io::Result<Box<dyn FsFile>> {
        let mut world = self.world.lock();
        let exists = world.files.contains_key(path);
        let creating = o.create_new || (o.create && !exists);
        world.call(if creating { Operation::Create } else { Operation::Open }, path)?;
        if o.create_new && exists {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !exists && !creating {
            return Err(io::ErrorKind::NotFound.into());
        }
        if creating && !path.parent().is_some_and(|d| world.dirs.contains(d)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let node = world.files.entry(path.to_path_buf()).or_default().clone();
        let life = world.life;
        drop(world);
        Ok(Box::new(SimFile { fs: self.clone(), path: path.to_path_buf(), node, life, write: o.write }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::Rename, from)?;
        let node = world.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.files.insert(to.to_path_buf(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::Remove, path)?;
        world.files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::CreateDir, path)?;
        add_dirs(&mut world.dirs, path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::Remove, path)?;
        let inside = |p: &PathBuf| p.parent() == Some(path);
        if world.files.keys().any(inside) || world.dirs.iter().any(inside) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if world.dirs.remove(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::SyncDir, path)?;
        world.durable_files.retain(|p, _| p.parent() != Some(path));
        let now: Vec<_> = world
            .files
            .iter()
            .filter(|(p, _)| p.parent() == Some(path))
            .map(|(p, n)| (p.clone(), n.clone()))
            .collect();
        world.durable_files.extend(now);
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut world = self.world.lock();
        world.call(Operation::Look, path)?;
        if !world.dirs.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let entry = |p: &PathBuf, is_dir| {
            let name = p.file_name().filter(|_| p.parent() == Some(path))?;
            Some(DirEntry { name: name.to_string_lossy().into_owned(), is_dir })
        };
        let mut out: Vec<_> = world.files.keys().filter_map(|p| entry(p, false)).collect();
        out.extend(world.dirs.iter().filter_map(|p| entry(p, true)));
        out.sort();
        Ok(out)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut world = self.world.lock();
        world.call(Operation::Look, path)?;
        if let Some(node) = world.files.get(path) {
            return Ok(Metadata { len: node.lock().current.len() as u64, is_dir: false });
        }
        if world.dirs.contains(path) {
            return Ok(Metadata { len: 0, is_dir: true });
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn sync_volume(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        let fault = world.call(Operation::SyncVolume, path)?;
        let below: Vec<_> = world
            .files
            .iter()
            .filter(|(p, _)| p.starts_with(path))
            .map(|(p, n)| (p.clone(), n.clone()))
            .collect();
        for (_, node) in &below {
            sync(&mut node.lock(), fault.is_some());
        }
        if fault.is_some() {
            return Err(eio());
        }
        world.durable_files.retain(|p, _| !p.starts_with(path));
        world.durable_files.extend(below);
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let mut world = self.world.lock();
        world.call(Operation::Look, path)?;
        let free = world.capacity.saturating_sub(world.used());
        Ok(Space { total: world.capacity, free, inodes_free: 1 << 20 })
    }
}

/// Makes a node durable, or marks what is unsynced as lost for good.
fn sync(node: &mut Node, fails: bool) {
    if fails {
        node.lost = !node.unsynced.is_empty() || node.lost;
        node.unsynced.clear();
    } else if node.lost {
        // The kernel has forgotten those pages: later syncs succeed and do not bring them back.
        for change in std::mem::take(&mut node.unsynced) {
            change.apply(&mut node.durable);
        }
    } else {
        node.unsynced.clear();
        let current = node.current.clone();
        node.durable = current;
    }
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    path: PathBuf,
    node: Shared,
    life: u64,
    write: bool,
}

impl SimFile {
    fn call(&self, op: Operation) -> io::Result<Option<Fault>> {
        if self.fs.world.lock().life != self.life {
            return Err(eio());
        }
        if changes(op) && !self.write {
            return Err(io::Error::from_raw_os_error(9));
        }
        self.fs.call(op, &self.path)
    }

    fn change(&self, change: Change) {
        let mut node = self.node.lock();
        change.apply(&mut node.current);
        node.unsynced.push(change);
    }
}

fn size(n: u64) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl FsFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.call(Operation::Write)?;
        let at = size(offset)?;
        let take = if fault == Some(Fault::ShortWrite) { bytes.len() / 2 } else { bytes.len() };
        let grows = (at + take).saturating_sub(self.node.lock().room());
        {
            let world = self.fs.world.lock();
            if grows > 0 && world.used() + grows as u64 > world.capacity {
                return Err(enospc());
            }
        }
        self.fs.world.lock().stats.bytes_written += take as u64;
        self.change(Change::Write { at, bytes: bytes.get(..take).unwrap_or_default().to_vec() });
        match fault {
            None => Ok(()),
            Some(Fault::PowerCut) => Err(eio()),
            Some(_) => Err(enospc()),
        }
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.call(Operation::Read)?;
        let node = self.node.lock();
        let from = node.current.get(size(offset)?..).unwrap_or_default();
        let n = from.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn allocate_keep_size(&self, len: u64) -> io::Result<()> {
        self.call(Operation::Allocate)?;
        let len = size(len)?;
        let grows = len.saturating_sub(self.node.lock().room());
        let world = self.fs.world.lock();
        if world.used() + grows as u64 > world.capacity {
            return Err(enospc());
        }
        drop(world);
        let mut node = self.node.lock();
        node.reserved = node.reserved.max(len);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.call(Operation::Truncate)?;
        let len = size(len)?;
        self.change(Change::Len(len));
        self.node.lock().reserved = 0;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        let fault = self.call(Operation::SyncFile)?;
        sync(&mut self.node.lock(), fault.is_some());
        if fault.is_some() { Err(eio()) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        self.call(Operation::Look)?;
        Ok(self.node.lock().current.len() as u64)
    }
}
