//! Writes that fail: nothing is lost silently, nothing wrong is stored.

use std::path::Path;

use proptest::prelude::*;

use super::kit;
use crate::fs::{Fault, FaultPlan, Operation, PageBuf, SimFs};
use crate::segment::records;
use crate::segment::{EndReason, Outcome, SegmentReader, SegmentWriter, finish_torn, recover};

fn plan(operation: Operation, after: u64, fault: Fault) -> FaultPlan {
    FaultPlan { operation: Some(operation), below: None, after, times: u64::MAX, fault }
}

#[test]
fn units_of_a_refused_write_come_back_and_nothing_more_is_written() {
    for (after, fault) in [(0, Fault::Io), (1, Fault::NoSpace), (2, Fault::ShortWrite), (3, Fault::Io)] {
        let (fs, root) = kit::volume();
        let units = kit::stream(200, 25, 300, true);
        let mut w =
            SegmentWriter::create(&fs, &root, kit::head(1, &kit::info(true)), 0, kit::signer()).unwrap();
        fs.plan(plan(Operation::Write, after, fault));
        let mut buf = PageBuf::new();
        let mut pushed = 0;
        let failed = units.iter().any(|u| {
            w.push(u.clone());
            pushed += 1;
            w.due(u.arrived) && w.flush(&mut buf).is_err()
        });
        assert!(failed);
        fs.heal();
        assert!(w.flush(&mut buf).is_err(), "a file is given up at its first refusal");
        let given_up = w.abandon();
        let stored = if given_up.committed == 0 {
            0
        } else {
            let r = SegmentReader::open(&fs, &given_up.path, Some(given_up.committed)).unwrap();
            (0..r.fragments().len() as u32).map(|i| r.samples(i).unwrap().len()).sum()
        };
        assert_eq!(stored + given_up.units.len(), pushed, "every unit is in the file or comes back");
        assert_eq!(given_up.units.last().unwrap().data, units[pushed - 1].data);
        let found = recover(&fs, &given_up.path).unwrap();
        assert_eq!(found.committed, given_up.committed);
        assert!(matches!(found.outcome, Outcome::TornTail { .. } | Outcome::Clean));
    }
}

#[test]
fn closing_fails_at_every_call_and_tells_what_is_left() {
    for after in 0..6 {
        for operation in [
            Operation::Write,
            Operation::SyncFile,
            Operation::Truncate,
            Operation::Rename,
            Operation::SyncDir,
        ] {
            let (fs, root) = kit::volume();
            let units = kit::stream(60, 25, 100, false);
            let (w, _) = kit::open(&fs, &root, &kit::info(false), &units);
            fs.plan(plan(operation, after, Fault::Io));
            let path = w.path().to_path_buf();
            let Err(e) = w.close(&fs, EndReason::Stopped, &mut PageBuf::new()) else { continue };
            fs.heal();
            let left = e.abandoned;
            assert_eq!(left.path, path);
            let at = fs.files().into_iter().find(|p| p.starts_with("/v1")).unwrap();
            let done = finish_torn(&fs, &at, Path::new("/q"), &kit::signer()).unwrap();
            let mut stored = Vec::new();
            if let Some(row) = done.row {
                let r = SegmentReader::open(&fs, &root.join(row.path()), None).unwrap();
                stored = (0..r.fragments().len() as u32).flat_map(|i| r.samples(i).unwrap()).collect();
            }
            assert!(stored.iter().zip(&units).all(|(a, b)| a.data == b.data), "{operation:?} after {after}");
            // What a failed sync lost is told by the file's end; nothing else is lost.
            if operation != Operation::SyncFile {
                let n = stored.len() + left.units.len();
                assert_eq!(n, units.len(), "{operation:?} after {after}: {}", e.error);
            }
        }
    }
}

#[test]
fn an_empty_segment_leaves_no_file() {
    let (fs, root) = kit::volume();
    let w = SegmentWriter::create(&fs, &root, kit::head(1, &kit::info(false)), 0, kit::signer()).unwrap();
    let refused = w.close(&fs, EndReason::Stopped, &mut PageBuf::new()).unwrap_err();
    assert!(refused.to_string().contains("nothing to close"), "{refused}");
    assert!(fs.files().is_empty());
}

#[test]
fn parameters_that_cannot_be_described_are_refused_at_once() {
    let (fs, root) = kit::volume();
    let mut info = (*kit::info(false)).clone();
    info.video.as_mut().unwrap().extra = bytes::Bytes::new();
    let head = kit::head(1, &std::sync::Arc::new(info));
    assert!(SegmentWriter::create(&fs, &root, head, 0, kit::signer()).is_err());
    assert!(fs.files().is_empty());
}

#[test]
fn groups_stay_bounded_while_a_volume_stalls() {
    let (fs, root) = kit::volume();
    let mut w = SegmentWriter::create(&fs, &root, kit::head(1, &kit::info(false)), 0, kit::signer()).unwrap();
    // 10 s at 8 Mbit/s wait in memory.
    kit::stream(250, 50, 38_000, false).into_iter().for_each(|u| w.push(u));
    let mut buf = PageBuf::new();
    let mut before = 0;
    let mut groups = 0;
    while w.due(crate::segment::tests::kit::START + std::time::Duration::from_secs(10)) {
        let done = w.flush(&mut buf).unwrap();
        assert!(done.length - before <= (1 << 20) + 8192, "{}", done.length - before);
        before = done.length;
        groups += 1;
        if !done.more {
            break;
        }
    }
    assert!(groups >= 9, "{groups}");
}

#[test]
fn wild_times_do_no_harm() {
    let (fs, root) = kit::volume();
    let times = [0, i64::MAX, i64::MIN, -5, 1, i64::MAX - 1, 3600, 3600, 3599, i64::MIN + 1];
    let units: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(i, pts)| {
            let mut u = kit::picture(i as u64, 25, i == 0, 50);
            u.pts = *pts;
            u
        })
        .collect();
    let made = kit::closed(&fs, &root, &kit::info(false), &units);
    let r = SegmentReader::open(&fs, &made.path, None).unwrap();
    let stored: Vec<_> = (0..r.fragments().len() as u32).flat_map(|i| r.samples(i).unwrap()).collect();
    assert_eq!(stored.len(), units.len());
    assert!(stored.iter().zip(&units).all(|(a, b)| a.data == b.data));
}

proptest! {
    #[test]
    fn records_of_any_bytes_are_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), kind in 0..4usize) {
        let kinds = [records::HEADER, records::COMMIT, records::TABLE, records::FINAL];
        // Give the bytes a proper frame, so that the fields are reached.
        let mut framed = ((bytes.len() + 28) as u32).to_be_bytes().to_vec();
        framed.extend(b"uuid");
        framed.extend(kinds[kind]);
        framed.append(&mut bytes);
        let crc = crc32c::crc32c(&framed);
        framed.extend(crc.to_be_bytes());
        let _ = records::decode_header(&framed);
        let _ = records::decode_commit(&framed, &[0; 32], 0);
        let _ = records::decode_table(&framed);
        let _ = records::decode_final(&framed);
        let _ = crate::segment::mux::browser_fragment(&framed, kit::START, 1);
    }

    #[test]
    fn files_of_any_bytes_are_looked_at_without_panic(
        at in 0usize..40_960, flips in prop::collection::vec((0usize..40_960, any::<u8>()), 0..40),
    ) {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/segment-v1.mp4");
        let mut bytes = std::fs::read(golden).unwrap();
        for (i, b) in flips {
            bytes[i] = b;
        }
        bytes.truncate(at.max(1));
        let fs = SimFs::new(1);
        for name in ["1748736000000_1.open.mp4", "1748736000000_1_2400_vak.mp4"] {
            let path = Path::new("/v1/x/main/20250601").join(name);
            fs.put(&path, bytes.clone());
            let _ = crate::segment::check(&fs, &path, true).unwrap();
            if let Ok(r) = SegmentReader::open(&fs, &path, None) {
                for i in 0..r.fragments().len() as u32 {
                    let _ = r.samples(i);
                }
            }
            finish_torn(&fs, &path, Path::new("/q"), &kit::signer()).unwrap();
        }
    }
}

#[test]
fn the_wait_for_a_sweep_counts_towards_the_age_of_a_group() {
    use fengsui_config::limits;
    use std::time::Duration;
    let ms = Duration::from_millis;
    // Taken so long before it arrived, it is due so long after it arrived.
    for (before, due) in [
        (ms(0), limits::FLUSH_AGE_MAX),
        (ms(150), limits::FLUSH_AGE_MAX - ms(150)),
        (ms(60_000), limits::FLUSH_AGE_MAX - limits::LEAN_SWEEP),
    ] {
        let (fs, root) = kit::volume();
        let info = kit::info(false);
        let mut w = SegmentWriter::create(&fs, &root, kit::head(1, &info), 0, kit::signer()).unwrap();
        let mut unit = kit::picture(0, 25, true, 300);
        unit.arrived = unit.utc + before;
        let at = unit.arrived + due;
        w.push(unit);
        assert!(!w.due(fengsui_config::clock::UtcMicros(at.0 - 1)) && w.due(at), "{before:?}");
    }
}
