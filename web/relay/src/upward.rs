//! Which journal records go up, how urgent they are, and which camera they are about. The relay knows no event; whoever
//! has one puts its kind into this table.

use std::collections::BTreeMap;

use fengsui_storage::journal::kinds;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How urgent a record is: what is passed over first when too much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Passed over first.
    Low,
    /// Passed over when no low one is left.
    Normal,
    /// Never passed over, and also sent the direct way at once.
    Alarm,
}

/// One kind of record that goes up.
#[derive(Debug, Clone, Copy)]
pub struct UpwardKind {
    /// Its name in the table of journal kinds.
    pub name: &'static str,
    /// Newest version of its body that is understood.
    pub version: u64,
    /// Priority of a record with this body.
    pub priority: fn(&Value) -> Priority,
    /// The camera that it is about.
    pub camera: fn(&Value) -> Option<&str>,
    /// What a receiver makes of a body of a version that is understood.
    pub body: fn(&Value) -> Known,
}

/// What a receiver makes of a kind and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Understood.
    Yes,
    /// A kind that does not go up, or nobody knows: of the record, or within its body. Named in the words.
    UnknownKind(String),
    /// A body of a newer version.
    UnknownVersion,
    /// A body that cannot be read, and why.
    Malformed(String),
}

/// The kinds that go up.
#[derive(Debug, Clone)]
pub struct Upward {
    kinds: BTreeMap<&'static str, UpwardKind>,
}

impl Upward {
    /// These kinds, and the relay's own.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = UpwardKind>) -> Self {
        let own = UpwardKind {
            name: kinds::RELAY_PASSED_OVER,
            version: 1,
            priority: |_| Priority::Alarm,
            camera: |_| None,
            body: |_| Known::Yes,
        };
        Self { kinds: kinds.into_iter().chain([own]).map(|kind| (kind.name, kind)).collect() }
    }

    /// Priority of a record; `None` when it does not go up.
    #[must_use]
    pub fn priority(&self, kind: &str, body: &Value) -> Option<Priority> {
        self.kinds.get(kind).map(|k| (k.priority)(body))
    }

    /// The camera that a record is about.
    #[must_use]
    pub fn camera<'a>(&self, kind: &str, body: &'a Value) -> Option<&'a str> {
        self.kinds.get(kind).and_then(|k| (k.camera)(body))
    }

    /// Whether a receiver understands it.
    #[must_use]
    pub fn known(&self, kind: &str, body: &Value) -> Known {
        match self.kinds.get(kind) {
            None => Known::UnknownKind(format!("kind {kind}")),
            Some(k) if kinds::version(body) > k.version => Known::UnknownVersion,
            Some(k) => (k.body)(body),
        }
    }
}
