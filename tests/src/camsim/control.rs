//! The control API: facts, ledger, faults and statistics over HTTP, on loopback, without log-in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use fengsui_config::ids::StreamKind;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::faults::{CameraChoice, FaultKind, FaultOrder};
use super::sim::{Handle, SimError};

/// The running control server.
pub struct Control {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; waits for its thread.
    pub fn stop(self) {
        // When the receiver is gone the server has ended already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// Starts the control server in a thread of its own.
///
/// # Errors
/// When the address cannot be had or the thread not be started.
pub fn start(handle: Arc<Handle>, address: SocketAddr) -> Result<Control, SimError> {
    let listen = |source| SimError::Listen { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let system = |context| move |source| SimError::System { context, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("make the control server's runtime"))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("camsim-control".to_owned())
        .spawn(move || {
            let served = runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let server = axum::serve(listener, router(handle)).into_future();
                // Keep-alive connections of idle clients must not hold up the end.
                tokio::select! {
                    r = server => r,
                    _ = stopped => Ok(()),
                }
            });
            if let Err(e) = served {
                tracing::error!("control server: {e}");
            }
            runtime.shutdown_background();
        })
        .map_err(system("start the control thread"))?;
    Ok(Control { address, stop, thread })
}

fn router(handle: Arc<Handle>) -> Router {
    Router::new()
        .route("/", get(help))
        .route("/cameras", get(cameras))
        .route("/cameras/{n}/{stream}", get(camera))
        .route("/cameras/{n}/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/ledger", get(ledgers))
        .route("/ledger/{n}/{stream}", get(ledger))
        .route("/sent/{n}/{stream}", get(sent))
        .route("/devices", get(devices))
        .route("/attempts", get(attempts))
        .route("/stats", get(stats))
        .with_state(handle)
}

/// An answer that says what was wrong.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<SimError> for Refusal {
    fn from(e: SimError) -> Self {
        let status = match e {
            SimError::Order(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, e.to_string())
    }
}

fn wrong(text: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, text.into())
}

async fn help() -> &'static str {
    "camsim control API\n\
     GET    /cameras                     facts of all streams\n\
     GET    /cameras/{n}/{main|sub}      facts of one stream\n\
     GET    /cameras/{n|all}/faults      faults that are on\n\
     POST   /cameras/{n|all}/faults      {\"kind\":\"stall\",\"stream\":\"main\",\"args\":{},\"for_ms\":5000}\n\
     DELETE /cameras/{n|all}/faults      ?kind=stall&stream=main; all without\n\
     GET    /ledger                      what every session was sent\n\
     GET    /ledger/{n}/{main|sub}       what the sessions of one stream were sent\n\
     GET    /sent/{n}/{main|sub}         when the last pictures were sent (--sent-times)\n\
     GET    /devices                     connections of each address\n\
     GET    /attempts                    when connections asked for each stream\n\
     GET    /stats                       totals and own CPU time\n"
}

async fn cameras(State(handle): State<Arc<Handle>>) -> Json<Value> {
    let items: Vec<Value> = handle
        .all_facts()
        .into_iter()
        .map(|f| {
            let url = handle.url(f.camera, f.stream);
            with_url(serde_json::to_value(f).unwrap_or_default(), url)
        })
        .collect();
    Json(json!({ "items": items }))
}

fn with_url(mut facts: Value, url: String) -> Value {
    if let Value::Object(map) = &mut facts {
        map.insert("url".to_owned(), Value::String(url));
    }
    facts
}

async fn camera(
    State(handle): State<Arc<Handle>>,
    Path((n, stream)): Path<(u16, StreamKind)>,
) -> Result<Json<Value>, Refusal> {
    let facts =
        handle.facts(n, stream).ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no camera {n}")))?;
    Ok(Json(with_url(serde_json::to_value(facts).unwrap_or_default(), handle.url(n, stream))))
}

async fn faults(State(handle): State<Arc<Handle>>, Path(n): Path<String>) -> Result<Json<Value>, Refusal> {
    let choice: CameraChoice = n.parse().map_err(wrong)?;
    let items: Vec<Value> = handle
        .all_facts()
        .into_iter()
        .filter(|f| choice == CameraChoice::All || choice == CameraChoice::One(f.camera))
        .flat_map(|f| {
            handle
                .faults(f.camera, f.stream)
                .into_iter()
                .map(move |fault| json!({ "camera": f.camera, "stream": f.stream, "fault": fault }))
        })
        .collect();
    Ok(Json(json!({ "items": items })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultBody {
    kind: String,
    stream: Option<StreamKind>,
    #[serde(default)]
    args: Value,
    for_ms: Option<u64>,
}

async fn add_fault(
    State(handle): State<Arc<Handle>>,
    Path(n): Path<String>,
    Json(body): Json<FaultBody>,
) -> Result<StatusCode, Refusal> {
    let camera = n.parse().map_err(wrong)?;
    let kind = FaultKind::from_parts(&body.kind, &body.args).map_err(wrong)?;
    let order = FaultOrder { camera, stream: body.stream, kind, for_ms: body.for_ms };
    // A fault may have to encode a clip first.
    tokio::task::spawn_blocking(move || handle.fault(order))
        .await
        .map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))??;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct ClearQuery {
    kind: Option<String>,
    stream: Option<StreamKind>,
}

async fn clear_faults(
    State(handle): State<Arc<Handle>>,
    Path(n): Path<String>,
    Query(query): Query<ClearQuery>,
) -> Result<StatusCode, Refusal> {
    let camera = n.parse().map_err(wrong)?;
    handle.clear(camera, query.stream, query.kind.as_deref())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ledgers(State(handle): State<Arc<Handle>>) -> Json<Value> {
    let sessions: Vec<_> =
        handle.all_facts().into_iter().filter_map(|f| handle.ledger(f.camera, f.stream)).flatten().collect();
    Json(json!({ "sessions": sessions }))
}

async fn ledger(
    State(handle): State<Arc<Handle>>,
    Path((n, stream)): Path<(u16, StreamKind)>,
) -> Result<Json<Value>, Refusal> {
    let sessions =
        handle.ledger(n, stream).ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no camera {n}")))?;
    Ok(Json(json!({ "facts": handle.facts(n, stream), "sessions": sessions })))
}

async fn sent(State(handle): State<Arc<Handle>>, Path((n, stream)): Path<(u16, StreamKind)>) -> Json<Value> {
    Json(json!({ "items": handle.sent_times(n, stream) }))
}

async fn devices(State(handle): State<Arc<Handle>>) -> Json<Value> {
    Json(json!({ "items": handle.devices() }))
}

async fn attempts(State(handle): State<Arc<Handle>>) -> Json<Value> {
    let items: Vec<Value> = handle
        .all_facts()
        .into_iter()
        .map(|f| json!({ "camera": f.camera, "stream": f.stream, "at_us": handle.attempts(f.camera, f.stream) }))
        .collect();
    Json(json!({ "items": items }))
}

async fn stats(State(handle): State<Arc<Handle>>) -> Json<Value> {
    Json(serde_json::to_value(handle.stats()).unwrap_or_default())
}
