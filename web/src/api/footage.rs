//! Stored pictures: timeline, groups of pictures for our own player, stills, and whole segments by range requests.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, StreamKind};
use fengsui_config::limits;
use fengsui_storage::frame::GapReason;
use fengsui_storage::playback::FootageFile;
use fengsui_storage::segment::SegmentName;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::access::CameraAccess;
use crate::auth::viewing::Viewed;
use crate::http::problem::{ApiError, ApiResult, PathOf, Problem, QueryOf, Refusal};
use crate::http::range::{self, Asked};
use crate::media::Stretch;
use crate::ui;

/// Longest range of one timeline.
pub const TIMELINE_RANGE_MAX: Duration = Duration::from_secs(32 * 24 * 3600);
/// Longest range of one list of groups of pictures.
pub const GOPS_RANGE_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest range of one list of segments.
pub const SEGMENTS_RANGE_MAX: Duration = Duration::from_secs(48 * 3600);
/// Bytes read at once for a range request.
const CHUNK_BYTES: u64 = 256 << 10;
/// A segment may last longer than its nominal time while it waits for a key frame.
const SEGMENT_LENGTH_MAX: Duration =
    Duration::from_secs(limits::SEGMENT_DURATION.as_secs() + limits::SEGMENT_KEY_WAIT_MAX.as_secs());

/// The stream in a path.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the guard reads the path; this describes it")]
pub struct StreamPath {
    /// National 20-digit code.
    #[param(value_type = String)]
    camera: CameraId,
    /// `main` or `sub`.
    #[param(value_type = String, example = "main")]
    stream: StreamKind,
}

/// A range of time, `from_us <= t < to_us`.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RangeQuery {
    /// First microsecond.
    pub from_us: i64,
    /// First microsecond after.
    pub to_us: i64,
}

impl RangeQuery {
    /// The range, when it is one and is not too long.
    ///
    /// # Errors
    /// `bad_request` otherwise.
    pub fn checked(self, longest: Duration) -> ApiResult<(UtcMicros, UtcMicros)> {
        if self.to_us <= self.from_us {
            return Err(ApiError::bad("to_us", "The range ends before it begins."));
        }
        if u128::from(self.to_us.abs_diff(self.from_us)) > longest.as_micros() {
            let most = longest.as_secs();
            return Err(ApiError::bad("to_us", format!("The range is longer than {most} seconds."))
                .remedy("Ask for shorter ranges one after the other."));
        }
        Ok((UtcMicros(self.from_us), UtcMicros(self.to_us)))
    }
}

/// One stretch of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpanView {
    /// `footage` or `gap`.
    #[schema(value_type = String, example = "footage")]
    pub kind: &'static str,
    /// First microsecond.
    pub from_us: i64,
    /// First microsecond after.
    pub to_us: i64,
    /// Only with footage: still being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Only with footage, and only when it is not on a volume: `archive`. Reading it takes longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "archive")]
    pub tier: Option<&'static str>,
    /// Only with gaps: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "camera_offline")]
    pub reason: Option<GapReason>,
}

/// Footage and gaps of a range. What is in neither was not due, or lies in the future.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineView {
    /// As asked.
    pub from_us: i64,
    /// As asked.
    pub to_us: i64,
    /// In order, without overlap.
    pub spans: Vec<SpanView>,
    /// Start of the oldest footage of the stream.
    pub first_us: Option<i64>,
    /// End of the newest footage of the stream.
    pub last_us: Option<i64>,
}

/// Footage and gaps.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/timeline", tag = "footage",
    params(StreamPath, RangeQuery), responses(
    (status = 200, body = TimelineView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn timeline(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    QueryOf(asked): QueryOf<RangeQuery>,
) -> ApiResult<axum::Json<TimelineView>> {
    let (from, to) = asked.checked(TIMELINE_RANGE_MAX)?;
    let spans = app.media.spans(&access, from, to);
    let (first, last) = app.media.extent(&access);
    let spans = spans.into_iter().map(|(from, to, what)| match what {
        Stretch::Footage { open, archived } => SpanView {
            kind: "footage",
            from_us: from.0,
            to_us: to.0,
            open: Some(open),
            tier: archived.then_some("archive"),
            reason: None,
        },
        Stretch::Gap(reason) => SpanView {
            kind: "gap",
            from_us: from.0,
            to_us: to.0,
            open: None,
            tier: None,
            reason: Some(reason),
        },
    });
    Ok(axum::Json(TimelineView {
        from_us: from.0,
        to_us: to.0,
        spans: spans.collect(),
        first_us: first.map(|t| t.0),
        last_us: last.map(|t| t.0),
    }))
}

/// A group of pictures.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GopView {
    /// Its name in addresses.
    pub id: String,
    /// First microsecond.
    pub from_us: i64,
    /// First microsecond after.
    pub to_us: i64,
    /// Stored bytes.
    pub bytes: u64,
    /// A decoder can start at its first picture.
    pub key: bool,
    /// The init segment it needs.
    pub init: String,
}

/// An init segment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InitView {
    /// RFC 6381 codec string.
    pub codec: String,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
}

/// Groups of pictures of a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct GopsView {
    /// In order of time.
    pub items: Vec<GopView>,
    /// The init segments they need, by id.
    pub inits: std::collections::BTreeMap<String, InitView>,
}

/// Lists groups of pictures. The viewing is in the register before this is answered.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/gops", tag = "footage",
    params(StreamPath, RangeQuery), responses(
    (status = 200, body = GopsView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn gops(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    QueryOf(asked): QueryOf<RangeQuery>,
) -> ApiResult<axum::Json<GopsView>> {
    let (from, to) = asked.checked(GOPS_RANGE_MAX)?;
    let viewed = app.auth.viewing.footage(&access, from, to, "playback").await?;
    let list = app.media.gops(&viewed).await?;
    let items = list.items.into_iter().map(|g| GopView {
        id: g.id,
        from_us: g.from.0,
        to_us: g.to.0,
        bytes: g.bytes,
        key: g.key,
        init: g.init,
    });
    let inits = list
        .inits
        .into_iter()
        .map(|(id, i)| (id, InitView { codec: i.codec, width: i.width, height: i.height }));
    Ok(axum::Json(GopsView { items: items.collect(), inits: inits.collect() }))
}

/// An init segment for browsers.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/init/{init}", tag = "footage",
    params(StreamPath, ("init" = String, Path, description = "Id from the list of groups")), responses(
    (status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn init(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    path: PathOf<(String, String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let PathOf((_, _, id)) = path;
    if let Some(fresh) = not_modified(&headers, &id) {
        return Ok(fresh);
    }
    // Its id names its contents, not a time, and it holds no picture: nothing to put into the register.
    let bytes = app.media.init(&access, id.clone()).await?;
    Ok(immutable(bytes, &id))
}

/// A group of pictures for browsers: video alone, times absolute on the node's clock.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/gop/{id}", tag = "footage",
    params(StreamPath, ("id" = String, Path, description = "Id from the list of groups")), responses(
    (status = 200, content_type = "video/mp4", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem)))]
pub async fn gop(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    path: PathOf<(String, String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let PathOf((_, _, id)) = path;
    let viewed = part(&app, &access, &id, "playback").await?;
    if let Some(fresh) = not_modified(&headers, &id) {
        return Ok(fresh);
    }
    let bytes = app.media.gop(&viewed, id.clone()).await?;
    Ok(immutable(bytes, &id))
}

/// Proof for a part of a segment: ids and names of segments begin with the segment's start in milliseconds.
pub(super) async fn part(app: &App, access: &CameraAccess, id: &str, how: &'static str) -> ApiResult<Viewed> {
    let digits = id.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
    let start_ms: i64 = digits.parse().map_err(|_| ApiError::not_found(format!("{id} is not stored.")))?;
    let start = UtcMicros(start_ms.saturating_mul(1000));
    app.auth.viewing.part(access, start, start + SEGMENT_LENGTH_MAX, how).await
}

/// What a browser already has of something that never changes.
pub(super) fn not_modified(headers: &HeaderMap, id: &str) -> Option<Response> {
    let known = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
    ui::names(known, &format!("\"{id}\"")).then(|| {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        cached(&mut response, id);
        response
    })
}

/// Media that never changes under its address.
pub(super) fn immutable(bytes: Bytes, id: &str) -> Response {
    let mut response = ([(CONTENT_TYPE, "video/mp4")], bytes).into_response();
    cached(&mut response, id);
    response
}

fn cached(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{id}\"")) {
        headers.insert(ETAG, tag);
    }
}

/// A moment.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AtQuery {
    /// The moment on the node's clock.
    pub(super) at_us: i64,
}

/// The key frame at or before a moment, as JPEG; the header `X-Fengsui-Utc-Us` has its time.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/still", tag = "footage",
    params(StreamPath, AtQuery), responses(
    (status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 501, body = Problem)))]
pub async fn still(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    QueryOf(asked): QueryOf<AtQuery>,
) -> ApiResult<Response> {
    let at = UtcMicros(asked.at_us);
    let viewed = app.auth.viewing.footage(&access, at, at + Duration::from_secs(1), "still").await?;
    let (time, jpeg) = app.media.still(&viewed, at).await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (HeaderName::from_static("x-fengsui-utc-us"), HeaderValue::from(time.0)),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600")),
    ];
    Ok((headers, jpeg).into_response())
}

/// A segment file.
#[derive(Debug, Serialize, ToSchema)]
pub struct SegmentView {
    /// Its name in addresses and on the disk.
    pub name: String,
    /// Start.
    pub start_us: i64,
    /// Length.
    pub duration_us: i64,
    /// Size.
    pub bytes: u64,
    /// False while it is being written.
    pub closed: bool,
}

/// Segment files of a range.
#[derive(Debug, Serialize, ToSchema)]
pub struct SegmentsView {
    /// In order of start.
    pub items: Vec<SegmentView>,
}

/// Lists segment files.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/segments", tag = "footage",
    params(StreamPath, RangeQuery), responses(
    (status = 200, body = SegmentsView), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub async fn segments(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    QueryOf(asked): QueryOf<RangeQuery>,
) -> ApiResult<axum::Json<SegmentsView>> {
    let (from, to) = asked.checked(SEGMENTS_RANGE_MAX)?;
    let (from, to) = access.clip(from, to)?;
    let rows = app.media.segments(&access, from, to);
    let items = rows.iter().map(|r| SegmentView {
        name: r.name().to_string(),
        start_us: r.start().0,
        duration_us: i64::from(r.duration_ms) * 1000,
        bytes: r.bytes,
        closed: r.closed,
    });
    Ok(axum::Json(SegmentsView { items: items.collect() }))
}

/// A segment file, whole or in part (`Range`).
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{stream}/segments/{name}", tag = "footage",
    params(StreamPath, ("name" = String, Path, description = "Name from the list of segments")), responses(
    (status = 200, content_type = "video/mp4", body = Vec<u8>),
    (status = 206, content_type = "video/mp4", body = Vec<u8>), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 416, body = Problem)))]
pub async fn segment(
    State(app): State<Arc<App>>,
    access: CameraAccess,
    path: PathOf<(String, String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let PathOf((_, _, name)) = path;
    let parsed: SegmentName = name.parse().map_err(|e| ApiError::not_found(format!("{name} is {e}.")))?;
    let viewed = part(&app, &access, &name, "segment").await?;
    let file = app.media.file(&viewed, name.clone()).await?;
    let tag = parsed.closed.is_some().then(|| format!("\"{name}\""));
    let text = |header: HeaderName| headers.get(header).and_then(|v| v.to_str().ok());
    // A range is good for the file it was asked of; with another tag in If-Range the whole file is sent.
    let ranged = text(IF_RANGE).is_none_or(|known| tag.as_deref() == Some(known));
    let asked = range::parse(text(RANGE).filter(|_| ranged), file.len);
    let (status, from, length) = match asked {
        Asked::Whole => (StatusCode::OK, 0, file.len),
        Asked::Part { from, to } => (StatusCode::PARTIAL_CONTENT, from, to - from + 1),
        Asked::Outside => {
            let mut refused =
                ApiError::new(Refusal::RangeNotSatisfiable, format!("The file has {} bytes.", file.len))
                    .into_response();
            if let Ok(value) = HeaderValue::from_str(&format!("bytes */{}", file.len)) {
                refused.headers_mut().insert(CONTENT_RANGE, value);
            }
            return Ok(refused);
        }
    };
    let total = file.len;
    let mut response = Body::from_stream(chunks(app, file, from, length)).into_response();
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(CONTENT_LENGTH, HeaderValue::from(length));
    out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let filename = format!("inline; filename=\"{}_{}_{name}\"", access.key().camera, access.key().stream);
    for (header, value) in [(CONTENT_DISPOSITION, Some(filename)), (ETAG, tag)] {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(&v).ok()) {
            out.insert(header, value);
        }
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let last = from + length - 1;
        if let Ok(value) = HeaderValue::from_str(&format!("bytes {from}-{last}/{total}")) {
            out.insert(CONTENT_RANGE, value);
        }
    }
    Ok(response)
}

/// The bytes of a range, read as they are sent.
fn chunks(
    app: Arc<App>,
    file: Arc<FootageFile>,
    from: u64,
    length: u64,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    futures::stream::try_unfold((app, file, from, length), |(app, file, at, left)| async move {
        if left == 0 || app.stop.is_cancelled() {
            return Ok(None);
        }
        let want = usize::try_from(left.min(CHUNK_BYTES)).unwrap_or(0);
        let read = app.media.read_file(file.clone(), at, want).await;
        let bytes = read.map_err(|e| std::io::Error::other(e.detail().to_owned()))?;
        if bytes.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let got = bytes.len() as u64;
        Ok(Some((bytes, (app, file, at + got, left - got))))
    })
}
