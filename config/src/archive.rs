//! Where whole segments are kept beside the volumes: a bucket of an S3 store or a folder.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::ids::{CameraId, VolumeId};
use crate::secret::Secret;
use crate::topology::{Camera, CameraClass};

/// One archive, after every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// Its name; footage that is there alone is shown as being on the volume of this name.
    pub id: VolumeId,
    /// Where it is.
    pub place: ArchivePlace,
    /// What goes there, beside held footage, which always does.
    pub choice: ArchiveChoice,
    /// Age of a closed segment at which it goes there.
    pub after: Duration,
    /// Age at which it is deleted there, unless held; none keeps it until somebody else deletes it.
    pub max: Option<Duration>,
    /// Bytes a second that uploads take together at most.
    pub rate_bytes: Option<u64>,
    /// Uploads at once.
    pub uploads: usize,
    /// Share of the uploads that are read back whole and compared, 0 to 100.
    pub verify_percent: u32,
    /// Bytes of the archive's footage that playback keeps in memory.
    pub cache_bytes: usize,
    /// Retention that each object is given; none leaves that to the bucket.
    pub lock: Option<ArchiveLock>,
}

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    /// An absolute folder.
    Folder(PathBuf),
    /// A bucket of an S3 store.
    S3(Box<S3Place>),
}

/// A bucket of an S3 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// What stands before every key; empty or without slashes at its ends.
    pub prefix: String,
    /// Address of the store.
    pub endpoint: Url,
    /// Region that requests are signed for.
    pub region: String,
    /// Name of the access key.
    pub access_key: Secret,
    /// The access key's secret.
    pub secret_key: Secret,
    /// PEM certificates that the store's is checked against; the machine's own when absent.
    pub ca: Option<PathBuf>,
}

/// Retention that objects are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLock {
    /// Nobody may shorten it, not even the store's administrator (`compliance`); otherwise whoever has the right to
    /// may (`governance`).
    pub compliance: bool,
    /// Days from the end of the footage.
    pub days: u32,
}

/// What is archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveChoice {
    /// Cameras of these classes.
    pub classes: Vec<CameraClass>,
    /// And these.
    pub cameras: BTreeSet<CameraId>,
}

impl ArchiveChoice {
    /// Whether a camera's footage is archived.
    #[must_use]
    pub fn takes(&self, camera: &Camera) -> bool {
        self.classes.contains(&camera.class) || self.cameras.contains(&camera.id)
    }
}
