//! Structured logs on standard error, as text or JSON.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::UtcTime;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is a level or a list of `target=level`; a bad one falls back to `info` and says so.
pub fn start(format: LogFormat, filter: &str) {
    let (chosen, bad) = match EnvFilter::try_new(filter) {
        Ok(chosen) => (chosen, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(chosen)
        .with_writer(std::io::stderr)
        .with_timer(UtcTime::rfc_3339());
    // A second start in one process (tests) keeps the first log.
    let started = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_ok()
        && let Some(error) = bad
    {
        tracing::warn!(%error, filter, "cannot read the log filter; logging at level info");
    }
}

/// A request that takes longer is worth a line at level info.
const SLOW: Duration = Duration::from_secs(2);

/// Logs requests by route. Queries are left out: a media ticket may stand there.
pub async fn request(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| request.uri().path().to_owned(), |p| p.as_str().to_owned());
    let started = tokio::time::Instant::now();
    let response = next.run(request).await;
    let (took, status) = (started.elapsed(), response.status().as_u16());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let ours = response.status().is_server_error() && status != 501 && status != 503;
    if ours {
        tracing::warn!(%method, path, status, took_ms, "request failed");
    } else if took > SLOW {
        tracing::info!(%method, path, status, took_ms, "request was slow");
    } else {
        tracing::debug!(%method, path, status, took_ms, "request");
    }
    response
}
