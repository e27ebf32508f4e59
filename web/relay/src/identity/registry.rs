//! The register of a centre's nodes: a reduction of its journal.
//!
//! `node.invited` (a token was made), `node.enrolled` (its node brought it, with its key), `node.assigned` (other cameras),
//! `node.drained` (gets nothing new), `node.retired` (is a node no more). Deciding and entering are apart: [`Nodes::admit`]
//! and its neighbours look at the state and give the body of a record; the state changes when that record, durable by
//! then, is applied. A second record of the same token changes nothing, so a token enrols once whatever happened between.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use fengsui_storage::segment::{KeyId, NodeKey};
use serde::{Deserialize, Serialize};

use super::nkey::PublicNkey;
use super::server_config::NodeUser;
use super::token::{Token, TokenHash};
use crate::standby::Duty;

/// A public key as 64 hexadecimal digits.
mod key_text {
    use fengsui_storage::segment::KeyId;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(key: &KeyId, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&key.to_string())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<KeyId, D::Error> {
        let mut key = [0; 32];
        hex::decode_to_slice(String::deserialize(d)?, &mut key).map_err(serde::de::Error::custom)?;
        Ok(KeyId(key))
    }
}

/// The cameras of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Its own.
    pub cameras: BTreeSet<CameraId>,
    /// Those of other nodes that it records in their place.
    pub standby: BTreeSet<CameraId>,
}

impl From<BTreeSet<CameraId>> for Share {
    fn from(cameras: BTreeSet<CameraId>) -> Self {
        Self { cameras, standby: BTreeSet::new() }
    }
}

/// A token that was made and not brought back yet: the body of `node.invited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The node that it is for.
    pub node: NodeId,
    /// The cameras that the node may speak of.
    pub cameras: BTreeSet<CameraId>,
    /// Cameras of other nodes that it records in their place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub standby: BTreeSet<CameraId>,
    /// What is kept of the token.
    pub token_hash: TokenHash,
    /// Its end.
    pub expires_us: UtcMicros,
    /// When it was made.
    pub invited_us: UtcMicros,
    /// Who made it.
    pub by: String,
}

/// The body of `node.enrolled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The node.
    pub node: NodeId,
    /// Its public key.
    #[serde(with = "key_text")]
    pub key: KeyId,
    /// The token that it brought.
    pub token_hash: TokenHash,
    /// Network address that it came from.
    pub address: String,
}

/// The body of `node.assigned`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The node.
    pub node: NodeId,
    /// The cameras that it may speak of from now on.
    pub cameras: BTreeSet<CameraId>,
    /// Cameras of other nodes that it records in their place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub standby: BTreeSet<CameraId>,
    /// Who said so.
    pub by: String,
}

/// The body of `node.drained` and `node.retired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dismissal {
    /// The node.
    pub node: NodeId,
    /// Who said so.
    pub by: String,
    /// Why, in a person's words.
    pub reason: String,
}

/// What a node is to its centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It works and gets whatever there is to do.
    Active,
    /// It works, and is to get nothing new.
    Drained,
    /// It is a node no more: no server lets it in. Its footage and events stay.
    Retired,
}

/// One enrolled node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its public key.
    #[serde(with = "key_text")]
    pub key: KeyId,
    /// Earlier keys: what it signed with them stays good.
    #[serde(default)]
    pub keys_before: Vec<String>,
    /// The cameras that it may speak of.
    pub cameras: BTreeSet<CameraId>,
    /// Cameras of other nodes that it records in their place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub standby: BTreeSet<CameraId>,
    /// What it is to the centre.
    pub state: NodeState,
    /// When it was enrolled, last.
    pub enrolled_us: UtcMicros,
    /// Where it came from then.
    pub address: String,
}

impl Enrolled {
    /// Whether it may speak of a camera: its own, or one for which it stands by.
    #[must_use]
    pub fn speaks_of(&self, camera: CameraId) -> bool {
        self.cameras.contains(&camera) || self.standby.contains(&camera)
    }
}

/// All nodes of a centre and the invitations that are open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    invited: BTreeMap<NodeId, Invitation>,
    nodes: BTreeMap<NodeId, Enrolled>,
}

/// What a node sends to be enrolled. `Debug` does not show the token.
#[derive(Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The token's text.
    pub token: String,
    /// The node's public key.
    #[serde(with = "key_text")]
    pub key: KeyId,
    /// Signature with that key over node and token, 128 hexadecimal digits: nobody enters the key of another.
    pub proof: String,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrolRequest({})", self.key)
    }
}

/// What the centre answers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// The node's name.
    pub node: NodeId,
    /// Certificate of the centre's authority, PEM: the only one that the link believes.
    pub authority: String,
    /// Addresses of the centre's NATS servers.
    pub servers: Vec<String>,
}

impl EnrolRequest {
    /// The request of the node with this key that holds this token.
    #[must_use]
    pub fn sign(token: &Token, key: &NodeKey) -> Self {
        let proof = hex::encode(key.sign(&claim(token, key.id())));
        Self { token: token.expose().to_string(), key: key.id(), proof }
    }
}

/// What a node signs to be enrolled.
fn claim(token: &Token, key: KeyId) -> Vec<u8> {
    format!("fengsui enrolment 1\n{}\n{key}\n{}", token.node, *token.expose()).into_bytes()
}

/// Why a node is not enrolled. Whoever asked is told [`EnrolRefusal::told`]; the journal gets the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrolRefusal {
    /// The text is no token, or none that is open: wrong, used already, or replaced by a newer one.
    #[error("the token is not known, or was used already")]
    Unknown,
    /// Its time is over.
    #[error("the token's time is over")]
    Expired,
    /// The signature was not made with the key.
    #[error("the request is not signed with the node's key")]
    Proof,
    /// Another node has this key.
    #[error("another node has this key")]
    KeyTaken,
}

impl EnrolRefusal {
    /// The sentence for the node: whoever guesses learns nothing from it.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Unknown | Self::Expired => {
                "This token does not enrol a node: it was used, its time is over, or it was never made. Make a new one at the centre."
            }
            Self::Proof => "The request is not signed with the node's key.",
            Self::KeyTaken => {
                "Another node has this key. Two nodes were made from one copy: remove node.key from one and start it again."
            }
        }
    }
}

/// Why an order about a node is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeRefusal {
    /// No enrolled node has this name.
    #[error("{0} is no enrolled node")]
    Unknown(NodeId),
    /// It is the centre itself, whose records would be taken for the node's.
    #[error("{0} is the centre itself; write the node's own id")]
    Own(NodeId),
    /// It is retired.
    #[error("{0} is retired; invite it anew")]
    Retired(NodeId),
    /// There is no room for one more node.
    #[error("there are {} nodes and open invitations already; retire one", limits::RELAY_NODES_MAX)]
    TooMany,
    /// One node is to have too many cameras.
    #[error("a node has at most {} cameras", limits::RELAY_NODE_CAMERAS_MAX)]
    TooManyCameras,
    /// A camera cannot be a node's own and of another node at once.
    #[error("{0} is one of the node's own cameras, so it cannot stand by for it")]
    OwnStandby(CameraId),
    /// The token's time is too short or too long.
    #[error("write a time between 1 minute and 30 days")]
    Time,
}

impl Nodes {
    /// The record of a new invitation of `node` with a token of this hash, which replaces an open one of the same node. A
    /// node that is enrolled can be invited: with the new token it brings another key.
    ///
    /// # Errors
    /// When a bound is passed, or the name is the centre's own (`own`).
    pub fn invite(
        &self,
        own: &NodeId,
        (node, token_hash): (&NodeId, TokenHash),
        share: impl Into<Share>,
        (now, lifetime): (UtcMicros, std::time::Duration),
        by: &str,
    ) -> Result<Invitation, NodeRefusal> {
        let (shortest, longest) = limits::RELAY_TOKEN_LIFETIME;
        if lifetime < shortest || lifetime > longest {
            return Err(NodeRefusal::Time);
        }
        if node == own {
            return Err(NodeRefusal::Own(own.clone()));
        }
        let known = self.invited.contains_key(node) || self.nodes.contains_key(node);
        let names: BTreeSet<&NodeId> = self.invited.keys().chain(self.nodes.keys()).collect();
        if !known && names.len() >= limits::RELAY_NODES_MAX {
            return Err(NodeRefusal::TooMany);
        }
        let share = share.into();
        fits(&share)?;
        let (node, expires_us) = (node.clone(), now + lifetime);
        let Share { cameras, standby } = share;
        Ok(Invitation { node, cameras, standby, token_hash, expires_us, invited_us: now, by: by.to_owned() })
    }

    /// The record by which a node becomes one. Whoever calls this holds the one lock of the register until the record is
    /// durable and applied.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(
        &self,
        request: &EnrolRequest,
        now: UtcMicros,
        address: &str,
    ) -> Result<Enrolment, EnrolRefusal> {
        let token: Token = request.token.parse().map_err(|_| EnrolRefusal::Unknown)?;
        let invitation = self.invited.get(&token.node).ok_or(EnrolRefusal::Unknown)?;
        let token_hash = token.hash();
        if invitation.token_hash != token_hash {
            return Err(EnrolRefusal::Unknown);
        }
        if now >= invitation.expires_us {
            return Err(EnrolRefusal::Expired);
        }
        let mut proof = [0; 64];
        hex::decode_to_slice(&request.proof, &mut proof).map_err(|_| EnrolRefusal::Proof)?;
        if !request.key.verifies(&claim(&token, request.key), &proof) {
            return Err(EnrolRefusal::Proof);
        }
        if self.nodes.iter().any(|(id, node)| node.key == request.key && *id != token.node) {
            return Err(EnrolRefusal::KeyTaken);
        }
        Ok(Enrolment { node: token.node.clone(), key: request.key, token_hash, address: address.to_owned() })
    }

    /// The record by which a node gets other cameras. Without `standby` those for which it stands by stay as they are.
    ///
    /// # Errors
    /// When there is no such node, too many cameras, or one that is its own and of another node at once.
    pub fn assign(
        &self,
        node: &NodeId,
        cameras: BTreeSet<CameraId>,
        standby: Option<BTreeSet<CameraId>>,
        by: &str,
    ) -> Result<Assignment, NodeRefusal> {
        let standby =
            standby.unwrap_or_else(|| self.nodes.get(node).map_or_else(BTreeSet::new, |n| n.standby.clone()));
        self.working(node)?;
        let share = Share { cameras, standby };
        fits(&share)?;
        let Share { cameras, standby } = share;
        Ok(Assignment { node: node.clone(), cameras, standby, by: by.to_owned() })
    }

    /// The record by which a node is drained or retired.
    ///
    /// # Errors
    /// When there is no such node, or it is retired.
    pub fn dismiss(&self, node: &NodeId, by: &str, reason: &str) -> Result<Dismissal, NodeRefusal> {
        self.working(node)?;
        let reason = reason.chars().take(limits::HOLD_REASON_CHARS_MAX).collect();
        Ok(Dismissal { node: node.clone(), by: by.to_owned(), reason })
    }

    fn working(&self, node: &NodeId) -> Result<&Enrolled, NodeRefusal> {
        let found = self.nodes.get(node).ok_or_else(|| NodeRefusal::Unknown(node.clone()))?;
        if found.state == NodeState::Retired {
            return Err(NodeRefusal::Retired(node.clone()));
        }
        Ok(found)
    }

    /// An enrolled node, retired ones included.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<&Enrolled> {
        self.nodes.get(node)
    }

    /// All enrolled nodes, retired ones included.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Enrolled)> {
        self.nodes.iter()
    }

    /// Open invitations.
    pub fn invitations(&self) -> impl Iterator<Item = &Invitation> {
        self.invited.values()
    }

    /// Whether a node may speak of a camera: its own, and those for which it stands by.
    #[must_use]
    pub fn may_speak_of(&self, node: &NodeId, camera: CameraId) -> bool {
        self.working(node).is_ok_and(|n| n.speaks_of(camera))
    }

    /// Which nodes stand by for which cameras of each owner; retired ones are neither.
    #[must_use]
    pub fn duty(&self) -> Duty {
        let working = || self.nodes.iter().filter(|(_, node)| node.state != NodeState::Retired);
        let owners: BTreeMap<CameraId, &NodeId> =
            working().flat_map(|(id, node)| node.cameras.iter().map(move |camera| (*camera, id))).collect();
        let mut duty = Duty::new();
        for (id, node) in working() {
            for camera in &node.standby {
                let Some(owner) = owners.get(camera).filter(|owner| **owner != id) else { continue };
                let by = duty.entry((*owner).clone()).or_default();
                by.entry(id.clone()).or_default().insert(*camera);
            }
        }
        duty
    }

    /// The nodes that may have footage of a camera: its owner first, then those that stand by, by name. Retired ones are
    /// none of them.
    #[must_use]
    pub fn holders(&self, camera: CameraId) -> Vec<NodeId> {
        let works = |node: &Enrolled| node.state != NodeState::Retired;
        let of = |standby: bool| {
            let has =
                move |node: &Enrolled| if standby { &node.standby } else { &node.cameras }.contains(&camera);
            self.nodes.iter().filter(move |(_, node)| works(node) && has(node)).map(|(id, _)| id.clone())
        };
        let mut holders: Vec<NodeId> = of(false).collect();
        let more: Vec<NodeId> = of(true).filter(|id| !holders.contains(id)).collect();
        holders.extend(more);
        holders
    }

    /// The nodes that servers let in.
    #[must_use]
    pub fn users(&self) -> Vec<NodeUser> {
        let live = self.nodes.iter().filter(|(_, n)| n.state != NodeState::Retired);
        live.map(|(id, n)| NodeUser { node: id.clone(), nkey: PublicNkey::of(n.key) }).collect()
    }

    fn enrol(&mut self, enrolment: Enrolment, at: UtcMicros) {
        // A token that is not open (any more) enrols nobody: of two records of one token the first counts.
        let open = self.invited.get(&enrolment.node).is_some_and(|i| i.token_hash == enrolment.token_hash);
        let Some(invitation) = open.then(|| self.invited.remove(&enrolment.node)).flatten() else { return };
        let mut keys_before = Vec::new();
        if let Some(before) = self.nodes.remove(&enrolment.node) {
            keys_before = before.keys_before;
            let key = before.key.to_string();
            if before.key != enrolment.key && !keys_before.contains(&key) {
                keys_before.push(key);
            }
            let excess = keys_before.len().saturating_sub(limits::RELAY_NODE_KEYS_MAX);
            keys_before.drain(..excess);
        }
        let enrolled = Enrolled {
            key: enrolment.key,
            keys_before,
            cameras: invitation.cameras,
            standby: invitation.standby,
            state: NodeState::Active,
            enrolled_us: at,
            address: enrolment.address,
        };
        self.nodes.insert(enrolment.node, enrolled);
    }

    fn set(&mut self, node: &NodeId, state: NodeState) {
        if let Some(node) = self.nodes.get_mut(node).filter(|n| n.state != NodeState::Retired) {
            node.state = state;
        }
        if state == NodeState::Retired {
            self.invited.remove(node);
        }
    }
}

fn fits(share: &Share) -> Result<(), NodeRefusal> {
    if share.cameras.len() + share.standby.len() > limits::RELAY_NODE_CAMERAS_MAX {
        return Err(NodeRefusal::TooManyCameras);
    }
    share
        .cameras
        .intersection(&share.standby)
        .next()
        .map_or(Ok(()), |both| Err(NodeRefusal::OwnStandby(*both)))
}

impl Reducer for Nodes {
    const NAME: &'static str = "nodes";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        fn body<T: for<'de> Deserialize<'de>>(record: &JournalRecord) -> Result<T, ReduceError> {
            T::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))
        }
        let is = |kind| kinds::is(&record.kind, &record.body, kind);
        if is(kinds::NODE_INVITED) {
            let invitation: Invitation = body(record)?;
            self.invited.insert(invitation.node.clone(), invitation);
        } else if is(kinds::NODE_ENROLLED) {
            self.enrol(body(record)?, record.at);
        } else if is(kinds::NODE_ASSIGNED) {
            let assignment: Assignment = body(record)?;
            if let Some(node) = self.nodes.get_mut(&assignment.node) {
                node.cameras = assignment.cameras;
                node.standby = assignment.standby;
            }
        } else if is(kinds::NODE_DRAINED) {
            self.set(&body::<Dismissal>(record)?.node, NodeState::Drained);
        } else if is(kinds::NODE_RETIRED) {
            self.set(&body::<Dismissal>(record)?.node, NodeState::Retired);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
