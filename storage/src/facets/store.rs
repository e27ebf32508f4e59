//! Where rows are kept: the trait, the folder that a store lives in, and the store in memory that tests use.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

/// Why a store failed. Either way nothing that it holds is believed any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The disk is full: give the room back and wait for more.
    #[error("the disk is full")]
    Full,
    /// Anything else.
    #[error("{0}")]
    Broken(String),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Broken(e.to_string()),
        }
    }
}

/// Rows by period and key. Single idempotent inserts: no order among rows, no transaction, no durability is promised; a
/// row that is lost is made again. May panic; whoever calls catches that.
pub trait FacetStore: Send + Sync {
    /// The row under a key.
    fn get(&self, period: i64, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;
    /// Puts a row in place of an older one. True when there was none.
    fn put(&self, period: i64, key: &[u8], row: &[u8]) -> Result<bool, Fault>;
    /// Takes a row out.
    fn remove(&self, period: i64, key: &[u8]) -> Result<(), Fault>;
    /// Periods that have rows, in order.
    fn periods(&self) -> Result<Vec<i64>, Fault>;
    /// Drops all rows of a period at once.
    fn drop_period(&self, period: i64) -> Result<(), Fault>;
    /// Rows; may look at all of them.
    fn len(&self) -> Result<u64, Fault>;
    /// Whether there are none.
    fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.len()? == 0)
    }
    /// Bytes on the disk.
    fn size(&self) -> Result<u64, Fault>;
}

/// Where a store lives. Opening and wiping happen on the filling thread alone.
pub trait FacetHome: Send + Sync {
    /// Opens what is there, or begins anew.
    fn open(&self) -> Result<Arc<dyn FacetStore>, Fault>;
    /// Lets go of all that is there. A store that was opened before and is still in somebody's hands does no harm.
    fn wipe(&self) -> Result<(), Fault>;
}

/// Periods, and in each the rows by key.
type Rows = BTreeMap<i64, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Rows>);

impl FacetStore for MemoryStore {
    fn get(&self, period: i64, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().get(&period).and_then(|rows| rows.get(key)).cloned())
    }
    fn put(&self, period: i64, key: &[u8], row: &[u8]) -> Result<bool, Fault> {
        Ok(self.0.lock().entry(period).or_default().insert(key.to_vec(), row.to_vec()).is_none())
    }
    fn remove(&self, period: i64, key: &[u8]) -> Result<(), Fault> {
        if let Some(rows) = self.0.lock().get_mut(&period) {
            rows.remove(key);
        }
        Ok(())
    }
    fn periods(&self) -> Result<Vec<i64>, Fault> {
        Ok(self.0.lock().keys().copied().collect())
    }
    fn drop_period(&self, period: i64) -> Result<(), Fault> {
        self.0.lock().remove(&period);
        Ok(())
    }
    fn len(&self) -> Result<u64, Fault> {
        Ok(self.0.lock().values().map(|rows| rows.len() as u64).sum())
    }
    fn size(&self) -> Result<u64, Fault> {
        let held = self.0.lock();
        let rows = held.values().flatten();
        Ok(rows.map(|(key, row)| (key.len() + row.len()) as u64).sum())
    }
}
