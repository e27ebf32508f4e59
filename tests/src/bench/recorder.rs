//! The recorder beside its peers: one simulator, and on its streams in turn two bare floors, `ffmpeg -c copy` (one
//! process a camera) and Fengsui, at each number of cameras. Costs are CPU seconds of all threads of the recording
//! processes per 10^9 bytes that the simulator sent them in the measured time; the simulator's own CPU is shown apart,
//! and threads of the kernel (write-back of the page cache, the journal of the file system) are in nobody's figure.
//!
//! After the measured time the cameras fall silent, the node stops in order, and the pictures in the tables of its
//! files are compared, camera by camera, with the simulator's ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};

use super::child::{Running, sister};
use super::floor::FloorResult;
use super::node::{Node, NodeOptions, wait_until};
use super::room::{Puncher, Room, Stored};
use super::simulator::{Sent, Simulator, SimulatorOptions, Urls};
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Numbers of cameras that Fengsui and the floors record, one after the other
    #[arg(long, value_delimiter = ',', default_value = "20,100,400,1400")]
    pub cameras: Vec<u32>,
    /// Cameras that ffmpeg records, one process each (0: leave ffmpeg out)
    #[arg(long, default_value_t = 40)]
    pub ffmpeg: u32,
    /// Seconds measured of each recorder
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seconds measured of each floor (0: leave the floors out); they keep all that they write
    #[arg(long, default_value_t = 20)]
    pub floor_seconds: u64,
    /// Seconds between the moment when all cameras record and the measured time
    #[arg(long, default_value_t = 10)]
    pub settle: u64,
    /// Receiving paths to measure, one after the other: the node's own choice, or retina for every camera
    #[arg(long, value_enum, value_delimiter = ',', default_value = "default")]
    pub path: Vec<PathChoice>,
    /// Small pictures instead of 1280x720 at 2 Mbit/s
    #[arg(long)]
    pub small: bool,
    /// Directory for footage and logs; default: a new one in the system's place for temporary files
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Directory of the simulator's clips
    #[arg(long, default_value = ".cache/camsim")]
    pub cache: PathBuf,
}

/// How the node receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PathChoice {
    /// As the node does when nothing is said.
    Default,
    /// By retina alone (`[ingest] lean = false`).
    Retina,
}

impl PathChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "fengsui",
            Self::Retina => "fengsui_retina",
        }
    }

    /// CPU seconds a GB that a city or a district may cost, allowing for noise.
    fn cost_target(self, cameras: u32) -> Target {
        match (self, cameras) {
            (Self::Retina, 400 | 1400) => Target::AtMost(2.3),
            (Self::Default, 400) => Target::AtMost(1.4),
            (Self::Default, 1400) => Target::AtMost(1.3),
            _ => Target::Shown,
        }
    }
}

/// Sweeps of the floors in milliseconds; the ratio is to the first.
const FLOOR_SWEEPS_MS: [u64; 2] = [100, 200];
/// Numbers of cameras that the targets of a city hold for.
const DISTRICT: u32 = 400;

struct Measured {
    bytes: u64,
    cpu_seconds: f64,
    seconds: f64,
    rss_bytes: u64,
    simulator_cpu_seconds: f64,
}

impl Measured {
    fn cost(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / 1e9)
    }
    fn core(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }
}

/// What became of the pictures of one run of the node.
struct Kept {
    sent: Sent,
    stored: Stored,
    punched: u64,
}

struct Bench<'a> {
    options: &'a Options,
    simulator: Simulator,
    urls: Vec<Urls>,
    out: PathBuf,
}

/// Runs the benchmark; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// A program is missing, ends early, or records nothing; or there is not enough room.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let kept;
    let out = match &options.out {
        Some(path) => path.clone(),
        None => {
            kept = tempfile::tempdir()?;
            kept.path().to_owned()
        }
    };
    std::fs::create_dir_all(&out)?;
    let most = options.cameras.iter().copied().max().unwrap_or(1).max(options.ffmpeg);
    // Before anything is started: a run that does not fit is refused at once.
    Room::plan(&out, most, options.floor_seconds.min(20))?;
    let simulator = Simulator::start(&SimulatorOptions::new(most, &options.cache, options.small), &out)?;
    let urls = simulator.urls()?;
    let bench = Bench { options, simulator, urls, out };
    let ffmpeg = if options.ffmpeg > 0 { Some(bench.ffmpeg(options.ffmpeg)?) } else { None };
    if let Some(f) = &ffmpeg {
        show(Figure::new(format!("ffmpeg_{}_cost", options.ffmpeg), f.cost(), "cpu-s/GB", Target::Shown));
        let each = f.rss_bytes as f64 / f64::from(1 << 20) / f64::from(options.ffmpeg);
        show(Figure::new(format!("ffmpeg_{}_rss_per_camera", options.ffmpeg), each, "MiB", Target::Shown));
    }
    let mut growth: Vec<(PathChoice, u32, f64)> = Vec::new();
    for &n in &options.cameras {
        let mut floor = None;
        for ms in FLOOR_SWEEPS_MS.into_iter().filter(|_| options.floor_seconds > 0) {
            let measured = bench.floor(n, ms)?;
            let name = format!("floor_{n}_{ms}ms_cost");
            show(Figure::new(name, measured.cost(), "cpu-s/GB", Target::Shown));
            floor.get_or_insert(measured.cost());
        }
        for &path in &options.path {
            let (measured, kept) = bench.fengsui(n, path)?;
            figures(path, n, &measured, &kept, floor, ffmpeg.as_ref(), show);
            growth.push((path, n, measured.core() / f64::from(n)));
        }
    }
    for &path in &options.path {
        show_growth(path, &growth, show);
    }
    Ok(())
}

fn figures(
    path: PathChoice,
    n: u32,
    measured: &Measured,
    kept: &Kept,
    floor: Option<f64>,
    ffmpeg: Option<&Measured>,
    show: &mut dyn FnMut(Figure),
) {
    let lean = path == PathChoice::Default && n >= DISTRICT;
    let when = |holds: bool, target: Target| if holds { target } else { Target::Shown };
    let name = |what: &str| format!("{}_{n}_{what}", path.name());
    let mut give = |what: &str, value: f64, unit, target| show(Figure::new(name(what), value, unit, target));
    give("cost", measured.cost(), "cpu-s/GB", path.cost_target(n));
    give("core", measured.core(), "core", when(lean && n >= 1400, Target::AtMost(1.0)));
    give("cost_per_camera", measured.core() / f64::from(n) * 1000.0, "cpu-ms/s", Target::Shown);
    let rss = measured.rss_bytes as f64 / f64::from(1 << 20) / f64::from(n);
    give("rss_per_camera", rss, "MiB", when(n >= 100, Target::AtMost(1.0)));
    let lost = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a.saturating_sub(*b)).sum::<u64>() as f64;
    let (sent, stored) = (&kept.sent.frames, &kept.stored.frames);
    give("frames_sent", sent.iter().sum::<u64>() as f64, "frames", Target::AtLeast(1.0));
    give("frames_lost", lost(sent, stored), "frames", Target::Exactly(0.0));
    give("frames_too_many", lost(stored, sent), "frames", Target::Exactly(0.0));
    give("frames_not_taken", kept.sent.not_taken as f64, "frames", Target::Exactly(0.0));
    give(
        "reconnects",
        kept.sent.sessions.saturating_sub(u64::from(n)) as f64,
        "sessions",
        Target::Exactly(0.0),
    );
    give("files", kept.stored.files as f64, "files", Target::AtLeast(f64::from(n)));
    give("files_without_footer", kept.stored.flawed as f64, "files", Target::Exactly(0.0));
    give("gb_taken_away_meanwhile", kept.punched as f64 / 1e9, "GB", Target::Shown);
    if let Some(floor) = floor {
        give("against_floor", measured.cost() / floor, "x", when(lean, Target::AtMost(1.5)));
    }
    if let Some(f) = ffmpeg {
        give("better_than_ffmpeg", f.cost() / measured.cost(), "x", when(lean, Target::AtLeast(9.0)));
    }
    let simulator = measured.simulator_cpu_seconds / measured.seconds;
    show(Figure::new(format!("camsim_{n}_core_{}", path.name()), simulator, "core", Target::Shown));
    let late = kept.sent.late as f64;
    show(Figure::new(format!("camsim_{n}_frames_late_{}", path.name()), late, "frames", Target::Shown));
}

/// Cost of one camera among many over that of one among few; a tenth is allowed for noise.
fn show_growth(path: PathChoice, all: &[(PathChoice, u32, f64)], show: &mut dyn FnMut(Figure)) {
    let mut own: Vec<_> = all.iter().filter(|a| a.0 == path).collect();
    own.sort_by_key(|a| a.1);
    // Few cameras pay for what a node costs without any.
    let first = own.iter().find(|a| a.1 >= 100);
    if let (Some((_, few, before)), Some((_, many, after))) = (first, own.last())
        && few < many
    {
        let name = format!("{}_growth_{few}_to_{many}", path.name());
        show(Figure::new(name, after / before, "x", Target::AtMost(1.1)));
    }
}

impl Bench<'_> {
    fn floor(&self, cameras: u32, sweep_ms: u64) -> io::Result<Measured> {
        let time = Duration::from_secs(self.options.floor_seconds);
        let out = self.out.join("floor");
        Room::for_all(&self.out, cameras, self.options.floor_seconds)?;
        let arguments = [
            "floor",
            "--address",
            &self.simulator.rtsp.to_string(),
            "--cameras",
            &cameras.to_string(),
            "--seconds",
            &self.options.floor_seconds.to_string(),
            "--sweep-ms",
            &sweep_ms.to_string(),
            "--out",
            &out.to_string_lossy(),
        ]
        .map(str::to_owned);
        let simulator_before = self.simulator.cpu_seconds()?;
        let floor = Running::start(&sister("figures")?, &arguments, &self.out.join("floor.log"))?;
        let line = floor.line_after("FLOOR ", time + Duration::from_secs(120))?;
        let result: FloorResult = serde_json::from_str(&line).map_err(io::Error::other)?;
        std::fs::remove_dir_all(&out)?;
        Ok(Measured {
            bytes: result.bytes,
            cpu_seconds: result.cpu_seconds,
            seconds: result.seconds,
            rss_bytes: 0,
            simulator_cpu_seconds: self.simulator.cpu_seconds()? - simulator_before,
        })
    }

    fn ffmpeg(&self, cameras: u32) -> io::Result<Measured> {
        let out = self.out.join("ffmpeg");
        std::fs::create_dir_all(&out)?;
        let mut peers = Vec::new();
        for (n, urls) in (1..=cameras).zip(&self.urls) {
            let arguments = ffmpeg_arguments(&urls.main, &out, n);
            peers.push(Running::start(Path::new("ffmpeg"), &arguments, &out.join(format!("{n}.log")))?);
        }
        wait_until("every ffmpeg writes", Duration::from_secs(120), || {
            Ok((1..=cameras).all(|n| file_size(&out.join(format!("{n}_000.mp4"))) > 0))
        })?;
        // Beyond this it would not become any dearer, and a machine has better to do.
        let measured = self.measure(&peers.iter().collect::<Vec<_>>(), self.options.seconds.min(60))?;
        for peer in peers {
            peer.stop(Duration::from_secs(5));
        }
        std::fs::remove_dir_all(&out)?;
        Ok(measured)
    }

    fn fengsui(&self, cameras: u32, path: PathChoice) -> io::Result<(Measured, Kept)> {
        let home = self.out.join(path.name());
        let seconds = self.options.settle + self.options.seconds;
        let room = Room::plan(&self.out, cameras, seconds + 30)?;
        let options = NodeOptions {
            retina: path == PathChoice::Retina,
            scrub: room == Room::All,
            ..NodeOptions::new(&home)
        };
        let before = self.simulator.last_session()?;
        let urls = self.urls.get(..cameras as usize).unwrap_or_default();
        let node = Node::start(&options, urls)?;
        let puncher = (room == Room::Punch).then(|| Puncher::start(&options.volume));
        node.wait_recording(cameras, Duration::from_secs(180))?;
        // Starting costs are not steady costs: whole flush rounds pass before the measured time.
        std::thread::sleep(Duration::from_secs(self.options.settle));
        let measured = self.measure(&[&node.process], self.options.seconds)?;
        let kept = self.end(node, cameras, before, &options.volume, puncher)?;
        std::fs::remove_dir_all(&home)?;
        Ok((measured, kept))
    }

    /// Lets the cameras fall silent and the node stop, and counts.
    fn end(
        &self,
        node: Node,
        cameras: u32,
        before: u64,
        volume: &Path,
        puncher: Option<Puncher>,
    ) -> io::Result<Kept> {
        self.simulator.fault("stall")?;
        let silent = node.wait_silent(Duration::from_secs(20));
        // Whether or not: the node must have gone before the cameras speak again.
        let stopped = node.stop();
        let sessions = self.simulator.main_sessions(before);
        self.simulator.clear()?;
        silent?;
        stopped?;
        let punched = puncher.map_or(Ok(0), Puncher::finish)?;
        Ok(Kept { sent: Sent::of(&sessions?, cameras), stored: Stored::read(volume, cameras)?, punched })
    }

    fn measure(&self, recorders: &[&Running], seconds: u64) -> io::Result<Measured> {
        let clock = SystemClock::new();
        let cpu = || recorders.iter().map(|r| r.usage().map(|u| u.cpu_seconds)).sum::<io::Result<f64>>();
        let look =
            || Ok::<_, io::Error>((self.simulator.cpu_seconds()?, cpu()?, self.simulator.stats()?.bytes));
        let (start, before) = (clock.mono(), look()?);
        std::thread::sleep(Duration::from_secs(seconds));
        let (passed, after) = (clock.mono().since(start), look()?);
        Ok(Measured {
            bytes: after.2 - before.2,
            cpu_seconds: after.1 - before.1,
            seconds: passed.as_secs_f64(),
            rss_bytes: recorders.iter().map(|r| r.usage().map(|u| u.rss_bytes)).sum::<io::Result<u64>>()?,
            simulator_cpu_seconds: after.0 - before.0,
        })
    }
}

fn ffmpeg_arguments(url: &str, out: &Path, n: u32) -> Vec<String> {
    let target = out.join(format!("{n}_%03d.mp4")).to_string_lossy().into_owned();
    let input = ["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", url];
    let output = ["-c", "copy", "-f", "segment", "-segment_time", "300"];
    let form = ["-segment_format_options", "movflags=frag_keyframe+empty_moov", &target];
    input.into_iter().chain(output).chain(form).map(str::to_owned).collect()
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}
