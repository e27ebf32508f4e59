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

/// Kinds of rows; see the table in storage.
pub use fengsui_storage::journal::kinds;
