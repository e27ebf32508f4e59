//! Attachments: files under the hash of their bytes in one folder. A file is there whole or not at all, and on the disk before
//! the act that names it is in the journal. What it is, is said by its bytes and by nothing else.
//!
//! - A file that is kept is whole, or it is not given: `a_file_that_changed_on_the_disk_is_not_served`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::limits;
use fengsui_storage::fs::{Fs, OpenOptions, RealFs};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

/// Why a file is not kept, or not given.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// All attachments together would be larger than they may.
    #[error("the attachments of this node have {} bytes and may have no more", limits::ATTACHMENTS_BYTES_MAX)]
    Full,
    /// It is not there.
    #[error("it is not kept here")]
    Missing,
    /// Its bytes are not those that were kept.
    #[error("its bytes are not those that were kept")]
    Damaged,
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Attachments of a node.
pub struct Files {
    folder: PathBuf,
    fs: Arc<dyn Fs>,
    /// Bytes of all, once they were counted.
    bytes: Mutex<Option<u64>>,
    slots: Semaphore,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The name of a file: BLAKE3 of its bytes, 64 hexadecimal digits.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Whether a text is the name of a file; nothing else is ever made a path of.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Files {
    /// Those in `folder`, which is made when the first is kept.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self::on(Arc::new(RealFs), folder)
    }

    /// The same, on a file system.
    #[must_use]
    pub fn on(fs: Arc<dyn Fs>, folder: PathBuf) -> Self {
        let slots = Semaphore::new(limits::ATTACHMENTS_AT_ONCE_MAX);
        Self { folder, fs, bytes: Mutex::new(None), slots }
    }

    /// Takes the right to have one in memory.
    ///
    /// # Errors
    /// When as many are as may be.
    pub fn slot(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.slots.try_acquire()
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(hash)
    }

    /// Bytes of all files. Whoever keeps one holds the lock meanwhile.
    fn count(&self, bytes: &mut Option<u64>) -> io::Result<u64> {
        if let Some(known) = *bytes {
            return Ok(known);
        }
        let listed = match self.fs.read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let mut all = 0;
        for entry in listed {
            all += self.fs.metadata(&self.folder.join(&entry.name)).map_or(0, |m| m.len);
        }
        Ok(*bytes.insert(all))
    }

    /// Keeps a file; from then on it is on the disk. Blocks. The same bytes again change nothing.
    ///
    /// # Errors
    /// When it is not kept; then nothing of it is left but a file aside that the next one takes the place of.
    pub fn keep(&self, bytes: &[u8]) -> Result<String, FileError> {
        let (hash, length) = (hash(bytes), bytes.len() as u64);
        let mut counted = self.bytes.lock();
        match self.get(&hash) {
            Ok(_) => return Ok(hash),
            Err(FileError::Io(error)) => return Err(error.into()),
            // A damaged one is replaced by this, which holds.
            Err(_) => {}
        }
        let all = self.count(&mut counted)?;
        if all.saturating_add(length) > limits::ATTACHMENTS_BYTES_MAX {
            return Err(FileError::Full);
        }
        self.write(&self.path(&hash), bytes)?;
        *counted = Some(all.saturating_add(length));
        Ok(hash)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.fs.create_dir_all(&self.folder)?;
        if let Some(above) = self.folder.parent() {
            self.fs.sync_dir(above)?;
        }
        let aside = path.with_extension("new");
        let file = self.fs.open(&aside, OpenOptions { private: true, ..OpenOptions::CREATE })?;
        file.truncate(0)?;
        file.write_at(0, bytes)?;
        file.sync_all()?;
        self.fs.rename(&aside, path)?;
        self.fs.sync_dir(&self.folder)
    }

    /// A file, proved by its hash. Blocks.
    ///
    /// # Errors
    /// When it is not there, or is not what was kept.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, FileError> {
        if !is_hash(name) {
            return Err(FileError::Missing);
        }
        let most = limits::ATTACHMENT_BYTES_MAX as u64;
        let bytes = self.fs.read(&self.path(name), most).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => FileError::Missing,
            _ => FileError::Io(e),
        })?;
        if hash(&bytes) == name { Ok(bytes) } else { Err(FileError::Damaged) }
    }
}

/// What a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A photograph.
    Jpeg,
    /// A picture.
    Png,
    /// A picture.
    Webp,
    /// A document.
    Pdf,
    /// A film.
    Mp4,
    /// Plain text, UTF-8.
    Text,
}

/// What speaks of markup: a browser could be brought to read a text with it as a page.
const MARKUP: [&str; 7] = ["<!doctype", "<html", "<script", "<svg", "<?xml", "<iframe", "<body"];

impl Media {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Jpeg, Self::Png, Self::Webp, Self::Pdf, Self::Mp4, Self::Text];

    /// What the bytes are; none when it is nothing that is taken.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let at = |from: usize, what: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(what));
        if at(0, &[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if at(0, b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if at(0, b"RIFF") && at(8, b"WEBP") {
            Some(Self::Webp)
        } else if at(0, b"%PDF-") {
            Some(Self::Pdf)
        } else if at(4, b"ftyp") {
            Some(Self::Mp4)
        } else {
            is_plain(bytes).then_some(Self::Text)
        }
    }

    /// Its media type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
            Self::Mp4 => "video/mp4",
            Self::Text => "text/plain",
        }
    }

    /// The one of this media type.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.as_str() == text)
    }

    /// As it is served.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        if self == Self::Text { "text/plain; charset=utf-8" } else { self.as_str() }
    }

    /// Browsers show it in its place; everything else they save.
    #[must_use]
    pub fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Webp)
    }

    /// Whether a declared media type (`text/plain; charset=utf-8`) says the same, or nothing.
    #[must_use]
    pub fn agrees(self, declared: &str) -> bool {
        let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let same = essence == self.as_str() || (self == Self::Jpeg && essence == "image/jpg");
        same || essence.is_empty() || essence == "application/octet-stream"
    }
}

/// Text that nobody takes for a page, a script or a program.
fn is_plain(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim_start_matches('\u{feff}');
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}');
    if text.trim().is_empty() || text.chars().any(control) || text.starts_with("#!") {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    !lower.trim_start().starts_with('<') && !MARKUP.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_file_is_what_its_bytes_say_and_markup_is_nothing() {
        let table: [(&[u8], Option<Media>); 16] = [
            (&[0xff, 0xd8, 0xff, 0xe0, 0], Some(Media::Jpeg)),
            (b"\x89PNG\r\n\x1a\n....", Some(Media::Png)),
            (b"RIFF....WEBPVP8 ", Some(Media::Webp)),
            (b"RIFF\x24\0\0\0WAVE", None),
            (b"%PDF-1.7\n", Some(Media::Pdf)),
            (b"\0\0\0\x20ftypisom", Some(Media::Mp4)),
            ("现场记录\r\n第二行".as_bytes(), Some(Media::Text)),
            (b"", None),
            (b"  \n", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
            (b"\n\n <p>hello", None),
            (b"hello <SCRIPT>alert(1)</SCRIPT>", None),
            ("\u{feff}<!DOCTYPE html>".as_bytes(), None),
            (b"#!/bin/sh\n", None),
            (b"MZ\x90\0", None),
            (&[0xff, 0xfe, b'h', 0], None),
        ];
        for (bytes, media) in table {
            assert_eq!(Media::of(bytes), media, "{:?}", String::from_utf8_lossy(bytes));
        }
        assert!(
            Media::Text.agrees("text/plain; charset=utf-8") && Media::Jpeg.agrees("application/octet-stream")
        );
        assert!(!Media::Jpeg.agrees("image/png") && !Media::Text.agrees("text/html"));
    }

    #[test]
    fn a_file_that_changed_on_the_disk_is_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().join("attachments"));
        let name = files.keep(b"a note").unwrap();
        assert_eq!(files.get(&name).unwrap(), b"a note");
        assert_eq!(files.keep(b"a note").unwrap(), name, "the same bytes again change nothing");
        std::fs::write(folder.path().join("attachments").join(&name), b"a lie!").unwrap();
        assert!(matches!(files.get(&name), Err(FileError::Damaged)));
        files.keep(b"a note").unwrap();
        assert_eq!(files.get(&name).unwrap(), b"a note", "what holds takes the place of what does not");
        assert!(matches!(files.get("../../etc/passwd"), Err(FileError::Missing)));
    }
}
