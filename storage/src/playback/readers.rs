//! Open readers of segments, the least recently used ones closed first.

use std::collections::HashMap;
use std::sync::Arc;

use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use parking_lot::{Mutex, RwLock};

use crate::segment::SegmentReader;

/// A reader that several requests share; written to only to take in what was committed since.
pub(super) type SharedReader = Arc<RwLock<SegmentReader>>;

#[derive(Debug)]
struct Held {
    reader: SharedReader,
    closed: bool,
    used: u64,
}

#[derive(Debug, Default)]
struct Inner {
    /// Counts uses; the smallest `used` is the oldest.
    uses: u64,
    held: HashMap<(StreamKey, u64), Held>,
}

/// Readers by stream and segment number, at most `limits::SEGMENT_READERS_MAX`.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Inner>);

impl Readers {
    /// The reader of a segment, if it is open and of the state asked for.
    pub(super) fn get(&self, key: StreamKey, number: u64, closed: bool) -> Option<SharedReader> {
        let mut inner = self.0.lock();
        inner.uses += 1;
        let now = inner.uses;
        let held = inner.held.get_mut(&(key, number)).filter(|h| h.closed == closed)?;
        held.used = now;
        Some(held.reader.clone())
    }

    /// Keeps a reader, in place of an older one of the same segment.
    pub(super) fn put(
        &self,
        key: StreamKey,
        number: u64,
        closed: bool,
        reader: SegmentReader,
    ) -> SharedReader {
        let reader = Arc::new(RwLock::new(reader));
        let mut inner = self.0.lock();
        inner.uses += 1;
        let used = inner.uses;
        inner.held.insert((key, number), Held { reader: reader.clone(), closed, used });
        if inner.held.len() > limits::SEGMENT_READERS_MAX
            && let Some(oldest) = inner.held.iter().min_by_key(|(_, h)| h.used).map(|(k, _)| *k)
        {
            inner.held.remove(&oldest);
        }
        reader
    }

    /// Closes the reader of a segment: its file was replaced.
    pub(super) fn forget(&self, key: StreamKey, number: u64) {
        self.0.lock().held.remove(&(key, number));
    }

    /// Readers held now.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().held.len()
    }
}
