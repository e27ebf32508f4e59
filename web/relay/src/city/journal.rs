//! A journal in memory that keeps the promises of the real one, and no others: a record is durable after its sync and
//! acknowledged after that; a crash in between keeps some of the group, in order, acknowledged to nobody.

use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{JournalRecord, Reducer, kinds};
use serde_json::Value;

use crate::outbox::Spool;

/// Who waits for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Nobody,
    /// The receiver, with its ticket.
    Inbox(u64),
    /// The sender's note about what it passes over.
    Outbox,
}

pub(super) struct ModelJournal {
    node: String,
    pub epoch: u64,
    pub records: Vec<Arc<JournalRecord>>,
    pending: Vec<(String, Value, Waits)>,
    group: Vec<(JournalRecord, Waits)>,
    pub cursor: u64,
}

impl ModelJournal {
    pub(super) fn new(node: &str) -> Self {
        let (records, pending, group) = (Vec::new(), Vec::new(), Vec::new());
        Self { node: node.to_owned(), epoch: 0, records, pending, group, cursor: 0 }
    }

    pub(super) fn append(&mut self, kind: &str, body: Value, waits: Waits) {
        // As it is after it was read from the disk.
        let body = serde_json::from_str(&body.to_string()).unwrap();
        self.pending.push((kind.to_owned(), body, waits));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.group.is_empty()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Begins to write what waits.
    pub(super) fn begin_group(&mut self, at: UtcMicros) {
        let first = self.records.len() as u64 + 1;
        for (seq, (kind, body, waits)) in (first..).zip(self.pending.drain(..)) {
            let (node, epoch) = (self.node.clone(), self.epoch);
            let record = JournalRecord { node, epoch, seq, at, kind, body, previous: [0; 32], hash: [0; 32] };
            self.group.push((record, waits));
        }
    }

    /// The sync came through: all are durable. Gives who waits.
    pub(super) fn end_group(&mut self) -> Vec<Waits> {
        let mut waits = Vec::new();
        for (record, who) in self.group.drain(..) {
            self.records.push(Arc::new(record));
            waits.push(who);
        }
        waits
    }

    /// The disk refused.
    pub(super) fn refuse_group(&mut self) -> Vec<Waits> {
        self.group.drain(..).map(|(_, who)| who).collect()
    }

    /// The node dies; `keep` of the group being written are durable all the same.
    pub(super) fn crash(&mut self, keep: usize) {
        self.pending.clear();
        let keep = keep.min(self.group.len());
        self.records.extend(self.group.drain(..).take(keep).map(|(record, _)| Arc::new(record)));
    }

    pub(super) fn group_len(&self) -> usize {
        self.group.len()
    }

    pub(super) fn open(&mut self, at: UtcMicros) {
        self.epoch += 1;
        self.append(kinds::JOURNAL_OPENED, serde_json::json!({}), Waits::Nobody);
        self.begin_group(at);
        self.end_group();
    }

    pub(super) fn reduce<R: Reducer>(&self) -> R {
        let mut state = R::default();
        self.records.iter().for_each(|record| state.apply(record).unwrap());
        state
    }
}

/// Reads a journal for a sender.
pub(super) struct ModelSpool<'a>(pub &'a ModelJournal);

impl Spool for ModelSpool<'_> {
    fn batch(&mut self, after: u64, max: usize) -> Result<Vec<Arc<JournalRecord>>, StoreError> {
        let after = usize::try_from(after).unwrap();
        Ok(self.0.records.iter().skip(after).take(max).cloned().collect())
    }
}
