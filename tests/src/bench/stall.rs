//! A volume that takes nothing for a while: what the rings cannot hold is lost, what is lost is listed as gaps with the
//! reason `backpressure`, to the millisecond, memory stays within the stated budget, and the recorder catches up.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use serde_json::Value;

use super::node::{Node, NodeOptions, wait_until};
use super::room::Stored;
use super::simulator::{Sent, Simulator, SimulatorOptions};
use crate::camsim::streams::StreamFacts;
use crate::disk::stall::{self, StallDisk};
use crate::figure::{Figure, Target};
use crate::harness::{Api, Outcome};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of cameras
    #[arg(long, default_value_t = 200)]
    pub cameras: u32,
    /// Seconds for which the volume takes nothing
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Budget of all rings in MiB; less than comes in that time, or nothing is lost
    #[arg(long, default_value_t = 512)]
    pub budget_mib: u64,
    /// Seconds of recording before and after
    #[arg(long, default_value_t = 40)]
    pub settle: u64,
    /// Let retina receive every camera
    #[arg(long)]
    pub retina: bool,
    /// Small pictures instead of 1280x720 at 2 Mbit/s
    #[arg(long)]
    pub small: bool,
    /// Directory for disk, data and logs; default: a new one in the system's place for temporary files
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Directory of the simulator's clips
    #[arg(long, default_value = ".cache/camsim")]
    pub cache: PathBuf,
}

/// Size of the disk; takes room only where it is written.
const DISK_BYTES: u64 = 200 << 30;
/// Time between two looks at memory.
const LOOK: Duration = Duration::from_millis(200);
/// Rings that hold no more than this part of what piled up in the stall have caught up.
const CAUGHT_UP: f64 = 0.125;
/// Who has not caught up by then does not any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Gaps of one camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Gaps {
    /// Those with the reason `backpressure`.
    count: u64,
    /// Their length.
    us: i64,
    /// Those with another reason.
    others: u64,
}

/// Largest memory and largest rings while the disk stalled.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    rss_before: u64,
    rss: u64,
    ring_before: f64,
    ring: f64,
    budget: f64,
    /// From the end of the stall until the recorder had caught up.
    caught_up: Duration,
}

/// Runs it; hands each figure to `show`.
///
/// # Errors
/// A program is missing or ends early, or the disk cannot be had; see [`stall::missing`].
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    if let Some(reason) = stall::missing() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, format!("no disk that stalls: {reason}")));
    }
    let kept = if options.out.is_some() { None } else { Some(tempfile::tempdir()?) };
    let out = options.out.as_deref().or(kept.as_ref().map(tempfile::TempDir::path));
    let out = out.unwrap_or(Path::new("."));
    std::fs::create_dir_all(out)?;
    let seconds = options.seconds + 2 * options.settle + 30;
    super::room::Room::for_all(out, options.cameras, seconds)?;
    let mut disk = StallDisk::new(out, DISK_BYTES).map_err(io::Error::other)?;
    let cameras = SimulatorOptions::new(options.cameras, &options.cache, options.small);
    let simulator = Simulator::start(&cameras, out)?;
    let node_options = NodeOptions {
        volume: disk.root().join("footage"),
        retina: options.retina,
        ring_budget_mib: Some(options.budget_mib),
        ..NodeOptions::new(&out.join("node"))
    };
    let begun_us = SystemClock::new().utc().0;
    let node = Node::start(&node_options, &simulator.urls()?)?;
    node.wait_recording(options.cameras, Duration::from_secs(120))?;
    std::thread::sleep(Duration::from_secs(options.settle));
    let peak = watch_stall(options, &node, &mut disk)?;
    node.wait_recording(options.cameras, Duration::from_secs(60))?;
    std::thread::sleep(Duration::from_secs(options.settle));
    simulator.fault("stall")?;
    node.wait_silent(Duration::from_secs(20))?;
    let told = told(&node, options.cameras, begun_us)?;
    let dropped = node.metrics()?.value("fengsui_recorder_dropped_units_total")?;
    node.stop()?;
    let sent = Sent::of(&simulator.main_sessions(0)?, options.cameras);
    let stored = Stored::read(&node_options.volume, options.cameras)?;
    let facts: StreamFacts = simulator.ask("/cameras/1/main")?;
    figures(options, &peak, dropped, (&sent, &stored), &told, facts.fps, show);
    Ok(())
}

/// Stalls the disk for the time asked and looks at memory meanwhile.
fn watch_stall(options: &Options, node: &Node, disk: &mut StallDisk) -> io::Result<Peak> {
    let clock = SystemClock::new();
    let ring = || node.metrics()?.value("fengsui_hub_ring_bytes");
    let rss_before = node.process.usage()?.rss_bytes;
    let mut peak = Peak { rss_before, ring_before: ring()?, ..Peak::default() };
    disk.freeze().map_err(io::Error::other)?;
    let start = clock.mono();
    while clock.mono().since(start) < Duration::from_secs(options.seconds) {
        std::thread::sleep(LOOK);
        let metrics = node.metrics()?;
        peak.rss = peak.rss.max(node.process.usage()?.rss_bytes);
        peak.ring = peak.ring.max(metrics.value("fengsui_hub_ring_bytes")?);
        peak.budget = metrics.value("fengsui_hub_ring_budget_bytes")?;
    }
    disk.thaw().map_err(io::Error::other)?;
    let thawed = clock.mono();
    let low = peak.ring_before + CAUGHT_UP * (peak.ring - peak.ring_before).max(0.0);
    wait_until("the recorder catches up", PATIENCE, || Ok(ring()? <= low))?;
    peak.caught_up = clock.mono().since(thawed);
    Ok(peak)
}

/// What the node's own API says was lost.
#[derive(Debug)]
struct Told {
    /// Gaps of each camera, camera 1 first.
    gaps: Vec<Gaps>,
    /// Alarms of volumes that were too slow.
    alarms: usize,
}

/// Asks the node's own API; of gaps before the first footage there is none of interest.
fn told(node: &Node, cameras: u32, begun_us: i64) -> io::Result<Told> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked: Outcome<Told> = runtime.block_on(async {
        let api = Api::new(&node.url)?;
        api.set_up(&node.setup_token).await?;
        api.log_in().await?;
        let now_us = SystemClock::new().utc().0;
        let mut gaps = Vec::new();
        for n in 1..=cameras {
            let n = u16::try_from(n).unwrap_or(u16::MAX);
            let timeline = api.timeline(n, StreamKind::Main, begun_us, now_us).await?;
            let (first, last) = (timeline.first_us.unwrap_or(now_us), timeline.last_us.unwrap_or(0));
            let mut own = Gaps::default();
            for gap in timeline.gaps().filter(|g| g.from_us >= first && g.to_us <= last) {
                if gap.reason.as_deref() == Some("backpressure") {
                    own.count += 1;
                    own.us += gap.to_us - gap.from_us;
                } else {
                    own.others += 1;
                }
            }
            gaps.push(own);
        }
        let page: Value = api.get("/alarms?state=all&limit=1000").await?;
        let alarms = page.get("alarms").and_then(Value::as_array).into_iter().flatten();
        let alarms = alarms.filter(|a| a.get("kind").is_some_and(|kind| kind == "storage.slow")).count();
        Ok(Told { gaps, alarms })
    });
    asked.map_err(io::Error::other)
}

fn figures(
    options: &Options,
    peak: &Peak,
    dropped: f64,
    (sent, stored): (&Sent, &Stored),
    Told { gaps, alarms }: &Told,
    fps: f64,
    show: &mut dyn FnMut(Figure),
) {
    let n = options.cameras;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let mut give = |what: &str, value: f64, unit, target| {
        show(Figure::new(format!("stall_{n}_{what}"), value, unit, target));
    };
    let lost: Vec<u64> = sent.frames.iter().zip(&stored.frames).map(|(a, b)| a.saturating_sub(*b)).collect();
    let lost_ms = |frames: u64| frames as f64 * 1000.0 / fps;
    let all: u64 = lost.iter().sum();
    give("lost", lost_ms(all), "ms", Target::Shown);
    let gap_us: i64 = gaps.iter().map(|g| g.us).sum();
    give("gaps_listed", gap_us as f64 / 1000.0, "ms", Target::Shown);
    // Gaps begin and end at pictures, whose times are smoothed: each end may be off by less than half a picture.
    let off =
        |(frames, g): (&u64, &Gaps)| (lost_ms(*frames) - g.us as f64 / 1000.0).abs() / g.count.max(1) as f64;
    let worst = lost.iter().zip(gaps).map(off).fold(0.0, f64::max);
    give("difference_per_gap_max", worst, "ms", Target::AtMost(1000.0 / fps));
    let silent = lost.iter().zip(gaps).filter(|(l, g)| **l > 0 && g.count == 0).count();
    give("cameras_with_silent_loss", silent as f64, "cameras", Target::Exactly(0.0));
    give(
        "gaps_of_other_reasons",
        gaps.iter().map(|g| g.others).sum::<u64>() as f64,
        "gaps",
        Target::Exactly(0.0),
    );
    let target = if all > 0 { Target::AtLeast(1.0) } else { Target::Exactly(0.0) };
    give("alarms", *alarms as f64, "alarms", target);
    give("units_dropped_by_metrics", dropped, "units", Target::Exactly(all as f64));
    give("frames_not_taken", sent.not_taken as f64, "frames", Target::Exactly(0.0));
    give("ring_peak", mib(peak.ring), "MiB", Target::AtMost(mib(peak.budget)));
    let growth = peak.rss.saturating_sub(peak.rss_before) as f64;
    give("rss_growth", mib(growth), "MiB", Target::AtMost(mib(peak.budget)));
    give("caught_up", peak.caught_up.as_secs_f64(), "s", Target::AtMost(options.seconds as f64 / 2.0));
}
