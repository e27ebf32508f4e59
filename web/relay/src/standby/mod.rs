//! Who records the cameras of a node that is gone. All of it is pure; time is an argument.
//!
//! A camera may be configured at a second node that stands by for its owner. The centre hears who is there; it decides, writes
//! the decision as a [`Lease`] into a bucket of its servers, and tells the nodes by [`Order`]s. A node that was told to record
//! goes on until it is told to stop, whatever becomes of the centre: recording twice does no harm.
//!
//! - [`Core`]: the centre's decisions.
//! - [`Taken`]: what a node was told, a reduction of its journal.
//!
//! # Invariants
//! 1. While a node that stands by is there and a centre hears it, the cameras of a silent owner are recorded by it within a
//!    bound. `dead_nodes_are_taken_over_and_healed_ones_record_alone`
//! 2. When all is well again, exactly the owner records. `dead_nodes_are_taken_over_and_healed_ones_record_alone`
//! 3. Revisions of a lease grow, whoever decides and whatever is lost; a node follows none that is older than one it
//!    followed. `dead_nodes_are_taken_over_and_healed_ones_record_alone`, `an_older_order_is_refused_and_changes_nothing`
//! 4. A centre that hears nobody takes nobody for gone. `a_centre_that_just_began_to_hear_takes_nobody_for_gone`
//! 5. A node that comes and goes is not taken back and forth. `a_node_must_be_back_for_a_while_before_it_gets_its_cameras`

mod core;
mod taken;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use fengsui_config::ids::{CameraId, NodeId};
use serde::{Deserialize, Serialize};

pub use self::core::{Action, Change, Core, Duty, Heard, NodeSeen, Read, Seen, Told, Wrote};
pub use taken::{Decision, Held, Taken, TooManyOwners};

/// Version of a lease.
const VERSION: u64 = 1;

/// The bucket in which leases are, one for each owner under its name.
pub const BUCKET: &str = "fengsui-standby";

/// Who records the cameras of one owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Version of this.
    pub v: u64,
    /// The node whose cameras they are.
    pub owner: NodeId,
    /// Grows with every decision: its moment in milliseconds, or one more than the one before.
    pub revision: u64,
    /// The nodes that record, each what those before it do not; empty: the owner alone.
    pub takers: Vec<NodeId>,
    /// When it was decided, on the clock of who decided.
    pub since_us: i64,
    /// The centre that decided.
    pub by: NodeId,
}

impl Lease {
    /// Bytes for the bucket.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The lease that these bytes are; none when they are no lease of this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|lease: &Self| lease.v == VERSION)
    }
}

/// What a node is told: from now on it records exactly these cameras of `owner`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The node whose cameras they are.
    pub owner: NodeId,
    /// That of the lease; 0 while there was never one.
    pub revision: u64,
    /// The cameras; none: it stops.
    pub cameras: BTreeSet<CameraId>,
}
