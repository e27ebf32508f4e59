//! Whether a rule is well formed, and whether it can do what it is for.
//!
//! What is out of bounds is refused. What is within them and can still never fire, or fires always, is warned of: people
//! are asked before it is saved.

use fengsui_config::ids::NationalCode;
use fengsui_config::limits;
use fengsui_relay::event::{EventKind, Priority};
use serde::{Deserialize, Serialize};

use super::Places;
use super::hours::{DAY_MIN, Week};
use crate::act::MatterId;
use crate::define::{RuleBody, Trigger};

/// A value that no rule may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRefusal {
    /// The member, with dots: `trigger.within_s`.
    pub field: String,
    /// As sent.
    pub value: String,
    /// What is wrong with it.
    pub detail: String,
    /// What to send instead.
    pub remedy: String,
}

/// Something that is allowed, and hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleWarning {
    /// A stable word for programs: it can never fire (`never_…`), it fires always (`always_…`), or something in it does nothing.
    pub code: String,
    /// The member.
    pub field: String,
    /// What follows from it.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// What speaks against a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// It cannot be saved with these.
    pub refusals: Vec<RuleRefusal>,
    /// It can, when people say so.
    pub warnings: Vec<RuleWarning>,
}

impl Checked {
    fn refuse(&mut self, field: &str, value: impl ToString, detail: &str, remedy: impl Into<String>) {
        let value = value.to_string().chars().take(80).collect();
        let (field, detail) = (field.to_owned(), detail.to_owned());
        self.refusals.push(RuleRefusal { field, value, detail, remedy: remedy.into() });
    }

    /// Adds a warning.
    pub fn warn(&mut self, code: &str, field: &str, detail: impl Into<String>, remedy: &str) {
        self.warnings.push(RuleWarning {
            code: code.to_owned(),
            field: field.to_owned(),
            detail: detail.into(),
            remedy: remedy.to_owned(),
        });
    }

    fn between(&mut self, field: &str, value: u32, least: u32, most: u32) {
        if !(least..=most).contains(&value) {
            self.refuse(field, value, "is out of bounds", format!("send {least} to {most}"));
        }
    }

    fn most(&mut self, field: &str, count: usize, most: usize) {
        if count > most {
            self.refuse(field, count, "are too many", format!("name at most {most}"));
        }
    }
}

/// The highest priority that events of a kind may have.
#[must_use]
pub fn highest(kind: EventKind) -> Priority {
    match kind {
        EventKind::CameraStalled | EventKind::CameraClockOffset => Priority::Low,
        EventKind::NodeStarted
        | EventKind::NodeStopped
        | EventKind::NodeOnline
        | EventKind::StandbyTaken
        | EventKind::StandbyReleased => Priority::Normal,
        _ => Priority::Alarm,
    }
}

/// Whether events of a kind can open something that lasts.
#[must_use]
pub fn can_last(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::CameraOnline
            | EventKind::CameraGapClosed
            | EventKind::NodeKey
            | EventKind::NodeStarted
            | EventKind::NodeOnline
            | EventKind::StandbyReleased
            | EventKind::StandbyReturned
            | EventKind::OperatorMark
    )
}

/// Whether events of a kind are about a camera.
#[must_use]
pub fn has_camera(kind: EventKind) -> bool {
    let word = kind.as_str();
    word.starts_with("camera.") || word.starts_with("device.") || word.starts_with("operator.")
}

/// What speaks against a rule: `id` is its own (none: it is new), `existing` are all that are there.
#[must_use]
pub fn check(
    rule: &RuleBody,
    places: &Places,
    id: Option<&MatterId>,
    existing: &[(MatterId, RuleBody)],
) -> Checked {
    let mut checked = Checked::default();
    bounds(rule, &mut checked);
    hours(rule, &mut checked);
    trigger(rule, &mut checked);
    where_it_looks(rule, places, &mut checked);
    if !checked.refusals.is_empty() {
        checked.warnings.clear();
        return checked;
    }
    what_it_looks_for(rule, &mut checked);
    let others = || existing.iter().filter(|(other, _)| Some(other) != id);
    if id.is_none() && existing.len() >= limits::RULES_MAX {
        checked.refuse("rule", existing.len(), "are as many rules as there may be", "remove one first");
    }
    if let Some((other, _)) = others().find(|(_, body)| super::selects_the_same(body, rule)) {
        let detail = format!("{other} looks for the same: one cause makes two alarms.");
        checked.warn("twice", "rule", detail, "change that one instead");
    } else if let Some((other, _)) = others().find(|(_, body)| body.name == rule.name) {
        let detail = format!("{other} has the same name.");
        checked.warn("same_name", "name", detail, "give it a name of its own");
    }
    if !rule.enabled {
        checked.warn("off", "enabled", "It is saved and does nothing while it is off.", "switch it on");
    }
    checked
}

fn bounds(rule: &RuleBody, checked: &mut Checked) {
    let name = rule.name.trim();
    if name.is_empty() || name.chars().count() > limits::RULE_NAME_CHARS_MAX {
        let remedy = format!("send 1 to {} characters", limits::RULE_NAME_CHARS_MAX);
        checked.refuse("name", &rule.name, "is no name", remedy);
    }
    if name.chars().any(|c| c.is_control() || c == '<' || c == '>') {
        checked.refuse(
            "name",
            &rule.name,
            "has characters that no name has",
            "leave out `<`, `>` and line breaks",
        );
    }
    checked.most("kinds", rule.kinds.len(), EventKind::ALL.len() * 2);
    checked.most("cameras", rule.cameras.len(), limits::RULE_CAMERAS_MAX);
    checked.most("area", rule.area.len(), limits::RULE_AREA_MAX);
    checked.most("hours", rule.hours.len(), limits::RULE_HOURS_MAX);
    checked.between("hold_off_s", rule.hold_off_s, 0, limits::RULE_HOLD_OFF_S_MAX);
    checked.between("due_s", rule.due_s, 0, limits::RULE_HOLD_OFF_S_MAX);
    checked.between("hold_days", rule.hold_days, 0, limits::RULE_HOLD_DAYS_MAX);
    for code in &rule.area {
        if let Err(error) = code.parse::<NationalCode>() {
            checked.refuse("area", code, &error.to_string(), "send codes of sub-centres, stations or sites");
        }
    }
}

fn hours(rule: &RuleBody, checked: &mut Checked) {
    for one in &rule.hours {
        if let Some(day) = one.days.iter().find(|day| !(1..=7).contains(*day)) {
            checked.refuse("hours.days", day, "is no day of the week", "send 1 (Monday) to 7 (Sunday)");
        }
        if one.from_min >= DAY_MIN {
            checked.refuse("hours.from_min", one.from_min, "is no minute of a day", "send 0 to 1439");
        }
        if one.to_min > DAY_MIN {
            checked.refuse("hours.to_min", one.to_min, "is no minute of a day", "send 0 to 1440");
        }
    }
}

fn trigger(rule: &RuleBody, checked: &mut Checked) {
    let span = limits::RULE_SPAN_S_MAX;
    match &rule.trigger {
        Trigger::Each => {}
        Trigger::Threshold { fact, min, max } => {
            if fact.trim().is_empty() || fact.chars().count() > limits::RULE_FACT_CHARS_MAX {
                let remedy =
                    format!("send 1 to {} characters, for example value", limits::RULE_FACT_CHARS_MAX);
                checked.refuse("trigger.fact", fact, "names no fact", remedy);
            }
            if min.is_none() && max.is_none() {
                checked.refuse("trigger.min", "", "is missing, and max too", "send min, max or both");
            }
            if let (Some(least), Some(most)) = (min, max)
                && least > most
            {
                let remedy = "send the two the other way round, or leave one out";
                checked.refuse("trigger.min", least, "is above trigger.max: no number is both", remedy);
            }
            for (field, value) in [("trigger.min", min), ("trigger.max", max)] {
                if let Some(value) = value.filter(|v| !v.is_finite()) {
                    checked.refuse(field, value, "is no number", "send a number");
                }
            }
        }
        Trigger::Repetition { times, within_s, .. } => {
            checked.between("trigger.times", *times, 2, limits::RULE_TIMES_MAX);
            checked.between("trigger.within_s", *within_s, 1, span);
        }
        Trigger::Absence { for_s, together } => {
            checked.between("trigger.for_s", *for_s, 1, span);
            if !together && rule.cameras.is_empty() && rule.area.is_empty() {
                let remedy = "name cameras or an area, or say that all are counted together";
                checked.refuse(
                    "trigger.together",
                    "false",
                    "says that each camera is watched, and none is named",
                    remedy,
                );
            }
        }
        Trigger::Lasting { for_s } => checked.between("trigger.for_s", *for_s, 1, span),
    }
}

fn where_it_looks(rule: &RuleBody, places: &Places, checked: &mut Checked) {
    let unknown = rule.cameras.iter().filter(|camera| !places.knows(camera)).count();
    let empty: Vec<&String> = rule
        .area
        .iter()
        .filter(|code| places.within(code).is_none_or(|cameras| cameras.is_empty()))
        .collect();
    if rule.cameras.is_empty() && rule.area.is_empty() {
        return;
    }
    if unknown == rule.cameras.len() && empty.len() == rule.area.len() {
        let detail = "None of its cameras and places is configured here: it can never fire.";
        checked.warn("never_places", "cameras", detail, "choose cameras or places of this node");
        return;
    }
    if unknown > 0 {
        let detail = format!("{unknown} of its cameras are not configured here.");
        checked.warn("unknown_cameras", "cameras", detail, "take them out, or configure them");
    }
    if let Some(first) = empty.first() {
        let detail = format!("{} of its places have no camera here, {first} among them.", empty.len());
        checked.warn("unknown_area", "area", detail, "take them out, or configure them");
    }
}

fn what_it_looks_for(rule: &RuleBody, checked: &mut Checked) {
    let known: Vec<EventKind> = rule.kinds.iter().filter_map(|word| word.parse().ok()).collect();
    if known.len() < rule.kinds.len() {
        let unknown =
            rule.kinds.iter().find(|w| w.parse::<EventKind>().is_err()).cloned().unwrap_or_default();
        let (code, what) = match known.is_empty() {
            true => ("never_kinds", "it can never fire"),
            false => ("unknown_kinds", "it never finds that"),
        };
        let detail = format!("`{unknown}` is no kind of event that this node knows: {what}.");
        checked.warn(code, "kinds", detail, "choose kinds from the list");
        if known.is_empty() {
            return;
        }
    }
    let all = if rule.kinds.is_empty() { EventKind::ALL.to_vec() } else { known };
    let everywhere = rule.cameras.is_empty() && rule.area.is_empty();
    if !everywhere && !all.iter().any(|kind| has_camera(*kind)) {
        let detail = "Events of its kinds are of no camera, and it looks at cameras only: it can never fire.";
        checked.warn("never_cameras", "cameras", detail, "leave cameras and places empty");
    }
    if let Some(least) = rule.min_priority
        && !all.iter().any(|kind| highest(*kind) >= least)
    {
        let detail =
            format!("Events of its kinds never have the priority {}: it can never fire.", least.as_str());
        checked.warn("never_priority", "min_priority", detail, "choose a lower one");
    }
    let week = Week::of(&rule.hours, limits::LOCAL_UTC_OFFSET_S);
    if week.is_empty() {
        checked.warn(
            "never_hours",
            "hours",
            "It is in force at no time: it can never fire.",
            "set its hours",
        );
    }
    match &rule.trigger {
        Trigger::Each if rule.kinds.is_empty() && rule.min_priority.is_none() => {
            let detail = "It makes an alarm of every event of every kind.";
            checked.warn("always_each", "kinds", detail, "choose kinds, or a least priority");
        }
        Trigger::Lasting { .. } if !all.iter().any(|kind| can_last(*kind)) => {
            let detail = "Events of its kinds do not last: it can never fire.";
            checked.warn("never_lasting", "kinds", detail, "choose kinds that open something");
        }
        Trigger::Absence { for_s, .. } if week.longest_s().is_some_and(|most| u64::from(*for_s) > most) => {
            let detail = "Its hours are never as long as it waits: it can never fire.";
            checked.warn("never_absence", "trigger.for_s", detail, "wait for less, or set longer hours");
        }
        _ => {}
    }
}
