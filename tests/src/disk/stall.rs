//! A disk that stops taking anything for a while, as a controller that resets or a network volume that hangs does: a
//! file as a block device, `ext4` on it, and the kernel's own freezing of a file system. While it is frozen every write,
//! creation and sync waits; nothing fails.

use std::path::{Path, PathBuf};

use super::{call, program_of};
use crate::harness::{Doing as _, Outcome};

/// What this machine lacks for such a disk; `None` when nothing.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mounting needs root".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("/dev/loop-control is not there".to_owned());
    }
    let programs = ["mkfs.ext4", "mount", "umount", "fsfreeze"];
    let lacking = programs.iter().find(|program| program_of(program).is_none());
    lacking
        .map(|program| format!("the program {program} is not there (packages e2fsprogs, mount, util-linux)"))
}

/// The disk, mounted. Thawed and unmounted when dropped.
#[derive(Debug)]
pub struct StallDisk {
    root: PathBuf,
    mounted: bool,
    frozen: bool,
}

impl StallDisk {
    /// A new disk of at most `bytes` with an empty file system, kept in a sparse file below `directory`.
    ///
    /// # Errors
    /// When it cannot be made or mounted.
    pub fn new(directory: &Path, bytes: u64) -> Outcome<Self> {
        let (image, root) = (directory.join("disk.img"), directory.join("disk"));
        std::fs::create_dir_all(&root).doing("make a mount point")?;
        let file = std::fs::File::create(&image).doing("make the disk's file")?;
        file.set_len(bytes).doing("size the disk's file")?;
        let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        call("mkfs.ext4", &["-q", "-F", "-E", lazy], &[&image])?;
        call("mount", &["-t", "ext4", "-o", "loop,noinit_itable"], &[&image, &root])?;
        Ok(Self { root, mounted: true, frozen: false })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// From now on everything that would change the disk waits.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn freeze(&mut self) -> Outcome<()> {
        call("fsfreeze", &["--freeze"], &[&self.root])?;
        self.frozen = true;
        Ok(())
    }

    /// What waited goes on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn thaw(&mut self) -> Outcome<()> {
        call("fsfreeze", &["--unfreeze"], &[&self.root])?;
        self.frozen = false;
        Ok(())
    }
}

impl Drop for StallDisk {
    fn drop(&mut self) {
        // A frozen file system would hold up whoever touches it, for ever.
        if self.frozen {
            let _ = self.thaw();
        }
        if self.mounted && call("umount", &[], &[&self.root]).is_err() {
            // Somebody still uses it: it goes away with them.
            let _ = call("umount", &["-l"], &[&self.root]);
        }
    }
}
