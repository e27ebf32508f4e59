//! Whole files, replaced in one rename: a reader sees the old one or the new one, after a power cut too.

use std::io;
use std::path::{Path, PathBuf};

use fengsui_storage::fs::{Fs, OpenOptions};

/// Writes `bytes` aside and renames; `private` files are the owner's alone.
pub(crate) fn replace(fs: &dyn Fs, path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs.create_dir_all(folder)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let _ = fs.remove(&aside);
    let file = fs.open(&aside, if private { OpenOptions::NEW_PRIVATE } else { OpenOptions::NEW })?;
    file.write_at(0, bytes)?;
    file.sync_all()?;
    fs.rename(&aside, path)?;
    fs.sync_dir(folder)
}

/// Writes a generated file when it differs from what is there.
#[derive(Debug)]
pub struct ConfigWriter {
    path: PathBuf,
}

impl ConfigWriter {
    /// A writer of the file at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file hold `text`; whether it held something else before. The server reads it as the user that it runs as,
    /// so that it is readable by everybody: it holds public keys alone.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&self, fs: &dyn Fs, text: &str) -> io::Result<bool> {
        let now = match fs.read(&self.path, fengsui_config::limits::RELAY_SERVER_FILE_BYTES_MAX) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::FileTooLarge => None,
            Err(e) => return Err(e),
        };
        if now.as_deref() == Some(text.as_bytes()) {
            return Ok(false);
        }
        replace(fs, &self.path, text.as_bytes(), false)?;
        Ok(true)
    }
}
