//! The centre's end of calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::call::{self, Answer, More, OnBehalf, Part, Request, Rest};
use fengsui_relay::link::subjects::Subjects;
use fengsui_relay::link::{Link, LinkError};
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::answer::status;
use super::{CallCounters, OF_REQUEST, pick};
use crate::http::problem::{ApiError, Refusal};

/// What the centre asks a node's API.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Path with its query, as `/api/v1/cameras?limit=10`.
    pub path_and_query: String,
    /// Headers of the request; the few that matter go along.
    pub headers: HeaderMap,
    /// Body, at most `limits::RELAY_CALL_BYTES_MAX`.
    pub body: Bytes,
    /// Who asks.
    pub by: OnBehalf,
}

impl Call {
    /// A question that changes nothing.
    #[must_use]
    pub fn get(path_and_query: impl Into<String>, by: OnBehalf) -> Self {
        let (method, path_and_query) = (Method::GET, path_and_query.into());
        Self { method, path_and_query, headers: HeaderMap::new(), body: Bytes::new(), by }
    }
}

/// Why a call got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No such node works for this centre.
    #[error("{0} is no node of this centre")]
    Stranger(NodeId),
    /// The node is not heard.
    #[error("{0} is not heard")]
    Gone(NodeId),
    /// The call did not go through.
    #[error("{0} did not answer: {1}")]
    Failed(NodeId, LinkError),
    /// What came cannot be read.
    #[error("the answer of {0} cannot be read: {1}")]
    Unreadable(NodeId, String),
    /// The body is larger than a call may have.
    #[error("the body has {0} bytes, at most {max}", max = limits::RELAY_CALL_BYTES_MAX)]
    TooLarge(usize),
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        let unreachable = |detail: String| {
            Self::new(Refusal::NodeUnreachable, detail)
                .remedy("Look at nodes and links; the node itself goes on recording.")
                .retry_after(limits::RELAY_AGAIN_PAUSE)
        };
        match &error {
            CallError::Stranger(_) => Self::not_found(format!("{error}.")),
            CallError::TooLarge(_) => Self::new(Refusal::TooLarge, format!("{error}.")),
            CallError::Gone(_) | CallError::Failed(..) | CallError::Unreadable(..) => {
                tracing::debug!(%error, "a call of a node failed");
                unreachable(format!("{error}."))
            }
        }
    }
}

/// Asks nodes over one connection.
#[derive(Clone)]
pub struct Calls {
    link: Arc<dyn Link>,
    counters: Arc<CallCounters>,
}

impl Calls {
    /// Asks over `link`.
    #[must_use]
    pub fn new(link: Arc<dyn Link>) -> Self {
        Self { link, counters: Arc::default() }
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &CallCounters {
        &self.counters
    }

    /// The connection.
    #[must_use]
    pub fn link(&self) -> &dyn Link {
        self.link.as_ref()
    }

    /// Calls `node`; the head of the answer comes within `deadline`, its body at the reader's pace.
    ///
    /// # Errors
    /// When it did not go through. A node that refuses has answered.
    pub async fn call(&self, node: &NodeId, call: Call, deadline: Duration) -> Result<Response, CallError> {
        if call.body.len() > limits::RELAY_CALL_BYTES_MAX {
            return Err(CallError::TooLarge(call.body.len()));
        }
        CallCounters::count(&self.counters.calls);
        let subjects = Subjects::of(node);
        let headers = pick(&call.headers, &OF_REQUEST);
        let line = Request::new(call.method.as_str(), &call.path_and_query, headers, call.by);
        let message = call::encode(&line, &call.body);
        let answer = self.link.ask(&subjects.command(call::CALL), message, deadline).await;
        let read = answer.map_err(|e| CallError::Failed(node.clone(), e)).and_then(|m| {
            call::decode::<Answer>(&m).map_err(|e| CallError::Unreadable(node.clone(), e.to_string()))
        });
        let (head, first) = read.inspect_err(|_| CallCounters::count(&self.counters.refused))?;
        self.counters.bytes.fetch_add(first.len() as u64, Ordering::Relaxed);
        let body = match head.call {
            None => Body::from(first),
            Some(number) => Body::from_stream(self.rest(subjects, number, first)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status(head.status);
        for (name, value) in &head.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }

    /// The body: what came first, and part after part behind it.
    fn rest(
        &self,
        subjects: Subjects,
        number: u64,
        first: Bytes,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        let (under_way, calls) = (FuturesOrdered::new(), self.clone());
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        let reader = Reader { calls, subjects, number, asked: 0, under_way, end: End::None };
        let rest = futures::stream::unfold(reader, |mut reader| async move {
            let part = reader.next().await?;
            Some((part, reader))
        });
        futures::stream::iter((!first.is_empty()).then_some(Ok(first))).chain(rest)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    /// The node knows that it was all.
    Whole,
    /// It does not, or it told that it broke off.
    Broken,
}

/// Reads the parts of one answer.
struct Reader {
    calls: Calls,
    subjects: Subjects,
    number: u64,
    asked: u64,
    under_way: FuturesOrdered<BoxFuture<'static, Result<Bytes, LinkError>>>,
    end: End,
}

impl Reader {
    fn ask_ahead(&mut self) {
        while self.under_way.len() < limits::RELAY_CALL_AHEAD {
            let (link, subject) = (self.calls.link.clone(), self.subjects.command(call::MORE));
            let message = call::encode(&More::new(self.number, self.asked), &[]);
            self.asked += 1;
            self.under_way.push_back(Box::pin(async move {
                link.ask(&subject, message, limits::RELAY_CALL_PART_TIMEOUT).await
            }));
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        while self.end == End::None {
            self.ask_ahead();
            let read = match self.under_way.next().await? {
                Ok(message) => call::decode::<Part>(&message).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let (bytes, why) = match read {
                Ok((part, bytes)) => match part.rest {
                    Rest::More => (bytes, None),
                    Rest::Last => {
                        self.end = End::Whole;
                        (bytes, None)
                    }
                    Rest::Broken => (bytes, Some("the node's answer broke off".to_owned())),
                    Rest::Unknown => (bytes, Some("the node gave the answer up".to_owned())),
                },
                Err(error) => (Bytes::new(), Some(error)),
            };
            if let Some(why) = why {
                self.end = End::Broken;
                return Some(Err(std::io::Error::other(why)));
            }
            if !bytes.is_empty() {
                self.calls.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                return Some(Ok(bytes));
            }
        }
        None
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.calls.counters.open.fetch_sub(1, Ordering::Relaxed);
        if self.end == End::Whole {
            return;
        }
        CallCounters::count(&self.calls.counters.broken);
        // The node would notice by itself after a while.
        let (link, subject) = (self.calls.link.clone(), self.subjects.command(call::END));
        let message = call::encode(&More::new(self.number, self.asked), &[]);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { link.tell(&subject, message).await });
        }
    }
}
