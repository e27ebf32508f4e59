//! Journal, catalogue, volume identity, known volumes, node key.

use std::path::Path;
use std::sync::Arc;

use fengsui_config::VolumeConfig;
use fengsui_config::clock::{ManualClock, MonoMicros, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};

use super::Protocol;
use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, Fs, Operation, SimFs};
use crate::journal::{Journal, JournalOptions};
use crate::segment::{KeyId, NodeKey, SegmentFlags, SegmentRow};
use crate::volume::{Volume, VolumeState};

const T: UtcMicros = UtcMicros(1_700_000_000_000_000);
const JOURNAL: &str = "/data/journal";
const CATALOGUE: &str = "/data/catalogue";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(T))
}

fn open_journal(fs: &SimFs) -> Result<Arc<Journal>, StoreError> {
    let key = Arc::new(NodeKey::from_seed([7; 32]));
    let options =
        JournalOptions::new(Arc::new(fs.clone()), JOURNAL.into(), clock(), "centre".parse().unwrap(), key);
    // Without the thread that signs heads by the clock: calls come in one order alone.
    Journal::open(JournalOptions { head_every: None, ..options })
}

/// Opens the journal and appends so many records; returns the numbers that were acknowledged.
fn append(fs: &SimFs, records: u64) -> Vec<u64> {
    let Ok(journal) = open_journal(fs) else { return Vec::new() };
    (0..records)
        .filter_map(|n| journal.append_blocking("test.said", serde_json::json!({ "n": n })).ok())
        .collect()
}

/// Opens, and finds all acknowledged records in a sound chain; then the same again after one more crash.
fn journal_holds(fs: &SimFs, acknowledged: &[u64]) {
    for _ in 0..2 {
        let journal = open_journal(fs).unwrap();
        let report = journal.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.damages);
        let found: Vec<u64> = journal
            .read(1)
            .unwrap()
            .map(Result::unwrap)
            .filter(|r| r.kind == "test.said")
            .map(|r| r.seq)
            .collect();
        assert!(acknowledged.iter().all(|n| found.contains(n)), "{acknowledged:?} in {found:?}");
        drop(journal);
        fs.crash();
    }
}

#[test]
fn journal_begin_and_append() {
    let new = Protocol {
        name: "journal_begin",
        before: &|| SimFs::new(1),
        run: &|fs| append(fs, 1),
        check: &|fs, done: &Vec<u64>| journal_holds(fs, done),
    };
    new.enumerate();
    let known = Protocol {
        name: "journal_append",
        before: &|| {
            let fs = SimFs::new(1);
            append(&fs, 2);
            fs
        },
        run: &|fs| append(fs, 2),
        check: &|fs, done: &Vec<u64>| journal_holds(fs, done),
    };
    known.enumerate();
}

#[test]
fn journal_with_a_torn_tail_and_after_a_failed_sync() {
    let torn = Protocol {
        name: "journal_torn_tail",
        before: &|| {
            // A third record that was cut short: the signed head knows of two.
            let (fs, more) = (SimFs::new(1), SimFs::new(1));
            append(&fs, 2);
            append(&more, 3);
            let path = Path::new(JOURNAL).join("0000000001.journal");
            let mut bytes = more.get(&path).unwrap();
            bytes.truncate(bytes.len() - 7);
            assert!(bytes.starts_with(&fs.get(&path).unwrap()), "the same calls give the same bytes");
            fs.put(&path, bytes);
            fs
        },
        run: &|fs| append(fs, 1),
        check: &|fs, done: &Vec<u64>| journal_holds(fs, done),
    };
    torn.enumerate();
    // The process goes on, or starts again without a crash, after a sync was refused: what only the page cache has must
    // not be built on.
    let refused = |records: u64| {
        move || {
            let fs = SimFs::new(1);
            append(&fs, 1);
            let plan = |after, times| FaultPlan {
                operation: Some(Operation::SyncFile),
                below: Some(JOURNAL.into()),
                after,
                times,
                fault: Fault::Io,
            };
            fs.plan(plan(1, 1));
            append(&fs, records);
            fs.heal();
            fs
        }
    };
    for (name, records) in [("journal_next_file", 2), ("journal_restart_after_a_failed_sync", 1)] {
        let before = refused(records);
        let again = Protocol {
            name,
            before: &before,
            run: &|fs| append(fs, 1),
            check: &|fs, done: &Vec<u64>| journal_holds(fs, done),
        };
        again.enumerate();
    }
}

fn key() -> StreamKey {
    StreamKey { camera: "33080000001320000001".parse().unwrap(), stream: StreamKind::Main }
}

fn row(number: u64) -> SegmentRow {
    SegmentRow {
        volume: "v1".parse().unwrap(),
        key: key(),
        number,
        start_ms: T.millis() + i64::try_from(number).unwrap() * 10_000,
        duration_ms: 10_000,
        flags: SegmentFlags::VIDEO,
        bytes: 1000 + number,
        closed: true,
    }
}

fn open_catalogue(fs: &SimFs) -> Result<Arc<Catalogue>, StoreError> {
    Catalogue::open(Arc::new(fs.clone()), Path::new(CATALOGUE), clock())
}

/// Notes segments, each made durable; returns the numbers of those that are.
fn note(fs: &SimFs, numbers: std::ops::Range<u64>) -> Vec<u64> {
    let Ok(catalogue) = open_catalogue(fs) else { return Vec::new() };
    let mut durable = Vec::new();
    for n in numbers {
        catalogue.closed(&row(n), [7; 32]);
        catalogue.gap(key(), GapReason::Network, row(n).end(), UtcMicros(row(n).end().0 + 2_000_000));
        if catalogue.flush(true).is_ok() {
            durable.push(n);
        }
    }
    durable
}

/// Opens with all durable rows and no other than were noted.
fn catalogue_holds(fs: &SimFs, durable: &[u64]) {
    for _ in 0..2 {
        let catalogue = open_catalogue(fs).unwrap();
        let rows = catalogue.segments(key(), UtcMicros(0), UtcMicros(i64::MAX / 2));
        let found: Vec<u64> = rows.iter().map(|r| r.number).collect();
        assert!(durable.iter().all(|n| found.contains(n)), "{durable:?} in {found:?}");
        assert!(rows.iter().all(|r| *r == row(r.number)), "{rows:?}");
        drop(catalogue);
        fs.crash();
    }
}

#[test]
fn catalogue_begin_append_and_rewrite() {
    let begin = Protocol {
        name: "catalogue_begin",
        before: &|| SimFs::new(1),
        run: &|fs| note(fs, 1..1),
        check: &|fs, done: &Vec<u64>| catalogue_holds(fs, done),
    };
    begin.enumerate();
    let some = || {
        let fs = SimFs::new(1);
        note(&fs, 1..4);
        fs
    };
    let append = Protocol {
        name: "catalogue_append",
        before: &some,
        run: &|fs| note(fs, 4..6),
        check: &|fs, done: &Vec<u64>| catalogue_holds(fs, done),
    };
    append.enumerate();
    // A damaged log is written afresh beside the old one, and takes its place.
    let damaged = || {
        let fs = some();
        let path = Path::new(CATALOGUE).join("catalogue.log");
        let mut bytes = fs.get(&path).unwrap();
        let log = bytes.len();
        bytes[log - 150] ^= 1;
        fs.put(&path, bytes);
        fs
    };
    let found = {
        let catalogue = open_catalogue(&damaged()).unwrap();
        let rows = catalogue.segments(key(), UtcMicros(0), UtcMicros(i64::MAX / 2));
        rows.iter().map(|r| r.number).collect::<Vec<_>>()
    };
    assert!(!found.is_empty());
    let rewrite = Protocol {
        name: "catalogue_rewrite",
        before: &damaged,
        run: &|fs| {
            drop(open_catalogue(fs));
            found.clone()
        },
        check: &|fs, done: &Vec<u64>| catalogue_holds(fs, done),
    };
    rewrite.enumerate();
    let torn = Protocol {
        name: "catalogue_torn_tail",
        before: &|| {
            let fs = some();
            let path = Path::new(CATALOGUE).join("catalogue.log");
            let mut bytes = fs.get(&path).unwrap();
            bytes.truncate(bytes.len() - 5);
            fs.put(&path, bytes);
            fs
        },
        run: &|fs| {
            drop(open_catalogue(fs));
            vec![1, 2]
        },
        check: &|fs, done: &Vec<u64>| catalogue_holds(fs, done),
    };
    torn.enumerate();
}

fn probe(fs: &SimFs) -> VolumeState {
    let config = VolumeConfig::direct("v1".parse().unwrap(), "/v1".into(), 1 << 20);
    let mut volume = Volume::new(&config, false, "centre".parse().unwrap(), "/data".into(), T);
    volume.probe(fs, T, MonoMicros(0));
    volume.status().state
}

#[test]
fn volume_adoption() {
    let identity = |fs: &SimFs| fs.get(Path::new("/v1/fengsui-volume.json"));
    let adopt = Protocol {
        name: "volume_adopt",
        before: &|| SimFs::new(1),
        run: &|fs| (probe(fs) == VolumeState::Ok).then(|| identity(fs).unwrap()),
        check: &|fs, done: &Option<Vec<u8>>| {
            for _ in 0..2 {
                assert_eq!(probe(fs), VolumeState::Ok, "a volume half adopted is adopted");
                assert!(done.is_none() || identity(fs) == *done, "a volume has one identity for ever");
                fs.crash();
            }
        },
    };
    adopt.enumerate();
    let known = Protocol {
        name: "volume_made_known",
        before: &|| {
            let fs = SimFs::new(1);
            probe(&fs);
            fs.remove(Path::new("/data/volumes.json")).unwrap();
            fs.sync_dir(Path::new("/data")).unwrap();
            fs
        },
        run: &|fs| (probe(fs), identity(fs)),
        check: &|fs, (_, before)| {
            assert_eq!(probe(fs), VolumeState::Ok);
            assert_eq!(identity(fs), *before);
        },
    };
    known.enumerate();
}

#[test]
fn node_key() {
    let path = Path::new("/data/node.key");
    let load = |fs: &SimFs| NodeKey::load_or_create_in(fs, path).map(|k| k.id());
    let create = Protocol {
        name: "node_key",
        before: &|| {
            let fs = SimFs::new(1);
            fs.create_dir_all(Path::new("/data")).unwrap();
            fs.sync_dir(Path::new("/data")).unwrap();
            fs
        },
        run: &|fs| load(fs).ok(),
        check: &|fs, made: &Option<KeyId>| {
            let found = load(fs).unwrap();
            assert!(made.is_none_or(|m| m == found), "a key that was used is the node's key for ever");
            fs.crash();
            assert_eq!(load(fs).unwrap(), found);
        },
    };
    create.enumerate();
}
