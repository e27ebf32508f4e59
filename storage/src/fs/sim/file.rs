//! An open file of the simulated file system.

use std::io;
use std::path::PathBuf;

use super::change::Change;
use super::{Fault, Operation, Shared, SimFs, changes, eio, enospc};
use crate::fs::{FsFile, OpenOptions};

#[derive(Debug)]
pub(super) struct SimFile {
    fs: SimFs,
    path: PathBuf,
    node: Shared,
    life: u64,
    write: bool,
    direct: bool,
}

impl SimFile {
    pub(super) fn new(fs: SimFs, path: PathBuf, node: Shared, life: u64, options: OpenOptions) -> Self {
        Self { fs, path, node, life, write: options.write, direct: options.direct }
    }

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
        self.node.lock().change(change);
    }
}

fn size(n: u64) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl FsFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.call(Operation::Write)?;
        let at = size(offset)?;
        let take = match fault {
            Some(Fault::ShortWrite) => bytes.len() / 2,
            Some(Fault::Kill) => size(self.fs.dice.lock().below(bytes.len() as u64 + 1))?,
            _ => bytes.len(),
        };
        let grows = (at + take).saturating_sub(self.node.lock().room());
        {
            let mut world = self.fs.world.lock();
            if world.is_full(grows) {
                return Err(enospc());
            }
            world.stats.bytes_written += take as u64;
        }
        self.change(Change::Write { at, bytes: bytes.get(..take).unwrap_or_default().to_vec() });
        match fault {
            None => Ok(()),
            Some(Fault::PowerCut | Fault::Kill) => Err(eio()),
            Some(_) => Err(enospc()),
        }
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.call(Operation::Read)?;
        let node = self.node.lock();
        let seen = if self.direct { node.disk.as_ref().unwrap_or(&node.current) } else { &node.current };
        let from = seen.get(size(offset)?..).unwrap_or_default();
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
        if self.fs.world.lock().is_full(grows) {
            return Err(enospc());
        }
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
        if fault.is_some() {
            let mut dice = self.fs.dice.lock();
            self.node.lock().fail_sync(&mut dice);
            return Err(eio());
        }
        self.node.lock().sync();
        if let Some(dir) = self.path.parent() {
            self.fs.world.lock().add_durable_dirs(dir);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.call(Operation::Look)?;
        Ok(self.node.lock().current.len() as u64)
    }
}
