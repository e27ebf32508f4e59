//! A whole node that is sound, and each fault in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::atomic::AtomicBool;

use fengsui_config::VolumeConfig;
use fengsui_config::clock::{ManualClock, MonoMicros};

use super::*;
use crate::archive::Stored;
use crate::catalogue::Catalogue;
use crate::frame::GapReason;
use crate::fs::SimFs;
use crate::journal::JournalOptions;
use crate::segment::SegmentFlags;
use crate::segment::tests::kit;
use crate::volume::Volume;

const WITNESS: &str = "fengsui-journal.head";

fn node() -> Node {
    Node {
        id: "centre".parse().unwrap(),
        data: "/data".into(),
        volumes: vec![("v1".parse().unwrap(), "/v1".into())],
        catalogue: "/data/catalogue".into(),
        journal: "/data/journal".into(),
        witness: WITNESS,
        archive: "/data/archive".into(),
        archives: vec!["far".parse().unwrap()],
        key: "/data/node.key".into(),
        full: true,
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(kit::START))
}

fn catalogue_of(fs: &SimFs) -> Arc<Catalogue> {
    Catalogue::open(Arc::new(fs.clone()), Path::new("/data/catalogue"), clock()).unwrap()
}

fn journal_of(fs: &SimFs) -> Arc<Journal> {
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let mut options = JournalOptions::new(
        shared,
        "/data/journal".into(),
        clock(),
        "centre".parse().unwrap(),
        kit::signer(),
    );
    options.head_every = None;
    Journal::open(options).unwrap()
}

fn key_text(seed: [u8; 32]) -> Vec<u8> {
    format!("{}\n{}\n", hex::encode(seed), NodeKey::from_seed(seed).id()).into_bytes()
}

/// A node with three segments, all that it writes about them, and one row in the index of an archive.
fn sound() -> (SimFs, Vec<PathBuf>) {
    let fs = SimFs::new(1);
    let config = VolumeConfig::direct("v1".parse().unwrap(), "/v1".into(), 1 << 20);
    let mut volume = Volume::new(&config, false, node().id, "/data".into(), kit::START);
    volume.probe(&fs, kit::START, MonoMicros(0));
    let paths = super::super::tests::stored(&fs);
    fs.put(Path::new("/data/node.key"), key_text([7; 32]));
    let catalogue = catalogue_of(&fs);
    catalogue.check_volume(&node().volumes[0].0, Path::new("/v1"), &AtomicBool::new(false)).unwrap();
    catalogue.flush(true).unwrap();
    let journal = journal_of(&fs);
    for n in 0..3 {
        journal.append_blocking("session.opened", serde_json::json!({ "n": n })).unwrap();
    }
    journal.close();
    let journal = journal_of(&fs);
    journal.put_head(&Path::new("/v1").join(WITNESS)).unwrap();
    journal.close();
    let far = "far".parse().unwrap();
    let (mut index, _) = ArchiveIndex::open(&fs, &node().archive, far, kit::START).unwrap();
    let row = |number| Stored {
        key: kit::key(),
        number,
        start_ms: kit::START.millis(),
        duration_ms: 2000,
        flags: SegmentFlags::default(),
        bytes: 1,
        at: kit::START,
        hash: [1; 32],
    };
    index.append(&[row(1), row(2)]).unwrap();
    (fs, paths)
}

fn checked(fs: &SimFs, sections: &[Section]) -> NodeReport {
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    run(&shared, &node(), sections, &mut || (), &mut |_| ())
}

fn found(report: &NodeReport) -> BTreeSet<(&'static str, &'static str)> {
    report.sections.iter().flat_map(|s| s.problems.iter().map(|p| (s.section.as_str(), p.kind))).collect()
}

fn change(fs: &SimFs, path: &str, how: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs.get(Path::new(path)).unwrap_or_else(|| panic!("{path}: {:?}", fs.files()));
    how(&mut bytes);
    fs.put(Path::new(path), bytes);
}

const LOG: &str = "/data/catalogue/catalogue.log";
const IDENTITY: &str = "/v1/fengsui-volume.json";
const FIRST: &str = "/data/journal/0000000001.journal";

type Fault = (&'static str, fn(&SimFs, &[PathBuf]), &'static [(&'static str, &'static str)]);

/// Each fault, and everything that has to be found of it.
const FAULTS: &[Fault] = &[
    ("identity gone", |fs, _| fs.remove(Path::new(IDENTITY)).unwrap(), &[("volumes", "missing")]),
    ("identity torn", |fs, _| change(fs, IDENTITY, |b| b.truncate(9)), &[("volumes", "damaged")]),
    (
        "another disk",
        |fs, _| {
            change(fs, IDENTITY, |b| {
                let mut identity: VolumeIdentity = serde_json::from_slice(b).unwrap();
                identity.uuid = "00".repeat(16);
                *b = serde_json::to_vec(&identity).unwrap();
            });
        },
        &[("volumes", "exchanged")],
    ),
    (
        "known volumes torn",
        |fs, _| change(fs, "/data/volumes.json", |b| b.truncate(3)),
        &[("volumes", "damaged")],
    ),
    ("key gone", |fs, _| fs.remove(Path::new("/data/node.key")).unwrap(), &[("key", "missing")]),
    ("key changed", |fs, _| change(fs, "/data/node.key", |b| b[0] ^= 1), &[("key", "damaged")]),
    (
        "another key",
        |fs, _| fs.put(Path::new("/data/node.key"), key_text([9; 32])),
        &[("segments", "signature"), ("journal", "damaged")],
    ),
    ("log gone", |fs, _| fs.remove(Path::new(LOG)).unwrap(), &[("catalogue", "missing")]),
    ("log changed", |fs, _| change(fs, LOG, |b| b[40] ^= 1), &[("catalogue", "damaged")]),
    ("log torn", |fs, _| change(fs, LOG, |b| b.extend([3; 7])), &[("catalogue", "torn")]),
    (
        "row lost",
        |fs, _| {
            let catalogue = catalogue_of(fs);
            let row = catalogue.segment(kit::key(), 2).unwrap();
            assert!(catalogue.removed(&row, GapReason::Expired));
            catalogue.flush(true).unwrap();
        },
        &[("catalogue", "no_row")],
    ),
    ("file gone", |fs, paths| fs.remove(&paths[1]).unwrap(), &[("catalogue", "no_file")]),
    (
        "file cut",
        |fs, paths| change(fs, paths[1].to_str().unwrap(), |b| b.truncate(b.len() - 4096)),
        &[("catalogue", "short"), ("segments", "damaged")],
    ),
    (
        "file changed",
        |fs, paths| change(fs, paths[0].to_str().unwrap(), |b| b[4096 + 500] ^= 1),
        &[("segments", "damaged")],
    ),
    ("record changed", |fs, _| change(fs, FIRST, |b| b[200] ^= 1), &[("journal", "damaged")]),
    ("journal cut", |fs, _| change(fs, FIRST, |b| b.truncate(300)), &[("journal", "damaged")]),
    ("head gone", |fs, _| fs.remove(Path::new("/data/journal/head")).unwrap(), &[("journal", "damaged")]),
    (
        "witness changed",
        |fs, _| change(fs, "/v1/fengsui-journal.head", |b| b[30] ^= 1),
        &[("journal", "witness")],
    ),
    (
        "archive row changed",
        |fs, _| change(fs, "/data/archive/far.log", |b| b[100] ^= 1),
        &[("archive", "damaged")],
    ),
    (
        "archive log torn",
        |fs, _| change(fs, "/data/archive/far.log", |b| b.extend([1; 5])),
        &[("archive", "torn")],
    ),
    (
        "a hold that is none",
        |fs, _| {
            let journal = journal_of(fs);
            journal.append_blocking("hold.placed", serde_json::json!({ "id": "x" })).unwrap();
            journal.close();
        },
        &[("retention", "record")],
    ),
    (
        "a file of an incident gone",
        |fs, _| {
            let journal = journal_of(fs);
            let act = serde_json::json!({ "do": "attach", "hash": "ab".repeat(32) });
            journal.append_blocking("duty.acted", serde_json::json!({ "v": 1, "act": act })).unwrap();
            journal.close();
        },
        &[("attachments", "missing")],
    ),
    (
        "a file of an incident changed",
        |fs, _| {
            let name = blake3::hash(b"a note").to_hex();
            fs.put(&Path::new("/data/attachments").join(name.as_str()), b"a lie".to_vec());
        },
        &[("attachments", "damaged")],
    ),
];

#[test]
fn a_sound_node_has_no_problems_and_is_left_as_it_is() {
    let (fs, _) = sound();
    let before: Vec<_> = fs.files().into_iter().map(|p| (p.clone(), fs.get(&p))).collect();
    let report = checked(&fs, &Section::ALL);
    assert_eq!((report.problems(), report.is_partial()), (0, false), "{report:?}");
    assert_eq!(report.sections.len(), Section::ALL.len());
    // The sound node has no incident, so no file of one.
    let has_files = |s: &SectionReport| s.files > 0 || s.section == Section::Attachments;
    assert!(report.sections.iter().all(has_files), "{report:?}");
    let after: Vec<_> = fs.files().into_iter().map(|p| (p.clone(), fs.get(&p))).collect();
    assert!(before == after, "a check changed something");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["sections"][0]["section"], "volumes");
}

#[test]
fn each_fault_is_found_and_nothing_else() {
    for (name, harm, expected) in FAULTS {
        let (fs, paths) = sound();
        harm(&fs, &paths);
        let report = checked(&fs, &Section::ALL);
        let expected: BTreeSet<_> = expected.iter().copied().collect();
        assert_eq!(found(&report), expected, "{name}: {report:?}");
        assert!(!report.is_partial(), "{name}: {report:?}");
        let silent = report.sections.iter().flat_map(|s| &s.problems).any(|p| p.remedy.is_empty());
        assert!(!silent, "{name}: a problem without a remedy");
    }
}

#[test]
fn only_the_chosen_sections_are_looked_at() {
    let (fs, paths) = sound();
    change(&fs, paths[0].to_str().unwrap(), |b| b[5000] ^= 1);
    let report = checked(&fs, &[Section::Journal, Section::Key]);
    let looked: Vec<_> = report.sections.iter().map(|s| s.section).collect();
    assert_eq!(looked, [Section::Key, Section::Journal]);
    assert_eq!(report.problems(), 0);
}

#[test]
fn a_volume_that_cannot_be_listed_is_said_to_be_unchecked() {
    let (fs, _) = sound();
    let mut node = node();
    node.volumes.push(("v2".parse().unwrap(), "/nowhere".into()));
    let shared: Arc<dyn Fs> = Arc::new(fs);
    let report = run(&shared, &node, &Section::ALL, &mut || (), &mut |_| ());
    assert!(report.is_partial());
    assert_eq!(report.problems(), 0, "{report:?}");
}

/// What the node wrote down meanwhile is no difference.
#[test]
fn a_node_that_is_about_to_write_its_index_is_waited_for() {
    let (fs, _) = sound();
    let late = catalogue_of(&fs);
    let row = late.segment(kit::key(), 3).unwrap();
    let path = Path::new("/v1").join(row.path());
    fs.remove(&path).unwrap();
    late.removed(&row, GapReason::Expired);
    let shared: Arc<dyn Fs> = Arc::new(fs);
    let report = run(&shared, &node(), &[Section::Catalogue], &mut || late.flush(true).unwrap(), &mut |_| ());
    assert_eq!(report.problems(), 0, "{report:?}");
}

#[test]
fn progress_goes_up_to_the_total() {
    let (fs, _) = sound();
    let shared: Arc<dyn Fs> = Arc::new(fs);
    let mut seen = Vec::new();
    run(&shared, &node(), &Section::ALL, &mut || (), &mut |p| seen.push(p));
    let segments: Vec<_> = seen.iter().filter(|p| p.section == Section::Segments && p.files > 0).collect();
    assert!(segments.len() >= 3, "{seen:?}");
    assert!(segments.windows(2).all(|w| w[0].bytes <= w[1].bytes));
    assert_eq!(segments.last().map(|p| Some(p.bytes)), segments.last().map(|p| p.total));
}
