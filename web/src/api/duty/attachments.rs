//! Files of incidents: what they are is said by their bytes, and no browser runs anything of them.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_duty::act::{MatterId, MatterKind, Verb};
use fengsui_duty::incident::IncidentVerb;
use fengsui_duty::ledger::Ledger;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::incidents::known;
use super::{by, matter, refused, unknown};
use crate::app::App;
use crate::auth::access::Principal;
use crate::duty::files::{FileError, Files, Media};
use crate::duty::view::{self, AttachmentView};
use crate::http::problem::{ApiError, ApiResult, PathOf, Problem, QueryOf, Refusal};
use crate::relay::calls::Call;

/// What a browser may do with a file: nothing.
const POLICY: &str = "default-src 'none'; sandbox";

/// What a file is called.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NameQuery {
    /// Its name, at most 120 characters; folders before it are left out.
    name: String,
}

/// What was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttachAnswer {
    /// The file.
    attachment: AttachmentView,
    /// The act: node, opening of the journal, number.
    #[schema(example = "centre.3.4711")]
    act: String,
}

fn files(app: &App) -> ApiResult<Arc<Files>> {
    app.duty.files().ok_or_else(|| ApiError::new(Refusal::Unavailable, "This node keeps no files."))
}

/// The last part of a name, as people see it.
fn name(text: &str) -> ApiResult<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let most = limits::ATTACHMENT_NAME_CHARS_MAX;
    if last.is_empty() || last.chars().count() > most || last.chars().any(char::is_control) {
        return Err(ApiError::bad(
            "name",
            format!("A file has a name of 1 to {most} characters, on one line."),
        )
        .remedy("Send ?name=photo.jpg."));
    }
    Ok(last.to_owned())
}

async fn body(body: Body) -> ApiResult<Bytes> {
    let most = limits::ATTACHMENT_BYTES_MAX;
    let too_large = || {
        ApiError::new(Refusal::TooLarge, format!("A file has at most {} MiB.", most >> 20))
            .field("body")
            .remedy("Send a smaller one, or a clip of the footage by add_clip.")
    };
    let read = Limited::new(body, most).collect();
    let read = tokio::time::timeout(limits::ATTACHMENT_TIMEOUT, read).await.map_err(|_| {
        ApiError::new(Refusal::Unavailable, "The file did not come in time.").remedy("Send it again.")
    })?;
    match read {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            Err(ApiError::bad("body", format!("The file did not come whole: {error}."))
                .remedy("Send it again."))
        }
    }
}

fn media(headers: &HeaderMap, bytes: &[u8]) -> ApiResult<Media> {
    let media = Media::of(bytes).ok_or_else(|| {
        ApiError::bad("body", "The file is no JPEG, PNG, WebP, PDF, MP4 or plain text; its name and its declared type do not count.")
            .remedy("Send it in one of these forms.")
    })?;
    let declared = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if media.agrees(declared) {
        return Ok(media);
    }
    let shown: String = declared.chars().take(80).collect();
    Err(ApiError::bad(
        "Content-Type",
        format!("The file is {}, and is declared as {shown:?}.", media.as_str()),
    )
    .remedy("Declare what it is, or application/octet-stream."))
}

fn file_error(error: &FileError) -> ApiError {
    match error {
        FileError::Full => ApiError::new(Refusal::Unavailable, format!("No file is taken: {error}."))
            .remedy("Ask an administrator of this node to make room."),
        FileError::Damaged => ApiError::new(Refusal::Damaged, format!("The file is kept here, but {error}."))
            .remedy("Put it back from a backup; fengsui fsck says which files do not hold."),
        FileError::Missing => ApiError::not_found(format!("The file is known, but {error}.")),
        FileError::Io(e) => ApiError::internal("read or write a file of an incident", e),
    }
}

/// Adds a file to an incident: JPEG, PNG, WebP, PDF, MP4 or plain text by its bytes, at most 16 MiB. It is on the disk before
/// the journal has it.
#[utoipa::path(post, path = "/api/v1/incidents/{node}/{name}/attachments", tag = "incidents",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("node" = String, Path, description = "Node at which it was opened"), ("name" = String, Path, description = "Its name there"), NameQuery),
    responses((status = 201, body = AttachAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
    (status = 503, body = Problem)))]
pub async fn add(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, incident)): PathOf<(String, String)>,
    QueryOf(query): QueryOf<NameQuery>,
    headers: HeaderMap,
    sent: Body,
) -> ApiResult<Response> {
    let id = matter(MatterKind::Incident, &node, &incident)?;
    known(&app, &id)?;
    let (name, files) = (name(&query.name)?, files(&app)?);
    let slot = files.slot().map_err(|_| {
        ApiError::new(Refusal::Unavailable, "Too many files are on their way.")
            .remedy("Send it again in a few seconds.")
            .retry_after(std::time::Duration::from_secs(2))
    })?;
    let count =
        app.duty.read(|book| book.incidents.get(&id).map_or(0, |ledger| view::attachments(ledger).len()));
    if count >= limits::ATTACHMENTS_PER_INCIDENT_MAX {
        let most = limits::ATTACHMENTS_PER_INCIDENT_MAX;
        return Err(ApiError::new(Refusal::Conflict, format!("An incident has at most {most} files."))
            .why("full")
            .remedy("Open another incident for what follows, and say so in a note."));
    }
    let bytes = body(sent).await?;
    let media = media(&headers, &bytes)?;
    let (length, keeper) = (bytes.len() as u64, files.clone());
    let kept = tokio::task::spawn_blocking(move || keeper.keep(&bytes)).await;
    let hash = kept.map_err(|e| ApiError::internal("keep a file", &e))?.map_err(|e| file_error(&e))?;
    drop(slot);
    let attach = IncidentVerb::Attach {
        hash: hash.clone(),
        name: name.clone(),
        media: media.as_str().to_owned(),
        bytes: length,
    };
    let (at_us, by) = (app.clock.utc().0, by(&principal));
    let shown = (&by).into();
    let act = app.duty.act(&app, &id, Verb::Incident(attach), by).await;
    let act = act.map_err(|error| refused(&app, &id, error))?;
    let media = media.as_str().to_owned();
    let attachment = AttachmentView { hash, name, media, bytes: length, at_us, by: shown };
    Ok((StatusCode::CREATED, axum::Json(AttachAnswer { attachment, act: act.to_string() })).into_response())
}

/// A file of an incident, and the nodes that may have it: who took it in, and the home of the incident.
fn find(app: &App, id: &MatterId, hash: &str) -> Option<(String, Media, Vec<NodeId>)> {
    app.duty.read(|book| {
        let ledger: &Ledger<_> = book.incidents.get(id)?;
        ledger.state()?;
        let found = ledger.acts().find_map(|noted| match &noted.act.verb {
            Verb::Incident(IncidentVerb::Attach { hash: h, name, media, .. }) if h == hash => {
                Some((name.clone(), Media::named(media)?, noted.id.node.clone()))
            }
            _ => None,
        });
        let (name, media, maker) = found?;
        Some((name, media, vec![maker, id.home.clone()]))
    })
}

/// Asks the nodes that may have a file, and keeps it.
async fn fetched(
    app: &App,
    principal: &Principal,
    (id, hash): (&MatterId, &str),
    files: &Arc<Files>,
    nodes: Vec<NodeId>,
) -> ApiResult<Vec<u8>> {
    let missing = || file_error(&FileError::Missing).remedy("Look for it at the node where it was added.");
    let Some(centre) = app.relay.read().as_ref().and_then(|relay| relay.centre.clone()) else {
        return Err(missing());
    };
    let mut error = missing();
    let mut asked: Vec<NodeId> = Vec::new();
    for node in nodes.iter().filter_map(|node| centre.roll.speaker(node)) {
        if asked.contains(&node) {
            continue;
        }
        asked.push(node.clone());
        let path = format!("/api/v1/incidents/{}/{}/attachments/{hash}", id.home, id.name);
        let call = Call::get(path, principal.on_behalf());
        let answer = match centre.call(&node, call, limits::RELAY_CALL_TIMEOUT).await {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(_) => continue,
            Err(failed) => {
                error = failed.into();
                continue;
            }
        };
        let Ok(bytes) = body(answer.into_body()).await else { continue };
        let (keeper, wanted) = (files.clone(), hash.to_owned());
        let kept = tokio::task::spawn_blocking(move || {
            // What another node says is believed by the hash alone.
            (crate::duty::files::hash(&bytes) == wanted).then(|| keeper.keep(&bytes).map(|_| bytes.to_vec()))
        });
        if let Ok(Some(kept)) = kept.await {
            return kept.map_err(|e| file_error(&e));
        }
    }
    Err(error)
}

/// A file of an incident. Browsers show pictures and save everything else.
#[utoipa::path(get, path = "/api/v1/incidents/{node}/{name}/attachments/{hash}", tag = "incidents",
    params(("node" = String, Path, description = "Node at which it was opened"), ("name" = String, Path, description = "Its name there"),
        ("hash" = String, Path, description = "BLAKE3 of the file, 64 hexadecimal digits")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub async fn show(
    State(app): State<Arc<App>>,
    principal: Principal,
    PathOf((node, incident, hash)): PathOf<(String, String, String)>,
) -> ApiResult<Response> {
    let id = matter(MatterKind::Incident, &node, &incident)?;
    let (name, media, nodes) = find(&app, &id, &hash).ok_or_else(|| unknown("This file", Some("hash")))?;
    let files = files(&app)?;
    let _slot = files.slot().map_err(|_| {
        ApiError::new(Refusal::Unavailable, "Too many files are on their way.")
            .retry_after(std::time::Duration::from_secs(2))
            .remedy("Ask again in a few seconds.")
    })?;
    let (keeper, wanted) = (files.clone(), hash.clone());
    let kept = tokio::task::spawn_blocking(move || keeper.get(&wanted)).await;
    let bytes = match kept.map_err(|e| ApiError::internal("read a file", &e))? {
        Ok(bytes) => bytes,
        Err(FileError::Missing | FileError::Damaged) if nodes.iter().any(|node| node != app.duty.node()) => {
            fetched(&app, &principal, (&id, &hash), &files, nodes).await?
        }
        Err(error) => return Err(file_error(&error)),
    };
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static(media.content_type())),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable")),
    ];
    headers.extend(disposition(&name, media));
    let headers: HeaderMap = headers.into_iter().collect();
    Ok((headers, bytes).into_response())
}

/// Pictures are shown; everything else is saved under its name.
fn disposition(name: &str, media: Media) -> Option<(HeaderName, HeaderValue)> {
    let encoded: String = name.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'_' => text.push(char::from(byte)),
            // Writing into a text does not fail.
            other => drop(write!(text, "%{other:02X}")),
        }
        text
    });
    let how = if media.is_image() { "inline" } else { "attachment" };
    let value = HeaderValue::from_str(&format!("{how}; filename*=UTF-8''{encoded}")).ok()?;
    Some((CONTENT_DISPOSITION, value))
}
