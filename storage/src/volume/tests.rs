#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};

const T: UtcMicros = UtcMicros(1_700_000_000_000_000);

fn volume(root: &str) -> Volume {
    Volume::new("v1".parse().unwrap(), root.into(), 1 << 20, "centre".parse().unwrap(), "/data".into(), T)
}

fn probed(fs: &SimFs, volume: &mut Volume) -> VolumeState {
    volume.probe(fs, T, MonoMicros(0));
    volume.status().state
}

#[test]
fn a_new_volume_is_adopted_once_and_known_again() {
    let fs = SimFs::new(1);
    assert_eq!(probed(&fs, &mut volume("/v1")), VolumeState::Ok);
    let identity = fs.get(Path::new("/v1/fengsui-volume.json")).unwrap();
    assert_eq!(probed(&fs, &mut volume("/v1")), VolumeState::Ok);
    assert_eq!(fs.get(Path::new("/v1/fengsui-volume.json")).unwrap(), identity);
}

#[test]
fn a_bare_mount_point_is_missing_and_nothing_is_written_to_it() {
    let fs = SimFs::new(1);
    probed(&fs, &mut volume("/v1"));
    let mut moved = volume("/mnt/empty");
    assert_eq!(probed(&fs, &mut moved), VolumeState::Missing);
    assert!(moved.status().detail.as_ref().unwrap().contains("not mounted"));
    assert!(fs.files().iter().all(|f| !f.starts_with("/mnt")));
}

#[test]
fn another_disk_in_the_place_is_noticed_while_running() {
    let fs = SimFs::new(1);
    let mut v = volume("/v1");
    probed(&fs, &mut v);
    let path = Path::new("/v1/fengsui-volume.json");
    let mut other: VolumeIdentity = serde_json::from_slice(&fs.get(path).unwrap()).unwrap();
    let own = fs.get(path).unwrap();
    other.uuid = "0".repeat(32);
    fs.put(path, serde_json::to_vec(&other).unwrap());
    assert_eq!(probed(&fs, &mut v), VolumeState::Missing);
    other.id = "v2".into();
    fs.put(path, serde_json::to_vec(&other).unwrap());
    assert_eq!(probed(&fs, &mut v), VolumeState::Missing);
    assert!(v.status().detail.as_ref().unwrap().contains("belongs to volume v2"));
    fs.put(path, b"no json".to_vec());
    assert_eq!(probed(&fs, &mut v), VolumeState::Error);
    fs.put(path, own);
    assert_eq!(probed(&fs, &mut v), VolumeState::Ok);
}

#[test]
fn a_full_volume_comes_back_only_with_room_above_its_reserve() {
    let fs = SimFs::new(1);
    let mut v = volume("/v1");
    probed(&fs, &mut v);
    fs.put(Path::new("/v1/filler"), vec![0; 1000]);
    let used = (1 << 40) - fs.space(Path::new("/v1")).unwrap().free;
    fs.set_capacity(used + (1 << 20) - 1);
    assert_eq!(probed(&fs, &mut v), VolumeState::Full);
    fs.set_capacity(used + (1 << 20) + 10);
    assert_eq!(probed(&fs, &mut v), VolumeState::Full, "a few bytes more would fill up at once");
    fs.set_capacity(used + (2 << 20));
    assert_eq!(probed(&fs, &mut v), VolumeState::Ok);
}

#[test]
fn a_volume_that_failed_must_prove_itself() {
    let fs = SimFs::new(1);
    let mut v = volume("/v1");
    probed(&fs, &mut v);
    let error = StoreError::io("write group", Path::new("/v1/x"))(io::Error::from_raw_os_error(5));
    v.failed(&error, T + Duration::from_secs(1), MonoMicros(1_000_000));
    assert_eq!((v.status().state, v.status().since), (VolumeState::Error, T + Duration::from_secs(1)));
    assert!(!v.probe_due(MonoMicros(2_000_000)));
    assert!(v.probe_due(MonoMicros(3_000_000)));
    fs.plan(FaultPlan {
        operation: Some(Operation::SyncFile),
        below: None,
        after: 0,
        times: 1,
        fault: Fault::Io,
    });
    assert_eq!(probed(&fs, &mut v), VolumeState::Error);
    assert_eq!(probed(&fs, &mut v), VolumeState::Ok);
    assert_eq!(v.status().detail, None);
    let full = StoreError::io("write group", Path::new("/v1/x"))(io::Error::from_raw_os_error(28));
    v.failed(&full, T, MonoMicros(0));
    assert_eq!(v.status().state, VolumeState::Full);
}

fn status(id: &str, free_gib: u64, state: VolumeState) -> VolumeStatus {
    VolumeStatus {
        id: id.parse().unwrap(),
        root: PathBuf::new(),
        state,
        detail: None,
        since: T,
        total_bytes: 1 << 40,
        free_bytes: free_gib << 30,
        reserve_bytes: 0,
    }
}

#[test]
fn streams_spread_by_free_room_and_stay_where_they_are() {
    let mut volumes = [status("a", 100, VolumeState::Ok), status("b", 300, VolumeState::Ok)];
    let on_b = |volumes: &[VolumeStatus]| {
        (0..4000u64).filter(|n| choose(volumes, n * 7919).unwrap().as_str() == "b").count()
    };
    let first = on_b(&volumes);
    assert!((2850..3150).contains(&first), "three quarters expected, {first} of 4000");
    volumes[1].free_bytes -= 3 << 30;
    let moved = (0..4000u64)
        .filter(|n| {
            let before = [status("a", 100, VolumeState::Ok), status("b", 300, VolumeState::Ok)];
            choose(&before, n * 7919) != choose(&volumes, n * 7919)
        })
        .count();
    assert!(moved < 40, "{moved} of 4000 moved for one hundredth of the room");
    volumes[1].state = VolumeState::Full;
    assert_eq!(on_b(&volumes), 0);
    volumes[0].state = VolumeState::Error;
    assert_eq!(choose(&volumes, 1), None);
}
