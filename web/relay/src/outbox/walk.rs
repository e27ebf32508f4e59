//! A walk: from where the centre stands through the journal, each frame once.

use std::collections::BTreeMap;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{JournalRecord, kinds};

use super::count::size_of;
use super::flight::Flight;
use super::passing::{PassedOver, PassedWhy};
use super::{Outbox, OutboxAction, Spool, Standing, forwarded};
use crate::frame::{Frame, Key, Mark, Packet};
use crate::pace::Now;
use crate::talk::Where;
use crate::upward::Priority;

/// A frame that was read and is not on its way yet.
#[derive(Debug)]
pub(super) struct Ready {
    frame: Frame,
    priority: Priority,
    size: u64,
    record: Key,
    /// The record read before the one that it is in.
    pub behind: Key,
}

impl Outbox {
    /// The centre answered where to go on. Answers to older questions change nothing.
    ///
    /// # Errors
    /// When the journal cannot be read; the centre is asked again then.
    pub fn located(&mut self, now: Now, answer: &Where, spool: &mut dyn Spool) -> Result<(), StoreError> {
        if self.standing != Standing::Asking || self.ask.is_none_or(|ask| ask.ask != answer.ask) {
            return Ok(());
        }
        let start = self.start(answer, spool)?;
        self.ask = None;
        self.asked_in_vain = 0;
        let marks: BTreeMap<_, _> = answer.marks.iter().map(|m| (m.origin.clone(), m.mark)).collect();
        let own = marks.get(&self.node).copied().unwrap_or_default();
        if own.key.epoch > self.epoch {
            self.standing = Standing::Ahead;
            return Ok(());
        }
        let was_sending = self.flights.oldest_unconfirmed().is_some();
        let news = self.confirm(&answer.marks);
        self.walks_in_vain = match (was_sending, news) {
            (true, false) => self.walks_in_vain.saturating_add(1),
            (_, true) => 0,
            (false, false) => self.walks_in_vain,
        };
        if own.key < self.done || start.seq > self.acknowledged {
            self.recount(start.seq, own.key);
        }
        // A cursor that was lost is where the centre says that it has been.
        self.acknowledged = self.acknowledged.max(start.seq);
        self.flights.clear();
        self.ready.clear();
        (self.marks, self.head, self.base) = (marks, start, start);
        self.walk = answer.ask;
        self.standing = Standing::Walking;
        self.counters.walks += 1;
        (self.ask_at, self.located_at) = (now.mono, now.mono);
        Ok(())
    }

    /// Where a walk begins: behind the last record of which the centre is known to have everything.
    fn start(&self, answer: &Where, spool: &mut dyn Spool) -> Result<Key, StoreError> {
        let Some(base) = answer.base.filter(|base| base.seq > 0) else { return Ok(Key::default()) };
        let mut key_at = |seq: u64| -> Result<Option<Key>, StoreError> {
            let Some(before) = seq.checked_sub(1) else { return Ok(Some(Key::default())) };
            let found = spool.batch(before, 1)?;
            Ok(found.first().filter(|r| r.seq == seq).map(|r| Key::new(r.epoch, r.seq)))
        };
        if key_at(base.seq)? == Some(base) {
            return Ok(base);
        }
        // The record is of a life that this journal does not know: it was restored. What its cursor says is older.
        Ok(key_at(self.acknowledged)?.unwrap_or_default())
    }

    /// Reads and publishes as much as fits the window.
    pub(super) fn step(
        &mut self,
        now: Now,
        spool: &mut dyn Spool,
        actions: &mut Vec<OutboxAction>,
    ) -> Result<(), StoreError> {
        let mut read = 0;
        if !self.publish(now, actions) {
            return Ok(());
        }
        while self.head.seq < self.tail {
            if read >= limits::RELAY_SCAN_RECORDS_MAX {
                self.busy = true;
                return Ok(());
            }
            let batch = spool.batch(self.head.seq, limits::RELAY_READ_RECORDS_MAX)?;
            let (mut any, tail) = (false, self.tail);
            for record in batch.iter().filter(|r| r.seq <= tail) {
                any = true;
                read += 1;
                if self.flights.len() >= self.bounds.window_frames {
                    return Ok(());
                }
                self.expand(record);
                self.head = Key::new(record.epoch, record.seq);
                if !self.publish(now, actions) {
                    return Ok(());
                }
            }
            if !any {
                // Records that were counted cannot be read any more: a check of the journal tells.
                self.counters.unreadable += 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Puts what is ready on its way; says whether there is room for more.
    fn publish(&mut self, now: Now, actions: &mut Vec<OutboxAction>) -> bool {
        // A walk after ones in vain goes gently, in the end one by one: a stream that takes some frames and refuses
        // others must not make a receiver believe that the refused ones do not exist.
        let unacked = (self.bounds.unacked >> (2 * self.walks_in_vain.min(16))).max(1);
        while let Some(ready) = self.ready.front() {
            if self.flights.len() >= self.bounds.window_frames || self.flights.unacked() >= unacked {
                return false;
            }
            let packet = Packet { base: self.base, walk: self.walk, frame: ready.frame.clone() };
            let bytes = packet.encode();
            let fits = self.flights.bytes() + bytes.len() <= self.bounds.window_bytes;
            if !fits && self.flights.len() > 0 {
                return false;
            }
            let mut message_id = ready.frame.message_id();
            // The stream may hold it for a duplicate of one that the centre never got.
            if self.walks_in_vain >= 2 {
                message_id = format!("{message_id}/{:x}", self.walk);
            }
            let flight = Flight {
                origin: ready.frame.origin.clone(),
                key: ready.frame.key(),
                priority: ready.priority,
                bytes: bytes.len(),
                size: ready.size,
                record: ready.record,
                behind: ready.behind,
                at: now.mono,
                is_published: false,
                is_confirmed: false,
            };
            self.sent = self.sent.max(ready.record.seq);
            self.ready.pop_front();
            let ticket = self.flights.push(flight);
            self.counters.published += 1;
            actions.push(OutboxAction::Publish { ticket, message_id, bytes });
        }
        true
    }

    /// Makes the frames of a record ready.
    fn expand(&mut self, record: &JournalRecord) {
        if record.kind == kinds::RELAY_APPLIED {
            self.expand_forwarded(record);
        }
        let Some(priority) = self.own_priority(record) else { return };
        let key = Key::new(record.epoch, record.seq);
        if self.passed.covers(key, priority) {
            return;
        }
        let (mark, size) = (self.marks.get(&self.node).copied().unwrap_or_default(), size_of(record));
        if key <= mark.key {
            self.settle(key, priority, size);
            self.know(self.node.clone(), key, priority, key);
            return;
        }
        let frame = self.own_frame(record, key, priority, mark, size);
        self.marks.insert(self.node.clone(), frame.mark());
        self.ready.push_back(Ready { frame, priority, size, record: key, behind: self.head });
    }

    /// A frame that the centre has, in a record that the cursor is not behind yet. It counts as on its way: a later life
    /// begins at the cursor, and must find no more than a window that was ever sent.
    fn know(&mut self, origin: NodeId, key: Key, priority: Priority, record: Key) {
        if record.seq > self.acknowledged {
            self.flights.push_confirmed(Flight {
                origin,
                key,
                priority,
                bytes: 0,
                size: 0,
                record,
                behind: self.head,
                at: MonoMicros(0),
                is_published: true,
                is_confirmed: true,
            });
        }
    }

    fn own_frame(
        &mut self,
        record: &JournalRecord,
        key: Key,
        priority: Priority,
        mark: Mark,
        size: u64,
    ) -> Frame {
        let at = UtcMicros(record.at.0);
        let kind = kinds::current(&record.kind);
        let frame = Frame::behind(mark, &self.node, key, at, kind, record.body.clone());
        if frame.encoded_len() <= limits::RELAY_FRAME_BYTES_MAX {
            return frame;
        }
        self.counters.oversized += 1;
        let by_kind = BTreeMap::from([(kind.to_owned(), 1)]);
        let (from, to, why) = (key, key, PassedWhy::Oversized);
        let passed = PassedOver { from, to, priority, count: 1, bytes: size, by_kind, why };
        let body = serde_json::to_value(passed).unwrap_or_default();
        Frame::behind(mark, &self.node, key, at, kinds::RELAY_PASSED_OVER, body)
    }

    fn expand_forwarded(&mut self, record: &JournalRecord) {
        let key = Key::new(record.epoch, record.seq);
        for frame in forwarded(&record.body) {
            let mark = self.marks.get(&frame.origin).copied().unwrap_or_default();
            if frame.origin == self.node {
                continue;
            }
            let priority = self.upward.priority(&frame.kind, &frame.body).unwrap_or(Priority::Normal);
            if frame.key() <= mark.key {
                self.know(frame.origin.clone(), frame.key(), priority, key);
                continue;
            }
            self.marks.insert(frame.origin.clone(), frame.mark());
            self.ready.push_back(Ready { frame, priority, size: 0, record: key, behind: self.head });
        }
    }
}
