//! Archives: where footage is kept beside the volumes.

use std::sync::Arc;

use axum::extract::State;
use fengsui_storage::archive::{ArchiveState, LockState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::problem::Problem;

/// Object lock of an archive, as it was tried.
#[derive(Debug, Serialize, ToSchema)]
pub struct LockView {
    /// `locked`, `not_locked` or `unknown`.
    #[schema(value_type = String, example = "locked")]
    pub state: LockState,
    /// How it was found, for people.
    pub reason: String,
}

/// What an archive did since the node started.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveWork {
    /// Segments stored.
    pub stored: u64,
    /// Bytes stored.
    pub stored_bytes: u64,
    /// Of them read back whole and compared.
    pub verified: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Objects that were not what was sent, and were sent again.
    pub lies: u64,
    /// Segments removed because their time was over.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Locks of held segments that were made longer.
    pub renewed: u64,
    /// Requests of playback.
    pub read_requests: u64,
    /// Bytes that playback fetched.
    pub read_bytes: u64,
    /// Requests of playback that failed.
    pub read_failures: u64,
}

/// One archive.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveView {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub place: String,
    /// `ok`, `behind`, `unreachable` or `refused`.
    #[schema(value_type = String, example = "ok")]
    pub state: ArchiveState,
    /// One sentence on a state other than `ok`.
    pub detail: Option<String>,
    /// Since when it stands so.
    pub since_us: i64,
    /// Segments in it.
    pub segments: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Segments that are due and not there yet.
    pub backlog_segments: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// For how long the oldest of them has been due.
    pub lag_us: i64,
    /// Segments whose file could not be read when they were due.
    pub unreadable: u64,
    /// When an upload was last read back and compared.
    pub verified_us: Option<i64>,
    /// What the store itself checks of an upload.
    pub upload_check: String,
    /// Segments whose time is over and that the store keeps locked.
    pub locked_segments: u64,
    /// Object lock.
    pub lock: LockView,
    /// Counters since the node started.
    pub work: ArchiveWork,
}

/// All archives.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveList {
    /// In the order of the configuration; empty when none is configured.
    pub items: Vec<ArchiveView>,
}

/// Archives as they stand now.
#[must_use]
pub fn view(app: &App) -> Vec<ArchiveView> {
    let one = |(archive, place): (&fengsui_storage::archive::Archive, &str)| {
        let (now, reads) = (archive.status(), archive.read_stats());
        ArchiveView {
            id: now.id.to_string(),
            place: place.to_owned(),
            state: now.state,
            detail: now.detail,
            since_us: now.since.0,
            segments: now.segments,
            bytes: now.bytes,
            backlog_segments: now.backlog_segments,
            backlog_bytes: now.backlog_bytes,
            lag_us: now.lag_us,
            unreadable: now.unreadable,
            verified_us: now.verified.map(|t| t.0),
            upload_check: now.upload_check.to_owned(),
            locked_segments: now.locked_segments,
            lock: LockView { state: now.lock.state, reason: now.lock.reason },
            work: ArchiveWork {
                stored: now.counters.stored,
                stored_bytes: now.counters.stored_bytes,
                verified: now.counters.verified,
                failures: now.counters.failures,
                lies: now.counters.lies,
                removed: now.counters.removed,
                removed_bytes: now.counters.removed_bytes,
                renewed: now.counters.renewed,
                read_requests: reads.requests,
                read_bytes: reads.fetched_bytes,
                read_failures: reads.failures,
            },
        }
    };
    app.archives.each().map(one).collect()
}

/// Archives as they stand now.
#[utoipa::path(get, path = "/api/v1/archive", tag = "system", responses(
    (status = 200, body = ArchiveList), (status = 401, body = Problem)))]
pub async fn show(State(app): State<Arc<App>>) -> axum::Json<ArchiveList> {
    axum::Json(ArchiveList { items: view(&app) })
}
