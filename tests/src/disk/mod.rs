//! A disk whose power can be cut under a running node.
//!
//! A FUSE file system of ours has one file, which is the disk: it keeps what was not flushed in memory
//! ([`platter::Platter`]). The kernel's loop device makes a block device of it, with `ext4` on top. So the node under
//! test works on a real file system with its own journal, `O_DIRECT`, `fallocate` and `syncfs`, and what reaches the
//! disk, and when, is decided by that file system's flushes. (A FUSE file system that keeps files itself would be
//! simpler to mount, but the kernel does not pass `syncfs` on to it.)
//!
//! Needs root, `/dev/fuse`, loop devices and `mkfs.ext4`; [`missing`] says what is not there.

mod fuse;
pub mod platter;
pub mod stall;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption};
use parking_lot::Mutex;

use crate::camsim::faults::Random;
use crate::harness::{Doing as _, HarnessError, Outcome, wait_for};

use fuse::DiskFs;
use platter::{Platter, PlatterStats};

/// Size of the disk. Large enough that the recorder reserves room for its files; takes memory only where written.
const BYTES: u64 = 24 << 30;
/// Time within which nobody uses the file system any more after the node was killed.
const FREE_WITHIN: Duration = Duration::from_secs(20);

/// What this machine lacks for such a disk; `None` when nothing.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mounting needs root".to_owned());
    }
    let devices = ["/dev/fuse", "/dev/loop-control"];
    if let Some(device) = devices.iter().find(|d| !Path::new(d).exists()) {
        return Some(format!("{device} is not there"));
    }
    ["mkfs.ext4", "mount", "umount"]
        .iter()
        .find(|program| program_of(program).is_none())
        .map(|program| format!("the program {program} is not there (packages e2fsprogs and mount)"))
}

fn program_of(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().map(|d| Path::new(d).join(name)).find(|p| p.exists())
}

/// The disk, mounted. Unmounted when dropped.
pub struct PowerDisk {
    platter: Arc<Mutex<Platter>>,
    session: Option<BackgroundSession>,
    directory: tempfile::TempDir,
    mounted: bool,
    random: Random,
}

impl PowerDisk {
    /// A new disk with an empty `ext4`; the seed decides what power cuts leave.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn new(seed: u64) -> Outcome<Self> {
        let directory =
            tempfile::Builder::new().prefix("fengsui-disk-").tempdir().doing("make a directory")?;
        let below = directory.path().join("below");
        std::fs::create_dir(&below).doing("make a mount point")?;
        std::fs::create_dir(directory.path().join("city")).doing("make a mount point")?;
        let platter = Arc::new(Mutex::new(Platter::default()));
        let mut options = Config::default();
        options.mount_options = vec![MountOption::FSName("fengsui-disk".to_owned())];
        let fs = DiskFs { platter: platter.clone(), bytes: BYTES };
        let session = fuser::spawn_mount(fs, &below, &options).doing("mount a FUSE file system")?;
        let disk =
            Self { platter, session: Some(session), directory, mounted: false, random: Random::new(seed) };
        let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        call("mkfs.ext4", &["-q", "-F", "-E", lazy, "-J", "size=16", "-N", "65536"], &[&disk.device()])?;
        disk.platter.lock().flush();
        let mut disk = disk;
        disk.mount()?;
        Ok(disk)
    }

    fn device(&self) -> PathBuf {
        self.directory.path().join("below").join(fuse::NAME)
    }

    /// Where the file system is mounted.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("city")
    }

    /// Counters of the disk.
    #[must_use]
    pub fn stats(&self) -> PlatterStats {
        self.platter.lock().stats()
    }

    fn mount(&mut self) -> Outcome<()> {
        call("mount", &["-t", "ext4", "-o", "loop,noinit_itable"], &[&self.device(), &self.root()])?;
        self.mounted = true;
        Ok(())
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn sync(&self) -> Outcome<()> {
        let root = std::fs::File::open(self.root()).doing("open the mount point")?;
        rustix::fs::syncfs(&root).doing("sync the file system")
    }

    /// The power goes at this moment: from now on nothing reaches the disk. The machine on it has still to be killed.
    pub fn power_off(&mut self) {
        self.platter.lock().power_off(&mut self.random);
    }

    /// The machine starts again: the file system is mounted as the power cut left the disk.
    ///
    /// # Errors
    /// When something still uses it, or it cannot be mounted.
    pub async fn power_on(&mut self) -> Outcome<()> {
        let root = self.root();
        wait_for("the file system is free", FREE_WITHIN, || async {
            Ok(call("umount", &[], &[&root]).is_ok().then_some(()))
        })
        .await?;
        self.mounted = false;
        self.platter.lock().power_on();
        self.mount()
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        if self.mounted && call("umount", &[], &[&self.root()]).is_err() {
            // Somebody still uses it: it goes away with them.
            let _ = call("umount", &["-l"], &[&self.root()]);
        }
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

fn call(program: &str, options: &[&str], paths: &[&Path]) -> Outcome<()> {
    let path = program_of(program).ok_or_else(|| HarnessError(format!("{program} is not there")))?;
    let output = Command::new(path)
        .args(options)
        .args(paths)
        .stdin(Stdio::null())
        .output()
        .doing(format!("run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HarnessError(format!("{program} ended with {}: {said}", output.status)))
}
