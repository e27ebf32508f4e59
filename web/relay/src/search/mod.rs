//! Search over many nodes: one order in which all hits stand everywhere, and what is put together of the answers.
//!
//! Every node knows the order ([`Key`]): events by when they began, the newest first, then cameras by code. So one place in
//! it is where all nodes go on ([`Cursor`]), whichever of them answered the page before. Pure: who is asked, how long they may
//! take and what they answered are arguments.
//!
//! Invariant: the pages of many nodes are those of one node that had everything
//! (`the_pages_of_any_split_are_those_of_one_big_node`).
//! Invariant: a node that was asked and gave no whole answer is named, on this page and on all that follow it
//! (`whoever_gave_no_whole_answer_is_named_on_this_page_and_on_all_that_follow`).

mod gather;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;

pub use gather::{Answered, Gathered, Part, Reasons, gather, is_in_order};

use crate::event::rows::RecordId;

/// A hit's place in the order of all hits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A row of events.
    Event {
        /// When its first event happened: of all its times the one that later events do not change.
        began: Reverse<UtcMicros>,
        /// The record that began it.
        id: RecordId,
    },
    /// A camera.
    Camera {
        /// Its code.
        camera: CameraId,
        /// The node that has it: two may have footage of one camera.
        node: NodeId,
    },
}

impl Key {
    /// The key of a row.
    #[must_use]
    pub fn event(began: UtcMicros, id: RecordId) -> Self {
        Self::Event { began: Reverse(began), id }
    }
}

/// What is written is no place in the order of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in the order of hits")]
pub struct NoPlace;

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { began: Reverse(began), id } => write!(f, "e.{}.{id}", began.0),
            Self::Camera { camera, node } => write!(f, "c.{camera}.{node}"),
        }
    }
}

impl FromStr for Key {
    type Err = NoPlace;
    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (what, rest) = text.split_once('.').ok_or(NoPlace)?;
        let (first, rest) = rest.split_once('.').ok_or(NoPlace)?;
        match what {
            "e" => {
                let began = UtcMicros(first.parse().map_err(|_| NoPlace)?);
                let id: RecordId = rest.parse().map_err(|_| NoPlace)?;
                id.node.parse::<NodeId>().map_err(|_| NoPlace)?;
                Ok(Self::event(began, id))
            }
            "c" => {
                let camera = first.parse().map_err(|_| NoPlace)?;
                Ok(Self::Camera { camera, node: rest.parse().map_err(|_| NoPlace)? })
            }
            _ => Err(NoPlace),
        }
    }
}

/// Where the next page goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Behind this hit.
    pub after: Key,
    /// Nodes that gave no whole answer to one of the pages before: their hits may be missing there.
    pub missed: BTreeSet<NodeId>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.after)?;
        for node in &self.missed {
            write!(f, " {node}")?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = NoPlace;
    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let mut words = text.split(' ');
        let after = words.next().unwrap_or_default().parse()?;
        let missed: BTreeSet<NodeId> =
            words.map(str::parse).collect::<Result<_, _>>().map_err(|_| NoPlace)?;
        if missed.len() > limits::SEARCH_NODES_MAX {
            return Err(NoPlace);
        }
        Ok(Self { after, missed })
    }
}
