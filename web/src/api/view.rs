//! How cameras look in the API.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::topology::{Camera, CameraClass, RecordPolicy};
use fengsui_config::{StreamSource, Topology};
use fengsui_storage::board::{FailureClass, SessionState, StreamStatus};
use fengsui_storage::frame::GapReason;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::command::states::{CameraRow, Known};
use crate::command::{self, Far};

/// A word that a newer node may have and that is not known here counts as none.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    told: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(told)?).ok())
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Size {
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
}

/// State of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamView {
    /// `idle`, `waiting`, `opening`, `playing`, `stalled` or `back_off`.
    #[schema(value_type = String, example = "playing")]
    pub state: SessionState,
    /// Since when.
    pub since_us: i64,
    /// Class of the last failure, until the next success.
    #[schema(value_type = Option<String>, example = "auth")]
    #[serde(default, deserialize_with = "lenient")]
    pub failure: Option<FailureClass>,
    /// The failure in one sentence.
    pub detail: Option<String>,
    /// When the next attempt is due.
    pub retry_at_us: Option<i64>,
    /// RFC 6381 codec string.
    pub codec: Option<String>,
    /// Size of the picture.
    pub size: Option<Size>,
    /// Pictures a second.
    pub fps: f32,
    /// Bits a second.
    pub bits_per_second: u64,
    /// Camera clock less node clock.
    pub clock_offset_us: Option<i64>,
    /// Access units received since the node started.
    pub units: u64,
    /// Bytes received since the node started.
    pub bytes: u64,
    /// RTP packets lost since the node started.
    pub lost_packets: u64,
    /// Sessions opened since the node started.
    pub sessions: u64,
    /// When the last access unit arrived.
    pub last_unit_us: Option<i64>,
}

impl From<StreamStatus> for StreamView {
    fn from(s: StreamStatus) -> Self {
        Self {
            state: s.state,
            since_us: s.since.0,
            failure: s.failure,
            detail: s.detail,
            retry_at_us: s.retry_at.map(|t| t.0),
            codec: s.codec,
            size: s.size.map(|(width, height)| Size { width, height }),
            fps: s.fps,
            bits_per_second: s.bits_per_second,
            clock_offset_us: s.clock_offset_us,
            units: s.units,
            bytes: s.bytes,
            lost_packets: s.lost_packets,
            sessions: s.sessions,
            last_unit_us: s.last_unit.map(|t| t.0),
        }
    }
}

/// The streams of a camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamsView {
    /// Main stream.
    pub main: StreamView,
    /// Sub-stream, if it has one.
    pub sub: Option<StreamView>,
}

/// Whether a camera is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// Pictures reach the disk.
    Recording,
    /// They should, and do not.
    NotRecording,
    /// Not wanted.
    Off,
}

/// Recording of the main stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingView {
    /// State.
    pub state: RecordingState,
    /// Why not, with `not_recording`.
    #[schema(value_type = Option<String>, example = "camera_offline")]
    #[serde(default, deserialize_with = "lenient")]
    pub reason: Option<GapReason>,
    /// Since when.
    pub since_us: Option<i64>,
    /// Newest picture on disk.
    pub last_us: Option<i64>,
}

/// A place on the ground, WGS-84 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct PositionView {
    /// North positive.
    pub lat: f64,
    /// East positive.
    pub lon: f64,
}

/// The other node that has a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FarView {
    /// Its name.
    pub id: String,
    /// What is shown of the camera is as the node says it is now.
    pub known: bool,
    /// When it was so, where it is not known to be so now; none when the node has never told.
    pub at_us: Option<i64>,
}

/// A camera with its state.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CameraView {
    /// National 20-digit code.
    pub code: String,
    /// Name.
    pub name: String,
    /// Code of its site.
    pub site: String,
    /// Name of its site.
    pub site_name: String,
    /// Name of its station.
    pub station_name: String,
    /// Name of its sub-centre.
    pub sub_centre_name: String,
    /// False: neither opened nor recorded.
    pub enabled: bool,
    /// The node that records it; this one does only while that one is gone, and is not `enabled` else.
    pub standby_for: Option<String>,
    /// `normal` or `key`.
    #[schema(value_type = String, example = "normal")]
    pub class: CameraClass,
    /// Host (and port, when it is not the usual one) of the main stream.
    pub host: String,
    /// Where it stands.
    pub position: Option<PositionView>,
    /// States of its streams.
    pub streams: StreamsView,
    /// Recording of its main stream.
    pub recording: RecordingView,
    /// The node that has it, when that is another one.
    pub node: Option<FarView>,
}

/// The camera with its state now.
#[must_use]
pub fn camera(app: &App, topology: &Topology, camera: &Camera) -> CameraView {
    let site = topology.sites.get(&camera.site);
    let station = site.and_then(|s| topology.stations.get(&s.station));
    let sub_centre = station.and_then(|s| topology.sub_centres.get(&s.sub_centre));
    let position = camera.position.or_else(|| site.and_then(|s| s.position));
    let status = |stream| {
        let key = StreamKey { camera: camera.id, stream };
        StreamView::from(app.board.get(&key).unwrap_or_else(|| StreamStatus::idle(app.node.started)))
    };
    let shown = CameraView {
        code: camera.id.to_string(),
        name: camera.name.clone(),
        site: camera.site.to_string(),
        site_name: site.map_or_else(String::new, |s| s.name.clone()),
        station_name: station.map_or_else(String::new, |s| s.name.clone()),
        sub_centre_name: sub_centre.map_or_else(String::new, |s| s.name.clone()),
        enabled: camera.enabled,
        standby_for: camera.standby_for.as_ref().map(ToString::to_string),
        class: camera.class,
        host: host(&camera.main),
        position: position.map(|p| PositionView { lat: p.lat, lon: p.lon }),
        streams: StreamsView {
            main: status(StreamKind::Main),
            sub: camera.sub.as_ref().map(|_| status(StreamKind::Sub)),
        },
        recording: recording(app, camera),
        node: None,
    };
    match command::holder(app, camera.id) {
        Some(far) => elsewhere(shown, camera, &far),
        None => shown,
    }
}

/// A camera of another node, as that tells it.
fn elsewhere(shown: CameraView, camera: &Camera, far: &Far) -> CameraView {
    let id = far.node.to_string();
    let Some(Known { row, at }) = far.centre.states.of(&far.node, &camera.id) else {
        // A node was given it, so it is one to be seen; how it is nobody knows.
        return CameraView { enabled: true, node: Some(FarView { id, known: false, at_us: None }), ..shown };
    };
    // The node may have it from one below.
    let (below, at) = (row.node.as_ref().filter(|node| !node.known), at.map(|t| t.0));
    let known = at.is_none() && below.is_none();
    let at_us = below.map_or(at, |node| node.at_us);
    let CameraRow { enabled, streams, recording, .. } = row.as_ref().clone();
    CameraView { enabled, streams, recording, node: Some(FarView { id, known, at_us }), ..shown }
}

fn host(source: &StreamSource) -> String {
    let name = source.url.host_str().unwrap_or("");
    source.url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn recording(app: &App, camera: &Camera) -> RecordingView {
    let off = RecordingView { state: RecordingState::Off, reason: None, since_us: None, last_us: None };
    if !camera.enabled || camera.record == RecordPolicy::Never {
        return off;
    }
    let key = StreamKey { camera: camera.id, stream: StreamKind::Main };
    let micros = |t: UtcMicros| t.0;
    match app.recordings.stream(&key) {
        Some(now) => RecordingView {
            state: if now.recording { RecordingState::Recording } else { RecordingState::NotRecording },
            reason: if now.recording { None } else { now.reason },
            since_us: now.since.map(micros),
            last_us: now.last.map(micros),
        },
        None => RecordingView { state: RecordingState::NotRecording, ..off },
    }
}
