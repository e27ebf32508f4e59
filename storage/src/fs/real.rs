//! The machine's own file system, through rustix.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, Mode, OFlags};

use super::{DirEntry, Fs, FsFile, Metadata, OpenOptions, PAGE, PageBuf, Space};

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

#[derive(Debug)]
struct RealFile {
    fd: OwnedFd,
    /// Set while `O_DIRECT` is in force; cleared for good by the first refusal.
    direct: AtomicBool,
}

fn flags_of(o: OpenOptions) -> OFlags {
    let mut flags = OFlags::CLOEXEC | if o.write { OFlags::RDWR } else { OFlags::RDONLY };
    if o.create_new {
        flags |= OFlags::CREATE | OFlags::EXCL;
    } else if o.create {
        flags |= OFlags::CREATE;
    }
    flags
}

impl Fs for RealFs {
    fn open(&self, path: &Path, o: OpenOptions) -> io::Result<Box<dyn FsFile>> {
        let flags = flags_of(o);
        let mode = Mode::from_raw_mode(if o.private { 0o600 } else { 0o640 });
        let (fd, direct) = if o.direct {
            match rustix::fs::open(path, flags | OFlags::DIRECT, mode) {
                Ok(fd) => (fd, true),
                // tmpfs and some network file systems know no direct I/O. The name may have been created by the
                // refused call, so the second attempt must not ask for a new one.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                    let again = rustix::fs::open(path, flags, mode);
                    let fd = match again {
                        Err(rustix::io::Errno::EXIST) => rustix::fs::open(path, flags - OFlags::EXCL, mode),
                        other => other,
                    }?;
                    (fd, false)
                }
                Err(e) => return Err(e.into()),
            }
        } else {
            (rustix::fs::open(path, flags, mode)?, false)
        };
        Ok(Box::new(RealFile { fd, direct: AtomicBool::new(direct) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::rename(from, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::rmdir(path)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let fd = open_dir(path)?;
        Ok(rustix::fs::fsync(fd)?)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            out.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
        }
        out.sort();
        Ok(out)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let m = std::fs::metadata(path)?;
        Ok(Metadata { len: if m.is_dir() { 0 } else { m.len() }, is_dir: m.is_dir() })
    }

    fn sync_volume(&self, path: &Path) -> io::Result<()> {
        let fd = open_dir(path)?;
        Ok(rustix::fs::syncfs(fd)?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let s = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: s.f_blocks.saturating_mul(s.f_frsize),
            free: s.f_bavail.saturating_mul(s.f_frsize),
            // Some file systems (btrfs) count no inodes and say 0 of 0.
            inodes_free: if s.f_files == 0 { u64::MAX } else { s.f_favail },
        })
    }
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

impl RealFile {
    fn write_all(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(self.fd.as_fd(), bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    offset += n as u64;
                    bytes = bytes.get(n..).unwrap_or_default();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Turns direct I/O off for this file.
    fn fall_back(&self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.fd)?;
        rustix::fs::fcntl_setfl(&self.fd, flags - OFlags::DIRECT)?;
        self.direct.store(false, Ordering::Relaxed);
        Ok(())
    }
}

fn whole_pages(offset: u64, bytes: &[u8]) -> bool {
    offset.is_multiple_of(PAGE as u64)
        && bytes.len().is_multiple_of(PAGE)
        && (bytes.as_ptr() as usize).is_multiple_of(PAGE)
}

impl FsFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.direct.load(Ordering::Relaxed) {
            return self.write_all(offset, bytes);
        }
        if !whole_pages(offset, bytes) {
            self.fall_back()?;
            return self.write_all(offset, bytes);
        }
        match self.write_all(offset, bytes) {
            // A file system may take O_DIRECT at open and refuse the write (larger blocks, FUSE), or a short
            // write may have left the rest unaligned.
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                self.fall_back()?;
                self.write_all(offset, bytes)
            }
            other => other,
        }
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if !self.direct.load(Ordering::Relaxed) {
            return Ok(rustix::io::pread(self.fd.as_fd(), out, offset)?);
        }
        // The writer's own handle is rarely read; read whole pages aside and hand out the part asked for.
        let skip = usize::try_from(offset % PAGE as u64).unwrap_or(0);
        let mut pages = PageBuf::new();
        pages.extend(&vec![0; (skip + out.len()).next_multiple_of(PAGE)]);
        let n =
            pages.read_into(|room| Ok(rustix::io::pread(self.fd.as_fd(), room, offset - skip as u64)?))?;
        let got = n.saturating_sub(skip).min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..got), pages.as_slice().get(skip..skip + got)) {
            to.copy_from_slice(from);
        }
        Ok(got)
    }

    fn allocate_keep_size(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, 0, len) {
            Err(e) if e != rustix::io::Errno::OPNOTSUPP && e != rustix::io::Errno::NOSYS => Err(e.into()),
            _ => Ok(()),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.fd, len)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.fd)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    fn len(&self) -> io::Result<u64> {
        let s = rustix::fs::fstat(&self.fd)?;
        Ok(u64::try_from(s.st_size).unwrap_or(0))
    }
}
