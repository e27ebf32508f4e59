//! One error type for every answer that is not a success: RFC 9457 `application/problem+json` with a stable `code`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::duty::view::{AlarmView, IncidentRow};

/// Body of every answer that is not a success (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URN naming the kind of problem; it ends in `code`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in a few words, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: String,
    /// What happened this time, in one sentence.
    pub detail: String,
    /// The member or parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the reader can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Only with `not_logged_in`: true while no administrator exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_required: Option<bool>,
    /// Every fault of a text that was sent, by its lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<ProblemLine>,
    /// With `conflict`, of an alarm or incident: what stands in the way, a stable word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// With `conflict`, of an alarm: as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Box<AlarmView>>,
    /// With `conflict`, of an incident: as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<Box<IncidentRow>>,
}

/// What is wrong with one line of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemLine {
    /// The line, from 1; 0 when it is about the whole.
    pub line: u32,
    /// Dotted key, for example `camera.main`; empty when it is about the whole.
    pub field: String,
    /// The value as written; `***` where it may hold a secret.
    pub value: String,
    /// What is wrong with it.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// Every way in which the API refuses or fails, each with its status, code and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter or body is malformed or out of bounds.
    BadRequest,
    /// Nobody is logged in.
    NotLoggedIn,
    /// Name or password is wrong.
    WrongCredentials,
    /// The set-up token is wrong.
    WrongToken,
    /// A token of a device is not known, or was revoked.
    TokenRefused,
    /// The person may not do this.
    Forbidden,
    /// The request comes from a page of another origin.
    WrongOrigin,
    /// The thing does not exist, or not for this person.
    NotFound,
    /// The method is not for this address.
    MethodNotAllowed,
    /// An administrator exists already.
    SetupDone,
    /// The thing is not in a state for that.
    Conflict,
    /// The body is larger than allowed.
    TooLarge,
    /// The range lies outside the file.
    RangeNotSatisfiable,
    /// Too many attempts.
    TooManyAttempts,
    /// More events than the token may send.
    TooManyEvents,
    /// The link of a unit has ended.
    LinkOver,
    /// The stored bytes do not match their hash.
    Damaged,
    /// A defect of ours, or of the machine.
    Internal,
    /// This build lacks the feature.
    NotBuilt,
    /// Stored but not shown: nothing here can decode it.
    Unsupported,
    /// The footage is in an archive that does not answer.
    ArchiveUnreachable,
    /// The node that has it does not answer.
    NodeUnreachable,
    /// Not possible now; later it may be.
    Unavailable,
}

impl Refusal {
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad_request", "The request is malformed"),
            Self::NotLoggedIn => (S::UNAUTHORIZED, "not_logged_in", "Nobody is logged in"),
            Self::WrongCredentials => (S::UNAUTHORIZED, "wrong_credentials", "Name or password is wrong"),
            Self::WrongToken => (S::FORBIDDEN, "wrong_token", "The set-up token is wrong"),
            Self::TokenRefused => (S::UNAUTHORIZED, "token_refused", "The token is not valid"),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "Not allowed"),
            Self::WrongOrigin => (S::FORBIDDEN, "wrong_origin", "The request comes from another origin"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::SetupDone => (S::CONFLICT, "setup_done", "An administrator exists already"),
            Self::Conflict => (S::CONFLICT, "conflict", "Not possible in this state"),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::RangeNotSatisfiable => {
                (S::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The range lies outside the file")
            }
            Self::TooManyAttempts => (S::TOO_MANY_REQUESTS, "too_many_attempts", "Too many attempts"),
            Self::TooManyEvents => (S::TOO_MANY_REQUESTS, "too_many_events", "Too many events"),
            Self::LinkOver => (S::GONE, "link_over", "The link has ended"),
            Self::Damaged => (S::INTERNAL_SERVER_ERROR, "damaged", "Stored bytes are damaged"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::NotBuilt => (S::NOT_IMPLEMENTED, "not_built", "This build lacks the feature"),
            Self::Unsupported => (S::UNPROCESSABLE_ENTITY, "unsupported_media", "The media cannot be shown"),
            Self::ArchiveUnreachable => {
                (S::SERVICE_UNAVAILABLE, "archive_unreachable", "The archive does not answer")
            }
            Self::NodeUnreachable => {
                (S::GATEWAY_TIMEOUT, "node_unreachable", "The node that has it does not answer")
            }
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
        }
    }
}

/// A refusal with its particulars. The only error type of a handler.
#[derive(Debug, Clone)]
pub struct ApiError {
    refusal: Refusal,
    detail: String,
    field: Option<String>,
    remedy: Option<String>,
    setup_required: Option<bool>,
    more: Option<Box<More>>,
    retry_after: Option<Duration>,
}

/// What few refusals have.
#[derive(Debug, Clone, Default)]
struct More {
    lines: Vec<ProblemLine>,
    why: Option<String>,
    alarm: Option<Box<AlarmView>>,
    incident: Option<Box<IncidentRow>>,
}

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A refusal with one sentence on what happened.
    #[must_use]
    pub fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self {
            refusal,
            detail: detail.into(),
            field: None,
            remedy: None,
            setup_required: None,
            more: None,
            retry_after: None,
        }
    }
    /// A malformed parameter or member.
    #[must_use]
    pub fn bad(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Refusal::BadRequest, detail).field(field)
    }
    /// Something that does not exist.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Refusal::NotFound, detail)
    }
    /// A failure that only the log may describe; `what` is a verb and its object.
    #[must_use]
    pub fn internal(what: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "cannot {what}");
        Self::new(Refusal::Internal, format!("The node could not {what}; its log says why."))
    }
    /// Names the member or parameter at fault.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }
    /// Says what the reader can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
    /// Adds whether the first administrator is still to be made.
    #[must_use]
    pub fn setup_required(mut self, required: bool) -> Self {
        self.setup_required = Some(required);
        self
    }
    /// Adds every fault of a text.
    #[must_use]
    pub fn lines(mut self, lines: Vec<ProblemLine>) -> Self {
        self.more().lines = lines;
        self
    }
    /// Adds what stands in the way, as a word for programs.
    #[must_use]
    pub fn why(mut self, why: &str) -> Self {
        self.more().why = Some(why.to_owned());
        self
    }
    /// Adds an alarm as it is now.
    #[must_use]
    pub fn alarm(mut self, alarm: Option<AlarmView>) -> Self {
        self.more().alarm = alarm.map(Box::new);
        self
    }
    /// Adds an incident as it is now.
    #[must_use]
    pub fn incident(mut self, incident: Option<IncidentRow>) -> Self {
        self.more().incident = incident.map(Box::new);
        self
    }
    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
    /// Adds a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
    /// Kind of the refusal.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }
    /// The stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.refusal.facts().1
    }
    /// The sentence on what happened.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
    /// The body as it is sent.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (status, code, title) = self.refusal.facts();
        let More { lines, why, alarm, incident } = self.more.as_deref().cloned().unwrap_or_default();
        Problem {
            kind: format!("urn:fengsui:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: self.detail.clone(),
            field: self.field.clone(),
            remedy: self.remedy.clone(),
            setup_required: self.setup_required,
            lines,
            why,
            alarm,
            incident,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = (self.refusal.facts().0, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<axum::extract::rejection::JsonRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(Refusal::TooLarge, "The body is larger than this address accepts.");
        }
        Self::bad("body", rejection.body_text())
    }
}

impl From<axum::extract::rejection::QueryRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::QueryRejection) -> Self {
        Self::bad("query", rejection.body_text())
    }
}

impl From<axum::extract::rejection::PathRejection> for ApiError {
    fn from(rejection: axum::extract::rejection::PathRejection) -> Self {
        Self::bad("path", rejection.body_text())
    }
}

/// `axum::Json` whose refusals are problems.
#[derive(Debug, axum::extract::FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub struct JsonOf<T>(pub T);

/// `axum::extract::Query` whose refusals are problems.
#[derive(Debug, axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct QueryOf<T>(pub T);

/// `axum::extract::Path` whose refusals are problems.
#[derive(Debug, axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct PathOf<T>(pub T);
