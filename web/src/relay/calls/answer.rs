//! The node's end of calls: requests of the centre, run through the node's own router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::Request as HttpRequest;
use axum::response::Response;
use bytes::{Buf as _, Bytes, BytesMut};
use fengsui_config::limits;
use fengsui_relay::call::{self, Answer, More, Part, Request, Rest};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{Incoming, Link};
use futures::{FutureExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::{CallCounters, OF_ANSWER, OF_REQUEST, pick};
use crate::auth::access::FromCentre;
use crate::http::problem::{ApiError, Refusal};

/// Questions for parts of one answer that wait.
const QUESTIONS_MAX: usize = 4 * limits::RELAY_CALL_AHEAD;

/// What serves the centre's calls.
pub struct Answering {
    link: Arc<dyn Link>,
    router: Router,
    counters: Arc<CallCounters>,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Mutex<BTreeMap<u64, mpsc::Sender<(More, Incoming)>>>,
    numbers: AtomicU64,
}

impl Answering {
    /// Serves by `router` what comes over `link`.
    #[must_use]
    pub fn new(
        link: Arc<dyn Link>,
        router: Router,
        counters: Arc<CallCounters>,
        stop: CancellationToken,
        seed: u64,
    ) -> Arc<Self> {
        // A number of an earlier life must not be one of this.
        let numbers = AtomicU64::new(seed >> 12 << 4);
        let (tasks, open) = (TaskTracker::new(), Mutex::default());
        Arc::new(Self { link, router, counters, stop, tasks, open, numbers })
    }

    /// Serves until the node stops.
    pub async fn run(self: Arc<Self>, subjects: Subjects) {
        loop {
            let end = match self.link.subscribe(&subjects.commands()).await {
                Ok(mut commands) => loop {
                    tokio::select! {
                        () = self.stop.cancelled() => break Ok(()),
                        message = commands.next() => match message {
                            Some(message) => self.take(&subjects, message).await,
                            None => break Ok(()),
                        },
                    }
                },
                Err(error) => Err(error),
            };
            if let Err(error) = &end {
                tracing::warn!(%error, "cannot listen to the centre's calls; trying again");
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(limits::RELAY_AGAIN_PAUSE) => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) async fn take(self: &Arc<Self>, subjects: &Subjects, message: Incoming) {
        let verb = message.subject.strip_prefix(&subjects.command("")).unwrap_or_default();
        match verb {
            call::CALL => self.begin(message).await,
            call::MORE => self.more(message).await,
            call::END => self.end(&message),
            _ => tracing::debug!(verb, "a command that is not known here"),
        }
    }

    async fn begin(self: &Arc<Self>, message: Incoming) {
        CallCounters::count(&self.counters.calls);
        if self.tasks.len() >= limits::RELAY_CALLS_MAX {
            let refusal =
                ApiError::new(Refusal::Unavailable, "This node serves too many calls of its centre.")
                    .remedy("Close some pictures of this node, or try again in a moment.")
                    .retry_after(Duration::from_secs(2));
            return self.refuse(&message, refusal).await;
        }
        let request =
            match call::decode::<Request>(&message.payload).map_err(|e| e.to_string()).and_then(http) {
                Ok(request) => request,
                Err(why) => {
                    let refusal = ApiError::bad("call", format!("The centre's call cannot be read: {why}."));
                    return self.refuse(&message, refusal).await;
                }
            };
        let serving = self.clone();
        self.tasks.spawn(async move {
            let stop = serving.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = serving.serve(request, &message) => {}
            }
        });
    }

    async fn refuse(&self, message: &Incoming, refusal: ApiError) {
        CallCounters::count(&self.counters.refused);
        let problem = serde_json::to_vec(&refusal.problem()).unwrap_or_default();
        let headers = BTreeMap::from([("content-type".to_owned(), "application/problem+json".to_owned())]);
        self.say(message, call::encode(&Answer::new(refusal.problem().status, headers, None), &problem))
            .await;
    }

    /// The centre learns of an answer that does not go through by waiting in vain.
    async fn say(&self, asked: &Incoming, payload: Bytes) {
        if let Err(error) = self.link.answer(asked, payload).await {
            tracing::debug!(%error, "an answer to the centre did not go through");
        }
    }

    async fn serve(&self, request: HttpRequest, message: &Incoming) {
        let answer = self.router.clone().oneshot(request).await;
        let (parts, body) = match answer {
            Ok(response) => Response::into_parts(response),
            Err(never) => match never {},
        };
        let mut body = Parts::new(body);
        let (first, rest) = body.ready().await;
        self.counters.bytes.fetch_add(first.len() as u64, Ordering::Relaxed);
        let (status, headers) = (parts.status, pick(&parts.headers, &OF_ANSWER));
        match rest {
            Rest::Last => {
                self.say(message, call::encode(&Answer::new(status.as_u16(), headers, None), &first)).await;
            }
            Rest::More => {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
                self.open.lock().insert(number, sender);
                self.counters.open.fetch_add(1, Ordering::Relaxed);
                let head = Answer::new(status.as_u16(), headers, Some(number));
                self.say(message, call::encode(&head, &first)).await;
                if !self.rest(body, questions).await {
                    CallCounters::count(&self.counters.broken);
                }
                self.counters.open.fetch_sub(1, Ordering::Relaxed);
                self.open.lock().remove(&number);
            }
            Rest::Broken | Rest::Unknown => {
                let why = ApiError::new(Refusal::Internal, "The node's answer broke off; its log says why.");
                self.refuse(message, why).await;
            }
        }
    }

    /// Gives part after part as they are asked for; whether the body was given whole.
    async fn rest(&self, mut body: Parts, mut questions: mpsc::Receiver<(More, Incoming)>) -> bool {
        let (mut next, mut early) = (0, BTreeMap::new());
        loop {
            let asked = match early.remove(&next) {
                Some(asked) => asked,
                None => match tokio::time::timeout(limits::RELAY_CALL_IDLE_MAX, questions.recv()).await {
                    Ok(Some((more, asked))) if more.part == next => asked,
                    // Two questions may overtake each other on their way; none comes from further ahead.
                    Ok(Some((more, asked))) if more.part > next && early.len() < QUESTIONS_MAX => {
                        early.insert(more.part, asked);
                        continue;
                    }
                    Ok(Some(_)) => continue,
                    Ok(None) | Err(_) => return false,
                },
            };
            let (bytes, rest) = body.next().await;
            self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.say(&asked, call::encode(&Part::new(rest), &bytes)).await;
            next += 1;
            if rest != Rest::More {
                // What was asked for ahead is answered too: nobody should wait in vain.
                let more = std::iter::from_fn(|| questions.try_recv().ok()).map(|(_, asked)| asked);
                for asked in early.into_values().chain(more.collect::<Vec<_>>()) {
                    self.say(&asked, call::encode(&Part::new(rest), &[])).await;
                }
                return rest == Rest::Last;
            }
        }
    }

    async fn more(&self, message: Incoming) {
        let Ok((more, _)) = call::decode::<More>(&message.payload) else { return };
        let to = self.open.lock().get(&more.call).cloned();
        let unknown = match to {
            None => Some(message),
            Some(to) => to.try_send((more, message)).err().map(|e| e.into_inner().1),
        };
        if let Some(message) = unknown {
            self.say(&message, call::encode(&Part::new(Rest::Unknown), &[])).await;
        }
    }

    fn end(&self, message: &Incoming) {
        if let Ok((more, _)) = call::decode::<More>(&message.payload) {
            self.open.lock().remove(&more.call);
        }
    }
}

/// The request that the centre sent, as the router knows them.
fn http((line, body): (Request, Bytes)) -> Result<HttpRequest, String> {
    let mut builder = HttpRequest::builder().method(line.method.as_str()).uri(&line.path);
    for (name, value) in &line.headers {
        let known = OF_REQUEST.iter().find(|known| known.as_str() == name);
        if let (Some(name), Ok(value)) = (known, HeaderValue::from_str(value)) {
            builder = builder.header(HeaderName::clone(name), value);
        }
    }
    let mut request = builder.body(Body::from(body)).map_err(|e| e.to_string())?;
    request.extensions_mut().insert(FromCentre::new(&line.by));
    Ok(request)
}

/// A body in parts.
struct Parts {
    stream: BodyDataStream,
    /// What was read and does not fit into the part before.
    held: Bytes,
    ended: Option<Rest>,
}

impl Parts {
    fn new(body: Body) -> Self {
        Self { stream: body.into_data_stream(), held: Bytes::new(), ended: None }
    }

    /// What is there at once.
    async fn ready(&mut self) -> (Bytes, Rest) {
        let mut part = BytesMut::new();
        self.fill(&mut part);
        // A short body may take a moment to be read from a disk; a head does not wait for a long one.
        if part.is_empty() && self.ended.is_none() {
            let wait = limits::RELAY_CALL_HEAD_WAIT;
            if let Ok(more) = tokio::time::timeout(wait, self.stream.next()).await {
                self.took(more);
                self.fill(&mut part);
            }
        }
        self.give(part)
    }

    /// The next part: what is there once there is something, or nothing after a while.
    async fn next(&mut self) -> (Bytes, Rest) {
        let mut part = BytesMut::new();
        self.fill(&mut part);
        if part.is_empty() && self.ended.is_none() {
            let wait = limits::RELAY_CALL_PART_WAIT;
            if let Ok(more) = tokio::time::timeout(wait, self.stream.next()).await {
                self.took(more);
                self.fill(&mut part);
            }
        }
        self.give(part)
    }

    fn give(&self, part: BytesMut) -> (Bytes, Rest) {
        let rest = self.ended.filter(|_| self.held.is_empty()).unwrap_or(Rest::More);
        (part.freeze(), rest)
    }

    /// Takes what is there without waiting, as much as fits.
    fn fill(&mut self, part: &mut BytesMut) {
        loop {
            let room = limits::RELAY_CALL_BYTES_MAX.saturating_sub(part.len());
            let fits = self.held.len().min(room);
            part.extend_from_slice(self.held.get(..fits).unwrap_or_default());
            self.held.advance(fits);
            if !self.held.is_empty() || self.ended.is_some() {
                return;
            }
            let Some(more) = self.stream.next().now_or_never() else { return };
            self.took(more);
        }
    }

    fn took(&mut self, more: Option<Result<Bytes, axum::Error>>) {
        match more {
            Some(Ok(bytes)) => self.held = bytes,
            Some(Err(error)) => {
                tracing::warn!(%error, "an answer to the centre broke off");
                self.ended = Some(Rest::Broken);
            }
            None => self.ended = Some(Rest::Last),
        }
    }
}

/// The status of an answer that came over the link.
pub(super) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY)
}
