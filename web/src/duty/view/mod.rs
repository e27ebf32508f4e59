//! Matters as people and programs see them, with the names of what they are about.

mod alarm;
mod incident;
mod look;

use std::sync::Arc;

use fengsui_config::Topology;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_duty::act::{ActId, By, ByKind, Noted};
use fengsui_duty::alarm::Alarm;
use fengsui_duty::ledger::{Conflict, Ledger, Machine};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub(in crate::duty) use alarm::alarm_in;
pub use alarm::{AlarmCounts, AlarmView, IncidentRef, alarm, alarm_counts, alarms_in};
pub use incident::{
    AttachmentView, CameraRef, ClipView, DispatchView, IncidentCounts, IncidentDetail, IncidentHead,
    IncidentPage, IncidentPlaceView, IncidentPlanView, IncidentRow, NoteView, OpenCounts, PlanRef,
    SentUnitView, StepCounts, StepView, attachments, incident_page, incident_row, incident_rows,
};
pub use look::{Look, Neighbour, metres, neighbours};

/// When, and who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DoneView {
    /// When.
    pub at_us: i64,
    /// Who.
    pub by: String,
}

impl DoneView {
    pub(super) fn of((at, by): &(UtcMicros, By)) -> Self {
        Self { at_us: at.0, by: by.name.clone() }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ByView {
    /// `person`, `system`, `token` or `unit`.
    #[schema(value_type = String, example = "person")]
    pub kind: ByKind,
    /// The name of the person, rule, token or unit.
    pub name: String,
}

impl From<&By> for ByView {
    fn from(by: &By) -> Self {
        Self { kind: by.kind, name: by.name.clone() }
    }
}

/// Why an act changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VoidView {
    /// A stable word for programs.
    pub code: String,
    /// What stood in the way.
    pub detail: String,
}

/// One act on a matter.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActView {
    /// Its record: node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    pub id: String,
    /// When, on the clock of the node that made it.
    pub at_us: i64,
    /// The node that made it.
    pub node: String,
    /// Who.
    pub by: ByView,
    /// What was done.
    #[serde(rename = "do")]
    pub verb: String,
    /// With what.
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
    /// Why it changed nothing; none when it did.
    pub void: Option<VoidView>,
}

impl ActView {
    fn of(noted: &Noted, void: Option<VoidView>) -> Self {
        let body = match noted.act.body().get_mut("act").map(Value::take) {
            Some(Value::Object(body)) => body,
            _ => Map::new(),
        };
        let mut detail = body;
        let verb = detail.remove("do").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        Self {
            id: noted.id.to_string(),
            at_us: noted.act.at_us.0,
            node: noted.id.node.to_string(),
            by: (&noted.act.by).into(),
            verb,
            detail,
            void,
        }
    }
}

/// What people have to look at: an act that was overtaken, or that overruled another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConflictView {
    /// The act; `settle` names it.
    pub act: String,
    /// `void`: it changed nothing. `overrules`: it stands, and `other` does not.
    pub why: String,
    /// Who.
    pub by: ByView,
    /// When.
    pub at_us: i64,
    /// At which node.
    pub node: String,
    /// What was done.
    #[serde(rename = "do")]
    pub verb: String,
    /// Of a void one: a stable word for programs.
    pub code: Option<String>,
    /// Of a void one: what stood in the way.
    pub detail: Option<String>,
    /// Of one that overrules: the act that does not stand.
    pub other: Option<String>,
    /// Of one that overrules: what both decide.
    pub what: Option<String>,
    /// Somebody has looked at it.
    pub settled: bool,
}

/// Conflicts at which nobody has looked.
pub(super) fn open_conflicts<M: Machine>(ledger: &Ledger<M>) -> u64 {
    ledger.open_conflicts() as u64
}

/// Whether there is a conflict at which nobody has looked.
#[must_use]
pub fn has_open_conflicts<M: Machine>(ledger: &Ledger<M>) -> bool {
    open_conflicts(ledger) > 0
}

/// Whether somebody has to do something about an alarm, or to look at a conflict of it.
pub(super) fn is_standing(ledger: &Ledger<Alarm>) -> bool {
    ledger.state().is_some_and(|alarm| alarm.state.is_open()) || open_conflicts(ledger) > 0
}

/// Every act of a matter, in order.
#[must_use]
pub fn acts<M: Machine>(ledger: &Ledger<M>) -> Vec<ActView> {
    let void_of = |id: &ActId| {
        ledger.conflicts().iter().find_map(|conflict| match conflict {
            Conflict::Void { act, illegal } if act.id == *id => {
                Some(VoidView { code: illegal.code.clone(), detail: illegal.detail.clone() })
            }
            _ => None,
        })
    };
    ledger.acts().map(|noted| ActView::of(noted, void_of(&noted.id))).collect()
}

/// Every conflict of a matter.
#[must_use]
pub fn conflicts<M: Machine>(ledger: &Ledger<M>) -> Vec<ConflictView> {
    let of = |conflict: &Conflict| {
        let place = conflict.act();
        let act = ActView::of(ledger.acts().find(|noted| noted.id == place.id)?, None);
        let (why, code, detail, other, what) = match conflict {
            Conflict::Void { illegal, .. } => {
                ("void", Some(illegal.code.clone()), Some(illegal.detail.clone()), None, None)
            }
            Conflict::Overrules { other, what, .. } => {
                ("overrules", None, None, Some(other.id.to_string()), Some(what.clone()))
            }
        };
        let settled = ledger.settled_by(conflict).is_some();
        let ActView { id, at_us, node, by, verb, .. } = act;
        let why = why.to_owned();
        Some(ConflictView { act: id, why, by, at_us, node, verb, code, detail, other, what, settled })
    };
    ledger.conflicts().iter().filter_map(of).collect()
}

/// The names of cameras and places as they are now.
pub(super) struct Names(pub(super) Arc<Topology>);

impl Names {
    pub(super) fn camera(&self, camera: &CameraId) -> String {
        self.0.cameras.get(camera).map(|c| c.name.clone()).unwrap_or_default()
    }

    /// Code and name of a site, or of the one at which a camera is.
    pub(super) fn site(&self, site: Option<&str>, camera: Option<&CameraId>) -> Option<(String, String)> {
        let of_camera = || camera.and_then(|c| self.0.cameras.get(c)).map(|c| c.site.to_string());
        let code = site.map(str::to_owned).or_else(of_camera)?;
        let known = code.parse().ok().and_then(|code| self.0.sites.get(&code));
        Some((code, known.map(|site| site.name.clone()).unwrap_or_default()))
    }
}
