//! The journal as a sender's spool: read on demand, so that a week of backlog costs no memory.

use std::sync::Arc;

use fengsui_config::limits;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{Journal, JournalRecord};

/// What a sender reads from.
pub trait Spool {
    /// Up to `max` durable records behind number `after`, in order; none at the end. Records of all kinds, own and
    /// `relay.applied` ones.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn batch(&mut self, after: u64, max: usize) -> Result<Vec<Arc<JournalRecord>>, StoreError>;
}

/// The journal itself, with the records read last kept at hand: those who count and those who send come by one behind
/// the other.
#[derive(Debug)]
pub struct JournalSpool {
    journal: Arc<Journal>,
    /// In order and without a hole, from behind `after` on.
    kept: Vec<Arc<JournalRecord>>,
    after: u64,
}

impl JournalSpool {
    /// The spool that this journal is.
    #[must_use]
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { journal, kept: Vec::new(), after: 0 }
    }

    fn kept_behind(&self, after: u64, max: usize) -> Vec<Arc<JournalRecord>> {
        if after < self.after {
            return Vec::new();
        }
        let from = self.kept.partition_point(|record| record.seq <= after);
        self.kept.iter().skip(from).take(max).cloned().collect()
    }
}

impl Spool for JournalSpool {
    fn batch(&mut self, after: u64, max: usize) -> Result<Vec<Arc<JournalRecord>>, StoreError> {
        let kept = self.kept_behind(after, max);
        if !kept.is_empty() || after >= self.journal.last_seq() {
            return Ok(kept);
        }
        // Those that just happened, which is all that a sender without a backlog reads.
        let recent = self.journal.recent(after + 1, max);
        if !recent.is_empty() {
            return Ok(recent.into_iter().map(Arc::new).collect());
        }
        // Each reading takes in a whole file of the journal, so it is worth many records.
        let many = limits::RELAY_SCAN_RECORDS_MAX.max(max);
        let mut bytes = 0;
        let mut read = Vec::new();
        for record in self.journal.read(after + 1)?.take(many) {
            let record = record?;
            bytes += record.body.to_string().len();
            read.push(Arc::new(record));
            // Records differ a thousandfold in size; what is kept is bounded by both.
            if bytes >= limits::RELAY_WINDOW_BYTES_MAX {
                break;
            }
        }
        (self.kept, self.after) = (read, after);
        Ok(self.kept_behind(after, max))
    }
}
