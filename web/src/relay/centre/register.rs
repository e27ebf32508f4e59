//! Who is a node of this centre: orders and enrolments. Each is decided on the register, written into the journal, and only
//! then has an effect; one at a time, so that a token enrols one node whatever comes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use fengsui_config::ids::{CameraId, NodeId};
use fengsui_relay::identity::registry::Share;
use fengsui_relay::identity::{
    EnrolAnswer, EnrolRefusal, EnrolRequest, NodeRefusal, NodeState, Nodes, Token, TokenHash,
};
use fengsui_relay::inbox::Rules;
use fengsui_storage::journal::{JournalRecord, Reducer as _, kinds};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::Centre;
use crate::app::App;
use crate::auth::register::RegisterError;

/// The register in use.
#[derive(Debug)]
pub struct Roll {
    own: NodeId,
    nodes: RwLock<Nodes>,
    /// Which node has which camera.
    owners: RwLock<BTreeMap<CameraId, NodeId>>,
    /// Held from the decision until the record is durable and applied.
    turn: tokio::sync::Mutex<()>,
    changes: watch::Sender<u64>,
}

impl Roll {
    /// The register of the centre `own`.
    #[must_use]
    pub fn new(own: NodeId, nodes: Nodes) -> Self {
        let (changes, owners) = (watch::Sender::new(0), RwLock::new(owners(&nodes)));
        Self { own, nodes: RwLock::new(nodes), owners, turn: tokio::sync::Mutex::default(), changes }
    }

    /// The register as it is.
    #[must_use]
    pub fn nodes(&self) -> Nodes {
        self.nodes.read().clone()
    }

    /// Whether a node is enrolled here, and not retired.
    #[must_use]
    pub fn works(&self, node: &NodeId) -> bool {
        self.nodes.read().get(node).is_some_and(|node| node.state != NodeState::Retired)
    }

    /// The node that has a camera, when one does.
    #[must_use]
    pub fn owner(&self, camera: &CameraId) -> Option<NodeId> {
        self.owners.read().get(camera).cloned()
    }

    /// The enrolled node that speaks for another one: itself, or the county above it.
    #[must_use]
    pub fn speaker(&self, origin: &NodeId) -> Option<NodeId> {
        speaker(&self.nodes.read(), origin)
    }

    /// All nodes that were ever enrolled: what a retired one left in the stream is still read.
    #[must_use]
    pub fn senders(&self) -> Vec<NodeId> {
        self.nodes.read().iter().map(|(node, _)| node.clone()).collect()
    }

    /// The nodes that may have footage of a camera, its owner first.
    #[must_use]
    pub fn holders(&self, camera: CameraId) -> Vec<NodeId> {
        self.nodes.read().holders(camera)
    }

    /// Changes of the register, counted.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells those who wait for changes.
    pub(super) fn told(&self) {
        *self.owners.write() = owners(&self.nodes.read());
        self.changes.send_modify(|n| *n += 1);
    }
}

/// Which node has which camera; of two that say so, one that is not to be emptied.
fn owners(nodes: &Nodes) -> BTreeMap<CameraId, NodeId> {
    let mut owners = BTreeMap::new();
    for state in [NodeState::Active, NodeState::Drained] {
        for (id, node) in nodes.iter().filter(|(_, node)| node.state == state) {
            for camera in &node.cameras {
                owners.entry(*camera).or_insert_with(|| id.clone());
            }
        }
    }
    owners
}

/// The enrolled node that speaks for `origin`: itself, or the county whose name with a dash its name begins with. A node
/// that is enrolled here speaks for itself alone.
fn speaker(nodes: &Nodes, origin: &NodeId) -> Option<NodeId> {
    if nodes.get(origin).is_some() {
        return Some(origin.clone());
    }
    let above =
        |node: &NodeId| origin.as_str().strip_prefix(node.as_str()).is_some_and(|r| r.starts_with('-'));
    nodes.iter().map(|(node, _)| node).filter(|node| above(node)).max_by_key(|n| n.as_str().len()).cloned()
}

impl Rules for Roll {
    fn may_send(&self, sender: &NodeId, origin: &NodeId) -> bool {
        *origin != self.own && speaker(&self.nodes.read(), origin).as_ref() == Some(sender)
    }

    fn owns(&self, origin: &NodeId, camera: &str) -> bool {
        let nodes = self.nodes.read();
        let Ok(camera) = camera.parse::<CameraId>() else { return false };
        speaker(&nodes, origin).and_then(|s| nodes.get(&s)).is_some_and(|node| node.speaks_of(camera))
    }
}

/// An order about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum NodeOrder {
    /// Other cameras.
    Assign {
        /// All that are its own.
        cameras: BTreeSet<CameraId>,
        /// All of other nodes that it records in their place; as they are when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        standby: Option<BTreeSet<CameraId>>,
    },
    /// Nothing new for it.
    Drain {
        /// Why.
        reason: String,
    },
    /// A node no more.
    Retire {
        /// Why.
        reason: String,
    },
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NodeOrderError {
    /// The register refuses.
    #[error(transparent)]
    Refused(#[from] NodeRefusal),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// No HTTPS, so that a node cannot bring its token.
    #[error(
        "this centre has no HTTPS address to which a node could bring its token; write tls_listen under [web]"
    )]
    NoHttps,
    /// No random bytes.
    #[error("the machine gives no random bytes: {0}")]
    Random(String),
    /// Another node's name with a dash begins this one.
    #[error(
        "{0} begins with the name of the node {1}, which speaks for names like that; choose another name"
    )]
    Below(NodeId, NodeId),
}

/// Why a node is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The register refuses.
    #[error(transparent)]
    Refused(#[from] EnrolRefusal),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

fn value(body: impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

/// Refuses a name for which another node would speak.
///
/// # Errors
/// Names that node.
pub fn below_nobody(nodes: &Nodes, node: &NodeId) -> Result<(), NodeOrderError> {
    match speaker(nodes, node).filter(|above| above != node) {
        Some(above) => Err(NodeOrderError::Below(node.clone(), above)),
        None => Ok(()),
    }
}

/// A token that was made.
pub struct Invited {
    /// The node.
    pub node: NodeId,
    /// The token's text, for the one place that shows it.
    pub token: Zeroizing<String>,
    /// Its end.
    pub expires_us: i64,
}

impl Centre {
    /// Writes a record; gives it as a reduction sees it.
    pub(super) async fn write(
        &self,
        app: &App,
        kind: &'static str,
        body: Value,
    ) -> Result<JournalRecord, RegisterError> {
        let seq = app.auth.register.append(kind, body.clone()).await?;
        Ok(JournalRecord {
            seq,
            epoch: self.journal.epoch(),
            node: self.own.to_string(),
            at: app.clock.utc(),
            kind: kind.to_owned(),
            body,
            // No reduction looks at either.
            previous: [0; 32],
            hash: [0; 32],
        })
    }

    /// Writes a record of the register and applies it. The caller holds the turn.
    async fn enter(&self, app: &App, kind: &'static str, body: Value) -> Result<(), RegisterError> {
        let record = self.write(app, kind, body).await?;
        if let Err(error) = self.roll.nodes.write().apply(&record) {
            // The body was made here; it is read again from the journal at the next start.
            tracing::error!(%error, "cannot apply a record of the register of nodes");
        }
        self.nodes_changed();
        Ok(())
    }

    /// Makes a token for a node.
    ///
    /// # Errors
    /// Why not; then there is none.
    pub async fn invite(
        &self,
        app: &App,
        node: &NodeId,
        share: Share,
        lifetime: Duration,
        by: &str,
    ) -> Result<Invited, NodeOrderError> {
        let pin = self.pin.ok_or(NodeOrderError::NoHttps)?;
        let token = Token::make(node.clone(), pin).map_err(|e| NodeOrderError::Random(e.to_string()))?;
        let expires_us = self.invite_hash(app, (node, token.hash()), share, lifetime, by).await?;
        Ok(Invited { node: node.clone(), token: token.expose(), expires_us })
    }

    /// Makes an invitation with a token that somebody else made, and alone has: the command line. Gives its end.
    ///
    /// # Errors
    /// As [`Self::invite`].
    pub async fn invite_hash(
        &self,
        app: &App,
        (node, hash): (&NodeId, TokenHash),
        share: Share,
        lifetime: Duration,
        by: &str,
    ) -> Result<i64, NodeOrderError> {
        let _turn = self.roll.turn.lock().await;
        let nodes = self.roll.nodes();
        below_nobody(&nodes, node)?;
        let invitation = nodes.invite(&self.own, (node, hash), share, (app.clock.utc(), lifetime), by)?;
        self.enter(app, kinds::NODE_INVITED, value(&invitation)).await?;
        tracing::info!(%node, by, "made a token for a node");
        Ok(invitation.expires_us.0)
    }

    /// Carries out an order about a node.
    ///
    /// # Errors
    /// Why not; then all is as it was.
    pub async fn order(
        &self,
        app: &App,
        node: &NodeId,
        order: &NodeOrder,
        by: &str,
    ) -> Result<(), NodeOrderError> {
        let _turn = self.roll.turn.lock().await;
        let nodes = self.roll.nodes();
        let (kind, body) = match order {
            NodeOrder::Assign { cameras, standby } => {
                (kinds::NODE_ASSIGNED, value(nodes.assign(node, cameras.clone(), standby.clone(), by)?))
            }
            NodeOrder::Drain { reason } => (kinds::NODE_DRAINED, value(nodes.dismiss(node, by, reason)?)),
            NodeOrder::Retire { reason } => (kinds::NODE_RETIRED, value(nodes.dismiss(node, by, reason)?)),
        };
        self.enter(app, kind, body).await?;
        tracing::info!(%node, by, kind, "an order about a node");
        Ok(())
    }

    /// Enrols a node that brings its token.
    ///
    /// # Errors
    /// Why not; then all is as it was.
    pub async fn enrol(
        &self,
        app: &App,
        request: &EnrolRequest,
        address: IpAddr,
    ) -> Result<EnrolAnswer, EnrolError> {
        let _turn = self.roll.turn.lock().await;
        let enrolment = self.roll.nodes().admit(request, app.clock.utc(), &address.to_string())?;
        self.enter(app, kinds::NODE_ENROLLED, value(&enrolment)).await?;
        tracing::info!(node = %enrolment.node, %address, "enrolled a node");
        Ok(EnrolAnswer {
            node: enrolment.node,
            authority: self.authority_certificate.clone(),
            servers: self.role.public_servers.clone(),
        })
    }
}
