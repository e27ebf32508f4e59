//! The browser UI, embedded in the binary: pre-compressed files, strong ETags, and `index.html` for every address of
//! the single-page application.

use std::borrow::Cow;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rust_embed::RustEmbed;

use crate::http::problem::ApiError;

#[derive(RustEmbed)]
#[folder = "ui/dist/"]
struct Built;

/// Shown when the UI was not built before the program.
const STUB: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Fengsui</title>\
<h1>烽燧 Fengsui</h1><p>This build has no browser UI. Build it, then the program again:</p>\
<pre>cd web/ui && npm ci && npm run build && cd ../.. && cargo build</pre>\
<p>The API is served under <code>/api/v1</code>; its description is <code>/api/v1/openapi.json</code>.</p></html>";

/// The page of a unit that was sent, without log-in, at an address and in a file of its own.
const UNIT_PATH: &str = "unit";
const UNIT_PAGE: &str = "unit.html";
/// As everywhere, but that it may ask where the device is.
const UNIT_PERMISSIONS: &str =
    "camera=(), microphone=(), geolocation=(self), payment=(), usb=(), fullscreen=(self)";

fn unit_page(files: &impl Files, headers: &HeaderMap) -> Response {
    let mut response = file(files, UNIT_PAGE, headers);
    let name = HeaderName::from_static("permissions-policy");
    response.headers_mut().insert(name, HeaderValue::from_static(UNIT_PERMISSIONS));
    response
}

/// A file of the UI.
struct Found {
    data: Cow<'static, [u8]>,
    sha256: [u8; 32],
}

/// Where the built UI comes from; a test gives its own.
trait Files {
    /// A file by its path below the UI's root.
    fn get(&self, path: &str) -> Option<Found>;
}

struct Embedded;

impl Files for Embedded {
    fn get(&self, path: &str) -> Option<Found> {
        let file = Built::get(path)?;
        Some(Found { sha256: file.metadata.sha256_hash(), data: file.data })
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
    if name == UNIT_PATH && files.get(UNIT_PAGE).is_some() {
        return unit_page(files, headers);
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
    let tag = format!("\"{}\"", hex::encode(found.sha256));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;

    impl Files for BTreeMap<&'static str, &'static str> {
        fn get(&self, path: &str) -> Option<Found> {
            let text = BTreeMap::get(self, path)?;
            Some(Found {
                data: Cow::Borrowed(text.as_bytes()),
                sha256: [u8::try_from(text.len()).unwrap(); 32],
            })
        }
    }

    fn files() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("index.html", "page"),
            ("unit.html", "page of a unit"),
            ("assets/app-1a2b.js", "script"),
            ("assets/app-1a2b.js.br", "br"),
            ("assets/app-1a2b.js.gz", "gzip!"),
        ])
    }

    fn get(path: &str, headers: &[(&'static str, &str)]) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        answer(&files(), &Method::GET, path, &map)
    }

    #[test]
    fn the_best_encoding_that_the_browser_takes_is_sent() {
        let encoding = |accepted| {
            let response = get("/assets/app-1a2b.js", &[("accept-encoding", accepted)]);
            assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
            assert_eq!(response.headers()["vary"], "Accept-Encoding");
            response.headers().get("content-encoding").map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(encoding("gzip, deflate, br").as_deref(), Some("br"));
        assert_eq!(encoding("gzip;q=1.0, br;q=0").as_deref(), Some("gzip"));
        assert_eq!(encoding("identity"), None);
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let first = get("/", &[]);
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(first.headers()["cache-control"], "no-cache");
        assert_eq!(get("/", &[("if-none-match", &tag)]).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/", &[("if-none-match", "\"other\"")]).status(), StatusCode::OK);
        let script = get("/assets/app-1a2b.js", &[]);
        assert!(script.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    }

    #[test]
    fn addresses_of_the_application_are_the_page_and_missing_files_are_missing() {
        for path in ["/", "/wall", "/play/33080200001320000001", "/cases/7"] {
            let response = get(path, &[("accept", "text/html")]);
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        }
        for path in ["/assets/none.js", "/favicon.ico", "/api/v1/none", "/assets/app-1a2b.js.br"] {
            assert_eq!(get(path, &[]).status(), StatusCode::NOT_FOUND, "{path}");
        }
        let posted = answer(&files(), &Method::POST, "/wall", &HeaderMap::new());
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_unit_has_a_page_of_its_own_that_may_ask_where_it_is() {
        let text = async |path| {
            let body = axum::body::to_bytes(get(path, &[("accept", "text/html")]).into_body(), 100).await;
            String::from_utf8(body.unwrap().to_vec()).unwrap()
        };
        assert_eq!((text("/unit").await, text("/units").await), ("page of a unit".into(), "page".into()));
        let policy = |path| get(path, &[]).headers().get("permissions-policy").cloned();
        assert!(policy("/unit").unwrap().to_str().unwrap().contains("geolocation=(self)"));
        assert!(policy("/units").is_none(), "the usual one is put on by whoever serves");
    }

    #[test]
    fn without_a_built_ui_a_page_says_how_to_build_it() {
        let none = BTreeMap::new();
        let response = answer(&none, &Method::GET, "/wall", &HeaderMap::new());
        assert_eq!(
            (response.status(), response.headers()["content-type"].as_bytes()),
            (StatusCode::OK, b"text/html; charset=utf-8".as_slice())
        );
    }
}
