//! What this node records in place of others, and what others recorded in its place. Its centre alone may say so.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use fengsui_config::ids::{CameraId, NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_relay::standby::Order;
use fengsui_storage::backfill::{Came, Incoming};
use fengsui_storage::segment::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::register::kinds;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, QueryOf, Refusal};
use crate::standby::NotFollowed;

/// Which cameras of another node are to be recorded here. A centre with a newer program may say more.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct StandbyOrderBody {
    /// The node whose cameras they are.
    pub owner: String,
    /// Number of the decision; an order older than one that was followed is not.
    pub revision: u64,
    /// All of them; none: they are left to their node again.
    pub cameras: Vec<String>,
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct StandbyOrderView {
    /// It is followed.
    pub followed: bool,
    /// Number of the decision that is followed now.
    pub revision: u64,
    /// Cameras of the order that are not configured here with `standby_for` that node, and so not recorded.
    pub missing: Vec<String>,
}

/// What was decided last about one owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldView {
    /// The node whose cameras they are.
    owner: String,
    /// Number of the decision.
    revision: u64,
    /// The cameras that are recorded here; none: they were given back.
    cameras: Vec<String>,
    /// When it was noted here.
    since_us: i64,
}

/// What this node records in place of others.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandbyView {
    /// By owner.
    items: Vec<HeldView>,
}

/// What this node records in place of others, and what it did.
#[utoipa::path(get, path = "/api/v1/node/standby", tag = "nodes", responses(
    (status = 200, body = StandbyView), (status = 401, body = Problem)))]
pub async fn show(State(app): State<Arc<App>>) -> axum::Json<StandbyView> {
    let taken = app.standby.taken();
    let items = taken.iter().map(|(owner, held)| HeldView {
        owner: owner.to_string(),
        revision: held.revision,
        cameras: held.cameras.iter().map(ToString::to_string).collect(),
        since_us: held.since_us,
    });
    axum::Json(StandbyView { items: items.collect() })
}

fn order(body: &StandbyOrderBody) -> ApiResult<Order> {
    let owner = body.owner.parse::<NodeId>().map_err(|_| {
        ApiError::bad("owner", format!("{:?} is no name of a node.", body.owner))
            .remedy("Write 1 to 32 of a-z, 0-9 and '-'.")
    })?;
    if body.cameras.len() > limits::RELAY_NODE_CAMERAS_MAX {
        let most = limits::RELAY_NODE_CAMERAS_MAX;
        return Err(ApiError::bad("cameras", format!("A node has at most {most} cameras."))
            .remedy("Send the cameras of one owner."));
    }
    let read = |code: &String| {
        code.parse::<CameraId>().map_err(|why| {
            ApiError::bad("cameras", format!("The code {code:?} {why}."))
                .remedy("Write national codes of 20 digits.")
        })
    };
    let cameras: BTreeSet<CameraId> = body.cameras.iter().map(read).collect::<ApiResult<_>>()?;
    Ok(Order { owner, revision: body.revision, cameras })
}

/// Says which cameras of another node are recorded here; only the centre may. In the journal before it is carried out.
#[utoipa::path(put, path = "/api/v1/node/standby", tag = "nodes", request_body = StandbyOrderBody, responses(
    (status = 200, body = StandbyOrderView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn follow(
    State(app): State<Arc<App>>,
    JsonOf(body): JsonOf<StandbyOrderBody>,
) -> ApiResult<axum::Json<StandbyOrderView>> {
    let order = order(&body)?;
    let followed = app.standby.follow(&app, &order, "centre").await.map_err(|error| match error {
        NotFollowed::TooMany(_) => ApiError::new(Refusal::Conflict, format!("Not followed: {error}."))
            .field("owner")
            .remedy("Ask a node that stands by for fewer."),
        NotFollowed::Register(e) => ApiError::internal("write the order to the journal", &e),
    })?;
    Ok(axum::Json(StandbyOrderView {
        followed: followed.newer.is_none(),
        revision: followed.newer.unwrap_or(order.revision),
        missing: followed.missing.iter().map(ToString::to_string).collect(),
    }))
}

/// A piece of a segment file that another node recorded in the place of this one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PieceQuery {
    /// Where in the file the body belongs.
    offset: u64,
    /// Length of the whole file.
    bytes: u64,
    /// The node that recorded it.
    node: String,
    /// The public key of that node, 64 hexadecimal digits.
    key: String,
}

/// How the segment stands.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct PieceView {
    /// `part`, `taken`, `known` or `refused`.
    pub state: String,
    /// Bytes of it that are durable here.
    pub have: u64,
    /// Its hash, when it was taken just now; 64 hexadecimal digits.
    pub hash: Option<String>,
    /// Why it was refused.
    pub why: Option<String>,
}

fn incoming(camera: &str, stream: &str, segment: &str, asked: &PieceQuery) -> ApiResult<Incoming> {
    let remedy = "Send what the centre's list of segments says.";
    let camera: CameraId = camera.parse().map_err(|e| ApiError::bad("camera", format!("The code {e}.")))?;
    let stream: StreamKind = stream.parse().map_err(|e: String| ApiError::bad("stream", e))?;
    let bad = |field: &str, what: &str| ApiError::bad(field, format!("It is no {what}.")).remedy(remedy);
    let name = segment.parse().map_err(|_| bad("segment", "name of a segment file"))?;
    let node: NodeId = asked.node.parse().map_err(|_| bad("node", "name of a node"))?;
    let mut key = [0; 32];
    hex::decode_to_slice(&asked.key, &mut key)
        .map_err(|_| bad("key", "public key of 64 hexadecimal digits"))?;
    Ok(Incoming { key: StreamKey { camera, stream }, name, bytes: asked.bytes, node, signer: KeyId(key) })
}

/// Takes one piece of a segment file that another node recorded in this one's place; an empty one asks how it stands. Only the
/// centre may. With the last piece the file is read to its last byte, and is footage here if it holds and that node signed it.
#[utoipa::path(put, path = "/api/v1/node/backfill/{camera}/{stream}/{segment}", tag = "nodes",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("camera" = String, Path, description = "National 20-digit code"),
        ("stream" = String, Path, description = "`main` or `sub`"),
        ("segment" = String, Path, description = "Name of the segment file"), PieceQuery), responses(
    (status = 200, body = PieceView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 503, body = Problem)))]
pub async fn backfill(
    State(app): State<Arc<App>>,
    PathOf((camera, stream, segment)): PathOf<(String, String, String)>,
    QueryOf(asked): QueryOf<PieceQuery>,
    piece: Bytes,
) -> ApiResult<axum::Json<PieceView>> {
    let incoming = incoming(&camera, &stream, &segment, &asked)?;
    if piece.len() > limits::BACKFILL_PIECE_BYTES {
        let most = limits::BACKFILL_PIECE_BYTES;
        return Err(
            ApiError::new(Refusal::TooLarge, format!("A piece has at most {most} bytes.")).field("body")
        );
    }
    let Some(stand_in) = app.stand_in.read().clone() else {
        return Err(ApiError::new(Refusal::Unavailable, "This node takes no footage in now."));
    };
    let (asked_for, now) = (incoming.clone(), app.clock.utc());
    let came =
        tokio::task::spawn_blocking(move || stand_in.take_in(now, &asked_for, asked.offset, &piece)).await;
    let came = came.map_err(|e| ApiError::internal("take footage in", &e))?;
    let came = came.map_err(|e| ApiError::internal("take footage in", &e))?;
    let bytes = incoming.bytes;
    let view = |state: &str, have| PieceView { state: state.to_owned(), have, hash: None, why: None };
    let (view, kind) = match came {
        Came::Part(have) => return Ok(axum::Json(view("part", have))),
        Came::Known => return Ok(axum::Json(view("known", bytes))),
        Came::Taken(hash) => {
            (PieceView { hash: Some(hex::encode(hash)), ..view("taken", bytes) }, kinds::BACKFILL_TAKEN)
        }
        Came::Refused(why) => (PieceView { why: Some(why), ..view("refused", 0) }, kinds::BACKFILL_REFUSED),
    };
    let row = json!({"camera": camera, "stream": stream, "segment": segment, "node": incoming.node,
        "key": incoming.signer.to_string(), "bytes": bytes, "hash": view.hash, "why": view.why});
    // The file itself is the truth of footage; a journal that fails is an alarm of its own.
    if let Err(error) = app.auth.register.append(kind, row).await {
        tracing::error!(%error, "cannot write to the journal what came of footage of another node");
    }
    Ok(axum::Json(view))
}
