//! The signed head: where the journal stood a moment ago. It is the anchor outside the files that makes a cut of their
//! end, or of whole last files, visible.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::clock::Clock;
use fengsui_config::limits;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::Counters;
use super::format::{COUNT_MAX, ChainHash};
use super::signed::{self, What};
use crate::error::StoreError;
use crate::fs::Fs;
use crate::segment::{KeyId, NodeKey};

/// Name of the file in the journal's directory.
pub const HEAD_FILE: &str = "head";
const HEAD_BYTES_MAX: u64 = 4096;

/// What the head says: record `seq` is durable and has this hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// The node.
    pub node: String,
    /// Epoch of the opening that wrote it.
    pub epoch: u64,
    /// Newest durable sequence number.
    pub seq: u64,
    /// SHA-256 of that record, hexadecimal.
    pub hash: String,
    /// When it was written, microseconds since 1970.
    pub at_us: i64,
}

impl JournalHead {
    /// Whether this head is of the same life as a journal of this epoch, and not of one before it was restored.
    #[must_use]
    pub fn speaks_in(&self, epoch: u64) -> bool {
        epoch < self.epoch.saturating_add(limits::JOURNAL_RESTORE_EPOCH_STEP / 2)
    }

    pub(super) fn chain_hash(&self) -> ChainHash {
        let mut hash = [0; 32];
        // A head that holds was written by us; another text is no hash and equals none.
        let _ = hex::decode_to_slice(&self.hash, &mut hash);
        hash
    }
}

/// A head that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadFound {
    /// There is no file.
    Missing,
    /// There is one that does not hold; a clause says why.
    Invalid(String),
    /// It holds, and this key signed it.
    Good(KeyId, JournalHead),
}

/// Reads a head.
pub(super) fn read(fs: &dyn Fs, path: &Path) -> Result<HeadFound, StoreError> {
    let Some(bytes) = signed::get_at_most(fs, path, HEAD_BYTES_MAX)? else { return Ok(HeadFound::Missing) };
    Ok(match signed::open_json::<JournalHead>(What::Head, &bytes) {
        Ok((_, head)) if head.seq.max(head.epoch) > COUNT_MAX => {
            HeadFound::Invalid(format!("it vouches for record {}, which nobody has counted to", head.seq))
        }
        Ok((key, head)) => HeadFound::Good(key, head),
        Err(why) => HeadFound::Invalid(why),
    })
}

/// What the writer tells and the head's thread writes.
#[derive(Debug, Default)]
struct Newest {
    seq: u64,
    hash: ChainHash,
    written: u64,
    stop: bool,
}

/// Keeps the head near the newest record.
pub(super) struct HeadKeeper {
    pub fs: Arc<dyn Fs>,
    pub path: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub key: Arc<NodeKey>,
    pub node: String,
    pub epoch: u64,
    pub counters: Arc<Counters>,
    newest: Mutex<Newest>,
    changed: Condvar,
    /// One write at a time.
    turn: Mutex<()>,
}

impl HeadKeeper {
    pub(super) fn new(
        fs: Arc<dyn Fs>,
        dir: &Path,
        clock: Arc<dyn Clock>,
        key: Arc<NodeKey>,
        node: String,
        epoch: u64,
        counters: Arc<Counters>,
    ) -> Self {
        let path = dir.join(HEAD_FILE);
        let (newest, changed, turn) = (Mutex::default(), Condvar::new(), Mutex::new(()));
        Self { fs, path, clock, key, node, epoch, counters, newest, changed, turn }
    }

    /// Record `seq` is durable now.
    pub(super) fn advance(&self, seq: u64, hash: ChainHash) {
        let mut newest = self.newest.lock();
        newest.seq = seq;
        newest.hash = hash;
    }

    /// Newest durable record.
    pub(super) fn newest(&self) -> (u64, ChainHash) {
        let newest = self.newest.lock();
        (newest.seq, newest.hash)
    }

    /// The signed bytes of a head as of now.
    pub(super) fn bytes(&self) -> Result<(u64, Vec<u8>), StoreError> {
        let (seq, hash) = self.newest();
        let head = JournalHead {
            node: self.node.clone(),
            epoch: self.epoch,
            seq,
            hash: hex::encode(hash),
            at_us: self.clock.utc().0,
        };
        Ok((seq, signed::seal_json(What::Head, &self.key, &head)?))
    }

    /// Writes the head when it is behind.
    pub(super) fn write(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock();
        {
            let newest = self.newest.lock();
            if newest.written == newest.seq {
                return Ok(());
            }
        }
        let (seq, bytes) = self.bytes()?;
        let put = signed::put(&*self.fs, &self.path, &bytes);
        match put {
            Ok(()) => {
                self.newest.lock().written = seq;
                self.counters.head_seq.store(seq, Ordering::Release);
            }
            Err(_) => drop(self.counters.head_errors.fetch_add(1, Ordering::Relaxed)),
        }
        put
    }

    /// Writes the head every `interval` when it is behind, until told to stop.
    pub(super) fn run(&self, interval: Duration) {
        let mut failing = false;
        loop {
            {
                let mut newest = self.newest.lock();
                if !newest.stop {
                    self.changed.wait_for(&mut newest, interval);
                }
                if newest.stop {
                    return;
                }
            }
            match self.write() {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "cannot write the head of the journal; trying on");
                }
                Err(_) => {}
            }
        }
    }

    /// Ends [`Self::run`].
    pub(super) fn stop(&self) {
        self.newest.lock().stop = true;
        self.changed.notify_all();
    }
}
