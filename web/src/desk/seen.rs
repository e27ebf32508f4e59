//! How the node looks to the watch over its states.

use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::topology::{Camera, CameraClass};
use fengsui_relay::event::watch::{CameraSeen, RecordingSeen, Seen, VolumeSeen};
use fengsui_storage::board::StreamStatus;

use crate::app::App;
use crate::recordings::VolumeState;

/// Looks at board, recordings, volumes and journal.
pub(super) fn look(app: &App) -> Seen {
    let topology = app.topology();
    let cameras = topology.cameras.values().map(|one| camera(app, one)).collect();
    let volumes = app.recordings.volumes().into_iter().map(|v| VolumeSeen {
        state: word(v.state).to_owned(),
        ok: v.state == VolumeState::Ok,
        id: v.id,
        detail: v.detail,
    });
    Seen {
        cameras,
        volumes: volumes.collect(),
        lost_to_disks: app.media.stats().recorder_dropped_units,
        journal_errors: app.auth.register.errors(),
    }
}

fn camera(app: &App, camera: &Camera) -> CameraSeen {
    let key = StreamKey { camera: camera.id, stream: StreamKind::Main };
    let status = app.board.get(&key).unwrap_or_else(|| StreamStatus::idle(app.node.started));
    let recording = app.recordings.stream(&key).filter(|_| camera.enabled);
    CameraSeen {
        camera: camera.id,
        key: camera.class == CameraClass::Key,
        enabled: camera.enabled,
        state: status.state,
        failure: status.failure,
        detail: status.detail,
        clock_offset_us: status.clock_offset_us,
        lost_packets: status.lost_packets,
        recording: recording.map(|r| RecordingSeen { recording: r.recording, reason: r.reason }),
    }
}

fn word(state: VolumeState) -> &'static str {
    match state {
        VolumeState::Ok => "ok",
        VolumeState::Full => "full",
        VolumeState::Error => "error",
        VolumeState::Missing => "missing",
    }
}
