//! The register: what was done, by whom, durable before it takes effect. On a node it is the journal.

use futures::future::BoxFuture;
use serde_json::Value;

/// The row could not be made durable; what it would have allowed must not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot write to the journal: {0}")]
pub struct RegisterError(pub String);

/// Takes rows and says when they are durable.
pub trait Register: Send + Sync + 'static {
    /// Writes one row; the sequence number comes back after it is on disk.
    fn append(&self, kind: &'static str, body: Value) -> BoxFuture<'_, Result<u64, RegisterError>>;
}

/// Kinds of rows that this crate writes.
pub mod kinds {
    /// An account was made: `{name, roles, password}` (the last as an argon2id PHC text).
    pub const ACCOUNT_CREATED: &str = "account_created";
    /// Somebody logged in: `{by, address}`.
    pub const LOGIN: &str = "login";
    /// A log-in was refused: `{name, address, why}`.
    pub const LOGIN_REFUSED: &str = "login_refused";
    /// Somebody logged out: `{by, address}`.
    pub const LOGOUT: &str = "logout";
    /// Stored pictures were shown: `{by, address, camera, stream, from_us, to_us, how}`.
    pub const FOOTAGE_VIEWED: &str = "footage_viewed";
    /// Live pictures were shown: `{by, address, camera, stream}`.
    pub const LIVE_VIEWED: &str = "live_viewed";
    /// A media ticket was given: `{by, address, camera, stream, from_us, to_us, expires_us}`.
    pub const TICKET_ISSUED: &str = "ticket_issued";
    /// The configuration was read again: `{by, added, changed, removed}`.
    pub const CONFIG_RELOADED: &str = "config_reloaded";
    /// A new configuration was refused: `{by, refusals}`.
    pub const CONFIG_REFUSED: &str = "config_refused";
    /// The node started: `{version}`.
    pub const NODE_STARTED: &str = "node_started";
    /// The node stopped in good order: `{}`.
    pub const NODE_STOPPED: &str = "node_stopped";
}
