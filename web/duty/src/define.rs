//! What people define: units, plans, rules, and the shift. Each is defined whole; the newest definition stands.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use serde::{Deserialize, Serialize};

use crate::act::{By, Noted, Verb};
use crate::alarm::Level;
use crate::incident::StepTaken;
use crate::ledger::{Illegal, Machine};

/// The four nets of patrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Net {
    /// 街面巡防.
    Street,
    /// 社区(农村)防控.
    Community,
    /// 内部防范.
    Internal,
    /// 卡点堵截.
    Checkpoint,
}

/// Hours of duty: days of the week (1 Monday to 7 Sunday) and minutes of the day, local time. `to` below `from` runs into the
/// next day; `to` equal to `from` is the whole day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Days on which it begins; empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<u8>,
    /// Minute of the day at which it begins, 0 to 1439.
    pub from_min: u16,
    /// Minute of the day at which it ends, 0 to 1440.
    pub to_min: u16,
}

/// A patrol unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitBody {
    /// Its name.
    pub name: String,
    /// Its net.
    pub net: Net,
    /// Its people; at least one.
    pub members: Vec<String>,
    /// How to reach it: radio call sign or telephone.
    pub contact: String,
    /// The area: national codes of sub-centres, stations and sites; empty: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub area: Vec<String>,
    /// When it is on duty; empty: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duty: Vec<Hours>,
    /// Where it is stationed: WGS-84 latitude and longitude. A checkpoint has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<(f64, f64)>,
}

/// What can be done to a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum UnitVerb {
    /// It is so now.
    Define(UnitBody),
    /// It is no more.
    Remove,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Its id: 1 to 24 of `a-z`, `0-9`, `-`; unique in the plan.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// The answers that it wants, each with the id of the step that follows it (empty: the one below). None: it is just done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
}

/// A plan (预案).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanBody {
    /// Its name.
    pub name: String,
    /// Kinds of incidents for which it is offered; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Its steps in order; at least one. Answers go forward only, so a plan ends.
    pub steps: Vec<PlanStep>,
}

impl PlanBody {
    /// The step that comes after those that were taken; none when the plan is through.
    #[must_use]
    pub fn next(&self, taken: &[StepTaken]) -> Option<&PlanStep> {
        let Some(last) = taken.last() else { return self.steps.first() };
        let place = self.steps.iter().position(|s| s.id == last.step)?;
        let target = last.answer.as_ref().and_then(|a| self.steps.get(place)?.answers.get(a));
        match target.filter(|t| !t.is_empty()) {
            Some(id) => self.steps.iter().find(|s| s.id == *id),
            None => self.steps.get(place + 1),
        }
    }
}

/// What can be done to a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum PlanVerb {
    /// It is so now.
    Define(PlanBody),
    /// It is no more.
    Remove,
}

/// Where the events of a rule are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// At the node that notes them, also while it is alone. A rule of a centre goes to all nodes below.
    #[default]
    Origin,
    /// At the node of the rule, over the events of all nodes below as they come.
    Here,
}

/// When a rule raises an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "when", rename_all = "snake_case")]
pub enum Trigger {
    /// At every event.
    Each,
    /// When a number in the event's data is at least, or at most, this.
    Threshold {
        /// Name in the data.
        fact: String,
        /// At least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// At most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// When so many events of one camera (or of the whole selection) come within so many seconds.
    Repetition {
        /// How many, 2 or more.
        times: u32,
        /// Within how long.
        within_s: u32,
        /// Counted over all cameras together.
        #[serde(default)]
        together: bool,
    },
    /// When no event of the selection came for so long (of each camera that is named, or of all together).
    Absence {
        /// How long.
        for_s: u32,
        /// Of all cameras together.
        #[serde(default)]
        together: bool,
    },
    /// When what an event opened was not closed for so long.
    Lasting {
        /// How long.
        for_s: u32,
    },
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleBody {
    /// Its name.
    pub name: String,
    /// It is in use.
    pub enabled: bool,
    /// Where it is judged.
    #[serde(default)]
    pub judged: Judged,
    /// Kinds of events; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// The least priority of an event (`low`, `normal`, `alarm`); absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_priority: Option<fengsui_relay::event::Priority>,
    /// Cameras; with `area` empty and this empty: everywhere, events of no camera too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cameras: Vec<CameraId>,
    /// National codes of sub-centres, stations and sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub area: Vec<String>,
    /// When it is in force; empty: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// When it raises an alarm.
    pub trigger: Trigger,
    /// How much its alarms matter.
    pub level: Level,
    /// Seconds after an alarm of one cause is over within which it does not raise the same again; 0: at once.
    #[serde(default)]
    pub hold_off_s: u32,
    /// Seconds within which its alarms are to be acknowledged; 0: never overdue.
    #[serde(default)]
    pub due_s: u32,
    /// Days for which footage around an alarm is held; 0: it is not.
    #[serde(default)]
    pub hold_days: u32,
}

/// What can be done to a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum RuleVerb {
    /// It is so now.
    Define(RuleBody),
    /// It is no more.
    Remove,
}

/// What can be done at the change of a shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ShiftVerb {
    /// Somebody leaves, with a note to who comes. The node signs note, numbers and names with its key.
    HandOver {
        /// Who comes.
        to: String,
        /// What they have to know.
        note: String,
        /// What was open: alarms, incidents, units under way.
        open: BTreeMap<String, u64>,
        /// Ed25519 over the canonical JSON of the rest, by the key of the node; hexadecimal.
        signature: String,
        /// That key, hexadecimal.
        key: String,
    },
    /// Who was named has read it and takes over.
    TakeOver {
        /// Words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
}

/// A definition and when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Defined<B> {
    /// As it is; none: it was removed.
    pub body: Option<B>,
    /// Definitions so far: what `If-Match` names.
    pub version: u64,
    /// When.
    pub at_us: UtcMicros,
    /// By whom.
    pub by: By,
}

/// Reads the definition in an act; `None` inside: it is removed.
trait Definition: Sized + Clone {
    fn of(verb: &Verb) -> Option<Option<&Self>>;
}

impl Definition for UnitBody {
    fn of(verb: &Verb) -> Option<Option<&Self>> {
        match verb {
            Verb::Unit(UnitVerb::Define(body)) => Some(Some(body)),
            Verb::Unit(UnitVerb::Remove) => Some(None),
            _ => None,
        }
    }
}

impl Definition for PlanBody {
    fn of(verb: &Verb) -> Option<Option<&Self>> {
        match verb {
            Verb::Plan(PlanVerb::Define(body)) => Some(Some(body)),
            Verb::Plan(PlanVerb::Remove) => Some(None),
            _ => None,
        }
    }
}

impl Definition for RuleBody {
    fn of(verb: &Verb) -> Option<Option<&Self>> {
        match verb {
            Verb::Rule(RuleVerb::Define(body)) => Some(Some(body)),
            Verb::Rule(RuleVerb::Remove) => Some(None),
            _ => None,
        }
    }
}

impl<B: Definition> Machine for Defined<B> {
    fn begin(first: &Noted) -> Result<Self, Illegal> {
        match B::of(&first.act.verb) {
            Some(Some(body)) => {
                let (body, by) = (Some(body.clone()), first.act.by.clone());
                Ok(Self { body, version: 1, at_us: first.act.at_us, by })
            }
            _ => Err(Illegal::new("unknown", "There is no such definition.", "Load the list anew.")),
        }
    }

    fn apply(&mut self, noted: &Noted) -> Result<(), Illegal> {
        let removed = || Illegal::new("removed", "It was removed already.", "Make a new one.");
        let body = match B::of(&noted.act.verb) {
            None => return Err(Illegal::new("unknown", "This is no definition.", "Load the list anew.")),
            Some(None) if self.body.is_none() => return Err(removed()),
            Some(body) => body.cloned(),
        };
        (self.body, self.at_us, self.by) = (body, noted.act.at_us, noted.act.by.clone());
        self.version += 1;
        Ok(())
    }

    fn decides(_: &Noted) -> Vec<String> {
        vec!["definition".to_owned()]
    }

    fn restates(_: &Noted) -> bool {
        true
    }
}

/// Who is on duty at a node: the newest hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// The hand-over.
    pub handed: ShiftVerb,
    /// Who left.
    pub from: By,
    /// When.
    pub at_us: UtcMicros,
    /// When who was named took over, and what they said.
    pub taken: Option<(UtcMicros, String)>,
}

impl Machine for Shift {
    fn begin(first: &Noted) -> Result<Self, Illegal> {
        let Verb::Shift(handed @ ShiftVerb::HandOver { .. }) = &first.act.verb else {
            return Err(Illegal::new("nothing_handed_over", "Nothing was handed over.", "Hand over first."));
        };
        Ok(Self { handed: handed.clone(), from: first.act.by.clone(), at_us: first.act.at_us, taken: None })
    }

    fn apply(&mut self, noted: &Noted) -> Result<(), Illegal> {
        match (&noted.act.verb, &self.handed) {
            (Verb::Shift(ShiftVerb::HandOver { .. }), _) => *self = Self::begin(noted)?,
            (Verb::Shift(ShiftVerb::TakeOver { note }), ShiftVerb::HandOver { to, .. }) => {
                if self.taken.is_some() {
                    return Err(Illegal::new(
                        "already_taken",
                        "The shift was taken over already.",
                        "Load it anew.",
                    ));
                }
                if *to != noted.act.by.name {
                    let detail = format!("The shift was handed to {to}.");
                    return Err(Illegal::new("not_yours", detail, format!("Let {to} take it over.")));
                }
                self.taken = Some((noted.act.at_us, note.clone()));
            }
            _ => {
                return Err(Illegal::new(
                    "unknown",
                    "This is nothing that can be done to a shift.",
                    "Hand over.",
                ));
            }
        }
        Ok(())
    }

    fn decides(_: &Noted) -> Vec<String> {
        vec!["shift".to_owned()]
    }
}
