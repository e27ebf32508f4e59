//! What waits: counted as the journal grows, and passed over when it is too much.

use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{JournalRecord, kinds};

use super::passing::{Search, Size};
use super::{Outbox, OutboxAction, Spool, forwarded};
use crate::frame::{FRAME_VERSION, Key, Preview};
use crate::pace::Now;
use crate::upward::Priority;

/// Bytes of a frame beside kind and body, about; counts need not be exact, but the same every time.
const FRAME_ROOM: u64 = 240;

/// Size of a record as a frame, as it is counted.
pub(super) fn size_of(record: &JournalRecord) -> u64 {
    FRAME_ROOM + (record.kind.len() + record.body.to_string().len()) as u64
}

impl Outbox {
    /// Priority of an own record that goes up.
    pub(super) fn own_priority(&self, record: &JournalRecord) -> Option<Priority> {
        self.upward.priority(kinds::current(&record.kind), &record.body)
    }

    /// Counts what is new in the journal, and sends live alarms the direct way.
    pub(super) fn count(&mut self, now: Now, spool: &mut dyn Spool) -> Result<(), StoreError> {
        let mut seen = 0;
        loop {
            let batch = spool.batch(self.tail, limits::RELAY_READ_RECORDS_MAX)?;
            let Some(last) = batch.last() else { return Ok(()) };
            seen += batch.len();
            let tail = last.seq;
            for record in &batch {
                let key = Key::new(record.epoch, record.seq);
                let Some(priority) = self.own_priority(record) else { continue };
                if key > self.done && !self.passed.covers(key, priority) {
                    self.waiting.entry(priority).or_default().add(size_of(record));
                }
                if priority == Priority::Alarm && is_live(record.at, now.utc) {
                    self.direct(now, self.preview(record));
                }
            }
            self.tail = tail;
            if seen >= limits::RELAY_SCAN_RECORDS_MAX {
                self.busy = true;
                return Ok(());
            }
        }
    }

    /// Counts anew from behind `after`.
    pub(super) fn recount(&mut self, after: u64, done: Key) {
        self.tail = after;
        self.done = done;
        self.waiting.clear();
        self.search = None;
        self.busy = true;
    }

    fn preview(&self, record: &JournalRecord) -> Preview {
        Preview {
            v: FRAME_VERSION,
            origin: self.node.clone(),
            epoch: record.epoch,
            seq: record.seq,
            at_us: record.at.0,
            kind: kinds::current(&record.kind).to_owned(),
            body: record.body.clone(),
        }
    }

    /// By how much more waits than may.
    fn excess(&self) -> Option<Size> {
        let (waits, may) = (self.backlog(), self.bounds.backlog);
        if waits.records <= may.records && waits.bytes <= may.bytes {
            return None;
        }
        // A little more goes than has to, so that it is not one record for each record.
        let records = waits.records.saturating_sub(may.records - may.records / 8);
        let bytes = waits.bytes.saturating_sub(may.bytes - may.bytes / 8);
        let over = |waits: u64, may: u64, need: u64| if waits > may { need } else { 0 };
        Some(Size {
            records: over(waits.records, may.records, records),
            bytes: over(waits.bytes, may.bytes, bytes),
        })
    }

    /// Looks for what to pass over when too much waits: low ones first, then normal ones.
    pub(super) fn pass_over(
        &mut self,
        spool: &mut dyn Spool,
        actions: &mut Vec<OutboxAction>,
    ) -> Result<(), StoreError> {
        // Without a cursor, and before the centre said where this node stands, nobody knows what it has already.
        let knows = self.acknowledged > 0 || self.walk > 0;
        if self.noting.is_some() || !knows {
            return Ok(());
        }
        if self.search.is_none() {
            let Some(need) = self.excess() else {
                self.hopeless = Size::default();
                return Ok(());
            };
            let (waits, step) = (self.backlog(), self.bounds.backlog);
            let grown = waits.records > self.hopeless.records + step.records / 16
                || waits.bytes > self.hopeless.bytes + step.bytes / 16;
            if !grown {
                return Ok(());
            }
            self.search = Some(Search::new(Priority::Low, self.acknowledged, need));
        }
        let Some(mut search) = self.search.take() else { return Ok(()) };
        let at_end = self.search_on(spool, &mut search)?;
        if search.is_enough() || at_end && search.has_found() {
            if let Some(passed) = search.found {
                self.noting = Some(passed.clone());
                actions.push(OutboxAction::Note(passed));
            }
        } else if !at_end {
            self.search = Some(search);
            self.busy = true;
        } else if search.priority == Priority::Low {
            self.search = Some(Search::new(Priority::Normal, self.acknowledged, search.need));
            self.busy = true;
        } else {
            self.hopeless = self.backlog();
        }
        Ok(())
    }

    /// Looks at a bounded number of records; says whether it came to the end of what was counted.
    fn search_on(&self, spool: &mut dyn Spool, search: &mut Search) -> Result<bool, StoreError> {
        let mut seen = 0;
        while seen < limits::RELAY_SCAN_RECORDS_MAX {
            let batch = spool.batch(search.at, limits::RELAY_READ_RECORDS_MAX)?;
            let mut counted = batch.iter().filter(|r| r.seq <= self.tail).peekable();
            if counted.peek().is_none() {
                return Ok(true);
            }
            for record in counted {
                seen += 1;
                search.at = record.seq;
                self.search_record(record, search);
                if search.is_enough() {
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    fn search_record(&self, record: &Arc<JournalRecord>, search: &mut Search) {
        let key = Key::new(record.epoch, record.seq);
        let own = self.own_priority(record).filter(|p| !self.passed.covers(key, *p));
        if search.spared < self.bounds.window_frames || record.seq <= self.sent {
            let below = if record.kind == kinds::RELAY_APPLIED { forwarded(&record.body).len() } else { 0 };
            search.spared += below + usize::from(own.is_some());
            return;
        }
        search.begin(key);
        if own == Some(search.priority) {
            search.take(key, kinds::current(&record.kind), size_of(record));
        }
    }
}

/// Whether an alarm is of now: what comes late goes the ordinary way.
fn is_live(at: UtcMicros, now: UtcMicros) -> bool {
    let age = now.since(at).unsigned_abs();
    age <= u64::try_from(limits::RELAY_DIRECT_AGE_MAX.as_micros()).unwrap_or(u64::MAX)
}
