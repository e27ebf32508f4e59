//! Cuts the power under a recording node on a disk that forgets what was not flushed: at most four seconds are lost, no
//! stored byte is wrong, and every record of the journal that was acknowledged is there.

use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::fsck::{self, FsckOptions};
use fengsui_storage::journal::{Journal, VerifyOptions, kinds};

use super::kill::{KillReport, Life, judge_camera, last_look, look};
use super::prefix::Prefixes;
use super::{STATE_WITHIN, Scene, small};
use crate::camsim::faults::Random;
use crate::camsim::options::Options;
use crate::disk::{self, PowerDisk};
use crate::figure::{Figure, Target};
use crate::harness::config::ConfigOptions;
use crate::harness::{Api, Doing as _, Outcome, wait_for};

/// What may be lost per camera.
const LOST_US_MAX: i64 = 4_000_000;
/// Longest time from recording to the cut.
const LIFE_MAX_US: u64 = 7_000_000;
/// Longest time from one acknowledged record of the journal to the next. Each flushes the whole disk, so there must be
/// moments long after the last.
const LOGIN_PAUSE_US: u64 = 4_000_000;

/// How often, and what.
#[derive(Debug, Clone)]
pub struct PowerOptions {
    /// Power cuts.
    pub runs: u32,
    /// The cameras.
    pub sim: Options,
    /// Start of the random moments, and of what the disk forgets.
    pub seed: u64,
}

impl PowerOptions {
    /// Small streams with a key frame a second.
    #[must_use]
    pub fn small(cameras: u16, runs: u32, seed: u64) -> Self {
        Self { runs, sim: small(cameras), seed }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct PowerReport {
    /// What was judged as after kills.
    pub footage: KillReport,
    /// Segment files or chains that the product's own full check complains about.
    pub corrupt: u64,
    /// Records of the journal that were acknowledged.
    pub acknowledged: u64,
    /// Of these, records that are not in the journal, and damages in it.
    pub journal_lost: u64,
    /// Writes in the disk's cache when the power went.
    pub unsynced: u64,
    /// Of these, writes that were lost or torn.
    pub hurt: u64,
}

impl PowerReport {
    /// The figures; the seed stands in the first one's name.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let count = |name: &str, value: u64, unit, target| {
            Figure::new(format!("power_process_{name}"), value as f64, unit, target)
        };
        let mut figures = self.footage.figures();
        figures.extend([
            count("corrupt", self.corrupt, "files", Target::Exactly(0.0)),
            count("journal_lost", self.journal_lost, "records", Target::Exactly(0.0)),
            count("journal_acknowledged", self.acknowledged, "records", Target::AtLeast(1.0)),
            count("writes_unsynced", self.unsynced, "writes", Target::Shown),
            count("writes_hurt", self.hurt, "writes", Target::Shown),
        ]);
        figures
    }
}

/// Starts and cuts, then judges every file. `Err` within `Ok` says why such a disk cannot be had here.
///
/// # Errors
/// When a step cannot be done; what was lost is in the report.
pub async fn run(options: &PowerOptions) -> Outcome<Result<PowerReport, String>> {
    if let Some(reason) = disk::missing() {
        return Ok(Err(reason));
    }
    let mut disk = PowerDisk::new(options.seed)?;
    let config = ConfigOptions { sub: false, ..ConfigOptions::default() };
    let scene = Scene::new_in(&disk.root(), options.sim.clone(), config)?;
    disk.sync()?;
    let mut footage = KillReport::new("power_process", options.runs, options.seed, LOST_US_MAX);
    let mut random = Random::new(options.seed);
    let mut prefixes = Prefixes::default();
    let (mut lives, mut logins) = (Vec::new(), Vec::new());
    let clock = SystemClock::new();
    for run in 0..options.runs {
        let started_us = clock.utc().0;
        let (node, api) = scene.run_recording().await?;
        if run > 0 {
            // What recovery left, and all else that is committed now, is made durable and has to stay.
            recovered(&scene).await?;
            look(&scene, &mut prefixes, &mut footage, &format!("run {run}"));
            disk.sync()?;
        }
        let until_us = clock.utc().0 + (random.bits() % LIFE_MAX_US) as i64;
        log_in_until(&api, until_us, &clock, &mut random, &mut logins).await?;
        let killed_us = clock.utc().0;
        disk.power_off();
        lives.push(Life { started_us, killed_us });
        node.kill()?;
        disk.power_on().await?;
    }
    last_look(&scene, &mut prefixes, &lives, &mut footage).await?;
    for n in 1..=scene.sim.cameras() {
        judge_camera(&scene, n, &lives, &mut footage)?;
    }
    let stats = disk.stats();
    let mut report = PowerReport {
        corrupt: corrupt(&scene, &mut footage)?,
        acknowledged: logins.len() as u64,
        journal_lost: journal_lost(&scene, &logins, &mut footage)?,
        unsynced: stats.unsynced,
        hurt: stats.hurt,
        footage,
    };
    report.footage.details.sort();
    // The scene lies on the disk: it goes first.
    drop(scene);
    Ok(Ok(report))
}

/// Waits until nothing but what is being recorded is open.
async fn recovered(scene: &Scene) -> Outcome<()> {
    for n in 1..=scene.sim.cameras() {
        wait_for(&format!("files of camera {n} are recovered"), STATE_WITHIN, || async {
            Ok((scene.open_files(n)? <= 1).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Logs in again and again until a time; each answer acknowledges a record of the journal, whose time lies between
/// question and answer.
async fn log_in_until(
    api: &Api,
    until_us: i64,
    clock: &SystemClock,
    random: &mut Random,
    logins: &mut Vec<(i64, i64)>,
) -> Outcome<()> {
    loop {
        let left_us = u64::try_from(until_us - clock.utc().0).unwrap_or(0);
        if left_us == 0 {
            return Ok(());
        }
        let asked_us = clock.utc().0;
        api.log_in().await?;
        logins.push((asked_us, clock.utc().0));
        let left_us = u64::try_from(until_us - clock.utc().0).unwrap_or(0);
        let pause_us = (random.bits() % LOGIN_PAUSE_US).min(left_us);
        tokio::time::sleep(Duration::from_micros(pause_us)).await;
    }
}

/// Files that the product's own check of every byte complains about.
fn corrupt(scene: &Scene, report: &mut KillReport) -> Outcome<u64> {
    let id = scene.options.volumes.first().map_or("v1", String::as_str).parse().doing("name the volume")?;
    let options = FsckOptions { full: true, ..FsckOptions::default() };
    let found =
        fsck::run(&RealFs, &[(id, scene.volume())], options, &mut |_| {}).doing("check the volume")?;
    for problem in &found.problems {
        report.say(format!("{}: {}: {}", problem.path.display(), problem.kind, problem.detail));
    }
    Ok(found.problems.len() as u64 + found.problems_unlisted)
}

/// Acknowledged records that are not in the journal, and places in it that do not hold.
fn journal_lost(scene: &Scene, logins: &[(i64, i64)], report: &mut KillReport) -> Outcome<u64> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let directory = scene.directory().join("data").join("journal");
    let sound =
        Journal::verify_dir(&fs, &directory, &VerifyOptions::default()).doing("verify the journal")?;
    for damage in &sound.damages {
        report.say(format!("journal: {damage:?}"));
    }
    let mut times = Vec::new();
    for record in Journal::read_dir(&fs, &directory, 1).doing("read the journal")? {
        let record = record.doing("read the journal")?;
        if record.kind == kinds::SESSION_OPENED {
            times.push(record.at.0);
        }
    }
    let lost = logins.iter().filter(|(from, to)| !times.iter().any(|t| (from..=to).contains(&t)));
    let lost: Vec<_> = lost.collect();
    for login in &lost {
        report.say(format!("journal: the login at {login:?} was acknowledged and is not there"));
    }
    Ok((lost.len() + sound.damages.len()) as u64)
}
