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
use http::header::{ACCEPT, COOKIE, UPGRADE};
use http::{HeaderMap, Method};

use super::accept::Peer;
use super::origin;
use super::problem::{ApiError, Refusal};
use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::accounts::Role;

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
    /// Whoever is logged in and may read what others did: administrators.
    Auditor,
    /// Whoever is logged in and may see the camera `{camera}` and stream `{stream}` of the path.
    Camera,
    /// As `Camera`, or whoever holds a media ticket for it (`?ticket=`).
    CameraOrTicket,
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
    if needs_own_origin(request) && !origin::same(request.headers(), request.uri()) {
        return Err(ApiError::new(
            Refusal::WrongOrigin,
            "Requests that change something come from this node's own page.",
        )
        .remedy("Open the page by the same host name and port as the address it talks to."));
    }
    let peer = request.extensions().get::<Peer>().copied();
    let address = peer.map_or(IpAddr::from([0, 0, 0, 0]), |p| p.address.ip().to_canonical());
    match policy {
        Policy::Public => return Ok(()),
        Policy::SetupOnly if app.auth.accounts.read().has_administrator() => {
            return Err(ApiError::new(Refusal::SetupDone, "This node has an administrator; log in instead."));
        }
        Policy::SetupOnly => return Ok(()),
        Policy::LoggedInOrLocal if address.is_loopback() => return Ok(()),
        _ => {}
    }
    let tls = peer.is_some_and(|p| p.tls);
    let mut known =
        session_id(request.headers(), tls).and_then(|id| Principal::by_session(&app.auth, id, address));
    if known.is_none() && policy == Policy::CameraOrTicket {
        known = ticket(request.uri().query()).and_then(|text| Principal::by_ticket(&app.auth, text, address));
    }
    let principal = known.ok_or_else(|| {
        ApiError::new(Refusal::NotLoggedIn, "This address is for people who are logged in.")
            .setup_required(!app.auth.accounts.read().has_administrator())
    })?;
    if matches!(policy, Policy::Camera | Policy::CameraOrTicket) {
        request.extensions_mut().insert(principal.camera(stream_key(params)?)?);
    }
    if policy == Policy::Auditor && !principal.user().roles.contains(&Role::Administrator) {
        let detail = format!("{} may not read the journal.", principal.user().name);
        return Err(ApiError::new(Refusal::Forbidden, detail));
    }
    request.extensions_mut().insert(principal);
    Ok(())
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

/// Name of the session cookie: with TLS the `__Host-` prefix binds it to this host and to encryption.
#[must_use]
pub fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-fengsui" } else { "fengsui" }
}

/// The session id in the cookies of a request.
#[must_use]
pub fn session_id(headers: &HeaderMap, tls: bool) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|h| h.to_str().ok())
        .flat_map(|h| h.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(tls))
        .map(|(_, value)| value)
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
