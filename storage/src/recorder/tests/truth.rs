//! Truth: after faults of every kind, what the catalogue and playback say is compared with an oracle that knows only the
//! files. It opens every one of them and reads every fragment against its hash.
//!
//! `FENGSUI_QUERIES` sets the number of questions, `FENGSUI_SEED` the first seed; `make campaign-truth` asks 100,000.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::bench::{Bench, Outage, key};
use crate::catalogue::SpanKind;
use crate::figure::{Figure, Target};
use crate::frame::{GapReason, StartReason};
use crate::fs::{Fault, FaultPlan, Fs as _, Operation, SimFs};
use crate::gaps::{Interval, merge, subtract, total_us};
use crate::playback::Footage;
use crate::segment::{SegmentName, SegmentReader};

const VOLUMES: [&str; 2] = ["v1", "v2"];
/// Rows are kept in milliseconds, and names round outwards.
const ROUNDING_US: i64 = 2_000;
/// Questions to one world before the next begins.
const QUERIES_PER_WORLD: u64 = 250;

/// One fragment that can be played, as the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Playable {
    interval: Interval,
    video: bool,
}

/// What the files hold: every fragment that reads back with its hash, by stream.
fn oracle(fs: &SimFs) -> BTreeMap<StreamKey, Vec<Playable>> {
    let mut out: BTreeMap<StreamKey, Vec<Playable>> = BTreeMap::new();
    for path in segment_files(fs) {
        let Ok(reader) = SegmentReader::open(fs, &path, None) else { continue };
        for f in reader.fragments().iter().filter(|f| reader.read_fragment(f.index).is_ok()) {
            let playable = Playable { interval: Interval::new(f.utc, f.utc_end), video: f.frames > 0 };
            out.entry(reader.head().key).or_default().push(playable);
        }
    }
    out
}

/// Files with the name of a segment in the place of one.
fn segment_files(fs: &SimFs) -> Vec<PathBuf> {
    let named =
        |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().parse::<SegmentName>().is_ok());
    let placed = |p: &PathBuf| VOLUMES.iter().any(|v| p.to_string_lossy().starts_with(&format!("/{v}/3308")));
    fs.files().into_iter().filter(|p| named(p) && placed(p)).collect()
}

struct World {
    b: Bench,
    random: StdRng,
    /// What happened, for people.
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut b = Bench::new(SimFs::new(seed), &VOLUMES);
        b.budget(400_000);
        let mut world = Self { b, random: StdRng::seed_from_u64(seed), log: Vec::new() };
        world.restart(Outage::Clean);
        world.begin_all();
        world.b.run(8.0);
        world
    }

    fn restart(&mut self, outage: Outage) {
        self.b.restart(outage);
        self.b.due(&[key(1), key(2)]);
    }

    fn begin_all(&mut self) {
        self.b.begin(key(1));
        self.b.begin(key(2));
    }

    fn chance(&mut self, of: u32) -> u32 {
        self.random.random_range(0..of)
    }

    /// Something happens.
    fn act(&mut self) {
        let what = self.chance(16);
        self.log.push(format!("action {what}"));
        let seconds = f64::from(1 + self.chance(60));
        let off = Duration::from_secs(u64::from(1 + self.chance(90)));
        match what {
            0..=4 => self.b.run(seconds * 2.0),
            5 => self.b.stall(seconds / 4.0),
            6 => {
                let ended = key(1 + self.chance(2));
                self.b.end(ended, GapReason::Network);
                self.b.run(seconds / 4.0);
                self.begin_all();
            }
            7 => self.restart(Outage::Clean),
            8 => self.restart(Outage::Kill(off)),
            9 => {
                self.b.fs.heal();
                self.restart(Outage::Power(off));
            }
            10 | 11 => self.fault(),
            12 => {
                let step = [1, -1, 3600, -3600, 86_400, -86_400][self.chance(6) as usize];
                self.b.clock.step_utc(step * 1_000_000);
                for n in 1..=2 {
                    self.b.begin_with(key(n), StartReason::ClockStep);
                }
                self.b.run(seconds / 4.0);
            }
            _ => self.harm_a_file(),
        }
        self.b.fs.heal();
        for n in 1..=2 {
            if !self.b.cameras.get(&key(n)).is_some_and(|c| c.playing) {
                self.b.begin(key(n));
            }
        }
        self.b.run(3.0);
    }

    fn fault(&mut self) {
        let operations = [Operation::Write, Operation::SyncVolume, Operation::Create, Operation::Rename];
        let operation = operations[self.chance(4) as usize];
        let plan = FaultPlan {
            operation: Some(operation),
            below: Some(Path::new("/").join(VOLUMES[self.chance(2) as usize])),
            after: u64::from(self.chance(20)),
            times: u64::from(1 + self.chance(3)),
            fault: [Fault::Io, Fault::NoSpace, Fault::ShortWrite][self.chance(3) as usize],
        };
        self.log.push(format!("{plan:?}"));
        self.b.fs.plan(plan);
        self.b.run(20.0);
    }

    /// A closed file is removed, renamed, moved to the other volume or cut.
    fn harm_a_file(&mut self) {
        let closed: Vec<PathBuf> = segment_files(&self.b.fs)
            .into_iter()
            .filter(|p| !p.to_string_lossy().contains(".open."))
            .collect();
        if closed.is_empty() {
            return;
        }
        let path = closed[self.random.random_range(0..closed.len())].clone();
        let fs = self.b.fs.clone();
        let how = self.chance(4);
        self.log.push(format!("harm {how} {}", path.display()));
        match how {
            0 => fs.remove(&path).unwrap(),
            1 => fs.rename(&path, &path.with_extension("bak")).unwrap(),
            2 => {
                let (from, to) = if path.starts_with("/v1") { ("/v1", "/v2") } else { ("/v2", "/v1") };
                let other = Path::new(to).join(path.strip_prefix(from).unwrap());
                fs.create_dir_all(other.parent().unwrap()).unwrap();
                fs.rename(&path, &other).unwrap();
            }
            _ => {
                let bytes = fs.get(&path).unwrap();
                let keep = self.random.random_range(0..bytes.len());
                fs.put(&path, bytes[..keep].to_vec());
            }
        }
        // Whoever does this to a running node is found out by the next comparison with the names.
        self.b.recorder.check_volumes();
    }

    /// Everything comes to rest: files are closed, names compared.
    fn settle(&mut self) {
        self.b.fs.heal();
        self.b.run(12.0);
        self.restart(Outage::Clean);
        self.b.recorder.check_volumes();
        self.b.recorder.stop();
    }

    /// Asks questions; the differences, in words.
    fn ask(&mut self, queries: u64) -> Vec<String> {
        let truth = oracle(&self.b.fs);
        let volumes = VOLUMES.map(|v| (v.parse().unwrap(), PathBuf::from(format!("/{v}"))));
        let footage = Footage::new(Arc::new(self.b.fs.clone()), self.b.catalogue.clone(), volumes.to_vec());
        let (mut first, mut last) = (self.b.start, self.b.now());
        for playable in truth.values().flatten() {
            first = first.min(playable.interval.from);
            last = last.max(playable.interval.to);
        }
        let range = last.since(first).max(1);
        let mut differences = Vec::new();
        for _ in 0..queries {
            let key = key(1 + self.chance(2));
            let known = truth.get(&key).map_or(&[][..], Vec::as_slice);
            let length = [2_000_000, 60_000_000, 900_000_000, range][self.chance(4) as usize];
            let from = UtcMicros(first.0 + self.random.random_range(0..range));
            // Half of the questions are about times where something is.
            let from = match known.get(self.random.random_range(0..known.len().max(1))) {
                Some(p) if self.random.random_bool(0.5) => UtcMicros(p.interval.from.0 - length / 2),
                _ => from,
            };
            let window = Interval::new(from, UtcMicros(from.0 + length));
            differences.extend(self.timeline(key, window, known));
            differences.extend(listing(&footage, key, window, known));
        }
        differences
    }

    /// The timeline against the files.
    fn timeline(&self, key: StreamKey, window: Interval, known: &[Playable]) -> Vec<String> {
        let seam = crate::catalogue::seam_us();
        let spans = self.b.catalogue.spans(key, window.from, window.to);
        let footage = |k: &SpanKind| matches!(k, SpanKind::Footage { .. });
        let shown: Vec<Interval> = spans.iter().filter(|s| footage(&s.kind)).map(|s| s.interval()).collect();
        let stored = merge(known.iter().map(|p| p.interval).collect(), seam);
        let stored: Vec<Interval> =
            stored.iter().map(|i| i.within(&window)).filter(|i| !i.is_empty()).collect();
        let rounded =
            |i: Interval| Interval::new(UtcMicros(i.from.0 - ROUNDING_US), UtcMicros(i.to.0 + ROUNDING_US));
        let beyond =
            |a: &[Interval], b: &[Interval]| subtract(a, &merge(b.iter().copied().map(rounded).collect(), 0));
        let unplayable = beyond(&shown, &stored);
        let hidden = beyond(&stored, &shown);
        let explained: Vec<Interval> = spans.iter().map(crate::gaps::Span::interval).collect();
        let mut out = Vec::new();
        if total_us(&unplayable) > 0 {
            out.push(format!("{key} {window:?}: shown and not stored {unplayable:?} of {spans:?}"));
        }
        if total_us(&hidden) > 0 {
            out.push(format!("{key} {window:?}: stored and not shown {hidden:?} of {spans:?}"));
        }
        let (strip_from, strip_to) = (window.from, window.to.min(UtcMicros(window.from.0 + 86_400_000_000)));
        let strip = self.b.catalogue.day_strip(key, strip_from, strip_to);
        let strip_window = Interval::new(strip_from, strip_to);
        let of = |i: &[Interval]| total_us(&i.iter().map(|i| i.within(&strip_window)).collect::<Vec<_>>());
        if strip.footage_us != of(&shown) || strip.footage_us + strip.gap_us != of(&explained) {
            out.push(format!("{key} {window:?}: the strip says {} of {spans:?}", strip.footage_us));
        }
        out
    }
}

/// The list of groups of pictures against the files: all of them, only them, and they can be fetched.
fn listing(footage: &Footage, key: StreamKey, window: Interval, known: &[Playable]) -> Vec<String> {
    let list = match footage.gops(key, window.from, window.to) {
        Ok(list) => list,
        Err(e) => return vec![format!("{key} {window:?}: {e}")],
    };
    let overlaps = |i: &Interval| !i.within(&window).is_empty();
    let mut shown: Vec<Interval> =
        list.items.iter().map(|g| Interval::new(g.from, g.to)).filter(overlaps).collect();
    let mut stored: Vec<Interval> =
        known.iter().filter(|p| p.video).map(|p| p.interval).filter(overlaps).collect();
    shown.sort_unstable();
    stored.sort_unstable();
    let mut out = Vec::new();
    if shown != stored {
        out.push(format!("{key} {window:?}: listed {shown:?} stored {stored:?}"));
    }
    for gop in [list.items.first(), list.items.last()].into_iter().flatten() {
        if let Err(e) = footage.gop(key, &gop.id) {
            out.push(format!("{key} {window:?}: listed {} cannot be played: {e}", gop.id));
        }
        if footage.init(key, &gop.init).is_err() {
            out.push(format!("{key} {window:?}: {} lacks its init segment", gop.id));
        }
    }
    out
}

fn number(name: &str, otherwise: u64) -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the long form of this test is asked for by the environment"
    )]
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[expect(clippy::print_stdout, reason = "the long form prints its figures")]
#[test]
fn nothing_unplayable_is_shown_and_nothing_playable_is_hidden() {
    let (queries, first) = (number("FENGSUI_QUERIES", 2000), number("FENGSUI_SEED", 1));
    let mut asked = 0;
    let mut seed = first;
    while asked < queries {
        let mut world = World::new(seed);
        for _ in 0..12 {
            world.act();
        }
        world.settle();
        let now = QUERIES_PER_WORLD.min(queries - asked);
        let differences = world.ask(now);
        if !differences.is_empty() {
            let wrong = differences.len() as f64;
            println!("{}", Figure::new("truth.differences", wrong, "differences", Target::Exactly(0.0)));
        }
        assert!(
            differences.is_empty(),
            "FENGSUI_SEED={seed} FENGSUI_QUERIES={now} replays {} differences; first: {}\n{:?}",
            differences.len(),
            differences[0],
            world.log,
        );
        asked += now;
        seed += 1;
    }
    println!("{}", Figure::new("truth.queries", asked as f64, "queries", Target::Shown));
    println!("{}", Figure::new("truth.differences", 0.0, "differences", Target::Exactly(0.0)));
}
