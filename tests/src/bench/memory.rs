//! Memory of a node over time: resident bytes a camera, what of them the rings hold, and whether they grow. On request the
//! disk takes nothing for a while in between, or another program writes to it as fast as it can: what the rings took in
//! meanwhile must be given back, and the recorder must come back to where it was.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};

use super::node::{Node, NodeOptions};
use super::room::{Puncher, Room};
use super::simulator::{Simulator, SimulatorOptions};
use crate::disk::stall::{self, StallDisk};
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
    /// Seconds for which the disk takes nothing, after the fourth tenth; a disk of its own, which keeps all footage
    #[arg(long, default_value_t = 0)]
    pub stall: u64,
    /// Seconds for which another program writes to the same disk as fast as it can, after the fourth tenth
    #[arg(long, default_value_t = 0)]
    pub beside: u64,
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
/// The part after which the disk is disturbed when that is asked for.
const DISTURBED_AFTER: usize = 4;
/// Bytes of the file that another program writes, again and again.
const BESIDE_BYTES: usize = 4 << 30;
const BESIDE_BLOCK: usize = 1 << 20;
/// Size of a disk that stalls; takes room only where it is written.
const DISK_BYTES: u64 = 200 << 30;
/// Numbers of cameras from which on what a node needs without any does not matter.
const MANY: u32 = 100;

/// Mean of some looks, in MiB a camera.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    rss: f64,
    ring: f64,
}

/// What holds the footage.
enum Disk {
    /// The directory, whose old footage is taken away where it would not fit.
    Plain(Room),
    /// One that can stall.
    Stalling(StallDisk),
}

impl Disk {
    fn new(options: &Options, out: &Path) -> io::Result<Self> {
        let seconds = options.seconds + options.settle + 60;
        if options.stall == 0 {
            return Room::plan(out, options.cameras, seconds).map(Self::Plain);
        }
        if let Some(reason) = stall::missing() {
            let what = format!("no disk that stalls: {reason}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        Room::for_all(out, options.cameras, seconds)?;
        StallDisk::new(out, DISK_BYTES).map(Self::Stalling).map_err(io::Error::other)
    }

    fn stall(&mut self, seconds: u64) -> io::Result<()> {
        let Self::Stalling(disk) = self else { return Ok(()) };
        disk.freeze().map_err(io::Error::other)?;
        std::thread::sleep(Duration::from_secs(seconds));
        disk.thaw().map_err(io::Error::other)
    }
}

/// Runs it; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// A program is missing or ends early, there is not enough room, or the disk that stalls cannot be had; see
/// [`stall::missing`].
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let kept = if options.out.is_some() { None } else { Some(tempfile::tempdir()?) };
    let out = options.out.as_deref().or(kept.as_ref().map(tempfile::TempDir::path));
    let out = out.unwrap_or(Path::new("."));
    std::fs::create_dir_all(out)?;
    let mut disk = Disk::new(options, out)?;
    let cameras = SimulatorOptions::new(options.cameras, &options.cache, options.small);
    let simulator = Simulator::start(&cameras, out)?;
    let mut node_options = NodeOptions { retina: options.retina, ..NodeOptions::new(&out.join("node")) };
    match &disk {
        Disk::Plain(room) => node_options.scrub = *room == Room::All,
        Disk::Stalling(disk) => node_options.volume = disk.root().join("footage"),
    }
    let node = Node::start(&node_options, &simulator.urls()?)?;
    let punch = matches!(disk, Disk::Plain(Room::Punch));
    let _puncher = punch.then(|| Puncher::start(&node_options.volume));
    node.wait_recording(options.cameras, Duration::from_secs(180))?;
    std::thread::sleep(Duration::from_secs(options.settle));
    let n = options.cameras;
    let pause = Duration::from_secs(options.seconds) / (PARTS as u32 * LOOKS);
    let mut parts = Vec::new();
    for at in 1..=PARTS {
        let part = watch(&node, n, pause)?;
        for (what, value) in [("rss", part.rss), ("ring", part.ring)] {
            let name = format!("memory_{n}_{what}_per_camera_at_{at}_of_{PARTS}");
            show(Figure::new(name, value, "MiB", Target::Shown));
        }
        parts.push(part.rss);
        if at == DISTURBED_AFTER {
            disk.stall(options.stall)?;
            write_beside(&node_options.volume, Duration::from_secs(options.beside))?;
        }
    }
    let most = parts.iter().copied().fold(0.0, f64::max);
    let target = if n >= MANY { Target::AtMost(1.0) } else { Target::Shown };
    show(Figure::new(format!("memory_{n}_rss_per_camera_max"), most, "MiB", target));
    show(Figure::new(format!("memory_{n}_growth"), growth(&parts), "x", Target::AtMost(1.05)));
    let lost = node.metrics()?.value("fengsui_recorder_dropped_units_total")?;
    show(Figure::new(format!("memory_{n}_lost_to_the_disk"), lost, "units", Target::Shown));
    node.stop()
}

/// Writes as fast as the disk takes it, as a copy or a backup by others would.
fn write_beside(volume: &Path, time: Duration) -> io::Result<()> {
    if time.is_zero() {
        return Ok(());
    }
    let path = volume.with_file_name("beside");
    let mut file = File::create(&path)?;
    let (block, clock) = (vec![7; BESIDE_BLOCK], SystemClock::new());
    let start = clock.mono();
    'all: loop {
        file.rewind()?;
        for _ in 0..BESIDE_BYTES / BESIDE_BLOCK {
            if clock.mono().since(start) >= time {
                break 'all;
            }
            file.write_all(&block)?;
        }
    }
    file.sync_all()?;
    std::fs::remove_file(path)
}

/// One part of the time.
fn watch(node: &Node, cameras: u32, pause: Duration) -> io::Result<Part> {
    let mut sum = Part::default();
    for _ in 0..LOOKS {
        std::thread::sleep(pause);
        sum.rss += node.process.usage()?.rss_bytes as f64;
        sum.ring += node.metrics()?.value("fengsui_hub_ring_bytes")?;
    }
    let scale = f64::from(LOOKS) * f64::from(1 << 20) * f64::from(cameras);
    Ok(Part { rss: sum.rss / scale, ring: sum.ring / scale })
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
