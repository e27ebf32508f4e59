//! What a centre has of its nodes' configurations: a reduction of its journal.
//!
//! `config.saved` (a version, with its text), `config.settled` (what the node made of it). The texts of older versions stay
//! in the journal alone; [`Entry::seq`] says where.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::{Deserialize, Serialize};

use super::{ConfigWord, Fault, Offer, sum};

/// The body of `config.saved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The node that it is for.
    pub node: NodeId,
    /// Its number: 1, or one more than the newest that centre or node know.
    pub version: u64,
    /// SHA-256 of the text.
    pub hash: String,
    /// Who saved it.
    pub by: String,
    /// Why, in a person's words.
    pub reason: String,
    /// Places and cameras.
    pub text: String,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The node took it into use.
    InForce,
    /// The node did not take it, and goes on with what it had.
    Refused,
    /// Somebody at the node put it out of force.
    Released,
}

/// The body of `config.settled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The node.
    pub node: NodeId,
    /// The version.
    pub version: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not taken, at most `limits::RELAY_CONFIG_FAULTS_MAX`.
    pub faults: Vec<Fault>,
}

/// A version without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub version: u64,
    /// When it was saved.
    pub at: UtcMicros,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// SHA-256 of the text.
    pub hash: String,
    /// Bytes of the text.
    pub bytes: usize,
    /// Record of the centre's journal that has the text.
    pub seq: u64,
    /// What became of it; none: it waits for the node.
    pub outcome: Option<Outcome>,
    /// When that was noted.
    pub settled: Option<UtcMicros>,
    /// Why it was not taken.
    pub faults: Vec<Fault>,
}

/// How a version stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for the node.
    Pending,
    /// The node works by it.
    InForce,
    /// The node did not take it.
    Refused,
    /// Somebody at the node went back to the node's own file.
    Released,
    /// The node worked by it; a later one took its place.
    Replaced,
    /// A later one was saved before the node heard of it.
    Skipped,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfNode {
    /// In the order of their numbers.
    entries: Vec<Entry>,
    /// Text of the newest.
    text: String,
}

/// All versions of all nodes of a centre.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    nodes: BTreeMap<NodeId, OfNode>,
}

/// A version that somebody wants to save.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The newest version when they began to write; 0: there was none.
    pub base: u64,
    /// Places and cameras.
    pub text: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Why a version is not saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaveRefused {
    /// Somebody else was faster.
    #[error("{by} saved version {newest} meanwhile; this one was begun from version {base}")]
    Behind {
        /// The newest version.
        newest: u64,
        /// Who saved it.
        by: String,
        /// What this one was begun from.
        base: u64,
    },
    /// It says what is in force, or on its way, already.
    #[error("the text is that of version {0}")]
    Same(u64),
    /// It does not fit into one journal record.
    #[error("a version may have {max} bytes in the journal; this one has {bytes}")]
    TooLarge {
        /// Its record.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The node has too many versions.
    #[error("the node has {} versions, and no more are kept", limits::RELAY_CONFIG_VERSIONS_MAX)]
    TooMany,
}

/// What a centre has to do about a node's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send the newest version.
    Send,
    /// Note that people at the node put it out of force.
    Released,
}

impl Versions {
    /// The versions of a node, oldest first.
    #[must_use]
    pub fn of(&self, node: &NodeId) -> &[Entry] {
        self.nodes.get(node).map_or(&[], |of| &of.entries)
    }

    /// One version of a node.
    #[must_use]
    pub fn get(&self, node: &NodeId, version: u64) -> Option<&Entry> {
        let entries = self.of(node);
        entries.binary_search_by_key(&version, |e| e.version).ok().and_then(|at| entries.get(at))
    }

    /// The newest version of a node.
    #[must_use]
    pub fn newest(&self, node: &NodeId) -> Option<&Entry> {
        self.of(node).last()
    }

    /// The newest version of a node, as it is sent.
    #[must_use]
    pub fn offer(&self, node: &NodeId) -> Option<Offer> {
        let of = self.nodes.get(node)?;
        let Entry { version, hash, by, .. } = of.entries.last()?;
        Some(Offer { version: *version, hash: hash.clone(), text: of.text.clone(), by: by.clone() })
    }

    /// The version that a node works by, as far as the centre knows; none: its own file.
    #[must_use]
    pub fn in_force(&self, node: &NodeId) -> Option<u64> {
        let told = |e: &&Entry| matches!(e.outcome, Some(Outcome::InForce | Outcome::Released));
        let last = self.of(node).iter().rev().find(told)?;
        (last.outcome == Some(Outcome::InForce)).then_some(last.version)
    }

    /// How a version stands.
    #[must_use]
    pub fn state(&self, node: &NodeId, entry: &Entry) -> State {
        let newest = self.newest(node).is_some_and(|n| n.version == entry.version);
        match entry.outcome {
            None if newest => State::Pending,
            None => State::Skipped,
            Some(Outcome::Refused) => State::Refused,
            Some(Outcome::Released) => State::Released,
            Some(Outcome::InForce) if self.in_force(node) == Some(entry.version) => State::InForce,
            Some(Outcome::InForce) => State::Replaced,
        }
    }

    /// The record of a new version. `known` is the newest number that the node itself knows: after a restore it may be above
    /// the centre's own.
    ///
    /// # Errors
    /// Why not; the text itself is checked elsewhere.
    pub fn save(&self, node: &NodeId, draft: Draft, known: u64) -> Result<Saved, SaveRefused> {
        let newest = self.newest(node);
        let number = newest.map_or(0, |e| e.version);
        let hash = sum(&draft.text);
        if let Some(entry) = newest {
            if draft.base != number {
                let by = entry.by.clone();
                return Err(SaveRefused::Behind { newest: number, by, base: draft.base });
            }
            let stands = matches!(entry.outcome, None | Some(Outcome::InForce)) && known <= number;
            if entry.hash == hash && stands {
                return Err(SaveRefused::Same(number));
            }
        } else if draft.base != 0 {
            return Err(SaveRefused::Behind { newest: 0, by: String::new(), base: draft.base });
        }
        if self.of(node).len() >= limits::RELAY_CONFIG_VERSIONS_MAX {
            return Err(SaveRefused::TooMany);
        }
        let Draft { text, by, reason, .. } = draft;
        let version = number.max(known) + 1;
        let saved = Saved { node: node.clone(), version, hash, by, reason, text };
        let (bytes, max) = (
            serde_json::to_vec(&saved).map_or(usize::MAX, |b| b.len()),
            limits::RELAY_CONFIG_RECORD_BYTES_MAX,
        );
        if bytes > max { Err(SaveRefused::TooLarge { bytes, max }) } else { Ok(saved) }
    }

    /// What is due, after what the node last said of itself. `None` as its word: its program says nothing of configurations.
    #[must_use]
    pub fn due(&self, node: &NodeId, word: Option<ConfigWord>) -> Option<Due> {
        let newest = self.newest(node)?;
        match (newest.outcome, word) {
            (None, _) => Some(Due::Send),
            (Some(Outcome::InForce), Some(word)) if word.in_force == Some(newest.version) => None,
            (Some(Outcome::InForce), Some(word)) if word.released >= Some(newest.version) => {
                Some(Due::Released)
            }
            // It came back from a backup, or anew: it gets again what it lost.
            (Some(Outcome::InForce), Some(_)) => Some(Due::Send),
            (Some(_), _) => None,
        }
    }

    /// The record of what became of a version; none when that is known.
    #[must_use]
    pub fn settle(
        &self,
        node: &NodeId,
        version: u64,
        outcome: Outcome,
        mut faults: Vec<Fault>,
    ) -> Option<Settled> {
        let entry = self.get(node, version)?;
        faults.truncate(limits::RELAY_CONFIG_FAULTS_MAX);
        let known = entry.outcome == Some(outcome) && entry.faults == faults;
        (!known).then(|| Settled { node: node.clone(), version, outcome, faults })
    }
}

impl Reducer for Versions {
    const NAME: &'static str = "node_configs";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let is = |kind| kinds::is(&record.kind, &record.body, kind);
        if is(kinds::CONFIG_SAVED) {
            let saved = Saved::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            let of = self.nodes.entry(saved.node).or_default();
            if of.entries.last().is_some_and(|last| last.version >= saved.version) {
                return Ok(());
            }
            of.entries.push(Entry {
                version: saved.version,
                at: record.at,
                by: saved.by,
                reason: saved.reason,
                hash: saved.hash,
                bytes: saved.text.len(),
                seq: record.seq,
                outcome: None,
                settled: None,
                faults: Vec::new(),
            });
            of.text = saved.text;
        } else if is(kinds::CONFIG_SETTLED) {
            let settled = Settled::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            let entries = self.nodes.get_mut(&settled.node).map(|of| &mut of.entries);
            if let Some(entry) = entries.and_then(|e| e.iter_mut().find(|e| e.version == settled.version)) {
                (entry.outcome, entry.settled) = (Some(settled.outcome), Some(record.at));
                entry.faults = settled.faults;
            }
        }
        Ok(())
    }
}
