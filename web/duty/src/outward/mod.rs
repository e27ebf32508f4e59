//! What goes to other systems: every act as a CloudEvents 1.0 JSON event, and when it is tried again.
//!
//! Events are made from the records of the journal alone, so what a webhook was not told yet is told after a restart, in the
//! order of the journal. The same act may be told more than once (its id says so); none is left out.

pub mod hmac;
pub mod schedule;
#[cfg(test)]
mod tests;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_relay::inbox::Applied;
use fengsui_storage::journal::{JournalRecord, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::act::{Act, ActId, MatterId, Noted};
use crate::book::{Book, Received, carried_by};
use crate::ledger::{Conflict, Ledger, Machine};

/// Version of the specification.
pub const SPEC_VERSION: &str = "1.0";

/// One act, for others (CloudEvents 1.0, JSON format).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always [`SPEC_VERSION`].
    pub specversion: String,
    /// `fengsui.`, kind of the matter, `.`, the act as in the API: `fengsui.alarm.raise`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The node that made the act: `/nodes/kecheng`.
    pub source: String,
    /// The act, `node.epoch.seq`. The same act has the same id whoever tells of it.
    pub id: String,
    /// The matter: `alarm/kecheng/3f2a9c01b7d4e865`.
    pub subject: String,
    /// When the act was made (RFC 3339).
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The act, and where the matter stands when this is told.
    pub data: Value,
}

/// The acts that a record brings to this node, its own and those of others.
#[must_use]
pub fn acts_of(record: &JournalRecord) -> Vec<Noted> {
    let is = |wanted| kinds::is(&record.kind, &record.body, wanted);
    if is(kinds::DUTY_ACTED) || is(kinds::DUTY_DEFINED) {
        let read = || {
            let id = ActId { node: record.node.parse().ok()?, epoch: record.epoch, seq: record.seq };
            Some(Noted { id, act: Act::read(&record.body).ok()? })
        };
        read().into_iter().collect()
    } else if is(kinds::DUTY_RECEIVED) {
        let received = Received::deserialize(&record.body).map(|r| r.acts).unwrap_or_default();
        received.into_iter().filter_map(|c| Some(Noted { act: Act::read(&c.body).ok()?, id: c.id })).collect()
    } else if is(kinds::RELAY_APPLIED) {
        let parts = Applied::deserialize(&record.body).map(|applied| applied.parts).unwrap_or_default();
        parts.iter().flat_map(|part| &part.frames).filter_map(carried_by).collect()
    } else {
        Vec::new()
    }
}

/// The word of an act as it stands in its body: `raise`.
fn word(body: &Value) -> &str {
    body.get("act").and_then(|act| act.get("do")).and_then(Value::as_str).unwrap_or("unknown")
}

/// The type of the event of an act.
#[must_use]
pub fn type_of(noted: &Noted) -> String {
    kind_of(&noted.act.matter, &noted.act.body())
}

fn kind_of(matter: &MatterId, body: &Value) -> String {
    format!("fengsui.{}.{}", matter.kind.as_str(), word(body))
}

/// Whether a list of kinds wants an event of this type. An empty list wants all but `counted`, of which there are many;
/// `alarm` and `fengsui.alarm` stand for all of alarms, `alarm.raise` and `fengsui.alarm.raise` for one.
#[must_use]
pub fn wants(kinds: &[String], kind: &str) -> bool {
    if kinds.is_empty() {
        return !kind.ends_with(".counted");
    }
    let bare = kind.strip_prefix("fengsui.").unwrap_or(kind);
    kinds.iter().any(|wanted| {
        let wanted = wanted.strip_prefix("fengsui.").unwrap_or(wanted);
        let rest = bare.strip_prefix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// The event of an act; secrets are left out, and `book` says where the matter stands now.
#[must_use]
pub fn event(noted: &Noted, book: &Book) -> CloudEvent {
    let act = &noted.act;
    let body = kinds::shown(&act.body());
    let detail = body.get("act").cloned().unwrap_or_default();
    let now = standing(noted, book);
    let data = json!({
        "matter": act.matter, "kind": act.matter.kind, "node": act.matter.home, "at_us": act.at_us.0, "by": act.by,
        "act": detail, "now": now,
    });
    CloudEvent {
        specversion: SPEC_VERSION.to_owned(),
        kind: kind_of(&act.matter, &body),
        source: format!("/nodes/{}", noted.id.node),
        id: noted.id.to_string(),
        subject: act.matter.to_string(),
        time: rfc3339(act.at_us),
        datacontenttype: "application/json".to_owned(),
        data,
    }
}

/// The bytes of an event; one that is too long goes without its data, and says so.
#[must_use]
pub fn bytes(event: &CloudEvent) -> Vec<u8> {
    let whole = serde_json::to_vec(event).unwrap_or_default();
    if whole.len() <= limits::WEBHOOK_BODY_BYTES_MAX {
        return whole;
    }
    let short = CloudEvent { data: json!({"left_out": "too long", "bytes": whole.len()}), ..event.clone() };
    serde_json::to_vec(&short).unwrap_or_default()
}

fn rfc3339(at: UtcMicros) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1000);
    let text = time.ok().and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// Where the matter stands, in a few members, and whether the act changed nothing.
fn standing(noted: &Noted, book: &Book) -> Value {
    let id = &noted.act.matter;
    if let Some(ledger) = book.alarms.get(id) {
        let state = ledger.state().map(|alarm| {
            json!({
                "state": alarm.state, "level": alarm.level, "owner": alarm.owner, "count": alarm.count,
                "rule": alarm.raise.rule, "rule_name": alarm.raise.rule_name, "event": alarm.raise.kind,
                "camera": alarm.raise.camera, "site": alarm.raise.site, "incident": alarm.incident,
            })
        });
        return with_void(state, ledger, noted);
    }
    if let Some(ledger) = book.incidents.get(id) {
        let state = ledger.state().map(|incident| {
            json!({
                "state": incident.state, "number": incident.open.number, "kind": incident.open.kind,
                "title": incident.open.title, "level": incident.open.level, "place": incident.open.place,
                "people": incident.people,
            })
        });
        return with_void(state, ledger, noted);
    }
    Value::Null
}

fn with_void<M: Machine>(state: Option<Value>, ledger: &Ledger<M>, noted: &Noted) -> Value {
    let mut state = state.unwrap_or_else(|| json!({}));
    let void = ledger.conflicts().iter().find_map(|conflict| match conflict {
        Conflict::Void { act, illegal } if act.id == noted.id => Some(illegal.code.clone()),
        _ => None,
    });
    if let (Some(code), Some(members)) = (void, state.as_object_mut()) {
        members.insert("void".to_owned(), code.into());
    }
    state
}
