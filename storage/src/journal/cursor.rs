//! Cursors: how far a consumer of the journal has come, by name. A cursor may be lost, and its consumer then sees
//! records again; it is never ahead of what was acknowledged.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::signed::{self, What};
use super::{Journal, JournalRecord};
use crate::error::StoreError;

const CURSOR_BYTES_MAX: u64 = 4096;
const ENDING: &str = ".cursor";

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    name: String,
    seq: u64,
    hash: String,
}

/// A named consumer of the journal.
#[derive(Debug)]
pub struct Cursor {
    journal: Arc<Journal>,
    name: String,
    acknowledged: Mutex<u64>,
}

fn good_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl Journal {
    /// The cursor of a consumer; a new one, and one that cannot be trusted, starts before the oldest record.
    ///
    /// # Errors
    /// When the name is not 1 to 32 of `a-z`, `0-9` and `_`, or the disk refuses.
    pub fn cursor(self: &Arc<Self>, name: &str) -> Result<Cursor, StoreError> {
        if !good_name(name) {
            return Err(StoreError::Invalid(format!(
                "{name:?} is no name of a cursor: 1 to 32 of a-z, 0-9, _"
            )));
        }
        let folder = self.dir.join("cursors");
        self.fs.create_dir_all(&folder).map_err(StoreError::io("create directory", &folder))?;
        let acknowledged = self.load_cursor(name)?;
        let cursor = Cursor { journal: self.clone(), name: name.to_owned(), acknowledged: Mutex::new(0) };
        match acknowledged {
            Some(seq) => *cursor.acknowledged.lock() = seq,
            // From now on it holds back the dropping of what it has not seen.
            None => cursor.store(0, "")?,
        }
        Ok(cursor)
    }

    fn cursor_path(&self, name: &str) -> PathBuf {
        self.dir.join("cursors").join(format!("{name}{ENDING}"))
    }

    fn load_cursor(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = self.cursor_path(name);
        let Some(bytes) = signed::get_at_most(&*self.fs, &path, CURSOR_BYTES_MAX)? else { return Ok(None) };
        let stored: Stored = match signed::open_json(What::Cursor, &bytes) {
            Ok((_, stored)) => stored,
            Err(why) => {
                tracing::warn!(name, "the cursor is not used, because {why}");
                return Ok(None);
            }
        };
        if stored.name != name || stored.seq > self.last_seq() {
            tracing::warn!(name, "the cursor is of another journal; starting from the oldest record");
            return Ok(None);
        }
        if stored.seq == 0 {
            return Ok(Some(0));
        }
        // Where the record itself is gone, everything up to it was dropped or carried over: nothing to compare with.
        let same = self.record(stored.seq)?.is_none_or(|r| hex::encode(r.hash) == stored.hash);
        if !same {
            tracing::warn!(name, "the cursor is of another journal; starting from the oldest record");
        }
        Ok(same.then_some(stored.seq))
    }

    /// Every cursor with the newest record that it acknowledged, by name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn cursors(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let folder = self.dir.join("cursors");
        let names = match self.fs.read_dir(&folder) {
            Ok(names) => names,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("list directory", &folder)(e)),
        };
        let mut out = Vec::new();
        for entry in names {
            if let Some(name) = entry.name.strip_suffix(ENDING) {
                out.push((name.to_owned(), self.load_cursor(name)?.unwrap_or(0)));
            }
        }
        Ok(out)
    }

    /// The newest record that every cursor has acknowledged; no bound without a cursor.
    pub(super) fn acknowledged_by_all(&self) -> Result<u64, StoreError> {
        Ok(self.cursors()?.into_iter().map(|(_, seq)| seq).min().unwrap_or(u64::MAX))
    }
}

impl Cursor {
    /// Newest record that was acknowledged; 0 for none.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.lock()
    }

    /// Up to `max` records behind what was acknowledged, in order. The same ones again until they are acknowledged.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn batch(&self, max: usize) -> Result<Vec<JournalRecord>, StoreError> {
        let from = self.acknowledged() + 1;
        if from > self.journal.last_seq() {
            return Ok(Vec::new());
        }
        self.journal.read(from)?.take(max).collect()
    }

    /// Acknowledges all records up to `seq`; durable when this returns. Never goes back.
    ///
    /// # Errors
    /// When there is no such record yet, or the disk refuses: then it stands where it stood.
    pub fn acknowledge(&self, seq: u64) -> Result<(), StoreError> {
        let mut acknowledged = self.acknowledged.lock();
        if seq <= *acknowledged {
            return Ok(());
        }
        if seq > self.journal.last_seq() {
            let last = self.journal.last_seq();
            return Err(StoreError::Invalid(format!("record {seq} is not there yet; the newest is {last}")));
        }
        let hash = self.journal.record(seq)?.map(|r| hex::encode(r.hash)).unwrap_or_default();
        self.store(seq, &hash)?;
        *acknowledged = seq;
        Ok(())
    }

    fn store(&self, seq: u64, hash: &str) -> Result<(), StoreError> {
        let stored = Stored { name: self.name.clone(), seq, hash: hash.to_owned() };
        let bytes = signed::seal_json(What::Cursor, &self.journal.head.key, &stored)?;
        signed::put(&*self.journal.fs, &self.journal.cursor_path(&self.name), &bytes)
    }

    /// Forgets the cursor for good: it holds nothing back any more.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(self) -> Result<(), StoreError> {
        let path = self.journal.cursor_path(&self.name);
        self.journal.fs.remove(&path).map_err(StoreError::io("remove cursor", &path))
    }
}
