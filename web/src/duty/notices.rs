//! What supervisors are told: that a step of a plan was skipped. A notice is an act of the book and stands until somebody has
//! seen it, which is noted on the incident: so it is listed after a restart too, and at the centre.

use std::collections::BTreeSet;

use fengsui_config::limits;
use fengsui_duty::act::{MatterId, MatterKind, Noted, Verb};
use fengsui_duty::book::Book;
use fengsui_duty::incident::{Incident, IncidentVerb};
use fengsui_duty::ledger::{Conflict, Ledger};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::ByView;
use crate::app::App;

/// What begins the note by which somebody says that they have seen a notice; behind it stands the notice.
const SEEN: &str = "seen: ";

/// The note that somebody has seen a notice.
#[must_use]
pub fn seen_note(notice: &str) -> IncidentVerb {
    IncidentVerb::Note { text: format!("{SEEN}{notice}") }
}

/// The notices of an incident that somebody has seen.
fn seen(ledger: &Ledger<Incident>) -> BTreeSet<&str> {
    let marks = ledger.acts().filter_map(|noted| match &noted.act.verb {
        Verb::Incident(IncidentVerb::Note { text }) => text.strip_prefix(SEEN),
        _ => None,
    });
    marks.collect()
}

/// What a supervisor is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NoticeView {
    /// The act that it is about.
    #[schema(example = "centre.3.4711")]
    pub id: String,
    /// `step_skipped`.
    pub kind: String,
    /// The incident.
    pub incident: String,
    /// Its number.
    pub number: String,
    /// Its title.
    pub title: String,
    /// The step.
    pub step: String,
    /// Its words in the plan.
    pub text: String,
    /// Why it was skipped.
    pub reason: String,
    /// Who skipped it.
    pub by: ByView,
    /// When.
    pub at_us: i64,
    /// At which node.
    pub node: String,
}

fn notice(id: &MatterId, incident: &Incident, noted: &Noted) -> Option<NoticeView> {
    let Verb::Incident(IncidentVerb::StepSkipped { step, reason }) = &noted.act.verb else { return None };
    let steps = incident.plan.iter().flat_map(|(_, plan)| &plan.steps);
    Some(NoticeView {
        id: noted.id.to_string(),
        kind: "step_skipped".to_owned(),
        incident: id.to_string(),
        number: incident.open.number.clone(),
        title: incident.open.title.clone(),
        step: step.clone(),
        text: steps.into_iter().find(|s| s.id == *step).map(|s| s.text.clone()).unwrap_or_default(),
        reason: reason.clone(),
        by: (&noted.act.by).into(),
        at_us: noted.act.at_us.0,
        node: noted.id.node.to_string(),
    })
}

fn is_void(ledger: &Ledger<Incident>, noted: &Noted) -> bool {
    ledger.conflicts().iter().any(|c| matches!(c, Conflict::Void { act, .. } if act.id == noted.id))
}

/// Notices that nobody has seen, the newest first.
#[must_use]
pub fn unseen(book: &Book) -> Vec<NoticeView> {
    let skipped =
        |ledger: &Ledger<Incident>| ledger.state().is_some_and(|i| i.steps.iter().any(|s| s.skipped));
    let mut all: Vec<NoticeView> = Vec::new();
    for (id, ledger) in book.incidents.iter().filter(|(_, ledger)| skipped(ledger)) {
        let Some(incident) = ledger.state() else { continue };
        let seen = seen(ledger);
        let mine = ledger.acts().filter(|noted| !is_void(ledger, noted));
        all.extend(
            mine.filter_map(|noted| notice(id, incident, noted)).filter(|n| !seen.contains(n.id.as_str())),
        );
    }
    all.sort_by(|a, b| b.at_us.cmp(&a.at_us).then_with(|| b.id.cmp(&a.id)));
    all.truncate(limits::DUTY_NOTICES_MAX);
    all
}

/// The incident of a notice.
#[must_use]
pub fn incident_of(book: &Book, notice: &str) -> Option<MatterId> {
    let has = |ledger: &Ledger<Incident>| {
        ledger.acts().any(|noted| {
            matches!(noted.act.verb, Verb::Incident(IncidentVerb::StepSkipped { .. }))
                && noted.id.to_string() == notice
        })
    };
    book.incidents.iter().find(|(_, ledger)| has(ledger)).map(|(id, _)| id.clone())
}

/// Tells browsers of steps that were skipped.
pub(super) fn told(app: &App, new: &[Noted]) {
    let skipped = |n: &&Noted| {
        n.act.matter.kind == MatterKind::Incident
            && matches!(n.act.verb, Verb::Incident(IncidentVerb::StepSkipped { .. }))
    };
    for noted in new.iter().filter(skipped) {
        let told = app.duty.read(|book| {
            let ledger = book.incidents.get(&noted.act.matter)?;
            let is_void = is_void(ledger, noted);
            notice(&noted.act.matter, ledger.state()?, noted).filter(|_| !is_void)
        });
        if let Some(told) = told {
            app.events.push("notice", serde_json::to_string(&told).unwrap_or_default());
        }
    }
}
