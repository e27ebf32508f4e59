#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};

const T: UtcMicros = UtcMicros(1_700_000_000_000_000);

fn volume(root: &str) -> Volume {
    let config = VolumeConfig::direct("v1".parse().unwrap(), root.into(), 1 << 20);
    Volume::new(&config, false, "centre".parse().unwrap(), "/data".into(), T)
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
        mode: VolumeMode::Use,
        weight: 100,
        stage: None,
        is_stage: false,
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

/// Of 4000 streams those that change their place, given where they are.
fn moves(before: &[VolumeStatus], after: &[VolumeStatus]) -> usize {
    (0..4000u64)
        .filter(|n| {
            let at = place(before, n * 7919, None);
            place(after, n * 7919, at) != at
        })
        .count()
}

#[test]
fn placement_follows_weights_moves_little_and_not_for_trifles() {
    let ok = VolumeState::Ok;
    let mut volumes = vec![status("a", 500, ok), status("b", 500, ok)];
    volumes[1].weight = 300;
    let on_b = (0..4000u64).filter(|n| place(&volumes, n * 7919, None) == Some(1)).count();
    assert!((2850..3150).contains(&on_b), "three quarters expected, {on_b} of 4000");
    let mut less = volumes.clone();
    less[0].free_bytes = 450 << 30;
    assert_eq!(moves(&volumes, &less), 0, "a tenth of the room is no reason to move");
    less[0].free_bytes = 125 << 30;
    let moved = moves(&volumes, &less);
    assert!((300..900).contains(&moved), "{moved} of 4000 leave a volume with a quarter of its room");
    let mut more = volumes.clone();
    more.push(status("c", 500, ok));
    let moved = moves(&volumes, &more);
    assert!((500..800).contains(&moved), "{moved} of 4000 go to a new fifth of the room, and no others move");
    let mut full = [status("a", 0, ok), status("b", 3, ok)];
    full[0].total_bytes = 4 << 40;
    assert!(moves(&full, &[full[0].clone(), status("b", 9, ok)]) == 0, "full disks share by size");
}

#[test]
fn a_stage_is_written_on_and_no_footage_is_refused_while_any_volume_works() {
    let ok = VolumeState::Ok;
    let mut volumes = vec![status("nvme", 50, ok), status("a", 500, ok), status("b", 500, ok)];
    volumes[0].is_stage = true;
    volumes[1].stage = Some("nvme".parse().unwrap());
    let places = |volumes: &[VolumeStatus]| {
        let mut found: Vec<_> = (0..200u64).map(|n| place(volumes, n * 7919, None)).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    assert_eq!(places(&volumes), [Some(0), Some(2)], "segments of a are written on its stage");
    assert_eq!(destination(&volumes, 1, 0), Some(1), "and go to a, not to b");
    volumes[0].state = VolumeState::Full;
    assert_eq!(places(&volumes), [Some(1), Some(2)], "a full stage is passed by");
    volumes[0].state = ok;
    volumes[1].state = VolumeState::Missing;
    assert_eq!(places(&volumes), [Some(2)]);
    assert_eq!(destination(&volumes, 1, 0), None, "what is staged stays until a is back");
    volumes[2].mode = VolumeMode::Drain;
    assert_eq!(places(&volumes), [Some(0)], "the stage keeps what it gets");
    volumes[0].mode = VolumeMode::Evacuate;
    volumes[1].state = ok;
    assert_eq!(places(&volumes), [Some(1)], "a stage that is emptied gets nothing");
    volumes[1].mode = VolumeMode::Drain;
    volumes[1].stage = None;
    assert_eq!(places(&volumes).len(), 3, "recording goes on before an order to drain is kept");
}

#[test]
fn modes_survive_a_restart_and_orders_about_disks_name_the_remedy() {
    let fs = SimFs::new(1);
    let (data, id, node) = (Path::new("/data"), "v1".parse().unwrap(), "centre".parse().unwrap());
    assert_eq!(probed(&fs, &mut volume("/v1")), VolumeState::Ok);
    assert_eq!(set_mode(&fs, data, &id, VolumeMode::Drain).unwrap(), VolumeMode::Use);
    let mut v = volume("/v1");
    probed(&fs, &mut v);
    assert_eq!(v.status().mode, VolumeMode::Drain);
    set_mode(&fs, data, &id, VolumeMode::Use).unwrap();
    v.forget();
    assert!(v.probe(&fs, T, MonoMicros(0)), "a change of the mode is a change");
    assert_eq!(v.status().mode, VolumeMode::Use);

    let refused = |r: Result<Taken, ActionError>| match r {
        Err(ActionError::Refused(text)) => text,
        other => format!("{other:?}"),
    };
    let root = Path::new("/v1");
    assert!(refused(replace(&fs, data, root, &id, &node, T)).contains("nothing to replace"));
    // An empty disk in the place of the known one.
    fs.remove(&root.join(IDENTITY_FILE)).unwrap();
    v.forget();
    assert_eq!(probed(&fs, &mut v), VolumeState::Missing);
    assert!(v.status().detail.as_ref().unwrap().contains("fengsui volume replace v1"));
    assert!(refused(adopt(&fs, data, root, &id, &node, T)).contains("fengsui volume replace v1"));
    let taken = replace(&fs, data, root, &id, &node, T).unwrap();
    assert!(taken.before.is_some_and(|b| b != taken.uuid));
    v.forget();
    assert_eq!(probed(&fs, &mut v), VolumeState::Ok);
    // The disk of another node.
    let other =
        VolumeIdentity { format: 1, uuid: "ab".into(), id: "x".into(), node: "n".into(), created_us: 1 };
    fs.put(&root.join(IDENTITY_FILE), serde_json::to_vec(&other).unwrap());
    v.forget();
    assert_eq!(probed(&fs, &mut v), VolumeState::Missing);
    assert!(v.status().detail.as_ref().unwrap().contains("fengsui volume adopt v1"));
    assert!(refused(replace(&fs, data, root, &id, &node, T)).contains("fengsui volume adopt v1"));
    assert_eq!(adopt(&fs, data, root, &id, &node, T).unwrap().uuid, "ab");
    v.forget();
    assert_eq!(probed(&fs, &mut v), VolumeState::Ok);
    let second = "v2".parse().unwrap();
    assert!(refused(adopt(&fs, data, root, &second, &node, T)).contains("disk of volume v1"));
}
