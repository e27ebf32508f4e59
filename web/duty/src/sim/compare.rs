//! The state of the machines in the words of the oracle.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::oracle::{Deed, Outcome};
use crate::act::{MatterId, MatterKind, Noted};
use crate::alarm::Alarm;
use crate::book::Book;
use crate::define::{Defined, Shift, ShiftVerb};
use crate::incident::Incident;
use crate::ledger::{Conflict, Ledger, Machine};

pub fn deed(noted: &Noted) -> Deed {
    Deed {
        lamport: noted.act.lamport,
        node: noted.id.node.to_string(),
        epoch: noted.id.epoch,
        seq: noted.id.seq,
        body: noted.act.body(),
    }
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn outcome<M: Machine>(ledger: &Ledger<M>, is: impl Fn(&M) -> Value) -> Outcome {
    let (mut void, mut overrules) = (BTreeSet::new(), BTreeSet::new());
    for conflict in ledger.conflicts() {
        match conflict {
            Conflict::Void { act, .. } => drop(void.insert(act.id.to_string())),
            Conflict::Overrules { act, other, what } => {
                overrules.insert((act.id.to_string(), other.id.to_string(), what.clone()));
            }
        }
    }
    Outcome { is: ledger.state().map(|state| map(is(state))).unwrap_or_default(), void, overrules }
}

fn alarm(alarm: &Alarm) -> Value {
    let at = |done: &Option<(fengsui_config::clock::UtcMicros, crate::act::By)>| done.as_ref().map(|d| d.0);
    json!({
        "state": alarm.state, "since": alarm.since_us, "level": alarm.level, "owner": alarm.owner,
        "snooze": alarm.snoozed_until_us, "count": alarm.count, "last": alarm.last_us,
        "acked": at(&alarm.acknowledged), "settled": at(&alarm.settled), "closed": at(&alarm.closed),
        "outcome": alarm.outcome, "false": alarm.was_false, "escalated": alarm.escalations,
        "escalated_in": alarm.escalated_in, "incident": alarm.incident,
    })
}

fn incident(incident: &Incident) -> Value {
    let units: Map<String, Value> = incident
        .dispatches
        .iter()
        .map(|(id, d)| (id.clone(), json!({"unit": d.unit.id, "progress": d.progress, "result": d.result})))
        .collect();
    let step = |s: &crate::incident::StepTaken| json!({"step": s.step, "answer": s.answer, "skipped": s.skipped, "by": s.by.name});
    let open = &incident.open;
    json!({
        "state": incident.state, "since": incident.since_us, "people": incident.people,
        "plan": incident.plan.as_ref().map(|(_, body)| body), "steps": incident.steps.iter().map(step).collect::<Vec<_>>(),
        "units": units, "result": incident.result, "title": open.title, "kind": open.kind, "level": open.level,
        "place": open.place, "alarms": open.alarms, "cameras": open.cameras, "nodes": open.nodes,
        "over": incident.over.as_ref().map(|(at, _)| at),
    })
}

fn defined<B: serde::Serialize>(defined: &Defined<B>) -> Value {
    json!({"body": defined.body, "version": defined.version, "by": defined.by.name})
}

fn shift(shift: &Shift) -> Value {
    let ShiftVerb::HandOver { to, note, .. } = &shift.handed else { panic!("no hand-over") };
    json!({"to": to, "note": note, "from": shift.from.name, "taken": shift.taken.as_ref().map(|(_, note)| note)})
}

/// What a book says of a matter.
pub fn said(book: &Book, matter: &MatterId) -> Outcome {
    fn of<M: Machine>(
        matters: &crate::book::Matters<M>,
        matter: &MatterId,
        is: impl Fn(&M) -> Value,
    ) -> Outcome {
        matters.get(matter).map(|ledger| outcome(ledger, is)).unwrap_or_default()
    }
    match matter.kind {
        MatterKind::Alarm => of(&book.alarms, matter, alarm),
        MatterKind::Incident => of(&book.incidents, matter, incident),
        MatterKind::Unit => of(&book.units, matter, defined),
        MatterKind::Plan => of(&book.plans, matter, defined),
        MatterKind::Rule => of(&book.rules, matter, defined),
        MatterKind::Shift => of(&book.shifts, matter, shift),
    }
}
