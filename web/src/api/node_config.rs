//! Configurations of nodes: at a centre, in versions; at a node, what its centre sends.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse as _;
use fengsui_config::ids::NodeId;
use fengsui_config::{limits, write};
use fengsui_relay::central::{Draft, Entry, Fault, Offer, Outcome, SaveRefused, State as VersionState};
use http::HeaderMap;
use http::header::{ETAG, IF_MATCH};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::nodes::{centre, id, reason_text};
use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, ProblemLine, Refusal};
use crate::relay::centre::Centre;
use crate::relay::centre::configs::{self, Answer, Current, SaveError};

/// How a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigStateView {
    /// It waits for the node.
    Pending,
    /// The node works by it.
    InForce,
    /// The node did not take it and goes on with what it had.
    Refused,
    /// Somebody at the node went back to the node's own file.
    Released,
    /// The node worked by it; a later one took its place.
    Replaced,
    /// A later one was saved before the node heard of it.
    Skipped,
}

impl From<VersionState> for ConfigStateView {
    fn from(state: VersionState) -> Self {
        match state {
            VersionState::Pending => Self::Pending,
            VersionState::InForce => Self::InForce,
            VersionState::Refused => Self::Refused,
            VersionState::Released => Self::Released,
            VersionState::Replaced => Self::Replaced,
            VersionState::Skipped => Self::Skipped,
        }
    }
}

impl From<Fault> for ProblemLine {
    fn from(fault: Fault) -> Self {
        let Fault { line, key, value, problem, remedy } = fault;
        Self { line, field: key, value, detail: problem, remedy }
    }
}

/// A version without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Its number.
    version: u64,
    /// When it was saved.
    at_us: i64,
    /// By whom.
    by: String,
    /// Why.
    reason: String,
    /// SHA-256 of the text.
    hash: String,
    /// Bytes of the text.
    bytes: usize,
    /// How it stands.
    state: ConfigStateView,
    /// When the node said so.
    settled_us: Option<i64>,
    /// Why the node did not take it.
    lines: Vec<ProblemLine>,
}

impl VersionView {
    fn of(entry: &Entry, state: VersionState) -> Self {
        Self {
            version: entry.version,
            at_us: entry.at.0,
            by: entry.by.clone(),
            reason: entry.reason.clone(),
            hash: entry.hash.clone(),
            bytes: entry.bytes,
            state: state.into(),
            settled_us: entry.settled.map(|at| at.0),
            lines: entry.faults.iter().cloned().map(Into::into).collect(),
        }
    }
}

/// Configurations of a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeConfigView {
    /// The node.
    node: String,
    /// The newest version, for `If-Match`; 0: there is none yet.
    newest: u64,
    /// The version that the node works by, as far as is known here; none: its own file.
    in_force: Option<u64>,
    /// Text of the newest version; before the first, what the node has. None when the node cannot be asked.
    text: Option<String>,
    /// Why the node could not be asked, or why the newest version has not reached it.
    why: Option<String>,
    /// Bytes of a text at most.
    bytes_max: usize,
    /// Newest first.
    versions: Vec<VersionView>,
}

/// Text of a version, or of what a node has.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionTextView {
    /// The version; none: the node's own file.
    version: Option<u64>,
    /// Places and cameras as TOML.
    text: String,
}

/// A new version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveBody {
    /// Places and cameras as TOML: `[[sub_centre]]`, `[[station]]`, `[[site]]`, `[[camera]]`, without users and passwords.
    text: String,
    /// In a person's words.
    reason: String,
}

/// A version as a centre sends it to its node.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OfferBody {
    /// Its number.
    version: u64,
    /// SHA-256 of the text, 64 hexadecimal digits.
    hash: String,
    /// Places and cameras as TOML.
    text: String,
    /// Who saved it.
    by: String,
}

/// What a node made of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferView {
    /// `in_force`, `refused` or `released`.
    #[schema(value_type = String, example = "in_force")]
    outcome: Outcome,
    /// Why it was not taken.
    #[schema(value_type = Vec<Object>)]
    faults: Vec<Fault>,
}

/// What a node has.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentView {
    /// The centre's version in force; none: the node's own file.
    in_force: Option<u64>,
    /// Places and cameras as TOML, without users and passwords.
    text: String,
}

fn known(centre: &Centre, text: &str) -> ApiResult<NodeId> {
    let node = id(text)?;
    if centre.roll.nodes().get(&node).is_none() {
        return Err(ApiError::not_found(format!("{node} is no enrolled node."))
            .field("id")
            .remedy("Look at the list of nodes."));
    }
    Ok(node)
}

/// Places and cameras of a node in all their versions. Before the first one the text is what the node has now.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/config", tag = "nodes",
    params(("id" = String, Path, description = "Name of the node")), responses(
    (status = 200, body = NodeConfigView), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(node): PathOf<String>,
) -> ApiResult<axum::response::Response> {
    let centre = centre(&app)?;
    let node = known(&centre, &node)?;
    let word = centre.config_word(&node);
    let (newest, versions, text, told) = centre.configs.read(|all| {
        let views = all.of(&node).iter().rev().map(|e| VersionView::of(e, all.state(&node, e))).collect();
        (all.newest(&node).map_or(0, |e| e.version), views, all.offer(&node), all.in_force(&node))
    });
    let (mut text, mut why) = (text.map(|offer| offer.text), centre.configs.why(&node));
    if text.is_none() {
        match configs::current(&*centre, &node, principal.on_behalf()).await {
            Ok(current) => text = Some(current.text),
            Err(reason) => why = Some(reason),
        }
    }
    // What the node answered is newer than what it says now and then, unless the centre lost what it once knew.
    let in_force = match word {
        Some(word) if word.newest() > newest => word.in_force,
        _ => told,
    };
    let bytes_max = limits::RELAY_CONFIG_BYTES_MAX;
    let view = NodeConfigView { node: node.to_string(), newest, in_force, text, why, bytes_max, versions };
    Ok(([(ETAG, format!("\"{newest}\""))], axum::Json(view)).into_response())
}

/// Text of one version, or, with `node` in place of a number, what the node has now.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/config/{version}", tag = "nodes",
    params(("id" = String, Path, description = "Name of the node"),
        ("version" = String, Path, description = "Number of the version, or `node`")), responses(
    (status = 200, body = VersionTextView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 503, body = Problem)))]
pub async fn version(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, version)): PathOf<(String, String)>,
) -> ApiResult<axum::Json<VersionTextView>> {
    let centre = centre(&app)?;
    let node = known(&centre, &node)?;
    if version == "node" {
        let asked = configs::current(&*centre, &node, principal.on_behalf()).await;
        let current = asked.map_err(|why| {
            ApiError::new(Refusal::Unavailable, format!("{node} cannot be asked: {why}."))
                .remedy("Wait until the node is here, or take one of the versions.")
        })?;
        return Ok(axum::Json(VersionTextView { version: current.in_force, text: current.text }));
    }
    let number: u64 = version.parse().map_err(|_| {
        ApiError::bad("version", format!("{version:?} is no version.")).remedy("Write a number, or node.")
    })?;
    let text = centre.config_text(&app, &node, number).await;
    match text.map_err(|error| ApiError::internal("read the journal", &error))? {
        Some(text) => Ok(axum::Json(VersionTextView { version: Some(number), text })),
        None => Err(ApiError::not_found(format!("{node} has no version {number}."))
            .field("version")
            .remedy("Look at the list of its versions.")),
    }
}

/// The version that somebody began to write from.
fn base(headers: &HeaderMap) -> ApiResult<u64> {
    let text = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.trim().trim_matches('"').parse().map_err(|_| {
        ApiError::bad(
            "If-Match",
            "The header If-Match does not name the version that this one was begun from.",
        )
        .remedy("Send If-Match with `newest` of what was read, \"0\" before the first version.")
    })
}

impl From<SaveError> for ApiError {
    fn from(error: SaveError) -> Self {
        let text = format!("{error}.");
        match error {
            SaveError::Register(e) => Self::internal("write the version to the journal", &e),
            SaveError::Node(refused) => {
                crate::relay::centre::register::NodeOrderError::Refused(refused).into()
            }
            SaveError::Text(faults) => {
                let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
                Self::bad("text", told.join("\n"))
                    .remedy("Put the lines right and save again; nothing was changed.")
                    .lines(faults.into_iter().map(Into::into).collect())
            }
            SaveError::Versions(refused @ SaveRefused::Behind { .. }) => {
                Self::new(Refusal::Conflict, format!("{refused}."))
                    .field("If-Match")
                    .remedy("Look at that version, and write what you want into it.")
            }
            SaveError::Versions(SaveRefused::Same(_)) => {
                Self::new(Refusal::Conflict, text).field("text").remedy("Change something, or leave it.")
            }
            SaveError::Versions(SaveRefused::TooLarge { .. }) => Self::new(Refusal::TooLarge, text)
                .field("text")
                .remedy("Leave out notes, or spread the cameras over several nodes."),
            SaveError::Versions(SaveRefused::TooMany) => Self::new(Refusal::Conflict, text)
                .field("id")
                .remedy("Edit the node's own file, after fengsui node config release."),
        }
    }
}

/// Saves a version. It goes to the node as soon as that can be reached, and stays in force there when the link is down.
///
/// Two who edit at once do not overwrite each other: `If-Match` names the version that this one was begun from, and when
/// somebody else saved one meanwhile the answer is 409 and says who.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/config", tag = "nodes", request_body = SaveBody,
    params(("id" = String, Path, description = "Name of the node"),
        ("If-Match" = String, Header, description = "The version that this one was begun from; 0 before the first")),
    responses((status = 200, body = VersionView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 413, body = Problem)))]
pub async fn save(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(node): PathOf<String>,
    headers: HeaderMap,
    JsonOf(body): JsonOf<SaveBody>,
) -> ApiResult<axum::Json<VersionView>> {
    let centre = centre(&app)?;
    let node = known(&centre, &node)?;
    let (base, reason) = (base(&headers)?, reason_text(&body.reason)?);
    let by = principal.user().name.to_string();
    let entry = centre.save_config(&app, &node, Draft { base, text: body.text, by, reason }).await?;
    let state = centre.configs.read(|all| all.state(&node, &entry));
    Ok(axum::Json(VersionView::of(&entry, state)))
}

/// What this node goes by, for its centre.
#[utoipa::path(get, path = "/api/v1/node/config", tag = "nodes", responses(
    (status = 200, body = CurrentView), (status = 403, body = Problem)))]
pub async fn current(State(app): State<Arc<App>>) -> axum::Json<CurrentView> {
    let Current { in_force, text } = now(&app);
    axum::Json(CurrentView { in_force, text })
}

fn now(app: &App) -> Current {
    let in_force = app.central.read().as_ref().and_then(|central| central.in_force());
    match in_force {
        Some(now) => Current { in_force: Some(now.received.version), text: now.received.text },
        None => Current { in_force: None, text: write::central(&app.topology()) },
    }
}

/// Takes a version of this node's centre into use, or says why not and changes nothing. The same version again changes
/// nothing either.
#[utoipa::path(put, path = "/api/v1/node/config", tag = "nodes", request_body = OfferBody, responses(
    (status = 200, body = OfferView), (status = 400, body = Problem), (status = 403, body = Problem),
    (status = 500, body = Problem)))]
pub async fn offer(
    State(app): State<Arc<App>>,
    JsonOf(body): JsonOf<OfferBody>,
) -> ApiResult<axum::Json<OfferView>> {
    use crate::central::OfferError;
    let OfferBody { version, hash, text, by } = body;
    let Some(reload) = app.reload.read().clone() else {
        return Err(ApiError::new(Refusal::Unavailable, "This node has no configuration file."));
    };
    let taken = reload.offer(Offer { version, hash, text, by }).await;
    let Answer { outcome, faults } = match taken {
        Ok(()) => Answer { outcome: Outcome::InForce, faults: Vec::new() },
        // What is no matter of this version may be otherwise a moment later.
        Err(OfferError::Register(e)) => {
            return Err(ApiError::internal("write the version to the journal", &e));
        }
        Err(OfferError::Defect(e)) => return Err(ApiError::internal("read the configuration", &e)),
        Err(error @ OfferError::Standing(fengsui_relay::central::OfferRefused::Released(_))) => {
            Answer { outcome: Outcome::Released, faults: error.faults() }
        }
        Err(error) => Answer { outcome: Outcome::Refused, faults: error.faults() },
    };
    Ok(axum::Json(OfferView { outcome, faults }))
}
