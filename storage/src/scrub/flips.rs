//! Campaign: single bits flip anywhere in any kind of file. All are found when the file is read, and what is lost is
//! at most the group of pictures, or the record, that they hit. `make campaign-flips` runs 10,000 of them.
//!
//! A flip is harmless where the reader proves that the content is the same (white space of JSON, case of hexadecimal
//! digits); it is counted apart. In segments there is no such place: every byte is covered, filling included.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::VolumeConfig;
use fengsui_config::clock::{ManualClock, MonoMicros};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::state;
use crate::catalogue::{Catalogue, Opening};
use crate::error::StoreError;
use crate::figure::{Figure, Target};
use crate::frame::GapReason;
use crate::fs::{Fs, PageBuf, SimFs};
use crate::journal::{Journal, JournalOptions, VerifyOptions};
use crate::segment::tests::kit;
use crate::segment::{KeyId, NodeKey, Outcome, SegmentReader, SegmentWriter, Surveyor, finish_torn, recover};
use crate::volume::{IDENTITY_FILE, Volume, VolumeState};

/// What one flip came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Found,
    /// Not found, and proven to change nothing.
    Harmless,
}

/// The verdict on a copy of which the byte at an offset has one bit flipped, or what is wrong.
type Judge = Box<dyn Fn(&[u8], usize) -> Result<Verdict, String>>;

/// One kind of file, its bytes, and the judge of a flipped copy.
struct Kind {
    name: &'static str,
    weight: u32,
    bytes: Vec<u8>,
    judge: Judge,
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Fragments of a whole file, and the group that each is in.
struct Truth {
    bytes: Vec<u8>,
    fragments: Vec<Bytes>,
    group_of: Vec<u64>,
}

fn truth(fs: &SimFs, path: &Path, limit: Option<u64>, starts: &[u64]) -> Truth {
    let r = SegmentReader::open(fs, path, limit).unwrap();
    let n = r.fragments().len() as u32;
    let group = |at: u64| starts.iter().copied().filter(|s| *s <= at).max().unwrap_or(0);
    Truth {
        bytes: fs.get(path).unwrap(),
        fragments: (0..n).map(|i| r.read_fragment(i).unwrap()).collect(),
        group_of: r.fragments().iter().map(|f| group(f.offset)).collect(),
    }
}

impl Truth {
    /// Everything that `r` serves is what was written; returns the groups of which something is not served.
    fn lost(&self, r: &SegmentReader) -> Result<Vec<u64>, String> {
        let mut served = vec![false; self.fragments.len()];
        for f in r.fragments() {
            if let Ok(bytes) = r.read_fragment(f.index) {
                let at = self.fragments.iter().position(|t| *t == bytes);
                served[at.ok_or("a fragment was served that was never written")?] = true;
            }
        }
        let lost = self.group_of.iter().zip(served).filter(|(_, s)| !s).map(|(g, _)| *g);
        let mut lost: Vec<u64> = lost.collect();
        lost.dedup();
        Ok(lost)
    }

    /// Reads the file by ranges; bytes served are those written. True when some were refused.
    fn refused(&self, r: &SegmentReader, len: u64) -> Result<bool, String> {
        let (mut at, mut refused) = (0u64, false);
        while at < len {
            let Ok(part) = r.read_checked(at, 10_000.min((len - at) as usize)) else {
                refused = true;
                at += 512;
                continue;
            };
            let end = at as usize + part.len();
            check(
                !part.is_empty() && self.bytes.get(at as usize..end) == Some(&*part),
                "wrong bytes served",
            )?;
            at = end as u64;
        }
        Ok(refused)
    }
}

fn group_starts(fs: &SimFs, path: &Path) -> Vec<u64> {
    let bytes = fs.get(path).unwrap();
    let page = |at: &usize| bytes.get(at + 4..at + 8) == Some(b"prft");
    (0..bytes.len()).step_by(4096).filter(page).map(|at| at as u64).collect()
}

fn closed_segment() -> Kind {
    let (fs, root) = kit::volume();
    let made = kit::closed(&fs, &root, &kit::info(true), &kit::stream(300, 50, 260, true));
    let whole = truth(&fs, &made.path, None, &group_starts(&fs, &made.path));
    let bytes = whole.bytes.clone();
    let judge = move |bad: &[u8], _: usize| {
        let fs = SimFs::new(1);
        fs.put(&made.path, bad.to_vec());
        let end = made.row.end();
        let Ok(mut surveyor) = Surveyor::open(&fs, &made.path, end) else {
            return Err("the whole file was lost".into());
        };
        while surveyor.step().map_err(|e| e.to_string())?.is_some() {}
        let survey = surveyor.finish();
        check(!survey.damages.is_empty(), "the scrubber found nothing")?;
        let full = crate::segment::check(&fs, &made.path, true).map_err(|e| e.to_string())?;
        check(full.outcome != Outcome::Clean || !full.signed, "the full check found nothing")?;
        let r = SegmentReader::open(&fs, &made.path, None).map_err(|e| e.to_string())?;
        let lost = whole.lost(&r)?;
        check(lost.len() <= 1, "more than a group was lost")?;
        let told = survey.damages.iter().filter(|d| d.lost.is_some()).count();
        check(told == lost.len(), "what is lost is not what the scrubber says")?;
        check(whole.refused(&r, whole.bytes.len() as u64)?, "ranges served the flipped byte")?;
        Ok(Verdict::Found)
    };
    Kind { name: "segment_closed", weight: 40, bytes, judge: Box::new(judge) }
}

fn open_segment() -> Kind {
    let (fs, root) = kit::volume();
    let mut w = SegmentWriter::create(&fs, &root, kit::head(1, &kit::info(true)), 0, kit::signer()).unwrap();
    let mut buf = PageBuf::new();
    let mut lengths = Vec::new();
    for u in kit::stream(300, 50, 260, true) {
        w.push(u.clone());
        while w.due(u.arrived) {
            // The sync comes one group late, as it does in a node.
            let durable = lengths.last().copied().unwrap_or(0);
            lengths.push(w.flush(&mut buf).unwrap().length);
            w.synced(durable);
        }
    }
    let path = w.path().to_path_buf();
    let committed = w.committed();
    let starts = group_starts(&fs, &path);
    let whole = truth(&fs, &path, Some(committed), &starts);
    let bytes = whole.bytes[..committed as usize].to_vec();
    // What the last record calls durable.
    let durable = lengths[lengths.len() - 3];
    let judge = move |bad: &[u8], at: usize| {
        let fs = SimFs::new(1);
        fs.put(&path, bad.to_vec());
        let r = SegmentReader::open(&fs, &path, Some(committed)).map_err(|e| e.to_string())?;
        check(whole.lost(&r)?.len() <= 1, "more than a group was lost while it is written")?;
        check(whole.refused(&r, committed)?, "ranges served the flipped byte")?;
        // The node dies now.
        let found = recover(&fs, &path).map_err(|e| e.to_string())?;
        let deep = crate::segment::check(&fs, &path, true).map_err(|e| e.to_string())?;
        check(
            found.outcome != Outcome::Clean || deep.outcome != Outcome::Clean,
            "recovery and check found nothing",
        )?;
        let done = finish_torn(&fs, &path, Path::new("/v1/quarantine"), &kit::signer())
            .map_err(|e| e.to_string())?;
        let row = done.row.ok_or("the whole file was lost")?;
        let closed = Path::new("/v1").join(row.path());
        let r = SegmentReader::open(&fs, &closed, None).map_err(|e| e.to_string())?;
        let lost = whole.lost(&r)?;
        // What was never known to be durable ends at the first byte that does not hold: that is a torn tail.
        let most = if (at as u64) < durable { 1 } else { starts.iter().filter(|s| **s >= durable).count() };
        check(lost.len() <= most, "recovery lost more than a group of what was durable")?;
        Ok(Verdict::Found)
    };
    Kind { name: "segment_open", weight: 20, bytes, judge: Box::new(judge) }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(kit::START + Duration::from_secs(7200)))
}

fn catalogue_log() -> Kind {
    let dir = Path::new("/data/catalogue");
    let open = |fs: &SimFs| {
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        Catalogue::open(shared, dir, clock()).map_err(|e| e.to_string())
    };
    let fs = SimFs::new(1);
    let log = open(&fs).unwrap();
    let made =
        kit::closed(&SimFs::new(2), Path::new("/v1"), &kit::info(false), &kit::stream(50, 25, 60, false));
    for n in 0..60 {
        let row = crate::segment::SegmentRow {
            number: n,
            start_ms: kit::START.millis() + i64::try_from(n).unwrap() * 60_000,
            ..made.row.clone()
        };
        log.closed(&row, [n as u8; 32]);
        log.gap(row.key, GapReason::Network, row.end(), row.end() + Duration::from_secs(40));
    }
    log.flush(true).unwrap();
    let place = fs.files().into_iter().find(|f| f.starts_with(dir)).unwrap();
    let bytes = fs.get(&place).unwrap();
    let before = open(&fs).unwrap().stats();
    let judge = move |bad: &[u8], _: usize| {
        let fs = SimFs::new(1);
        fs.put(&place, bad.to_vec());
        let log = open(&fs)?;
        check(*log.opening() != Opening::Clean, "the log was called clean")?;
        let after = log.stats();
        let (was, is) = (before.segments + before.gaps, after.segments + after.gaps);
        check(is + 1 >= was, &format!("{} of {was} rows were lost", was.saturating_sub(is)))?;
        check(is <= was, "rows appeared")?;
        Ok(Verdict::Found)
    };
    Kind { name: "catalogue", weight: 15, bytes, judge: Box::new(judge) }
}

fn open_journal(fs: Arc<dyn Fs>) -> Result<Arc<Journal>, StoreError> {
    let key = Arc::new(NodeKey::from_seed([7; 32]));
    let options = JournalOptions::new(fs, "/data/journal".into(), clock(), "centre".parse().unwrap(), key);
    Journal::open(JournalOptions { head_every: None, ..options })
}

fn journal() -> Kind {
    let dir = Path::new("/data/journal");
    let fs = SimFs::new(1);
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let made = open_journal(shared).unwrap();
    for n in 0..40 {
        made.append_blocking("test.row", serde_json::json!({ "n": n, "text": "the quick brown fox" }))
            .unwrap();
    }
    made.close();
    let place = fs.files().into_iter().find(|f| f.extension().is_some_and(|e| e == "journal")).unwrap();
    let bytes = fs.get(&place).unwrap();
    let judge = move |bad: &[u8], _: usize| {
        let fs = SimFs::new(1);
        fs.put(&place, bad.to_vec());
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let report =
            Journal::verify_dir(&shared, dir, &VerifyOptions::default()).map_err(|e| e.to_string())?;
        check(!report.is_sound(), "verify found nothing")?;
        // The node starts and writes on: what is behind the flip is still there.
        let opened = open_journal(shared).map_err(|e| e.to_string())?;
        let rows = opened.read(1).map_err(|e| e.to_string())?.filter_map(Result::ok);
        let left = rows.filter(|r| r.kind == "test.row").count();
        opened.close();
        check(left + 1 >= 40, &format!("{left} of 40 records can be read after the next start"))?;
        check(report.records + 1 >= 41, &format!("{} of 41 records can be read", report.records))?;
        Ok(Verdict::Found)
    };
    Kind { name: "journal", weight: 15, bytes, judge: Box::new(judge) }
}

fn scrub_state() -> Kind {
    let fs = SimFs::new(1);
    let dir = Path::new("/data/integrity");
    let kept = state::Kept { next_request: 7, cursor: Some((5, kit::key(), 9)), ..state::Kept::default() };
    state::save(&fs, dir, &kept).unwrap();
    let bytes = fs.get(&dir.join("integrity.state")).unwrap();
    let judge = |bad: &[u8], _: usize| {
        check(state::decode(bad).is_none(), "a changed state was taken")?;
        Ok(Verdict::Found)
    };
    Kind { name: "scrub_state", weight: 4, bytes, judge: Box::new(judge) }
}

fn volume_identity() -> Kind {
    let root = PathBuf::from("/v1");
    let probe = |fs: &SimFs| {
        let now = kit::START;
        let config = VolumeConfig::direct("v1".parse().unwrap(), "/v1".into(), 4096);
        let mut v = Volume::new(&config, false, "centre".parse().unwrap(), "/data".into(), now);
        v.probe(fs, now, MonoMicros(1));
        v.status().state
    };
    let fs = SimFs::new(1);
    assert_eq!(probe(&fs), VolumeState::Ok);
    let path = root.join(IDENTITY_FILE);
    let bytes = fs.get(&path).unwrap();
    let known: Vec<(PathBuf, Vec<u8>)> = fs
        .files()
        .into_iter()
        .filter(|f| f.starts_with("/data"))
        .map(|f| (f.clone(), fs.get(&f).unwrap()))
        .collect();
    let good: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let judge = move |bad: &[u8], _: usize| {
        let fs = SimFs::new(1);
        known.iter().for_each(|(path, bytes)| fs.put(path, bytes.clone()));
        fs.put(&path, bad.to_vec());
        if probe(&fs) != VolumeState::Ok {
            return Ok(Verdict::Found);
        }
        // Who made the volume, and when, decides nothing; its name and its number do.
        let now: serde_json::Value = serde_json::from_slice(bad).map_err(|e| e.to_string())?;
        check(
            now["uuid"] == good["uuid"] && now["id"] == good["id"],
            "another volume was taken for this one",
        )?;
        Ok(Verdict::Harmless)
    };
    Kind { name: "volume_identity", weight: 3, bytes, judge: Box::new(judge) }
}

fn node_key() -> Kind {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.key");
    let id: KeyId = NodeKey::load_or_create(&path).unwrap().id();
    let bytes = std::fs::read(&path).unwrap();
    let judge = move |bad: &[u8], _: usize| {
        let _ = &dir;
        std::fs::write(&path, bad).map_err(|e| e.to_string())?;
        match NodeKey::load_or_create(&path) {
            Err(_) => Ok(Verdict::Found),
            Ok(key) => check(key.id() == id, "another key was taken").map(|()| Verdict::Harmless),
        }
    };
    Kind { name: "node_key", weight: 3, bytes, judge: Box::new(judge) }
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// As many random flips as `FENGSUI_FLIPS` says, from `FENGSUI_SEED` on.
#[test]
fn flipped_bits_of_every_kind_of_file_are_found_and_cost_at_most_what_they_hit() {
    let (runs, seed) = (from_env("FENGSUI_FLIPS", 500), from_env("FENGSUI_SEED", 1));
    let kinds = [
        closed_segment(),
        open_segment(),
        catalogue_log(),
        journal(),
        scrub_state(),
        volume_identity(),
        node_key(),
    ];
    let total: u32 = kinds.iter().map(|k| k.weight).sum();
    let mut counts: BTreeMap<(&str, Verdict), u64> = BTreeMap::new();
    for n in 0..runs {
        let seed = seed + n;
        let mut dice = StdRng::seed_from_u64(seed);
        let mut draw = dice.random_range(0..total);
        let kind = kinds
            .iter()
            .find(|k| {
                draw < k.weight || {
                    draw -= k.weight;
                    false
                }
            })
            .unwrap();
        let (at, bit) = (dice.random_range(0..kind.bytes.len()), dice.random_range(0..8u8));
        let mut bad = kind.bytes.clone();
        bad[at] ^= 1 << bit;
        match (kind.judge)(&bad, at) {
            Ok(verdict) => *counts.entry((kind.name, verdict)).or_default() += 1,
            Err(wrong) => panic!(
                "{}: byte {at} of {}, bit {bit}: {wrong}; replay with FENGSUI_SEED={seed} FENGSUI_FLIPS=1",
                kind.name,
                kind.bytes.len()
            ),
        }
    }
    let of =
        |v: Verdict| counts.iter().filter(|((_, verdict), _)| *verdict == v).map(|(_, n)| n).sum::<u64>();
    let (found, harmless) = (of(Verdict::Found), of(Verdict::Harmless));
    println!("{counts:?}");
    let figure = |name: &str, value: u64, target| {
        println!("{}", Figure::new(format!("bit_flips.{name}"), value as f64, "flips", target));
    };
    figure("made", runs, Target::AtLeast(1.0));
    figure("harmless", harmless, Target::Shown);
    // Not found, or found at the cost of more than the group that was hit.
    figure("failed", runs - found - harmless, Target::Exactly(0.0));
    assert_eq!(found + harmless, runs);
}
