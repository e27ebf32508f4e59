//! What ingest needs to know of a camera.

use fengsui_config::ids::{CameraId, StreamKey, StreamKind};
use fengsui_config::topology::{Camera, RecordPolicy, Transport};
use fengsui_config::{Credentials, StreamSource, Topology};
use url::Url;

/// A camera as ingest sees it. Names, places and dossiers are left out: their change must not disturb a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraSpec {
    /// The camera.
    pub id: CameraId,
    /// False: no stream of it is opened.
    pub enabled: bool,
    /// When its main stream is pulled without a viewer.
    pub record: RecordPolicy,
    /// How RTP comes.
    pub transport: Transport,
    /// Main stream.
    pub main: StreamSource,
    /// Sub stream, if it has one.
    pub sub: Option<StreamSource>,
    /// User name and password, if it asks for them.
    pub credentials: Option<Credentials>,
}

impl From<&Camera> for CameraSpec {
    fn from(camera: &Camera) -> Self {
        Self {
            id: camera.id,
            enabled: camera.enabled,
            record: camera.record,
            transport: camera.transport,
            main: camera.main.clone(),
            sub: camera.sub.clone(),
            credentials: camera.credentials.clone(),
        }
    }
}

impl CameraSpec {
    /// All cameras of a topology.
    #[must_use]
    pub fn all(topology: &Topology) -> Vec<Self> {
        topology.cameras.values().map(Self::from).collect()
    }

    /// Its streams.
    pub(crate) fn streams(&self) -> impl Iterator<Item = StreamSpec> + '_ {
        let main = (StreamKind::Main, Some(&self.main));
        let sub = (StreamKind::Sub, self.sub.as_ref());
        [main, sub].into_iter().filter_map(|(kind, source)| {
            Some(StreamSpec {
                key: StreamKey { camera: self.id, stream: kind },
                enabled: self.enabled,
                always: kind == StreamKind::Main && self.record == RecordPolicy::Always,
                target: Target {
                    url: source?.url.clone(),
                    transport: self.transport,
                    credentials: self.credentials.clone(),
                },
            })
        })
    }
}

/// One stream as its worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamSpec {
    pub key: StreamKey,
    pub enabled: bool,
    pub always: bool,
    pub target: Target,
}

/// Where a stream is, and how to get in. A change here needs a new session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `rtsp://` or `rtsps://`, without user information.
    pub url: Url,
    /// How RTP comes.
    pub transport: Transport,
    /// User name and password.
    pub credentials: Option<Credentials>,
}

impl Target {
    /// The device behind the address: sessions to one device are opened a few at a time.
    #[must_use]
    pub fn device(&self) -> String {
        let port = self.url.port().unwrap_or(if self.url.scheme() == "rtsps" { 322 } else { 554 });
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }
}
