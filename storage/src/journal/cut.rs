//! A consistent copy of a journal beside a running node: all of its files up to one record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{ChainHash, Decoded, FILE_HEAD, decode_head, decode_record};
use super::recover::{files, load};
use super::{HEAD_FILE, Journal, checkpoint, signed};
use crate::error::StoreError;
use crate::fs::Fs;

/// Attempts while a node drops files under our hands.
const ATTEMPTS: usize = 3;

/// What to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalCut {
    /// Newest record within.
    pub seq: u64,
    /// Its hash.
    pub hash: ChainHash,
    /// Journal files, and how many of their first bytes belong to the cut. They only grow behind that.
    pub files: Vec<(PathBuf, u64)>,
    /// Small files that change: names within the journal's directory, and their bytes.
    pub small: Vec<(PathBuf, Vec<u8>)>,
}

fn is_gone(error: &StoreError) -> bool {
    error.io_kind() == Some(io::ErrorKind::NotFound)
}

impl Journal {
    /// A consistent cut of the journal in `dir`, which a node may be writing.
    ///
    /// # Errors
    /// When there is no journal, or the disk refuses.
    pub fn cut(fs: &Arc<dyn Fs>, dir: &Path) -> Result<JournalCut, StoreError> {
        let mut attempt = 1;
        loop {
            match once(&**fs, dir) {
                Err(error) if is_gone(&error) && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }
}

fn once(fs: &dyn Fs, dir: &Path) -> Result<JournalCut, StoreError> {
    // What names a record is read before the records: it then never names one that is not in the cut.
    let mut small = Vec::new();
    let head = dir.join(HEAD_FILE);
    small.extend(signed::get(fs, &head, 1 << 20)?.map(|bytes| (PathBuf::from(HEAD_FILE), bytes)));
    let cursors = dir.join("cursors");
    let names = match fs.read_dir(&cursors) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(StoreError::io("list directory", &cursors)(e)),
    };
    for entry in names.into_iter().filter(|e| e.name.ends_with(".cursor")) {
        let path = cursors.join(&entry.name);
        small.extend(signed::get(fs, &path, 1 << 20)?.map(|b| (Path::new("cursors").join(&entry.name), b)));
    }
    let all = files(fs, dir)?;
    let mut cut = JournalCut { seq: 0, hash: [0; 32], files: Vec::new(), small };
    for (number, (_, path)) in all.iter().enumerate() {
        let bytes = load(fs, path)?;
        let mut length = bytes.len() as u64;
        if number + 1 == all.len() {
            length = whole_records(&bytes, &mut cut);
        }
        if length > 0 {
            cut.files.push((path.clone(), length));
        }
    }
    if cut.seq == 0 {
        return Err(StoreError::NotFound(format!("a journal with a whole last record in {}", dir.display())));
    }
    // A checkpoint made meanwhile stands for files that are in the cut as well.
    for (_, path) in checkpoint::list(fs, dir)? {
        if let (Some(name), Some(bytes)) = (path.file_name(), signed::get(fs, &path, u64::MAX)?) {
            cut.small.push((PathBuf::from(name), bytes));
        }
    }
    Ok(cut)
}

/// The length of the whole records of the last file.
fn whole_records(bytes: &[u8], cut: &mut JournalCut) -> u64 {
    let Some(head) = decode_head(bytes) else { return 0 };
    (cut.seq, cut.hash) = (head.first.saturating_sub(1), head.previous);
    let mut at = FILE_HEAD;
    while let Decoded::Record(record, length) = decode_record(bytes.get(at..).unwrap_or_default()) {
        (cut.seq, cut.hash) = (record.seq, record.hash);
        at += length;
    }
    at as u64
}
