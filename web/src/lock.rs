//! The lock of a data folder: two processes on one journal would each break the other's chain.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::paths;

/// Held while the folder is in use; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process uses it.
    #[error("the data folder {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or written to.
    #[error("cannot use the data folder {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl DataLock {
    /// Makes the folder if need be (for its owner alone) and locks it.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be made or written to.
    pub fn take(data: &Path) -> Result<Self, LockError> {
        let wrap = |source| LockError::Io { path: data.to_owned(), source };
        if !data.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(wrap)?;
        }
        let options = OpenOptions::new().create(true).truncate(false).write(true).open(paths::lock(data));
        let file = options.map_err(wrap)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::InUse(data.to_owned())),
            Err(error) => Err(wrap(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("deep/data");
        let held = DataLock::take(&data).unwrap();
        assert!(matches!(DataLock::take(&data), Err(LockError::InUse(_))));
        drop(held);
        DataLock::take(&data).unwrap();
    }
}
