//! What a node was told to record in place of others, from its journal.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::{Deserialize, Serialize};

use super::Order;

/// What a node was told last about one owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Revision of the order.
    pub revision: u64,
    /// The cameras that it records; none: given back.
    pub cameras: BTreeSet<CameraId>,
    /// When the record was written.
    pub since_us: i64,
}

/// All that a node was told: the reduction of `standby.taken` and `standby.released`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    owners: BTreeMap<NodeId, Held>,
}

/// What an order means to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It does so already.
    Same,
    /// A record of this kind is to be written, with the order as its body.
    Note(&'static str),
    /// It has followed a newer one, of this revision.
    Older(u64),
}

/// A node records for so many owners that it remembers no further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it remembers {} owners already", limits::STANDBY_OWNERS_MAX)]
pub struct TooManyOwners;

impl Taken {
    /// What an order means.
    ///
    /// # Errors
    /// When there is no room for one more owner.
    pub fn decide(&self, order: &Order) -> Result<Decision, TooManyOwners> {
        let held = self.owners.get(&order.owner);
        if let Some(newer) = held.filter(|held| held.revision > order.revision) {
            return Ok(Decision::Older(newer.revision));
        }
        let same = match held {
            Some(held) => held.cameras == order.cameras && held.revision == order.revision,
            // What was never taken need not be given back.
            None => order.cameras.is_empty(),
        };
        if same {
            return Ok(Decision::Same);
        }
        if held.is_none() && self.owners.len() >= limits::STANDBY_OWNERS_MAX {
            return Err(TooManyOwners);
        }
        let taken = !order.cameras.is_empty();
        Ok(Decision::Note(if taken { kinds::STANDBY_TAKEN } else { kinds::STANDBY_RELEASED }))
    }

    /// The cameras of other nodes that this one is to record now.
    #[must_use]
    pub fn cameras(&self) -> BTreeSet<CameraId> {
        self.owners.values().flat_map(|held| &held.cameras).copied().collect()
    }

    /// What was told last about each owner.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Held)> {
        self.owners.iter()
    }
}

impl Reducer for Taken {
    const NAME: &'static str = "standby";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let is = |kind| kinds::is(&record.kind, &record.body, kind);
        if !is(kinds::STANDBY_TAKEN) && !is(kinds::STANDBY_RELEASED) {
            return Ok(());
        }
        let order = Order::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
        let Order { owner, revision, cameras } = order;
        self.owners.insert(owner, Held { revision, cameras, since_us: record.at.0 });
        Ok(())
    }
}
