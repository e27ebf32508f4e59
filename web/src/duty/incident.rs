//! Opening incidents, and what a node adds to acts on them: the number, the place of an alarm, a copy of the plan or unit,
//! links in both directions, and the nodes that it concerns.
//!
//! - One alarm becomes one incident, whoever asks at the same moment: `two_who_make_an_incident_of_one_alarm_make_one`.
//! - A request with a key opens one incident, also after a restart: `a_key_opens_one_incident_also_after_a_restart`.

use std::collections::BTreeSet;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::{Topology, limits};
use fengsui_duty::act::{ActId, By, MatterId, MatterKind, Verb};
use fengsui_duty::alarm::{Alarm, AlarmState, AlarmVerb, Level};
use fengsui_duty::book::Book;
use fengsui_duty::check::{Refusal, check};
use fengsui_duty::incident::{Channel, IncidentVerb, Open, SentUnit, Where};
use fengsui_duty::ledger::{Illegal, Ledger};
use time::{OffsetDateTime, UtcOffset};

use super::ActError;
use crate::app::App;
use crate::auth::random;
use crate::auth::register::RegisterError;

/// China has one time, eight hours ahead of UTC, all year.
const LOCAL_HOURS: i8 = 8;

/// A moment by the clocks on the wall.
#[must_use]
pub fn local(at: UtcMicros) -> OffsetDateTime {
    let offset = UtcOffset::from_hms(LOCAL_HOURS, 0, 0).unwrap_or(UtcOffset::UTC);
    let second = at.0.div_euclid(1_000_000);
    OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(offset)
}

/// An incident that is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What kind.
    pub kind: String,
    /// What it is in a few words.
    pub title: String,
    /// More words.
    pub text: String,
    /// How much it matters; as the most urgent alarm when absent.
    pub level: Option<Level>,
    /// Where; as the oldest alarm when nothing is said.
    pub place: Where,
    /// Who told of it.
    pub channel: Channel,
    /// Its number at whoever told of it.
    pub reference: String,
    /// Alarms that it is made of.
    pub alarms: BTreeSet<MatterId>,
    /// Cameras that see it.
    pub cameras: BTreeSet<CameraId>,
}

/// By what a repeated request is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Hash of who asks and of the key, 16 hexadecimal digits.
    pub request: String,
    /// Hash of the body, 16 hexadecimal digits.
    pub body: String,
}

impl Key {
    fn prefix(&self) -> String {
        format!("k{}-", self.request)
    }

    fn name(&self) -> String {
        format!("{}{}", self.prefix(), self.body)
    }
}

/// An incident that is open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// It.
    pub id: MatterId,
    /// It was opened by an earlier request with the same key.
    pub repeated: bool,
    /// Alarms that could not be linked, and why.
    pub warnings: Vec<String>,
}

/// Why no incident was opened, or an act was not filled in.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A member names something that is not known here.
    #[error("{0}: {1} is not known here")]
    Unknown(&'static str, String),
    /// An alarm cannot become one.
    #[error("{1}")]
    Alarm(MatterId, Box<Illegal>),
    /// The key came with another request.
    #[error("this key came with another request before")]
    OtherBody,
    /// A member cannot be so.
    #[error(transparent)]
    Invalid(#[from] Refusal),
    /// The act.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// The number of the next incident that `node` opens on the day of `now`.
#[must_use]
pub fn number(book: &Book, node: &NodeId, now: UtcMicros) -> String {
    let day = local(now);
    let day = format!("{:04}{:02}{:02}-", day.year(), u8::from(day.month()), day.day());
    let own = book.incidents.iter().filter(|(id, _)| id.home == *node).filter_map(|(_, l)| l.state());
    let taken = own.filter_map(|incident| incident.open.number.strip_prefix(&day)?.parse::<u32>().ok());
    format!("{day}{:03}", taken.max().unwrap_or(0).saturating_add(1))
}

/// A name that nothing has: random, so that a node that was restored from a backup names nothing twice.
fn fresh<const N: usize>() -> Result<String, ActError> {
    random::bytes::<N>().map(hex::encode).map_err(|e| RegisterError(e.to_string()).into())
}

fn of_key(book: &Book, node: &NodeId, key: &Key) -> Option<MatterId> {
    let from = MatterId { kind: MatterKind::Incident, home: node.clone(), name: key.prefix() };
    let (id, _) = book.incidents.range(from.clone()..).next()?;
    (id.home == from.home && id.name.starts_with(&from.name)).then(|| id.clone())
}

/// An alarm that may become an incident.
fn free<'a>(book: &'a Book, id: &MatterId) -> Result<&'a Alarm, OpenError> {
    let known = book.alarms.get(id).and_then(Ledger::state);
    let alarm = known.ok_or_else(|| OpenError::Unknown("alarms", id.to_string()))?;
    if alarm.state == AlarmState::Closed {
        let illegal = Illegal::new(
            "already_closed",
            "The alarm is closed; no incident is made of it.",
            "Open one without it.",
        );
        return Err(OpenError::Alarm(id.clone(), Box::new(illegal)));
    }
    let Some(other) = &alarm.incident else { return Ok(alarm) };
    match book.incidents.get(other).and_then(Ledger::state) {
        Some(incident) if incident.is_over() => Ok(alarm),
        incident => {
            let number = incident.map_or_else(|| other.to_string(), |i| i.open.number.clone());
            let detail = format!("The alarm is part of the incident {number}.");
            let illegal = Illegal::new("already_linked", detail, "Go on there.");
            Err(OpenError::Alarm(id.clone(), Box::new(illegal)))
        }
    }
}

/// The place of an alarm: its site, and the point of its camera.
fn place_of(topology: &Topology, alarm: &Alarm) -> Where {
    let camera = alarm.raise.camera.and_then(|camera| topology.cameras.get(&camera));
    let code = alarm.raise.site.clone().or_else(|| camera.map(|c| c.site.to_string()));
    let site = code.as_ref().and_then(|code| topology.sites.get(&code.parse().ok()?));
    let position = camera.and_then(|c| c.position).or_else(|| site.and_then(|s| s.position));
    Where { site: code, address: String::new(), point: position.map(|p| (p.lat, p.lon)) }
}

fn is_nowhere(place: &Where) -> bool {
    place.site.is_none() && place.point.is_none() && place.address.trim().is_empty()
}

/// The other nodes that alarms and cameras are of.
fn nodes_of<'a>(
    app: &App,
    alarms: impl IntoIterator<Item = &'a MatterId>,
    cameras: impl IntoIterator<Item = &'a CameraId>,
) -> BTreeSet<NodeId> {
    let centre = app.relay.read().as_ref().and_then(|relay| relay.centre.clone());
    let owner = |camera: &CameraId| centre.as_ref().and_then(|centre| centre.roll.owner(camera));
    let homes = alarms.into_iter().map(|alarm| alarm.home.clone());
    let all = homes.chain(cameras.into_iter().filter_map(owner));
    all.filter(|node| node != app.duty.node()).collect()
}

fn filled(app: &App, book: &Book, wanted: Wanted, now: UtcMicros) -> Result<Open, OpenError> {
    let topology = app.topology();
    let mut alarms = Vec::with_capacity(wanted.alarms.len());
    for id in &wanted.alarms {
        alarms.push(free(book, id)?);
    }
    let unknown = wanted.cameras.iter().find(|camera| !topology.cameras.contains_key(camera));
    if let Some(camera) = unknown {
        return Err(OpenError::Unknown("cameras", camera.to_string()));
    }
    let mut cameras = wanted.cameras;
    cameras.extend(alarms.iter().filter_map(|alarm| alarm.raise.camera));
    let oldest = alarms.iter().min_by_key(|alarm| alarm.raised_us);
    let place = match oldest {
        Some(alarm) if is_nowhere(&wanted.place) => place_of(&topology, alarm),
        _ => wanted.place,
    };
    if let Some(site) = place.site.as_ref().filter(|_| oldest.is_none()) {
        let known = site.parse().is_ok_and(|code| topology.sites.contains_key(&code));
        known.then_some(()).ok_or_else(|| OpenError::Unknown("place.site", site.clone()))?;
    }
    let level = wanted.level.or_else(|| alarms.iter().map(|alarm| alarm.level).min());
    Ok(Open {
        number: number(book, app.duty.node(), now),
        kind: wanted.kind,
        title: wanted.title,
        text: wanted.text,
        level: level.unwrap_or(Level::USUAL),
        place,
        channel: wanted.channel,
        reference: wanted.reference,
        nodes: nodes_of(app, &wanted.alarms, &cameras),
        alarms: wanted.alarms,
        cameras,
    })
}

/// Opens an incident; its alarms are linked to it. One at a time, so that numbers follow each other and an alarm becomes one
/// incident.
///
/// # Errors
/// Why not; then there is none.
pub async fn open(app: &App, wanted: Wanted, key: Option<&Key>, by: By) -> Result<Opened, OpenError> {
    let duty = &app.duty;
    let _opening = duty.opening.lock().await;
    if let Some(key) = key
        && let Some(id) = duty.read(|book| of_key(book, duty.node(), key))
    {
        if id.name != key.name() {
            return Err(OpenError::OtherBody);
        }
        // Whatever stopped the request before its end: what it lacks is made up for.
        let warnings = link(app, &id, &by).await;
        return Ok(Opened { id, repeated: true, warnings });
    }
    let open = duty.read(|book| filled(app, book, wanted, app.clock.utc()))?;
    let name = key.map_or_else(fresh::<8>, |key| Ok(key.name()))?;
    let id = MatterId { kind: MatterKind::Incident, home: duty.node().clone(), name };
    let verb = Verb::Incident(IncidentVerb::Open(open));
    check(&verb)?;
    duty.act(app, &id, verb, by.clone()).await?;
    let warnings = link(app, &id, &by).await;
    Ok(Opened { id, repeated: false, warnings })
}

/// Links the alarms of an incident that are not linked to it yet; says of which that was not possible.
async fn link(app: &App, id: &MatterId, by: &By) -> Vec<String> {
    let unlinked = app.duty.read(|book| {
        let incident = book.incidents.get(id).and_then(Ledger::state);
        let lacks = |alarm: &&MatterId| {
            let alarm = book.alarms.get(alarm).and_then(Ledger::state);
            alarm.is_some_and(|alarm| alarm.incident.as_ref() != Some(id))
        };
        let alarms = incident.into_iter().flat_map(|i| &i.open.alarms);
        alarms.filter(lacks).cloned().collect::<Vec<_>>()
    });
    let to_link = |alarm: &MatterId| (alarm.clone(), Verb::Alarm(AlarmVerb::Link { incident: id.clone() }));
    let outcomes = app.duty.act_each(app, unlinked.iter().map(to_link).collect(), by).await;
    let failed = unlinked.iter().zip(outcomes).filter_map(|(alarm, outcome)| Some((alarm, outcome.err()?)));
    failed.map(|(alarm, error)| format!("{alarm} is not linked: {error}")).collect()
}

/// What was done, and what people should know about it.
#[derive(Debug, Clone)]
pub struct Done {
    /// The act.
    pub act: ActId,
    /// Not as it should be, though it was done.
    pub warning: Option<String>,
}

/// Does something to an incident, with what follows from it: an alarm that is added is linked, and nodes that it comes to
/// concern are told.
///
/// # Errors
/// Why not; then nothing changed.
pub async fn act(app: &App, id: &MatterId, verb: IncidentVerb, by: By) -> Result<Done, OpenError> {
    check(&Verb::Incident(verb.clone()))?;
    let _opening = match &verb {
        IncidentVerb::AddAlarm { .. } => Some(app.duty.opening.lock().await),
        _ => None,
    };
    if let IncidentVerb::AddAlarm { alarm } = &verb
        && let Err(error) = app.duty.read(|book| free(book, alarm).map(|_| ()))
    {
        let here = app.duty.read(|book| {
            book.alarms.get(alarm).and_then(Ledger::state).is_some_and(|a| a.incident.as_ref() == Some(id))
        });
        here.then_some(()).ok_or(error)?;
    }
    let warning = match &verb {
        IncidentVerb::Dispatch { unit, .. } => app.duty.read(|book| busy(book, id, &unit.id)),
        _ => None,
    };
    let act = app.duty.act(app, id, Verb::Incident(verb.clone()), by.clone()).await?;
    let concerned = match &verb {
        IncidentVerb::AddAlarm { alarm } => {
            let camera = app.duty.read(|book| book.alarms.get(alarm)?.state()?.raise.camera);
            nodes_of(app, [alarm], camera.iter())
        }
        IncidentVerb::AddCamera { camera } | IncidentVerb::AddClip { camera, .. } => {
            nodes_of(app, [], [camera])
        }
        _ => BTreeSet::new(),
    };
    let mut warnings: Vec<String> = warning.into_iter().collect();
    if matches!(verb, IncidentVerb::AddAlarm { .. }) {
        warnings.extend(link(app, id, &by).await);
    }
    share(app, id, concerned, &by).await;
    let warning = (!warnings.is_empty()).then(|| warnings.join(" "));
    Ok(Done { act, warning })
}

/// Lets other nodes know of an incident.
async fn share(app: &App, id: &MatterId, nodes: BTreeSet<NodeId>, by: &By) {
    let known = app.duty.read(|book| {
        let state = book.incidents.get(id).and_then(Ledger::state);
        state.map(|incident| incident.open.nodes.clone()).unwrap_or_default()
    });
    for node in nodes.into_iter().filter(|node| *node != id.home && !known.contains(node)) {
        let verb = Verb::Incident(IncidentVerb::Share { node: node.clone() });
        if let Err(error) = app.duty.act(app, id, verb, by.clone()).await {
            tracing::error!(%error, incident = %id, %node, "an incident is not shared with a node that it concerns");
        }
    }
}

/// The act that an incident is handled by a plan as it is now; none when there is no such plan.
#[must_use]
pub fn use_plan(book: &Book, plan: &MatterId) -> Option<IncidentVerb> {
    let body = book.plans.get(plan)?.state()?.body.clone()?;
    Some(IncidentVerb::UsePlan { plan: plan.clone(), body })
}

/// The act that a unit as it is now is sent; none when there is no such unit.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn dispatch(book: &Book, unit: &MatterId, order: String) -> Result<Option<IncidentVerb>, ActError> {
    let body = book.units.get(unit).and_then(Ledger::state).and_then(|defined| defined.body.as_ref());
    let Some(body) = body else { return Ok(None) };
    let unit =
        SentUnit { id: unit.clone(), name: body.name.clone(), net: body.net, contact: body.contact.clone() };
    // Two nodes that are apart must not give one name to two dispatches.
    Ok(Some(IncidentVerb::Dispatch { id: fresh::<6>()?, unit, order }))
}

/// Says for what else a unit is under way.
fn busy(book: &Book, here: &MatterId, unit: &MatterId) -> Option<String> {
    let others = book.incidents.iter().filter(|(id, _)| *id != here).filter_map(|(_, l)| l.state());
    let mut sent = others.flat_map(|i| i.dispatches.values().map(move |d| (i, d)));
    let (incident, dispatch) = sent.find(|(_, d)| d.unit.id == *unit && d.progress.is_open())?;
    Some(format!("{} is under way for the incident {} too.", dispatch.unit.name, incident.open.number))
}

/// Whether so many alarms and cameras can be named at once.
///
/// # Errors
/// The member with too many, and how many there may be.
pub fn bounds(wanted: &Wanted) -> Result<(), (&'static str, usize)> {
    if wanted.alarms.len() > limits::DUTY_OPENED_FROM_MAX {
        return Err(("alarms", limits::DUTY_OPENED_FROM_MAX));
    }
    if wanted.cameras.len() > limits::DUTY_OPENED_CAMERAS_MAX {
        return Err(("cameras", limits::DUTY_OPENED_CAMERAS_MAX));
    }
    Ok(())
}
