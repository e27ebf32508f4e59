//! The configuration of a node that its centre edits: places and cameras (`fengsui_config::central`), in versions.
//!
//! [`Versions`] is what a centre has of all its nodes, [`Standing`] what one node has of its centre; both are reductions of
//! journals. Deciding and entering are apart, as in the register of nodes: what is decided here is the body of a record, and
//! the state changes when that record, durable by then, is applied.
//!
//! A centre sends the newest version until the node has said what became of it, and again when the node says that it has
//! another one in force. A node takes no version that is older than its own, and none that its own file does not go with.

mod kept;
mod received;
mod versions;

use fengsui_config::{Finding, limits};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use kept::Kept;
pub use received::{InForce, Offer, OfferRefused, Received, Released, Standing, Verdict};
pub use versions::{Draft, Due, Entry, Outcome, SaveRefused, Saved, Settled, State, Versions};

/// SHA-256 of a text, 64 hexadecimal digits.
#[must_use]
pub fn sum(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// What is wrong with a version, as it goes from the node to the centre and into its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Line of the version's text, from 1; 0 when it is about the whole, or about the node's own file.
    pub line: u32,
    /// Dotted key, for example `camera.main`; empty when it is about the whole.
    pub key: String,
    /// The value as written; `***` where it may hold a secret.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    /// A fault of the whole.
    #[must_use]
    pub fn whole(problem: &str, remedy: &str) -> Self {
        Self {
            line: 0,
            key: String::new(),
            value: String::new(),
            problem: clipped(problem),
            remedy: clipped(remedy),
        }
    }

    /// Of a finding; `text` is how the version is named in findings. One in the node's own file says so.
    #[must_use]
    pub fn of(finding: &Finding, text: &std::path::Path) -> Self {
        let here = finding.file == text;
        let problem = if here {
            finding.problem.clone()
        } else {
            format!("{} (line {} of the node's own file)", finding.problem, finding.line)
        };
        Self {
            line: if here { finding.line } else { 0 },
            key: clipped(&finding.key),
            value: clipped(&finding.value),
            problem: clipped(&problem),
            remedy: clipped(&finding.remedy),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if !self.value.is_empty() {
                write!(f, " = {}", self.value)?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(limits::RELAY_CONFIG_FAULT_CHARS_MAX).collect()
}

/// What a node says of its configuration whenever it says that it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigWord {
    /// The centre's version in force; none: the node's own file.
    pub in_force: Option<u64>,
    /// The version that somebody at the node put out of force.
    pub released: Option<u64>,
}

impl ConfigWord {
    /// The newest version that the node knows of.
    #[must_use]
    pub fn newest(self) -> u64 {
        self.in_force.or(self.released).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
