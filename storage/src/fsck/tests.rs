//! What a check of footage finds, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::fs::{PageBuf, SimFs};
use crate::segment::tests::kit;
use crate::segment::{EndReason, NodeKey, SegmentHead, SegmentWriter};

/// Three segments of one stream, one after the other.
pub(super) fn stored(fs: &SimFs) -> Vec<PathBuf> {
    let info = kit::info(false);
    let mut previous = [0; 32];
    let mut paths = Vec::new();
    for n in 1..=3u32 {
        let shift = Duration::from_secs(u64::from(n) * 2);
        let head = SegmentHead { previous, start: kit::START + shift, ..kit::head(u64::from(n), &info) };
        let mut w = SegmentWriter::create(fs, Path::new("/v1"), head, 0, kit::signer()).unwrap();
        for mut u in kit::stream(50, 25, 100, false) {
            (u.utc, u.arrived) = (u.utc + shift, u.arrived + shift);
            w.push(u);
        }
        let closed = w.close(fs, EndReason::Rotation, &mut PageBuf::new()).unwrap();
        previous = closed.hash;
        paths.push(closed.path);
    }
    paths
}

fn checked(fs: &SimFs, options: FsckOptions) -> Report {
    let volumes = [("v1".parse().unwrap(), PathBuf::from("/v1"))];
    let mut seen = 0;
    let report = run(fs, &volumes, options, &mut |p| seen = p.files).unwrap();
    assert_eq!(seen, report.files);
    report
}

fn kinds(report: &Report) -> Vec<&'static str> {
    report.problems.iter().map(|p| p.kind).collect()
}

#[test]
fn good_footage_has_no_problems_and_its_chain_holds() {
    let fs = SimFs::new(1);
    stored(&fs);
    for full in [false, true] {
        let report = checked(&fs, FsckOptions { full, key: Some(kit::signer().id()) });
        assert_eq!((report.files, report.clean, report.links), (3, 3, 2));
        assert_eq!(report.problems, []);
        assert_eq!(report.groups_hashed > 0, full);
    }
    let json = serde_json::to_value(checked(&fs, FsckOptions::default())).unwrap();
    assert_eq!(json["clean"], 3);
}

#[test]
fn a_missing_file_in_the_chain_is_no_lie_but_an_exchanged_one_is() {
    let fs = SimFs::new(1);
    let paths = stored(&fs);
    // The second segment is replaced by another one with the same number and a good signature.
    let other = SimFs::new(2);
    let head = SegmentHead { start: kit::START + Duration::from_secs(4), ..kit::head(2, &kit::info(false)) };
    let mut w = SegmentWriter::create(&other, Path::new("/v1"), head, 0, kit::signer()).unwrap();
    for mut u in kit::stream(50, 25, 90, false) {
        u.utc = u.utc + Duration::from_secs(4);
        w.push(u);
    }
    let forged = w.close(&other, EndReason::Rotation, &mut PageBuf::new()).unwrap();
    assert_eq!(forged.path, paths[1]);
    fs.put(&paths[1], other.get(&forged.path).unwrap());
    let report = checked(&fs, FsckOptions::default());
    assert_eq!(kinds(&report), ["chain"]);
    assert_eq!(report.problems[0].path, paths[2]);
    fs.remove(&paths[1]).unwrap();
    let report = checked(&fs, FsckOptions::default());
    assert_eq!((report.problems.len(), report.links), (0, 0));
}

#[test]
fn media_damage_is_found_by_a_full_check_and_foreign_keys_by_any() {
    let fs = SimFs::new(1);
    let paths = stored(&fs);
    let mut bytes = fs.get(&paths[0]).unwrap();
    bytes[4096 + 700] ^= 4;
    fs.put(&paths[0], bytes);
    assert_eq!(checked(&fs, FsckOptions::default()).problems, []);
    let report = checked(&fs, FsckOptions { full: true, key: None });
    assert_eq!((kinds(&report), report.damaged, report.clean), (vec!["damaged"], 1, 2));
    let key = Some(NodeKey::from_seed([9; 32]).id());
    let report = checked(&fs, FsckOptions { full: false, key });
    assert_eq!(kinds(&report), ["signature"; 3]);
}

#[test]
fn torn_renamed_and_foreign_files_are_told_apart() {
    let fs = SimFs::new(1);
    let paths = stored(&fs);
    let dir = paths[0].parent().unwrap();
    let bytes = fs.get(&paths[0]).unwrap();
    fs.put(&dir.join("1748736002000_1.open.mp4"), bytes[..bytes.len() - 5000].to_vec());
    fs.put(&dir.join("1748736009000_1_2000_vk.mp4"), bytes.clone());
    fs.put(&dir.join("notes.txt"), b"mine".to_vec());
    fs.put(Path::new("/v1/quarantine/x.tail"), b"old".to_vec());
    let before = fs.files();
    let report = checked(&fs, FsckOptions { full: true, key: None });
    assert_eq!((report.files, report.open, report.torn), (5, 1, 1));
    let mut found = kinds(&report);
    found.sort_unstable();
    assert_eq!(found, ["name", "name", "torn", "unknown_file"], "{:?}", report.problems);
    assert_eq!(fs.files(), before);
}
