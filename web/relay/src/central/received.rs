//! What a node has of its centre's configuration: a reduction of its own journal.
//!
//! `config.received` (a version is in force, with its text), `config.released` (somebody at the node went back to the
//! node's own file).

use fengsui_config::central::CentralTopology;
use fengsui_config::clock::UtcMicros;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::{Deserialize, Serialize};

use super::{ConfigWord, sum};

/// First words of a kept version, so that no other file is taken for one.
const MAGIC: &str = "# kept for this node by its centre; edit it there: ";

/// A version as its centre offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its number.
    pub version: u64,
    /// SHA-256 of the text.
    pub hash: String,
    /// Places and cameras.
    pub text: String,
    /// Who saved it at the centre.
    pub by: String,
}

/// The body of `config.received`.
pub type Received = Offer;

/// The body of `config.released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The version that was in force.
    pub version: u64,
    /// Who put it out of force.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A version in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The version.
    #[serde(flatten)]
    pub received: Received,
    /// When it came.
    pub at: UtcMicros,
}

impl InForce {
    /// Its places and cameras.
    #[must_use]
    pub fn topology(&self) -> CentralTopology {
        CentralTopology { version: self.received.version, text: self.received.text.clone() }
    }

    /// The bytes of the file that keeps it beside the journal, for programs that do not open the journal.
    #[must_use]
    pub fn to_file(&self) -> String {
        let Received { version, hash, by, text } = &self.received;
        let (at, sum) = (self.at, self.file_sum());
        let head = serde_json::json!({"version": version, "hash": hash, "by": by, "at": at, "sum": sum});
        format!("{MAGIC}{head}\n{text}")
    }

    /// Holds together all that a file says.
    fn file_sum(&self) -> String {
        let Received { version, by, text, .. } = &self.received;
        sum(&format!("{version} {} {by}\n{text}", self.at.0))
    }

    /// The version of such a file; nothing when its bytes do not hold.
    #[must_use]
    pub fn of_file(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head {
            version: u64,
            hash: String,
            by: String,
            at: UtcMicros,
            sum: String,
        }
        let (head, text) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let head: Head = serde_json::from_str(head.strip_prefix(MAGIC)?).ok()?;
        let received =
            Received { version: head.version, hash: head.hash, by: head.by, text: text.to_owned() };
        let kept = Self { received, at: head.at };
        (super::sum(text) == kept.received.hash && kept.file_sum() == head.sum).then_some(kept)
    }
}

/// What a node goes by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its own file; no centre ever sent anything else.
    #[default]
    Own,
    /// A version of its centre.
    Central(InForce),
    /// Its own file again, since somebody at the node said so. Versions up to this one are not taken any more.
    Released(Released),
}

/// What a node makes of an offer before it looks at the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in force already.
    Same,
    /// It is new: its text decides.
    New,
}

/// Why a node does not look at the text of an offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferRefused {
    /// Not the bytes that the centre meant.
    #[error("the text is not the one whose SHA-256 was sent")]
    Damaged,
    /// There is no version 0.
    #[error("a version is numbered from 1")]
    Zero,
    /// A newer one is in force.
    #[error("version {in_force} is in force here, which is newer than {offered}")]
    Older {
        /// In force.
        in_force: u64,
        /// Offered.
        offered: u64,
    },
    /// The number is that of another text.
    #[error("version {0} is in force here with another text")]
    Other(u64),
    /// Somebody at the node put it, or a newer one, out of force.
    #[error("{} put version {} out of force at the node: {}", .0.by, .0.version, .0.reason)]
    Released(Released),
}

impl OfferRefused {
    /// What to do at the centre.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Damaged | Self::Zero => "save it again",
            Self::Older { .. } | Self::Other(_) => {
                "save it again: it then gets a number above the one at the node"
            }
            Self::Released(_) => "speak with the people at the node; a newer version takes over again",
        }
    }
}

impl Standing {
    /// The version in force.
    #[must_use]
    pub fn in_force(&self) -> Option<&InForce> {
        match self {
            Self::Central(in_force) => Some(in_force),
            Self::Own | Self::Released(_) => None,
        }
    }

    /// What a node says of it.
    #[must_use]
    pub fn word(&self) -> ConfigWord {
        match self {
            Self::Own => ConfigWord::default(),
            Self::Central(now) => ConfigWord { in_force: Some(now.received.version), released: None },
            Self::Released(released) => ConfigWord { in_force: None, released: Some(released.version) },
        }
    }

    /// Whether an offer is to be looked at.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, offer: &Offer) -> Result<Verdict, OfferRefused> {
        if sum(&offer.text) != offer.hash {
            return Err(OfferRefused::Damaged);
        }
        if offer.version == 0 {
            return Err(OfferRefused::Zero);
        }
        match self {
            Self::Own => Ok(Verdict::New),
            Self::Released(released) if offer.version <= released.version => {
                Err(OfferRefused::Released(released.clone()))
            }
            Self::Released(_) => Ok(Verdict::New),
            Self::Central(InForce { received, .. }) if offer.version < received.version => {
                Err(OfferRefused::Older { in_force: received.version, offered: offer.version })
            }
            Self::Central(InForce { received, .. }) if offer.version == received.version => {
                if received.hash == offer.hash {
                    Ok(Verdict::Same)
                } else {
                    Err(OfferRefused::Other(offer.version))
                }
            }
            Self::Central(_) => Ok(Verdict::New),
        }
    }

    /// The record that puts the version in force out of force; none when none is.
    #[must_use]
    pub fn release(&self, by: &str, reason: &str) -> Option<Released> {
        let version = self.in_force()?.received.version;
        Some(Released { version, by: by.to_owned(), reason: reason.to_owned() })
    }
}

impl Reducer for Standing {
    const NAME: &'static str = "central_config";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let is = |kind| kinds::is(&record.kind, &record.body, kind);
        if is(kinds::CONFIG_RECEIVED) {
            let received = Received::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            *self = Self::Central(InForce { received, at: record.at });
        } else if is(kinds::CONFIG_RELEASED) {
            let released = Released::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            *self = Self::Released(released);
        }
        Ok(())
    }
}
