//! Tokens of devices and other systems, for administrators.

use std::sync::Arc;

use axum::extract::State;
use fengsui_config::ids::{CameraId, NationalCode};
use fengsui_config::limits;
use fengsui_relay::event::{EventKind, Priority};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::Principal;
use crate::auth::register::{RegisterError, kinds};
use crate::auth::tokens::{Revoked, Scope, Token, TokenDraft, TokenRefused};
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem};

/// The end of a token.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedView {
    /// Who.
    by: String,
    /// When.
    at_us: i64,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// What it is known by.
    id: String,
    /// Its name.
    name: String,
    /// Who made it.
    by: String,
    /// When.
    at_us: i64,
    /// It may send events of every camera, and such that belong to none.
    everywhere: bool,
    /// Cameras whose events it may send.
    #[schema(value_type = Vec<String>)]
    cameras: Vec<CameraId>,
    /// Sites, stations and sub-centres whose cameras' events it may send.
    #[schema(value_type = Vec<String>)]
    places: Vec<NationalCode>,
    /// Kinds of events.
    #[schema(value_type = Vec<String>)]
    kinds: Vec<EventKind>,
    /// The highest priority.
    #[schema(value_type = String, example = "normal")]
    priority: Priority,
    /// It may read what happens to alarms and incidents.
    read_duty: bool,
    /// Events a minute.
    rate: u32,
    /// How it ended; absent while it is good.
    revoked: Option<RevokedView>,
}

impl From<&Token> for TokenView {
    fn from(token: &Token) -> Self {
        let (draft, scope) = (&token.draft, &token.draft.scope);
        Self {
            id: draft.id.clone(),
            name: draft.name.clone(),
            by: token.by.clone(),
            at_us: token.at_us.0,
            everywhere: scope.everywhere,
            cameras: scope.cameras.iter().copied().collect(),
            places: scope.places.iter().copied().collect(),
            kinds: scope.kinds.iter().copied().collect(),
            priority: scope.priority,
            read_duty: scope.read_duty,
            rate: draft.rate,
            revoked: token.revoked.as_ref().map(|r| RevokedView { by: r.by.clone(), at_us: r.at_us.0 }),
        }
    }
}

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// Newest first, revoked ones included.
    items: Vec<TokenView>,
}

/// A token that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// Its name; no other token has, or had, the same.
    name: String,
    /// Every camera, and events that belong to none.
    #[serde(default)]
    everywhere: bool,
    /// Cameras.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    cameras: Vec<CameraId>,
    /// Sites, stations or sub-centres.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    places: Vec<NationalCode>,
    /// `device.input`, `camera.picture_lost`.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    kinds: Vec<String>,
    /// The highest priority: `low`, `normal` (the usual) or `alarm`.
    #[serde(default)]
    #[schema(value_type = String)]
    priority: Priority,
    /// It may read what happens to alarms and incidents (`GET /api/v1/duty/stream`). With this alone it needs neither cameras
    /// nor kinds.
    #[serde(default)]
    read_duty: bool,
    /// Events a minute; 20000 when absent.
    rate: Option<u32>,
}

/// A new token.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    /// What it is.
    token: TokenView,
    /// The token itself, shown here and never again.
    secret: String,
}

/// Why a token was not made or ended.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not good.
    #[error(transparent)]
    Refused(#[from] TokenRefused),
    /// There is none with this id.
    #[error("There is no token {0}.")]
    Unknown(String),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(r) => Self::bad(r.field, r.what).remedy(r.remedy),
            TokenError::Unknown(id) => Self::not_found(format!("There is no token {id}.")),
            TokenError::Register(e) => Self::internal("write the token to the journal", &e),
        }
    }
}

/// Writes a token into the journal and takes it into use.
///
/// # Errors
/// When it is not good, or the journal does not take it: then there is none.
pub async fn create(
    app: &App,
    draft: TokenDraft,
    by: &str,
    address: Option<String>,
) -> Result<Token, TokenError> {
    draft.check(&app.topology())?;
    let _turn = app.auth.token_turn.lock().await;
    app.auth.tokens.read().room_for(&draft)?;
    let token = Token { draft, by: by.to_owned(), at_us: app.clock.utc(), revoked: None };
    app.auth.register.append(kinds::TOKEN_CREATED, created(&token, address.as_deref())).await?;
    app.auth.tokens.write().add(token.clone());
    tracing::info!(name = token.draft.name, by, "made a token");
    Ok(token)
}

/// The body of `token.created`.
#[must_use]
pub fn created(token: &Token, address: Option<&str>) -> serde_json::Value {
    let draft = &token.draft;
    json!({
        "id": draft.id, "name": draft.name, "by": token.by, "address": address, "at_us": token.at_us,
        "scope": draft.scope, "rate": draft.rate, "secret_hash": draft.secret_hash,
    })
}

/// Ends a token for good.
///
/// # Errors
/// When there is none, or the journal does not take it: then it is as it was.
pub async fn end(app: &App, id: &str, by: &str, address: Option<String>) -> Result<Token, TokenError> {
    let _turn = app.auth.token_turn.lock().await;
    let known = app.auth.tokens.read().get(id).cloned();
    let token = known.ok_or_else(|| TokenError::Unknown(id.to_owned()))?;
    if token.revoked.is_some() {
        return Ok(token);
    }
    let at_us = app.clock.utc();
    let row = json!({"id": id, "by": by, "address": address, "at_us": at_us});
    app.auth.register.append(kinds::TOKEN_REVOKED, row).await?;
    app.auth.tokens.write().end(id, Revoked { by: by.to_owned(), at_us });
    tracing::info!(name = token.draft.name, by, "revoked a token");
    let ended = app.auth.tokens.read().get(id).cloned();
    Ok(ended.unwrap_or(token))
}

/// Tokens with which devices and other systems send events; without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", responses(
    (status = 200, body = TokenList), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<TokenList> {
    let tokens = app.auth.tokens.read();
    axum::Json(TokenList { items: tokens.all().into_iter().map(TokenView::from).collect() })
}

/// Makes a token. The answer holds its secret, which is stored nowhere and never shown again.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenBody, responses(
    (status = 201, body = NewToken), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn make(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<TokenBody>,
) -> ApiResult<(StatusCode, axum::Json<NewToken>)> {
    let scope = Scope {
        everywhere: body.everywhere,
        cameras: body.cameras.into_iter().collect(),
        places: body.places.into_iter().collect(),
        kinds: body.kinds.iter().map(|word| kind(word)).collect::<ApiResult<_>>()?,
        priority: body.priority,
        read_duty: body.read_duty,
    };
    let rate = body.rate.unwrap_or(limits::TOKEN_RATE_DEFAULT);
    let made = TokenDraft::new(body.name, scope, rate);
    let (draft, secret) = made.map_err(|e| ApiError::internal("make a token", &e))?;
    let (by, address) = (principal.user().name.to_string(), principal.address().to_string());
    let token = create(&app, draft, &by, Some(address)).await?;
    Ok((StatusCode::CREATED, axum::Json(NewToken { token: TokenView::from(&token), secret })))
}

fn kind(word: &str) -> ApiResult<EventKind> {
    word.parse().map_err(|_| {
        let known = EventKind::FROM_OUTSIDE.map(EventKind::as_str).join(", ");
        ApiError::bad("kinds", format!("{word:?} is no kind of event.")).remedy(format!("Choose of {known}."))
    })
}

/// Revokes a token: from the answer on nothing is taken from it. Revoking it again changes nothing.
#[utoipa::path(post, path = "/api/v1/tokens/{token}/revoke", tag = "tokens",
    params(("token" = String, Path, description = "Id of the token")), responses(
    (status = 200, body = TokenView), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(token): PathOf<String>,
) -> ApiResult<axum::Json<TokenView>> {
    let address = principal.address().to_string();
    let ended = end(&app, &token, &principal.user().name, Some(address)).await?;
    Ok(axum::Json(TokenView::from(&ended)))
}
