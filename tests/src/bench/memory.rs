//! Memory of a node over time: resident bytes a camera, and whether they grow.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::node::{Node, NodeOptions};
use super::room::{Puncher, Room};
use super::simulator::{Simulator, SimulatorOptions};
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Number of cameras
    #[arg(long, default_value_t = 1400)]
    pub cameras: u32,
    /// Seconds watched; an hour is 3600
    #[arg(long, default_value_t = 300)]
    pub seconds: u64,
    /// Seconds from full recording to the first look
    #[arg(long, default_value_t = 30)]
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

/// Parts of the time, each shown by its mean.
const PARTS: usize = 10;
/// Looks in each part.
const LOOKS: u32 = 10;
/// Numbers of cameras from which on what a node needs without any does not matter.
const MANY: u32 = 100;

/// Runs it; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// A program is missing or ends early, or there is not enough room.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let kept = if options.out.is_some() { None } else { Some(tempfile::tempdir()?) };
    let out = options.out.as_deref().or(kept.as_ref().map(tempfile::TempDir::path));
    let out = out.unwrap_or(Path::new("."));
    std::fs::create_dir_all(out)?;
    let room = Room::plan(out, options.cameras, options.seconds + options.settle + 60)?;
    let cameras = SimulatorOptions::new(options.cameras, &options.cache, options.small);
    let simulator = Simulator::start(&cameras, out)?;
    let node_options = NodeOptions {
        retina: options.retina,
        scrub: room == Room::All,
        ..NodeOptions::new(&out.join("node"))
    };
    let node = Node::start(&node_options, &simulator.urls()?)?;
    let _puncher = (room == Room::Punch).then(|| Puncher::start(&node_options.volume));
    node.wait_recording(options.cameras, Duration::from_secs(180))?;
    std::thread::sleep(Duration::from_secs(options.settle));
    let n = options.cameras;
    let pause = Duration::from_secs(options.seconds) / (PARTS as u32 * LOOKS);
    let mut parts = Vec::new();
    for part in 1..=PARTS {
        let mut sum = 0.0;
        for _ in 0..LOOKS {
            std::thread::sleep(pause);
            sum += node.process.usage()?.rss_bytes as f64;
        }
        let mean = sum / f64::from(LOOKS) / f64::from(1 << 20) / f64::from(n);
        let name = format!("memory_{n}_rss_per_camera_at_{part}_of_{PARTS}");
        show(Figure::new(name, mean, "MiB", Target::Shown));
        parts.push(mean);
    }
    let most = parts.iter().copied().fold(0.0, f64::max);
    let target = if n >= MANY { Target::AtMost(1.0) } else { Target::Shown };
    show(Figure::new(format!("memory_{n}_rss_per_camera_max"), most, "MiB", target));
    show(Figure::new(format!("memory_{n}_growth"), growth(&parts), "x", Target::AtMost(1.05)));
    node.stop()
}

/// The last quarter over the second one: in the first a node may still be settling.
fn growth(parts: &[f64]) -> f64 {
    let mean = |some: &[f64]| some.iter().sum::<f64>() / some.len().max(1) as f64;
    let quarter = parts.len() / 4;
    let before = parts.get(quarter..2 * quarter).unwrap_or_default();
    let after = parts.get(parts.len() - quarter..).unwrap_or_default();
    mean(after) / mean(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_seen_and_settling_is_not() {
        assert!((growth(&[5.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]) - 1.0).abs() < 1e-9);
        let rising: Vec<f64> = (0..10).map(|n| 1.0 + f64::from(n) * 0.1).collect();
        assert!(growth(&rising) > 1.3);
    }
}
