//! The store on disk: sled, one tree a period.
//!
//! What is known of sled 0.34 is worked around here and nowhere else: batches take memory that never comes back, so rows
//! go in one by one; opening after some crashes fails or panics, so every store lives in a folder of its own
//! (`store-<n>`), and wiping begins the next one: nothing is ever opened a second time that was once in doubt, and a store
//! whose threads do not end writes into files that nobody reads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::limits;
use parking_lot::Mutex;

use super::store::{FacetHome, FacetStore, Fault};
use crate::fs::Fs;

impl From<sled::Error> for Fault {
    fn from(e: sled::Error) -> Self {
        match e {
            sled::Error::Io(e) => e.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// The folder of the store.
#[derive(Debug)]
pub struct SledHome {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
}

const PREFIX: &str = "store-";

impl SledHome {
    /// The store under `dir`, which is its own. `fs` must be the machine's own file system: sled knows no other.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, dir: PathBuf) -> Self {
        Self { fs, dir }
    }

    /// Number of the newest folder.
    fn newest(&self) -> u64 {
        let names = self.fs.read_dir(&self.dir).unwrap_or_default();
        let numbers = names.iter().filter_map(|e| e.name.strip_prefix(PREFIX)?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    fn folder(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{PREFIX}{number}"))
    }

    /// Removes whatever is there but the folder `number`, as far as it can be.
    fn keep_only(&self, number: u64) {
        let keep = self.folder(number);
        for entry in self.fs.read_dir(&self.dir).unwrap_or_default() {
            let path = self.dir.join(&entry.name);
            if path != keep
                && let Err(error) = erase(&*self.fs, &path)
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove an old store of facets");
            }
        }
    }
}

/// Removes a file or a folder with all that is in it; fine when it is not there. For derived data alone.
pub fn erase(fs: &dyn Fs, path: &Path) -> std::io::Result<()> {
    fn at(fs: &dyn Fs, path: &Path, depth: u8) -> std::io::Result<()> {
        if depth == 0 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        if !fs.metadata(path)?.is_dir {
            return fs.remove(path);
        }
        for entry in fs.read_dir(path)? {
            gone(at(fs, &path.join(&entry.name), depth - 1))?;
        }
        fs.remove_dir(path)
    }
    fn gone(done: std::io::Result<()>) -> std::io::Result<()> {
        match done {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
    gone(at(fs, path, 5))
}

impl FacetHome for SledHome {
    fn open(&self) -> Result<Arc<dyn FacetStore>, Fault> {
        self.fs.create_dir_all(&self.dir)?;
        let number = self.newest().max(1);
        self.keep_only(number);
        let every = u64::try_from(limits::FACET_FLUSH_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        let db = sled::Config::new()
            .path(self.folder(number))
            .cache_capacity(limits::FACET_CACHE_BYTES)
            .flush_every_ms(Some(every))
            .open()?;
        Ok(Arc::new(SledStore { db, trees: Mutex::default() }))
    }

    fn wipe(&self) -> Result<(), Fault> {
        // First the new folder, then away with the old: whatever a crash leaves, the newest is the one that counts.
        let number = self.newest() + 1;
        self.fs.create_dir_all(&self.folder(number))?;
        self.keep_only(number);
        Ok(())
    }
}

struct SledStore {
    db: sled::Db,
    /// Trees that are open, at most as many as there are periods.
    trees: Mutex<HashMap<i64, sled::Tree>>,
}

fn name(period: i64) -> String {
    format!("day{period}")
}

impl SledStore {
    fn tree(&self, period: i64) -> Result<sled::Tree, Fault> {
        let mut trees = self.trees.lock();
        if let Some(tree) = trees.get(&period) {
            return Ok(tree.clone());
        }
        let tree = self.db.open_tree(name(period))?;
        trees.insert(period, tree.clone());
        Ok(tree)
    }

    /// The tree of a period that may not be there: asking makes none.
    fn known(&self, period: i64) -> Result<Option<sled::Tree>, Fault> {
        if let Some(tree) = self.trees.lock().get(&period) {
            return Ok(Some(tree.clone()));
        }
        let wanted = name(period);
        if self.db.tree_names().iter().any(|n| n.as_ref() == wanted.as_bytes()) {
            return self.tree(period).map(Some);
        }
        Ok(None)
    }
}

impl FacetStore for SledStore {
    fn get(&self, period: i64, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Some(tree) = self.known(period)? else { return Ok(None) };
        Ok(tree.get(key)?.map(|row| row.to_vec()))
    }
    fn put(&self, period: i64, key: &[u8], row: &[u8]) -> Result<bool, Fault> {
        Ok(self.tree(period)?.insert(key, row)?.is_none())
    }
    fn remove(&self, period: i64, key: &[u8]) -> Result<(), Fault> {
        if let Some(tree) = self.known(period)? {
            tree.remove(key)?;
        }
        Ok(())
    }
    fn periods(&self) -> Result<Vec<i64>, Fault> {
        let names = self.db.tree_names();
        let number = |n: &sled::IVec| std::str::from_utf8(n).ok()?.strip_prefix("day")?.parse().ok();
        let mut periods: Vec<i64> = names.iter().filter_map(number).collect();
        periods.sort_unstable();
        Ok(periods)
    }
    fn drop_period(&self, period: i64) -> Result<(), Fault> {
        self.trees.lock().remove(&period);
        self.db.drop_tree(name(period))?;
        Ok(())
    }
    fn len(&self) -> Result<u64, Fault> {
        let mut rows = 0;
        for period in self.periods()? {
            rows += self.known(period)?.map_or(0, |tree| tree.len() as u64);
        }
        Ok(rows)
    }
    fn size(&self) -> Result<u64, Fault> {
        Ok(self.db.size_on_disk()?)
    }
}
