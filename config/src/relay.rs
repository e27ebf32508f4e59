//! How a node speaks with its centre, and a centre with its nodes. Without the section a node is alone, and no server
//! between nodes is needed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ids::NodeId;
use crate::limits;

/// `[relay]` after every check: one of the two is there, or both (a county is the centre of its stations).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// The node is a centre.
    pub centre: Option<CentreRole>,
    /// The node has a centre.
    pub upward: Option<UpwardRole>,
}

/// A centre and its NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CentreRole {
    /// Address that the server listens on for nodes.
    pub listen: SocketAddr,
    /// Names and addresses of its certificate: by which nodes reach it, and the centre itself.
    pub certificate_names: Vec<String>,
    /// Addresses that nodes are told at enrolment, `tls://HOST:PORT`.
    pub public_servers: Vec<String>,
    /// Addresses by which the centre itself reaches its servers, `tls://HOST:PORT`.
    pub servers: Vec<String>,
    /// Absolute folder of the server's streams.
    pub store: PathBuf,
    /// Bytes that the stream of upward frames may take.
    pub stream_bytes: u64,
    /// Servers that keep each message.
    pub replicas: usize,
    /// The other servers, if any.
    pub cluster: Option<ClusterConfig>,
    /// What live pictures may take of the lines to its nodes.
    pub links: LinkBudgets,
}

/// What live pictures may take of the line to each node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBudgets {
    /// For each node of which nothing else is said, in Mbit/s.
    pub mbit: u64,
    /// For these, in Mbit/s.
    pub of: BTreeMap<NodeId, u64>,
}

impl Default for LinkBudgets {
    fn default() -> Self {
        Self { mbit: limits::RELAY_LINK_MBIT_DEFAULT, of: BTreeMap::new() }
    }
}

impl LinkBudgets {
    /// What live pictures of `node` may take of the line to it, in bits a second.
    #[must_use]
    pub fn bits(&self, node: &NodeId) -> u64 {
        self.of.get(node).copied().unwrap_or(self.mbit).saturating_mul(1_000_000)
    }
}

/// Servers that keep the stream together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Address for the other servers.
    pub listen: SocketAddr,
    /// Addresses of the other servers, `tls://HOST:PORT`.
    pub routes: Vec<String>,
}

/// The centre of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpwardRole {
    /// Its NATS servers, `tls://HOST:PORT`.
    pub servers: Vec<String>,
    /// Absolute PEM file of the only certificate that they are believed by; enrolment writes it.
    pub ca: PathBuf,
    /// Name by which the centre knows this node.
    pub node: NodeId,
    /// Records that wait for the centre at most; beyond them the least important are passed over, counted.
    pub backlog_records: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
}
