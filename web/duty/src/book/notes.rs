//! Acts as they stand in records of the journal and in snapshots.

use fengsui_config::ids::NodeId;
use fengsui_relay::frame::Frame;
use fengsui_storage::journal::kinds;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Book;
use super::keep::KeptGone;
use crate::act::{Act, ActId, NoAct, Noted, Verb};
use crate::book::Late;
use crate::book::welcome::Unwelcome;

/// An act that came from elsewhere, as it stands in `duty.received`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Its record.
    pub id: ActId,
    /// Its body.
    pub body: Value,
}

impl Carried {
    /// An act to be carried.
    #[must_use]
    pub fn of(noted: &Noted) -> Self {
        Self { id: noted.id.clone(), body: noted.act.body() }
    }

    /// The act.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Noted, NoAct> {
        Ok(Noted { act: Act::read(&self.body)?, id: self.id.clone() })
    }
}

/// Body of `duty.received`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Who handed them on.
    pub from: NodeId,
    /// The acts.
    pub acts: Vec<Carried>,
}

/// The act of a frame of another node, if it is one that can be read.
#[must_use]
pub fn carried_by(frame: &Frame) -> Option<Noted> {
    let is = |kind| kinds::is(&frame.kind, &frame.body, kind);
    (is(kinds::DUTY_ACTED) || is(kinds::DUTY_DEFINED)).then_some(())?;
    let id = ActId { node: frame.origin.clone(), epoch: frame.epoch, seq: frame.seq };
    Some(Noted { id, act: Act::read(&frame.body).ok()? })
}

/// The kind of the record of an act: definitions stay for ever, acts as long as the journal keeps its records.
#[must_use]
pub fn record_kind(verb: &Verb) -> &'static str {
    match verb {
        Verb::Alarm(_) | Verb::Incident(_) | Verb::Shift(_) => kinds::DUTY_ACTED,
        Verb::Unit(_) | Verb::Plan(_) | Verb::Rule(_) => kinds::DUTY_DEFINED,
    }
}

/// A book as a snapshot holds it: the acts, from which it is made again, and what is left of those that are gone. Bodies are
/// texts: a snapshot is read as one JSON value, and a text costs a tenth of the memory of an object.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    acts: Vec<(ActId, String)>,
    #[serde(default)]
    gone: Vec<KeptGone>,
    #[serde(default)]
    late: Late,
    #[serde(default)]
    lines: Vec<(NodeId, NodeId)>,
    #[serde(default)]
    unwelcome: Vec<(Unwelcome, u64)>,
}

impl Serialize for Book {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let text = |noted: &Noted| {
            let body = serde_json::to_string(&noted.act).map_err(S::Error::custom)?;
            Ok((noted.id.clone(), body))
        };
        let kept = Kept {
            acts: self.acts().map(text).collect::<Result<_, S::Error>>()?,
            gone: self.keep.kept_gone().map_err(S::Error::custom)?,
            late: self.keep.late_acts().clone(),
            lines: self.lines.clone().into_iter().collect(),
            unwelcome: self.unwelcome.clone().into_iter().collect(),
        };
        kept.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Book {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let kept = Kept::deserialize(from)?;
        let mut book = Self::default();
        for (id, body) in kept.acts {
            let body: Value = serde_json::from_str(&body).map_err(D::Error::custom)?;
            let act = Act::read(&body).map_err(D::Error::custom)?;
            book.take(Noted { id, act });
        }
        book.keep.restore(kept.gone, kept.late).map_err(D::Error::custom)?;
        book.lines = kept.lines.into_iter().collect();
        book.unwelcome = kept.unwelcome.into_iter().collect();
        Ok(book)
    }
}
