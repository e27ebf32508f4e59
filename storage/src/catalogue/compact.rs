//! Writing the log afresh while everything goes on.
//!
//! The log grows by what happened; once a day it is written afresh with what is. Streams are copied one after the
//! other under a short lock. What happens meanwhile goes to the old log as ever, and for streams already copied also
//! to a tail that ends the fresh log. The old log is replaced in one rename, after the fresh one was synced and read
//! back; a crash at any moment leaves one of the two whole.

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;

use super::fresh::Fresh;
use super::store;
use super::{Catalogue, Inner};
use crate::error::StoreError;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compaction {
    /// Length of the log before.
    pub before_bytes: u64,
    /// Length of the log now.
    pub after_bytes: u64,
}

/// What happens while a fresh log is written.
#[derive(Debug, Default)]
pub(super) struct Tee {
    /// Streams below this index are in the fresh log already.
    copied: u32,
    /// Records about them.
    tail: Vec<u8>,
}

impl Tee {
    /// Takes a record that was just made.
    pub(super) fn take(&mut self, stream: Option<u32>, bytes: &[u8]) {
        if stream.is_none_or(|s| s < self.copied) {
            self.tail.extend_from_slice(bytes);
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.tail
    }

    fn is_full(&self) -> bool {
        self.tail.len() > limits::CATALOGUE_TAIL_BYTES_MAX
    }
}

impl Catalogue {
    /// Whether the log should be written afresh: it is a day old, much longer than it needs to be, or a sync of it
    /// failed.
    #[must_use]
    pub fn compaction_due(&self, now: MonoMicros) -> bool {
        let Some(last) = self.compacted.try_lock() else { return false };
        if now.since(*last) >= limits::CATALOGUE_COMPACTION_INTERVAL {
            return true;
        }
        drop(last);
        let needed = self.inner.read().index.snapshot_bytes();
        let file = self.file.lock();
        file.is_suspect() || file.is_stale(needed)
    }

    /// Writes the log afresh. Queries and changes go on meanwhile; only the last step holds up [`Self::flush`].
    /// On failure the old log stays in use. `None` when a compaction is under way already.
    pub fn compact(&self) -> Result<Option<Compaction>, StoreError> {
        let Some(mut last) = self.compacted.try_lock() else { return Ok(None) };
        *last = self.clock.mono();
        let done = self.write_afresh();
        self.inner.write().tee = None;
        done.map(Some)
    }

    fn write_afresh(&self) -> Result<Compaction, StoreError> {
        let mut fresh = Fresh::create(&*self.fs, &self.dir)?;
        let mut bytes = Vec::new();
        {
            let mut inner = self.inner.write();
            inner.index.snapshot_head(&mut bytes);
            inner.tee = Some(Tee::default());
        }
        fresh.write(&bytes)?;
        loop {
            bytes.clear();
            if !copy_next(&mut self.inner.write(), &mut bytes) {
                break;
            }
            fresh.write(&bytes)?;
        }
        fresh.verify()?;
        self.switch(fresh)
    }

    fn switch(&self, mut fresh: Fresh) -> Result<Compaction, StoreError> {
        let mut file = self.file.lock();
        let before_bytes = file.length();
        let tail = {
            let mut inner = self.inner.write();
            // Should the fresh log fail yet, the old one needs them.
            file.keep(std::mem::take(&mut inner.unwritten));
            inner.tee.take().filter(|t| !t.is_full())
        };
        let Some(tail) = tail else {
            let full = std::io::Error::other("too much happened while the log was written afresh");
            return Err(StoreError::io("compact catalogue", &self.dir)(full));
        };
        fresh.write(&tail.tail)?;
        fresh.sync()?;
        let placed = fresh.put_in_place(&*self.fs)?;
        let after_bytes = placed.length();
        let durable = store::sync_dir_of(&*self.fs, &self.dir.join(store::NAME));
        file.replace_by(placed, durable.is_ok());
        durable.map(|()| Compaction { before_bytes, after_bytes })
    }
}

/// Copies one more stream; `false` when all are, or when there is too much to remember.
pub(super) fn copy_next(inner: &mut Inner, bytes: &mut Vec<u8>) -> bool {
    let Inner { index, tee, .. } = inner;
    let Some(tee) = tee.as_mut() else { return false };
    if tee.is_full() || !index.snapshot_stream(tee.copied, bytes) {
        tee.copied = u32::MAX;
        return false;
    }
    tee.copied += 1;
    true
}
