//! What reports need of an alarm or an incident, small enough to be kept when its acts are not in memory any more.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use serde::{Deserialize, Serialize};

use crate::act::MatterId;
use crate::alarm::{Alarm, AlarmState, Level};
use crate::incident::{Channel, Incident, IncidentState, Progress};

/// Facts of one alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmFact {
    /// Its rule.
    pub rule: MatterId,
    /// The name of that when it was raised.
    pub rule_name: String,
    /// What happened.
    pub kind: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraId>,
    /// National code of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// How much it mattered last.
    pub level: Level,
    /// Where it stands.
    pub state: AlarmState,
    /// Events.
    pub count: u64,
    /// When it was raised.
    pub raised_us: UtcMicros,
    /// Seconds within which it was to be acknowledged; 0: it was never overdue.
    pub due_s: u32,
    /// When somebody took it on first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_us: Option<UtcMicros>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// When it was resolved or found false last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_us: Option<UtcMicros>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_us: Option<UtcMicros>,
    /// It was found false.
    pub was_false: bool,
    /// How often it was escalated.
    pub escalations: u32,
    /// Its incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<MatterId>,
}

impl AlarmFact {
    /// The facts of an alarm.
    #[must_use]
    pub fn of(alarm: &Alarm) -> Self {
        Self {
            rule: alarm.raise.rule.clone(),
            rule_name: alarm.raise.rule_name.clone(),
            kind: alarm.raise.kind.clone(),
            camera: alarm.raise.camera,
            site: alarm.raise.site.clone(),
            level: alarm.level,
            state: alarm.state,
            count: alarm.count,
            raised_us: alarm.raised_us,
            due_s: alarm.raise.due_s,
            acknowledged_us: alarm.acknowledged.as_ref().map(|(at, _)| *at),
            acknowledged_by: alarm.acknowledged.as_ref().map(|(_, by)| by.name.clone()),
            settled_us: alarm.settled.as_ref().map(|(at, _)| *at),
            closed_us: alarm.closed.as_ref().map(|(at, _)| *at),
            was_false: alarm.was_false,
            escalations: alarm.escalations,
            incident: alarm.incident.clone(),
        }
    }

    /// Whether nobody had acknowledged it when its time was over, seen from `now`.
    #[must_use]
    pub fn was_overdue(&self, now: UtcMicros) -> bool {
        let due = i64::from(self.due_s).saturating_mul(1_000_000);
        due > 0 && self.acknowledged_us.unwrap_or(now).since(self.raised_us) >= due
    }
}

/// Facts of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentFact {
    /// Its number.
    pub number: String,
    /// What kind.
    pub kind: String,
    /// How much it mattered last.
    pub level: Level,
    /// Where it stands.
    pub state: IncidentState,
    /// National code of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Who told of it.
    pub channel: Channel,
    /// When it was opened.
    pub opened_us: UtcMicros,
    /// When the first unit was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<UtcMicros>,
    /// When the first unit arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_us: Option<UtcMicros>,
    /// When it was resolved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_us: Option<UtcMicros>,
    /// When it was closed or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_us: Option<UtcMicros>,
    /// Units sent.
    pub dispatches: u32,
    /// Alarms that it is made of.
    pub alarms: u32,
    /// Steps of its plan that were skipped.
    pub skipped: u32,
}

impl IncidentFact {
    /// The facts of an incident.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let first =
            |progress| incident.dispatches.values().filter_map(|d| d.times.get(&progress)).min().copied();
        let many = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            number: incident.open.number.clone(),
            kind: incident.open.kind.clone(),
            level: incident.open.level,
            state: incident.state,
            site: incident.open.place.site.clone(),
            channel: incident.open.channel,
            opened_us: incident.opened_us,
            sent_us: first(Progress::Sent),
            arrived_us: first(Progress::Arrived),
            resolved_us: incident.resolved_us,
            over_us: incident.over.as_ref().map(|(at, _)| *at),
            dispatches: many(incident.dispatches.len()),
            alarms: many(incident.open.alarms.len()),
            skipped: many(incident.steps.iter().filter(|s| s.skipped).count()),
        }
    }
}

/// Facts of either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Fact {
    /// Of an alarm.
    Alarm(AlarmFact),
    /// Of an incident.
    Incident(IncidentFact),
}
