//! The closed segments of one stream: packed rows in chunks, in order of start.
//!
//! A chunk keeps the time of its first row once and 20 bytes a row. Chunks have at most [`CHUNK_ROWS`] rows, so that
//! a row in the middle (found by a check, or written under a clock that was set back) and the removal of the oldest
//! ones move some kilobytes, not the whole month.

use super::log::Packed;

/// Most rows of a chunk, and of one record of a fresh log.
pub(super) const CHUNK_ROWS: usize = 256;

/// A chunk grows by this many rows at a time: the room that it holds in reserve at most.
const CHUNK_GROWTH: usize = 16;

/// One row; its start counts from that of the chunk.
#[derive(Debug, Clone, Copy)]
struct Slot {
    after_ms: u32,
    number: u32,
    bytes: u32,
    duration_ms: u32,
    volume: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Slot>() == 20, "the catalogue promises at most 24 bytes a segment in all");

/// Rows near each other in time.
#[derive(Debug, Default)]
struct Chunk {
    /// No row starts earlier.
    base_ms: i64,
    /// No row ends later.
    end_ms: i64,
    slots: Vec<Slot>,
}

impl Chunk {
    fn of(row: Packed) -> Self {
        let mut chunk = Self { base_ms: row.start_ms, end_ms: i64::MIN, slots: Vec::new() };
        chunk.put(0, row);
        chunk
    }

    fn start_of(&self, slot: &Slot) -> i64 {
        self.base_ms.saturating_add(i64::from(slot.after_ms))
    }

    fn unpack(&self, slot: &Slot) -> Packed {
        let Slot { number, bytes, duration_ms, volume, flags, .. } = *slot;
        Packed { start_ms: self.start_of(slot), number, bytes, duration_ms, volume, flags }
    }

    fn key(&self, slot: &Slot) -> (i64, u32) {
        (self.start_of(slot), slot.number)
    }

    fn first_key(&self) -> (i64, u32) {
        self.slots.first().map_or((i64::MAX, u32::MAX), |s| self.key(s))
    }

    fn search(&self, key: (i64, u32)) -> Result<usize, usize> {
        if self.slots.last().is_none_or(|s| self.key(s) < key) {
            return Err(self.slots.len());
        }
        self.slots.binary_search_by_key(&key, |s| self.key(s))
    }

    fn rows(&self) -> impl DoubleEndedIterator<Item = Packed> {
        self.slots.iter().map(|s| self.unpack(s))
    }

    /// Makes room in time for a row that starts at `start_ms`; `false` when the chunk cannot reach so far.
    fn reach(&mut self, start_ms: i64) -> bool {
        let Some(shift) = self.base_ms.checked_sub(start_ms).filter(|s| *s > 0) else {
            return start_ms.checked_sub(self.base_ms).is_some_and(|after| u32::try_from(after).is_ok());
        };
        let last = self.slots.last().map_or(0, |s| i64::from(s.after_ms));
        let Ok(shift) = u32::try_from(shift) else { return false };
        if u32::try_from(last.saturating_add(i64::from(shift))).is_err() {
            return false;
        }
        self.base_ms = start_ms;
        for slot in &mut self.slots {
            slot.after_ms = slot.after_ms.saturating_add(shift);
        }
        true
    }

    fn put(&mut self, at: usize, row: Packed) {
        let Packed { number, bytes, duration_ms, volume, flags, .. } = row;
        let after_ms = u32::try_from(row.start_ms.saturating_sub(self.base_ms)).unwrap_or(u32::MAX);
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(CHUNK_GROWTH);
        }
        self.slots
            .insert(at.min(self.slots.len()), Slot { after_ms, number, bytes, duration_ms, volume, flags });
        self.end_ms = self.end_ms.max(row.end_ms());
    }

    fn measure(&mut self) {
        self.end_ms = self.rows().map(|r| r.end_ms()).max().unwrap_or(i64::MIN);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Chunk>,
    len: usize,
    bytes: u64,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Length of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Memory that the rows take, reserves and all.
    pub(super) fn memory(&self) -> usize {
        let slots: usize = self.chunks.iter().map(|c| c.slots.capacity()).sum();
        slots * size_of::<Slot>() + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// All rows in order of start.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Packed> {
        self.chunks.iter().flat_map(Chunk::rows)
    }

    pub(super) fn first(&self) -> Option<Packed> {
        self.iter().next()
    }

    /// End of the newest footage in milliseconds.
    pub(super) fn end_ms(&self) -> Option<i64> {
        self.chunks.iter().map(|c| c.end_ms).max()
    }

    /// Rows of which some lies within `from_ms < t < to_ms`, in order of start.
    pub(super) fn overlapping(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = Packed> {
        let end = self.chunks.partition_point(|c| c.first_key().0 < to_ms);
        let chunks = self.chunks.get(..end).unwrap_or_default().iter();
        chunks
            .filter(move |c| c.end_ms > from_ms)
            .flat_map(Chunk::rows)
            .filter(move |r| r.start_ms < to_ms && r.end_ms() > from_ms)
    }

    /// The first row behind this start and number.
    pub(super) fn behind(&self, key: (i64, u32)) -> Option<Packed> {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get(at)?;
        let place = chunk.search(key).map_or_else(|place| place, |place| place + 1);
        let here = chunk.slots.get(place).map(|s| chunk.unpack(s));
        here.or_else(|| self.chunks.get(at + 1).and_then(|next| next.rows().next()))
    }

    /// The first row that starts after `start_ms`.
    pub(super) fn after(&self, start_ms: i64) -> Option<Packed> {
        let chunk = self.chunks.partition_point(|c| c.first_key().0 <= start_ms).saturating_sub(1);
        self.chunks.iter().skip(chunk).flat_map(Chunk::rows).find(|r| r.start_ms > start_ms)
    }

    /// The chunk that holds the key, or would.
    fn chunk_of(&self, key: (i64, u32)) -> usize {
        // Almost every row is the newest.
        if self.chunks.last().is_some_and(|c| c.first_key() <= key) {
            return self.chunks.len() - 1;
        }
        self.chunks.partition_point(|c| c.first_key() <= key).saturating_sub(1)
    }

    /// The row with this start and number.
    pub(super) fn get(&self, start_ms: i64, number: u32) -> Option<Packed> {
        let key = (start_ms, number);
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.search(key).ok().and_then(|at| chunk.slots.get(at)).map(|s| chunk.unpack(s))
    }

    /// The newest row with this number.
    pub(super) fn by_number(&self, number: u32) -> Option<Packed> {
        self.iter().rev().find(|r| r.number == number)
    }

    /// Puts a row in its place; one with the same start and number is replaced.
    pub(super) fn insert(&mut self, row: Packed) {
        let key = (row.start_ms, row.number);
        let at = self.chunk_of(key);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Chunk::of(row));
            self.count(row);
            return;
        };
        let place = match chunk.search(key) {
            Ok(place) => {
                let old = chunk.slots.remove(place);
                chunk.put(place, row);
                chunk.measure();
                self.len -= 1;
                self.bytes = self.bytes.saturating_sub(u64::from(old.bytes));
                self.count(row);
                return;
            }
            Err(place) => place,
        };
        if chunk.slots.len() < CHUNK_ROWS && chunk.reach(row.start_ms) {
            chunk.put(place, row);
        } else if place == chunk.slots.len() {
            self.chunks.insert(at + 1, Chunk::of(row));
        } else if place == 0 {
            self.chunks.insert(at, Chunk::of(row));
        } else {
            // Full, and the row belongs into the middle.
            let slots = chunk.slots.split_off(place);
            let mut tail = Chunk { base_ms: chunk.base_ms, end_ms: i64::MIN, slots };
            chunk.slots.shrink_to_fit();
            chunk.measure();
            tail.measure();
            self.chunks.insert(at + 1, tail);
            self.chunks.insert(at + 1, Chunk::of(row));
        }
        self.count(row);
    }

    fn count(&mut self, row: Packed) {
        self.len += 1;
        self.bytes += u64::from(row.bytes);
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, start_ms: i64, number: u32) -> Option<Packed> {
        let key = (start_ms, number);
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let place = chunk.search(key).ok()?;
        let row = chunk.slots.get(place).map(|s| chunk.unpack(s))?;
        chunk.slots.remove(place);
        self.len -= 1;
        self.bytes = self.bytes.saturating_sub(u64::from(row.bytes));
        if chunk.slots.is_empty() {
            self.chunks.remove(at);
        } else {
            chunk.measure();
        }
        Some(row)
    }
}
