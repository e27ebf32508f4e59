//! Where a backup lies: a folder, or one file in the POSIX ustar format that any `tar` lists and unpacks.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::BackupError;

const BLOCK: usize = 512;
/// Largest entry of a ustar file: eleven octal digits.
const TAR_BYTES_MAX: u64 = 0o77_777_777_777;

/// A backup being written. Under another name until it is whole.
pub(super) struct Packer {
    target: PathBuf,
    draft: PathBuf,
    tar: Option<File>,
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File(path, error)
}

impl Packer {
    /// Begins a backup at `target`: a file when its name ends in `.tar`, otherwise a folder.
    pub(super) fn begin(target: &Path) -> Result<Self, BackupError> {
        let is_tar = target.extension().is_some_and(|e| e == "tar");
        let empty = !is_tar && fs::read_dir(target).is_ok_and(|mut names| names.next().is_none());
        if target.exists() && !empty {
            return Err(BackupError::Refused(format!(
                "{} is there already; name a new file or an empty folder",
                target.display()
            )));
        }
        let mut draft = target.as_os_str().to_owned();
        draft.push(".partial");
        let draft = PathBuf::from(draft);
        let left_over = || format!("{} is left over from a backup that failed; remove it", draft.display());
        if draft.exists() {
            return Err(BackupError::Refused(left_over()));
        }
        let tar = if is_tar {
            Some(private(&draft).map_err(at(&draft))?)
        } else {
            fs::create_dir_all(draft.join("files")).map_err(at(&draft))?;
            None
        };
        Ok(Self { target: target.to_owned(), draft, tar })
    }

    /// Adds an entry of exactly `length` bytes.
    pub(super) fn put(
        &mut self,
        name: &str,
        length: u64,
        write: &mut dyn FnMut(&mut dyn Write) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let Some(tar) = &mut self.tar else {
            let path = self.draft.join(name);
            let mut file = private(&path).map_err(at(&path))?;
            write(&mut file)?;
            return file.sync_all().map_err(at(&path));
        };
        tar.write_all(&header(name, length)?)?;
        let start = tar.stream_position()?;
        write(tar)?;
        let written = tar.stream_position()? - start;
        if written != length {
            return Err(BackupError::Other(format!("{name} has {written} bytes, not {length}")));
        }
        let rest = usize::try_from(length % BLOCK as u64).unwrap_or(0);
        if rest > 0 {
            tar.write_all(&vec![0; BLOCK - rest])?;
        }
        Ok(())
    }

    /// Gives the backup its name once everything is on disk.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        match &mut self.tar {
            Some(tar) => {
                tar.write_all(&[0; 2 * BLOCK])?;
                tar.sync_all()?;
            }
            None => {
                for folder in [self.draft.join("files"), self.draft.clone()] {
                    File::open(&folder).and_then(|f| f.sync_all()).map_err(at(&folder))?;
                }
                if self.target.exists() {
                    fs::remove_dir(&self.target).map_err(at(&self.target))?;
                }
            }
        }
        fs::rename(&self.draft, &self.target).map_err(at(&self.target))?;
        let parent = self.target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|f| f.sync_all()).map_err(at(parent))
    }

    /// Takes away what was written so far.
    pub(super) fn abandon(self) {
        let removed =
            if self.tar.is_some() { fs::remove_file(&self.draft) } else { fs::remove_dir_all(&self.draft) };
        if let Err(error) = removed {
            tracing::warn!(%error, path = %self.draft.display(), "cannot remove what was written of the backup");
        }
    }
}

fn header(name: &str, length: u64) -> Result<[u8; BLOCK], BackupError> {
    if length > TAR_BYTES_MAX || name.len() > 100 {
        return Err(BackupError::Refused(format!("{name} is too large for a tar file; back up to a folder")));
    }
    let mut block = [0; BLOCK];
    let mut field = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    field(0, name.as_bytes());
    field(100, b"0000600\0");
    field(108, b"0000000\0");
    field(116, b"0000000\0");
    field(124, format!("{length:011o}\0").as_bytes());
    field(136, b"00000000000\0");
    field(148, b"        ");
    field(156, b"0");
    field(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    if let Some(place) = block.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(block)
}

/// A backup that is read.
pub(super) struct Unpacker {
    path: PathBuf,
    /// Begin and length of each entry of a tar file.
    tar: Option<BTreeMap<String, (u64, u64)>>,
}

/// Entries of a backup; a node has a few hundred files.
const ENTRIES_MAX: usize = 1_000_000;

impl Unpacker {
    /// Opens a folder or tar file.
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let is_folder = fs::metadata(path).map_err(at(path))?.is_dir();
        let tar = if is_folder { None } else { Some(entries(path)?) };
        Ok(Self { path: path.to_owned(), tar })
    }

    /// The bytes of an entry.
    pub(super) fn entry(&self, name: &str) -> Result<Box<dyn Read>, BackupError> {
        let Some(entries) = &self.tar else {
            let path = self.path.join(name);
            return Ok(Box::new(File::open(&path).map_err(at(&path))?));
        };
        let missing = || BackupError::Damaged(name.to_owned(), "it is missing".into());
        let (start, length) = entries.get(name).copied().ok_or_else(missing)?;
        let mut file = File::open(&self.path).map_err(at(&self.path))?;
        file.seek(SeekFrom::Start(start))?;
        Ok(Box::new(file.take(length)))
    }
}

fn entries(path: &Path) -> Result<BTreeMap<String, (u64, u64)>, BackupError> {
    let damaged = |why: &str| BackupError::Damaged(path.display().to_string(), why.to_owned());
    let mut file = File::open(path).map_err(at(path))?;
    let whole = file.metadata().map_err(at(path))?.len();
    let (mut place, mut found) = (0, BTreeMap::new());
    let mut block = [0; BLOCK];
    loop {
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut block).map_err(|_| damaged("it is no tar file, or its end is missing"))?;
        if block.iter().all(|b| *b == 0) {
            return Ok(found);
        }
        let text = |from: usize, to: usize| {
            let bytes = block.get(from..to).unwrap_or_default();
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).trim().to_owned()
        };
        let name = text(0, 100);
        let length = u64::from_str_radix(&text(124, 136), 8).map_err(|_| damaged("it is no tar file"))?;
        let sum = u32::from_str_radix(&text(148, 156), 8).map_err(|_| damaged("it is no tar file"))?;
        let spaces = 8 * u32::from(b' ');
        let own: u32 = block.get(148..156).unwrap_or_default().iter().map(|b| u32::from(*b)).sum();
        let all: u32 = block.iter().map(|b| u32::from(*b)).sum();
        let start = place + BLOCK as u64;
        if all - own + spaces != sum || start.saturating_add(length) > whole || found.len() >= ENTRIES_MAX {
            return Err(damaged("an entry of it does not hold"));
        }
        found.insert(name, (start, length));
        place = start + length.div_ceil(BLOCK as u64) * BLOCK as u64;
    }
}
