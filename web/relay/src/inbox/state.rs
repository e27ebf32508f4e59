//! Where every origin stands: reduced from the receiver's own journal, so that a start knows what was taken in.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::judge::Reason;
use crate::frame::{Frame, Key, Mark};

/// Body of `relay.applied`: what one step took in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// One part for each origin and sender, in the order of the origin.
    pub parts: Vec<AppliedPart>,
}

/// Frames of one origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedPart {
    /// The node that sent them: the origin, or a county that forwards.
    pub from: NodeId,
    /// See [`crate::frame::Packet::base`]; `None` when it is not believed.
    pub base: Option<Key>,
    /// All of one origin, each behind the one before.
    pub frames: Vec<Frame>,
}

/// Body of `relay.quarantined`: what one step did not take in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// One part for each origin and sender.
    pub parts: Vec<QuarantinedPart>,
}

/// Frames of one origin that were not taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantinedPart {
    /// The node that sent them.
    pub from: NodeId,
    /// See [`crate::frame::Packet::base`].
    pub base: Option<Key>,
    /// Whose they are; the sender, when they do not say or may not.
    pub origin: NodeId,
    /// Where the origin stands behind them; `None` when they have no place.
    pub mark: Option<Mark>,
    /// What is kept of them.
    pub frames: Vec<BadFrame>,
    /// Further ones, of which nothing is kept, by reason.
    pub beyond: BTreeMap<Reason, u64>,
}

/// What is kept of a frame that was not taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BadFrame {
    /// Its place, when that could be read.
    pub key: Option<Key>,
    /// Why.
    pub reason: Reason,
    /// The same for people.
    pub detail: String,
    /// Its size.
    pub bytes: usize,
    /// Its first bytes; what is no text is replaced.
    pub head: String,
}

/// Where one origin stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OriginState {
    /// The newest frame that was taken in or put in quarantine.
    #[serde(flatten)]
    pub mark: Mark,
    /// Who sent it.
    pub via: NodeId,
    /// Frames taken in.
    pub applied: u64,
    /// Frames put in quarantine or counted as such.
    pub quarantined: u64,
    /// Records that the origin says it passed over.
    pub passed_over: u64,
    /// Time of the newest frame taken in, on the origin's clock.
    pub newest: UtcMicros,
}

/// Where everything stands: the state of a receiver.
///
/// - A receiver that starts again goes on where its journal ends, wherever it was cut: `the_city_loses_nothing`.
/// - A standing record alone gives the same state as all records before it: `a_standing_record_stands_for_all_before`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InboxState {
    /// By origin.
    pub origins: BTreeMap<NodeId, OriginState>,
    /// Record of each sender's journal up to which everything was taken in.
    pub senders: BTreeMap<NodeId, Key>,
    /// Since when no record says where everything stands.
    #[serde(default)]
    pub standing_since: Option<UtcMicros>,
}

impl InboxState {
    /// Where an origin stands; the very beginning for one that was never heard of.
    #[must_use]
    pub fn mark(&self, origin: &NodeId) -> Mark {
        self.origins.get(origin).map(|o| o.mark).unwrap_or_default()
    }

    /// Takes in the body of a record of the relay.
    ///
    /// # Errors
    /// When it has another shape; nothing is changed then.
    pub fn take(&mut self, kind: &str, body: &Value, at: UtcMicros) -> Result<(), String> {
        if kinds::is(kind, body, kinds::RELAY_APPLIED) {
            let applied: Applied = read(body)?;
            applied.parts.iter().for_each(|part| self.take_applied(part));
        } else if kinds::is(kind, body, kinds::RELAY_QUARANTINED) {
            let quarantined: Quarantined = read(body)?;
            quarantined.parts.iter().for_each(|part| self.take_quarantined(part));
        } else if kinds::is(kind, body, kinds::RELAY_STANDING) {
            *self = read(body)?;
            self.standing_since = Some(at);
            return Ok(());
        } else {
            return Ok(());
        }
        self.standing_since.get_or_insert(at);
        Ok(())
    }

    fn entry(&mut self, origin: &NodeId, via: &NodeId) -> &mut OriginState {
        let entry = self.origins.entry(origin.clone()).or_insert_with(|| OriginState {
            mark: Mark::default(),
            via: via.clone(),
            applied: 0,
            quarantined: 0,
            passed_over: 0,
            newest: UtcMicros(0),
        });
        entry.via.clone_from(via);
        entry
    }

    fn heard(&mut self, from: &NodeId, base: Option<Key>) {
        let Some(base) = base else { return };
        let known = self.senders.entry(from.clone()).or_default();
        *known = base.max(*known);
    }

    fn take_applied(&mut self, part: &AppliedPart) {
        self.heard(&part.from, part.base);
        for frame in &part.frames {
            let entry = self.entry(&frame.origin, &part.from);
            entry.mark = frame.mark();
            entry.applied += 1;
            entry.newest = UtcMicros(frame.at_us);
            if frame.kind == kinds::RELAY_PASSED_OVER {
                entry.passed_over += frame.body.get("count").and_then(Value::as_u64).unwrap_or(0);
            }
        }
    }

    fn take_quarantined(&mut self, part: &QuarantinedPart) {
        // One without a place says nothing about where its sender stands either.
        let Some(mark) = part.mark else { return };
        self.heard(&part.from, part.base);
        let count = part.frames.len() as u64 + part.beyond.values().sum::<u64>();
        let entry = self.entry(&part.origin, &part.from);
        entry.mark = mark;
        entry.quarantined += count;
    }
}

fn read<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|e| e.to_string())
}

impl Reducer for InboxState {
    const NAME: &'static str = "relay_inbox";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        self.take(&record.kind, &record.body, record.at).map_err(|why| ReduceError::of(record, why))
    }
}
