//! What a centre hands down to this node.

use std::sync::Arc;

use axum::extract::State;
use fengsui_duty::sync::{Answer, Say};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::duty::down;
use crate::http::problem::{ApiError, ApiResult, JsonOf, Problem};

/// Acts that this node may lack, and what the centre has of some matters.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the description of a body whose parts are read one by one")]
pub struct SayBody {
    /// Who says it.
    from: String,
    /// Acts: their records and bodies.
    #[schema(value_type = Vec<Object>)]
    acts: Vec<Value>,
    /// Ids of matters, each with how many acts it has and a sum of them.
    #[schema(value_type = Vec<Object>)]
    matters: Vec<Value>,
}

/// What of it was new, and which of the matters are otherwise here.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the description of an answer that is made elsewhere")]
pub struct SayAnswer {
    /// Acts that were new.
    took: u64,
    /// Acts that this node cannot read; a newer program made them.
    unreadable: u64,
    /// Matters of which this node has other acts, and which these are.
    #[schema(value_type = Vec<Object>)]
    differ: Vec<Value>,
    /// It looked only so far.
    looked_to: Option<String>,
}

/// Takes in what others did to matters that concern this node. What is new is in the journal before the answer.
#[utoipa::path(put, path = "/api/v1/node/duty", tag = "nodes", request_body = SayBody, responses(
    (status = 200, body = SayAnswer), (status = 400, body = Problem), (status = 403, body = Problem), (status = 500, body = Problem)))]
pub async fn take(State(app): State<Arc<App>>, JsonOf(body): JsonOf<Value>) -> ApiResult<axum::Json<Answer>> {
    let say: Say = serde_json::from_value(body).map_err(|error| {
        ApiError::bad("body", format!("This is nothing that a centre says: {error}."))
            .remedy("Use a program of the same version at both ends.")
    })?;
    let answer = down::receive(&app, &say).await;
    answer
        .map(axum::Json)
        .map_err(|error| ApiError::internal("write acts of the centre to the journal", &error))
}
