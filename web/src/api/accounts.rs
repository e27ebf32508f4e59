//! Accounts, for administrators; their names and roles, for everybody who chooses whom to hand something to; and one's own
//! password.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::{Principal, Via};
use crate::auth::accounts::{Account, AccountOrder, AccountRefused, Orderer, Role};
use crate::auth::password;
use crate::auth::register::{RegisterError, kinds};
use crate::auth::sessions::SessionKey;
use crate::http::problem::{ApiError, ApiResult, JsonOf, PathOf, Problem, Refusal};

/// An account, without its password.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    /// Log-in name.
    name: String,
    /// Roles.
    roles: Vec<Role>,
    /// Nobody logs in with it.
    disabled: bool,
    /// Who made it; absent for the first administrator.
    by: Option<String>,
    /// When it was made.
    at_us: Option<i64>,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            roles: account.roles.clone(),
            disabled: account.disabled,
            by: account.by.clone(),
            at_us: account.at_us.map(|at| at.0),
        }
    }
}

/// All accounts.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountList {
    /// By name, disabled ones included.
    items: Vec<AccountView>,
}

/// Somebody who can be chosen.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonView {
    /// Log-in name.
    name: String,
    /// Roles.
    roles: Vec<Role>,
}

/// Everybody who can be chosen.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonList {
    /// By name; without those whose account is disabled.
    items: Vec<PersonView>,
}

/// An account that is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountBody {
    /// Log-in name, 1 to 64 characters; no other account has the same, in whatever letter case.
    name: String,
    /// At least one of `administrator`, `supervisor`, `operator`.
    #[schema(value_type = Vec<Role>)]
    roles: Vec<String>,
    /// 12 to 128 characters.
    #[schema(format = "password")]
    password: String,
}

/// What is to be different.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountPatch {
    /// The roles and no others; as they are when absent.
    #[schema(value_type = Option<Vec<Role>>)]
    roles: Option<Vec<String>>,
    /// Whether nobody logs in with it; as it is when absent.
    disabled: Option<bool>,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// 12 to 128 characters.
    #[schema(format = "password")]
    password: String,
}

/// Another password of one's own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPasswordBody {
    /// The one until now.
    #[schema(format = "password")]
    old: String,
    /// 12 to 128 characters.
    #[schema(format = "password")]
    password: String,
}

/// Why nothing became of an order about an account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] AccountRefused),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A record of ours is not what we write.
    #[error("the record does not fit: {0}")]
    Defect(#[from] serde_json::Error),
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Refused(refused) => refusal(&refused),
            AccountError::Register(e) => Self::internal("write the account to the journal", &e),
            AccountError::Defect(e) => Self::internal("change the account", &e),
        }
    }
}

fn refusal(refused: &AccountRefused) -> ApiError {
    let class = match refused {
        AccountRefused::Unknown(_) => Refusal::NotFound,
        AccountRefused::Exists(_) | AccountRefused::LastAdministrator(_) | AccountRefused::TooMany => {
            Refusal::Conflict
        }
        AccountRefused::Name(_) | AccountRefused::NoRole | AccountRefused::RoleTwice(_) => {
            Refusal::BadRequest
        }
    };
    let error = ApiError::new(class, refused.to_string()).remedy(refused.remedy());
    match refused.field() {
        Some(field) => error.field(field),
        None => error,
    }
}

/// Writes an order about an account into the journal and carries it out. Other roles, another password, or none any more
/// end the sessions of its holder at once; `keep` is the one that sets its own password.
///
/// # Errors
/// When it cannot be, or the journal does not take it: then everything is as it was.
pub async fn carry_out(
    app: &App,
    name: &str,
    order: &AccountOrder,
    (by, address): (&str, Option<String>),
    keep: Option<SessionKey>,
) -> Result<(), AccountError> {
    let _turn = app.auth.account_turn.lock().await;
    let (address, at) = (address.as_deref(), app.clock.utc());
    let decided = app.auth.accounts.read().decide(name, order, Orderer { by, address, at })?;
    let Some(mut written) = decided else { return Ok(()) };
    if let Some(keep) = keep {
        keep.write(&mut written.body, "session");
    }
    app.auth.register.append(written.kind, written.body.clone()).await?;
    app.auth.accounts.write().take(written.kind, &written.body, at)?;
    let ends = !matches!(order, AccountOrder::Create { .. } | AccountOrder::Enable);
    let ended = if ends { app.auth.sessions.close_all_of(name, keep) } else { 0 };
    if ended > 0 {
        app.events.look_again();
    }
    tracing::info!(name, by, kind = written.kind, sessions_ended = ended, "changed an account");
    Ok(())
}

fn known(app: &App, name: &str) -> ApiResult<AccountView> {
    let accounts = app.auth.accounts.read();
    let account = accounts.get(name).ok_or_else(|| refusal(&AccountRefused::Unknown(name.to_owned())))?;
    Ok(AccountView::from(account))
}

fn roles(words: &[String]) -> ApiResult<Vec<Role>> {
    let role = |word: &String| {
        Role::named(word).ok_or_else(|| {
            let all = Role::ALL.map(Role::as_str).join(", ");
            ApiError::bad("roles", format!("{word:?} is no role.")).remedy(format!("Choose of {all}."))
        })
    };
    words.iter().map(role).collect()
}

fn good_password(name: &str, password: &str) -> ApiResult<()> {
    password::check(name, password)
        .map_err(|why| ApiError::bad("password", why).remedy("Choose another password."))
}

async fn hashed(app: &App, password: String) -> ApiResult<String> {
    let hash = app.auth.passwords.hash(password).await;
    hash.map_err(|e| ApiError::internal("hash the password", &e))
}

fn orderer(principal: &Principal) -> (&str, Option<String>) {
    (&principal.user().name, Some(principal.address().to_string()))
}

/// Every account, disabled ones included.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", responses(
    (status = 200, body = AccountList), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> axum::Json<AccountList> {
    axum::Json(AccountList { items: app.auth.accounts.read().all().map(AccountView::from).collect() })
}

/// Makes an account.
#[utoipa::path(post, path = "/api/v1/accounts", tag = "accounts", request_body = AccountBody, responses(
    (status = 201, body = AccountView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem)))]
pub async fn make(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<AccountBody>,
) -> ApiResult<(StatusCode, axum::Json<AccountView>)> {
    let roles = roles(&body.roles)?;
    // Before the hash, which takes its time, and once more when it is this one's turn.
    app.auth.accounts.read().room_for(&body.name, &roles).map_err(|e| refusal(&e))?;
    good_password(&body.name, &body.password)?;
    let password = hashed(&app, body.password).await?;
    let order = AccountOrder::Create { roles, password };
    carry_out(&app, &body.name, &order, orderer(&principal), None).await?;
    Ok((StatusCode::CREATED, axum::Json(known(&app, &body.name)?)))
}

/// Gives an account other roles, disables or enables it; its holder's sessions end at once. The last administrator who can
/// log in stays one. Of two changes the roles come first; when the journal fails between them, the first stands.
#[utoipa::path(patch, path = "/api/v1/accounts/{name}", tag = "accounts", request_body = AccountPatch,
    params(("name" = String, Path, description = "Log-in name")), responses(
    (status = 200, body = AccountView), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn change(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(name): PathOf<String>,
    JsonOf(body): JsonOf<AccountPatch>,
) -> ApiResult<axum::Json<AccountView>> {
    let mut orders = Vec::new();
    if let Some(words) = &body.roles {
        orders.push(AccountOrder::SetRoles(roles(words)?));
    }
    orders.extend(body.disabled.map(|off| if off { AccountOrder::Disable } else { AccountOrder::Enable }));
    fits(&app, &name, &orders, &principal)?;
    for order in &orders {
        carry_out(&app, &name, order, orderer(&principal), None).await?;
    }
    Ok(axum::Json(known(&app, &name)?))
}

/// Tries the orders on a copy, so that the second is not refused after the first was carried out.
fn fits(app: &App, name: &str, orders: &[AccountOrder], principal: &Principal) -> ApiResult<()> {
    let mut accounts = app.auth.accounts.read().clone();
    let (by, at) = (principal.user().name.as_ref(), app.clock.utc());
    for order in orders {
        let decided = accounts.decide(name, order, Orderer { by, address: None, at });
        if let Some(written) = decided.map_err(|e| refusal(&e))? {
            accounts.take(written.kind, &written.body, at).map_err(AccountError::Defect)?;
        }
    }
    Ok(())
}

/// Sets the password of another person, whose sessions end at once. One's own is set under `/session/password`.
#[utoipa::path(post, path = "/api/v1/accounts/{name}/password", tag = "accounts", request_body = PasswordBody,
    params(("name" = String, Path, description = "Log-in name")), responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn set_password(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf(name): PathOf<String>,
    JsonOf(body): JsonOf<PasswordBody>,
) -> ApiResult<StatusCode> {
    if *principal.user().name == *name {
        // A page left open must not be enough to take an account over.
        return Err(ApiError::new(Refusal::Conflict, "One's own password is set with the one until now.")
            .remedy("Use the menu of your account, or POST /api/v1/session/password."));
    }
    known(&app, &name)?;
    good_password(&name, &body.password)?;
    let order = AccountOrder::SetPassword(hashed(&app, body.password).await?);
    carry_out(&app, &name, &order, orderer(&principal), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets one's own password. All other sessions of the same person end at once.
#[utoipa::path(post, path = "/api/v1/session/password", tag = "session", request_body = OwnPasswordBody, responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 429, body = Problem)))]
pub async fn set_own_password(
    State(app): State<Arc<App>>,
    principal: Principal,
    JsonOf(body): JsonOf<OwnPasswordBody>,
) -> ApiResult<StatusCode> {
    let name = principal.user().name.to_string();
    let Via::Session(session) = principal.via() else {
        return Err(ApiError::new(Refusal::Forbidden, "Only who is logged in here has a password here."));
    };
    good_password(&name, &body.password)?;
    if body.password == body.old {
        return Err(ApiError::bad("password", "This is the password until now.").remedy("Choose another."));
    }
    super::session::attempt(&app, principal.address())?;
    let hash = app.auth.accounts.read().get(&name).map(|account| account.password.clone());
    let right = app.auth.passwords.verify(body.old, hash).await;
    if !right.map_err(|e| ApiError::internal("check the password", &e))? {
        let row =
            json!({"name": name, "address": principal.address().to_string(), "why": "wrong_old_password"});
        if let Err(error) = app.auth.register.append(kinds::SESSION_REFUSED, row).await {
            tracing::error!(%error, "cannot write a refused change of password to the journal");
        }
        return Err(ApiError::new(Refusal::Forbidden, "The password until now is another one.")
            .field("old")
            .remedy("Type it again, or ask an administrator to set a new one."));
    }
    app.auth.limiter.forgive(principal.address());
    let order = AccountOrder::SetPassword(hashed(&app, body.password).await?);
    carry_out(&app, &name, &order, orderer(&principal), Some(session)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Names and roles of everybody who can log in: for choosing whom something is handed to.
#[utoipa::path(get, path = "/api/v1/people", tag = "accounts", responses(
    (status = 200, body = PersonList), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn people(State(app): State<Arc<App>>) -> axum::Json<PersonList> {
    let accounts = app.auth.accounts.read();
    let person = |account: &Account| PersonView { name: account.name.clone(), roles: account.roles.clone() };
    axum::Json(PersonList { items: accounts.all().filter(|a| !a.disabled).map(person).collect() })
}
