//! One question to many nodes at once: what each answers within one deadline, and who did not, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::call::OnBehalf;
use futures::future::join_all;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::access::{Principal, Via};
use crate::relay::calls::{Call, CallError};
use crate::relay::centre::Centre;

/// Why a node's part is missing from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is not heard.
    Gone,
    /// It did not answer in time.
    NoAnswer,
    /// It has too much to do.
    Busy,
    /// It refused.
    Refused,
    /// Its answer cannot be read.
    Unreadable,
}

/// A node whose part is missing from an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingView {
    /// The node.
    pub node: String,
    /// `gone`, `no_answer`, `busy`, `refused` or `unreadable`.
    #[schema(value_type = String, example = "gone")]
    pub why: Why,
    /// Codes of the cameras that are missing for it.
    pub cameras: Vec<String>,
}

/// What is asked of one node: a path with its query, for some of its cameras.
#[derive(Debug, Clone)]
pub struct Question {
    /// The node.
    pub node: NodeId,
    /// The path.
    pub path: String,
    /// The cameras.
    pub cameras: Vec<String>,
}

/// How long others may take. Who asks for others has to have their answers within the time in which it is to answer itself.
#[must_use]
pub fn deadline(principal: &Principal) -> Duration {
    match principal.via() {
        Via::Centre(_) => limits::GATHER_TIMEOUT / 2,
        Via::Session(_) | Via::Ticket(_) => limits::GATHER_TIMEOUT,
    }
}

/// Asks all at once. Gives each answer with its question, and the nodes that gave none within `deadline`.
pub async fn ask<T: DeserializeOwned>(
    centre: &Centre,
    by: &OnBehalf,
    questions: Vec<Question>,
    deadline: Duration,
) -> (Vec<(Question, T)>, Vec<MissingView>) {
    let asking = questions.into_iter().map(|question| async move {
        let answer = tokio::time::timeout(deadline, one::<T>(centre, by, &question)).await;
        (question, answer.unwrap_or(Err(Why::NoAnswer)))
    });
    let (mut answers, mut missing) = (Vec::new(), BTreeMap::<(NodeId, Why), Vec<String>>::new());
    for (question, answer) in join_all(asking).await {
        match answer {
            Ok(answer) => answers.push((question, answer)),
            Err(why) => missing.entry((question.node, why)).or_default().extend(question.cameras),
        }
    }
    let view =
        |((node, why), cameras): ((NodeId, Why), _)| MissingView { node: node.to_string(), why, cameras };
    (answers, missing.into_iter().map(view).collect())
}

async fn one<T: DeserializeOwned>(centre: &Centre, by: &OnBehalf, question: &Question) -> Result<T, Why> {
    let _place = centre.footage.enter(&question.node).map_err(|_| Why::Busy)?;
    let call = Call::get(question.path.clone(), by.clone());
    let answer = centre.call(&question.node, call, limits::GATHER_TIMEOUT).await.map_err(|e| match e {
        CallError::Gone(_) | CallError::Stranger(_) => Why::Gone,
        CallError::Unreadable(..) => Why::Unreadable,
        CallError::Failed(..) | CallError::TooLarge(_) => Why::NoAnswer,
    })?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => return Err(Why::Busy),
        _ => return Err(Why::Refused),
    }
    let body = Limited::new(answer.into_body(), limits::FAR_LIST_BYTES_MAX).collect().await;
    let body = body.map_err(|_| Why::NoAnswer)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| Why::Unreadable)
}
