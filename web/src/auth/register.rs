//! The register: what was done, by whom, durable before it takes effect. On a node it is the journal.

use fengsui_storage::journal::{JournalPage, JournalRecord};
use futures::future::BoxFuture;
use serde_json::Value;

/// The row could not be made durable; what it would have allowed must not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot write to the journal: {0}")]
pub struct RegisterError(pub String);

/// Says which rows somebody wants to see.
pub type Wanted = Box<dyn Fn(&JournalRecord) -> bool + Send>;

/// Takes rows and says when they are durable.
pub trait Register: Send + Sync + 'static {
    /// Writes one row; the sequence number comes back after it is on disk.
    fn append(&self, kind: &'static str, body: Value) -> BoxFuture<'_, Result<u64, RegisterError>>;
    /// Up to `limit` rows before number `before` that are wanted, newest first.
    fn page(
        &self,
        before: u64,
        limit: usize,
        wanted: Wanted,
    ) -> BoxFuture<'_, Result<JournalPage, RegisterError>>;
    /// Failed writes so far, in this process's life.
    fn errors(&self) -> u64 {
        0
    }
}

/// Kinds of rows; see the table in storage.
pub use fengsui_storage::journal::kinds;
