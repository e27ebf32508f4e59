//! Rules: what makes alarms of events. Reading, changing, checking and trying out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::limits;
use fengsui_duty::act::{By, MatterId, MatterKind, Verb};
use fengsui_duty::define::{Defined, RuleBody, RuleVerb};
use fengsui_duty::ledger::Ledger;
use fengsui_duty::rules::Places;
use fengsui_duty::rules::check::{Checked, RuleRefusal, RuleWarning, check};
use fengsui_duty::rules::trial::{Outcome, Trial};
use fengsui_relay::event::EventKind;
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::random;
use crate::duty::ActError;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, ProblemLine, QueryOf, Refusal};

/// Days of which the list of rules tells what each did.
const LATELY_US: i64 = 7 * 86_400 * 1_000_000;

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleView {
    /// `rule/node/name`.
    id: String,
    /// The node at which it was made.
    node: String,
    /// Its name in ids.
    name: String,
    /// For `If-Match`.
    version: u64,
    /// What it is.
    #[schema(value_type = Object)]
    rule: RuleBody,
    /// When it was defined so.
    at_us: i64,
    /// By whom.
    by: String,
    /// Definitions that were made apart and that people have not looked at.
    conflicts: usize,
    /// Alarms of the last seven days that this node knows.
    alarms: u64,
    /// Of these, found false.
    false_alarms: u64,
    /// Alarms that are open.
    open: u64,
}

/// All rules.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleList {
    /// By name.
    items: Vec<RuleView>,
    /// Kinds of events that this node knows.
    #[schema(value_type = Vec<String>)]
    kinds: Vec<EventKind>,
    /// Records that are not judged yet.
    behind: u64,
    /// Events that share an alarm with those of other causes, because there are too many causes.
    crowded: u64,
    /// Now.
    now_us: i64,
}

/// Whether warnings were read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SaveQuery {
    /// Save it though it can never fire, or fires always.
    #[serde(default)]
    despite_warnings: bool,
}

/// A rule that is to be, or is to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckBody {
    /// The rule.
    #[schema(value_type = Object)]
    rule: Value,
    /// Its id, when it is there already.
    id: Option<String>,
}

/// What speaks against a rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckView {
    /// `{field, value, detail, remedy}`: it cannot be saved with these.
    #[schema(value_type = Vec<Object>)]
    refusals: Vec<RuleRefusal>,
    /// `{code, field, detail, remedy}`: it can, when people say so.
    #[schema(value_type = Vec<Object>)]
    warnings: Vec<RuleWarning>,
}

/// What to try out on which time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TryBody {
    /// The rule; none: all that are in use here.
    #[schema(value_type = Option<Object>)]
    rule: Option<Value>,
    /// Its id, so that its alarms have the names that they would have.
    id: Option<String>,
    /// Events noted from this microsecond on.
    from_us: i64,
    /// And before this one.
    to_us: i64,
}

/// What would have fired.
#[derive(Debug, Serialize, ToSchema)]
pub struct TryView {
    /// Alarms in the order in which they were raised, at most 1000.
    #[schema(value_type = Vec<Object>)]
    fired: Vec<fengsui_duty::rules::trial::Fired>,
    /// All of them.
    alarms: u64,
    /// Alarms of each rule.
    by_rule: BTreeMap<String, u64>,
    /// Events that were looked at.
    events: u64,
    /// Seconds without an event after which an alarm counts as dealt with.
    settled_after_s: u64,
    /// Milliseconds that it took.
    took_ms: u64,
}

fn not_done(error: ActError) -> ApiError {
    match error {
        ActError::Illegal(why) => ApiError::new(Refusal::Conflict, why.detail).remedy(why.remedy),
        ActError::Register(error) => ApiError::internal("write to the journal", &error),
    }
}

fn view(
    id: &MatterId,
    ledger: &Ledger<Defined<RuleBody>>,
    did: &BTreeMap<MatterId, Did>,
) -> Option<RuleView> {
    let defined = ledger.state()?;
    let did = did.get(id).copied().unwrap_or_default();
    Some(RuleView {
        id: id.to_string(),
        node: id.home.to_string(),
        name: id.name.clone(),
        version: defined.version,
        rule: defined.body.clone()?,
        at_us: defined.at_us.0,
        by: defined.by.name.clone(),
        conflicts: ledger.conflicts().len(),
        alarms: did.alarms,
        false_alarms: did.false_alarms,
        open: did.open,
    })
}

#[derive(Debug, Clone, Copy, Default)]
struct Did {
    alarms: u64,
    false_alarms: u64,
    open: u64,
}

/// What every rule did lately.
fn deeds(app: &App) -> BTreeMap<MatterId, Did> {
    let since = app.clock.utc().0.saturating_sub(LATELY_US);
    let mut did: BTreeMap<MatterId, Did> = BTreeMap::new();
    app.duty.read(|book| {
        for alarm in book.alarms.values().filter_map(Ledger::state) {
            let one = did.entry(alarm.raise.rule.clone()).or_default();
            one.open += u64::from(alarm.state.is_open());
            if alarm.raised_us.0 >= since {
                one.alarms += 1;
                one.false_alarms += u64::from(alarm.was_false);
            }
        }
    });
    did
}

fn one(app: &App, id: &MatterId) -> ApiResult<RuleView> {
    let did = deeds(app);
    let found = app.duty.read(|book| book.rules.get(id).and_then(|ledger| view(id, ledger, &did)));
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: &MatterId) -> ApiError {
    ApiError::not_found(format!("There is no rule {id}."))
        .field("name")
        .remedy("Load the list of rules anew.")
}

/// Every rule, and what it did.
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules", responses(
    (status = 200, body = RuleList), (status = 401, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<RuleList> {
    let did = deeds(&app);
    let mut items: Vec<RuleView> =
        app.duty.read(|book| book.rules.iter().filter_map(|(id, ledger)| view(id, ledger, &did)).collect());
    items.sort_by(|a, b| a.rule.name.cmp(&b.rule.name).then_with(|| a.id.cmp(&b.id)));
    let (stats, behind) = app.rules.stats();
    let (kinds, now_us) = (EventKind::ALL.to_vec(), app.clock.utc().0);
    axum::Json(RuleList { items, kinds, behind, crowded: stats.crowded, now_us })
}

fn read_rule(value: Value) -> ApiResult<RuleBody> {
    serde_json::from_value(value).map_err(|error| {
        ApiError::bad("rule", format!("The rule cannot be read: {error}."))
            .remedy("Send it as the list of rules shows it.")
    })
}

/// Rules that are in the book.
fn existing(app: &App) -> Vec<(MatterId, RuleBody)> {
    app.duty.read(|book| {
        let rules = book.rules.iter().filter_map(|(id, l)| Some((id.clone(), l.state()?.body.clone()?)));
        rules.collect()
    })
}

fn read_id(text: Option<&str>) -> ApiResult<Option<MatterId>> {
    let wrong =
        || ApiError::bad("id", "This names no rule.").remedy("Send it as rule/node/name, or leave it out.");
    let id: Option<MatterId> = text.map(str::parse).transpose().map_err(|_| wrong())?;
    match id {
        Some(id) if id.kind != MatterKind::Rule => Err(wrong()),
        id => Ok(id),
    }
}

/// What speaks against a rule by itself, and by the events of the last day.
async fn looked_at(app: &Arc<App>, rule: &RuleBody, id: Option<&MatterId>) -> Checked {
    let places = Places::of(&app.topology());
    let mut checked = check(rule, &places, id, &existing(app));
    if !checked.refusals.is_empty() {
        return checked;
    }
    let now = app.clock.utc();
    let range = (UtcMicros(now.0.saturating_sub(86_400_000_000)), now);
    let rules = vec![(id.cloned().unwrap_or_else(|| draft(app)), rule.clone())];
    // A day that takes too long to try, or cannot be read, says nothing; the rest still does.
    if let Ok(outcome) = tried(app, rules, range).await {
        let many =
            usize::try_from(outcome.alarms).is_ok_and(|alarms| alarms > limits::RULE_ALARMS_A_DAY_WARN);
        if many {
            let detail = format!("It would have made {} alarms on the last day.", outcome.alarms);
            checked.warn("always_many", "rule", detail, "look for less, or for more at once");
        }
    }
    checked
}

/// The id under which a rule is tried that has none.
fn draft(app: &App) -> MatterId {
    MatterId { kind: MatterKind::Rule, home: app.duty.node().clone(), name: "draft".to_owned() }
}

fn lines(checked: &Checked) -> Vec<ProblemLine> {
    let line = |field: &str, value: &str, detail: &str, remedy: &str| ProblemLine {
        line: 0,
        field: field.to_owned(),
        value: value.to_owned(),
        detail: detail.to_owned(),
        remedy: remedy.to_owned(),
    };
    let refusals = checked.refusals.iter().map(|r| line(&r.field, &r.value, &r.detail, &r.remedy));
    refusals.chain(checked.warnings.iter().map(|w| line(&w.field, &w.code, &w.detail, &w.remedy))).collect()
}

/// Refuses what cannot be saved, and what people have not said to save all the same.
fn admit(checked: &Checked, despite_warnings: bool) -> ApiResult<()> {
    if let Some(first) = checked.refusals.first() {
        let detail = format!("{} {}: {}.", first.field, first.detail, first.value);
        return Err(ApiError::bad(&first.field, detail)
            .remedy(format!("{}; nothing was changed.", first.remedy))
            .lines(lines(checked)));
    }
    match checked.warnings.first() {
        Some(first) if !despite_warnings => Err(ApiError::bad("despite_warnings", first.detail.clone())
            .remedy("Change the rule, or send ?despite_warnings=true; nothing was changed.")
            .lines(lines(checked))),
        _ => Ok(()),
    }
}

fn answer(status: StatusCode, view: RuleView) -> Response {
    let tag = format!("\"{}\"", view.version);
    (status, [(ETAG, tag)], axum::Json(view)).into_response()
}

/// Makes a rule. What can never fire, or fires always, is saved only with `despite_warnings=true`.
#[utoipa::path(post, path = "/api/v1/rules", tag = "rules", params(SaveQuery), request_body = Value, responses(
    (status = 201, body = RuleView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem)))]
pub async fn make(
    State(app): State<Arc<App>>,
    principal: Principal,
    QueryOf(query): QueryOf<SaveQuery>,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let rule = read_rule(body)?;
    admit(&looked_at(&app, &rule, None).await, query.despite_warnings)?;
    let name = random::bytes::<6>().map_err(|e| ApiError::internal("make a name", &e))?;
    let id = MatterId { kind: MatterKind::Rule, home: app.duty.node().clone(), name: hex::encode(name) };
    let by = By::person(principal.user().name.to_string());
    app.duty.act(&app, &id, Verb::Rule(RuleVerb::Define(rule)), by).await.map_err(not_done)?;
    Ok(answer(StatusCode::CREATED, one(&app, &id)?))
}

fn path(node: &str, name: &str) -> ApiResult<MatterId> {
    let text = format!("rule/{node}/{name}");
    text.parse().map_err(|_| ApiError::not_found(format!("`{text}` names no rule.")).field("name"))
}

/// Refuses a change that was begun from another version than the newest.
fn is_current(app: &App, id: &MatterId, headers: &HeaderMap) -> ApiResult<()> {
    let newest = one(app, id)?.version;
    let text = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text.trim().trim_matches('"').parse::<u64>() {
        Ok(base) if base == newest => Ok(()),
        Ok(base) => {
            let detail = format!("Somebody changed the rule meanwhile: it has version {newest}, not {base}.");
            Err(ApiError::new(Refusal::Conflict, detail)
                .field("If-Match")
                .remedy("Load it anew, and change that."))
        }
        Err(_) => Err(ApiError::bad(
            "If-Match",
            "The header If-Match does not name the version that is to be changed.",
        )
        .remedy(format!("Send If-Match with `version` of what was read; it is \"{newest}\" now."))),
    }
}

/// Changes a rule.
#[utoipa::path(put, path = "/api/v1/rules/{node}/{name}", tag = "rules", params(SaveQuery,
    ("node" = String, Path, description = "Node of the rule"), ("name" = String, Path, description = "Its name"),
    ("If-Match" = String, Header, description = "`version` of what was read")), request_body = Value, responses(
    (status = 200, body = RuleView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn change(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    QueryOf(query): QueryOf<SaveQuery>,
    headers: HeaderMap,
    JsonOf(body): JsonOf<Value>,
) -> ApiResult<Response> {
    let id = path(&node, &name)?;
    is_current(&app, &id, &headers)?;
    let rule = read_rule(body)?;
    admit(&looked_at(&app, &rule, Some(&id)).await, query.despite_warnings)?;
    is_current(&app, &id, &headers)?;
    let by = By::person(principal.user().name.to_string());
    app.duty.act(&app, &id, Verb::Rule(RuleVerb::Define(rule)), by).await.map_err(not_done)?;
    Ok(answer(StatusCode::OK, one(&app, &id)?))
}

/// Removes a rule; its alarms stay.
#[utoipa::path(delete, path = "/api/v1/rules/{node}/{name}", tag = "rules", params(
    ("node" = String, Path, description = "Node of the rule"), ("name" = String, Path, description = "Its name"),
    ("If-Match" = String, Header, description = "`version` of what was read")), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, name)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    let id = path(&node, &name)?;
    is_current(&app, &id, &headers)?;
    let by = By::person(principal.user().name.to_string());
    app.duty.act(&app, &id, Verb::Rule(RuleVerb::Remove), by).await.map_err(not_done)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what speaks against a rule; saves nothing.
#[utoipa::path(post, path = "/api/v1/rules/check", tag = "rules", request_body = CheckBody, responses(
    (status = 200, body = CheckView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn check_one(
    State(app): State<Arc<App>>,
    JsonOf(body): JsonOf<CheckBody>,
) -> ApiResult<axum::Json<CheckView>> {
    let id = read_id(body.id.as_deref())?;
    let rule = read_rule(body.rule)?;
    let checked = looked_at(&app, &rule, id.as_ref()).await;
    Ok(axum::Json(CheckView { refusals: checked.refusals, warnings: checked.warnings }))
}

/// Says what a rule (or all of them) would have made of the events of a time.
#[utoipa::path(post, path = "/api/v1/rules/try", tag = "rules", request_body = TryBody, responses(
    (status = 200, body = TryView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem)))]
pub async fn try_out(
    State(app): State<Arc<App>>,
    JsonOf(body): JsonOf<TryBody>,
) -> ApiResult<axum::Json<TryView>> {
    let range = (UtcMicros(body.from_us), UtcMicros(body.to_us));
    if range.1 <= range.0 {
        return Err(ApiError::bad("to_us", "The range ends before it begins.").remedy("Turn its ends round."));
    }
    let most = i64::try_from(limits::RULES_TRY_RANGE_MAX.as_micros()).unwrap_or(i64::MAX);
    if range.1.since(range.0) > most {
        let days = limits::RULES_TRY_RANGE_MAX.as_secs() / 86_400;
        return Err(
            ApiError::bad("to_us", "The range is too long.").remedy(format!("Ask for {days} days at most."))
        );
    }
    let id = read_id(body.id.as_deref())?;
    let rules = match body.rule {
        Some(rule) => {
            let rule = read_rule(rule)?;
            let checked = check(&rule, &Places::of(&app.topology()), id.as_ref(), &existing(&app));
            admit(&Checked { warnings: Vec::new(), ..checked }, true)?;
            vec![(id.unwrap_or_else(|| draft(&app)), rule)]
        }
        None => existing(&app).into_iter().filter(|(_, rule)| rule.enabled).collect(),
    };
    let began = app.clock.mono();
    let outcome = tried(&app, rules, range).await?;
    let took = app.clock.mono().since(began);
    Ok(axum::Json(TryView {
        fired: outcome.fired,
        alarms: outcome.alarms,
        by_rule: outcome.by_rule,
        events: outcome.events,
        settled_after_s: limits::RULES_TRY_SETTLED_AFTER.as_secs(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Tries rules on what the journal has of a time, within `limits::RULES_TRY_TIME_MAX`.
async fn tried(
    app: &Arc<App>,
    rules: Vec<(MatterId, RuleBody)>,
    range: (UtcMicros, UtcMicros),
) -> ApiResult<Outcome> {
    let later =
        || ApiError::new(Refusal::Unavailable, "Rules cannot be tried out now.").remedy("Try again soon.");
    let records = app.rules.records().ok_or_else(later)?;
    let turn = app.rules.tries.clone().try_acquire_owned().map_err(|_| later())?;
    let places = Arc::new(Places::of(&app.topology()));
    let (clock, own, now) = (app.clock.clone(), app.duty.node().clone(), app.clock.utc());
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let until: MonoMicros = clock.mono() + limits::RULES_TRY_TIME_MAX;
        let mut trial = Trial::new(own, places, rules, range);
        let (mut looked, mut late) = (0_u32, false);
        let first = records.since(range.0).map_err(|e| e.to_string())?;
        let read = records.each(first, &mut |record| {
            looked = looked.wrapping_add(1);
            late = looked % 256 == 0 && clock.mono() > until;
            !late && trial.record(&record)
        });
        read.map_err(|e| e.to_string())?;
        Ok::<_, String>((!late).then(|| trial.finish(now).0))
    });
    let done: Result<Option<Outcome>, String> =
        done.await.map_err(|e| ApiError::internal("try rules out", &e))?;
    done.map_err(|e| ApiError::internal("read the journal", &e))?.ok_or_else(|| {
        let s = limits::RULES_TRY_TIME_MAX.as_secs();
        ApiError::bad("to_us", format!("The range holds more events than can be tried within {s} s."))
            .remedy("Ask for a smaller range, or use `fengsui rules try` on the machine.")
    })
}
