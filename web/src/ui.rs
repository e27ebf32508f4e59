//! The browser UI, embedded in the binary: pre-compressed files, strong ETags, and `index.html` for every address of
//! the single-page application.

use std::borrow::Cow;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::problem::ApiError;

#[derive(RustEmbed)]
#[folder = "ui/dist/"]
struct Built;

/// Shown when the UI was not built before the program.
const STUB: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Fengsui</title>\
<h1>烽燧 Fengsui</h1><p>This build has no browser UI. Build it, then the program again:</p>\
<pre>cd web/ui && npm ci && npm run build && cd ../.. && cargo build</pre>\
<p>The API is served under <code>/api/v1</code>; its description is <code>/api/v1/openapi.json</code>.</p></html>";

/// Where the built UI comes from; a test gives its own.
pub trait Files {
    /// A file by its path below the UI's root.
    fn get(&self, path: &str) -> Option<EmbeddedFile>;
}

struct Embedded;

impl Files for Embedded {
    fn get(&self, path: &str) -> Option<EmbeddedFile> {
        Built::get(path)
    }
}

/// Serves the UI; the fallback of the router.
pub async fn serve(request: Request) -> Response {
    answer(&Embedded, request.method(), request.uri().path(), request.headers())
}

fn answer(files: &impl Files, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    if path.starts_with("/api/") {
        return ApiError::not_found(format!("There is nothing at {path}.")).into_response();
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let name = path.trim_start_matches('/');
    let compressed = name.ends_with(".br") || name.ends_with(".gz");
    if !name.is_empty() && !compressed && files.get(name).is_some() {
        return file(files, name, headers);
    }
    // An address of the application, not a file that is missing: those have an extension or are not for people.
    let page = name.rsplit('/').next().is_none_or(|last| !last.contains('.'));
    let for_people = headers.get(ACCEPT).is_none_or(|a| {
        let text = a.to_str().unwrap_or("");
        text.contains("text/html") || text.contains("*/*")
    });
    if !page || !for_people {
        return ApiError::not_found(format!("There is no file {path}.")).into_response();
    }
    if files.get("index.html").is_some() {
        return file(files, "index.html", headers);
    }
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], STUB).into_response()
}

fn file(files: &impl Files, name: &str, headers: &HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
    let packed = [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(encoding, _)| accepts(accepted, encoding))
        .find_map(|(encoding, end)| files.get(&format!("{name}{end}")).map(|f| (Some(encoding), f)));
    let Some((encoding, found)) = packed.or_else(|| files.get(name).map(|f| (None, f))) else {
        return ApiError::not_found(format!("There is no file {name}.")).into_response();
    };
    let tag = format!("\"{}\"", hex::encode(found.metadata.sha256_hash()));
    let fresh =
        headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|known| names(known, &tag));
    let mut response = if fresh { StatusCode::NOT_MODIFIED.into_response() } else { body(found.data) };
    let out = response.headers_mut();
    // Files of the bundler carry a hash in their names.
    let caching =
        if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    out.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    out.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, tag);
    }
    out.insert(CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    if let Some(encoding) = encoding {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn body(data: Cow<'static, [u8]>) -> Response {
    match data {
        Cow::Borrowed(bytes) => bytes.into_response(),
        Cow::Owned(bytes) => bytes.into_response(),
    }
}

/// True when an `Accept-Encoding` header takes `encoding` (a quality of 0 means that it does not).
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next() == Some(encoding)
            && !parts
                .any(|p| p.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0))
    })
}

/// True when an `If-None-Match` header names `tag`.
pub(crate) fn names(header: &str, tag: &str) -> bool {
    header.split(',').map(|t| t.trim().trim_start_matches("W/")).any(|t| t == tag || t == "*")
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
