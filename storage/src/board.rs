//! The board of camera states: written by ingest, read by the API. One fixed place per stream, no queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Not wanted now (a sub-stream that nobody watches, or a disabled camera).
    Idle,
    /// Waiting for its turn to connect.
    Waiting,
    /// Connecting and negotiating.
    Opening,
    /// Access units arrive.
    Playing,
    /// Connected, but nothing arrives.
    Stalled,
    /// Failed; waiting for the next attempt.
    BackOff,
}

/// Class of the last failure. Texts are part of the API; the UI translates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Name not found, no route, connection refused or timed out.
    Unreachable,
    /// User name or password refused.
    Auth,
    /// The path does not exist on the device (404, 454).
    WrongPath,
    /// What answers does not speak RTSP.
    NotRtsp,
    /// The device refuses for now (453, 503, too many sessions).
    Busy,
    /// Codec not supported, or parameters missing.
    Unsupported,
    /// Malformed data within a session.
    BadData,
    /// Pictures, but no key frame within the time allowed.
    NoKeyFrame,
    /// Nothing arrived for `limits::STALL_AFTER`.
    Stalled,
    /// The device closed the session.
    Closed,
    /// A defect of ours: the worker ended by a panic and was started again.
    Internal,
}

/// What is known of one stream right now.
#[derive(Debug, Clone, Serialize)]
pub struct StreamStatus {
    /// Session state.
    pub state: SessionState,
    /// Since when, on the node's clock.
    pub since: UtcMicros,
    /// Last failure, kept until the next success.
    pub failure: Option<FailureClass>,
    /// The failure in one plain sentence; never holds a password.
    pub detail: Option<String>,
    /// When the next attempt is due.
    pub retry_at: Option<UtcMicros>,
    /// Codec string, for example `avc1.64001F`.
    pub codec: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(u16, u16)>,
    /// Pictures a second over the last seconds.
    pub fps: f32,
    /// Bits a second over the last seconds.
    pub bits_per_second: u64,
    /// Camera time less node time in microseconds, by sender report.
    pub clock_offset_us: Option<i64>,
    /// Access units received in this process's life.
    pub units: u64,
    /// Bytes received in this process's life.
    pub bytes: u64,
    /// RTP packets lost in this process's life.
    pub lost_packets: u64,
    /// Sessions opened in this process's life.
    pub sessions: u64,
    /// When the last access unit arrived.
    pub last_unit: Option<UtcMicros>,
}

impl StreamStatus {
    /// A stream that has not been tried yet.
    #[must_use]
    pub fn idle(since: UtcMicros) -> Self {
        Self {
            state: SessionState::Idle,
            since,
            failure: None,
            detail: None,
            retry_at: None,
            codec: None,
            size: None,
            fps: 0.0,
            bits_per_second: 0,
            clock_offset_us: None,
            units: 0,
            bytes: 0,
            lost_packets: 0,
            sessions: 0,
            last_unit: None,
        }
    }
}

/// All stream states of a node.
#[derive(Debug, Default)]
pub struct Board {
    streams: RwLock<BTreeMap<StreamKey, Arc<Mutex<StreamStatus>>>>,
}

impl Board {
    /// The place of `key`, made when new.
    pub fn place(&self, key: StreamKey, now: UtcMicros) -> Arc<Mutex<StreamStatus>> {
        if let Some(found) = self.streams.read().get(&key) {
            return found.clone();
        }
        self.streams
            .write()
            .entry(key)
            .or_insert_with(|| Arc::new(Mutex::new(StreamStatus::idle(now))))
            .clone()
    }

    /// Takes a stream off the board.
    pub fn remove(&self, key: &StreamKey) {
        self.streams.write().remove(key);
    }

    /// The state of one stream.
    #[must_use]
    pub fn get(&self, key: &StreamKey) -> Option<StreamStatus> {
        self.streams.read().get(key).map(|p| p.lock().clone())
    }

    /// A copy of every state, in order of key.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(StreamKey, StreamStatus)> {
        self.streams.read().iter().map(|(k, p)| (*k, p.lock().clone())).collect()
    }
}
