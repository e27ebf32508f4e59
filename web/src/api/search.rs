//! Search by place, time and event, over this node and all below it.

use std::sync::Arc;

use axum::extract::State;

use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiResult, Problem, QueryOf};
use crate::search::ask::{Asked, SearchQuery};
use crate::search::hit::SearchView;
use crate::search::run;

/// Events and cameras by place, time, kind and footage, over this node and all nodes below it. The answer names every node that
/// gave no whole answer, and why; it comes within a second.
#[utoipa::path(get, path = "/api/v1/search", tag = "search", params(SearchQuery), responses(
    (status = 200, body = SearchView), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem)))]
pub async fn search(
    State(app): State<Arc<App>>,
    who: Principal,
    QueryOf(query): QueryOf<SearchQuery>,
) -> ApiResult<axum::Json<SearchView>> {
    let asked = Asked::read(query, app.clock.utc())?;
    Ok(axum::Json(run(app, who, asked).await?))
}
