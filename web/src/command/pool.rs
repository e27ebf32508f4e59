//! How many answers with footage a centre passes on at once: of each node, and altogether. A place is held until the last byte
//! of the answer is gone, or its reader is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use parking_lot::Mutex;

use crate::http::problem::{ApiError, Refusal};

/// The places that are taken.
#[derive(Debug, Default)]
pub struct Pool {
    taken: Mutex<Taken>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only nodes of which there is an answer under way.
    nodes: BTreeMap<NodeId, usize>,
}

/// A place that is held while this lives.
#[derive(Debug)]
pub struct Place {
    pool: Arc<Pool>,
    node: NodeId,
}

impl Pool {
    /// Takes a place for an answer of `node`.
    ///
    /// # Errors
    /// `unavailable`, with the time after which to try again, when there is none.
    pub fn enter(self: &Arc<Self>, node: &NodeId) -> Result<Place, ApiError> {
        let mut taken = self.taken.lock();
        let of_node = taken.nodes.get(node).copied().unwrap_or_default();
        let full = match () {
            () if of_node >= limits::FAR_PER_NODE_MAX => Some(format!("of {node}")),
            () if taken.all >= limits::FAR_MAX => Some("of other nodes".to_owned()),
            () => None,
        };
        if let Some(whose) = full {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let detail = format!("As much footage {whose} is under way as may be.");
            return Err(ApiError::new(Refusal::Unavailable, detail)
                .remedy("Try again in a moment, or play fewer cameras at once.")
                .retry_after(limits::FAR_RETRY));
        }
        taken.all += 1;
        taken.nodes.insert(node.clone(), of_node + 1);
        Ok(Place { pool: self.clone(), node: node.clone() })
    }

    /// Answers under way.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.lock().all
    }

    /// Answers refused since the start because too many were under way.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.pool.taken.lock();
        taken.all -= 1;
        let left = taken.nodes.get(&self.node).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            taken.nodes.remove(&self.node);
        } else {
            taken.nodes.insert(self.node.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_node_takes_its_share_and_not_that_of_others() {
        let pool: Arc<Pool> = Arc::default();
        let (east, west): (NodeId, NodeId) = ("east".parse().unwrap(), "west".parse().unwrap());
        let mut held: Vec<Place> =
            (0..limits::FAR_PER_NODE_MAX).map(|_| pool.enter(&east).unwrap()).collect();
        assert_eq!(pool.enter(&east).unwrap_err().code(), "unavailable");
        held.push(pool.enter(&west).unwrap());
        held.remove(0);
        held.push(pool.enter(&east).unwrap());
        assert_eq!((pool.taken(), pool.refused()), (limits::FAR_PER_NODE_MAX + 1, 1));
        held.clear();
        assert_eq!(pool.taken(), 0);
        assert!(pool.taken.lock().nodes.is_empty());
    }

    #[test]
    fn all_nodes_together_have_a_bound() {
        let pool: Arc<Pool> = Arc::default();
        let node = |n: usize| format!("n{n}").parse::<NodeId>().unwrap();
        let held: Vec<Place> = (0..limits::FAR_MAX).map(|n| pool.enter(&node(n)).unwrap()).collect();
        assert!(pool.enter(&node(limits::FAR_MAX)).is_err());
        drop(held);
        assert!(pool.enter(&node(0)).is_ok());
    }
}
