//! The catalogue of a whole city: 1,400 cameras for 30 days, 12.1 million segments (60.5 million in the long form).
//!
//! Rows come in through the catalogue's own calls in the order a city writes them, and the log is the one it writes.
//! Times are wall time of one thread on a log in the page cache: what the program costs, not what a disk does. The
//! names are 100,000 empty files in real directories, warm as well: on a cold disk the directories have to be read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use fengsui_config::clock::{Clock, SystemClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind, VolumeId};
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::frame::GapReason;
use fengsui_storage::fs::{Fs, OpenOptions, RealFs};
use fengsui_storage::segment::{SegmentFlags, SegmentRow};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::figure::{Figure, Target};

const SEGMENT_MS: i64 = 300_000;
const DAY_US: i64 = 86_400_000_000;
/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// Options of `figures catalogue`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Cameras
    #[arg(long, default_value_t = 1400)]
    pub cameras: u32,
    /// Days of 288 segments each
    #[arg(long, default_value_t = 30)]
    pub days: u32,
    /// Files for the rebuild from names
    #[arg(long, default_value_t = 100_000)]
    pub names: u32,
    /// Range queries measured
    #[arg(long, default_value_t = 200_000)]
    pub queries: u32,
    /// Start of the random queries
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where to put the log and the files; a temporary directory when not given
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// When the directory cannot be used, or the catalogue fails.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let held = tempfile::tempdir()?;
    let dir = options.directory.clone().unwrap_or_else(|| held.path().to_path_buf());
    let bench = Bench { options, fs: Arc::new(RealFs), clock: Arc::new(SystemClock::new()), dir };
    bench.fill(show)?;
    bench.reopen("catalogue.raw_log_rows_per_s", Target::Shown, show)?;
    bench.compact(show)?;
    let before = resident()?;
    let catalogue = bench.reopen("catalogue.log_rows_per_s", Target::AtLeast(5e6), show)?;
    let segments = catalogue.stats().segments as f64;
    let resident = resident()?.saturating_sub(before) as f64;
    show(Figure::new("catalogue.segments", segments, "segments", Target::Shown));
    let counted = catalogue.stats().memory_bytes as f64 / segments;
    show(Figure::new("catalogue.bytes_per_segment", counted, "B", Target::AtMost(24.0)));
    show(Figure::new("catalogue.resident_per_segment", resident / segments, "B", Target::Shown));
    bench.ranges(&catalogue, show);
    bench.strips(&catalogue, show);
    drop(catalogue);
    bench.names(show)
}

struct Bench<'a> {
    options: &'a Options,
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
}

impl Bench<'_> {
    fn key(&self, camera: u32) -> io::Result<StreamKey> {
        key(camera)
    }

    fn slots(&self) -> i64 {
        i64::from(self.options.days) * 288
    }

    fn open(&self) -> io::Result<Arc<Catalogue>> {
        Catalogue::open(self.fs.clone(), &self.dir.join("log"), self.clock.clone()).map_err(io::Error::other)
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> (Duration, T) {
        let start = self.clock.mono();
        let done = work();
        (self.clock.mono().since(start), done)
    }

    /// Slot by slot, camera by camera, with three gaps a camera and day: as a city writes.
    fn fill(&self, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let catalogue = self.open()?;
        let keys: Vec<StreamKey> =
            (0..self.options.cameras).map(|c| self.key(c)).collect::<io::Result<_>>()?;
        let volume: VolumeId = "v1".parse().map_err(io::Error::other)?;
        let (took, done) = self.timed(|| {
            for slot in 0..self.slots() {
                for (camera, key) in (0i64..).zip(&keys) {
                    let gap = (slot + camera) % 96 == 0;
                    let start_ms = START_MS + slot * SEGMENT_MS + camera * 200;
                    let row = row(&volume, *key, slot, start_ms, if gap { 290_000 } else { 299_960 });
                    catalogue.closed(&row, [7; 32]);
                    if gap {
                        let from = row.end();
                        catalogue.gap(*key, GapReason::Network, from, from + Duration::from_millis(9960));
                    }
                }
                catalogue.flush(false)?;
            }
            catalogue.flush(true)
        });
        done.map_err(io::Error::other)?;
        let rows = catalogue.stats().segments as f64;
        show(Figure::new("catalogue.added_rows_per_s", rows / took.as_secs_f64(), "rows/s", Target::Shown));
        Ok(())
    }

    /// Opens the log from the beginning.
    fn reopen(&self, name: &str, target: Target, show: &mut dyn FnMut(Figure)) -> io::Result<Arc<Catalogue>> {
        let (took, opened) = self.timed(|| self.open());
        let catalogue = opened?;
        let rows = catalogue.stats().segments as f64;
        show(Figure::new(name, rows / took.as_secs_f64(), "rows/s", target));
        Ok(catalogue)
    }

    /// Writes the log afresh while somebody asks.
    fn compact(&self, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let catalogue = self.open()?;
        let over = AtomicBool::new(false);
        let (took, done, mut during) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let mut random = StdRng::seed_from_u64(self.options.seed);
                let mut times = Vec::new();
                while !over.load(Ordering::Acquire) {
                    times.push(self.ask(&catalogue, &mut random, DAY_US).0);
                }
                times
            });
            let (took, done) = self.timed(|| catalogue.compact());
            over.store(true, Ordering::Release);
            (took, done, asked.join().unwrap_or_default())
        });
        let done = done.map_err(io::Error::other)?.unwrap_or_default();
        let per = |bytes: u64| bytes as f64 / catalogue.stats().segments as f64;
        show(Figure::new("catalogue.compaction_s", took.as_secs_f64(), "s", Target::Shown));
        show(Figure::new(
            "catalogue.log_bytes_per_segment_before",
            per(done.before_bytes),
            "B",
            Target::Shown,
        ));
        show(Figure::new("catalogue.log_bytes_per_segment", per(done.after_bytes), "B", Target::Shown));
        show(quantile("catalogue.range_p99_while_compacting_us", &mut during, 0.99, Target::Shown));
        Ok(())
    }

    /// One random question: the timeline of a random camera in a random range.
    fn ask(&self, catalogue: &Catalogue, random: &mut StdRng, length_us: i64) -> (f64, usize) {
        let camera = random.random_range(0..self.options.cameras.max(1));
        let from = START_MS * 1000 + random.random_range(0..self.slots().max(1)) * SEGMENT_MS * 1000;
        let Ok(key) = self.key(camera) else { return (0.0, 0) };
        let (took, spans) =
            self.timed(|| catalogue.spans(key, UtcMicros(from), UtcMicros(from + length_us)).len());
        (took.as_nanos() as f64 / 1000.0, spans)
    }

    fn ranges(&self, catalogue: &Catalogue, show: &mut dyn FnMut(Figure)) {
        let mut random = StdRng::seed_from_u64(self.options.seed);
        let lengths = [300_000_000, 3_600_000_000, DAY_US];
        let mut times: Vec<f64> = (0..self.options.queries)
            .zip(lengths.into_iter().cycle())
            .map(|(_, length)| self.ask(catalogue, &mut random, length).0)
            .collect();
        show(quantile("catalogue.range_p50_us", &mut times, 0.5, Target::Shown));
        show(quantile("catalogue.range_p99_us", &mut times, 0.99, Target::AtMost(50.0)));
        let mut month: Vec<f64> =
            (0..2000).map(|_| self.ask(catalogue, &mut random, 30 * DAY_US).0).collect();
        show(quantile("catalogue.month_p99_us", &mut month, 0.99, Target::Shown));
        let (took, report) = self.timed(|| catalogue.audit());
        show(Figure::new("catalogue.audit_ms", took.as_secs_f64() * 1e3, "ms", Target::Shown));
        let unexplained = report.unexplained_us as f64 / 1e6;
        show(Figure::new("catalogue.unexplained_s", unexplained, "s", Target::Exactly(0.0)));
    }

    /// Every camera's day, for every day.
    fn strips(&self, catalogue: &Catalogue, show: &mut dyn FnMut(Figure)) {
        let keys = catalogue.keys();
        let mut times: Vec<f64> = (0..i64::from(self.options.days))
            .map(|day| {
                let from = UtcMicros(START_MS * 1000 + day * DAY_US);
                let (took, _) = self.timed(|| catalogue.day_strips(&keys, from, UtcMicros(from.0 + DAY_US)));
                took.as_secs_f64() * 1e3
            })
            .collect();
        show(quantile("catalogue.day_strip_p50_ms", &mut times, 0.5, Target::Shown));
        show(quantile("catalogue.day_strip_ms", &mut times, 1.0, Target::AtMost(20.0)));
    }

    /// Makes the log anew from the names of files.
    fn names(&self, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let root = self.dir.join("volume");
        let volume: VolumeId = "v1".parse().map_err(io::Error::other)?;
        let per_camera = 8640.min(self.options.names);
        for n in 0..self.options.names {
            let slot = i64::from(n % per_camera.max(1));
            let key = self.key(n / per_camera.max(1))?;
            let path = root.join(row(&volume, key, slot, START_MS + slot * SEGMENT_MS, 299_960).path());
            if slot % 288 == 0 {
                self.fs.create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            }
            self.fs.open(&path, OpenOptions::CREATE)?;
        }
        let volumes = [(volume, root)];
        let (took, done) = self.timed(|| {
            Catalogue::rebuild(self.fs.clone(), &self.dir.join("names"), &volumes, self.clock.clone())
        });
        let added: u64 = done.map_err(io::Error::other)?.volumes.values().map(|v| v.added).sum();
        let speed = added as f64 / took.as_secs_f64();
        show(Figure::new("catalogue.names_per_s", speed, "names/s", Target::AtLeast(25_000.0)));
        Ok(())
    }
}

fn key(camera: u32) -> io::Result<StreamKey> {
    let camera = format!("330800000013200{camera:05}").parse().map_err(io::Error::other)?;
    Ok(StreamKey { camera, stream: StreamKind::Main })
}

fn row(volume: &VolumeId, key: StreamKey, slot: i64, start_ms: i64, duration_ms: u32) -> SegmentRow {
    let number = u64::try_from(slot).unwrap_or(0) + 1;
    SegmentRow {
        volume: volume.clone(),
        key,
        number,
        start_ms,
        duration_ms,
        flags: SegmentFlags::VIDEO.with(SegmentFlags::KEY_START),
        bytes: 75_000_000 + number,
        closed: true,
    }
}

/// The value below which this share of the sorted times lies.
fn quantile(name: &str, times: &mut [f64], share: f64, target: Target) -> Figure {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the list")]
    let place = ((last as f64) * share).ceil() as usize;
    let unit = if name.ends_with("_ms") { "ms" } else { "us" };
    Figure::new(name, times.get(place).copied().unwrap_or(f64::NAN), unit, target)
}

/// Resident bytes of this process.
fn resident() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
    Ok(kib << 10)
}
