//! Kills a recording node at random moments and shows what is lost: at most two seconds, and never a byte committed.

use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;

use super::prefix::Prefixes;
use super::{Scene, judge, small};
use crate::camsim::faults::Random;
use crate::camsim::ledger::SessionRecord;
use crate::camsim::options::Options;
use crate::camsim::streams::StreamFacts;
use crate::figure::{Figure, Target};
use crate::harness::config::ConfigOptions;
use crate::harness::{Fengsui, HarnessError, Outcome};

/// Longest life of a node before it is killed.
const LIFE_US_MAX: u64 = 4_500_000;
/// A node that lived this long has been recording.
const RECORDING_WITHIN_US: i64 = 3_000_000;
/// What may be lost per camera.
const LOST_US_MAX: i64 = 2_000_000;
/// Nodes with cameras of their own that are started and killed at the same time.
const SCENES: u32 = 3;

/// How often, and what.
#[derive(Debug, Clone)]
pub struct KillOptions {
    /// Kills.
    pub runs: u32,
    /// The cameras.
    pub sim: Options,
    /// Start of the random moments.
    pub seed: u64,
}

impl KillOptions {
    /// Small streams with a key frame a second.
    #[must_use]
    pub fn small(cameras: u16, runs: u32, seed: u64) -> Self {
        Self { runs, sim: small(cameras), seed }
    }
}

/// One life of the node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub started_us: i64,
    pub killed_us: i64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct KillReport {
    /// What the names of the figures begin with.
    pub name: &'static str,
    /// What may be lost of one camera.
    pub lost_us_bound: i64,
    /// Kills.
    pub runs: u32,
    /// Start of the random moments.
    pub seed: u64,
    /// Worst loss of one camera before one kill.
    pub lost_us_max: i64,
    /// Longest time from the start of the process to the first picture that is stored.
    pub again_us_max: i64,
    /// Pictures missing before others of the same session that are stored.
    pub holes: u64,
    /// Pictures in the files that are strange, repeated, out of order or without a bar code.
    pub wrong: u64,
    /// Segment files at the end.
    pub files: u64,
    /// Segment files about which ffmpeg or ffprobe complained.
    pub flawed: u64,
    /// Looks at which a committed byte had changed or a file was gone.
    pub changed: u64,
    /// Stretches that the timelines do not explain.
    pub unexplained: u64,
    /// Up to some of what is wrong, in words.
    pub details: Vec<String>,
}

impl KillReport {
    pub(super) fn new(name: &'static str, runs: u32, seed: u64, lost_us_bound: i64) -> Self {
        Self {
            name,
            lost_us_bound,
            runs,
            seed,
            lost_us_max: 0,
            again_us_max: 0,
            holes: 0,
            wrong: 0,
            files: 0,
            flawed: 0,
            changed: 0,
            unexplained: 0,
            details: Vec::new(),
        }
    }

    /// The figures; the seed stands in the first one's name.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let of = |name: &str| format!("{}_{name}", self.name);
        let count = |name, value: u64, unit| Figure::new(of(name), value as f64, unit, Target::Exactly(0.0));
        let seconds = |name, us: i64, target: i64| {
            Figure::new(of(name), us as f64 / 1e6, "s", Target::AtMost(target as f64 / 1e6))
        };
        let runs = of(&format!("runs_seed_{}", self.seed));
        vec![
            Figure::new(runs, f64::from(self.runs), "runs", Target::AtLeast(1.0)),
            seconds("lost_max", self.lost_us_max, self.lost_us_bound),
            seconds("recording_again_max", self.again_us_max, RECORDING_WITHIN_US),
            count("committed_bytes_changed", self.changed, "looks"),
            count("holes", self.holes, "frames"),
            count("frames_wrong", self.wrong, "frames"),
            count("files_not_playable", self.flawed, "files"),
            count("unexplained", self.unexplained, "stretches"),
        ]
    }

    /// Takes in what another scene of the same campaign came to.
    fn add(&mut self, other: Self) {
        self.lost_us_max = self.lost_us_max.max(other.lost_us_max);
        self.again_us_max = self.again_us_max.max(other.again_us_max);
        self.holes += other.holes;
        self.wrong += other.wrong;
        self.files += other.files;
        self.flawed += other.flawed;
        self.changed += other.changed;
        self.unexplained += other.unexplained;
        other.details.into_iter().for_each(|d| self.say(d));
    }

    pub(super) fn say(&mut self, detail: String) {
        if self.details.len() < 100 {
            self.details.push(detail);
        }
    }
}

/// Starts and kills, several nodes at a time, then judges every file.
///
/// # Errors
/// When a step cannot be done; what was lost is in the report.
pub async fn run(options: &KillOptions) -> Outcome<KillReport> {
    let scenes = SCENES.min(options.runs).max(1);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..scenes {
        let runs = options.runs / scenes + u32::from(n < options.runs % scenes);
        let seed = options.seed.wrapping_add(u64::from(n) << 32);
        let options = KillOptions { runs, seed, ..options.clone() };
        tasks.spawn(async move { run_scene(&options).await });
    }
    let mut report = KillReport::new("kill", options.runs, options.seed, LOST_US_MAX);
    while let Some(done) = tasks.join_next().await {
        report.add(done.map_err(|e| HarnessError(format!("run a scene: {e}")))??);
    }
    Ok(report)
}

async fn run_scene(options: &KillOptions) -> Outcome<KillReport> {
    let config = ConfigOptions { sub: false, ..ConfigOptions::default() };
    let scene = Scene::new(options.sim.clone(), config)?;
    let mut report = KillReport::new("kill", options.runs, options.seed, LOST_US_MAX);
    let mut random = Random::new(options.seed);
    let mut prefixes = Prefixes::default();
    let mut lives = Vec::new();
    let clock = SystemClock::new();
    for run in 0..options.runs {
        let life_us = random.bits() % LIFE_US_MAX;
        let started_us = clock.utc().0;
        let until_us = started_us + life_us as i64;
        let node = Fengsui::spawn(&scene.config)?;
        let left_us = u64::try_from(until_us - clock.utc().0).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(left_us)).await;
        look(&scene, &mut prefixes, &mut report, &format!("run {run}"));
        node.kill()?;
        lives.push(Life { started_us, killed_us: clock.utc().0 });
    }
    last_look(&scene, &mut prefixes, &lives, &mut report).await?;
    for n in 1..=scene.sim.cameras() {
        judge_camera(&scene, n, &lives, &mut report)?;
    }
    Ok(report)
}

/// A last start: everything is recovered; timelines explain every second; the node stops in good order.
pub(super) async fn last_look(
    scene: &Scene,
    prefixes: &mut Prefixes,
    lives: &[Life],
    report: &mut KillReport,
) -> Outcome<()> {
    let (node, api) = scene.run_recording().await?;
    scene.quiet(&api).await?;
    look(scene, prefixes, report, "last start");
    let last_kill = lives.last().map_or(0, |l| l.killed_us);
    for n in 1..=scene.sim.cameras() {
        let Some(first) = scene.ledger(n).iter().find_map(|s| s.first_utc_us) else { continue };
        let timeline = api.timeline(n, StreamKind::Main, first, last_kill).await?;
        for hole in judge::unexplained(&timeline.spans, timeline.first_us.unwrap_or(first), last_kill) {
            report.unexplained += 1;
            let near = |t: i64| (hole.0 - 5_000_000..hole.1 + 5_000_000).contains(&t);
            let spans: Vec<_> = timeline.spans.iter().filter(|s| near(s.from_us) || near(s.to_us)).collect();
            report.say(format!("camera {n}: {hole:?} is not explained among {spans:?}"));
        }
    }
    let status = node.stop().await?;
    if status.success() { Ok(()) } else { Err(HarnessError(format!("the node ended with {status}"))) }
}

/// Looks whether what was committed is still there.
pub(super) fn look(scene: &Scene, prefixes: &mut Prefixes, report: &mut KillReport, when: &str) {
    if scene.volume().exists()
        && let Err(e) = prefixes.look(&scene.volume())
    {
        report.changed += 1;
        report.say(format!("{when}: {e}"));
    }
}

pub(super) fn judge_camera(scene: &Scene, n: u16, lives: &[Life], report: &mut KillReport) -> Outcome<()> {
    let facts = scene
        .sim
        .facts(n, StreamKind::Main)
        .ok_or_else(|| HarnessError(format!("the simulator has no camera {n}")))?;
    let files = scene.stored(n)?;
    for file in &files {
        report.files += 1;
        if !file.complaints.is_empty() {
            report.flawed += 1;
            report.say(format!("{}: {}", file.path.display(), file.complaints.trim()));
        }
    }
    let ledger = scene.ledger(n);
    let account = judge::account(&judge::sent(&ledger), &files);
    report.wrong += account.strange + account.repeated + account.disordered + account.unreadable;
    if !account.is_true() {
        report.say(format!("camera {n}: {account:?}"));
    }
    let stored: std::collections::BTreeSet<i64> =
        files.iter().flat_map(|f| &f.pictures).filter_map(|p| p.number).collect();
    for (run, life) in lives.iter().enumerate() {
        let sessions: Vec<&SessionRecord> =
            ledger.iter().filter(|s| (life.started_us..life.killed_us).contains(&s.opened_us)).collect();
        judge_life(n, run, *life, &facts, &sessions, &stored, report);
    }
    Ok(())
}

/// What one camera lost in one life of the node.
fn judge_life(
    n: u16,
    run: usize,
    life: Life,
    facts: &StreamFacts,
    sessions: &[&SessionRecord],
    stored: &std::collections::BTreeSet<i64>,
    report: &mut KillReport,
) {
    // What was sent in the last moment may not have been read yet; what was due after the kill never was.
    let sent: Vec<i64> = sessions
        .iter()
        .flat_map(|s| s.sent_frames())
        .filter(|&f| judge::due_us(facts, f) <= life.killed_us)
        .collect();
    let kept = sent.iter().filter(|f| stored.contains(f)).max().copied();
    if let Some(first) = sent.iter().find(|f| stored.contains(f)) {
        let again = judge::due_us(facts, *first) - life.started_us;
        report.again_us_max = report.again_us_max.max(again);
        if again > RECORDING_WITHIN_US {
            // Tells a node that was slow to start from a device that was asked more than once.
            let asked: Vec<_> = sessions.iter().map(|s| s.opened_us - life.started_us).collect();
            report.say(format!("camera {n}, run {run}: recorded after {again} us, asked after {asked:?} us"));
        }
    } else if life.killed_us - life.started_us > RECORDING_WITHIN_US + report.lost_us_bound {
        report.again_us_max = report.again_us_max.max(life.killed_us - life.started_us);
        report.say(format!("camera {n}, run {run}: nothing stored"));
    }
    let tail = sent.iter().filter(|&&f| kept.is_none_or(|k| f > k)).count();
    let lost_us = (tail as f64 / facts.fps * 1e6) as i64;
    if lost_us > report.lost_us_bound {
        report.say(format!("camera {n}, run {run}: {tail} pictures lost before the kill"));
    }
    report.lost_us_max = report.lost_us_max.max(lost_us);
    let holes = sent.iter().filter(|&&f| kept.is_some_and(|k| f < k) && !stored.contains(&f)).count();
    if holes > 0 {
        report.say(format!("camera {n}, run {run}: {holes} pictures missing before others"));
    }
    report.holes += holes as u64;
}
