//! Where this node tells other systems what happens to alarms and incidents.

use std::path::PathBuf;

use url::Url;

use crate::secret::Secret;

/// One webhook, after every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Its name: 1 to 20 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// Where events are posted: HTTPS, or HTTP to this machine. It holds no user, password or query.
    pub url: Url,
    /// With what events are signed; whoever receives them has the same.
    pub secret: Secret,
    /// Types of events: `alarm`, `incident`, `alarm.raise`; empty: all but the counting of events.
    pub kinds: Vec<String>,
    /// PEM certificates that the receiver's is checked against; the machine's own when absent.
    pub ca: Option<PathBuf>,
}

impl WebhookConfig {
    /// The name of its cursor in the journal.
    #[must_use]
    pub fn cursor(&self) -> String {
        format!("{}{}", Self::CURSOR, self.name.replace('-', "_"))
    }

    /// How cursors of webhooks begin.
    pub const CURSOR: &str = "webhook_";
}
