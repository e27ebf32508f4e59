//! What is passed over when too much waits: which stretches are, which are decided next.
//!
//! The first frames behind what the centre has confirmed are never passed over, as many as may be on their way: so
//! nothing is counted as passed over that an earlier life of this node may have sent, and what goes up is the same
//! sequence in every life.

use std::collections::BTreeMap;

use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::{Deserialize, Serialize};

use crate::frame::Key;
use crate::upward::Priority;

/// Why records were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedWhy {
    /// Too many or too large ones waited.
    Backlog,
    /// The record is larger than a frame may be; its place is taken by the frame that says so.
    Oversized,
}

/// Body of `relay.passed_over`: own records that are never sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// From here on ...
    pub from: Key,
    /// ... to here, both included, ...
    pub to: Key,
    /// ... no record of this priority is sent.
    pub priority: Priority,
    /// How many these are, without those of earlier such records.
    pub count: u64,
    /// Their bytes as frames.
    pub bytes: u64,
    /// How many of each kind.
    pub by_kind: BTreeMap<String, u64>,
    /// Why.
    pub why: PassedWhy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    from: Key,
    to: Key,
    priority: Priority,
}

/// All that was passed over. Reduced from the node's own journal.
///
/// A stretch of low ones and one of normal ones grow with an outage; a new pair begins with the next. Beyond
/// `limits::RELAY_STRETCHES_MAX` the oldest are forgotten: the centre was behind them long ago.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedState {
    stretches: Vec<Stretch>,
    /// Records passed over so far.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl PassedState {
    /// Takes a stretch in.
    pub fn take(&mut self, passed: &PassedOver) {
        self.count += passed.count;
        self.bytes += passed.bytes;
        let PassedOver { from, to, priority, .. } = *passed;
        let touches = |s: &&mut Stretch| s.priority == priority && (s.from..=s.to).contains(&from);
        match self.stretches.iter_mut().find(touches) {
            Some(stretch) => stretch.to = to.max(stretch.to),
            None => self.stretches.push(Stretch { from, to, priority }),
        }
        if self.stretches.len() > limits::RELAY_STRETCHES_MAX {
            self.stretches.remove(0);
        }
    }

    /// Whether an own record is never sent.
    #[must_use]
    pub fn covers(&self, key: Key, priority: Priority) -> bool {
        self.stretches.iter().any(|s| s.priority == priority && (s.from..=s.to).contains(&key))
    }
}

impl Reducer for PassedState {
    const NAME: &'static str = "relay_passed_over";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        if kinds::is(&record.kind, &record.body, kinds::RELAY_PASSED_OVER) {
            let passed = PassedOver::deserialize(&record.body).map_err(|why| ReduceError::of(record, why))?;
            self.take(&passed);
        }
        Ok(())
    }
}

/// Looks for what to pass over, a bounded step at a time.
#[derive(Debug)]
pub(super) struct Search {
    pub priority: Priority,
    /// Records up to this number were looked at.
    pub at: u64,
    /// Frames seen that may be on their way.
    pub spared: usize,
    /// What was found.
    pub found: Option<PassedOver>,
    /// How much has to go.
    pub need: Size,
}

/// Records and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// How many.
    pub records: u64,
    /// Their bytes as frames.
    pub bytes: u64,
}

impl Size {
    pub(super) fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    pub(super) fn sub(&mut self, records: u64, bytes: u64) {
        self.records = self.records.saturating_sub(records);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Search {
    pub(super) fn new(priority: Priority, behind: u64, need: Size) -> Self {
        Self { priority, at: behind, spared: 0, found: None, need }
    }

    /// An own record that may be passed over and is of the priority.
    pub(super) fn take(&mut self, key: Key, kind: &str, bytes: u64) {
        let Some(found) = &mut self.found else { return };
        found.to = key;
        found.count += 1;
        found.bytes += bytes;
        *found.by_kind.entry(kind.to_owned()).or_default() += 1;
    }

    /// Where the stretch begins.
    pub(super) fn begin(&mut self, from: Key) {
        let priority = self.priority;
        self.found.get_or_insert_with(|| PassedOver {
            from,
            to: from,
            priority,
            count: 0,
            bytes: 0,
            by_kind: BTreeMap::new(),
            why: PassedWhy::Backlog,
        });
    }

    pub(super) fn has_found(&self) -> bool {
        self.found.as_ref().is_some_and(|f| f.count > 0)
    }

    pub(super) fn is_enough(&self) -> bool {
        self.found
            .as_ref()
            .is_some_and(|f| f.count > 0 && f.count >= self.need.records && f.bytes >= self.need.bytes)
    }
}
