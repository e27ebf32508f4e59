//! The command view: what a centre shows of cameras that other nodes have, as if they were its own.
//!
//! [`holder`] is the one place that says which node has a camera, or stands in for the one that has it; footage is asked of it
//! ([`crate::api::far`]) and [`states`] of its cameras are kept here as it tells them ([`follow`]). [`pool`] bounds how much of the
//! line footage takes. Nothing here is a truth: footage stays where it was recorded, states are forgotten at the end of the
//! process.
//!
//! - A node is believed about its own cameras alone: `a_node_speaks_of_its_own_cameras_only`.
//! - What a node told is not shown as if it were so now once the node is not heard: `a_lost_node_leaves_what_was_known_last`.

pub mod follow;
pub mod gather;
pub mod pool;
pub mod states;

use std::sync::Arc;

use fengsui_config::ids::{CameraId, NodeId};

use crate::app::App;
use crate::relay::centre::Centre;

/// Another node that has a camera.
#[derive(Clone)]
pub struct Far {
    /// This node as its centre.
    pub centre: Arc<Centre>,
    /// The node.
    pub node: NodeId,
}

/// The other node that is to be asked about `camera`; none when it is this node's own, or nobody's.
#[must_use]
pub fn holder(app: &App, camera: CameraId) -> Option<Far> {
    let centre = app.relay.read().as_ref()?.centre.clone()?;
    let node = centre.whom(&camera)?;
    // What this node reads itself it also answers for.
    let own = app.topology().cameras.get(&camera).is_some_and(|c| c.enabled);
    (!own).then_some(Far { centre, node })
}
