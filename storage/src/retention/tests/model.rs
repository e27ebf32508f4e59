//! Retention against an independent judge, over random histories: time passes, cameras record, holds come and go, disks
//! fill, shrink, vanish and come back, other programs take room, clocks are set, machines stop at any call.
//!
//! `FENGSUI_STEPS` sets the number of steps, `FENGSUI_SEED` replays the history of one seed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock as _, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::retention::Emergency;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::kit::{Bench, DAY, HOUR, key, policy, row, sub, volume};
use super::light::LightFs;
use super::oracle::{Held, Oracle, Seg, Verdict};
use crate::catalogue::SpanKind;
use crate::figure::{Figure, Target};
use crate::frame::GapReason;
use crate::retention::HoldRequest;

/// Steps of one history; each begins with an empty node and other conditions.
const STEPS_PER_HISTORY: u64 = 1000;
const STREAMS: u32 = 6;

struct World {
    b: Bench,
    fs: LightFs,
    oracle: Oracle,
    dice: StdRng,
    numbers: Vec<u64>,
    volumes: usize,
    capacity: u64,
    /// The wall clock may be set in this history.
    clocks: bool,
    /// It has been: labels no longer tell the order of recording.
    clean: bool,
    /// Wall clock minus true time.
    offset_us: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let volumes = dice.random_range(1..=2);
        let capacity = dice.random_range(20_000..400_000);
        let disks = [("/v1", capacity), ("/v2", capacity)];
        let fs = LightFs::new(seed, &disks[..volumes]);
        let emergency = if dice.random() { Emergency::Stop } else { Emergency::Sacrifice };
        let b = Bench::new(Arc::new(fs.clone()), volumes, policy(emergency), false);
        let clocks = dice.random_range(0..3) == 0;
        let numbers = vec![0; STREAMS as usize];
        let oracle = Oracle::default();
        Self { b, fs, oracle, dice, numbers, volumes, capacity, clocks, clean: true, offset_us: 0 }
    }

    fn stream(n: u32) -> StreamKey {
        if n == 4 { sub(1) } else { key(n + 1) }
    }

    fn step(&mut self) {
        match self.dice.random_range(0..100) {
            0..55 => self.record(),
            55..67 => self.place(),
            67..73 => self.extend(),
            73..84 => self.release(),
            84..88 => self.rival(),
            88..90 => self.resize(),
            90..92 => self.vanish(),
            92..94 => self.crash(),
            94..96 if self.clocks => self.set_clock(),
            _ => self.pass(),
        }
        self.b.retention.step();
        self.judge(true);
    }

    /// Time passes; while it does, nothing is recorded.
    fn pass(&mut self) {
        let time = HOUR * self.dice.random_range(1..10);
        self.advance(time);
    }

    fn advance(&mut self, time: Duration) {
        self.b.clock.advance(time);
        if self.offset_us > 0 {
            self.oracle.ahead += time;
        }
        // As the recorder's keeper does every other second.
        self.b.catalogue.alive(self.b.now());
        self.b.catalogue.flush(true).unwrap();
    }

    /// Every stream records one segment, on a volume that has room.
    fn record(&mut self) {
        let length = Duration::from_secs(self.dice.random_range(600..5400));
        let start = self.b.now();
        self.advance(length);
        for n in 0..STREAMS {
            if self.dice.random_range(0..8) == 0 {
                continue;
            }
            let bytes = self.dice.random_range(100..1000);
            let first = self.dice.random_range(0..self.volumes);
            let places = (0..self.volumes).map(|i| volume((first + i) % self.volumes + 1));
            let roomy = places.into_iter().find(|v| {
                let root = self.b.root(v);
                self.b.volumes.0.lock().iter().any(|s| s.id == *v && s.usable) && self.fs.free(&root) > bytes
            });
            let Some(place) = roomy else {
                self.oracle.verdict.stops += 1;
                continue;
            };
            let stream = Self::stream(n);
            self.numbers[n as usize] += 1;
            let number = self.numbers[n as usize];
            let row = row(stream, place.clone(), number, start, length, bytes);
            let path = self.b.path(&row);
            if self.fs.has(&path) {
                // The clock was set back to the very moment: another name.
                continue;
            }
            self.fs.put(path.clone(), bytes);
            self.b.catalogue.closed(&row, [0; 32]);
            let class = self.b.cameras.get(&stream.camera).map(|c| c.class).unwrap();
            // A clock that is a little behind when footage is recorded costs as much of its time; one that is not set
            // at all costs nothing.
            let behind = match u64::try_from(-self.offset_us) {
                Ok(us) if us <= 2 * 86_400_000_000 => Duration::from_micros(us),
                _ => Duration::ZERO,
            };
            let seg = Seg {
                key: stream,
                number,
                volume: place,
                bytes,
                from: row.start(),
                to: row.end(),
                recorded: self.b.clock.mono(),
                min: self.b.policy.class(class).min.saturating_sub(behind),
            };
            self.oracle.stored.insert(path, seg);
        }
    }

    /// A time near footage: days before now to a day after.
    fn moment(&mut self) -> UtcMicros {
        let hours = self.dice.random_range(-200..24);
        UtcMicros(self.b.now().0 + hours * 3_600_000_000)
    }

    fn place(&mut self) {
        if self.oracle.holds.len() > 4 {
            return;
        }
        let cameras: BTreeSet<_> =
            (0..self.dice.random_range(1..3)).map(|_| key(self.dice.random_range(1..=6)).camera).collect();
        let stream = if self.dice.random_range(0..4) == 0 { Some(StreamKind::Main) } else { None };
        let from = self.moment();
        let to = if self.dice.random_range(0..5) == 0 {
            None
        } else {
            Some(from + HOUR * self.dice.random_range(1..48))
        };
        let request = HoldRequest {
            cameras: cameras.clone(),
            places: BTreeSet::new(),
            stream,
            from,
            to,
            reason: "a case".into(),
            case_number: None,
            by: "li".into(),
        };
        let placed = self.b.retention.place_hold(request).expect("a good request");
        let held = Held { cameras, stream, from, to };
        self.told_the_truth(&held, &placed);
        self.oracle.holds.insert(placed.hold.id, held);
        self.oracle.verdict.holds += 1;
    }

    /// What was said to be gone is what is gone: each deleted segment of the hold lies in a stretch that was named.
    fn told_the_truth(&mut self, held: &Held, placed: &crate::retention::Placed) {
        if !self.clean {
            return;
        }
        let missing = self.oracle.gone.values().find(|s| {
            let (from, to) = (s.from.max(held.from), held.to.map_or(s.to, |to| s.to.min(to)));
            held.cameras.contains(&s.key.camera)
                && held.stream.is_none_or(|k| k == s.key.stream)
                && from < to
                && !placed.gone.iter().any(|g| g.key == s.key && g.from_us <= from && to <= g.to_us)
        });
        if let Some(seg) = missing {
            let text = format!("not told that it was gone: {seg:?}");
            self.oracle.verdict.untruths += 1;
            self.oracle.verdict.note(text);
        }
    }

    fn some_hold(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.oracle.holds.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[self.dice.random_range(0..ids.len())])
    }

    fn extend(&mut self) {
        let Some(id) = self.some_hold() else { return };
        let held = self.oracle.holds.get_mut(&id).unwrap();
        let from = held.from - HOUR * 5;
        let to = held.to.map(|to| to + HOUR * 5);
        self.b.retention.extend_hold(id, Some(from), Some(to), "more", "li").expect("longer");
        (held.from, held.to) = (from, to);
    }

    fn release(&mut self) {
        let Some(id) = self.some_hold() else { return };
        self.b.retention.release_hold(id, "closed", "li").expect("in force");
        self.oracle.holds.remove(&id);
    }

    fn some_root(&mut self) -> PathBuf {
        PathBuf::from(format!("/v{}", self.dice.random_range(1..=self.volumes)))
    }

    /// Another program takes room, or gives it back.
    fn rival(&mut self) {
        let (root, bytes) = (self.some_root(), self.dice.random_range(0..self.capacity / 2));
        let wants = if self.dice.random() { 0 } else { bytes };
        self.fs.set_rival(&root, 0);
        // Nobody takes what is not there.
        self.fs.set_rival(&root, wants.min(self.fs.free(&root)));
    }

    fn resize(&mut self) {
        let root = self.some_root();
        let capacity = self.dice.random_range(self.capacity / 2..self.capacity * 2);
        self.fs.set_capacity(&root, capacity.max(self.fs.taken(&root)));
    }

    /// A volume is pulled, or comes back. The recorder notices with some delay.
    fn vanish(&mut self) {
        let root = self.some_root();
        let missing = self.dice.random();
        self.fs.set_missing(&root, missing);
        let noticed: bool = self.dice.random();
        if let Some(v) = self.b.volumes.0.lock().iter_mut().find(|v| v.root == root) {
            v.usable = !missing || !noticed;
        }
    }

    fn set_clock(&mut self) {
        self.clean = false;
        let by = if self.offset_us != 0 {
            -self.offset_us
        } else {
            const US: i64 = 1_000_000;
            let steps = [US, -US, 3600 * US, -3600 * US, -86_400 * US, 365 * 86_400 * US, -self.b.now().0];
            steps[self.dice.random_range(0..steps.len())]
        };
        self.offset_us += by;
        self.b.clock.step_utc(by);
    }

    /// The machine stops somewhere within a look, and starts again.
    fn crash(&mut self) {
        self.oracle.verdict.crashes += 1;
        if self.dice.random() {
            // So that there is something to do at once.
            self.advance(DAY);
        }
        let calls = self.dice.random_range(0..12);
        let ghost = self.dice.random();
        self.b.log.look(|l| l.ghost = ghost);
        self.fs.die_after(calls);
        self.b.retention.step();
        self.judge(false);
        for path in self.fs.crash() {
            // It was never durably gone.
            if let Some(seg) = self.oracle.gone.remove(&path) {
                self.oracle.stored.insert(path, seg);
            }
        }
        self.b.log.look(|l| l.ghost = false);
        self.b.restart();
        self.mend();
    }

    /// What the comparison of names with rows does after a start: files that the catalogue does not know are added.
    fn mend(&mut self) {
        for seg in self.oracle.stored.values() {
            let known = self.b.catalogue.segment(seg.key, seg.number);
            if known.is_none() {
                let length = Duration::from_micros(seg.to.since(seg.from) as u64);
                let row = row(seg.key, seg.volume.clone(), seg.number, seg.from, length, seg.bytes);
                self.b.catalogue.closed(&row, [0; 32]);
            }
        }
        let missing: Vec<bool> = self.b.volumes.0.lock().iter().map(|v| v.usable).collect();
        if missing.iter().all(|usable| *usable) && self.clean {
            for seg in self.oracle.gone.values() {
                // A volume that is away is settled when it is back.
                let there = self.fs.free(Path::new(&format!("/{}", seg.volume))) > 0;
                if there && self.b.catalogue.segment(seg.key, seg.number).is_some() && self.settled() {
                    self.oracle.verdict.untruths += 1;
                    self.oracle.verdict.note(format!("a row without a file: {seg:?}"));
                }
            }
        }
    }

    fn settled(&self) -> bool {
        self.b.log.look(|l| l.state.pending.is_empty())
    }

    /// Looks at what was deleted since the last look, and at what stands.
    fn judge(&mut self, whole: bool) {
        let now = self.b.clock.mono();
        let alarms = self.b.alarms();
        for path in self.fs.removed() {
            let seg = self.oracle.stored.get(&path).cloned();
            let announced =
                seg.as_ref().is_some_and(|s| self.b.log.look(|l| l.announced.contains(&(s.key, s.number))));
            self.oracle.removed(path, now, &alarms, announced, self.clean);
            if let Some(seg) = seg.filter(|_| whole && self.clean) {
                self.is_told(&seg);
            }
        }
        if whole {
            self.volumes_go_on_or_say_so(&alarms);
        }
    }

    /// The time of a deleted segment is a gap that says so.
    fn is_told(&mut self, seg: &Seg) {
        let spans = self.b.catalogue.spans(seg.key, seg.from, seg.to);
        let deleted = |k| matches!(k, SpanKind::Gap(GapReason::Expired | GapReason::Sacrificed));
        if spans.is_empty() || !spans.iter().all(|s| deleted(s.kind)) {
            self.oracle.verdict.untruths += 1;
            self.oracle.verdict.note(format!("deleted, and the timeline shows {spans:?}: {seg:?}"));
        }
    }

    /// A volume without room is never silent, and has nothing left that could go.
    fn volumes_go_on_or_say_so(&mut self, alarms: &[&str]) {
        let now = self.b.clock.mono();
        let volumes = self.b.volumes.0.lock().clone();
        for v in volumes.iter().filter(|v| v.usable && self.b.fs.space(&v.root).is_ok()) {
            let space = self.b.fs.space(&v.root).unwrap();
            // Far below what the planner calls critical (a quarter of the tenth above the high mark).
            if space.free >= space.total / 50 {
                continue;
            }
            if !alarms.contains(&"nothing_deletable") {
                self.oracle.verdict.promises_broken_without_alarm += 1;
                self.oracle.verdict.note(format!("{} has {} free and nobody says so", v.id, space.free));
            }
            if self.clean
                && let Some(seg) = self.oracle.deletable(&v.id, now)
            {
                let text = format!("{} stops although this could go: {seg:?}", v.id);
                self.oracle.verdict.wrong_order += 1;
                self.oracle.verdict.note(text);
            }
        }
    }
}

fn history(seed: u64, steps: u64) -> Verdict {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
        if world.oracle.verdict.faults() > 0 {
            break;
        }
    }
    world.oracle.verdict
}

#[test]
fn nothing_held_is_deleted_and_no_promise_breaks_in_silence() {
    #[expect(clippy::disallowed_methods, reason = "a test asks how long it is to run")]
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let steps = number("FENGSUI_STEPS").unwrap_or(20_000);
    let only = number("FENGSUI_SEED");
    let (mut verdict, mut failed, mut histories) = (Verdict::default(), None, 0_u64);
    let seeds = only.map_or(0..steps.div_ceil(STEPS_PER_HISTORY), |seed| seed..seed + 1);
    for seed in seeds {
        let found = history(seed, STEPS_PER_HISTORY);
        let broken = found.faults() > 0;
        verdict.add(&found);
        if broken {
            failed = Some((seed, found));
            break;
        }
        histories += 1;
    }
    let figure = |name: &str, value: u64, unit, target| {
        println!("{}", Figure::new(format!("retention.{name}"), value as f64, unit, target));
    };
    figure("steps", histories * STEPS_PER_HISTORY, "steps", Target::Shown);
    figure("held_bytes_deleted", verdict.held_bytes_deleted, "bytes", Target::Exactly(0.0));
    let silent = verdict.promises_broken_without_alarm;
    figure("promises_broken_silently", silent, "promises", Target::Exactly(0.0));
    figure("deleted_without_register", verdict.deleted_without_register, "segments", Target::Exactly(0.0));
    figure("wrong_order", verdict.wrong_order, "segments", Target::Exactly(0.0));
    figure("untruths", verdict.untruths, "cases", Target::Exactly(0.0));
    println!(
        "retention: {} deleted, {} sacrificed, {} stops, {} holds, {} crashes",
        verdict.deleted, verdict.sacrificed, verdict.stops, verdict.holds, verdict.crashes
    );
    if let Some((seed, found)) = failed {
        panic!("FENGSUI_SEED={seed} replays this: {found:#?}");
    }
    if only.is_none() && steps >= 20_000 {
        let seen = [verdict.deleted, verdict.sacrificed, verdict.stops, verdict.holds, verdict.crashes];
        assert!(seen.iter().all(|n| *n > 100), "the histories are too tame to prove anything: {verdict:?}");
    }
}
