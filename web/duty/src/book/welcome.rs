//! Which acts of nodes below are theirs to do.

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};

use super::{AnyLedger, Book};
use crate::act::{MatterId, MatterKind, Noted};
use crate::ledger::{Illegal, Ledger};

/// Why an act of a node below is not taken in. It stays in the journals, where it can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unwelcome {
    /// An alarm, unit, plan, rule or shift of another node.
    NotItsOwn,
    /// An incident that neither began there nor names it.
    NotShared,
    /// The matter has more acts than people make, or the node more open matters than its own bounds allow.
    Full,
    /// Too many acts wait for their beginning.
    Waiting,
}

impl Unwelcome {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::NotItsOwn, Self::NotShared, Self::Full, Self::Waiting];

    /// The word used in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotItsOwn => "not_its_own",
            Self::NotShared => "not_shared",
            Self::Full => "full",
            Self::Waiting => "waiting",
        }
    }
}

impl Book {
    /// Whether people at this node (`here`) may act on a matter: what centres take in by [`Book::take_from_below`], asked where
    /// it is made. A matter that is not known may begin here.
    ///
    /// # Errors
    /// Whose it is.
    pub fn may_act(&self, matter: &MatterId, here: &NodeId) -> Result<(), Illegal> {
        let shared = || {
            let incident = self.incidents.get(matter).and_then(Ledger::state);
            incident.is_some_and(|incident| incident.open.nodes.contains(here))
        };
        if matter.home == *here || self.lines.contains_key(&matter.home) || shared() {
            return Ok(());
        }
        let detail = format!("This {} is that of {}.", matter.kind.as_str(), matter.home);
        Err(Illegal::new("not_here", detail, format!("Do it at {}, or ask them.", matter.home)))
    }

    /// Takes in an act that a node below made, when it is its to do; `here` is this node. A node acts on what began there, and
    /// on incidents that name it; a county also on what began at the nodes for which it speaks. What is refused is counted.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn take_from_below(&mut self, noted: Noted, here: &NodeId) -> Result<bool, Unwelcome> {
        match self.welcome(&noted, here) {
            Ok(()) => Ok(self.take(noted)),
            Err(why) => {
                *self.unwelcome.entry(why).or_default() += 1;
                Err(why)
            }
        }
    }

    fn welcome(&self, noted: &Noted, here: &NodeId) -> Result<(), Unwelcome> {
        let (matter, by) = (&noted.act.matter, &noted.id.node);
        let ledger = self.ledger(matter);
        let has_begun = ledger.is_some_and(AnyLedger::has_begun);
        let speaks = matter.home == *by || self.lines.get(&matter.home) == Some(by);
        if !speaks {
            // What a county did to a matter of a node that was never heard may be faster than that node's own word.
            let unheard = !has_begun && matter.home != *here && !self.lines.contains_key(&matter.home);
            let is_begin = noted.act.verb.begins();
            match matter.kind {
                MatterKind::Incident => {
                    let shared = self.incidents.get(matter).and_then(Ledger::state);
                    if !shared.is_some_and(|i| i.open.nodes.contains(by)) && (is_begin || !unheard) {
                        return Err(Unwelcome::NotShared);
                    }
                }
                MatterKind::Alarm if unheard && !is_begin => {}
                _ => return Err(Unwelcome::NotItsOwn),
            }
        }
        if ledger.is_some_and(|ledger| ledger.len() >= limits::DUTY_MATTER_TAKEN_MAX) {
            return Err(Unwelcome::Full);
        }
        if !has_begun && !noted.act.verb.begins() && self.waiting() >= limits::DUTY_WAITING_MAX {
            return Err(Unwelcome::Waiting);
        }
        let most = match matter.kind {
            MatterKind::Alarm => 2 * limits::DUTY_OPEN_ALARMS_MAX,
            MatterKind::Incident => 2 * limits::DUTY_OPEN_INCIDENTS_MAX,
            MatterKind::Unit | MatterKind::Plan | MatterKind::Rule => 2 * limits::DUTY_DEFINITIONS_MAX,
            MatterKind::Shift => usize::MAX,
        };
        if !has_begun && self.open_of(matter.kind, &matter.home) >= most {
            return Err(Unwelcome::Full);
        }
        Ok(())
    }
}
