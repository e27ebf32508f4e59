//! Alarms: the list that somebody works through, one of them, and what is done to it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NationalCode};
use fengsui_config::{Topology, limits};
use fengsui_duty::act::{MatterId, MatterKind, Verb};
use fengsui_duty::alarm::{Alarm, AlarmState, AlarmVerb};
use fengsui_duty::check::check;
use fengsui_duty::ledger::Ledger;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::held::{self, AlarmHoldView};
use super::{by, invalid, limit, matter, read_verb, refused, unknown};
use crate::app::App;
use crate::auth::access::Principal;
use crate::command;
use crate::duty::incident;
use crate::duty::view::{self, ActView, AlarmCounts, AlarmView, ConflictView, Look};
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, QueryOf};

/// What people may do to an alarm; the rest is for rules and for time.
const VERBS: [&str; 13] = [
    "acknowledge",
    "begin",
    "resolve",
    "dismiss",
    "reopen",
    "close",
    "prioritise",
    "own",
    "snooze",
    "wake",
    "note",
    "link",
    "settle",
];

/// Which alarms.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlarmQuery {
    /// `open` (the usual): to be done, and not hidden by a snooze; `snoozed`, `settled` (resolved or false), `closed`, `all`.
    #[serde(default)]
    state: String,
    /// Levels, separated by commas.
    #[serde(default)]
    level: String,
    /// National code of a camera.
    #[serde(default)]
    camera: String,
    /// National code of a site.
    #[serde(default)]
    site: String,
    /// Who owns them.
    #[serde(default)]
    owner: String,
    /// The rule that raised them.
    #[serde(default)]
    rule: String,
    /// Only those that should have been acknowledged, or only the others.
    overdue: Option<bool>,
    /// Only those with a conflict at which nobody has looked, or only the others.
    conflict: Option<bool>,
    /// `next` of the page before.
    #[serde(default)]
    before: String,
    /// Rows of the page, at most 1000.
    limit: Option<usize>,
}

/// Alarms, those that are open first: by level, of each the oldest first. Behind them the others, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlarmPage {
    /// Alarms.
    alarms: Vec<AlarmView>,
    /// Ask with this as `before` to go on; none at the end.
    next: Option<String>,
    /// How many there are, whatever was asked for.
    counts: AlarmCounts,
    /// The clock of the node.
    now_us: i64,
}

/// Where an alarm stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Open(u8, i64, String),
    Over(Reverse<i64>, String),
}

impl Place {
    fn of(id: &MatterId, alarm: &Alarm) -> Self {
        match alarm.state.is_open() {
            true => Self::Open(alarm.level.get(), alarm.raised_us.0, id.to_string()),
            false => Self::Over(Reverse(alarm.raised_us.0), id.to_string()),
        }
    }

    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Open(level, at, id) => format!("o {level} {at} {id}"),
            Self::Over(Reverse(at), id) => format!("c 0 {at} {id}"),
        })
    }

    fn read(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut words = text.split(' ');
        let (kind, level, at, id) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (level, at, id) = (level.parse().ok()?, at.parse().ok()?, id.to_owned());
        match kind {
            "o" => Some(Self::Open(level, at, id)),
            "c" => Some(Self::Over(Reverse(at), id)),
            _ => None,
        }
    }
}

/// What the list is narrowed by.
struct Filter {
    state: &'static str,
    levels: BTreeSet<u8>,
    camera: Option<CameraId>,
    site: Option<String>,
    owner: String,
    rule: Option<MatterId>,
    overdue: Option<bool>,
    conflict: Option<bool>,
    after: Option<Place>,
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Filter {
    fn read(query: &AlarmQuery) -> ApiResult<Self> {
        const STATES: [&str; 5] = ["open", "snoozed", "settled", "closed", "all"];
        let word = some(&query.state).unwrap_or("open");
        let state = STATES.into_iter().find(|state| *state == word).ok_or_else(|| {
            ApiError::bad("state", format!("{word:?} is no state of alarms."))
                .remedy("Write open, snoozed, settled, closed or all.")
        })?;
        let levels = query.level.split(',').map(str::trim).filter(|word| !word.is_empty()).map(|word| {
            let level = word.parse::<u8>().ok().filter(|level| (1..=4).contains(level));
            level.ok_or_else(|| {
                ApiError::bad("level", format!("{word:?} is no level."))
                    .remedy("Write 1 to 4, several separated by commas.")
            })
        });
        let camera = some(&query.camera).map(str::parse::<CameraId>).transpose();
        let site = some(&query.site).map(str::parse::<NationalCode>).transpose();
        let rule = some(&query.rule).map(str::parse::<MatterId>).transpose();
        let after = some(&query.before).map(|text| {
            Place::read(text).ok_or_else(|| {
                ApiError::bad("before", "This is no place in the list.")
                    .remedy("Take `next` of the page before.")
            })
        });
        Ok(Self {
            state,
            levels: levels.collect::<ApiResult<_>>()?,
            camera: camera.map_err(|e| {
                ApiError::bad("camera", format!("The code {e}.")).remedy("Send its 20 digits.")
            })?,
            site: site
                .map_err(|e| ApiError::bad("site", format!("The code {e}.")).remedy("Send its 20 digits."))?
                .map(|code| code.to_string()),
            owner: query.owner.clone(),
            rule: rule.map_err(|e| ApiError::bad("rule", format!("{e}.")).remedy("Send rule/node/name."))?,
            overdue: query.overdue,
            conflict: query.conflict,
            after: after.transpose()?,
        })
    }

    /// Whether the alarms that are standing are all that can be meant.
    fn is_standing(&self) -> bool {
        matches!(self.state, "open" | "snoozed") || self.conflict == Some(true)
    }

    fn wants(&self, topology: &Topology, ledger: &Ledger<Alarm>, alarm: &Alarm, now: UtcMicros) -> bool {
        let state = match self.state {
            "open" => alarm.state.is_open() && !alarm.is_snoozed(now),
            "snoozed" => alarm.is_snoozed(now),
            "settled" => matches!(alarm.state, AlarmState::Resolved | AlarmState::False),
            "closed" => alarm.state == AlarmState::Closed,
            _ => true,
        };
        let raise = &alarm.raise;
        let at_site = |site: &String| {
            let of_camera =
                || raise.camera.and_then(|c| topology.cameras.get(&c)).map(|c| c.site.to_string());
            raise.site.clone().or_else(of_camera).as_ref() == Some(site)
        };
        state
            && (self.levels.is_empty() || self.levels.contains(&alarm.level.get()))
            && (self.camera.is_none() || self.camera == raise.camera)
            && self.site.as_ref().is_none_or(at_site)
            && (self.owner.is_empty() || alarm.owner.as_deref() == Some(self.owner.as_str()))
            && self.rule.as_ref().is_none_or(|rule| raise.rule == *rule)
            && self.overdue.is_none_or(|wanted| wanted == alarm.overdue_us().is_some_and(|due| due <= now))
            && self.conflict.is_none_or(|wanted| wanted == view::has_open_conflicts(ledger))
    }
}

/// Alarms, as somebody works through them.
#[utoipa::path(get, path = "/api/v1/alarms", tag = "alarms", params(AlarmQuery), responses(
    (status = 200, body = AlarmPage), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn list(
    State(app): State<Arc<App>>,
    QueryOf(query): QueryOf<AlarmQuery>,
) -> ApiResult<axum::Json<AlarmPage>> {
    let (filter, limit) = (Filter::read(&query)?, limit(query.limit)?);
    let (now, topology) = (app.clock.utc(), app.topology());
    let mut found: Vec<(Place, MatterId)> = app.duty.read_standing(|book, standing| {
        let wanted = |(id, ledger): (&MatterId, &Ledger<Alarm>)| {
            let alarm = ledger.state()?;
            let place = filter.wants(&topology, ledger, alarm, now).then(|| Place::of(id, alarm))?;
            filter.after.as_ref().is_none_or(|after| *after < place).then(|| (place, id.clone()))
        };
        if filter.is_standing() {
            standing.iter().filter_map(|id| wanted((id, book.alarms.get(id)?))).collect()
        } else {
            book.alarms.iter().filter_map(wanted).collect()
        }
    });
    if found.len() > limit {
        // All but the page need no order.
        found.select_nth_unstable(limit);
    }
    let more = found.len() > limit;
    found.truncate(limit);
    found.sort_unstable();
    let next = found.last().filter(|_| more).map(|(place, _)| place.write());
    let alarms = view::alarms_in(&app, found.iter().map(|(_, id)| id));
    Ok(axum::Json(AlarmPage { alarms, next, counts: view::alarm_counts(&app), now_us: now.0 }))
}

/// The incident of an alarm, as far as it is known here.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlarmIncidentView {
    id: String,
    number: String,
    title: String,
    /// `open`, `handling`, `resolved`, `closed` or `cancelled`.
    #[schema(value_type = String)]
    state: fengsui_duty::incident::IncidentState,
}

/// Everything about an alarm.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlarmDetail {
    /// The alarm.
    alarm: AlarmView,
    /// What was done, in order.
    acts: Vec<ActView>,
    /// What people have to look at, or have looked at.
    conflicts: Vec<ConflictView>,
    /// Where to look: the camera, a little before, and the cameras around.
    look: Look,
    /// Footage that is held for it at this node.
    hold: Option<AlarmHoldView>,
    /// The other node that records its camera; its hold is told under `…/hold`.
    held_by: Option<String>,
    /// Its incident.
    incident: Option<AlarmIncidentView>,
}

/// One alarm with all that was done, and where to look.
#[utoipa::path(get, path = "/api/v1/alarms/{node}/{name}", tag = "alarms",
    params(("node" = String, Path, description = "Node at which it was raised"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = AlarmDetail), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<Arc<App>>,
    PathOf((node, name)): PathOf<(String, String)>,
) -> ApiResult<axum::Json<AlarmDetail>> {
    let id = matter(MatterKind::Alarm, &node, &name)?;
    let alarm = view::alarm(&app, &id).ok_or_else(|| unknown(&id.to_string(), None))?;
    let (acts, conflicts, state, incident) = app
        .duty
        .read(|book| {
            let ledger = book.alarms.get(&id)?;
            let alarm = ledger.state()?;
            let incident =
                alarm.incident.as_ref().and_then(|id| Some((id, book.incidents.get(id)?.state()?)));
            let incident = incident.map(|(id, incident)| AlarmIncidentView {
                id: id.to_string(),
                number: incident.open.number.clone(),
                title: incident.open.title.clone(),
                state: incident.state,
            });
            Some((view::acts(ledger), view::conflicts(ledger), alarm.clone(), incident))
        })
        .ok_or_else(|| unknown(&id.to_string(), None))?;
    let look = Look::of(&app, state.raise.camera, state.raise.first_us.0);
    let hold = held::here(&app, &id, &state).await;
    let held_by = state.raise.camera.and_then(|camera| command::holder(&app, camera));
    let held_by = held_by.map(|far| far.node.to_string());
    Ok(axum::Json(AlarmDetail { alarm, acts, conflicts, look, hold, held_by, incident }))
}

/// What is done to an alarm; a description of what is read by its word.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the description of a body that is read by its word, so that refusals name the field"
)]
pub struct AlarmActBody {
    /// `acknowledge`, `begin`, `resolve`, `dismiss`, `reopen`, `close`, `prioritise`, `own`, `snooze`, `wake`, `note`, `link` or `settle`.
    #[schema(rename = "do", example = "acknowledge")]
    verb: String,
    /// `resolve`: what was done.
    result: Option<String>,
    /// `dismiss` (`nothing`, `weather`, `animal`, `test`, `device_fault`, `authorised`, or own words), `reopen`, `snooze`, `prioritise`: why.
    reason: Option<String>,
    /// `prioritise`: 1 to 4.
    level: Option<u8>,
    /// `own`: who.
    owner: Option<String>,
    /// `own`, `settle`: words.
    note: Option<String>,
    /// `snooze`: when it comes back.
    until_us: Option<i64>,
    /// `note`: the words.
    text: Option<String>,
    /// `link`: the incident.
    incident: Option<String>,
    /// `settle`: the act in conflict.
    act: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlarmActed {
    /// The alarm as it is now.
    alarm: AlarmView,
    /// The act: node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    act: String,
}

/// Does something to an alarm. Of two who do the same at once, one is answered 409 and told what the other did.
#[utoipa::path(post, path = "/api/v1/alarms/{node}/{name}/acts", tag = "alarms", request_body = AlarmActBody,
    params(("node" = String, Path, description = "Node at which it was raised"), ("name" = String, Path, description = "Its name there")),
    responses((status = 200, body = AlarmActed), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn act(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<axum::Json<AlarmActed>> {
    let id = matter(MatterKind::Alarm, &node, &name)?;
    let verb: AlarmVerb = read_verb(body, &VERBS)?;
    app.duty
        .read(|book| book.alarms.get(&id)?.state().map(drop))
        .ok_or_else(|| unknown(&id.to_string(), None))?;
    let act = match verb {
        AlarmVerb::Link { incident: to } => {
            check(&Verb::Alarm(AlarmVerb::Link { incident: to.clone() })).map_err(invalid)?;
            // Both know of each other; the alarm is linked by that.
            let verb = fengsui_duty::incident::IncidentVerb::AddAlarm { alarm: id.clone() };
            if app.duty.read(|book| book.incidents.get(&to).and_then(Ledger::state).is_none()) {
                return Err(unknown(&to.to_string(), Some("incident")));
            }
            let done = incident::act(&app, &to, verb, by(&principal)).await;
            done.map_err(|error| super::not_opened(&app, Some(&to), error))?.act
        }
        verb => {
            let verb = Verb::Alarm(verb);
            check(&verb).map_err(invalid)?;
            let done = app.duty.act(&app, &id, verb, by(&principal)).await;
            done.map_err(|error| refused(&app, &id, error))?
        }
    };
    let alarm = view::alarm(&app, &id).ok_or_else(|| unknown(&id.to_string(), None))?;
    Ok(axum::Json(AlarmActed { alarm, act: act.to_string() }))
}

/// One thing that is done to several alarms.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkBody {
    /// 1 to 500 ids of alarms.
    alarms: Vec<String>,
    /// What is done to each; not `link`.
    #[schema(value_type = AlarmActBody)]
    act: Value,
}

/// An alarm to which it was not done.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkRefused {
    /// The alarm.
    alarm: String,
    /// Why, a stable word for programs.
    code: String,
    /// Why.
    detail: String,
}

/// What became of all of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// To how many it was done.
    done: usize,
    /// The others.
    refused: Vec<BulkRefused>,
}

/// Does the same to several alarms, to each as if it were the only one.
#[utoipa::path(post, path = "/api/v1/alarms/acts", tag = "alarms", request_body = BulkBody, responses(
    (status = 200, body = BulkAnswer), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn act_on_many(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<BulkBody>,
) -> ApiResult<axum::Json<BulkAnswer>> {
    let (count, most) = (body.alarms.len(), limits::DUTY_BULK_MAX);
    if !(1..=most).contains(&count) {
        return Err(ApiError::bad("alarms", format!("A request has 1 to {most} alarms; it has {count}."))
            .remedy("Send more requests."));
    }
    let known: Vec<&str> = VERBS.into_iter().filter(|verb| *verb != "link").collect();
    let verb: AlarmVerb = read_verb(body.act, &known)?;
    check(&Verb::Alarm(verb.clone())).map_err(invalid)?;
    let mut ids = BTreeSet::new();
    for (index, text) in body.alarms.iter().enumerate() {
        let id = text.parse::<MatterId>().ok().filter(|id| id.kind == MatterKind::Alarm);
        let id = id.ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            ApiError::bad(&format!("alarms[{index}]"), format!("{shown:?} is no alarm."))
                .remedy("Send ids as the list has them: alarm/node/name.")
        })?;
        ids.insert(id);
    }
    let wanted = ids.iter().map(|id| (id.clone(), Verb::Alarm(verb.clone()))).collect();
    let outcomes = app.duty.act_each(&app, wanted, &by(&principal)).await;
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = ids.iter().zip(outcomes).filter_map(|(id, outcome)| {
        let error = outcome.err()?;
        Some(BulkRefused { alarm: id.to_string(), code: error.code().to_owned(), detail: error.to_string() })
    });
    Ok(axum::Json(BulkAnswer { done, refused: refused.collect() }))
}
