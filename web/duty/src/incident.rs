//! The life of an incident: open, handling, resolved, closed or cancelled; with its plan, its dispatches and its papers.

mod life;

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use serde::{Deserialize, Serialize};

use crate::act::{By, MatterId};
use crate::alarm::Level;
use crate::define::{Net, PlanBody, PlanStep};

/// Where an incident is: at least one of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Where {
    /// National code of a site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// A point on the map: WGS-84 latitude and longitude in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<(f64, f64)>,
}

/// Who told of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// An alarm of this platform.
    Alarm,
    /// Somebody at the desk saw it.
    Desk,
    /// A township centre (乡镇综治中心).
    TownshipCentre,
    /// A grid helper (网格员).
    GridHelper,
    /// The telephone.
    Telephone,
    /// Another system.
    OtherSystem,
}

/// How an incident begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// What people call it: `20261129-007`, counted by its home node and day.
    pub number: String,
    /// What kind, own words of the city; plans are bound to kinds.
    pub kind: String,
    /// What it is in a few words.
    pub title: String,
    /// More words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// How much it matters.
    pub level: Level,
    /// Where.
    pub place: Where,
    /// Who told of it.
    pub channel: Channel,
    /// Its number at whoever told of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Alarms that it is made of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alarms: BTreeSet<MatterId>,
    /// Cameras that see it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cameras: BTreeSet<CameraId>,
    /// Nodes that it concerns beside its home; they get all its acts and may act.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<NodeId>,
}

/// A unit as it was when it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentUnit {
    /// The unit.
    pub id: MatterId,
    /// Its name.
    pub name: String,
    /// Its net.
    pub net: Net,
    /// How to reach it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
}

/// How far a unit is: sent, received, arrived, done; or declined before it arrived, or recalled by the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It was sent.
    Sent,
    /// It knows.
    Received,
    /// It is there.
    Arrived,
    /// It has done its work and said how it ended.
    Done,
    /// It cannot go, and said why.
    Declined,
    /// The desk called it back, and said why.
    Recalled,
}

impl Progress {
    /// Whether the unit is still under way or at work.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Sent | Self::Received | Self::Arrived)
    }

    /// The word used in sentences and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Arrived => "arrived",
            Self::Done => "done",
            Self::Declined => "declined",
            Self::Recalled => "recalled",
        }
    }
}

/// What can be done to an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum IncidentVerb {
    /// The first act.
    Open(Open),
    /// Other people in charge; open becomes handling. Not when it is over.
    Assign {
        /// All of them.
        people: BTreeSet<String>,
    },
    /// Other facts; what is absent stays. Not when it is over.
    Edit {
        /// Title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Kind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        /// Level.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<Level>,
        /// Place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Where>,
    },
    /// One more alarm. Not when it is over.
    AddAlarm {
        /// The alarm.
        alarm: MatterId,
    },
    /// One more camera. Always possible.
    AddCamera {
        /// The camera.
        camera: CameraId,
    },
    /// Footage that shows it. Always possible.
    AddClip {
        /// The camera.
        camera: CameraId,
        /// From when.
        from_us: UtcMicros,
        /// Until when; later than `from_us`.
        to_us: UtcMicros,
        /// What is seen.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Words. Always possible.
    Note {
        /// The words.
        text: String,
    },
    /// A file, which is kept beside the journal under its hash. Always possible.
    Attach {
        /// BLAKE3, 64 hexadecimal digits.
        hash: String,
        /// As the sender calls it.
        name: String,
        /// Media type as its bytes say.
        media: String,
        /// Length.
        bytes: u64,
    },
    /// One more node. Always possible.
    Share {
        /// The node.
        node: NodeId,
    },
    /// It is handled by this plan, as it is now; while it is open or handled, and not once a step was taken: a newer version
    /// of the same plan may lack what was taken.
    UsePlan {
        /// The plan.
        plan: MatterId,
        /// Its content then.
        body: PlanBody,
    },
    /// The step that is next is done, while the incident is open or handled; open becomes handling.
    StepDone {
        /// Its id in the plan.
        step: String,
        /// The answer, where the step asks one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// Words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// The step that is next is skipped, while the incident is open or handled; open becomes handling; supervisors are told.
    StepSkipped {
        /// Its id in the plan.
        step: String,
        /// Why.
        reason: String,
    },
    /// A unit is sent, while the incident is open or handled and this unit is not under way here; open becomes handling.
    Dispatch {
        /// The dispatch: 1 to 24 of `a-z`, `0-9`.
        id: String,
        /// The unit.
        unit: SentUnit,
        /// What it is to do.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        order: String,
    },
    /// A unit comes further. Forward only, also over a report that never came; not declined once it arrived. `done`,
    /// `declined` and `recalled` end it and want a `result`.
    Progressed {
        /// The dispatch.
        id: String,
        /// How far.
        to: Progress,
        /// How it ended, or why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        result: String,
    },
    /// It is dealt with: open or handling to resolved, when no step is left and no unit under way.
    Resolve {
        /// How.
        result: String,
    },
    /// Resolved to handling.
    Reopen {
        /// Why.
        reason: String,
    },
    /// Resolved to closed.
    Close,
    /// It was none: open or handling to cancelled, with no unit under way.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Somebody has looked at a conflict and leaves things as they are. Always possible.
    Settle {
        /// `node.epoch.seq` of the act that is in conflict.
        act: String,
        /// Words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Nobody has done anything yet.
    Open,
    /// Somebody works on it.
    Handling,
    /// It is dealt with.
    Resolved,
    /// The record stands.
    Closed,
    /// It was none.
    Cancelled,
}

/// A unit that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The unit.
    pub unit: SentUnit,
    /// What it is to do.
    pub order: String,
    /// By whom.
    pub by: By,
    /// How far it is.
    pub progress: Progress,
    /// When it came to each.
    pub times: BTreeMap<Progress, UtcMicros>,
    /// How it ended.
    pub result: String,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTaken {
    /// The step.
    pub step: String,
    /// It was skipped.
    pub skipped: bool,
    /// The answer given.
    pub answer: Option<String>,
    /// Words; of a skipped one, why.
    pub note: String,
    /// When.
    pub at_us: UtcMicros,
    /// By whom.
    pub by: By,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// How it began; title, kind, level and place as they are now.
    pub open: Open,
    /// When it was opened.
    pub opened_us: UtcMicros,
    /// By whom.
    pub opened_by: By,
    /// Where it stands.
    pub state: IncidentState,
    /// Since when.
    pub since_us: UtcMicros,
    /// By whom it came there.
    pub since_by: By,
    /// Who is in charge.
    pub people: BTreeSet<String>,
    /// Its plan.
    pub plan: Option<(MatterId, PlanBody)>,
    /// Steps that were taken, in order.
    pub steps: Vec<StepTaken>,
    /// Units that were sent.
    pub dispatches: BTreeMap<String, Dispatch>,
    /// How it was resolved or why it was cancelled.
    pub result: Option<String>,
    /// When it was resolved last; kept when it is closed.
    pub resolved_us: Option<UtcMicros>,
    /// When it was closed or cancelled, and by whom.
    pub over: Option<(UtcMicros, By)>,
}

impl Incident {
    /// The step that is next by the plan; none without a plan or when all are taken.
    #[must_use]
    pub fn next_step(&self) -> Option<&PlanStep> {
        let (_, plan) = self.plan.as_ref()?;
        plan.next(&self.steps)
    }

    /// Whether nothing but notes and papers can be added any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, IncidentState::Closed | IncidentState::Cancelled)
    }
}
