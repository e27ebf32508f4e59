//! Incidents as they are shown.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_duty::act::{MatterId, Noted, Verb};
use fengsui_duty::book::Book;
use fengsui_duty::define::Net;
use fengsui_duty::incident::{Channel, Dispatch, Incident, IncidentState, IncidentVerb, Progress, Where};
use fengsui_duty::ledger::Ledger;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ActView, AlarmView, ByView, ConflictView, DoneView, Names, alarm_in, look, open_conflicts};
use crate::api::duty::units::{NearUnit, near_incident};
use crate::app::App;

/// Where an incident is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentPlaceView {
    /// Code of a site.
    pub site: Option<String>,
    /// Its name.
    pub site_name: Option<String>,
    /// In words.
    pub address: String,
    /// WGS-84 latitude and longitude in degrees.
    #[schema(value_type = Option<Vec<f64>>)]
    pub point: Option<(f64, f64)>,
}

/// How many of something are open, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OpenCounts {
    /// Under way.
    pub open: usize,
    /// All.
    pub all: usize,
}

/// How far a plan is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepCounts {
    /// Steps done.
    pub done: usize,
    /// Steps skipped.
    pub skipped: usize,
    /// Steps of the plan.
    pub all: usize,
}

/// What lists and pages show of an incident alike.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentHead {
    /// Its id.
    #[schema(example = "incident/centre/4e1a7c09d7b23f11")]
    pub id: String,
    /// The node at which it was opened.
    pub node: String,
    /// Its name there.
    pub name: String,
    /// What people call it.
    #[schema(example = "20261129-007")]
    pub number: String,
    /// What kind.
    pub kind: String,
    /// What it is in a few words.
    pub title: String,
    /// `open`, `handling`, `resolved`, `closed` or `cancelled`.
    #[schema(value_type = String, example = "handling")]
    pub state: IncidentState,
    /// 1 before all others, 4 when there is time.
    pub level: u8,
    /// Where.
    pub place: IncidentPlaceView,
    /// Who told of it.
    #[schema(value_type = String, example = "telephone")]
    pub channel: Channel,
    /// Who is in charge.
    pub people: Vec<String>,
    /// When it was opened.
    pub opened_us: i64,
    /// Since when it is in its state.
    pub since_us: i64,
    /// How far its plan is.
    pub steps: StepCounts,
    /// Conflicts at which nobody has looked.
    pub conflicts: u64,
}

/// An incident in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentRow {
    /// What it is.
    #[serde(flatten)]
    pub head: IncidentHead,
    /// Its alarms.
    pub alarms: usize,
    /// Its cameras.
    pub cameras: usize,
    /// Units that were sent.
    pub dispatches: OpenCounts,
}

/// A camera by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CameraRef {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its name.
    pub name: String,
    /// The node that has it.
    pub node: String,
}

/// Footage that shows an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClipView {
    /// The camera.
    #[schema(value_type = String)]
    pub camera: CameraId,
    /// Its name.
    pub name: String,
    /// The node that has it.
    pub node: String,
    /// From when.
    pub from_us: i64,
    /// Until when.
    pub to_us: i64,
    /// What is seen.
    pub note: String,
    /// When it was added.
    pub at_us: i64,
    /// By whom.
    pub by: ByView,
}

/// One step of the plan of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepView {
    /// Its id in the plan.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// The answers that it wants, each with the step that follows; empty: the one below.
    pub answers: BTreeMap<String, String>,
    /// `done`, `skipped`, `next`, `later`, or `passed`: an answer led past it.
    #[schema(example = "next")]
    pub state: String,
    /// When it was taken.
    pub at_us: Option<i64>,
    /// By whom.
    pub by: Option<ByView>,
    /// The answer given.
    pub answer: Option<String>,
    /// Words; of a skipped one, why.
    pub note: String,
}

/// A plan by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanRef {
    /// The plan.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The plan of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IncidentPlanView {
    /// The plan.
    pub id: String,
    /// Its name when it was taken.
    pub name: String,
    /// Definitions of it so far; none when it is not known here.
    pub version: Option<u64>,
    /// Its steps.
    pub steps: Vec<StepView>,
}

/// The unit that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SentUnitView {
    /// The unit.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its net.
    #[schema(value_type = String, example = "street")]
    pub net: Net,
    /// How to reach it.
    pub contact: String,
}

/// A unit that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DispatchView {
    /// The dispatch.
    pub id: String,
    /// The unit, as it was then.
    pub unit: SentUnitView,
    /// What it is to do.
    pub order: String,
    /// Who sent it.
    pub by: ByView,
    /// `sent`, `received`, `arrived`, `done`, `declined` or `recalled`.
    #[schema(value_type = String, example = "arrived")]
    pub progress: Progress,
    /// When it came to each.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub times: BTreeMap<Progress, i64>,
    /// How it ended.
    pub result: String,
}

impl DispatchView {
    fn of((id, dispatch): (&String, &Dispatch)) -> Self {
        let unit = &dispatch.unit;
        Self {
            id: id.clone(),
            unit: SentUnitView {
                id: unit.id.to_string(),
                name: unit.name.clone(),
                net: unit.net,
                contact: unit.contact.clone(),
            },
            order: dispatch.order.clone(),
            by: (&dispatch.by).into(),
            progress: dispatch.progress,
            times: dispatch.times.iter().map(|(to, at)| (*to, at.0)).collect(),
            result: dispatch.result.clone(),
        }
    }
}

/// A file of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AttachmentView {
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    pub hash: String,
    /// As its sender calls it.
    pub name: String,
    /// Media type as its bytes say.
    pub media: String,
    /// Its length.
    pub bytes: u64,
    /// When it was added.
    pub at_us: i64,
    /// By whom.
    pub by: ByView,
}

/// Words on an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NoteView {
    /// The words.
    pub text: String,
    /// When.
    pub at_us: i64,
    /// By whom.
    pub by: ByView,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentDetail {
    /// What it is.
    #[serde(flatten)]
    pub head: IncidentHead,
    /// More words.
    pub text: String,
    /// Its number at whoever told of it.
    pub reference: String,
    /// Who opened it.
    pub opened_by: ByView,
    /// How it was resolved, or why it was cancelled.
    pub result: Option<String>,
    /// When it was closed or cancelled.
    pub over: Option<DoneView>,
    /// Other nodes that it concerns.
    pub nodes: Vec<String>,
    /// Its alarms, those that are known here.
    pub alarms: Vec<AlarmView>,
    /// Its cameras.
    pub cameras: Vec<CameraRef>,
    /// Footage that shows it.
    pub clips: Vec<ClipView>,
    /// Its plan.
    pub plan: Option<IncidentPlanView>,
    /// Units that were sent.
    pub dispatches: Vec<DispatchView>,
    /// Files.
    pub attachments: Vec<AttachmentView>,
    /// Words.
    pub notes: Vec<NoteView>,
}

/// Everything about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentPage {
    /// The incident.
    pub incident: IncidentDetail,
    /// What was done, in order.
    pub acts: Vec<ActView>,
    /// What people have to look at, or have looked at.
    pub conflicts: Vec<ConflictView>,
    /// Plans for its kind.
    pub plans: Vec<PlanRef>,
    /// Units that could be sent.
    pub near: Vec<NearUnit>,
}

/// How many incidents are as somebody has to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct IncidentCounts {
    /// Nobody has done anything yet.
    pub open: u64,
    /// Somebody works on them.
    pub handling: u64,
    /// Dealt with, and not closed.
    pub resolved: u64,
    /// With a conflict at which nobody has looked.
    pub conflicts: u64,
    /// Units under way.
    pub units: u64,
}

impl IncidentCounts {
    /// Of those of a book.
    #[must_use]
    pub fn of(book: &Book) -> Self {
        let mut all = Self::default();
        for (ledger, incident) in book.incidents.values().filter_map(|l| Some((l, l.state()?))) {
            match incident.state {
                IncidentState::Open => all.open += 1,
                IncidentState::Handling => all.handling += 1,
                IncidentState::Resolved => all.resolved += 1,
                IncidentState::Closed | IncidentState::Cancelled => {}
            }
            all.conflicts += u64::from(open_conflicts(ledger) > 0);
            all.units += under_way(incident) as u64;
        }
        all
    }
}

fn under_way(incident: &Incident) -> usize {
    incident.dispatches.values().filter(|d| d.progress.is_open()).count()
}

fn place(names: &Names, place: &Where) -> IncidentPlaceView {
    let site = names.site(place.site.as_deref(), None);
    let (site, site_name) = site.unzip();
    IncidentPlaceView { site, site_name, address: place.address.clone(), point: place.point }
}

fn head(names: &Names, (id, ledger, incident): Known<'_>) -> IncidentHead {
    let (open, taken) = (&incident.open, &incident.steps);
    let skipped = taken.iter().filter(|step| step.skipped).count();
    IncidentHead {
        id: id.to_string(),
        node: id.home.to_string(),
        name: id.name.clone(),
        number: open.number.clone(),
        kind: open.kind.clone(),
        title: open.title.clone(),
        state: incident.state,
        level: open.level.get(),
        place: place(names, &open.place),
        channel: open.channel,
        people: incident.people.iter().cloned().collect(),
        opened_us: incident.opened_us.0,
        since_us: incident.since_us.0,
        steps: StepCounts {
            done: taken.len() - skipped,
            skipped,
            all: incident.plan.as_ref().map_or(0, |(_, plan)| plan.steps.len()),
        },
        conflicts: open_conflicts(ledger),
    }
}

/// An incident with its acts.
type Known<'a> = (&'a MatterId, &'a Ledger<Incident>, &'a Incident);

/// An incident in a list, of a book at hand.
pub(in crate::duty) fn incident_row_in(names: &Names, known: Known<'_>) -> IncidentRow {
    let incident = known.2;
    IncidentRow {
        head: head(names, known),
        alarms: incident.open.alarms.len(),
        cameras: incident.open.cameras.len(),
        dispatches: OpenCounts { open: under_way(incident), all: incident.dispatches.len() },
    }
}

/// An incident in a list; none when it is not known here.
#[must_use]
pub fn incident_row(app: &App, id: &MatterId) -> Option<IncidentRow> {
    incident_rows(app, std::iter::once(id)).pop()
}

/// Several of them, those that are known here.
#[must_use]
pub fn incident_rows<'a>(app: &App, ids: impl Iterator<Item = &'a MatterId>) -> Vec<IncidentRow> {
    let names = Names(app.topology());
    app.duty.read(|book| {
        let known = |id: &'a MatterId| {
            let ledger = book.incidents.get(id)?;
            Some(incident_row_in(&names, (id, ledger, ledger.state()?)))
        };
        ids.filter_map(known).collect()
    })
}

/// Everything about an incident; none when it is not known here.
#[must_use]
pub fn incident_page(app: &App, id: &MatterId) -> Option<IncidentPage> {
    let (now, names) = (app.clock.utc(), Names(app.topology()));
    let (mut page, place) = app.duty.read(|book| {
        let ledger = book.incidents.get(id)?;
        let known = (id, ledger, ledger.state()?);
        let page = IncidentPage {
            incident: detail(app, &names, book, known, now),
            acts: super::acts(ledger),
            conflicts: super::conflicts(ledger),
            plans: plans(book, &known.2.open.kind),
            near: Vec::new(),
        };
        Some((page, known.2.open.place.clone()))
    })?;
    // It looks at the book itself.
    page.near = near_incident(app, &place, limits::DUTY_NEAR_UNITS);
    Some(page)
}

fn detail(app: &App, names: &Names, book: &Book, known: Known<'_>, now: UtcMicros) -> IncidentDetail {
    let (_, ledger, incident) = known;
    let open = &incident.open;
    let camera = |camera: &CameraId| CameraRef {
        camera: *camera,
        name: names.camera(camera),
        node: look::node_of(app, *camera),
    };
    IncidentDetail {
        head: head(names, known),
        text: open.text.clone(),
        reference: open.reference.clone(),
        opened_by: (&incident.opened_by).into(),
        result: incident.result.clone(),
        over: incident.over.as_ref().map(DoneView::of),
        nodes: open.nodes.iter().map(ToString::to_string).collect(),
        alarms: open.alarms.iter().filter_map(|id| alarm_in(names, book, id, now)).collect(),
        cameras: open.cameras.iter().map(camera).collect(),
        clips: ledger.acts().filter_map(|noted| clip(app, names, noted)).collect(),
        plan: plan(book, incident),
        dispatches: incident.dispatches.iter().map(DispatchView::of).collect(),
        attachments: attachments(ledger),
        notes: ledger.acts().filter_map(note).collect(),
    }
}

fn clip(app: &App, names: &Names, noted: &Noted) -> Option<ClipView> {
    let Verb::Incident(IncidentVerb::AddClip { camera, from_us, to_us, note }) = &noted.act.verb else {
        return None;
    };
    Some(ClipView {
        camera: *camera,
        name: names.camera(camera),
        node: look::node_of(app, *camera),
        from_us: from_us.0,
        to_us: to_us.0,
        note: note.clone(),
        at_us: noted.act.at_us.0,
        by: (&noted.act.by).into(),
    })
}

fn note(noted: &Noted) -> Option<NoteView> {
    let Verb::Incident(IncidentVerb::Note { text }) = &noted.act.verb else { return None };
    Some(NoteView { text: text.clone(), at_us: noted.act.at_us.0, by: (&noted.act.by).into() })
}

/// Files of an incident; one that was added again under another name is listed twice.
#[must_use]
pub fn attachments(ledger: &Ledger<Incident>) -> Vec<AttachmentView> {
    let of = |noted: &Noted| {
        let Verb::Incident(IncidentVerb::Attach { hash, name, media, bytes }) = &noted.act.verb else {
            return None;
        };
        let (hash, name, media) = (hash.clone(), name.clone(), media.clone());
        let by = (&noted.act.by).into();
        Some(AttachmentView { hash, name, media, bytes: *bytes, at_us: noted.act.at_us.0, by })
    };
    ledger.acts().filter_map(of).collect()
}

fn plan(book: &Book, incident: &Incident) -> Option<IncidentPlanView> {
    let (id, plan) = incident.plan.as_ref()?;
    let next = incident.next_step().map(|step| step.id.as_str());
    let place = |step: &str| plan.steps.iter().position(|s| s.id == step);
    // Behind the last that was taken, and before the next one: an answer led past them. So it did before the last.
    let reached = next.map_or(plan.steps.len(), |next| place(next).unwrap_or(0));
    let steps = plan.steps.iter().enumerate().map(|(at, step)| {
        let taken = incident.steps.iter().find(|taken| taken.step == step.id);
        let state = match taken {
            Some(taken) if taken.skipped => "skipped",
            Some(_) => "done",
            None if next == Some(step.id.as_str()) => "next",
            None if at < reached => "passed",
            None => "later",
        };
        StepView {
            id: step.id.clone(),
            text: step.text.clone(),
            answers: step.answers.clone(),
            state: state.to_owned(),
            at_us: taken.map(|taken| taken.at_us.0),
            by: taken.map(|taken| (&taken.by).into()),
            answer: taken.and_then(|taken| taken.answer.clone()),
            note: taken.map(|taken| taken.note.clone()).unwrap_or_default(),
        }
    });
    let version = book.plans.get(id).and_then(Ledger::state).map(|defined| defined.version);
    Some(IncidentPlanView { id: id.to_string(), name: plan.name.clone(), version, steps: steps.collect() })
}

fn plans(book: &Book, kind: &str) -> Vec<PlanRef> {
    let known = book.plans.iter().filter_map(|(id, ledger)| Some((id, ledger.state()?.body.as_ref()?)));
    let offered = known.filter(|(_, plan)| plan.kinds.is_empty() || plan.kinds.iter().any(|k| k == kind));
    offered.map(|(id, plan)| PlanRef { id: id.to_string(), name: plan.name.clone() }).collect()
}
