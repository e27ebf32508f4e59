//! Dead letters: events that a receiver did not take in a day. A reduction of the journal.

use std::collections::{BTreeMap, VecDeque};

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer};
use serde::{Deserialize, Serialize};

use crate::auth::register::kinds;

/// One dead letter: body of `webhook.dead`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The webhook.
    pub webhook: String,
    /// The record of this node's journal from which the event was made.
    pub seq: u64,
    /// The act.
    pub act: String,
    /// Its matter.
    pub subject: String,
    /// Type of the event.
    pub kind: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When first.
    pub first_us: UtcMicros,
    /// When it was given up.
    pub at_us: UtcMicros,
    /// What the last attempt came to.
    pub detail: String,
}

/// Body of `webhook.redelivered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redelivered {
    /// The webhook.
    pub webhook: String,
    /// The act.
    pub act: String,
    /// Who had it sent again.
    pub by: String,
}

/// The dead letters of one webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// All that were not sent again; the newest of them are in `listed`.
    pub count: u64,
    /// The newest.
    pub listed: VecDeque<DeadLetter>,
}

impl Dead {
    /// One more.
    pub fn add(&mut self, letter: DeadLetter) {
        self.count += 1;
        if self.listed.len() >= limits::WEBHOOK_DEAD_LISTED_MAX {
            self.listed.pop_front();
        }
        self.listed.push_back(letter);
    }

    /// It was taken after all.
    pub fn remove(&mut self, act: &str) {
        if let Some(place) = self.listed.iter().position(|one| one.act == act) {
            self.listed.remove(place);
            self.count = self.count.saturating_sub(1);
        }
    }
}

/// The dead letters of all webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    by_webhook: BTreeMap<String, Dead>,
}

impl DeadLetters {
    /// Those of one webhook.
    #[must_use]
    pub fn of(&self, webhook: &str) -> Dead {
        self.by_webhook.get(webhook).cloned().unwrap_or_default()
    }
}

impl Reducer for DeadLetters {
    const NAME: &'static str = "webhook_dead";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let of = |e: serde_json::Error| ReduceError::of(record, e);
        if kinds::is(&record.kind, &record.body, kinds::WEBHOOK_DEAD) {
            let letter = DeadLetter::deserialize(&record.body).map_err(of)?;
            self.by_webhook.entry(letter.webhook.clone()).or_default().add(letter);
        } else if kinds::is(&record.kind, &record.body, kinds::WEBHOOK_REDELIVERED) {
            let taken = Redelivered::deserialize(&record.body).map_err(of)?;
            if let Some(dead) = self.by_webhook.get_mut(&taken.webhook) {
                dead.remove(&taken.act);
            }
        }
        Ok(())
    }
}
