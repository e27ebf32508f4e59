//! What of the matters stays in memory.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use super::AnyLedger;
use crate::act::{ActId, By, MatterId, MatterKind, Noted};
use crate::fact::Fact;
use crate::ledger::Digest;

/// Where a matter stands for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    has_begun: bool,
    over: Option<UtcMicros>,
    bytes: u64,
    digest: Digest,
}

/// An act that came when its matter was gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateAct {
    /// Its record.
    pub id: ActId,
    /// What it is about.
    pub matter: MatterId,
    /// When it was made.
    pub at_us: UtcMicros,
    /// By whom.
    pub by: By,
}

/// Acts that came when their matters were gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// All of them.
    pub count: u64,
    /// The newest.
    pub newest: Vec<LateAct>,
}

/// What is left of a matter: its facts, and its acts in two numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gone {
    over_us: UtcMicros,
    digest: Digest,
    fact: Option<Fact>,
}

/// The same in a snapshot: its name, and the rest as a text.
pub(super) type KeptGone = (MatterId, String);

/// How much there is of what.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Keep {
    open: BTreeMap<(MatterKind, NodeId), usize>,
    waiting: BTreeSet<MatterId>,
    /// Those that are over, of each kind, the oldest first.
    over: BTreeMap<MatterKind, BTreeSet<(UtcMicros, MatterId)>>,
    bytes: u64,
    over_bytes: u64,
    gone: BTreeMap<MatterId, Gone>,
    gone_by_time: BTreeSet<(UtcMicros, MatterId)>,
    late: Late,
    most: Most,
}

/// How much may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Most {
    pub alarms: usize,
    pub incidents: usize,
    pub bytes: u64,
    pub facts: usize,
}

impl Default for Most {
    fn default() -> Self {
        Self {
            alarms: limits::DUTY_CLOSED_ALARMS_MAX,
            incidents: limits::DUTY_CLOSED_INCIDENTS_MAX,
            bytes: limits::DUTY_CLOSED_BYTES_MAX,
            facts: limits::DUTY_FACTS_MAX,
        }
    }
}

impl Keep {
    #[cfg(test)]
    pub(super) fn bounded(&mut self, most: Most) {
        self.most = most;
    }

    pub(super) fn standing(ledger: &(impl AnyLedger + ?Sized)) -> Standing {
        let (has_begun, over) = (ledger.has_begun(), ledger.over());
        Standing { has_begun, over, bytes: ledger.bytes(), digest: ledger.digest() }
    }

    /// A matter came from one standing to another.
    pub(super) fn moved(&mut self, matter: &MatterId, before: Option<Standing>, after: Standing) {
        if let Some(before) = before {
            self.out(matter, &before);
        }
        self.bytes += after.bytes;
        if !after.has_begun {
            self.waiting.insert(matter.clone());
        } else if let Some(at) = after.over {
            self.over.entry(matter.kind).or_default().insert((at, matter.clone()));
            self.over_bytes += after.bytes;
        } else {
            *self.open.entry((matter.kind, matter.home.clone())).or_default() += 1;
        }
    }

    fn out(&mut self, matter: &MatterId, before: &Standing) {
        self.bytes = self.bytes.saturating_sub(before.bytes);
        if !before.has_begun {
            self.waiting.remove(matter);
        } else if let Some(at) = before.over {
            if let Some(of_kind) = self.over.get_mut(&matter.kind) {
                of_kind.remove(&(at, matter.clone()));
                if of_kind.is_empty() {
                    self.over.remove(&matter.kind);
                }
            }
            self.over_bytes = self.over_bytes.saturating_sub(before.bytes);
        } else if let Some(open) = self.open.get_mut(&(matter.kind, matter.home.clone())) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.open.remove(&(matter.kind, matter.home.clone()));
            }
        }
    }

    /// The matter that has to leave, if there are too many.
    pub(super) fn too_many(&self) -> Option<MatterId> {
        let of = |kind| self.over.get(&kind);
        let oldest = |kind| of(kind).and_then(BTreeSet::first);
        let beyond = |kind, most| of(kind).is_some_and(|of| of.len() > most).then(|| oldest(kind)).flatten();
        let first = beyond(MatterKind::Alarm, self.most.alarms);
        let first = first.or_else(|| beyond(MatterKind::Incident, self.most.incidents));
        let heavy = || self.over.values().filter_map(BTreeSet::first).min();
        let first = first.or_else(|| (self.over_bytes > self.most.bytes).then(heavy).flatten());
        first.map(|(_, matter)| matter.clone())
    }

    /// Only the facts of a matter are left.
    pub(super) fn leave(&mut self, matter: &MatterId, standing: &Standing, fact: Option<Fact>) {
        self.out(matter, standing);
        let over_us = standing.over.unwrap_or_default();
        self.put_gone(matter.clone(), Gone { over_us, digest: standing.digest, fact });
    }

    fn put_gone(&mut self, matter: MatterId, gone: Gone) {
        self.gone_by_time.insert((gone.over_us, matter.clone()));
        self.gone.insert(matter, gone);
        while self.gone.len() > self.most.facts {
            let Some((_, oldest)) = self.gone_by_time.pop_first() else { return };
            self.gone.remove(&oldest);
        }
    }

    pub(super) fn late(&mut self, noted: &Noted) {
        self.late.count += 1;
        let act = &noted.act;
        let (id, matter, by) = (noted.id.clone(), act.matter.clone(), act.by.clone());
        self.late.newest.push(LateAct { id, matter, at_us: act.at_us, by });
        if self.late.newest.len() > limits::DUTY_LATE_MAX {
            self.late.newest.remove(0);
        }
    }

    pub(super) fn restore(&mut self, gone: Vec<KeptGone>, late: Late) -> Result<(), serde_json::Error> {
        self.late = late;
        for (matter, gone) in gone {
            self.put_gone(matter, serde_json::from_str(&gone)?);
        }
        Ok(())
    }

    pub(super) fn kept_gone(&self) -> Result<Vec<KeptGone>, serde_json::Error> {
        self.gone.iter().map(|(matter, gone)| Ok((matter.clone(), serde_json::to_string(gone)?))).collect()
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = (&MatterId, &Fact)> {
        self.gone.iter().filter_map(|(matter, gone)| Some((matter, gone.fact.as_ref()?)))
    }

    pub(super) fn is_gone(&self, matter: &MatterId) -> bool {
        self.gone.contains_key(matter)
    }

    pub(super) fn late_acts(&self) -> &Late {
        &self.late
    }

    pub(super) fn open_of(&self, kind: MatterKind, home: &NodeId) -> usize {
        self.open.get(&(kind, home.clone())).copied().unwrap_or(0)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
