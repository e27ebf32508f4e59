//! What runs by the configuration of cameras: sessions, recording, retention and archives, brought together to what is
//! configured and to what is recorded in place of other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, StreamKey, StreamKind};
use fengsui_config::retention::RetentionConfig;
use fengsui_config::topology::RecordPolicy;
use fengsui_config::{Topology, limits};
use fengsui_ingest::{CameraSpec, Fleet};
use fengsui_storage::backfill::{Backfill, Came, Incoming};
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::Fs;
use fengsui_storage::recorder::Recorder;
use fengsui_storage::retention::{Retention, camera_facts};
use fengsui_storage::segment::stand_in_number;
use parking_lot::Mutex;

use crate::app::{App, Sessions};
use crate::archive::Archives;
use crate::standby::StandIn;

/// What runs by the configuration of cameras.
pub(crate) struct Cameras {
    fleet: Mutex<Option<Fleet>>,
    recorder: Arc<Recorder>,
    retention: Arc<Retention>,
    archives: Arc<Archives>,
    catalogue: Arc<Catalogue>,
    backfill: Backfill,
    /// When parts that nobody finishes were looked for last.
    parts_looked: Mutex<UtcMicros>,
    in_use: Mutex<InUse>,
}

/// What cameras there are, and which of other nodes are recorded now. Changed under one lock with all that follows from it,
/// so that a reload and an order of the centre do not undo each other.
struct InUse {
    configured: Topology,
    taken: BTreeSet<CameraId>,
}

impl InUse {
    fn topology(&self) -> Topology {
        self.configured.with_standby(&self.taken)
    }
}

impl Cameras {
    /// Of a fleet and of what else depends on cameras; nothing is applied yet.
    pub(super) fn new(
        fleet: Fleet,
        (recorder, retention, archives): (Arc<Recorder>, Arc<Retention>, Arc<Archives>),
        (fs, catalogue): (Arc<dyn Fs>, Arc<Catalogue>),
        configured: Topology,
        taken: BTreeSet<CameraId>,
    ) -> Self {
        let in_use = Mutex::new(InUse { configured, taken });
        let backfill = Backfill::new(fs, catalogue.clone());
        let (fleet, parts_looked) = (Mutex::new(Some(fleet)), Mutex::default());
        Self { fleet, recorder, retention, archives, catalogue, backfill, parts_looked, in_use }
    }

    /// Cameras and places as they are used now.
    pub(super) fn topology(&self) -> Topology {
        self.in_use.lock().topology()
    }

    /// The fleet, to be stopped.
    pub(super) fn take_fleet(&self) -> Option<Fleet> {
        self.fleet.lock().take()
    }

    pub(super) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    pub(super) fn retention(&self) -> &Arc<Retention> {
        &self.retention
    }

    pub(super) fn archives(&self) -> &Arc<Archives> {
        &self.archives
    }

    /// Takes what is configured into use.
    pub(crate) fn configure(&self, app: &App, configured: &Topology) {
        let mut in_use = self.in_use.lock();
        in_use.configured = configured.clone();
        self.apply(app, &in_use);
        drop(in_use);
        self.look_at_parts(app.clock.utc());
    }

    /// Brings sessions and recording to what is in use.
    fn apply(&self, app: &App, in_use: &InUse) {
        let topology = Arc::new(in_use.topology());
        // First, so that nothing of a camera under a hold is recorded unheld.
        self.retention.set_cameras(camera_facts(&topology));
        self.catalogue.set_number_floors(floors(&topology, app.clock.utc()));
        self.recorder.set_plan(&plan(&topology));
        self.archives.set_topology(&topology);
        if let Some(fleet) = self.fleet.lock().as_ref() {
            fleet.apply(CameraSpec::all(&topology));
        }
        app.set_topology(topology);
    }

    /// Puts parts aside that nobody finishes, once in a while.
    fn look_at_parts(&self, now: UtcMicros) {
        {
            let mut looked = self.parts_looked.lock();
            if (*looked..*looked + limits::BACKFILL_INTERVAL).contains(&now) {
                return;
            }
            *looked = now;
        }
        if let Err(error) = self.backfill.put_aside(&self.recorder.volumes(), now) {
            tracing::warn!(%error, "cannot put parts of footage aside that nobody finishes; trying again later");
        }
    }

    /// Takes other promises into use.
    pub(crate) fn keep(&self, policy: &RetentionConfig) {
        self.retention.set_policy(policy.clone());
    }
}

impl StandIn for Cameras {
    fn record(&self, app: &App, cameras: BTreeSet<CameraId>) {
        let mut in_use = self.in_use.lock();
        in_use.taken = cameras;
        self.apply(app, &in_use);
    }

    fn take_in(
        &self,
        now: UtcMicros,
        incoming: &Incoming,
        offset: u64,
        piece: &[u8],
    ) -> Result<Came, StoreError> {
        self.look_at_parts(now);
        self.backfill.put(&self.recorder.volumes(), incoming, offset, piece)
    }
}

impl Sessions for Cameras {
    fn open_sessions(&self) -> Vec<(&'static str, usize)> {
        let open = self.fleet.lock().as_ref().map(|fleet| fleet.stats().sessions).unwrap_or_default();
        vec![("lean", open.lean), ("retina", open.retina), ("gstreamer", open.gstreamer)]
    }
}

/// Streams due to be recorded.
fn plan(topology: &Topology) -> BTreeSet<StreamKey> {
    let due = topology.cameras.values().filter(|c| c.enabled && c.record == RecordPolicy::Always);
    due.map(|c| StreamKey { camera: c.id, stream: StreamKind::Main }).collect()
}

/// Numbers from which segments count that are recorded here in the place of another node from now on.
fn floors(topology: &Topology, now: UtcMicros) -> BTreeMap<StreamKey, u64> {
    let taken = topology.cameras.values().filter(|c| c.enabled && c.standby_for.is_some());
    let number = stand_in_number(now);
    taken.map(|c| (StreamKey { camera: c.id, stream: StreamKind::Main }, number)).collect()
}
