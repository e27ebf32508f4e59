//! What this node records in place of others. Its centre says so; an order is in the journal before it is carried out, and a
//! restart goes on with what the journal says, whether the centre is there or not.

use std::collections::BTreeSet;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_relay::standby::{Decision, Order, Taken, TooManyOwners};
use fengsui_storage::backfill::{Came, Incoming};
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{JournalRecord, Reducer as _};
use parking_lot::RwLock;
use serde_json::Value;

use crate::app::App;
use crate::auth::register::RegisterError;

/// Opens and records cameras for which the node stands by, or leaves them; takes in what others recorded of its own.
pub trait StandIn: Send + Sync + 'static {
    /// From now on exactly these cameras of other nodes are recorded, as far as they are configured.
    fn record(&self, app: &App, cameras: BTreeSet<CameraId>);
    /// Takes one piece of a segment in that another node recorded in this one's place. Blocks. `now` is the wall clock.
    ///
    /// # Errors
    /// When a file system refuses.
    fn take_in(
        &self,
        now: UtcMicros,
        incoming: &Incoming,
        offset: u64,
        piece: &[u8],
    ) -> Result<Came, StoreError>;
}

/// Why an order was not followed.
#[derive(Debug, thiserror::Error)]
pub enum NotFollowed {
    /// There is no room for one more owner.
    #[error(transparent)]
    TooMany(#[from] TooManyOwners),
    /// The journal does not take it.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// None: it is followed. Else the revision of the newer one that is.
    pub newer: Option<u64>,
    /// Cameras of the order that are not configured here as standing by for that owner.
    pub missing: BTreeSet<CameraId>,
}

/// What a node records in place of others, and how that changes.
#[derive(Default)]
pub struct Standby {
    taken: RwLock<Taken>,
    /// Held from the decision until it is carried out.
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Standby {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standby").field("taken", &*self.taken.read()).finish_non_exhaustive()
    }
}

impl Standby {
    /// Goes on with what the journal says.
    #[must_use]
    pub fn new(taken: Taken) -> Self {
        Self { taken: RwLock::new(taken), turn: tokio::sync::Mutex::default() }
    }

    /// What was told last about each owner.
    #[must_use]
    pub fn taken(&self) -> Taken {
        self.taken.read().clone()
    }

    /// Follows an order of the centre `by`, unless it follows a newer one.
    ///
    /// # Errors
    /// When there is no room, or the journal does not take it: then all is as it was.
    pub async fn follow(&self, app: &App, order: &Order, by: &str) -> Result<Followed, NotFollowed> {
        let _turn = self.turn.lock().await;
        let decision = self.taken.read().decide(order)?;
        let kind = match decision {
            Decision::Older(newer) => return Ok(Followed { newer: Some(newer), missing: BTreeSet::new() }),
            Decision::Same => return Ok(Followed { newer: None, missing: missing(app, order) }),
            Decision::Note(kind) => kind,
        };
        let mut body = serde_json::to_value(order).unwrap_or_default();
        if let Value::Object(fields) = &mut body {
            fields.insert("by".to_owned(), by.into());
        }
        let seq = app.auth.register.append(kind, body.clone()).await?;
        let record = JournalRecord {
            seq,
            epoch: app.desk.epoch(),
            node: app.node.id.clone(),
            at: app.clock.utc(),
            kind: kind.to_owned(),
            body,
            // The reduction looks at neither.
            previous: [0; 32],
            hash: [0; 32],
        };
        let cameras = {
            let mut taken = self.taken.write();
            if let Err(error) = taken.apply(&record) {
                // The body was made here; it is read again from the journal at the next start.
                tracing::error!(%error, "cannot apply an order to record for another node");
            }
            taken.cameras()
        };
        let missing = missing(app, order);
        tracing::info!(owner = %order.owner, revision = order.revision, cameras = order.cameras.len(),
            missing = missing.len(), "an order to record in place of another node");
        if let Some(stand_in) = app.stand_in.read().clone() {
            stand_in.record(app, cameras);
        }
        Ok(Followed { newer: None, missing })
    }
}

/// Cameras of an order that are not configured here as standing by for its owner.
fn missing(app: &App, order: &Order) -> BTreeSet<CameraId> {
    let topology = app.topology();
    let configured: BTreeSet<CameraId> = topology.standby_for(&order.owner).map(|camera| camera.id).collect();
    order.cameras.difference(&configured).copied().collect()
}
