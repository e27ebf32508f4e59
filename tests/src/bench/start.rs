//! A whole city at once: the start of a node with all its cameras, and their return after all were cut off. How long
//! until they are recorded, and how gently the devices are asked, by the simulator's own count.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::StreamKind;
use serde::Deserialize;

use super::node::{Node, NodeOptions};
use super::room::{Puncher, Room};
use super::simulator::{Simulator, SimulatorOptions};
use crate::camsim::world::Device;
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of cameras
    #[arg(long, default_value_t = 1400)]
    pub cameras: u32,
    /// Cameras that share an address, as the channels of one recorder do
    #[arg(long, default_value_t = 4)]
    pub per_device: u16,
    /// Seconds for which all cameras are cut off (reconnect alone)
    #[arg(long, default_value_t = 30)]
    pub cut: u64,
    /// Seconds of steady recording before the cut (reconnect alone)
    #[arg(long, default_value_t = 15)]
    pub settle: u64,
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

/// Time within which 95 of 100 cameras, and all, have to be recorded.
const MOST_S: f64 = 30.0;
const ALL_S: f64 = 90.0;
/// Connections that may be opening at once to one device.
const AT_ONCE_MAX: f64 = 2.0;
/// Shortest time between two attempts on one stream while it does not answer.
const BETWEEN_ATTEMPTS_S: f64 = 5.0;
/// Given up after this.
const PATIENCE: Duration = Duration::from_secs(240);
/// Time between two looks: each renders the metrics of the whole city.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Attempts {
    stream: StreamKind,
    at_us: Vec<i64>,
}

/// Seconds until most and until all cameras were recorded.
struct Times {
    most: f64,
    all: f64,
}

struct Bench {
    cameras: u32,
    clock: SystemClock,
    simulator: Simulator,
    node: Node,
    _puncher: Option<Puncher>,
    // Goes last: what the others write lies in it.
    _out: Option<tempfile::TempDir>,
}

/// Measures the start.
///
/// # Errors
/// A program is missing or ends early, or there is not enough room.
pub fn cold_start(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let (bench, times) = Bench::start(options, 100)?;
    let name = format!("cold_start_{}", options.cameras);
    show_times(&name, &times, show);
    bench.show_devices(&name, show)?;
    let attempts = bench.attempts_since(0)?;
    let most = attempts.iter().map(Vec::len).max().unwrap_or(0) as f64;
    show(Figure::new(format!("{name}_attempts_per_camera_max"), most, "attempts", Target::Shown));
    let cpu = bench.node.process.usage()?.cpu_seconds;
    show(Figure::new(format!("{name}_cpu"), cpu, "cpu-s", Target::Shown));
    bench.node.stop()
}

/// Measures the return after a cut.
///
/// # Errors
/// As [`cold_start`], or cameras were still recorded at the end of the cut.
pub fn reconnect(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let (bench, _) = Bench::start(options, options.settle + options.cut + 100)?;
    std::thread::sleep(Duration::from_secs(options.settle));
    let _forget = bench.devices()?;
    let cut_us = bench.clock.utc().0;
    bench.simulator.fault("cut")?;
    std::thread::sleep(Duration::from_secs(options.cut));
    let still = bench.node.metrics()?.value("fengsui_cameras_recording")?;
    if still > 0.0 {
        return Err(io::Error::other(format!("{still} cameras are said to be recorded although cut off")));
    }
    let back_us = bench.clock.utc().0;
    bench.simulator.clear()?;
    let times = bench.wait(back_us)?;
    let name = format!("reconnect_{}", options.cameras);
    show_times(&name, &times, show);
    bench.show_devices(&name, show)?;
    let attempts = bench.attempts_since(cut_us)?;
    let during = |a: &Vec<i64>| a.iter().filter(|&&at| at < back_us).count();
    let most = attempts.iter().map(during).max().unwrap_or(0) as f64;
    show(Figure::new(format!("{name}_attempts_while_cut_max"), most, "attempts", Target::Shown));
    let shortest = shortest_between(&attempts).unwrap_or(f64::INFINITY);
    // A short cut may see a single attempt, which has nothing before it to be too close to.
    let (shortest, target) = if shortest.is_finite() {
        (shortest, Target::AtLeast(BETWEEN_ATTEMPTS_S))
    } else {
        (0.0, Target::Shown)
    };
    show(Figure::new(format!("{name}_shortest_between_attempts"), shortest, "s", target));
    bench.node.stop()
}

fn show_times(name: &str, times: &Times, show: &mut dyn FnMut(Figure)) {
    show(Figure::new(format!("{name}_95_percent"), times.most, "s", Target::AtMost(MOST_S)));
    show(Figure::new(format!("{name}_all"), times.all, "s", Target::AtMost(ALL_S)));
}

/// Seconds between the two closest attempts on one stream; `None` when none was tried twice.
fn shortest_between(attempts: &[Vec<i64>]) -> Option<f64> {
    let pairs = attempts.iter().flat_map(|a| a.windows(2)).filter_map(|w| Some(w.last()? - w.first()?));
    pairs.min().map(|us| us as f64 / 1e6)
}

impl Bench {
    /// Starts simulator and node; says when the cameras were recorded. `seconds`: how long the footage of all has to
    /// have room for.
    fn start(options: &Options, seconds: u64) -> io::Result<(Self, Times)> {
        let kept = if options.out.is_some() { None } else { Some(tempfile::tempdir()?) };
        let out = options.out.as_deref().or(kept.as_ref().map(tempfile::TempDir::path));
        let out = out.unwrap_or(Path::new("."));
        std::fs::create_dir_all(out)?;
        let room = Room::plan(out, options.cameras, seconds)?;
        let cameras = SimulatorOptions::new(options.cameras, &options.cache, options.small)
            .with(&["--per-device", &options.per_device.to_string()]);
        let simulator = Simulator::start(&cameras, out)?;
        let urls = simulator.urls()?;
        let node_options = NodeOptions {
            retina: options.retina,
            scrub: room == Room::All,
            ..NodeOptions::new(&out.join("node"))
        };
        let clock = SystemClock::new();
        let begun_us = clock.utc().0;
        let node = Node::start(&node_options, &urls)?;
        let puncher = (room == Room::Punch).then(|| Puncher::start(&node_options.volume));
        let bench = Self { cameras: options.cameras, clock, simulator, node, _puncher: puncher, _out: kept };
        let times = bench.wait(begun_us)?;
        Ok((bench, times))
    }

    /// Waits until all cameras are recorded.
    fn wait(&self, begun_us: i64) -> io::Result<Times> {
        let all = f64::from(self.cameras);
        let mut most = None;
        loop {
            let recorded = self.node.metrics()?.value("fengsui_cameras_recording")?;
            let passed = (self.clock.utc().0 - begun_us) as f64 / 1e6;
            if recorded >= all * 0.95 {
                most.get_or_insert(passed);
            }
            if recorded >= all {
                return Ok(Times { most: most.unwrap_or(passed), all: passed });
            }
            if passed > PATIENCE.as_secs_f64() {
                let what = format!("only {recorded} of {all} cameras are recorded after {passed:.0} s");
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn devices(&self) -> io::Result<Vec<Device>> {
        Ok(self.simulator.ask::<Items<Device>>("/devices")?.items)
    }

    fn show_devices(&self, name: &str, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let devices = self.devices()?;
        let own = devices.iter().filter(|d| d.cameras.is_some());
        let at_once = own.map(|d| d.opening_max).max().unwrap_or(0);
        let name = format!("{name}_at_once_per_device_max");
        show(Figure::new(name, at_once.into(), "connections", Target::AtMost(AT_ONCE_MAX)));
        Ok(())
    }

    /// The attempts on each main stream since a moment.
    fn attempts_since(&self, from_us: i64) -> io::Result<Vec<Vec<i64>>> {
        let all: Items<Attempts> = self.simulator.ask("/attempts")?;
        let main = all.items.into_iter().filter(|a| a.stream == StreamKind::Main);
        Ok(main.map(|a| a.at_us.into_iter().filter(|&at| at >= from_us).collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_attempts_are_those_on_one_stream() {
        assert_eq!(shortest_between(&[vec![1_000_000], vec![1_100_000]]), None);
        assert_eq!(shortest_between(&[vec![1_000_000, 9_000_000, 12_000_000], vec![1_500_000]]), Some(3.0));
    }
}
