//! Whether a frame that is in its place may be taken in.

use std::collections::BTreeMap;
use std::fmt;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::frame::{Chain, Frame};
use crate::upward::{Known, Upward};

/// Midnight of 2000-01-01: what is before it comes from a clock that was never set.
const YEAR_2000: UtcMicros = UtcMicros(946_684_800_000_000);

/// Why a frame is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Further ahead of the receiver's clock than `limits::RELAY_AHEAD_MAX`.
    Future,
    /// From before the year 2000.
    BeforeTime,
    /// A kind that does not go up, or that this program does not know.
    UnknownKind,
    /// A frame or a body of a newer version.
    UnknownVersion,
    /// Larger than a frame may be.
    Oversized,
    /// About a camera that is not the origin's.
    ForeignCamera,
    /// Not what its chain says, or without what came before it.
    BrokenChain,
    /// Of an origin for which the sender may not speak.
    WrongOrigin,
    /// No frame.
    Malformed,
}

impl Reason {
    /// All of them, for metrics.
    pub const ALL: [Self; 9] = [
        Self::Future,
        Self::BeforeTime,
        Self::UnknownKind,
        Self::UnknownVersion,
        Self::Oversized,
        Self::ForeignCamera,
        Self::BrokenChain,
        Self::WrongOrigin,
        Self::Malformed,
    ];

    /// Its name in metrics and in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::BeforeTime => "before_time",
            Self::UnknownKind => "unknown_kind",
            Self::UnknownVersion => "unknown_version",
            Self::Oversized => "oversized",
            Self::ForeignCamera => "foreign_camera",
            Self::BrokenChain => "broken_chain",
            Self::WrongOrigin => "wrong_origin",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who may speak for whom, and whose a camera is: what the centre's configuration and register of nodes say.
pub trait Rules: Send + Sync {
    /// Whether `sender` may send frames of `origin`: itself, and the nodes below it.
    fn may_send(&self, sender: &NodeId, origin: &NodeId) -> bool;
    /// Whether `origin` may say something about `camera`.
    fn owns(&self, origin: &NodeId, camera: &str) -> bool;
}

/// Why not, with a word for people.
pub(super) type Fault = (Reason, String);

/// What a frame or a preview says of itself, whatever came before it.
pub(super) struct Claim<'a> {
    pub origin: &'a NodeId,
    pub at: UtcMicros,
    pub kind: &'a str,
    pub body: &'a Value,
}

pub(super) fn judge_claim(
    claim: &Claim<'_>,
    upward: &Upward,
    rules: &dyn Rules,
    now: UtcMicros,
) -> Result<(), Fault> {
    if claim.at > now + limits::RELAY_AHEAD_MAX {
        let ahead = claim.at.since(now) / 1_000_000;
        return Err((Reason::Future, format!("its time is {ahead} s ahead")));
    }
    if claim.at < YEAR_2000 {
        return Err((Reason::BeforeTime, format!("its time is {} us", claim.at.0)));
    }
    match upward.known(claim.kind, claim.body) {
        Known::Yes => {}
        Known::UnknownKind(why) => return Err((Reason::UnknownKind, why)),
        Known::UnknownVersion => {
            let kind = claim.kind;
            return Err((Reason::UnknownVersion, format!("a body of {kind} of a newer version")));
        }
        Known::Malformed(why) => return Err((Reason::Malformed, why)),
    }
    if let Some(camera) = upward.camera(claim.kind, claim.body)
        && !rules.owns(claim.origin, camera)
    {
        let camera: String = camera.chars().take(32).collect();
        return Err((Reason::ForeignCamera, format!("camera {camera} is not of {}", claim.origin)));
    }
    Ok(())
}

/// Judges a frame that comes behind one with chain `before`.
pub(super) fn judge(
    frame: &Frame,
    before: Chain,
    upward: &Upward,
    rules: &dyn Rules,
    now: UtcMicros,
) -> Result<(), Fault> {
    if frame.chain_behind(before) != frame.chain {
        return Err((Reason::BrokenChain, "it is not what its chain says".to_owned()));
    }
    let Frame { origin, at_us, kind, body, .. } = frame;
    judge_claim(&Claim { origin, at: UtcMicros(*at_us), kind, body }, upward, rules, now)
}

/// How many were not taken in, by reason.
pub type ByReason = BTreeMap<Reason, u64>;
