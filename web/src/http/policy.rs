//! The router in which no route stands without a policy: [`Routes::on`] is the only place that adds one, and it takes a
//! [`Policy`]. The table of all routes is kept for the specification and the tests.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use fengsui_config::ids::StreamKey;
use http::header::{ACCEPT, AUTHORIZATION, UPGRADE};
use http::{HeaderMap, Method};

use super::accept::Peer;
use super::problem::{ApiError, Refusal};
use super::{cookies, origin};
use crate::app::App;
use crate::auth::access::{EventSender, FromCentre, Principal};
use crate::auth::rights::Right;
use crate::duty::links::UnitHolder;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everybody.
    Public,
    /// Everybody, while there is no administrator.
    SetupOnly,
    /// Whoever is logged in, and everybody on the machine itself.
    LoggedInOrLocal,
    /// Whoever is logged in.
    LoggedIn,
    /// Whoever is logged in and may act on alarms and incidents.
    Operator,
    /// Whoever is logged in and may act on many of them at once, and define rules, plans and units.
    Supervisor,
    /// Whoever is logged in and administers the node.
    Administrator,
    /// Whoever is logged in and may read what others did: administrators.
    Auditor,
    /// As `Operator`, or whoever holds a token for events (`Authorization: Bearer`).
    LoggedInOrToken,
    /// The device that keeps the link of a dispatch, for that dispatch alone.
    UnitLink,
    /// Whoever is logged in and may see the camera `{camera}` and stream `{stream}` of the path.
    Camera,
    /// As `Camera`, or whoever holds a media ticket for it (`?ticket=`).
    CameraOrTicket,
    /// This node's centre, over the link to it.
    Centre,
    /// The same, for somebody there who may see the camera in the path (`{camera}`, `{stream}`).
    CentreCamera,
}

impl Policy {
    /// The right that it asks of people who are logged in, beside being so.
    #[must_use]
    pub fn right(self) -> Option<Right> {
        match self {
            Self::Operator | Self::LoggedInOrToken => Some(Right::Act),
            Self::Supervisor => Some(Right::Bulk),
            Self::Administrator | Self::Auditor => Some(Right::Administer),
            Self::Public
            | Self::SetupOnly
            | Self::LoggedInOrLocal
            | Self::LoggedIn
            | Self::Camera
            | Self::CameraOrTicket
            | Self::Centre
            | Self::CentreCamera
            | Self::UnitLink => None,
        }
    }
}

/// One row of the route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Method.
    pub method: Method,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Who may use it.
    pub policy: Policy,
}

/// Collects routes.
pub struct Routes {
    app: Arc<App>,
    router: Router<Arc<App>>,
    table: Vec<Entry>,
}

impl Routes {
    /// No route yet.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app, router: Router::new(), table: Vec::new() }
    }

    /// Adds a route; there is no way to add one without a policy.
    #[must_use]
    pub fn on<H, T>(mut self, method: Method, path: &'static str, policy: Policy, handler: H) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let guarded = on(filter, handler).route_layer(from_fn_with_state((self.app.clone(), policy), guard));
        self.router = self.router.route(path, guarded);
        self.table.push(Entry { method, path, policy });
        self
    }

    /// The router and its table.
    pub fn finish(self) -> (Router, Vec<Entry>) {
        (self.router.with_state(self.app), self.table)
    }
}

type Guard = (Arc<App>, Policy);

async fn guard(
    State((app, policy)): State<Guard>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&app, policy, &params, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn admit(app: &App, policy: Policy, params: &RawPathParams, request: &mut Request) -> Result<(), ApiError> {
    let from_centre = request.extensions().get::<FromCentre>().cloned();
    if from_centre.is_none() && needs_own_origin(request) && !origin::same(request.headers(), request.uri()) {
        return Err(ApiError::new(
            Refusal::WrongOrigin,
            "Requests that change something come from this node's own page.",
        )
        .remedy("Open the page by the same host name and port as the address it talks to."));
    }
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::UNKNOWN);
    let address = peer.address.ip().to_canonical();
    if let Some(from) = from_centre {
        return admit_centre(from, address, policy, params, request);
    }
    match policy {
        Policy::Centre | Policy::CentreCamera => {
            return Err(ApiError::new(Refusal::Forbidden, "This address is for the node's centre alone."));
        }
        Policy::Public => return Ok(()),
        Policy::SetupOnly if app.auth.accounts.read().has_administrator() => {
            return Err(ApiError::new(Refusal::SetupDone, "This node has an administrator; log in instead."));
        }
        Policy::SetupOnly => return Ok(()),
        Policy::LoggedInOrLocal if address.is_loopback() => return Ok(()),
        Policy::UnitLink => {
            let holder = UnitHolder::of(app, request.headers(), &peer)?;
            request.extensions_mut().insert(holder);
            return Ok(());
        }
        Policy::LoggedInOrToken if request.headers().contains_key(AUTHORIZATION) => {
            let sender = token(app, request.headers(), address)?;
            request.extensions_mut().insert(sender);
            return Ok(());
        }
        _ => {}
    }
    let mut known = cookies::value(request.headers(), &cookies::of_session(&peer))
        .and_then(|id| Principal::by_session(&app.auth, id, address));
    if known.is_none() && policy == Policy::CameraOrTicket {
        known = ticket(request.uri().query()).and_then(|text| Principal::by_ticket(&app.auth, text, address));
    }
    let principal = known.ok_or_else(|| {
        ApiError::new(Refusal::NotLoggedIn, "This address is for people who are logged in.")
            .setup_required(!app.auth.accounts.read().has_administrator())
    })?;
    if let Some(right) = policy.right().filter(|right| !principal.user().may(*right)) {
        return Err(lacks(&principal, policy, right));
    }
    if matches!(policy, Policy::Camera | Policy::CameraOrTicket) {
        request.extensions_mut().insert(principal.camera(stream_key(params)?)?);
    }
    if policy == Policy::LoggedInOrToken {
        request.extensions_mut().insert(EventSender::Person(principal.clone()));
    }
    request.extensions_mut().insert(principal);
    Ok(())
}

/// What somebody hears who is logged in and lacks the right.
fn lacks(principal: &Principal, policy: Policy, right: Right) -> ApiError {
    let what = match policy {
        Policy::Auditor => "may not read the journal",
        Policy::Supervisor => "does not lead those on duty",
        Policy::Administrator => "does not administer this node",
        _ => "has no role on this node",
    };
    let detail = format!("{} {what}.", principal.user().name);
    ApiError::new(Refusal::Forbidden, detail).remedy(format!("Ask {}.", right.holder()))
}

/// Lets the centre in, where it may go: to what people look at, and to what is its own. It administers nothing here but by
/// the latter.
fn admit_centre(
    from: FromCentre,
    address: IpAddr,
    policy: Policy,
    params: &RawPathParams,
    request: &mut Request,
) -> Result<(), ApiError> {
    let principal = Principal::by_centre(from, address);
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    match policy {
        Policy::Camera | Policy::CameraOrTicket | Policy::CentreCamera => {
            request.extensions_mut().insert(principal.camera(stream_key(params)?)?);
        }
        Policy::Centre | Policy::Public => {}
        Policy::LoggedIn | Policy::LoggedInOrLocal if looks => {}
        _ => {
            let detail = "A centre does not do this at a node.";
            return Err(ApiError::new(Refusal::Forbidden, detail).remedy("Log in at the node itself."));
        }
    }
    request.extensions_mut().insert(principal);
    Ok(())
}

/// The holder of the token in the headers. Only wrong tokens count as attempts: a device with an old token must not lock
/// out those behind the same address.
fn token(app: &App, headers: &HeaderMap, address: IpAddr) -> Result<EventSender, ApiError> {
    let text = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let secret = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let found = secret.and_then(|(_, secret)| app.auth.tokens.read().find(secret.trim()).cloned());
    if let Some(found) = found {
        return Ok(EventSender::Token(Box::new(found)));
    }
    app.desk.count_refusal("token");
    app.auth.limiter.attempt(address).map_err(|wait| {
        ApiError::new(Refusal::TooManyAttempts, "Too many wrong tokens from this address.")
            .retry_after(wait)
            .remedy(format!("Wait {} seconds, and use a token that is good.", wait.as_secs().max(1)))
    })?;
    Err(ApiError::new(Refusal::TokenRefused, "The token is not known here, or was revoked.")
        .field("Authorization")
        .remedy("Send `Authorization: Bearer` with a token that an administrator of this node made."))
}

fn needs_own_origin(request: &Request) -> bool {
    let headers = request.headers();
    !matches!(*request.method(), Method::GET | Method::HEAD)
        || headers.contains_key(UPGRADE)
        || headers.get(ACCEPT).is_some_and(|a| a.as_bytes().starts_with(b"text/event-stream"))
}

fn stream_key(params: &RawPathParams) -> Result<StreamKey, ApiError> {
    let text = |name: &str| params.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v);
    Ok(StreamKey {
        camera: text("camera").parse().map_err(|e| ApiError::bad("camera", format!("The code {e}.")))?,
        stream: text("stream").parse().map_err(|e: String| ApiError::bad("stream", e))?,
    })
}

/// The media ticket in a query; its text needs no decoding.
#[must_use]
pub fn ticket(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("ticket="))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn routes_are_added_here_and_nowhere_else() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let call = [".rou", "te("].concat();
        let users = files.iter().filter(|f| std::fs::read_to_string(f).unwrap().contains(&call));
        let names: Vec<_> = users.filter_map(|f| f.file_name()?.to_str()).collect();
        assert_eq!(names, ["policy.rs"]);
    }
}
