//! Orders about volumes while the recorder runs.

use std::sync::atomic::Ordering;

use fengsui_config::ids::VolumeId;

use super::{Recorder, VolumeCell, VolumeLoad};
use crate::volume::{self, ActionError, Taken, VolumeMode};

impl Recorder {
    /// Sets what a volume is used for, durably; returns what it was used for before. Streams leave a volume that is
    /// drained at their next key frame.
    pub fn set_volume_mode(&self, id: &VolumeId, mode: VolumeMode) -> Result<VolumeMode, ActionError> {
        let cell = self.volume_cell(id)?;
        let options = &self.core.options;
        let before = volume::set_mode(&*options.fs, &options.data, id, mode)?;
        cell.reload.store(true, Ordering::Release);
        self.core.bell.1.notify_all();
        Ok(before)
    }

    /// Takes the disk mounted in the place of a volume as that volume, with the footage on it.
    pub fn adopt_volume(&self, id: &VolumeId) -> Result<Taken, ActionError> {
        let cell = self.volume_cell(id)?;
        let o = &self.core.options;
        let taken = volume::adopt(&*o.fs, &o.data, &cell.root, id, &o.node, o.clock.utc())?;
        self.look_again(cell);
        Ok(taken)
    }

    /// Puts the empty disk mounted in the place of a volume into use as that volume.
    pub fn replace_volume(&self, id: &VolumeId) -> Result<Taken, ActionError> {
        let cell = self.volume_cell(id)?;
        let o = &self.core.options;
        let taken = volume::replace(&*o.fs, &o.data, &cell.root, id, &o.node, o.clock.utc())?;
        self.look_again(cell);
        Ok(taken)
    }

    /// What lies on each volume, and how its segments leave it.
    #[must_use]
    pub fn volume_loads(&self) -> Vec<VolumeLoad> {
        self.core.loads()
    }

    fn volume_cell(&self, id: &VolumeId) -> Result<&VolumeCell, ActionError> {
        let found = self.core.volumes.iter().find(|v| v.id == *id);
        found.ok_or_else(|| {
            ActionError::Refused(format!("{id} is no volume of this node; see the configuration"))
        })
    }

    fn look_again(&self, cell: &VolumeCell) {
        cell.reload.store(true, Ordering::Release);
        cell.unchecked.store(true, Ordering::Release);
        self.core.bell.1.notify_all();
    }
}
