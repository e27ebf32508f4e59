//! Who has a closed segment in hand. Whoever changes or removes its file claims it first; nobody else touches it then.
//! Claims are in memory: a crash ends them, and each protocol settles what it left.

use std::collections::BTreeSet;
use std::sync::Arc;

use fengsui_config::ids::StreamKey;
use parking_lot::Mutex;

use super::Catalogue;

/// The segments in somebody's hands.
#[derive(Debug, Default)]
pub(super) struct Claims(Arc<Mutex<BTreeSet<(StreamKey, u64)>>>);

/// A segment in hand; let go of when it is dropped.
#[derive(Debug)]
pub struct Claim {
    all: Arc<Mutex<BTreeSet<(StreamKey, u64)>>>,
    of: (StreamKey, u64),
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.all.lock().remove(&self.of);
    }
}

impl Catalogue {
    /// Takes a segment in hand; `None` while somebody else has it. What is known of it may have changed before: look at
    /// its row afterwards.
    #[must_use]
    pub fn claim(&self, key: StreamKey, number: u64) -> Option<Claim> {
        let of = (key, number);
        self.claims.0.lock().insert(of).then(|| Claim { all: self.claims.0.clone(), of })
    }
}
