//! The one error type of stored bytes: what was done, to which path, and how it failed.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of storage.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done, verb and object in the present tense.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// Stored bytes are not what was written.
    #[error("{}: damaged at byte {at}: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Byte offset of the first thing that does not hold.
        at: u64,
        /// What does not hold there.
        detail: String,
    },
    /// The request itself makes no sense (unknown fragment, stream without tracks ...).
    #[error("{0}")]
    Invalid(String),
    /// What was asked for is not (or no longer) stored.
    #[error("{0} is not stored")]
    NotFound(String),
}

impl StoreError {
    /// Wraps a file-system refusal; made for `map_err(StoreError::io("write group", path))`.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// A place in a file that does not hold.
    pub fn damaged(path: &Path, at: u64, detail: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), at, detail: detail.into() }
    }

    /// The kind of the underlying refusal, when there is one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
