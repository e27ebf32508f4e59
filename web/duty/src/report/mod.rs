//! Reports: how long alarms and incidents took, how many were closed, overdue or false; in all and by area, day, rule, camera
//! or node.
//!
//! A report is made twice, by code that shares nothing but the types in this file: [`facts`] from the book of the running
//! node, [`recount`] from the records of the journal. `fengsui report --compare` lays the two side by side, field by field.
//!
//! Definitions, frozen here:
//! - **range**: alarms raised, incidents opened in `[from, to)`, whatever happened to them later, on the clock of the node that
//!   raised or opened them.
//! - **median, p95**: nearest rank: of `n` values in order, the one at place `⌈n·50/100⌉` and `⌈n·95/100⌉`. Each says its `n`.
//!   A time that would be below zero, because two nodes' clocks differ, counts as zero.
//! - **disposal rate** = closed / all.
//! - **overdue**: of the alarms with a due time, those that nobody acknowledged before it, now or then.
//! - **false rate**: of the alarms that were judged (resolved or found false, and not reopened), those found false.
//! - **arrival**: from the opening of an incident to the first arrival of any unit there.
//! - **skipped steps**: steps of plans that were skipped with a reason.
//! - Incidents have no one rule or camera: by these, rows are about alarms alone; the totals are about both.
//!
//! Invariant: both computations agree on every field (`two_computations_agree_over_random_lives`).

pub mod facts;
pub mod recount;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// By what the rows of a report are grouped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// Not at all: totals alone.
    #[default]
    All,
    /// By sub-centre.
    Area,
    /// By station.
    Station,
    /// By site.
    Site,
    /// By local day.
    Day,
    /// By rule.
    Rule,
    /// By camera.
    Camera,
    /// By the node at which the matter began.
    Node,
}

impl Grouping {
    /// Every grouping.
    pub const ALL: [Self; 8] =
        [Self::All, Self::Area, Self::Station, Self::Site, Self::Day, Self::Rule, Self::Camera, Self::Node];

    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Area => "area",
            Self::Station => "station",
            Self::Site => "site",
            Self::Day => "day",
            Self::Rule => "rule",
            Self::Camera => "camera",
            Self::Node => "node",
        }
    }

    /// The grouping of a word.
    ///
    /// # Errors
    /// With field and remedy when there is none.
    pub fn read(word: &str) -> Result<Self, AskRefused> {
        Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            refused("by", format!("`{word}` is nothing to group by."), format!("Choose of {known}."))
        })
    }

    /// Whether incidents have a place in its rows.
    #[must_use]
    pub fn takes_incidents(self) -> bool {
        !matches!(self, Self::Rule | Self::Camera)
    }
}

/// What a report is to be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// From when on.
    pub from: UtcMicros,
    /// Until before when.
    pub to: UtcMicros,
    /// By what its rows are grouped.
    pub by: Grouping,
    /// Minutes by which local days begin before those of UTC.
    pub utc_offset_min: i32,
    /// The moment of the report: what is not acknowledged then may be overdue.
    pub now: UtcMicros,
}

/// Why no report is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {remedy}")]
pub struct AskRefused {
    /// The parameter at fault.
    pub field: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

fn refused(field: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> AskRefused {
    AskRefused { field, what: what.into(), remedy: remedy.into() }
}

impl Ask {
    /// Says what speaks against it.
    ///
    /// # Errors
    /// The first thing, with its field and a remedy.
    pub fn check(&self) -> Result<(), AskRefused> {
        if self.from.0 >= self.to.0 {
            let what = format!("The range ends at {}, and begins at {}.", self.to.0, self.from.0);
            return Err(refused("to_us", what, "Send an end that is later than the beginning."));
        }
        let longest = i64::try_from(limits::REPORT_DAYS_MAX).unwrap_or(i64::MAX).saturating_mul(DAY_US);
        if self.to.0.saturating_sub(self.from.0) > longest {
            let what = format!("The range is longer than {} days.", limits::REPORT_DAYS_MAX);
            return Err(refused("to_us", what, "Ask for a shorter range, one after the other."));
        }
        let (west, east) = limits::UTC_OFFSET_MINUTES;
        if !(west..=east).contains(&self.utc_offset_min) {
            let what = format!("{} minutes is no difference to UTC.", self.utc_offset_min);
            return Err(refused("utc_offset_min", what, format!("Send {west} to {east}.")));
        }
        Ok(())
    }

    fn holds(&self, at_us: i64) -> bool {
        self.from.0 <= at_us && at_us < self.to.0
    }
}

/// A site, as far as reports go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SitePlace {
    /// Its name.
    pub name: String,
    /// Code of its station.
    pub station: String,
    /// Code of its sub-centre.
    pub sub_centre: String,
}

/// Places and cameras by their codes, as they are configured when the report is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Sites.
    pub sites: BTreeMap<String, SitePlace>,
    /// Names of stations.
    pub stations: BTreeMap<String, String>,
    /// Names of sub-centres.
    pub sub_centres: BTreeMap<String, String>,
    /// Cameras: name and code of the site.
    pub cameras: BTreeMap<String, (String, String)>,
}

/// How long something took, over so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Of how many it is made.
    pub n: u64,
    /// The median in microseconds; none of nothing.
    pub median_us: Option<i64>,
    /// The 95th percentile in microseconds; none of nothing.
    pub p95_us: Option<i64>,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Those.
    pub part: u64,
    /// Of these.
    pub of: u64,
}

impl Share {
    /// In percent; none of nothing.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let percent = (self.of > 0).then(|| 100.0 * self.part as f64 / self.of as f64);
        percent
    }
}

/// Every measure of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measures {
    /// Alarms raised.
    pub alarms: u64,
    /// From raised to acknowledged first.
    pub acknowledge: Spread,
    /// From raised to resolved or found false.
    pub settle: Spread,
    /// From raised to closed.
    pub close: Spread,
    /// Disposal rate of alarms: closed of all.
    pub disposed: Share,
    /// Overdue of those with a due time.
    pub overdue: Share,
    /// False of those that were judged.
    pub found_false: Share,
    /// Escalations.
    pub escalations: u64,
    /// Incidents opened.
    pub incidents: u64,
    /// From opened to the first arrival of a unit.
    pub arrive: Spread,
    /// From opened to closed.
    pub incident_close: Spread,
    /// Disposal rate of incidents: closed of all.
    pub incidents_disposed: Share,
    /// Incidents that were cancelled.
    pub cancelled: u64,
    /// Units sent.
    pub dispatches: u64,
    /// Steps of plans that were skipped.
    pub skipped: u64,
}

/// One group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Code, day (`2026-11-29`), rule, camera or node; empty: what has none.
    pub key: String,
    /// Its name; empty when it has none or is not configured any more.
    pub name: String,
    /// Its measures.
    #[serde(flatten)]
    pub measures: Measures,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// From when on.
    pub from_us: i64,
    /// Until before when.
    pub to_us: i64,
    /// When it was made.
    pub made_us: i64,
    /// By what its rows are grouped.
    pub by: Grouping,
    /// Minutes by which its days begin before those of UTC.
    pub utc_offset_min: i32,
    /// All together.
    pub total: Measures,
    /// The groups, by their key.
    pub rows: Vec<Row>,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Where, for example `rows[rule/kecheng/gate].acknowledge.p95_us`.
    pub field: String,
    /// What the one says; empty: it has no such field.
    pub one: String,
    /// What the other says.
    pub other: String,
}

/// Two reports side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Fields that were compared.
    pub fields: u64,
    /// Those that differ.
    pub different: Vec<Difference>,
}

/// Compares two reports field by field.
#[must_use]
pub fn compare(one: &Report, other: &Report) -> Compared {
    let (one, other) = (fields_of(one), fields_of(other));
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let mut compared = Compared { fields: names.len() as u64, different: Vec::new() };
    for name in names {
        let text = |fields: &BTreeMap<String, String>| fields.get(name).cloned().unwrap_or_default();
        let (one, other) = (text(&one), text(&other));
        if one != other {
            compared.different.push(Difference { field: name.clone(), one, other });
        }
    }
    compared
}

/// Every field of a report under its name; rows by their key, so that one that is missing shifts no other.
fn fields_of(report: &Report) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut value = serde_json::to_value(report).unwrap_or_default();
    let rows = value.as_object_mut().and_then(|o| o.remove("rows"));
    flatten("", &value, &mut fields);
    for row in rows.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let key = row.get("key").and_then(Value::as_str).unwrap_or_default();
        flatten(&format!("rows[{key}]"), row, &mut fields);
    }
    fields
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&inner, value, into);
            }
        }
        other => {
            into.insert(name.to_owned(), other.to_string());
        }
    }
}
