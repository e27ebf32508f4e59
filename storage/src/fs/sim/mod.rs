//! A file system in memory that fails on command and forgets on a crash, as disks do. Deterministic: the same seed
//! and the same calls give the same bytes.
//!
//! Model (`tests/FAULTS.md` says how it compares with ext4 and XFS): each file has durable contents and a list of changes
//! since its last sync. [`SimFs::crash`] keeps, of each unsynced change, all of it, none of it, or some of its 512-byte
//! sectors, each chosen by the seed and regardless of the order in which they were written. Each change of names
//! (creation, rename, removal) is durable after [`Fs::sync_dir`] of its directory or [`Fs::sync_volume`]; before, a crash
//! keeps or drops it, each by itself and whole. A directory is durable once anything in it was synced. After a failed
//! sync the disk has some of what was unsynced while handles still read all of it; only handles that go past the page
//! cache ([`OpenOptions::direct`]) read what the disk has. Handles of before a crash or kill fail with `EIO`.

mod change;
mod file;
mod names;
mod states;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use change::{Change, Dice};

use file::SimFile;
use names::{NameChange, Names, settle};

use super::{DirEntry, Fs, FsFile, Metadata, OpenOptions, Space};

/// Calls kept in the log.
const LOG_MAX: usize = 1 << 20;
/// Size of a new disk; so large that nobody has to count.
const UNLIMITED: u64 = 1 << 40;

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
    /// The process is killed: this and every later call fails with `EIO` until [`SimFs::kill`]. A write under way may
    /// have come through in part.
    Kill,
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
    /// What handles read: through the page cache.
    current: Vec<u8>,
    unsynced: Vec<Change>,
    /// What the disk has, when a failed sync made that another thing than `current`: what was unsynced then does not
    /// become durable, whatever later syncs say.
    disk: Option<Vec<u8>>,
    reserved: usize,
}

impl Node {
    /// Bytes of the disk it takes.
    fn room(&self) -> usize {
        self.current.len().max(self.reserved)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        if let Some(disk) = &mut self.disk {
            change.apply(disk);
        }
        self.unsynced.push(change);
    }

    /// Makes everything durable that has not been lost to a failed sync before.
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
        }
        if let Some(disk) = &self.disk {
            self.durable.clone_from(disk);
        }
    }

    /// A sync that fails: some of what was unsynced reached the disk, and nothing will bring the rest there.
    fn fail_sync(&mut self, dice: &mut Dice) {
        if self.unsynced.is_empty() {
            return;
        }
        for change in std::mem::take(&mut self.unsynced) {
            change.torn(dice).iter().for_each(|c| c.apply(&mut self.durable));
        }
        // The length is the system's own knowledge; behind what arrived there are zeros.
        let mut disk = self.durable.clone();
        disk.resize(self.current.len(), 0);
        self.disk = Some(disk);
    }

    fn crash(&mut self, dice: &mut Dice) {
        for change in std::mem::take(&mut self.unsynced) {
            change.torn(dice).iter().for_each(|c| c.apply(&mut self.durable));
        }
        self.current.clone_from(&self.durable);
        self.disk = None;
        self.reserved = 0;
    }
}

type Shared = Arc<Mutex<Node>>;

#[derive(Debug, Default)]
struct World {
    files: Names,
    durable_files: Names,
    /// Changes of names that are not durable yet, in order.
    pending: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    durable_dirs: BTreeSet<PathBuf>,
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
        let root = BTreeSet::from([PathBuf::from("/")]);
        let world = World { capacity: UNLIMITED, dirs: root.clone(), durable_dirs: root, ..World::default() };
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

    /// Whether a fault stopped the machine or killed the process.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.world.lock().dead
    }

    /// The machine stops here: every later call fails with `EIO` until [`Self::crash`] or [`Self::kill`].
    pub fn halt(&self) {
        self.world.lock().dead = true;
    }

    /// The process ends and another begins: everything written stays as it is, synced or not.
    pub fn kill(&self) {
        let mut world = self.world.lock();
        world.dead = false;
        world.life += 1;
    }

    /// The machine stops and starts again: unsynced changes are kept, torn or dropped by the seed.
    pub fn crash(&self) {
        let mut dice = self.dice.lock();
        let mut guard = self.world.lock();
        let world = &mut *guard;
        world.dead = false;
        world.life += 1;
        let mut kept = std::mem::take(&mut world.durable_files);
        for change in std::mem::take(&mut world.pending) {
            if dice.below(2) == 0 {
                change.apply(&mut kept);
            }
        }
        let mut dirs = std::mem::take(&mut world.dirs);
        dirs.retain(|dir| world.durable_dirs.contains(dir) || dice.below(2) == 0);
        kept.keys().filter_map(|p| p.parent()).for_each(|dir| add_dirs(&mut dirs, dir));
        for dir in dirs.clone() {
            add_dirs(&mut dirs, &dir);
        }
        kept.values().for_each(|node| node.lock().crash(&mut dice));
        world.durable_dirs.clone_from(&dirs);
        world.dirs = dirs;
        world.durable_files.clone_from(&kept);
        world.files = kept;
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let node = Node { durable: bytes.clone(), current: bytes, ..Node::default() };
        let node = Arc::new(Mutex::new(node));
        let mut world = self.world.lock();
        if let Some(dir) = path.parent() {
            world.add_durable_dirs(dir);
        }
        // What was pending for this name is over.
        let World { durable_files, pending, .. } = &mut *world;
        settle(durable_files, pending, |p| p == path);
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

    fn add_durable_dirs<'a>(&self, dirs: impl Iterator<Item = &'a PathBuf>) {
        let mut world = self.world.lock();
        dirs.for_each(|dir| world.add_durable_dirs(dir));
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
            Fault::PowerCut | Fault::Kill => {
                self.dead = true;
                // The call that was under way may have come through in part: let the caller apply it as unsynced.
                if op == Operation::Write { Ok(Some(fault)) } else { Err(eio()) }
            }
            Fault::ShortWrite if op == Operation::Write => Ok(Some(Fault::ShortWrite)),
            Fault::NoSpace | Fault::ShortWrite => Err(enospc()),
            Fault::Io if op == Operation::SyncFile || op == Operation::SyncVolume => Ok(Some(Fault::Io)),
            Fault::Io => Err(eio()),
        }
    }

    fn add_durable_dirs(&mut self, dir: &Path) {
        add_dirs(&mut self.dirs, dir);
        add_dirs(&mut self.durable_dirs, dir);
    }

    /// Whether the disk has no room for so many bytes more.
    fn is_full(&self, grows: usize) -> bool {
        grows > 0 && self.capacity < UNLIMITED && self.used() + grows as u64 > self.capacity
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
        if creating && !exists {
            world.pending.push(NameChange::Link { path: path.to_path_buf(), node: node.clone() });
        }
        let life = world.life;
        drop(world);
        Ok(Box::new(SimFile::new(self.clone(), path.to_path_buf(), node, life, o)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::Rename, from)?;
        if !world.files.contains_key(from) || !to.parent().is_some_and(|d| world.dirs.contains(d)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Rename { from: from.to_path_buf(), to: to.to_path_buf() };
        change.apply(&mut world.files);
        world.pending.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::Remove, path)?;
        if world.files.remove(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.pending.push(NameChange::Unlink { path: path.to_path_buf() });
        Ok(())
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
        world.durable_dirs.remove(path);
        if world.dirs.remove(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        world.call(Operation::SyncDir, path)?;
        let World { durable_files, pending, .. } = &mut *world;
        settle(durable_files, pending, |p| p.parent() == Some(path));
        world.add_durable_dirs(path);
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
        let below: Vec<_> =
            world.files.iter().filter(|(p, _)| p.starts_with(path)).map(|(_, n)| n.clone()).collect();
        if fault.is_some() {
            drop(world);
            let mut dice = self.dice.lock();
            below.iter().for_each(|node| node.lock().fail_sync(&mut dice));
            return Err(eio());
        }
        below.iter().for_each(|node| node.lock().sync());
        let World { durable_files, pending, dirs, durable_dirs, .. } = &mut *world;
        settle(durable_files, pending, |p| p.starts_with(path));
        durable_dirs.extend(dirs.iter().filter(|d| d.starts_with(path)).cloned());
        world.add_durable_dirs(path);
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let mut world = self.world.lock();
        world.call(Operation::Look, path)?;
        let free = world.capacity.saturating_sub(world.used());
        Ok(Space { total: world.capacity, free, inodes_free: 1 << 20 })
    }
}
