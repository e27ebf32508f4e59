//! Truncation at every byte, crashes by seed, bit flips.

use std::path::Path;

use super::kit;
use crate::fs::{Fs, SimFs};
use crate::segment::{Outcome, SegmentName, SegmentReader, finish_torn, recover};

/// All units stored in a file, in file order.
fn stored(fs: &SimFs, path: &Path) -> Vec<bytes::Bytes> {
    let r = SegmentReader::open(fs, path, None).unwrap();
    let indices = 0..r.fragments().len() as u32;
    indices.flat_map(|i| r.samples(i).unwrap()).map(|u| u.data).collect()
}

#[test]
fn truncation_at_every_byte_of_a_group_gives_the_last_committed_group() {
    let (fs, root) = kit::volume();
    let info = kit::info(false);
    let units = kit::stream(100, 25, 120, false);
    let (w, lengths) = kit::open(&fs, &root, &info, &units);
    let bytes = fs.get(w.path()).unwrap();
    let path = w.path().to_path_buf();
    assert!(lengths.len() >= 3, "{lengths:?}");
    let whole = SegmentReader::open(&fs, &path, Some(lengths[lengths.len() - 1])).unwrap();
    let expected: Vec<_> = units.iter().map(|u| u.data.clone()).collect();
    // Every byte of the preamble, the first two groups, and a little of the third.
    for at in 0..=(lengths[1] as usize + 100) {
        let fs = SimFs::new(1);
        fs.put(&path, bytes[..at].to_vec());
        let committed = lengths.iter().copied().filter(|l| *l <= at as u64).max();
        let found = recover(&fs, &path).unwrap();
        let good = committed.unwrap_or(if found.head.is_some() { found.committed } else { 0 });
        assert_eq!(found.committed, good, "cut at {at}");
        if committed.is_none() {
            assert_eq!(found.units, 0, "cut at {at}");
        }
        let tail = at as u64 - good;
        let expect = if tail == 0 && found.head.is_some() {
            Outcome::Clean
        } else {
            Outcome::TornTail { bytes: tail }
        };
        assert_eq!(found.outcome, expect, "cut at {at}");
        if at % 97 != 0 && committed.is_none_or(|c| (at as u64).abs_diff(c) > 4) {
            continue;
        }
        let done = finish_torn(&fs, &path, Path::new("/q"), &kit::signer()).unwrap();
        let Some(row) = done.row else {
            assert!(committed.is_none(), "cut at {at}");
            assert_eq!(fs.get(&done.quarantined.unwrap()).unwrap(), bytes[..at], "cut at {at}");
            continue;
        };
        let name = Path::new("/v1").join(row.path());
        assert_eq!(fs.get(&name).unwrap()[..good as usize], bytes[..good as usize]);
        let tail = done.quarantined.map(|q| fs.get(&q).unwrap()).unwrap_or_default();
        assert_eq!(tail, bytes[good as usize..at], "cut at {at}: the tail is kept");
        assert_eq!(recover(&fs, &name).unwrap().outcome, Outcome::Clean);
        let got = stored(&fs, &name);
        assert_eq!(got, expected[..got.len()], "cut at {at}");
        let frames: u32 = whole.fragments().iter().filter(|f| f.offset < good).map(|f| f.frames).sum();
        assert_eq!(got.len(), frames as usize, "cut at {at}: nothing committed is missing");
    }
}

#[test]
fn a_crash_of_any_seed_leaves_a_file_that_recovers_to_a_prefix() {
    let info = kit::info(true);
    let units = kit::stream(250, 25, 300, true);
    for seed in 0..200u64 {
        let fs = SimFs::new(seed);
        let root = Path::new("/v1").to_path_buf();
        fs.create_dir_all(&root).unwrap();
        let head = kit::head(1, &info);
        let mut w = crate::segment::SegmentWriter::create(&fs, &root, head, 0, kit::signer()).unwrap();
        let mut buf = crate::fs::PageBuf::new();
        let stop = 20 + (seed as usize * 37) % (units.len() - 20);
        let mut durable = 0;
        for (i, u) in units[..stop].iter().enumerate() {
            w.push(u.clone());
            while w.due(u.arrived) {
                w.flush(&mut buf).unwrap();
            }
            if i % 90 == 89 {
                fs.sync_volume(&root).unwrap();
                durable = w.committed();
                w.synced(durable);
            }
        }
        let path = w.path().to_path_buf();
        let before = fs.get(&path).unwrap();
        fs.crash();
        let Some(after) = fs.get(&path) else {
            assert_eq!(durable, 0, "seed {seed}: a durable file is gone");
            continue;
        };
        let found = recover(&fs, &path).unwrap();
        assert!(found.committed >= durable, "seed {seed}: {} of {durable} durable bytes", found.committed);
        assert!(!matches!(found.outcome, Outcome::Damaged { .. }), "seed {seed}: {:?}", found.outcome);
        // A file without a whole group goes to quarantine as it is.
        let good = if found.units > 0 { found.committed as usize } else { 0 };
        assert!(after[..good] == before[..good], "seed {seed}: a wrong byte");
        let done = finish_torn(&fs, &path, Path::new("/q"), &kit::signer()).unwrap();
        fs.crash();
        if let Some(row) = done.row {
            let name = root.join(row.path());
            let again = recover(&fs, &name).unwrap();
            assert_eq!((again.outcome, again.closed), (Outcome::Clean, true), "seed {seed}");
            let reader = SegmentReader::open(&fs, &name, None).unwrap();
            assert!(
                (0..reader.fragments().len() as u32).all(|i| reader.read_fragment(i).is_ok()),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_crash_at_every_call_of_closing_and_finishing_loses_nothing_durable() {
    let info = kit::info(false);
    let units = kit::stream(100, 25, 200, false);
    let mut cuts = 0;
    for after in 0..40u64 {
        let (fs, root) = (SimFs::new(after), Path::new("/v1").to_path_buf());
        let (mut w, lengths) = kit::open(&fs, &root, &info, &units);
        fs.sync_volume(&root).unwrap();
        w.synced(lengths[lengths.len() - 1]);
        let path = w.path().to_path_buf();
        fs.plan(crate::fs::FaultPlan {
            operation: None,
            below: None,
            after,
            times: u64::MAX,
            fault: crate::fs::Fault::PowerCut,
        });
        let closed = w.close(&fs, crate::segment::EndReason::Rotation, &mut crate::fs::PageBuf::new());
        cuts += u32::from(closed.is_err());
        fs.heal();
        fs.crash();
        // Whatever name it has now, finishing it (twice, with a crash in between) gives a whole file.
        let dir = path.parent().unwrap();
        for round in 0..2 {
            let name = fs.read_dir(dir).unwrap().into_iter().next().unwrap().name;
            let parsed: SegmentName = name.parse().unwrap();
            if parsed.closed.is_none() {
                finish_torn(&fs, &dir.join(&name), Path::new("/v1/q"), &kit::signer()).unwrap();
            }
            if round == 0 {
                fs.crash();
            }
        }
        let names = fs.read_dir(dir).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
        let found = recover(&fs, &dir.join(&names[0].name)).unwrap();
        assert_eq!((found.outcome, found.closed), (Outcome::Clean, true), "cut at call {after}");
        assert!(found.committed >= lengths[lengths.len() - 1], "cut at call {after}");
    }
    assert!(cuts >= 5, "only {cuts} cuts fell into closing");
}

#[test]
fn a_flipped_bit_anywhere_in_a_closed_file_is_found() {
    let (fs, root) = kit::volume();
    let made = kit::closed(&fs, &root, &kit::info(true), &kit::stream(60, 25, 90, true));
    let bytes = fs.get(&made.path).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        fs.put(&made.path, bad);
        let found = crate::segment::check(&fs, &made.path, true).unwrap();
        assert!(found.outcome != Outcome::Clean, "flip at {at} of {} was not found", bytes.len());
    }
}

#[test]
fn damage_in_the_middle_is_not_a_torn_tail() {
    let (fs, root) = kit::volume();
    let info = kit::info(false);
    let mut w =
        crate::segment::SegmentWriter::create(&fs, &root, kit::head(1, &info), 0, kit::signer()).unwrap();
    let mut buf = crate::fs::PageBuf::new();
    for u in kit::stream(200, 25, 200, false) {
        w.push(u.clone());
        while w.due(u.arrived) {
            let done = w.flush(&mut buf).unwrap();
            w.synced(done.length);
        }
    }
    let path = w.path().to_path_buf();
    let mut bytes = fs.get(&path).unwrap();
    let whole = SegmentReader::open(&fs, &path, Some(w.committed())).unwrap();
    let third = whole.fragments()[2].offset;
    bytes[third as usize + 36] ^= 0xff; // the kind of moof
    fs.put(&path, bytes.clone());
    assert_eq!(recover(&fs, &path).unwrap().outcome, Outcome::Damaged { at: third });
    let done = finish_torn(&fs, &path, Path::new("/q"), &kit::signer()).unwrap();
    let row = done.row.unwrap();
    assert!(row.flags.has(crate::segment::SegmentFlags::DAMAGED));
    let name = root.join(row.path());
    assert_eq!(fs.get(&name).unwrap(), bytes, "no byte of a damaged file is changed");
    // The groups behind the damage are still served.
    let reader = SegmentReader::open(&fs, &name, None).unwrap();
    assert_eq!(reader.fragments().len(), whole.fragments().len() - 1);
    let last = reader.fragments().len() as u32 - 1;
    assert_eq!(reader.read_fragment(last).unwrap(), whole.read_fragment(last + 1).unwrap());
}

#[test]
fn a_preamble_is_mended_wherever_its_bit_flipped() {
    let (fs, root) = kit::volume();
    let made = kit::closed(&fs, &root, &kit::info(true), &kit::stream(60, 25, 90, true));
    let bytes = fs.get(&made.path).unwrap();
    let head = SegmentReader::open(&fs, &made.path, None).unwrap().head().clone();
    let preamble = u32::from_be_bytes(bytes[header(&bytes) + 28..][..4].try_into().unwrap()) as usize;
    // Every bit of the boxes before the header and of the header, and some of the filling.
    let filling = header(&bytes) + 400..preamble;
    for bit in (0..filling.start * 8).step_by(3).chain((filling.start * 8..preamble * 8).step_by(97)) {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs.put(&made.path, bad);
        let reader = SegmentReader::open(&fs, &made.path, None).unwrap_or_else(|e| panic!("bit {bit}: {e}"));
        assert_eq!(*reader.head(), head, "bit {bit}");
        assert!(reader.is_suspect(), "bit {bit}");
        assert_eq!(reader.init().unwrap(), bytes[..header(&bytes)], "bit {bit}");
    }
}

/// Where the header record begins.
fn header(bytes: &[u8]) -> usize {
    let uuid = b"\xd2\x6b\x31\x7e\x5c\x04\x4f\x8d\x9a\xe1\x27\xb0\x63\xf8\x1c\x01";
    bytes.windows(16).position(|w| w == uuid).unwrap() - 8
}

/// A node that dies again and again must not fill its disk with what it had reserved and never wrote.
#[test]
fn what_was_reserved_behind_a_file_that_goes_to_quarantine_is_given_back() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let fs = crate::fs::RealFs;
    let head = kit::head(1, &kit::info(false));
    let w = crate::segment::SegmentWriter::create(&fs, dir.path(), head, 4 << 20, kit::signer()).unwrap();
    let path = w.path().to_path_buf();
    drop(w);
    if std::fs::metadata(&path).unwrap().blocks() == 0 {
        eprintln!("the file system of {} reserves nothing: nothing to see here", dir.path().display());
        return;
    }
    let done = finish_torn(&fs, &path, &dir.path().join("quarantine"), &kit::signer()).unwrap();
    let left = std::fs::metadata(done.quarantined.unwrap()).unwrap();
    assert_eq!((left.len(), left.blocks()), (0, 0));
}
