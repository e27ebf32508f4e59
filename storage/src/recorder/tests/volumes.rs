//! Several volumes: stages, draining, emptying, and the loss of one while it is written to.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_config::{VolumeConfig, VolumeKind};

use super::bench::{Bench, Outage, key};
use crate::catalogue::VolumeUsage;
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Fs, Operation, SimFs};
use crate::recorder::VolumeLoad;
use crate::segment::check;
use crate::volume::VolumeMode;

fn id(name: &str) -> VolumeId {
    name.parse().unwrap()
}

fn direct(name: &str, reserve: u64) -> VolumeConfig {
    VolumeConfig::direct(id(name), format!("/{name}").into(), reserve)
}

fn staged(name: &str) -> VolumeConfig {
    VolumeConfig { kind: VolumeKind::Staged { stage: id("nvme") }, ..direct(name, 4096) }
}

fn segments_on(b: &Bench, k: StreamKey) -> Vec<String> {
    b.catalogue.segments(k, b.start, b.now()).iter().map(|r| format!("{} {}", r.volume, r.closed)).collect()
}

fn load(b: &Bench, name: &str) -> VolumeLoad {
    // What lies where is counted anew after a while.
    b.clock.advance(Duration::from_secs(11));
    b.recorder.volume_loads().into_iter().find(|l| l.id.as_str() == name).unwrap()
}

/// Every row names a file that is whole, no file is there twice, and no unfinished copy is left.
fn assert_one_whole_copy_each(b: &Bench, keys: &[StreamKey], what: &str) {
    let mut known = BTreeSet::new();
    for k in keys {
        for row in b.catalogue.segments(*k, b.start, b.now()).iter().filter(|r| r.closed) {
            let path = Path::new("/").join(row.volume.as_str()).join(row.path());
            let found = check(&b.fs, &path, true).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert!(found.closed && found.signed, "{what}: {path:?} {found:?}");
            known.insert(path);
        }
    }
    let closed = |p: &Path| {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        p.extension().is_some_and(|e| e == "mp4")
            && !name.contains(".open.")
            && !p.iter().any(|c| c == "quarantine")
    };
    let files: BTreeSet<_> = b.fs.files().into_iter().filter(|p| closed(p)).collect();
    assert_eq!(files, known, "{what}");
    assert!(b.fs.files().iter().all(|p| !p.ends_with(".part")), "{what}");
}

/// From the first picture on all is footage.
fn assert_no_gap(b: &Bench, k: StreamKey, what: &str) {
    let spans = b.spans(k);
    assert!(spans.iter().all(|s| s.2 == "footage"), "{what}: {spans:?}");
    assert!(spans.windows(2).all(|w| w[1].0 - w[0].1 < 0.51), "{what}: {spans:?}");
}

fn two_cameras(b: &mut Bench) -> [StreamKey; 2] {
    let keys = [key(1), key(2)];
    b.due(&keys);
    keys.iter().for_each(|k| b.begin(*k));
    keys
}

#[test]
fn a_staged_segment_is_written_on_the_stage_and_moved_once_it_is_closed() {
    let mut b = Bench::with(SimFs::new(1), vec![direct("nvme", 4096), staged("bulk")]);
    let keys = two_cameras(&mut b);
    b.run(20.0);
    assert_eq!(segments_on(&b, key(1)), ["nvme false"]);
    b.run(320.0);
    for k in keys {
        let on = segments_on(&b, k);
        assert_eq!((on[0].as_str(), on.last().unwrap().as_str()), ("bulk true", "nvme false"), "{on:?}");
        assert_no_gap(&b, k, "staged");
    }
    b.restart(Outage::Clean);
    assert!(
        segments_on(&b, key(1)).contains(&"nvme true".to_owned()),
        "the last one waits for the next start"
    );
    for k in keys {
        assert_eq!(b.stored(k), b.pushed(k), "before the move");
    }
    b.run(1.0);
    for k in keys {
        assert!(segments_on(&b, k).iter().all(|s| s == "bulk true"), "{:?}", segments_on(&b, k));
        assert_eq!(b.stored(k), b.pushed(k), "after the move");
    }
    assert_one_whole_copy_each(&b, &keys, "at the end");
    let (nvme, bulk) = (load(&b, "nvme"), load(&b, "bulk"));
    assert_eq!((nvme.usage, nvme.failures, &nvme.alarm), (VolumeUsage::default(), 0, &None));
    assert!(bulk.usage.segments >= 4 && bulk.usage.bytes > 0);
    // The chain goes on over the move.
    b.due(&keys);
    b.begin(key(1));
    b.run(5.0);
    let rows = b.catalogue.segments(key(1), b.start, b.now());
    let [before, after] = rows.last_chunk().unwrap();
    let read = |r: &crate::segment::SegmentRow| {
        check(&b.fs, &Path::new("/").join(r.volume.as_str()).join(r.path()), true).unwrap()
    };
    assert_eq!(read(after).head.unwrap().previous, read(before).hash);
}

#[test]
fn a_power_cut_at_any_operation_of_a_move_leaves_one_valid_copy_known() {
    let mut cuts = 0;
    for after in 0..400 {
        let mut b = Bench::with(SimFs::new(after), vec![direct("nvme", 4096), staged("bulk")]);
        let keys = two_cameras(&mut b);
        let identity = Path::new("/bulk/fengsui-volume.json");
        let disk = b.fs.get(identity).unwrap();
        b.fs.remove(identity).unwrap();
        b.run(6.0);
        keys.iter().for_each(|k| b.end(*k, GapReason::CameraOffline));
        b.run(3.0);
        // Closed and durable on the stage; now the other disk comes, and the power goes.
        b.fs.put(identity, disk);
        b.fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut });
        b.run(4.0);
        let cut = b.fs.stats().faults > 0;
        b.fs.heal();
        b.restart(Outage::Power(Duration::from_secs(5)));
        for k in keys {
            assert_eq!(b.stored(k), b.pushed(k), "cut at {after}");
        }
        b.due(&keys);
        b.run(4.0);
        for k in keys {
            assert!(
                segments_on(&b, k).iter().all(|s| s == "bulk true"),
                "cut at {after}: {:?}",
                segments_on(&b, k)
            );
            assert_eq!(b.stored(k), b.pushed(k), "cut at {after}, moved again");
        }
        assert_one_whole_copy_each(&b, &keys, &format!("cut at {after}"));
        if !cut {
            break;
        }
        cuts += 1;
    }
    assert!((30..400).contains(&cuts), "{cuts} operations");
}

#[test]
fn a_refused_operation_of_a_move_costs_nothing_but_time() {
    let mut refused = 0;
    for after in 0..400 {
        let mut b = Bench::with(SimFs::new(after), vec![direct("nvme", 4096), staged("bulk")]);
        let keys = two_cameras(&mut b);
        b.run(6.0);
        // The stage works: what fails is the way to the other disk.
        let below = Some("/bulk".into());
        b.fs.plan(FaultPlan { operation: None, below, after, times: 1, fault: Fault::Io });
        keys.iter().for_each(|k| b.end(*k, GapReason::CameraOffline));
        b.run(1.0);
        keys.iter().for_each(|k| assert_eq!(b.stored(*k), b.pushed(*k), "refused at {after}"));
        let failed = b.fs.stats().faults > 0;
        b.run(20.0);
        keys.iter().for_each(|k| assert_eq!(b.stored(*k), b.pushed(*k), "refused at {after}"));
        assert_one_whole_copy_each(&b, &keys, &format!("refused at {after}"));
        assert!(segments_on(&b, key(1)).iter().all(|s| s == "bulk true"), "refused at {after}");
        if !failed {
            break;
        }
        refused += 1;
    }
    assert!((10..400).contains(&refused), "{refused} operations");
}

#[test]
fn what_is_staged_waits_for_its_volume_and_is_counted_and_told() {
    let mut b = Bench::with(SimFs::new(1), vec![direct("nvme", 4096), staged("bulk")]);
    let keys = two_cameras(&mut b);
    b.run(10.0);
    let identity = Path::new("/bulk/fengsui-volume.json");
    let disk = b.fs.get(identity).unwrap();
    b.fs.remove(identity).unwrap();
    b.run(700.0);
    let waiting = load(&b, "nvme");
    assert!(waiting.usage.segments >= 4 && waiting.sends_away, "{waiting:?}");
    assert!(waiting.alarm.unwrap().contains("stays here"));
    for k in keys {
        assert_no_gap(&b, k, "recording goes on");
    }
    b.fs.put(identity, disk);
    b.run(5.0);
    let moved = load(&b, "nvme");
    assert_eq!((moved.usage.segments, moved.alarm, moved.moved), (0, None, waiting.usage.segments));
    b.recorder.stop();
    for k in keys {
        assert_eq!(b.stored(k), b.pushed(k));
        assert_no_gap(&b, k, "at the end");
    }
}

#[test]
fn a_full_stage_is_passed_by_without_a_gap() {
    let mut b = Bench::with(SimFs::new(1), vec![direct("nvme", 1 << 30), staged("bulk")]);
    let keys = two_cameras(&mut b);
    b.run(10.0);
    assert_eq!(segments_on(&b, key(1)), ["nvme false"]);
    let free = b.fs.space(Path::new("/")).unwrap().free;
    let total = (1u64 << 40) - free;
    b.fs.set_capacity(total + (1 << 30) - 1);
    b.run(10.0);
    assert_eq!(segments_on(&b, key(1)), ["bulk true", "bulk false"]);
    b.fs.set_capacity(1 << 40);
    b.run(320.0);
    assert!(segments_on(&b, key(1)).last().unwrap().starts_with("nvme"), "{:?}", segments_on(&b, key(1)));
    b.recorder.stop();
    for k in keys {
        assert_eq!(b.stored(k), b.pushed(k));
        assert_no_gap(&b, k, "staged");
    }
}

#[test]
fn a_drained_volume_gets_no_new_segment_and_an_emptied_one_loses_what_it_has_to_others() {
    let mut b = Bench::new(SimFs::new(1), &["v1", "v2"]);
    let keys: Vec<_> = (1..=6).map(key).collect();
    b.due(&keys);
    keys.iter().for_each(|k| b.begin(*k));
    b.run(30.0);
    let on = |b: &Bench, name: &str| {
        keys.iter().filter(|k| b.recorder.stream(**k).unwrap().volume == Some(id(name))).count()
    };
    assert!(on(&b, "v1") > 0 && on(&b, "v2") > 0);
    assert_eq!(b.recorder.set_volume_mode(&id("v1"), VolumeMode::Drain).unwrap(), VolumeMode::Use);
    b.run(4.0);
    assert_eq!((on(&b, "v1"), on(&b, "v2")), (0, 6), "gone at the next key frame");
    b.restart(Outage::Kill(Duration::from_secs(1)));
    assert_eq!(b.recorder.volumes()[0].mode, VolumeMode::Drain, "an order survives a restart");
    b.due(&keys);
    keys.iter().for_each(|k| b.begin(*k));
    b.run(30.0);
    assert_eq!((on(&b, "v1"), on(&b, "v2")), (0, 6));
    assert!(load(&b, "v1").usage.segments > 0, "what it holds stays");
    b.recorder.set_volume_mode(&id("v1"), VolumeMode::Evacuate).unwrap();
    b.run(5.0);
    let empty = load(&b, "v1");
    assert_eq!((empty.usage.segments, empty.usage.open, empty.alarm), (0, 0, None));
    b.recorder.set_volume_mode(&id("v1"), VolumeMode::Use).unwrap();
    b.run(320.0);
    assert!(on(&b, "v1") > 0);
    b.recorder.stop();
    for k in &keys {
        b.assert_covered(*k);
        let kinds: Vec<String> = b.spans(*k).into_iter().map(|s| s.2).collect();
        let killed = |k: &String| ["footage", "NodeDown", "CrashTail"].contains(&k.as_str());
        assert!(kinds.iter().all(killed), "the kill alone: {kinds:?}");
        b.assert_lost_only_in_gaps(*k);
    }
    assert_one_whole_copy_each(&b, &keys, "at the end");
}

#[test]
fn the_last_volume_is_not_left_for_an_order() {
    let mut b = Bench::new(SimFs::new(1), &["v1"]);
    b.due(&[key(1)]);
    b.begin(key(1));
    b.run(10.0);
    b.recorder.set_volume_mode(&id("v1"), VolumeMode::Drain).unwrap();
    b.run(10.0);
    assert!(b.recorder.stream(key(1)).unwrap().recording);
    b.recorder.stop();
    assert_no_gap(&b, key(1), "at the end");
    assert_eq!(b.stored(key(1)), b.pushed(key(1)));
}

/// The calls below a path that change something, in order.
fn changing(fs: &SimFs, below: &str) -> Vec<Operation> {
    let look = |o: &Operation| matches!(o, Operation::Open | Operation::Read | Operation::Look);
    let calls = fs.log().into_iter().filter(|(o, path)| path.starts_with(below) && !look(o));
    calls.map(|(o, _)| o).collect()
}

/// A disk dies at any call, for good: nothing is lost, no other volume is disturbed, and no second has a gap.
#[test]
fn a_volume_that_dies_at_any_call_costs_no_picture() {
    for after in (0..40).chain((40..400).step_by(23)) {
        let mut b = Bench::new(SimFs::new(after), &["v1", "v2", "v3"]);
        let keys: Vec<_> = (1..=4).map(key).collect();
        b.due(&keys);
        keys.iter().for_each(|k| b.begin(*k));
        b.run(5.0);
        let on_v2: Vec<_> =
            keys.iter().filter(|k| b.recorder.stream(**k).unwrap().volume != Some(id("v1"))).collect();
        let before = changing(&b.fs, "/v1").len();
        let below = Some("/v1".into());
        b.fs.plan(FaultPlan { operation: None, below, after, times: u64::MAX, fault: Fault::Io });
        b.run(40.0);
        if b.fs.stats().faults == 0 {
            break;
        }
        for k in &keys {
            let now = b.recorder.stream(*k).unwrap();
            assert!(now.recording && now.volume != Some(id("v1")), "dead at {after}: {now:?}");
        }
        // The disk comes back; what it holds is read again.
        b.fs.heal();
        b.run(5.0);
        b.recorder.stop();
        // What a failed sync forbids to touch is closed at the next start.
        b.restart(Outage::Clean);
        let first = changing(&b.fs, "/v1").get(before + after as usize).copied();
        for k in &keys {
            if matches!(first, Some(Operation::SyncVolume | Operation::SyncFile)) {
                // A failed sync loses what was written since the one before, and says so.
                b.assert_covered(*k);
                b.assert_lost_only_in_gaps(*k);
                continue;
            }
            assert_eq!(b.stored(*k), b.pushed(*k), "dead at {after}");
            assert_no_gap(&b, *k, &format!("dead at {after}"));
        }
        for k in on_v2 {
            assert_eq!(b.catalogue.segments(*k, b.start, b.now()).len(), 1, "dead at {after}: undisturbed");
        }
        assert!(b.catalogue.unfinished().is_empty(), "dead at {after}");
    }
}
