//! Events from devices, other systems and operators.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::{Topology, limits};
use fengsui_relay::event::intake::Sender;
use fengsui_relay::event::posted::Poster;
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::{Event, EventKind, EventRefusal, Mark, Priority, Reason, Source};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::EventSender;
use crate::auth::tokens::Token;
use crate::desk::{NotNoted, Noted, UnderWay};
use crate::http::problem::{ApiError, ApiResult, JsonOf, Problem, Refusal};

/// Name of the header by which a repeated request is known.
const KEY_HEADER: &str = "idempotency-key";
const KEY_FIELD: &str = "Idempotency-Key";

/// One event as it is sent.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the description of a body that is read field by field, so that refusals name the field"
)]
pub struct PostedEvent {
    /// `device.input` or `camera.picture_lost` with a token, as far as its scope goes; `operator.mark` when logged in.
    #[schema(value_type = String, example = "device.input")]
    kind: String,
    /// National code of the camera that it belongs to; may be absent where the token reaches everywhere.
    camera: Option<String>,
    /// When it happened; now when absent. At most five minutes ahead of the node's clock, and not before 2000.
    at_us: Option<i64>,
    /// Name of the input, at most 64 characters; needed for `device.input`.
    #[schema(example = "door-1")]
    input: Option<String>,
    /// `on` lasts until `off`; `pulse` (the usual) does not last.
    #[schema(example = "on")]
    state: Option<String>,
    /// `low`, `normal` (the usual) or `alarm`.
    priority: Option<String>,
    /// Words for people, at most 500 characters; needed for `operator.mark`.
    text: Option<String>,
    /// Facts for programs, at most 4 KiB as JSON.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
}

/// Events to be noted: all of them or none.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PostBody {
    /// 1 to 100 events.
    #[schema(value_type = Vec<PostedEvent>)]
    events: Vec<Value>,
}

/// Where an event was noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotedView {
    /// Its record: node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    record: String,
    /// Its row, by the record that began it; absent for an event that had been noted before.
    row: Option<String>,
    /// Events that the record stands for: more than one when many came at once.
    events: u64,
    /// It had been noted by an earlier request with the same key.
    repeated: bool,
}

/// What was noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostAnswer {
    /// In the order of the request.
    items: Vec<NotedView>,
}

/// Who sends, for the limiter, for the events, and for their scope.
struct Asked {
    sender: Sender,
    poster: Poster,
    token: Option<Box<Token>>,
}

impl Asked {
    fn of(app: &App, sender: EventSender) -> Self {
        let node = app.desk.node().clone();
        match sender {
            EventSender::Person(person) => {
                let name = person.user().name.to_string();
                let source = Source { node, token: None, operator: Some(name.clone()) };
                let kinds = vec![EventKind::OperatorMark];
                let poster = Poster { source, token: None, kinds, priority: Priority::Alarm };
                Self { sender: Sender::Operator(name), poster, token: None }
            }
            EventSender::Token(token) => {
                let draft = &token.draft;
                let source = Source { node, token: Some(draft.name.clone()), operator: None };
                let (kinds, priority) = (draft.scope.kinds.iter().copied().collect(), draft.scope.priority);
                let poster = Poster { source, token: Some(draft.id.clone()), kinds, priority };
                Self { sender: Sender::Token(draft.id.clone()), poster, token: Some(token) }
            }
        }
    }

    /// One event, read and checked.
    fn event(&self, topology: &Topology, value: &Value, now: UtcMicros) -> Result<Event, Refused> {
        let event = self.poster.read(value, now).map_err(Refused::Event)?;
        let knows = |camera: CameraId| topology.cameras.contains_key(&camera);
        event.check(now, &knows).map_err(Refused::Event)?;
        match &self.token {
            Some(token) if !token.draft.scope.covers(topology, event.camera) => {
                Err(Refused::Scope(event.camera))
            }
            _ => Ok(event),
        }
    }
}

enum Refused {
    Event(EventRefusal),
    Scope(Option<CameraId>),
}

impl Refused {
    fn into_error(self, app: &App, index: usize) -> ApiError {
        let outer = format!("events[{index}]");
        match self {
            Self::Event(refusal) => {
                app.desk.count_refusal(refusal.reason.as_str());
                let EventRefusal { reason, field, value, what, remedy } = refusal.within(&outer);
                let class = if reason == Reason::Oversized { Refusal::TooLarge } else { Refusal::BadRequest };
                ApiError::new(class, format!("{field} {what}; it is {value}."))
                    .field(&field)
                    .remedy(sentence(&remedy))
            }
            Self::Scope(camera) => {
                app.desk.count_refusal("scope");
                let what = camera.map_or_else(
                    || "what belongs to no camera".to_owned(),
                    |camera| format!("events of camera {camera}"),
                );
                ApiError::new(Refusal::Forbidden, format!("This token may not send {what}."))
                    .field(&format!("{outer}.camera"))
                    .remedy(
                        "Send events of the cameras of its scope, or ask an administrator for another token.",
                    )
            }
        }
    }
}

/// A remedy as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Takes events: of a device or another system with a token, or an operator's mark on a camera. Answers when the journal
/// has all of them; a request that is refused changes nothing. With `Idempotency-Key` a repeated request notes nothing twice.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", request_body = PostBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Any text of 1 to 128 visible characters; a repeated request with the same one notes nothing twice")),
    responses((status = 201, body = PostAnswer), (status = 200, body = PostAnswer, description = "All had been noted before"),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn post(
    State(app): State<Arc<App>>,
    sender: EventSender,
    headers: HeaderMap,
    JsonOf(body): JsonOf<PostBody>,
) -> ApiResult<Response> {
    let asked = Asked::of(&app, sender);
    let (now, topology) = (app.clock.utc(), app.topology());
    let (count, most) = (body.events.len(), limits::EVENT_BATCH_MAX);
    if !(1..=most).contains(&count) {
        app.desk.count_refusal(Reason::Oversized.as_str());
        return Err(ApiError::bad("events", format!("A request has 1 to {most} events; it has {count}."))
            .remedy("Send more requests."));
    }
    let mut events = Vec::with_capacity(count);
    for (index, value) in body.events.iter().enumerate() {
        let event = asked.event(&topology, value, now).map_err(|e| e.into_error(&app, index))?;
        events.push(event);
    }
    let request = Request::of(&app, &headers, &asked, &body.events)?;
    let before = match &request {
        Some(request) => request.noted(&app, &asked, count)?,
        None => vec![None; count],
    };
    if let Some(request) = &request {
        request.mark(&mut events);
    }
    let fresh =
        events.into_iter().zip(&before).filter(|(_, before)| before.is_none()).map(|(event, _)| event);
    let fresh: Vec<Event> = fresh.collect();
    rate(&app, &asked, fresh.len())?;
    let status = if fresh.is_empty() { StatusCode::OK } else { StatusCode::CREATED };
    let noted = app.desk.put(&asked.sender, fresh, request.map(|r| r.held)).await;
    let mut noted = noted.map_err(|e| not_noted(&app, &e))?.into_iter();
    let repeated =
        |record: RecordId| NotedView { record: record.to_string(), row: None, events: 1, repeated: true };
    let items = before.into_iter().filter_map(|before| match before {
        Some(record) => Some(repeated(record)),
        None => noted.next().map(view),
    });
    Ok((status, axum::Json(PostAnswer { items: items.collect() })).into_response())
}

fn view(noted: Noted) -> NotedView {
    NotedView {
        record: noted.record.to_string(),
        row: noted.row.map(|r| r.to_string()),
        events: noted.events,
        repeated: false,
    }
}

/// Counts the events against the token's rate.
fn rate(app: &App, asked: &Asked, events: usize) -> ApiResult<()> {
    let Some(token) = &asked.token else { return Ok(()) };
    let (draft, count) = (&token.draft, u32::try_from(events).unwrap_or(u32::MAX));
    app.desk.rate(&draft.id, draft.rate, count, app.clock.mono()).map_err(|wait| {
        app.desk.count_refusal("rate");
        let (name, most) = (&draft.name, draft.rate);
        ApiError::new(Refusal::TooManyEvents, format!("The token {name} sends at most {most} events a minute."))
            .field("events")
            .remedy("Send fewer, count repetitions on the device, or ask an administrator for a token with a higher rate.")
            .retry_after(wait)
    })
}

fn not_noted(app: &App, why: &NotNoted) -> ApiError {
    match why {
        NotNoted::Full => {
            app.desk.count_refusal("full");
            ApiError::new(Refusal::Unavailable, "Too many events wait for the journal.")
                .remedy("Send them again in a second; nothing of the request was noted.")
                .retry_after(std::time::Duration::from_secs(1))
        }
        NotNoted::Stopping => ApiError::new(Refusal::Unavailable, "The node stops.")
            .remedy("Send the request again when it runs."),
        NotNoted::UnderWay => ApiError::new(Refusal::Conflict, "A request with this key is under way.")
            .field(KEY_FIELD)
            .remedy("Wait for its answer, or send the same request again in a second.")
            .retry_after(std::time::Duration::from_secs(1)),
        NotNoted::Refused(error) => ApiError::internal("write the events to the journal", error).remedy(
            "Send the request again with the same Idempotency-Key: what was noted is not noted twice.",
        ),
    }
}

/// A request with a key.
struct Request {
    key: String,
    body: String,
    held: Arc<UnderWay>,
}

impl Request {
    fn of(app: &App, headers: &HeaderMap, asked: &Asked, events: &[Value]) -> ApiResult<Option<Self>> {
        let Some(header) = headers.get(KEY_HEADER) else { return Ok(None) };
        let text = header.to_str().unwrap_or_default();
        let most = limits::EVENT_KEY_CHARS_MAX;
        if text.is_empty() || text.len() > most || !text.bytes().all(|b| b.is_ascii_graphic()) {
            app.desk.count_refusal("key");
            return Err(ApiError::bad(KEY_FIELD, format!("A key has 1 to {most} visible characters."))
                .remedy(
                    "Send a new random text with each new request, and the same one when it is repeated.",
                ));
        }
        let short = |hash: blake3::Hash| hash.to_hex().chars().take(16).collect::<String>();
        let key = short(blake3::hash(format!("{:?}\n{text}", asked.sender).as_bytes()));
        let body = short(blake3::hash(&serde_json::to_vec(events).unwrap_or_default()));
        let held = app.desk.begin(key.clone()).map_err(|e| not_noted(app, &e))?;
        Ok(Some(Self { key, body, held }))
    }

    /// Which events of it are in the journal already.
    fn noted(&self, app: &App, asked: &Asked, count: usize) -> ApiResult<Vec<Option<RecordId>>> {
        let rows = app.desk.rows().read();
        let Some(found) = rows.request(&asked.poster.source, &self.key) else { return Ok(vec![None; count]) };
        if found.body != self.body {
            app.desk.count_refusal("key");
            return Err(ApiError::new(Refusal::Conflict, "This key came with another request before.")
                .field(KEY_FIELD)
                .remedy("Send a new random text with each new request."));
        }
        let node = app.desk.node().to_string();
        let record = |(epoch, seq): (u64, u64)| RecordId { node: node.clone(), epoch, seq };
        let of = |index: usize| u16::try_from(index).ok().and_then(|i| found.events.get(&i).copied());
        Ok((0..count).map(|index| of(index).map(record)).collect())
    }

    fn mark(&self, events: &mut [Event]) {
        for (index, event) in (0_u16..).zip(events) {
            event.marks = vec![Mark { key: self.key.clone(), body: self.body.clone(), index }];
        }
    }
}
