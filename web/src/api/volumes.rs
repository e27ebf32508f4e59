//! Volumes: how they stand, what they are used for, and orders to change that.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::access::Principal;
use crate::http::problem::{ApiError, ApiResult, Problem, Refusal};
use crate::orders::{self, OrderError};
use crate::recordings::{VolumeDetail, VolumeOrder};

/// Every volume of the node.
#[derive(Debug, Serialize, ToSchema)]
pub struct VolumeList {
    /// In the order of the configuration.
    pub volumes: Vec<VolumeDetail>,
}

/// Every volume with its state, what it is used for, what lies on it, and what waits to be moved.
#[utoipa::path(get, path = "/api/v1/volumes", tag = "volumes", responses(
    (status = 200, body = VolumeList), (status = 401, body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> Json<VolumeList> {
    Json(VolumeList { volumes: details(app).await })
}

async fn details(app: Arc<App>) -> Vec<VolumeDetail> {
    // Counting what lies where looks at every segment.
    tokio::task::spawn_blocking(move || app.recordings.volume_details()).await.unwrap_or_default()
}

/// Gives an order for a volume. It is in the journal before it is carried out; its effect shows within some seconds.
#[utoipa::path(post, path = "/api/v1/volumes/{volume}/{order}", tag = "volumes",
    params(("volume" = String, Path, description = "Its id"),
        ("order" = VolumeOrder, Path, description = "What to do with it")),
    responses((status = 200, body = VolumeList), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub async fn order(
    State(app): State<Arc<App>>,
    Path((volume, order)): Path<(String, String)>,
    principal: Principal,
) -> ApiResult<Json<VolumeList>> {
    let order: VolumeOrder = serde_json::from_value(order.into()).map_err(|_| {
        ApiError::bad("order", "That is no order for a volume.")
            .remedy("Write one of: use, drain, evacuate, adopt, replace, replace_folder.")
    })?;
    let by = principal.user().name.to_string();
    let done = orders::carry_out(&app, &by, Some(principal.address().to_string()), &volume, order).await;
    done.map_err(|e| match e {
        OrderError::Unknown(_) => ApiError::new(Refusal::NotFound, e.to_string()).field("volume"),
        OrderError::Refused(_) => ApiError::new(Refusal::BadRequest, e.to_string()).field("volume"),
        OrderError::Register(e) => ApiError::internal("write the order to the journal", &e),
    })?;
    Ok(Json(VolumeList { volumes: details(app).await }))
}
