//! Acts as CloudEvents over server-sent events, for people and for other systems with a token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::app::App;
use crate::auth::access::{EventSender, Via};
use crate::duty::outward::Next;
use crate::http::problem::{ApiError, ApiResult, Problem, Refusal};

/// Who reads, as long as they may.
enum Reader {
    Person(Via),
    Token(String),
}

struct Following {
    app: Arc<App>,
    changes: watch::Receiver<u64>,
    reader: Reader,
    seen: u64,
    lost: bool,
    /// One of the streams that may be open.
    _open: OwnedSemaphorePermit,
}

/// Acts on alarms, incidents and definitions as they come into the book: CloudEvents 1.0 in JSON, named by their type; the id
/// is that of the act. With `Last-Event-ID` it goes on behind that act; `resync` says that something in between is not here
/// any more, so that lists are to be loaded anew. For tokens that may read (`read_duty`) and everybody who is logged in.
#[utoipa::path(get, path = "/api/v1/duty/stream", tag = "duty", responses(
    (status = 200, content_type = "text/event-stream", body = String), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 503, body = Problem)))]
pub async fn stream(
    State(app): State<Arc<App>>,
    sender: EventSender,
    headers: HeaderMap,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let reader = match &sender {
        EventSender::Person(principal) => Reader::Person(principal.via()),
        EventSender::Token(token) if token.draft.scope.read_duty => Reader::Token(token.draft.id.clone()),
        EventSender::Token(token) => {
            let detail = format!("The token {} may not read alarms and incidents.", token.draft.name);
            let remedy = "Ask an administrator for a token with read_duty.";
            return Err(ApiError::new(Refusal::Forbidden, detail).field("Authorization").remedy(remedy));
        }
    };
    let open = app.outward.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(Refusal::Unavailable, "Too many streams are open.")
            .remedy("Let programs of one system share a stream, and try again later.")
            .retry_after(Duration::from_secs(30))
    })?;
    let changes = app.outward.follow();
    let newest = *changes.borrow();
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let (seen, lost) = match last {
        None => (newest, false),
        Some(act) => app.outward.number_of(act).map_or((newest, true), |number| (number, false)),
    };
    let following = Following { app, changes, reader, seen, lost, _open: open };
    Ok(Sse::new(futures::stream::unfold(following, Following::next))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

impl Following {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if self.app.stop.is_cancelled() || !self.may_still() {
                return None;
            }
            if std::mem::take(&mut self.lost) {
                return Some((Ok(Event::default().event("resync").data("{}")), self));
            }
            match self.app.outward.after(self.seen) {
                Next::Event(kept) => {
                    self.seen = kept.number;
                    let event = Event::default().id(&kept.event.id).event(&kept.event.kind);
                    let data = serde_json::to_string(&*kept.event).unwrap_or_default();
                    return Some((Ok(event.data(data)), self));
                }
                Next::Lost(newest) => (self.seen, self.lost) = (newest, true),
                Next::Nothing => {
                    let (app, changes) = (self.app.clone(), &mut self.changes);
                    tokio::select! {
                        () = app.stop.cancelled() => return None,
                        changed = changes.changed() => changed.ok()?,
                    }
                }
            }
        }
    }

    fn may_still(&self) -> bool {
        match &self.reader {
            Reader::Person(Via::Session(key)) => self.app.auth.sessions.is_open(key),
            Reader::Person(Via::Ticket(_)) => false,
            Reader::Person(Via::Centre(_)) => true,
            Reader::Token(id) => {
                self.app.auth.tokens.read().get(id).is_some_and(|token| token.revoked.is_none())
            }
        }
    }
}
