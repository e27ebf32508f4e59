//! The tree of places: city > sub-centre > station > site > camera > stream.

mod place;
mod position;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use url::Url;

pub use place::{PlaceKind, PlaceRefused};
pub use position::{Datum, Position, PositionError, to_wgs84};

use crate::ids::{CameraId, NationalCode, NodeId, StreamKind};
use crate::secret::Credentials;

/// The whole tree, with every parent known to exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// The root.
    pub city: City,
    /// Sub-centres (分中心) by code.
    pub sub_centres: BTreeMap<NationalCode, SubCentre>,
    /// Police stations (派出所) by code.
    pub stations: BTreeMap<NationalCode, Station>,
    /// Monitoring sites (监控点) by code.
    pub sites: BTreeMap<NationalCode, Site>,
    /// Cameras (摄像机) by code.
    pub cameras: BTreeMap<CameraId, Camera>,
}

impl Topology {
    /// The tree as it is used now: cameras for which this node only stands by are not enabled, but those in `taken`.
    #[must_use]
    pub fn with_standby(&self, taken: &BTreeSet<CameraId>) -> Self {
        let mut used = self.clone();
        for camera in used.cameras.values_mut() {
            camera.enabled &= camera.standby_for.is_none() || taken.contains(&camera.id);
        }
        used
    }

    /// The cameras for which this node stands by in place of `owner`.
    pub fn standby_for<'a>(&'a self, owner: &'a NodeId) -> impl Iterator<Item = &'a Camera> {
        self.cameras.values().filter(move |camera| camera.standby_for.as_ref() == Some(owner))
    }
}

/// The city (市): the root of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct City {
    /// National code, type 200.
    pub code: NationalCode,
    /// Name shown to people.
    pub name: String,
}

/// A sub-centre (分中心): records and serves its own cameras.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubCentre {
    /// National code, type 200, 215 or 216.
    pub code: NationalCode,
    /// Name shown to people.
    pub name: String,
}

/// A police station (派出所) within a sub-centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Station {
    /// National code, type 200, 215 or 216.
    pub code: NationalCode,
    /// Name shown to people.
    pub name: String,
    /// Its sub-centre.
    pub sub_centre: NationalCode,
}

/// A monitoring site (监控点): one place with one or more cameras.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Site {
    /// National code, type 215 or 216.
    pub code: NationalCode,
    /// Name shown to people.
    pub name: String,
    /// Its station.
    pub station: NationalCode,
    /// What kind of place it is; never a place of privacy.
    pub kind: PlaceKind,
    /// Where it is, if known.
    pub position: Option<Position>,
}

/// A camera (摄像机).
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// National code, type 131 or 132.
    pub id: CameraId,
    /// Name shown to people.
    pub name: String,
    /// Its site.
    pub site: NationalCode,
    /// False: known, but neither opened nor recorded.
    pub enabled: bool,
    /// The node that records it; this one stands by and opens it only while its centre says that the other is gone.
    pub standby_for: Option<NodeId>,
    /// Retention class.
    pub class: CameraClass,
    /// Whether its main stream is due to be recorded.
    pub record: RecordPolicy,
    /// How RTP comes.
    pub transport: Transport,
    /// The full picture, recorded.
    pub main: StreamSource,
    /// The small picture, for walls.
    pub sub: Option<StreamSource>,
    /// How it lets us in.
    pub credentials: Option<Credentials>,
    /// Where it is, if it differs from its site or is known better.
    pub position: Option<Position>,
    /// The full record of the device (一机一档).
    pub dossier: Dossier,
}

impl Camera {
    /// The source of a stream, if the camera has it.
    #[must_use]
    pub fn source(&self, stream: StreamKind) -> Option<&StreamSource> {
        match stream {
            StreamKind::Main => Some(&self.main),
            StreamKind::Sub => self.sub.as_ref(),
        }
    }
}

/// Address of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSource {
    /// `rtsp://` or `rtsps://`, never with user name or password.
    pub url: Url,
}

/// How long footage must be kept (Counter-Terrorism Law Art. 32 for key targets).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraClass {
    /// At least 30 days.
    #[default]
    Normal,
    /// A key target: at least 90 days.
    Key,
}

impl CameraClass {
    /// Every class, in the order in which their promises would be broken.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Key];

    /// Its word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Key => "key",
        }
    }
}

/// When a camera's main stream is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordPolicy {
    /// Every second of every day.
    #[default]
    Always,
    /// Live only.
    Never,
}

/// How RTP comes from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Interleaved in the RTSP connection.
    #[default]
    Tcp,
    /// In datagrams of its own.
    Udp,
}

/// The full record of one camera (一机一档); every field is optional.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Dossier {
    /// Maker.
    pub vendor: Option<String>,
    /// Model name as on the label.
    pub model: Option<String>,
    /// Serial number as on the label.
    pub serial: Option<String>,
    /// Day of installation, `YYYY-MM-DD`.
    pub installed: Option<String>,
    /// Height above ground in metres.
    pub height_m: Option<f64>,
    /// Direction of view in degrees clockwise from north, 0 to below 360.
    pub azimuth_deg: Option<f64>,
    /// Horizontal field of view in degrees, above 0 to 360.
    pub field_of_view_deg: Option<f64>,
    /// Who looks after it.
    pub contact: Option<String>,
    /// Telephone of the contact.
    pub phone: Option<String>,
    /// Company that maintains it.
    pub maintainer: Option<String>,
    /// Anything else worth knowing.
    pub note: Option<String>,
}
