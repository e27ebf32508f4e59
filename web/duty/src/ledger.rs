//! All acts of one matter, and what they come to.
//!
//! - State and conflicts are a function of the set of acts, whatever the order in which they came:
//!   `all_sides_converge_when_a_cut_link_heals`, `the_machines_do_what_the_model_does`.
//! - Of acts that only count, the highest of each node is kept: `a_flood_of_counts_costs_nothing`.
//! - What is known of a matter before its beginning waits and troubles nobody: `acts_before_the_beginning_wait`.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::act::{Act, ActId, By, Noted, Place};

/// Why an act is not possible in the state that a matter is in. The API answers 409 with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Illegal {
    /// A stable word for programs, for example `already_acknowledged`.
    pub code: String,
    /// What stands in the way, in one sentence, with who did it and when where somebody did.
    pub detail: String,
    /// What can be done instead.
    pub remedy: String,
}

impl Illegal {
    /// A refusal.
    #[must_use]
    pub fn new(code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into(), remedy: remedy.into() }
    }
}

/// Who did something, and when, for a sentence: ` by wang at 2026-11-29T08:15:00Z`.
pub(crate) fn who_when(at: UtcMicros, by: &By) -> String {
    let second = at.0.div_euclid(1_000_000);
    let text = OffsetDateTime::from_unix_timestamp(second).ok().and_then(|t| t.format(&Rfc3339).ok());
    format!(" by {} at {}", by.name, text.unwrap_or_default())
}

/// What a matter can be: a state machine over its acts.
pub trait Machine: Sized + Clone {
    /// The state after the first act.
    ///
    /// # Errors
    /// When no matter begins with that act.
    fn begin(first: &Noted) -> Result<Self, Illegal>;
    /// Takes the next act in.
    ///
    /// # Errors
    /// When it is not possible in this state, which stays as it is then.
    fn apply(&mut self, noted: &Noted) -> Result<(), Illegal>;
    /// What the act decides, by name (`owner`, `state`, `step/3`): of two that decide the same and did not know of each other,
    /// the later one stands, and people are told. Notes and the like decide nothing.
    fn decides(noted: &Noted) -> Vec<String>;
    /// Of an act that only counts: how far. It has no place among the others, and only the highest of each node is kept.
    fn tally(_noted: &Noted) -> Option<(u64, UtcMicros)> {
        None
    }
    /// Takes the highest counts of all nodes in.
    fn tallied(&mut self, _highest: (u64, UtcMicros)) {}
    /// The act in conflict (`node.epoch.seq`) with which somebody leaves things as they are.
    fn settles(_noted: &Noted) -> Option<&str> {
        None
    }
    /// Whether the act says whole how the matter is from now on: whatever its maker saw of conflicts is settled by it.
    fn restates(_noted: &Noted) -> bool {
        false
    }
    /// Whether the act adds words or papers, which a full matter does not take.
    fn is_paper(_noted: &Noted) -> bool {
        false
    }
    /// Whether the act brings the matter nearer to its end, which is possible in a full one.
    fn is_end(_noted: &Noted) -> bool {
        false
    }
    /// When the matter was over, if it is: nothing but words follows.
    fn over(&self) -> Option<UtcMicros> {
        None
    }
}

/// Why people have to look at an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Conflict {
    /// It was possible where it was made, and is not among what others did meanwhile: it changed nothing.
    Void {
        /// The act.
        act: Place,
        /// Why it is not possible.
        illegal: Illegal,
    },
    /// It decides what another one decided too, and neither knew of the other: it stands, and the other is overruled.
    Overrules {
        /// The act that stands.
        act: Place,
        /// The one that is overruled.
        other: Place,
        /// What they decide.
        what: String,
    },
}

impl Conflict {
    /// The act by which it is named.
    #[must_use]
    pub fn act(&self) -> &Place {
        match self {
            Self::Void { act, .. } | Self::Overrules { act, .. } => act,
        }
    }
}

/// A set of acts in two numbers, whatever their order: two sides with the same one have the same acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many.
    pub count: u64,
    /// Sum of a hash of each one's id.
    pub sum: u64,
}

impl Digest {
    fn hash(id: &ActId) -> u64 {
        let hash = blake3::hash(id.to_string().as_bytes());
        let mut first = [0; 8];
        first.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(first)
    }

    /// With one more act.
    pub fn add(&mut self, id: &ActId) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(Self::hash(id));
    }

    /// Without an act that was in it.
    pub fn remove(&mut self, id: &ActId) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(Self::hash(id));
    }
}

/// All acts of one matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger<M> {
    acts: BTreeMap<Place, Noted>,
    /// Of each node, its act that counts highest.
    tallies: BTreeMap<NodeId, Noted>,
    state: Option<M>,
    /// Acts that stand before the beginning, or for which there is none yet.
    early: Vec<Place>,
    conflicts: Vec<Conflict>,
    /// Who decided what last.
    deciders: BTreeMap<String, Place>,
    digest: Digest,
    bytes: u64,
}

impl<M: Machine> Default for Ledger<M> {
    fn default() -> Self {
        Self {
            acts: BTreeMap::new(),
            tallies: BTreeMap::new(),
            state: None,
            early: Vec::new(),
            conflicts: Vec::new(),
            deciders: BTreeMap::new(),
            digest: Digest::default(),
            bytes: 0,
        }
    }
}

/// How high an act counts; of two of one node with the same figures, the newer one.
fn height<M: Machine>(noted: &Noted) -> Option<(u64, UtcMicros, Place)> {
    M::tally(noted).map(|(count, last)| (count, last, noted.place()))
}

impl<M: Machine> Ledger<M> {
    /// Takes an act in; false when it was there already, or counts no higher than what is known of its node.
    pub fn insert(&mut self, noted: Noted) -> bool {
        if !self.lacks(&noted) {
            return false;
        }
        self.digest.add(&noted.id);
        self.bytes += noted.act.bytes();
        if M::tally(&noted).is_some() {
            if let Some(lower) = self.tallies.insert(noted.id.node.clone(), noted) {
                self.digest.remove(&lower.id);
                self.bytes = self.bytes.saturating_sub(lower.act.bytes());
            }
            self.count();
            return true;
        }
        let place = noted.place();
        let last = self.acts.last_key_value().is_none_or(|(last, _)| *last < place);
        self.acts.insert(place.clone(), noted);
        if last {
            self.step(&place);
        } else {
            self.fold();
        }
        true
    }

    /// Whether the act would be new here.
    #[must_use]
    pub fn lacks(&self, noted: &Noted) -> bool {
        match height::<M>(noted) {
            Some(high) => self.tallies.get(&noted.id.node).and_then(height::<M>).is_none_or(|own| own < high),
            None => !self.acts.contains_key(&noted.place()),
        }
    }

    /// Whether `act` would be possible behind all acts that are here.
    ///
    /// # Errors
    /// Why not.
    pub fn try_next(&self, act: &Act) -> Result<(), Illegal> {
        // Its record has no number yet; no machine looks at that.
        let id = ActId { node: act.matter.home.clone(), epoch: 0, seq: 0 };
        let noted = Noted { id, act: act.clone() };
        let Some(state) = &self.state else { return M::begin(&noted).map(drop) };
        state.clone().apply(&noted)?;
        self.room(&noted)?;
        match M::settles(&noted) {
            Some(wanted) if !self.conflicts.iter().any(|c| c.act().id.to_string() == wanted) => Err(
                Illegal::new("no_conflict", format!("`{wanted}` is in no conflict here."), "Load it anew."),
            ),
            _ => Ok(()),
        }
    }

    fn room(&self, noted: &Noted) -> Result<(), Illegal> {
        let full = |what: &str, remedy: &str| {
            let detail = format!("This has {} acts and takes no more {what}.", self.acts.len());
            Err(Illegal::new("full", detail, remedy))
        };
        let (many, most) = (self.acts.len(), limits::DUTY_MATTER_ACTS_MAX);
        if M::tally(noted).is_some() || M::is_end(noted) {
            return Ok(());
        }
        if many >= most + limits::DUTY_MATTER_ACTS_RESERVE {
            return full("but what ends it", "End it, and go on in a new one.");
        }
        if M::is_paper(noted) && (many >= most || self.bytes >= limits::DUTY_MATTER_BYTES_MAX) {
            return full("words and papers", "Write them into another one, and say here which.");
        }
        Ok(())
    }

    /// What the acts come to; nothing before the first one is here.
    #[must_use]
    pub fn state(&self) -> Option<&M> {
        self.state.as_ref()
    }

    /// What people have to look at, and what they have looked at.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// How many conflicts nobody has settled.
    #[must_use]
    pub fn open_conflicts(&self) -> usize {
        self.conflicts.iter().filter(|c| self.settled_by(c).is_none()).count()
    }

    /// The act by which somebody settled a conflict that they could see.
    #[must_use]
    pub fn settled_by(&self, conflict: &Conflict) -> Option<&Noted> {
        let named = conflict.act().id.to_string();
        self.acts.values().find(|noted| {
            (M::settles(noted) == Some(named.as_str()) || M::restates(noted))
                && noted.saw(conflict.act())
                && match conflict {
                    Conflict::Overrules { other, .. } => noted.saw(other),
                    Conflict::Void { .. } => true,
                }
        })
    }

    /// Every act: those that have an order in it, then those that count.
    pub fn acts(&self) -> impl Iterator<Item = &Noted> {
        self.acts.values().chain(self.tallies.values())
    }

    /// How many acts have an order.
    #[must_use]
    pub fn len(&self) -> usize {
        self.acts.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acts.is_empty() && self.tallies.is_empty()
    }

    /// The acts that are here, in two numbers.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Length of all acts as JSON.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What somebody who acts here has seen: of each node the highest `lamport` before which none of its acts is missing.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<NodeId, u64> {
        // An act names what its maker had seen, the maker's own act before included: so a hole shows.
        let mut whole: BTreeMap<&NodeId, BTreeSet<u64>> = BTreeMap::new();
        for noted in self.acts.values() {
            let here =
                |(node, lamport): (&NodeId, &u64)| whole.get(node).is_some_and(|of| of.contains(lamport));
            if noted.act.seen.iter().all(here) {
                whole.entry(&noted.id.node).or_default().insert(noted.act.lamport);
            }
        }
        whole.into_iter().filter_map(|(node, of)| Some((node.clone(), of.last().copied()?))).collect()
    }

    /// The `lamport` of the next act.
    #[must_use]
    pub fn next_lamport(&self) -> u64 {
        self.acts.last_key_value().map_or(0, |(last, _)| last.lamport).saturating_add(1)
    }

    fn count(&mut self) {
        let figures = || self.tallies.values().filter_map(M::tally);
        let highest = figures().map(|f| f.0).max().zip(figures().map(|f| f.1).max());
        if let (Some(state), Some(highest)) = (&mut self.state, highest) {
            state.tallied(highest);
        }
    }

    fn fold(&mut self) {
        self.state = None;
        (self.early, self.conflicts) = (Vec::new(), Vec::new());
        self.deciders.clear();
        for place in self.acts.keys().cloned().collect::<Vec<_>>() {
            self.step(&place);
        }
    }

    fn step(&mut self, place: &Place) {
        let Some(noted) = self.acts.get(place) else { return };
        match &mut self.state {
            None => match M::begin(noted) {
                Ok(begun) => {
                    self.state = Some(begun);
                    self.begun();
                    self.count();
                }
                Err(_) => self.early.push(place.clone()),
            },
            Some(state) => match state.apply(noted) {
                Ok(()) => self.decided(place),
                Err(illegal) => self.conflicts.push(Conflict::Void { act: place.clone(), illegal }),
            },
        }
    }

    /// What stands before the beginning cannot be.
    fn begun(&mut self) {
        for act in std::mem::take(&mut self.early) {
            let illegal = Illegal::new("before_beginning", "It stands before the beginning.", "Do it again.");
            self.conflicts.push(Conflict::Void { act, illegal });
        }
    }

    fn decided(&mut self, place: &Place) {
        let Some(noted) = self.acts.get(place) else { return };
        for what in M::decides(noted) {
            if let Some(other) = self.deciders.insert(what.clone(), place.clone())
                && !noted.saw(&other)
                && other.id.node != place.id.node
            {
                self.conflicts.push(Conflict::Overrules { act: place.clone(), other, what });
            }
        }
    }
}
