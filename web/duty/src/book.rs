//! The book: every matter that this node knows. A reduction of the journal.
//!
//! Invariant: the book is what the journal says, at every prefix (`the_machines_do_what_the_model_does`).
//!
//! Of matters that are over, the newest stay in memory with all their acts; of older ones the facts for reports are left, and
//! of still older ones nothing: the journal has them. What somebody did to such a one and only comes now is late: it changes
//! nothing, and is listed.

mod keep;
mod notes;
#[cfg(test)]
mod tests;
mod welcome;

use std::collections::BTreeMap;
use std::ops::Bound;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::inbox::{Applied, AppliedPart};
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::Deserialize as _;

use crate::act::{Act, ActId, By, MatterId, MatterKind, Noted, Verb};
use crate::alarm::{Alarm, AlarmVerb};
use crate::check::{check, fitted};
use crate::define::{Defined, PlanBody, RuleBody, Shift, UnitBody};
use crate::fact::{AlarmFact, Fact, IncidentFact};
use crate::incident::Incident;
use crate::ledger::{Digest, Illegal, Ledger, Machine};
use keep::Keep;
pub use keep::{Late, LateAct};
pub use notes::{Carried, Received, carried_by, record_kind};
pub use welcome::Unwelcome;

/// Matters of one kind.
pub type Matters<M> = BTreeMap<MatterId, Ledger<M>>;

/// Every matter. The maps are there to be read; what comes in comes by [`Book::take`], [`Book::take_part`] and
/// [`Book::take_record`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book {
    /// Alarms.
    pub alarms: Matters<Alarm>,
    /// Incidents.
    pub incidents: Matters<Incident>,
    /// Patrol units.
    pub units: Matters<Defined<UnitBody>>,
    /// Plans.
    pub plans: Matters<Defined<PlanBody>>,
    /// Rules.
    pub rules: Matters<Defined<RuleBody>>,
    /// Shifts, one of each node.
    pub shifts: Matters<Shift>,
    keep: Keep,
    /// Who sends what each node below says: the node itself, or a county.
    lines: BTreeMap<NodeId, NodeId>,
    unwelcome: BTreeMap<Unwelcome, u64>,
}

/// A ledger of any kind.
pub(crate) trait AnyLedger {
    fn insert(&mut self, noted: Noted) -> bool;
    fn lacks(&self, noted: &Noted) -> bool;
    fn try_next(&self, act: &Act) -> Result<(), Illegal>;
    fn seen(&self) -> BTreeMap<NodeId, u64>;
    fn next_lamport(&self) -> u64;
    fn digest(&self) -> Digest;
    fn bytes(&self) -> u64;
    fn len(&self) -> usize;
    fn acts(&self) -> Box<dyn Iterator<Item = &Noted> + '_>;
    /// Whether its beginning is here.
    fn has_begun(&self) -> bool;
    /// When it was over, if it is.
    fn over(&self) -> Option<UtcMicros>;
    fn open_conflicts(&self) -> usize;
}

impl<M: Machine> AnyLedger for Ledger<M> {
    fn insert(&mut self, noted: Noted) -> bool {
        self.insert(noted)
    }
    fn lacks(&self, noted: &Noted) -> bool {
        self.lacks(noted)
    }
    fn try_next(&self, act: &Act) -> Result<(), Illegal> {
        self.try_next(act)
    }
    fn seen(&self) -> BTreeMap<NodeId, u64> {
        self.seen()
    }
    fn next_lamport(&self) -> u64 {
        self.next_lamport()
    }
    fn digest(&self) -> Digest {
        self.digest()
    }
    fn bytes(&self) -> u64 {
        self.bytes()
    }
    fn len(&self) -> usize {
        self.len()
    }
    fn acts(&self) -> Box<dyn Iterator<Item = &Noted> + '_> {
        Box::new(self.acts())
    }
    fn has_begun(&self) -> bool {
        self.state().is_some()
    }
    fn over(&self) -> Option<UtcMicros> {
        self.state().and_then(Machine::over)
    }
    fn open_conflicts(&self) -> usize {
        self.open_conflicts()
    }
}

fn behind<'a, M: Machine>(
    matters: &'a Matters<M>,
    after: Option<&MatterId>,
) -> impl Iterator<Item = (&'a MatterId, Digest)> + use<'a, M> {
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
    matters.range((from, Bound::Unbounded)).map(|(id, ledger)| (id, ledger.digest()))
}

impl Book {
    pub(crate) fn ledger(&self, matter: &MatterId) -> Option<&dyn AnyLedger> {
        fn any<'a, M: Machine>(matters: &'a Matters<M>, matter: &MatterId) -> Option<&'a dyn AnyLedger>
        where
            Ledger<M>: 'a,
        {
            matters.get(matter).map(|ledger| ledger as &dyn AnyLedger)
        }
        match matter.kind {
            MatterKind::Alarm => any(&self.alarms, matter),
            MatterKind::Incident => any(&self.incidents, matter),
            MatterKind::Unit => any(&self.units, matter),
            MatterKind::Plan => any(&self.plans, matter),
            MatterKind::Rule => any(&self.rules, matter),
            MatterKind::Shift => any(&self.shifts, matter),
        }
    }

    fn ledger_of(&mut self, matter: &MatterId) -> &mut dyn AnyLedger {
        match matter.kind {
            MatterKind::Alarm => self.alarms.entry(matter.clone()).or_default(),
            MatterKind::Incident => self.incidents.entry(matter.clone()).or_default(),
            MatterKind::Unit => self.units.entry(matter.clone()).or_default(),
            MatterKind::Plan => self.plans.entry(matter.clone()).or_default(),
            MatterKind::Rule => self.rules.entry(matter.clone()).or_default(),
            MatterKind::Shift => self.shifts.entry(matter.clone()).or_default(),
        }
    }

    fn forget(&mut self, matter: &MatterId) {
        match matter.kind {
            MatterKind::Alarm => drop(self.alarms.remove(matter)),
            MatterKind::Incident => drop(self.incidents.remove(matter)),
            MatterKind::Unit => drop(self.units.remove(matter)),
            MatterKind::Plan => drop(self.plans.remove(matter)),
            MatterKind::Rule => drop(self.rules.remove(matter)),
            MatterKind::Shift => drop(self.shifts.remove(matter)),
        }
    }

    /// The act that `verb` would be now, tried against the state: what is not possible is refused before it is written. What
    /// [`check()`] refuses is refused here too, with the code `invalid`; words of a raised alarm are made fit instead.
    ///
    /// # Errors
    /// Why it is not possible.
    pub fn propose(&self, matter: &MatterId, verb: Verb, by: By, at: UtcMicros) -> Result<Act, Illegal> {
        let verb = match verb {
            Verb::Alarm(AlarmVerb::Raise(raise)) => Verb::Alarm(AlarmVerb::Raise(fitted(raise))),
            verb => verb,
        };
        check(&verb).map_err(|refusal| Illegal::new("invalid", refusal.to_string(), refusal.remedy))?;
        if verb.kind() != matter.kind {
            let detail = format!("{matter} is no {}.", verb.kind().as_str());
            return Err(Illegal::new("unknown", detail, "Load the list anew."));
        }
        if self.is_gone(matter) {
            let detail = "It was closed so long ago that only its record is left.";
            return Err(Illegal::new("gone", detail, "Write it into a new one."));
        }
        let counts = matches!(verb, Verb::Alarm(AlarmVerb::Counted { .. }));
        let ledger = self.ledger(matter);
        if ledger.is_none_or(|ledger| !ledger.has_begun()) {
            if verb.begins() {
                self.room_for(matter, &verb)?;
            }
        } else if self.keep.bytes() >= limits::DUTY_BOOK_BYTES_MAX && verb.is_paper() {
            let detail = "There is no room for more words and papers at this node.";
            return Err(Illegal::new("full", detail, "Close what is done."));
        }
        let (lamport, seen) = ledger.map_or((1, BTreeMap::new()), |l| (l.next_lamport(), l.seen()));
        let seen = if counts { BTreeMap::new() } else { seen };
        let act = Act { matter: matter.clone(), lamport, seen, at_us: at, by, verb };
        match ledger {
            Some(ledger) => ledger.try_next(&act)?,
            None => match matter.kind {
                MatterKind::Alarm => Ledger::<Alarm>::default().try_next(&act)?,
                MatterKind::Incident => Ledger::<Incident>::default().try_next(&act)?,
                MatterKind::Unit => Ledger::<Defined<UnitBody>>::default().try_next(&act)?,
                MatterKind::Plan => Ledger::<Defined<PlanBody>>::default().try_next(&act)?,
                MatterKind::Rule => Ledger::<Defined<RuleBody>>::default().try_next(&act)?,
                MatterKind::Shift => Ledger::<Shift>::default().try_next(&act)?,
            },
        }
        Ok(act)
    }

    /// Takes an act in that is in the journal and that was made here or came from the centre; false when it was there
    /// already, or is late.
    pub fn take(&mut self, noted: Noted) -> bool {
        let matter = noted.act.matter.clone();
        if self.is_gone(&matter) {
            self.keep.late(&noted);
            return false;
        }
        if self.ledger(&matter).is_some_and(|ledger| !ledger.lacks(&noted)) {
            return false;
        }
        let before = self.ledger(&matter).map(Keep::standing);
        let ledger = self.ledger_of(&matter);
        let new = ledger.insert(noted);
        let after = Keep::standing(ledger);
        self.keep.moved(&matter, before, after);
        while let Some(oldest) = self.keep.too_many() {
            self.leave(&oldest);
        }
        new
    }

    /// Leaves only the facts of a matter that is over.
    fn leave(&mut self, matter: &MatterId) {
        let fact = self.fact(matter);
        if let Some(ledger) = self.ledger(matter) {
            let standing = Keep::standing(ledger);
            self.keep.leave(matter, &standing, fact);
        }
        self.forget(matter);
    }

    fn fact(&self, matter: &MatterId) -> Option<Fact> {
        match matter.kind {
            MatterKind::Alarm => {
                let alarm = self.alarms.get(matter).and_then(Ledger::state);
                alarm.map(|alarm| Fact::Alarm(AlarmFact::of(alarm)))
            }
            MatterKind::Incident => {
                let incident = self.incidents.get(matter).and_then(Ledger::state);
                incident.map(|incident| Fact::Incident(IncidentFact::of(incident)))
            }
            _ => None,
        }
    }

    /// Facts of every alarm and incident that this node knows, also of those whose acts are not in memory any more.
    pub fn facts(&self) -> impl Iterator<Item = (MatterId, Fact)> + '_ {
        let here = self.alarms.keys().chain(self.incidents.keys());
        let here = here.filter_map(|id| Some((id.clone(), self.fact(id)?)));
        let gone = self.keep.gone().map(|(id, fact)| (id.clone(), fact.clone()));
        here.chain(gone)
    }

    /// Whether only the facts of a matter are left.
    #[must_use]
    pub fn is_gone(&self, matter: &MatterId) -> bool {
        self.keep.is_gone(matter)
    }

    /// Acts that came when their matter was gone.
    #[must_use]
    pub fn late(&self) -> &Late {
        self.keep.late_acts()
    }

    /// Acts of nodes below that were not theirs to do, by reason.
    #[must_use]
    pub fn unwelcome(&self) -> &BTreeMap<Unwelcome, u64> {
        &self.unwelcome
    }

    /// Matters of one kind of a node that are not over.
    #[must_use]
    pub fn open_of(&self, kind: MatterKind, home: &NodeId) -> usize {
        self.keep.open_of(kind, home)
    }

    /// Matters of which there are acts and no beginning yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.keep.waiting()
    }

    /// Bytes of all acts in memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.keep.bytes()
    }

    /// Whether a node has room for one more open alarm; without it, what a rule finds goes into [`Book::overflow_alarm`].
    #[must_use]
    pub fn has_room_for_alarm(&self, home: &NodeId) -> bool {
        self.open_of(MatterKind::Alarm, home) < limits::DUTY_OPEN_ALARMS_MAX
    }

    /// The alarm of a rule into which everything goes for which there is no room: raise it if it is not here, and count in it.
    #[must_use]
    pub fn overflow_alarm(&self, home: &NodeId, rule: &MatterId) -> MatterId {
        let hash = blake3::hash(rule.to_string().as_bytes()).to_hex();
        let name = |n: u64| MatterId {
            kind: MatterKind::Alarm,
            home: home.clone(),
            name: format!("{OVERFLOW}{}-{n}", hash.get(..16).unwrap_or_default()),
        };
        let is_over = |id: &MatterId| {
            let settled = |ledger: &Ledger<Alarm>| ledger.state().is_some_and(|a| !a.state.is_open());
            self.is_gone(id) || self.alarms.get(id).is_some_and(settled)
        };
        (0..).map(name).find(|id| !is_over(id)).unwrap_or_else(|| name(u64::MAX))
    }

    fn room_for(&self, matter: &MatterId, verb: &Verb) -> Result<(), Illegal> {
        let (most, what) = match verb {
            Verb::Alarm(_) if matter.name.starts_with(OVERFLOW) => return Ok(()),
            Verb::Alarm(_) => (limits::DUTY_OPEN_ALARMS_MAX, "alarms"),
            Verb::Incident(_) => (limits::DUTY_OPEN_INCIDENTS_MAX, "incidents"),
            Verb::Shift(_) => return Ok(()),
            Verb::Unit(_) | Verb::Plan(_) | Verb::Rule(_) => (limits::DUTY_DEFINITIONS_MAX, "definitions"),
        };
        let many = self.open_of(matter.kind, &matter.home);
        if many >= most {
            let detail = format!("{} has {many} {what}, and takes no more than {most}.", matter.home);
            return Err(Illegal::new("too_many_open", detail, "Close or remove what is done."));
        }
        if self.keep.bytes() >= limits::DUTY_BOOK_BYTES_MAX && !matches!(verb, Verb::Alarm(_)) {
            return Err(Illegal::new(
                "full",
                "There is no room for more at this node.",
                "Close what is done.",
            ));
        }
        Ok(())
    }

    /// Takes in what a node below sent; the acts that are new by it. `here` is this node.
    pub fn take_part(&mut self, part: &AppliedPart, here: &NodeId) -> Vec<Noted> {
        let mut new = Vec::new();
        for frame in &part.frames {
            if self.lines.get(&frame.origin) != Some(&part.from) {
                self.lines.insert(frame.origin.clone(), part.from.clone());
            }
            if let Some(noted) = carried_by(frame)
                && self.take_from_below(noted.clone(), here) == Ok(true)
            {
                new.push(noted);
            }
        }
        new
    }

    /// Takes in what a record of the journal says; the acts that are new by it.
    ///
    /// # Errors
    /// When a record of a kind that this program knows has another shape.
    pub fn take_record(&mut self, record: &JournalRecord) -> Result<Vec<Noted>, ReduceError> {
        let is = |wanted| kinds::is(&record.kind, &record.body, wanted);
        let node =
            || record.node.parse::<NodeId>().map_err(|_| ReduceError::of(record, "its node has no name"));
        let acts: Vec<Noted> = if is(kinds::DUTY_ACTED) || is(kinds::DUTY_DEFINED) {
            let act = Act::read(&record.body).map_err(|e| ReduceError::of(record, e))?;
            vec![Noted { id: ActId { node: node()?, epoch: record.epoch, seq: record.seq }, act }]
        } else if is(kinds::DUTY_RECEIVED) {
            let received = Received::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            received.acts.into_iter().filter_map(|carried| carried.read().ok()).collect()
        } else if is(kinds::RELAY_APPLIED) {
            let applied = Applied::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            let here = node()?;
            return Ok(applied.parts.iter().flat_map(|part| self.take_part(part, &here)).collect());
        } else {
            Vec::new()
        };
        Ok(acts.into_iter().filter(|noted| self.take(noted.clone())).collect())
    }

    /// Every act in memory, matter by matter.
    pub fn acts(&self) -> impl Iterator<Item = &Noted> {
        fn of<M: Machine>(matters: &Matters<M>) -> impl Iterator<Item = &Noted> {
            matters.values().flat_map(Ledger::acts)
        }
        of(&self.alarms)
            .chain(of(&self.incidents))
            .chain(of(&self.units))
            .chain(of(&self.plans))
            .chain(of(&self.rules))
            .chain(of(&self.shifts))
    }

    /// The acts of one matter: those that have an order in it, then those that count.
    pub fn acts_of(&self, matter: &MatterId) -> impl Iterator<Item = &Noted> {
        self.ledger(matter).into_iter().flat_map(AnyLedger::acts)
    }

    /// The acts of one matter that are here, in two numbers.
    #[must_use]
    pub fn digest(&self, matter: &MatterId) -> Digest {
        self.ledger(matter).map(AnyLedger::digest).unwrap_or_default()
    }

    /// The same of every matter behind `after`, in the order of their ids.
    pub fn digests(&self, after: Option<&MatterId>) -> impl Iterator<Item = (&MatterId, Digest)> {
        behind(&self.alarms, after)
            .chain(behind(&self.incidents, after))
            .chain(behind(&self.units, after))
            .chain(behind(&self.plans, after))
            .chain(behind(&self.rules, after))
            .chain(behind(&self.shifts, after))
    }

    /// Whether an act is not here, and would be taken in.
    #[must_use]
    pub fn lacks(&self, noted: &Noted) -> bool {
        let matter = &noted.act.matter;
        !self.is_gone(matter) && self.ledger(matter).is_none_or(|ledger| ledger.lacks(noted))
    }

    /// Conflicts of a matter that nobody has settled.
    #[must_use]
    pub fn open_conflicts(&self, matter: &MatterId) -> usize {
        self.ledger(matter).map_or(0, AnyLedger::open_conflicts)
    }
}

/// How names of alarms begin into which goes what there is no room for.
const OVERFLOW: &str = "over-";

impl Reducer for Book {
    const NAME: &'static str = "duty_book";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        self.take_record(record).map(drop)
    }
}
