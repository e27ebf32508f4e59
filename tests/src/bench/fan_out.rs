//! What viewers cost a node beyond recording, and what bad viewers cost its recording: nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;

use super::node::{Node, NodeOptions};
use super::room::{Puncher, Room, Stored};
use super::simulator::{Sent, Simulator, SimulatorOptions};
use super::viewers::{self, Door, Reads, Socket, Viewers};
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Numbers of viewers by TLS, one after the other; a viewer is one tile with a sub-stream
    #[arg(long, value_delimiter = ',', default_value = "500,1000")]
    pub viewers: Vec<u32>,
    /// Tiles on one wall socket
    #[arg(long, default_value_t = 4)]
    pub per_socket: u32,
    /// Sub-streams that they watch in turn
    #[arg(long, default_value_t = 100)]
    pub streams: u16,
    /// Cameras recorded meanwhile
    #[arg(long, default_value_t = 400)]
    pub cameras: u32,
    /// Viewers of main streams that read nothing, and that read slowly, in the last part (0: leave that out)
    #[arg(long, default_value_t = 200)]
    pub stalled: u32,
    /// As above
    #[arg(long, default_value_t = 50)]
    pub slow: u32,
    /// Seconds measured of each part
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Let retina receive every camera
    #[arg(long)]
    pub retina: bool,
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

/// Number of viewers that the target is for, and the share of a core that they may cost.
const VIEWERS: u32 = 500;
const CORE_MAX: f64 = 0.25;
/// Time to come to rest after something changed.
const SETTLE: Duration = Duration::from_secs(5);

struct Bench<'a> {
    options: &'a Options,
    simulator: Simulator,
    node: Node,
    runtime: Arc<tokio::runtime::Runtime>,
    door: Door,
}

/// Runs it; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// A program is missing or ends early, there is not enough room, or a viewer is refused.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let kept = if options.out.is_some() { None } else { Some(tempfile::tempdir()?) };
    let out = options.out.as_deref().or(kept.as_ref().map(tempfile::TempDir::path));
    let out = out.unwrap_or(Path::new("."));
    std::fs::create_dir_all(out)?;
    let parts = options.viewers.len() as u64 + 2;
    let room = Room::plan(out, options.cameras, (options.seconds + 30) * parts)?;
    let cameras = SimulatorOptions::new(options.cameras, &options.cache, options.small);
    let simulator = Simulator::start(&cameras, out)?;
    let node_options = NodeOptions {
        retina: options.retina,
        scrub: room == Room::All,
        tls: true,
        ..NodeOptions::new(&out.join("node"))
    };
    let node = Node::start(&node_options, &simulator.urls()?)?;
    let _puncher = (room == Room::Punch).then(|| Puncher::start(&node_options.volume));
    node.wait_recording(options.cameras, Duration::from_secs(180))?;
    let runtime = viewers::runtime()?;
    let door = runtime.block_on(Door::open(&node, &node_options.home, true)).map_err(io::Error::other)?;
    let bench = Bench { options, simulator, node, runtime, door };
    std::thread::sleep(SETTLE);
    let alone = bench.core()?;
    show(Figure::new("fan_out_core_of_recording", alone, "core", Target::Shown));
    for &viewers in &options.viewers {
        bench.watched(viewers, alone, show)?;
    }
    if options.stalled + options.slow > 0 {
        bench.hostile(show)?;
    }
    bench.end(&node_options.volume, show)
}

impl Bench<'_> {
    /// Share of a core that the node takes.
    fn core(&self) -> io::Result<f64> {
        let clock = SystemClock::new();
        let (start, before) = (clock.mono(), self.node.process.usage()?.cpu_seconds);
        std::thread::sleep(Duration::from_secs(self.options.seconds));
        let (passed, after) = (clock.mono().since(start), self.node.process.usage()?.cpu_seconds);
        Ok((after - before) / passed.as_secs_f64())
    }

    fn watched(&self, viewers: u32, alone: f64, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let streams = u32::from(self.options.streams.max(1)).min(self.options.cameras);
        let numbers: Vec<u16> = (0..viewers).map(|v| (v % streams + 1) as u16).collect();
        let each = self.options.per_socket.max(1) as usize;
        let socket = |c: &[u16]| Socket { cameras: c.to_vec(), stream: StreamKind::Sub, reads: Reads::All };
        let open = self.open(numbers.chunks(each).map(socket).collect())?;
        open.wait_playing(u64::from(viewers), Duration::from_secs(90))?;
        std::thread::sleep(SETTLE);
        let look = || (open.seen.pictures.load(Ordering::Relaxed), open.seen.bytes.load(Ordering::Relaxed));
        let (before, dropped) = (look(), self.node.metrics()?.value("fengsui_live_dropped_units_total")?);
        let core = self.core()? - alone;
        let after = look();
        let dropped = self.node.metrics()?.value("fengsui_live_dropped_units_total")? - dropped;
        let seconds = self.options.seconds as f64;
        let mut give = |what: &str, value: f64, unit, target| {
            show(Figure::new(format!("fan_out_{viewers}_{what}"), value, unit, target));
        };
        let target = if viewers == VIEWERS { Target::AtMost(CORE_MAX) } else { Target::Shown };
        give("core_beyond_recording", core, "core", target);
        give(
            "pictures_per_second",
            (after.0 - before.0) as f64 / seconds,
            "pictures/s",
            Target::AtLeast(1.0),
        );
        give("rate", (after.1 - before.1) as f64 * 8.0 / seconds / 1e6, "Mbit/s", Target::Shown);
        give("dropped", dropped, "pictures", Target::Shown);
        let ended = open.seen.ended.load(Ordering::Relaxed);
        give("sockets_ended", ended as f64, "sockets", Target::Exactly(0.0));
        Ok(())
    }

    fn hostile(&self, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let (stalled, slow) = (self.options.stalled, self.options.slow);
        let one = |v: u32, reads| {
            let camera = (v % self.options.cameras + 1) as u16;
            Socket { cameras: vec![camera], stream: StreamKind::Main, reads }
        };
        let sockets = (0..stalled).map(|v| one(v, Reads::Nothing));
        let sockets = sockets.chain((0..slow).map(|v| one(v, Reads::Slowly)));
        let before = self.node.metrics()?.value("fengsui_live_dropped_units_total")?;
        let open = self.open(sockets.collect())?;
        open.wait_playing(u64::from(slow), Duration::from_secs(60))?;
        let core = self.core()?;
        let metrics = self.node.metrics()?;
        let dropped = metrics.value("fengsui_live_dropped_units_total")? - before;
        let mut give = |what: &str, value: f64, unit, target| {
            show(Figure::new(format!("fan_out_{stalled}_stalled_{slow}_slow_{what}"), value, unit, target));
        };
        give("dropped_by_metrics", dropped, "pictures", Target::AtLeast(1.0));
        give("core", core, "core", Target::Shown);
        give("sockets_left", metrics.value("fengsui_live_sockets")?, "sockets", Target::Shown);
        Ok(())
    }

    fn open(&self, sockets: Vec<Socket>) -> io::Result<Viewers> {
        Viewers::open(&self.runtime, &self.door, sockets).map_err(io::Error::other)
    }

    /// Stops everything and counts what was recorded all the while.
    fn end(self, volume: &Path, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        // Sub-streams that somebody still waits for would go on.
        self.simulator.fault("stall")?;
        self.node.wait_silent(Duration::from_secs(20))?;
        self.node.stop()?;
        let sent = Sent::of(&self.simulator.main_sessions(0)?, self.options.cameras);
        let stored = Stored::read(volume, self.options.cameras)?;
        let lost = sent.frames.iter().zip(&stored.frames).map(|(a, b)| a.saturating_sub(*b)).sum::<u64>();
        let all = sent.frames.iter().sum::<u64>() as f64;
        show(Figure::new("fan_out_frames_sent", all, "frames", Target::AtLeast(1.0)));
        show(Figure::new("fan_out_recorded_frames_lost", lost as f64, "frames", Target::Exactly(0.0)));
        let refused = sent.not_taken as f64;
        show(Figure::new("fan_out_recorded_frames_not_taken", refused, "frames", Target::Exactly(0.0)));
        Ok(())
    }
}
