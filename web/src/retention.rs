//! Retention of a node with its register, as the API needs them.

use std::sync::Arc;

use fengsui_config::Config;
use fengsui_config::clock::Clock;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::Fs;
use fengsui_storage::journal::Journal;
use fengsui_storage::retention::{
    Archived, Forget, Retention, RetentionOptions, RetentionState, VolumeNow, camera_facts,
};

/// Retention, and the journal that holds its register.
#[derive(Debug)]
pub struct Retained {
    /// Holds and deletes.
    pub retention: Arc<Retention>,
    /// Has the register.
    pub journal: Arc<Journal>,
}

/// The volumes of a configuration; whether they are there is seen when something is done with them.
#[must_use]
pub fn volumes(config: &Config) -> Vec<VolumeNow> {
    let of = |v: &fengsui_config::VolumeConfig| VolumeNow {
        id: v.id.clone(),
        root: v.path.clone(),
        usable: true,
        reserve_bytes: v.reserve_bytes,
    };
    config.storage.volumes.iter().map(of).collect()
}

/// Takes up retention where the journal says it was. Before the recorder starts: it would take files that a deletion was
/// interrupted at for lost ones.
///
/// # Errors
/// When the journal cannot be read, or a record about holds cannot be understood: nothing may be deleted then.
pub fn open(
    config: &Config,
    (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>),
    catalogue: Arc<Catalogue>,
    journal: &Arc<Journal>,
    (archived, forget): (Arc<dyn Archived>, Option<Arc<dyn Forget>>),
) -> Result<Arc<Retention>, StoreError> {
    let options = RetentionOptions {
        fs,
        clock,
        catalogue,
        log: journal.clone(),
        policy: config.retention.clone(),
        water: config.storage.volumes.iter().map(|v| (v.id.clone(), v.water)).collect(),
        archived,
        forget,
    };
    let retention = Retention::open(options, journal.state::<RetentionState>()?, &volumes(config));
    retention.set_cameras(camera_facts(&config.topology));
    Ok(retention)
}
