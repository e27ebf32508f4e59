//! Log in, log out, and the first administrator.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use fengsui_config::limits;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::{Principal, Via};
use crate::auth::accounts::{Account, Role, check_name};
use crate::auth::password;
use crate::auth::register::kinds;
use crate::auth::sessions::User;
use crate::http::accept::Peer;
use crate::http::policy::{cookie_name, session_id};
use crate::http::problem::{ApiError, ApiResult, JsonOf, Problem, Refusal};

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    /// Log-in name.
    pub name: String,
    /// Roles.
    pub roles: Vec<Role>,
}

/// The session of the asker.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Who it is.
    pub user: UserView,
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
pub struct LoginBody {
    name: String,
    #[schema(format = "password")]
    password: String,
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
pub struct SetupBody {
    /// The token that the node printed on its console.
    token: String,
    name: String,
    #[schema(format = "password")]
    password: String,
}

fn view(user: &User) -> SessionView {
    SessionView { user: UserView { name: user.name.to_string(), roles: user.roles.to_vec() } }
}

/// Who is logged in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses(
    (status = 200, body = SessionView), (status = 401, body = Problem)))]
pub async fn show(principal: Principal) -> axum::Json<SessionView> {
    axum::Json(view(principal.user()))
}

/// Logs in.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = LoginBody, responses(
    (status = 200, body = SessionView), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn login(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    JsonOf(body): JsonOf<LoginBody>,
) -> ApiResult<Response> {
    let address = peer.address.ip();
    attempt(&app, address)?;
    let account = app.auth.accounts.read().get(&body.name).cloned();
    let hash = account.as_ref().map(|a| a.password.clone());
    let right = app
        .auth
        .passwords
        .verify(body.password, hash)
        .await
        .map_err(|e| ApiError::internal("check the password", &e))?;
    let Some(account) = account.filter(|_| right) else {
        let row =
            json!({"name": clipped(&body.name), "address": address.to_string(), "why": "wrong_credentials"});
        if let Err(error) = app.auth.register.append(kinds::SESSION_REFUSED, row).await {
            tracing::error!(%error, "cannot write a refused log-in to the journal");
        }
        return Err(ApiError::new(Refusal::WrongCredentials, "Name or password is wrong."));
    };
    app.auth.limiter.forgive(address);
    if let Some((old, _)) = session_id(&headers, peer.tls).and_then(|id| app.auth.sessions.find(id)) {
        app.auth.sessions.close(&old);
    }
    let user = User { name: account.name.as_str().into(), roles: account.roles.into() };
    opened(&app, &peer, user, StatusCode::OK).await
}

/// Makes the first administrator and logs them in.
#[utoipa::path(post, path = "/api/v1/setup", tag = "session", request_body = SetupBody, responses(
    (status = 201, body = SessionView), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 429, body = Problem)))]
pub async fn setup(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    JsonOf(body): JsonOf<SetupBody>,
) -> ApiResult<Response> {
    attempt(&app, peer.address.ip())?;
    if !app.auth.setup.accepts(&body.token) {
        return Err(ApiError::new(
            Refusal::WrongToken,
            "The set-up token is not the one on the node's console.",
        )
        .field("token")
        .remedy("Copy the line SETUP TOKEN that `fengsui run` printed; every start prints a new one."));
    }
    app.auth.limiter.forgive(peer.address.ip());
    check_name(&body.name).map_err(|why| ApiError::bad("name", why))?;
    password::check(&body.name, &body.password).map_err(|why| ApiError::bad("password", why))?;
    let _turn = app.auth.setup.turn.lock().await;
    if app.auth.accounts.read().has_administrator() {
        return Err(ApiError::new(Refusal::SetupDone, "This node has an administrator; log in instead."));
    }
    let hash = app
        .auth
        .passwords
        .hash(body.password)
        .await
        .map_err(|e| ApiError::internal("hash the password", &e))?;
    let account = Account { name: body.name.clone(), roles: vec![Role::Administrator], password: hash };
    let row = json!({"name": account.name, "roles": account.roles, "password": account.password});
    let written = app.auth.register.append(kinds::ACCOUNT_CREATED, row).await;
    written.map_err(|e| ApiError::internal("write the account to the journal", &e))?;
    app.auth.accounts.write().add(account);
    tracing::info!(name = body.name, "made the first administrator");
    let user = User { name: body.name.as_str().into(), roles: [Role::Administrator].into() };
    opened(&app, &peer, user, StatusCode::CREATED).await
}

/// Logs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses(
    (status = 204), (status = 401, body = Problem)))]
pub async fn logout(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    principal: Principal,
) -> ApiResult<Response> {
    if let Via::Session(key) = principal.via() {
        app.auth.sessions.close(&key);
    }
    let row = json!({"by": principal.user().name.as_ref(), "address": principal.address().to_string()});
    let written = app.auth.register.append(kinds::SESSION_CLOSED, row).await;
    written.map_err(|e| ApiError::internal("write the log-out to the journal", &e))?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, "", 0, peer.tls);
    Ok(response)
}

fn attempt(app: &App, address: IpAddr) -> ApiResult<()> {
    app.auth.limiter.attempt(address).map_err(|wait| {
        ApiError::new(Refusal::TooManyAttempts, "Too many failed attempts from this address.")
            .retry_after(wait)
            .remedy(format!("Wait {} seconds.", wait.as_secs().max(1)))
    })
}

/// Writes the log-in down, opens the session, and answers with its cookie.
async fn opened(app: &App, peer: &Peer, user: User, status: StatusCode) -> ApiResult<Response> {
    let row = json!({"by": user.name.as_ref(), "address": peer.address.ip().to_string()});
    let written = app.auth.register.append(kinds::SESSION_OPENED, row).await;
    written.map_err(|e| ApiError::internal("write the log-in to the journal", &e))?;
    let mut response = (status, axum::Json(view(&user))).into_response();
    let id = app.auth.sessions.open(user).map_err(|e| ApiError::internal("open a session", &e))?;
    set_cookie(&mut response, &id, limits::SESSION_IDLE_MAX.as_secs() * 2, peer.tls);
    Ok(response)
}

fn set_cookie(response: &mut Response, value: &str, age_s: u64, tls: bool) {
    let secure = if tls { "; Secure" } else { "" };
    let text =
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}", cookie_name(tls));
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// A name as typed by a stranger, short enough for the journal.
fn clipped(name: &str) -> String {
    name.chars().take(64).collect()
}
