//! Who a node is, and how its centre comes to know it.
//!
//! A node is its Ed25519 key, the one that signs its segments; the same key logs it in to the centre's NATS servers. The
//! centre learns the key once, by a one-time token (`token`), keeps the register of its nodes as a reduction of its
//! journal (`registry`), lets the servers know of it by a file (`server_config`), and is the certificate authority for the
//! TLS between nodes (`authority`).
//!
//! Invariants: a token enrols once, one key, before its time is over; a retired node is in no file that a server reads; no
//! seed and no token stands in a log, the journal or a server's file.

pub mod authority;
pub(crate) mod files;
pub mod nkey;
pub mod pin;
pub mod registry;
pub mod server_config;
mod server_files;
pub mod token;

pub use authority::{Authority, AuthorityError, ServerIdentity};
pub use files::ConfigWriter;
pub use nkey::PublicNkey;
pub use registry::{EnrolAnswer, EnrolRefusal, EnrolRequest, NodeRefusal, NodeState, Nodes};
pub use server_config::{ClusterPlan, NodeUser, ServerPlan};
pub use server_files::ServerFiles;
pub use token::{Token, TokenHash};
