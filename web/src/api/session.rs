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
use crate::auth::rights::Right;
use crate::auth::sessions::{NewSession, SessionKey, User};
use crate::http::accept::Peer;
use crate::http::cookies;
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
    /// What the roles allow.
    pub rights: Vec<Right>,
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
    let (name, roles) = (user.name.to_string(), user.roles.to_vec());
    SessionView { rights: Right::of(&roles), user: UserView { name, roles } }
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
    let disabled = right && account.as_ref().is_some_and(|a| a.disabled);
    let Some(account) = account.filter(|a| right && !a.disabled) else {
        // The answer is the same: whether an account is there is nobody's business who cannot use it.
        let why = if disabled { "disabled" } else { "wrong_credentials" };
        refused(&app, &body.name, &peer, why).await;
        return Err(ApiError::new(Refusal::WrongCredentials, "Name or password is wrong."));
    };
    app.auth.limiter.forgive(address);
    let old = cookies::value(&headers, &cookies::of_session(&peer)).and_then(|id| app.auth.sessions.find(id));
    let old = old.map(|(key, _)| key);
    if let Some(old) = old {
        app.auth.sessions.close(&old);
    }
    opened(&app, &peer, (&account, old), StatusCode::OK).await
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
    let turn = app.auth.account_turn.lock().await;
    if app.auth.accounts.read().has_administrator() {
        return Err(ApiError::new(Refusal::SetupDone, "This node has an administrator; log in instead."));
    }
    let hash = app
        .auth
        .passwords
        .hash(body.password)
        .await
        .map_err(|e| ApiError::internal("hash the password", &e))?;
    let row = json!({"name": body.name, "roles": [Role::Administrator], "password": hash});
    let written = app.auth.register.append(kinds::ACCOUNT_CREATED, row.clone()).await;
    written.map_err(|e| ApiError::internal("write the account to the journal", &e))?;
    let taken = app.auth.accounts.write().take(kinds::ACCOUNT_CREATED, &row, app.clock.utc());
    taken.map_err(|e| ApiError::internal("make the account", &e))?;
    drop(turn);
    tracing::info!(name = body.name, "made the first administrator");
    let account = app.auth.accounts.read().get(&body.name).cloned();
    let account = account.ok_or_else(|| ApiError::internal("find the account", &body.name))?;
    opened(&app, &peer, (&account, None), StatusCode::CREATED).await
}

/// Logs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses(
    (status = 204), (status = 401, body = Problem)))]
pub async fn logout(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    principal: Principal,
) -> ApiResult<Response> {
    let mut row = json!({"by": principal.user().name.as_ref(), "address": principal.address().to_string()});
    if let Via::Session(key) = principal.via() {
        app.auth.sessions.close(&key);
        key.write(&mut row, "session");
    }
    let written = app.auth.register.append(kinds::SESSION_CLOSED, row).await;
    written.map_err(|e| ApiError::internal("write the log-out to the journal", &e))?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, "", 0, &peer);
    Ok(response)
}

pub(super) fn attempt(app: &App, address: IpAddr) -> ApiResult<()> {
    app.auth.limiter.attempt(address).map_err(|wait| {
        ApiError::new(Refusal::TooManyAttempts, "Too many failed attempts from this address.")
            .retry_after(wait)
            .remedy(format!("Wait {} seconds.", wait.as_secs().max(1)))
    })
}

/// Writes the log-in down, opens the session, and answers with its cookie. `account` is what the password was checked for.
/// `old` is the session that it takes the place of.
async fn opened(
    app: &App,
    peer: &Peer,
    (account, old): (&Account, Option<SessionKey>),
    status: StatusCode,
) -> ApiResult<Response> {
    let user = User::of(account);
    let new = NewSession::new().map_err(|e| ApiError::internal("open a session", &e))?;
    let mut row = json!({"by": user.name.as_ref(), "address": peer.address.ip().to_string(), "session": new.key.hash()});
    if let Some(old) = old {
        old.write(&mut row, "replaces");
    }
    let written = app.auth.register.append(kinds::SESSION_OPENED, row).await;
    written.map_err(|e| ApiError::internal("write the log-in to the journal", &e))?;
    let mut response = (status, axum::Json(view(&user))).into_response();
    if !open(app, account, (new.key, user)) {
        refused(app, &account.name, peer, "changed_meanwhile").await;
        return Err(ApiError::new(Refusal::WrongCredentials, "Name or password is wrong."));
    }
    set_cookie(&mut response, &new.id, limits::SESSION_IDLE_MAX.as_secs() * 2, peer);
    Ok(response)
}

/// Opens a session while `account` is as it was when the password was checked; not when it was changed meanwhile. Whoever
/// changes it from here on waits for the lock, and then ends the session.
fn open(app: &App, account: &Account, (key, user): (SessionKey, User)) -> bool {
    let accounts = app.auth.accounts.read();
    let is_same = accounts.get(&account.name) == Some(account);
    if is_same {
        app.auth.sessions.open(key, user);
    }
    is_same
}

/// Writes a refused log-in down. When that fails it is refused all the same.
async fn refused(app: &App, name: &str, peer: &Peer, why: &str) {
    let row = json!({"name": clipped(name), "address": peer.address.ip().to_string(), "why": why});
    if let Err(error) = app.auth.register.append(kinds::SESSION_REFUSED, row).await {
        tracing::error!(%error, "cannot write a refused log-in to the journal");
    }
}

fn set_cookie(response: &mut Response, value: &str, age_s: u64, peer: &Peer) {
    let secure = if peer.tls { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}",
        cookies::of_session(peer)
    );
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// A name as typed by a stranger, short enough for the journal.
fn clipped(name: &str) -> String {
    name.chars().take(64).collect()
}
