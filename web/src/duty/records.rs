//! The journal as the driver of the rules follows it.

use fengsui_config::clock::UtcMicros;
use fengsui_duty::rules::Engine;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{Journal, JournalRecord, StateAt};

/// Records to follow.
pub trait Records: Send + Sync + 'static {
    /// Number of the newest.
    fn last(&self) -> u64;
    /// Those from number `from` on, in order, until `take` says that it is enough.
    ///
    /// # Errors
    /// When they cannot be read.
    fn each(&self, from: u64, take: &mut dyn FnMut(JournalRecord) -> bool) -> Result<(), StoreError>;
    /// The first ones from number `from` on, `max` at most.
    ///
    /// # Errors
    /// When they cannot be read.
    fn after(&self, from: u64, max: usize) -> Result<Vec<JournalRecord>, StoreError> {
        let mut found = Vec::new();
        self.each(from, &mut |record| {
            found.push(record);
            found.len() < max
        })?;
        Ok(found)
    }
    /// The engine that was kept last, and the record up to which it was fed.
    fn kept(&self) -> Option<(Engine, u64)> {
        None
    }
    /// Keeps an engine that was fed up to a record: its number and its hash.
    ///
    /// # Errors
    /// When it cannot be written.
    fn keep(&self, _: Engine, _: (u64, [u8; 32])) -> Result<(), StoreError> {
        Ok(())
    }
    /// Number of the first record noted at `at` or later, as far as the clock went forward.
    ///
    /// # Errors
    /// When they cannot be read.
    fn since(&self, at: UtcMicros) -> Result<u64, StoreError> {
        let (mut low, mut high) = (1, self.last() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.after(middle, 1)?.first() {
                Some(record) if record.at < at => low = record.seq + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}

impl Records for Journal {
    fn last(&self) -> u64 {
        self.last_seq()
    }

    fn each(&self, from: u64, take: &mut dyn FnMut(JournalRecord) -> bool) -> Result<(), StoreError> {
        for record in self.read(from)? {
            if !take(record?) {
                break;
            }
        }
        Ok(())
    }

    fn after(&self, from: u64, max: usize) -> Result<Vec<JournalRecord>, StoreError> {
        let recent = self.recent(from, max);
        if !recent.is_empty() {
            return Ok(recent);
        }
        let read = self.read(from)?.take(max);
        read.collect()
    }

    fn kept(&self) -> Option<(Engine, u64)> {
        self.snapshot::<Engine>().map(|kept| (kept.state, kept.seq))
    }

    fn keep(&self, engine: Engine, (seq, hash): (u64, [u8; 32])) -> Result<(), StoreError> {
        self.save_snapshot(&StateAt { state: engine, seq, hash, reduced: 0 })
    }
}
