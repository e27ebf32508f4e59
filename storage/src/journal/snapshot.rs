//! Snapshots: a reducer's state after some record, so that a start does not reduce years. A snapshot is derived: on any
//! doubt (signature, name, version, hash of the record it names) it is passed over, and everything is reduced.

use std::path::PathBuf;

use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use super::format::ChainHash;
use super::reduce::Reducer;
use super::signed::{self, What};
use super::{Journal, JournalRecord};
use crate::error::StoreError;

#[derive(Serialize, Deserialize)]
struct Snapshot<S> {
    name: String,
    version: u32,
    seq: u64,
    hash: String,
    state: S,
}

/// A state and the record after which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAt<R> {
    /// The state.
    pub state: R,
    /// Newest record in it; 0 for none.
    pub seq: u64,
    /// Hash of that record.
    pub hash: ChainHash,
    /// Records that were reduced; the others came by a snapshot.
    pub reduced: u64,
}

impl Journal {
    /// The state after the newest durable record, by a snapshot and what follows it where there is one. Writes a new
    /// snapshot when many records had to be reduced.
    ///
    /// # Errors
    /// When the journal cannot be read or a record cannot be understood.
    pub fn state<R: Reducer>(&self) -> Result<R, StoreError> {
        let found = self.state_at::<R>()?;
        if found.reduced >= limits::JOURNAL_SNAPSHOT_EVERY
            && let Err(error) = self.save_snapshot(&found)
        {
            tracing::warn!(%error, name = R::NAME, "cannot write a snapshot; the next start takes longer");
        }
        Ok(found.state)
    }

    /// As [`Self::state`], with where it holds; writes nothing.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn state_at<R: Reducer>(&self) -> Result<StateAt<R>, StoreError> {
        let mut at = self.snapshot::<R>().unwrap_or(StateAt {
            state: R::default(),
            seq: 0,
            hash: [0; 32],
            reduced: 0,
        });
        for record in self.read(at.seq + 1)? {
            let record = record?;
            at.state.apply(&record)?;
            (at.seq, at.hash) = (record.seq, record.hash);
            at.reduced += 1;
        }
        Ok(at)
    }

    /// The state that was kept last, for whoever feeds it what follows; none when there is none to be trusted.
    #[must_use]
    pub fn snapshot<R: Reducer>(&self) -> Option<StateAt<R>> {
        self.load_snapshot::<R>().unwrap_or_else(|why| {
            tracing::warn!(name = R::NAME, "the snapshot is not used, because {why}");
            None
        })
    }

    fn snapshot_path(&self, name: &str) -> PathBuf {
        self.dir.join("snapshots").join(format!("{name}.snapshot"))
    }

    /// Keeps a state for the next start.
    ///
    /// # Errors
    /// When the disk refuses; the snapshot before then still stands.
    pub fn save_snapshot<R: Reducer>(&self, at: &StateAt<R>) -> Result<(), StoreError> {
        let folder = self.dir.join("snapshots");
        self.fs.create_dir_all(&folder).map_err(StoreError::io("create directory", &folder))?;
        let (name, version, hash) = (R::NAME.to_owned(), R::VERSION, hex::encode(at.hash));
        let snapshot = Snapshot { name, version, seq: at.seq, hash, state: &at.state };
        let bytes = signed::seal_json(What::Snapshot, &self.head.key, &snapshot)?;
        signed::put(&*self.fs, &self.snapshot_path(R::NAME), &bytes)
    }

    /// The snapshot of a state; `None` when there is none, a clause when it is not to be trusted.
    fn load_snapshot<R: Reducer>(&self) -> Result<Option<StateAt<R>>, String> {
        let path = self.snapshot_path(R::NAME);
        let found = signed::get(&*self.fs, &path, limits::JOURNAL_SNAPSHOT_BYTES_MAX);
        let Some(bytes) = found.map_err(|e| e.to_string())? else { return Ok(None) };
        let (key, snapshot): (_, Snapshot<serde_json::Value>) = signed::open_json(What::Snapshot, &bytes)?;
        if key != self.head.key.id() {
            return Err("another node signed it".into());
        }
        if snapshot.name != R::NAME || snapshot.version != R::VERSION {
            return Err("it is of another program".into());
        }
        let record = self.record(snapshot.seq).map_err(|e| e.to_string())?;
        let hash = record.map(|r| r.hash).ok_or("the journal has no such record")?;
        if hex::encode(hash) != snapshot.hash {
            return Err("the journal has another record there".into());
        }
        let state = serde_json::from_value(snapshot.state).map_err(|e| e.to_string())?;
        Ok(Some(StateAt { state, seq: snapshot.seq, hash, reduced: 0 }))
    }

    /// The record with this number, if it is still there.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn record(&self, seq: u64) -> Result<Option<JournalRecord>, StoreError> {
        if let Some(record) = self.recent(seq, 1).pop() {
            return Ok(Some(record).filter(|r| r.seq == seq));
        }
        match self.read(seq)?.next() {
            Some(record) => Ok(Some(record?).filter(|r| r.seq == seq)),
            None => Ok(None),
        }
    }
}
