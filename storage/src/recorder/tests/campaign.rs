//! Whole nodes (hub, recorder, catalogue, journal) that are killed, or whose power goes, at a random call of the file
//! system: what is lost, and whether all that is shown can be read.
//!
//! `FENGSUI_SEEDS` says how many seeds, `FENGSUI_SEED` the first one; a failing seed is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::env::{Env as _, ProcessEnv};
use fengsui_config::ids::StreamKey;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::bench::{Bench, Outage, key};
use crate::error::StoreError;
use crate::figure::{Figure, Target};
use crate::frame::{GapReason, StartReason};
use crate::fs::{Fault, FaultPlan, SimFs};
use crate::journal::{Journal, JournalOptions};
use crate::segment::{NodeKey, SegmentName};

/// Crashes of one seed.
const CRASHES: u32 = 2;
/// Longest time from a start until a picture is stored.
const AGAIN_US_MAX: i64 = 3_000_000;

/// How a machine dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Kill,
    Power,
}

impl Death {
    fn lost_us_max(self) -> i64 {
        match self {
            Self::Kill => 2_000_000,
            Self::Power => 4_000_000,
        }
    }
}

/// What all seeds came to. Whatever must not be ends its seed by a panic.
#[derive(Debug, Default)]
struct Totals {
    crashes: AtomicU64,
    /// Crashes in the middle of a start.
    at_start: AtomicU64,
    lost_us: AtomicU64,
    again_us: AtomicU64,
    units: AtomicU64,
    records: AtomicU64,
    files: AtomicU64,
}

/// A node with a journal, and what is known of it from outside.
struct Town {
    bench: Bench,
    journal: Option<Arc<Journal>>,
    random: StdRng,
    death: Death,
    /// Acknowledged records: number and what they say.
    acknowledged: BTreeMap<u64, u64>,
    said: u64,
    /// Pictures that crashes before cost.
    lost: BTreeMap<StreamKey, BTreeSet<UtcMicros>>,
    /// Pictures that could be read after an earlier crash.
    stored: BTreeMap<StreamKey, BTreeSet<u64>>,
    /// Closed segments with their bytes.
    closed: BTreeMap<String, blake3::Hash>,
    /// When the cameras came back after the last crash.
    started: Option<UtcMicros>,
}

const JOURNAL: &str = "/data/journal";

impl Town {
    fn new(seed: u64, death: Death) -> Self {
        let mut bench = Bench::new(SimFs::new(seed), &["v1"]);
        bench.picture_bytes = 504;
        let journal = open_journal(&bench).unwrap();
        bench.due(&[key(1), key(2)]);
        bench.begin(key(1));
        bench.begin(key(2));
        Self {
            bench,
            journal: Some(journal),
            random: StdRng::seed_from_u64(seed),
            death,
            acknowledged: BTreeMap::new(),
            said: 0,
            lost: BTreeMap::new(),
            stored: BTreeMap::new(),
            closed: BTreeMap::new(),
            started: None,
        }
    }

    /// One tenth of a second in the life of the node.
    fn tick(&mut self) {
        self.bench.run(0.1);
        match self.random.random_range(0..100) {
            0..8 => self.append(),
            8 => {
                self.bench.end(key(2), GapReason::Network);
                self.bench.begin(key(2));
            }
            9 => self.bench.begin_with(key(1), StartReason::ParametersChanged),
            _ => {}
        }
    }

    fn append(&mut self) {
        self.said += 1;
        let Some(journal) = &self.journal else { return };
        if let Ok(seq) = journal.append_blocking("test.said", serde_json::json!({ "n": self.said })) {
            self.acknowledged.insert(seq, self.said);
        }
    }

    fn plan_death(&mut self, calls: u64) {
        let fault = if self.death == Death::Kill { Fault::Kill } else { Fault::PowerCut };
        let after = self.random.random_range(0..calls);
        self.bench.fs.plan(FaultPlan { operation: None, below: None, after, times: u64::MAX, fault });
    }

    /// Lives for a while and dies at a random call. Returns when.
    fn live(&mut self) -> UtcMicros {
        for _ in 0..self.random.random_range(0..60) {
            self.tick();
        }
        self.plan_death(40);
        for _ in 0..30 {
            if self.bench.fs.is_dead() {
                break;
            }
            self.tick();
        }
        self.bench.now()
    }

    fn end(&mut self) {
        self.bench.fs.halt();
        self.journal = None;
        let off = Duration::from_millis(self.random.random_range(0..10_000));
        let outage = if self.death == Death::Kill { Outage::Kill(off) } else { Outage::Power(off) };
        self.bench.end_node(outage);
        self.bench.fs.heal();
    }

    /// Starts again; the start may be ended by further deaths.
    fn start(&mut self, totals: &Totals) {
        for attempt in 0.. {
            if attempt < 2 && self.random.random_range(0..3) == 0 {
                self.plan_death(60);
            }
            let started = self.try_start();
            if started.is_ok() && !self.bench.fs.is_dead() {
                break;
            }
            if !self.bench.fs.is_dead() {
                started.unwrap();
            }
            add(&totals.crashes, 1);
            add(&totals.at_start, 1);
            self.end();
        }
        self.bench.fs.heal();
    }

    fn try_start(&mut self) -> Result<(), StoreError> {
        self.journal = Some(open_journal(&self.bench)?);
        self.bench.start_node()?;
        self.bench.due(&[key(1), key(2)]);
        Ok(())
    }

    /// What is stored after a crash at `died`, compared with what was before.
    fn judge(&mut self, died: UtcMicros, totals: &Totals) {
        for k in [key(1), key(2)] {
            let stored: BTreeSet<u64> = self.bench.stored(k).into_iter().collect();
            if let Some(started) =
                self.started.filter(|s| died.since(*s) > AGAIN_US_MAX + self.death.lost_us_max())
            {
                let first =
                    self.bench.cameras[&k].sent().find(|(n, at)| *at >= started && stored.contains(n));
                let again = first.map_or(i64::MAX, |(_, at)| at.since(started));
                assert!(again <= AGAIN_US_MAX, "{k}: recording again only after {again} us");
                totals.again_us.fetch_max(again.unsigned_abs(), Ordering::Relaxed);
            }
            let before = self.stored.entry(k).or_default();
            assert!(before.is_subset(&stored), "{k}: pictures of before the last crash are gone");
            let known = self.lost.entry(k).or_default();
            for (number, at) in self.bench.cameras[&k].sent() {
                if !stored.contains(&number) && known.insert(at) {
                    let lost = died.since(at) + 100_000;
                    assert!(lost <= self.death.lost_us_max(), "{k}: a picture of {lost} us before is lost");
                    totals.lost_us.fetch_max(lost.unsigned_abs(), Ordering::Relaxed);
                }
            }
            add(&totals.units, (stored.len() - before.len()) as u64);
            *before = stored;
        }
        self.judge_files(totals);
        self.judge_journal(totals);
    }

    /// No closed file is gone or another, and there is no name twice.
    fn judge_files(&mut self, totals: &Totals) {
        let mut seen = BTreeMap::new();
        for path in self.bench.fs.files() {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let Ok(name) = name.parse::<SegmentName>() else { continue };
            if path.starts_with("/v1/quarantine") || name.closed.is_none() {
                continue;
            }
            let bytes = self.bench.fs.get(&path).unwrap();
            let stem = path.with_file_name(format!("{}_{}", name.start_ms, name.number));
            let twice = seen.insert(stem.display().to_string(), blake3::hash(&bytes));
            assert!(twice.is_none(), "{} is there twice", stem.display());
        }
        for (stem, hash) in &self.closed {
            assert!(seen.get(stem) == Some(hash), "{stem} is gone or another");
        }
        add(&totals.files, (seen.len() - self.closed.len()) as u64);
        self.closed = seen;
    }

    /// Every acknowledged record is there, and the chain holds.
    fn judge_journal(&mut self, totals: &Totals) {
        let journal = self.journal.as_ref().unwrap();
        let report = journal.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.damages);
        let mut left = self.acknowledged.clone();
        for record in journal.read(1).unwrap() {
            let record = record.unwrap();
            if let Some(said) = left.remove(&record.seq) {
                assert_eq!(record.body, serde_json::json!({ "n": said }), "record {}", record.seq);
            }
        }
        assert!(left.is_empty(), "acknowledged records are lost: {left:?}");
        totals.records.fetch_max(self.acknowledged.len() as u64, Ordering::Relaxed);
    }

    /// Cameras come back.
    fn again(&mut self) {
        self.started = Some(self.bench.now());
        self.bench.begin(key(1));
        self.bench.begin(key(2));
    }
}

fn open_journal(bench: &Bench) -> Result<Arc<Journal>, StoreError> {
    let fs = Arc::new(bench.fs.clone());
    let key = Arc::new(NodeKey::from_seed([7; 32]));
    let options =
        JournalOptions::new(fs, JOURNAL.into(), bench.clock.clone(), "centre".parse().unwrap(), key);
    Journal::open(JournalOptions { head_every: None, ..options })
}

fn add(to: &AtomicU64, n: u64) {
    to.fetch_add(n, Ordering::Relaxed);
}

fn one(seed: u64, death: Death, totals: &Totals) {
    let mut town = Town::new(seed, death);
    for _ in 0..CRASHES {
        let died = town.live();
        add(&totals.crashes, 1);
        town.end();
        town.start(totals);
        town.judge(died, totals);
        town.again();
    }
    town.bench.run(2.0);
    town.bench.recorder.stop();
    for k in [key(1), key(2)] {
        town.bench.assert_covered(k);
        town.bench.assert_lost_only_in_gaps(k);
    }
}

/// Runs seeds on every core when there are many, and names the one that fails.
fn campaign(name: &str, seeds: u64, death: Death) -> Totals {
    let first = ProcessEnv.get("FENGSUI_SEED").and_then(|s| s.parse().ok()).unwrap_or(0);
    let asked = ProcessEnv.get("FENGSUI_SEEDS").and_then(|s| s.parse().ok());
    let end = first + asked.unwrap_or(seeds);
    let threads =
        if asked.is_some() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let (next, failed, totals) = (AtomicU64::new(first), AtomicU64::new(0), Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let run = std::panic::AssertUnwindSafe(|| one(seed, death, &totals));
                    // The panic hook has said what did not hold.
                    if std::panic::catch_unwind(run).is_err() {
                        next.store(end, Ordering::Relaxed);
                        add(&failed, 1);
                        println!("{name}: replay with FENGSUI_SEED={seed} FENGSUI_SEEDS=1");
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{}", Figure::new(format!("{name}.seeds"), (end - first) as f64, "seeds", Target::Shown));
    // A seed fails when a byte is corrupt, a file or an acknowledged record is gone, or more is lost than may be.
    println!("{}", Figure::new(format!("{name}.seeds_failed"), failed as f64, "seeds", Target::Exactly(0.0)));
    assert_eq!(failed, 0, "see the seeds above");
    totals
}

/// Prints the figures.
fn figures(name: &str, totals: &Totals, lost_us_max: i64) {
    let get = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
    let figure = |what: &str, value, unit, target| {
        println!("{}", Figure::new(format!("{name}.{what}"), value, unit, target));
    };
    figure("crashes", get(&totals.crashes), "crashes", Target::AtLeast(1.0));
    figure("crashes_in_recovery", get(&totals.at_start), "crashes", Target::Shown);
    figure("lost_max", get(&totals.lost_us) / 1e6, "s", Target::AtMost(lost_us_max as f64 / 1e6));
    figure("recording_again_max", get(&totals.again_us) / 1e6, "s", Target::AtMost(3.0));
    figure("pictures_checked", get(&totals.units), "pictures", Target::AtLeast(1.0));
    figure("closed_files_checked", get(&totals.files), "files", Target::AtLeast(1.0));
    figure("journal_records_checked", get(&totals.records), "records", Target::AtLeast(1.0));
}

/// 2,000 in `make test`; `make campaign-power SEEDS=100000` in full.
#[test]
fn a_power_cut_at_any_call_costs_at_most_four_seconds_no_byte_and_no_record() {
    let totals = campaign("power", 2000, Death::Power);
    figures("power", &totals, Death::Power.lost_us_max());
}

/// 1,000 in `make test`; `make campaign-kill-sim SEEDS=100000` in full.
#[test]
fn a_kill_at_any_call_costs_at_most_one_fragment_and_nothing_stored_before() {
    let totals = campaign("kill_sim", 1000, Death::Kill);
    figures("kill_sim", &totals, Death::Kill.lost_us_max());
}
