//! Footage of cameras that other nodes have, through this node's own address: in front of each route of footage.
//!
//! What the route itself does first is done here too: the range is checked and clipped to what may be seen, and the viewing is
//! in this node's register. Then the owner is asked, as this node's centre on behalf of who asks here, and writes its own. It is
//! sent the path and the checked range and nothing else of the query: a media ticket stays here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use super::footage::{self, AtQuery, GOPS_RANGE_MAX, RangeQuery, SEGMENTS_RANGE_MAX, TIMELINE_RANGE_MAX};
use super::hls;
use crate::app::App;
use crate::auth::access::CameraAccess;
use crate::auth::tickets::TICKET_RANGE_MAX;
use crate::command::{self, Far};
use crate::http::policy::ticket;
use crate::http::problem::{ApiError, ApiResult, QueryOf, Refusal};
use crate::relay::calls::Call;

/// What a route of footage shows, and so what the register of viewings has to say before.
#[derive(Debug, Clone, Copy)]
pub enum Shows {
    /// No picture: when there is footage.
    Times,
    /// No picture: names of files.
    Names,
    /// No picture: how a decoder is set up.
    SetUp,
    /// Pictures of a range.
    Pictures,
    /// A playlist of a range, whose addresses have the ticket.
    Playlist,
    /// One picture.
    Still,
    /// A part of a segment that a list named before; the word is that of the register.
    Part(&'static str),
}

/// Types of footage and of what is said about it. Anything else would be a page of another's in the name of this node.
const TYPES: [&str; 5] = [
    "video/mp4",
    "image/jpeg",
    "application/json",
    "application/problem+json",
    "application/vnd.apple.mpegurl",
];

/// Asks the node that has the camera, when that is not this one.
pub async fn or_here(
    State((app, shows)): State<(Arc<App>, Shows)>,
    access: CameraAccess,
    names: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let Some(far) = command::holder(&app, access.key().camera) else { return next.run(request).await };
    let name = names.iter().find(|(n, _)| matches!(*n, "id" | "name" | "segment")).map(|(_, v)| v.to_owned());
    let asked = Asked { app: &app, access: &access, shows, name: name.unwrap_or_default() };
    asked.of(&far, request).await.unwrap_or_else(ApiError::into_response)
}

struct Asked<'a> {
    app: &'a App,
    access: &'a CameraAccess,
    shows: Shows,
    /// The segment, or part of one, in the path.
    name: String,
}

impl Asked<'_> {
    async fn of(&self, far: &Far, request: Request) -> ApiResult<Response> {
        // Nothing is written about what cannot be shown.
        far.centre.reachable(&far.node)?;
        let place = far.centre.footage.enter(&far.node)?;
        let (parts, _) = request.into_parts();
        let query = self.viewing(parts.clone()).await?;
        let mut call = Call::get(format!("{}{query}", parts.uri.path()), self.access.on_behalf());
        (call.method, call.headers) = (parts.method, parts.headers);
        let answer = far.centre.call(&far.node, call, limits::RELAY_CALL_TIMEOUT).await?;
        let answer = believable(far, answer)?;
        let answer = match self.shows {
            Shows::Playlist if answer.status() == StatusCode::OK => {
                playlist(far, answer, ticket(parts.uri.query())).await?
            }
            _ => answer,
        };
        // The place is taken until the last byte has gone.
        Ok(answer.map(|body| {
            Body::from_stream(body.into_data_stream().map(move |part| {
                let _ = &place;
                part
            }))
        }))
    }

    /// Checks what is asked, has the viewing in the register, and gives the query for the owner.
    async fn viewing(&self, mut parts: http::request::Parts) -> ApiResult<String> {
        let Self { app, access, .. } = self;
        let range = async |parts: &mut http::request::Parts, longest: Duration| -> ApiResult<_> {
            let QueryOf(asked) = QueryOf::<RangeQuery>::from_request_parts(parts, &()).await?;
            asked.checked(longest)
        };
        let viewing = &app.auth.viewing;
        let (from, to) = match self.shows {
            Shows::Times => range(&mut parts, TIMELINE_RANGE_MAX).await?,
            Shows::Names => {
                let (from, to) = range(&mut parts, SEGMENTS_RANGE_MAX).await?;
                access.clip(from, to)?
            }
            Shows::Pictures => {
                let (from, to) = range(&mut parts, GOPS_RANGE_MAX).await?;
                let viewed = viewing.footage(access, from, to, "playback").await?;
                (viewed.from(), viewed.to())
            }
            Shows::Playlist => {
                let (from, to) = range(&mut parts, TICKET_RANGE_MAX).await?;
                let viewed = viewing.footage(access, from, to, "hls").await?;
                (viewed.from(), viewed.to())
            }
            Shows::Still => {
                let QueryOf(asked) = QueryOf::<AtQuery>::from_request_parts(&mut parts, &()).await?;
                let at = UtcMicros(asked.at_us);
                viewing.footage(access, at, at + Duration::from_secs(1), "still").await?;
                return Ok(format!("?at_us={}", asked.at_us));
            }
            Shows::SetUp => return Ok(String::new()),
            Shows::Part(how) => {
                footage::part(app, access, &self.name, how).await?;
                return Ok(String::new());
            }
        };
        Ok(format!("?from_us={}&to_us={}", from.0, to.0))
    }
}

/// The answer of a node, when it is one that it may give.
fn believable(far: &Far, answer: Response) -> ApiResult<Response> {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or_default();
    let known = TYPES.contains(&kind.split(';').next().unwrap_or_default().trim());
    // Who asks is logged in here, whatever the node thinks of its centre.
    let refused = answer.status() == StatusCode::UNAUTHORIZED || answer.status().is_redirection();
    let bare =
        kind.is_empty() && matches!(answer.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
    if answer.status() == StatusCode::FORBIDDEN {
        // Here they may see it. A node that is older than this one does not know every role.
        let detail = format!("{} does not show this to somebody with these roles.", far.node);
        return Err(
            ApiError::new(Refusal::Forbidden, detail).remedy("Update the node to the version of its centre.")
        );
    }
    if (known && !refused) || bare {
        return Ok(answer);
    }
    tracing::warn!(node = %far.node, status = %answer.status(), kind, "an answer that is no footage");
    Err(unreadable(far))
}

fn unreadable(far: &Far) -> ApiError {
    ApiError::new(
        Refusal::NodeUnreachable,
        format!("{} answers with something that is no footage.", far.node),
    )
    .remedy("Update the node to the version of its centre.")
}

/// The playlist, with the ticket in each address when there is one.
async fn playlist(far: &Far, answer: Response, ticket: Option<&str>) -> ApiResult<Response> {
    let (mut parts, body) = answer.into_parts();
    let body = Limited::new(body, limits::FAR_LIST_BYTES_MAX).collect().await;
    let broken =
        |e| ApiError::new(Refusal::NodeUnreachable, format!("The playlist of {} broke off: {e}.", far.node));
    let body = body.map_err(broken)?.to_bytes();
    let text = std::str::from_utf8(&body).ok().and_then(|text| hls::passed_on(text, ticket));
    let text = text.ok_or_else(|| unreadable(far))?;
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    Ok(Response::from_parts(parts, Body::from(text)))
}
