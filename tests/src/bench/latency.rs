//! Added latency of watched streams: from the moment at which the simulator gave the last packet of a picture to its
//! socket to the moment at which a viewer had the picture's fragment, while a whole city is recorded. Nothing is decoded:
//! a stream's key frames tell which of the simulator's pictures they are, and the numbers behind them count on.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use serde::Deserialize;

use super::node::{Node, NodeOptions};
use super::room::{Puncher, Room};
use super::simulator::{Simulator, SimulatorOptions};
use super::viewers::{self, Door, FLAG_KEY, FLAG_WARM, Reads, Sample, Socket, Viewers};
use crate::camsim::streams::StreamFacts;
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Cameras recorded
    #[arg(long, default_value_t = 1400)]
    pub cameras: u32,
    /// Cameras whose main streams are watched, each by one viewer
    #[arg(long, default_value_t = 100)]
    pub watched: u16,
    /// Seconds measured, 100 at most: so far back the simulator remembers
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seconds: u64,
    /// Seconds between the first pictures and the measured time
    #[arg(long, default_value_t = 10)]
    pub settle: u64,
    /// Watch by TLS
    #[arg(long)]
    pub tls: bool,
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

/// Milliseconds that 95 of 100 pictures may take.
const P95_MS: f64 = 50.0;
/// Cameras from which on the target is meant.
const CITY: u32 = 1400;
/// Streams on one socket.
const TILES: usize = 10;

#[derive(Deserialize)]
struct SentTimes {
    items: Vec<(i64, i64)>,
}

/// Runs it; hands each figure to `show`.
///
/// # Errors
/// A program is missing or ends early, there is not enough room, or a viewer is refused.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let kept = if options.out.is_some() { None } else { Some(tempfile::tempdir()?) };
    let out = options.out.as_deref().or(kept.as_ref().map(tempfile::TempDir::path));
    let out = out.unwrap_or(Path::new("."));
    std::fs::create_dir_all(out)?;
    let room = Room::plan(out, options.cameras, options.settle + options.seconds + 60)?;
    let cameras = SimulatorOptions::new(options.cameras, &options.cache, options.small);
    let simulator = Simulator::start(&cameras.with(&["--sent-times", "4096"]), out)?;
    let node_options = NodeOptions {
        retina: options.retina,
        scrub: room == Room::All,
        tls: options.tls,
        ..NodeOptions::new(&out.join("node"))
    };
    let node = Node::start(&node_options, &simulator.urls()?)?;
    let _puncher = (room == Room::Punch).then(|| Puncher::start(&node_options.volume));
    node.wait_recording(options.cameras, Duration::from_secs(180))?;
    let runtime = viewers::runtime()?;
    let door =
        runtime.block_on(Door::open(&node, &node_options.home, options.tls)).map_err(io::Error::other)?;
    let numbers: Vec<u16> = (1..=options.watched).collect();
    let socket = |c: &[u16]| Socket { cameras: c.to_vec(), stream: StreamKind::Main, reads: Reads::All };
    let viewers = Viewers::open(&runtime, &door, numbers.chunks(TILES).map(socket).collect());
    let viewers = viewers.map_err(io::Error::other)?;
    viewers.wait_playing(u64::from(options.watched), Duration::from_secs(60))?;
    std::thread::sleep(Duration::from_secs(options.settle));
    viewers.seen.keep.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(options.seconds));
    viewers.seen.keep.store(false, Ordering::Relaxed);
    let samples = std::mem::take(&mut *viewers.seen.samples.lock());
    drop(viewers);
    let mut all = Latencies::default();
    for n in 1..=options.watched {
        let facts: StreamFacts = simulator.ask(&format!("/cameras/{n}/main"))?;
        let sent: SentTimes = simulator.ask(&format!("/sent/{n}/main"))?;
        let own: Vec<Sample> = samples.iter().filter(|s| s.camera == n).copied().collect();
        all.add(&facts, &sent.items.into_iter().collect(), &own);
    }
    figures(options, all, show);
    node.stop()
}

/// Microseconds of all pictures.
#[derive(Debug, Default)]
pub struct Latencies {
    /// From the simulator's socket to the viewer.
    pub sent_to_viewer: Vec<i64>,
    /// The node's own share after the last packet arrived.
    pub in_node: Vec<i64>,
    /// Pictures that no moment of sending is known for.
    pub unknown: u64,
}

impl Latencies {
    /// Takes the pictures of one camera, in their order.
    pub fn add(&mut self, facts: &StreamFacts, sent: &HashMap<i64, i64>, samples: &[Sample]) {
        let mut anchor: Option<(i64, u32)> = None;
        for s in samples.iter().filter(|s| s.flags & FLAG_WARM == 0) {
            if s.flags & FLAG_KEY != 0 {
                anchor = Some((key_near(facts, s.utc_us), s.seq));
            }
            // Before the first key frame nothing tells which picture it is.
            let Some((n, seq)) = anchor else { continue };
            match sent.get(&(n + i64::from(s.seq.wrapping_sub(seq)))) {
                Some(at) => {
                    self.sent_to_viewer.push(s.got_us - at);
                    self.in_node.push(i64::from(s.server_us));
                }
                None => self.unknown += 1,
            }
        }
    }
}

/// Global number of the key frame that was due nearest to `utc_us`: key frames are seconds apart, so a moment that is
/// right to half of that is enough.
fn key_near(facts: &StreamFacts, utc_us: i64) -> i64 {
    let period = f64::from(facts.fps_den) * 1e6 / f64::from(facts.fps_num);
    let about = ((utc_us - facts.phase_us) as f64 / period).round() as i64;
    let gop = i64::from(facts.gop_frames.max(1));
    let (offset, looped) = (i64::from(facts.offset), i64::from(facts.loop_frames.max(1)));
    let behind = (about + offset).rem_euclid(looped).rem_euclid(gop);
    if behind * 2 <= gop { about - behind } else { about - behind + gop }
}

/// Milliseconds that so many of a hundred took at most; `sorted` are microseconds.
#[must_use]
pub fn percentile(sorted: &[i64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |us| *us as f64 / 1000.0)
}

fn figures(options: &Options, mut all: Latencies, show: &mut dyn FnMut(Figure)) {
    let name = |what: &str| format!("latency_{}_watched_{}_{what}", options.cameras, options.watched);
    all.sent_to_viewer.sort_unstable();
    all.in_node.sort_unstable();
    let city = options.cameras >= CITY;
    for (percent, target) in [(50, None), (95, Some(P95_MS)), (99, None)] {
        let target = target.filter(|_| city).map_or(Target::Shown, Target::AtMost);
        let value = percentile(&all.sent_to_viewer, percent);
        show(Figure::new(name(&format!("p{percent}")), value, "ms", target));
    }
    let inside = percentile(&all.in_node, 95);
    show(Figure::new(name("node_p95"), inside, "ms", Target::Shown));
    let pictures = all.sent_to_viewer.len() as f64;
    show(Figure::new(name("pictures"), pictures, "pictures", Target::AtLeast(1.0)));
    show(Figure::new(name("pictures_unknown"), all.unknown as f64, "pictures", Target::Exactly(0.0)));
    // A picture that is here before it was sent would be another picture.
    let early = all.sent_to_viewer.iter().filter(|us| **us < 0).count() as f64;
    show(Figure::new(name("pictures_too_early"), early, "pictures", Target::Exactly(0.0)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camsim::clip::Codec;

    fn facts() -> StreamFacts {
        StreamFacts {
            camera: 1,
            stream: StreamKind::Main,
            codec: Codec::H264,
            width: 320,
            height: 180,
            fps: 25.0,
            fps_num: 25,
            fps_den: 1,
            gop_frames: 50,
            loop_frames: 250,
            phase_us: 13,
            offset: 7,
            barcode_camera: Some(1),
            clip: Some(0),
            bits_per_second: 1.0,
        }
    }

    #[test]
    fn pictures_are_told_by_the_key_frame_before_them() {
        // Loop position 0 is a key frame: picture 93, as (93 + 7) mod 50 is 0.
        let due = |n: i64| 13 + n * 40_000;
        for off in [-900_000, -20_000, 0, 300_000, 900_000] {
            assert_eq!(key_near(&facts(), due(93) + off), 93, "{off}");
        }
        let sent: HashMap<i64, i64> = (80..120).map(|n| (n, due(n) + 500)).collect();
        let sample = |n: i64, flags| Sample {
            camera: 1,
            flags,
            utc_us: due(n) + 100_000,
            seq: (n - 60) as u32,
            server_us: 4,
            got_us: due(n) + 500 + 30_000 + n,
        };
        let samples = [sample(92, 0), sample(93, FLAG_KEY | FLAG_WARM), sample(93, FLAG_KEY), sample(95, 0)];
        let mut all = Latencies::default();
        all.add(&facts(), &sent, &samples);
        assert_eq!((all.sent_to_viewer, all.unknown), (vec![30_093, 30_095], 0));
    }
}
