//! Acts and the matters that they are about.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::alarm::AlarmVerb;
use crate::define::{PlanVerb, RuleVerb, ShiftVerb, UnitVerb};
use crate::incident::IncidentVerb;

/// Version of the body of `duty.acted` that this program writes, and the newest that it reads.
pub const VERSION: u64 = 1;

/// What a matter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatterKind {
    /// Something that a person must judge (警情).
    Alarm,
    /// Something that is being handled (案事件).
    Incident,
    /// A patrol unit (巡防力量).
    Unit,
    /// Steps bound to a kind of incident (预案).
    Plan,
    /// What makes alarms of events.
    Rule,
    /// Who is on duty at a node, and what they left to those after them.
    Shift,
}

impl MatterKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Alarm, Self::Incident, Self::Unit, Self::Plan, Self::Rule, Self::Shift];

    /// The word used in ids, the journal and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Incident => "incident",
            Self::Unit => "unit",
            Self::Plan => "plan",
            Self::Rule => "rule",
            Self::Shift => "shift",
        }
    }
}

/// A matter, the same everywhere: `alarm/kecheng/3f2a9c01b7d4e865`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatterId {
    /// What it is.
    pub kind: MatterKind,
    /// The node at which it began; its cameras or people are there.
    pub home: NodeId,
    /// Its name there: 1 to [`MatterId::NAME_MAX`] of `a-z`, `0-9` and `-`.
    pub name: String,
}

impl MatterId {
    /// Characters of a name.
    pub const NAME_MAX: usize = 48;
}

/// A text that names no matter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no matter; write it as kind/node/name")]
pub struct NoMatter(pub String);

impl fmt::Display for MatterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.home, self.name)
    }
}

impl FromStr for MatterId {
    type Err = NoMatter;
    fn from_str(s: &str) -> Result<Self, NoMatter> {
        let wrong = || NoMatter(s.chars().take(120).collect());
        let mut parts = s.splitn(3, '/');
        let mut part = || parts.next().ok_or_else(wrong);
        let (kind, home, name) = (part()?, part()?, part()?);
        let kind = MatterKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(wrong)?;
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > Self::NAME_MAX || !name.bytes().all(good) {
            return Err(wrong());
        }
        let home = home.parse().map_err(|_| wrong())?;
        Ok(Self { kind, home, name: name.to_owned() })
    }
}

impl Serialize for MatterId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MatterId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The journal record of an act, by which it is known everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActId {
    /// The node that wrote it.
    pub node: NodeId,
    /// Opening of its journal.
    pub epoch: u64,
    /// Number in it.
    pub seq: u64,
}

impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.epoch, self.seq)
    }
}

/// By what somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByKind {
    /// Somebody logged in.
    Person,
    /// The node itself: a rule, or time that passed.
    System,
    /// Another system, by its token.
    Token,
    /// A patrol unit, by its link.
    Unit,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct By {
    /// By what.
    pub kind: ByKind,
    /// The name of the person, rule, token or unit.
    pub name: String,
}

impl By {
    /// The node itself, and what made it act.
    #[must_use]
    pub fn system(name: impl Into<String>) -> Self {
        Self { kind: ByKind::System, name: name.into() }
    }
    /// Somebody logged in.
    #[must_use]
    pub fn person(name: impl Into<String>) -> Self {
        Self { kind: ByKind::Person, name: name.into() }
    }
}

/// What is done, by the kind of the matter.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// To an alarm.
    Alarm(AlarmVerb),
    /// To an incident.
    Incident(IncidentVerb),
    /// To a unit.
    Unit(UnitVerb),
    /// To a plan.
    Plan(PlanVerb),
    /// To a rule.
    Rule(RuleVerb),
    /// To the shift of a node.
    Shift(ShiftVerb),
}

impl Verb {
    /// The kind of matter that it is for.
    #[must_use]
    pub fn kind(&self) -> MatterKind {
        match self {
            Self::Alarm(_) => MatterKind::Alarm,
            Self::Incident(_) => MatterKind::Incident,
            Self::Unit(_) => MatterKind::Unit,
            Self::Plan(_) => MatterKind::Plan,
            Self::Rule(_) => MatterKind::Rule,
            Self::Shift(_) => MatterKind::Shift,
        }
    }

    /// Whether a matter can begin with it.
    #[must_use]
    pub fn begins(&self) -> bool {
        matches!(
            self,
            Self::Alarm(AlarmVerb::Raise(_))
                | Self::Incident(IncidentVerb::Open(_))
                | Self::Unit(UnitVerb::Define(_))
                | Self::Plan(PlanVerb::Define(_))
                | Self::Rule(RuleVerb::Define(_))
                | Self::Shift(ShiftVerb::HandOver { .. })
        )
    }

    /// Whether it adds words, papers and other facts, for which a full matter has no room.
    #[must_use]
    pub fn is_paper(&self) -> bool {
        match self {
            Self::Alarm(verb) => {
                matches!(verb, AlarmVerb::Note { .. } | AlarmVerb::Own { .. } | AlarmVerb::Prioritise { .. })
            }
            Self::Incident(verb) => matches!(
                verb,
                IncidentVerb::AddAlarm { .. }
                    | IncidentVerb::AddCamera { .. }
                    | IncidentVerb::AddClip { .. }
                    | IncidentVerb::Note { .. }
                    | IncidentVerb::Attach { .. }
                    | IncidentVerb::Edit { .. }
                    | IncidentVerb::Assign { .. }
            ),
            Self::Unit(_) | Self::Plan(_) | Self::Rule(_) | Self::Shift(_) => false,
        }
    }
}

/// An act as its node made it: the body of `duty.acted`.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// What it is about.
    pub matter: MatterId,
    /// One more than the highest that its maker had seen of this matter; the first act has 1.
    pub lamport: u64,
    /// What its maker had seen of this matter: of each node, itself included, the highest `lamport` before which no act of that
    /// node was missing.
    pub seen: BTreeMap<NodeId, u64>,
    /// When, on the clock of the node that made it.
    pub at_us: UtcMicros,
    /// Who.
    pub by: By,
    /// What.
    pub verb: Verb,
}

/// An act and its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// Its record.
    pub id: ActId,
    /// The act.
    pub act: Act,
}

/// Where an act stands among those of its matter; the same order everywhere, and no act stands before one that its maker
/// had seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// As in the act.
    pub lamport: u64,
    /// Its record.
    pub id: ActId,
}

impl Noted {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { lamport: self.act.lamport, id: self.id.clone() }
    }

    /// Whether its maker knew of `other`.
    #[must_use]
    pub fn saw(&self, other: &Place) -> bool {
        self.act.seen.get(&other.id.node).is_some_and(|seen| *seen >= other.lamport)
    }
}

/// Why the body of an act cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no act: {0}")]
pub struct NoAct(pub String);

/// The body with its verb not yet read.
#[derive(Deserialize)]
struct Body {
    #[serde(default = "version_1")]
    v: u64,
    matter: MatterId,
    lamport: u64,
    #[serde(default)]
    seen: BTreeMap<NodeId, u64>,
    at_us: i64,
    by: By,
    act: serde_json::Value,
}

fn version_1() -> u64 {
    1
}

impl Serialize for Verb {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Alarm(verb) => verb.serialize(to),
            Self::Incident(verb) => verb.serialize(to),
            Self::Unit(verb) => verb.serialize(to),
            Self::Plan(verb) => verb.serialize(to),
            Self::Rule(verb) => verb.serialize(to),
            Self::Shift(verb) => verb.serialize(to),
        }
    }
}

impl Serialize for Act {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut body = to.serialize_struct("Act", 7)?;
        body.serialize_field("v", &VERSION)?;
        body.serialize_field("matter", &self.matter)?;
        body.serialize_field("lamport", &self.lamport)?;
        if self.seen.is_empty() {
            body.skip_field("seen")?;
        } else {
            body.serialize_field("seen", &self.seen)?;
        }
        body.serialize_field("at_us", &self.at_us)?;
        body.serialize_field("by", &self.by)?;
        body.serialize_field("act", &self.verb)?;
        body.end()
    }
}

/// Counts what is written.
struct Length(u64);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Act {
    /// The body of its journal record.
    #[must_use]
    pub fn body(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Length of its body as JSON.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut length = Length(0);
        // Nothing but maps with keys that are texts.
        serde_json::to_writer(&mut length, self).map_or(0, |()| length.0)
    }

    /// Reads the body of a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(body: &serde_json::Value) -> Result<Self, NoAct> {
        let wrong = |e: serde_json::Error| NoAct(e.to_string());
        let body = Body::deserialize(body).map_err(wrong)?;
        if body.v == 0 || body.v > VERSION {
            return Err(NoAct(format!("version {} is newer than {VERSION}, which this node reads", body.v)));
        }
        if !(1..=limits::DUTY_LAMPORT_MAX).contains(&body.lamport) {
            let most = limits::DUTY_LAMPORT_MAX;
            return Err(NoAct(format!("lamport {} is not within 1 and {most}", body.lamport)));
        }
        if body.seen.len() > limits::DUTY_SEEN_MAX || body.seen.values().any(|seen| *seen >= body.lamport) {
            let most = limits::DUTY_SEEN_MAX;
            return Err(NoAct(format!(
                "seen has more than {most} nodes, or acts behind lamport {}",
                body.lamport
            )));
        }
        let verb = match body.matter.kind {
            MatterKind::Alarm => Verb::Alarm(serde_json::from_value(body.act).map_err(wrong)?),
            MatterKind::Incident => Verb::Incident(serde_json::from_value(body.act).map_err(wrong)?),
            MatterKind::Unit => Verb::Unit(serde_json::from_value(body.act).map_err(wrong)?),
            MatterKind::Plan => Verb::Plan(serde_json::from_value(body.act).map_err(wrong)?),
            MatterKind::Rule => Verb::Rule(serde_json::from_value(body.act).map_err(wrong)?),
            MatterKind::Shift => Verb::Shift(serde_json::from_value(body.act).map_err(wrong)?),
        };
        let (lamport, seen, at_us) = (body.lamport, body.seen, UtcMicros(body.at_us));
        Ok(Self { matter: body.matter, lamport, seen, at_us, by: body.by, verb })
    }
}
