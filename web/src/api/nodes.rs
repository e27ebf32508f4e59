//! Nodes and links: who is below this centre, orders about them, and enrolment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::identity::registry::Share;
use fengsui_relay::identity::{EnrolAnswer, EnrolRefusal, EnrolRequest, NodeRefusal};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::session::attempt;
use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::register::kinds;
use crate::http::accept::Peer;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, Refusal};
use crate::relay::centre::Centre;
use crate::relay::centre::register::{EnrolError, NodeOrder, NodeOrderError};
use crate::relay::view::{self, NodesView};

/// The life of a token in hours, when nothing is said.
pub const HOURS_DEFAULT: u64 = 24;

/// A node that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteBody {
    /// Its name: 1 to 32 of a-z, 0-9 and '-'.
    id: String,
    /// The cameras that it may speak of.
    #[serde(default)]
    cameras: Vec<String>,
    /// Cameras of other nodes that it records in their place while they are gone.
    #[serde(default)]
    standby: Vec<String>,
    /// How long its token is good; 24 when absent.
    hours: Option<u64>,
}

/// A token for a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitedView {
    /// The node.
    id: String,
    /// The token, shown here and never again.
    token: String,
    /// Its end.
    expires_us: i64,
}

/// The cameras of a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CamerasBody {
    /// All that are its own.
    cameras: Vec<String>,
    /// All of other nodes that it records in their place while they are gone; as they are when absent.
    standby: Option<Vec<String>>,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// In a person's words.
    reason: String,
}

/// A node's request to be enrolled, as `fengsui node enrol` sends it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EnrolBody {
    /// The token.
    token: String,
    /// The node's public key, 64 hexadecimal digits.
    key: String,
    /// Signature with that key over node and token, 128 hexadecimal digits.
    proof: String,
}

/// What an enrolled node needs to reach its centre.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnrolledView {
    /// The node's name.
    node: String,
    /// Certificate of the centre's authority, PEM: the only one that the node is to believe.
    authority: String,
    /// Addresses of the centre's message servers.
    servers: Vec<String>,
}

impl From<EnrolAnswer> for EnrolledView {
    fn from(answer: EnrolAnswer) -> Self {
        Self { node: answer.node.to_string(), authority: answer.authority, servers: answer.servers }
    }
}

pub(super) fn centre(app: &App) -> ApiResult<Arc<Centre>> {
    let relay = app.relay.read().clone();
    relay.and_then(|r| r.centre.clone()).ok_or_else(|| {
        ApiError::new(Refusal::Conflict, "This node is no centre.").remedy(
            "Write listen under [relay] in its configuration and start it again, or ask at the centre.",
        )
    })
}

pub(super) fn id(text: &str) -> ApiResult<NodeId> {
    text.parse().map_err(|_| {
        ApiError::bad("id", format!("{text:?} is no name of a node."))
            .remedy("Write 1 to 32 of a-z, 0-9 and '-', beginning with a letter or digit.")
    })
}

fn cameras(field: &'static str, codes: &[String]) -> ApiResult<BTreeSet<CameraId>> {
    let read = |code: &String| {
        code.parse::<CameraId>().map_err(|why| {
            ApiError::bad(field, format!("The code {code:?} {why}."))
                .remedy("Write national codes of 20 digits.")
        })
    };
    codes.iter().map(read).collect()
}

impl From<NodeOrderError> for ApiError {
    fn from(error: NodeOrderError) -> Self {
        let text = format!("{error}.");
        match error {
            NodeOrderError::Register(e) => Self::internal("write the order to the journal", &e),
            NodeOrderError::Random(e) => Self::internal("make a token", &e),
            NodeOrderError::NoHttps => Self::new(
                Refusal::Conflict,
                "This centre has no HTTPS address to which a node could bring its token.",
            )
            .field("id")
            .remedy("Write tls_listen under [web] and start the centre again."),
            NodeOrderError::Below(..) => Self::new(Refusal::Conflict, text)
                .field("id")
                .remedy("Choose a name that does not begin with another node's name and a dash."),
            NodeOrderError::Refused(refused) => match refused {
                NodeRefusal::Unknown(_) => {
                    Self::not_found(text).field("id").remedy("Look at the list of nodes.")
                }
                NodeRefusal::Own(_) => Self::bad("id", text).remedy("Write the name of another node."),
                NodeRefusal::Retired(_) => {
                    Self::new(Refusal::Conflict, text).field("id").remedy("Make a new token for it.")
                }
                NodeRefusal::TooMany => {
                    Self::new(Refusal::Conflict, text).field("id").remedy("Retire nodes that are gone.")
                }
                NodeRefusal::OwnStandby(_) => {
                    Self::bad("standby", text).remedy("Name it under cameras, or at the node that stands by.")
                }
                NodeRefusal::TooManyCameras => Self::bad("cameras", text).remedy("Give it fewer cameras."),
                NodeRefusal::Time => Self::bad("hours", text).remedy("Write 1 to 720 hours."),
            },
        }
    }
}

/// What this node is to others, its links, and the nodes below it.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", responses(
    (status = 200, body = NodesView), (status = 401, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<NodesView> {
    axum::Json(view::view(&app))
}

/// Makes a one-time token for a node. An open one of the same node ends; a node that is enrolled stays so until it brings the
/// new one.
#[utoipa::path(post, path = "/api/v1/nodes", tag = "nodes", request_body = InviteBody, responses(
    (status = 201, body = InvitedView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
pub async fn invite(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<InviteBody>,
) -> ApiResult<(StatusCode, axum::Json<InvitedView>)> {
    let (centre, node) = (centre(&app)?, id(&body.id)?);
    let share =
        Share { cameras: cameras("cameras", &body.cameras)?, standby: cameras("standby", &body.standby)? };
    // Counted like log-ins: each is a record for ever, and a way in.
    attempt(&app, principal.address())?;
    let hours = body.hours.unwrap_or(HOURS_DEFAULT);
    let lifetime = Duration::from_secs(hours.saturating_mul(3600));
    let made = centre.invite(&app, &node, share, lifetime, &principal.user().name).await?;
    let view =
        InvitedView { id: made.node.to_string(), token: made.token.to_string(), expires_us: made.expires_us };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

async fn order(app: &App, principal: &Principal, node: &str, order: NodeOrder) -> ApiResult<StatusCode> {
    let (centre, node) = (centre(app)?, id(node)?);
    centre.order(app, &node, &order, &principal.user().name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says which cameras a node may speak of; what it says of others is not taken in.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/cameras", tag = "nodes", request_body = CamerasBody,
    params(("id" = String, Path, description = "Name of the node")), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn assign(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(node): PathOf<String>,
    JsonOf(body): JsonOf<CamerasBody>,
) -> ApiResult<StatusCode> {
    let standby = body.standby.as_deref().map(|codes| cameras("standby", codes)).transpose()?;
    let cameras = cameras("cameras", &body.cameras)?;
    order(&app, &principal, &node, NodeOrder::Assign { cameras, standby }).await
}

/// A reason within its bounds.
pub(super) fn reason_text(text: &str) -> ApiResult<String> {
    let (text, most) = (text.trim().to_owned(), limits::HOLD_REASON_CHARS_MAX);
    if text.is_empty() || text.chars().count() > most {
        return Err(ApiError::bad("reason", format!("A reason has 1 to {most} characters."))
            .remedy("Write why, for those who read the journal."));
    }
    Ok(text)
}

/// A node works on and is to get nothing new.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/drain", tag = "nodes", request_body = ReasonBody,
    params(("id" = String, Path, description = "Name of the node")), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn drain(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(node): PathOf<String>,
    JsonOf(body): JsonOf<ReasonBody>,
) -> ApiResult<StatusCode> {
    let reason = reason_text(&body.reason)?;
    order(&app, &principal, &node, NodeOrder::Drain { reason }).await
}

/// A node is one no more: no server lets it in, and a connection that it has is cut. Its events and footage stay.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/retire", tag = "nodes", request_body = ReasonBody,
    params(("id" = String, Path, description = "Name of the node")), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn retire(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(node): PathOf<String>,
    JsonOf(body): JsonOf<ReasonBody>,
) -> ApiResult<StatusCode> {
    let reason = reason_text(&body.reason)?;
    order(&app, &principal, &node, NodeOrder::Retire { reason }).await
}

/// Enrols the node that brings a token, once. Counted like log-ins: an address has few attempts a minute.
#[utoipa::path(post, path = "/api/v1/nodes/enrolment", tag = "nodes", request_body = EnrolBody, responses(
    (status = 200, body = EnrolledView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 429, body = Problem)))]
pub async fn enrol(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    JsonOf(body): JsonOf<EnrolBody>,
) -> ApiResult<axum::Json<EnrolledView>> {
    let address = peer.address.ip();
    attempt(&app, address)?;
    let centre = centre(&app)?;
    let whole = json!({"token": body.token, "key": body.key, "proof": body.proof});
    let request: EnrolRequest = serde_json::from_value(whole).map_err(|_| {
        ApiError::bad("key", "The key is no public key of 64 hexadecimal digits.")
            .remedy("Send what `fengsui node enrol` sends.")
    })?;
    let refused = match centre.enrol(&app, &request, address).await {
        Ok(answer) => {
            app.auth.limiter.forgive(address);
            return Ok(axum::Json(answer.into()));
        }
        Err(EnrolError::Register(e)) => {
            return Err(ApiError::internal("write the enrolment to the journal", &e));
        }
        Err(EnrolError::Refused(refused)) => refused,
    };
    let row = json!({"address": address.to_string(), "why": refused.to_string()});
    if let Err(error) = app.auth.register.append(kinds::NODE_ENROL_REFUSED, row).await {
        tracing::error!(%error, "cannot write a refused enrolment to the journal");
    }
    let told = refused.told();
    Err(match refused {
        EnrolRefusal::Unknown | EnrolRefusal::Expired => ApiError::new(Refusal::TokenRefused, told)
            .field("token")
            .remedy("Make a new one at the centre: fengsui node invite, or its page of nodes."),
        EnrolRefusal::Proof => ApiError::new(Refusal::Forbidden, told)
            .field("proof")
            .remedy("Enrol with `fengsui node enrol` at the node."),
        EnrolRefusal::KeyTaken => ApiError::new(Refusal::Conflict, told)
            .field("key")
            .remedy("Remove node.key from the copy and start it again."),
    })
}
