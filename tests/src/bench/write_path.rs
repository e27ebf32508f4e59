//! The write path alone: as many files as a city has cameras, written in turn by one thread as a volume's writer does,
//! without cameras, hub or catalogue. Four runs over the same number of bytes:
//!
//! - `floor`: plain `O_DIRECT` writes of 1 MiB, nothing else;
//! - `plain`: our files (reserved room, direct writes of 1 MiB, a sync of the volume every 2 s, truncate, sync, rename),
//!   without hash and framing;
//! - `segments`: whole segments with framing, hashes, commit records, footer and signature, in groups of 1 MiB;
//! - `segments_2mbit`: the same with the smaller groups that a camera of 2 Mbit/s fills in 1.7 s.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::frame::{AccessUnit, StartReason, StreamInfo, Track, VideoCodec, VideoParams};
use fengsui_storage::fs::{Fs, OpenOptions, PageBuf, RealFs};
use fengsui_storage::segment::{EndReason, NodeKey, SegmentHead, SegmentWriter};

use crate::figure::{Figure, Target};
use crate::procstat;

const MIB: usize = 1 << 20;
/// Bytes of one picture: 25 a second make 2 Mbit/s.
const PICTURE_BYTES: usize = 10_000;
/// Pictures of the group that a camera of 2 Mbit/s fills in 1.7 s.
const SMALL_GROUP: usize = 43;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Files written in turn
    #[arg(long, default_value_t = 1400)]
    pub files: u32,
    /// Bytes of each file in MiB; the disk must hold all of them once
    #[arg(long, default_value_t = 8)]
    pub mib: u32,
    /// Directory on the disk measured; default: a new one in the system's place for temporary files
    #[arg(long)]
    pub out: Option<PathBuf>,
}

struct Measured {
    bytes: u64,
    cpu_seconds: f64,
    seconds: f64,
    /// Of the median file.
    extents: f64,
}

impl Measured {
    fn cost(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / 1e9)
    }
}

/// Runs the benchmark; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// The disk is too small or fails, or `filefrag` is missing.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let kept;
    let out = match &options.out {
        Some(path) => path.clone(),
        None => {
            kept = tempfile::tempdir()?;
            kept.path().to_owned()
        }
    };
    let (files, mib) = (options.files, options.mib as usize);
    let mut measure = |name: &str, target, write: &dyn Fn(&Path) -> io::Result<Vec<PathBuf>>| {
        let dir = out.join(name);
        std::fs::create_dir_all(&dir)?;
        let m = measured(&dir, write)?;
        let figure = |what: &str| format!("write_path_{files}_{name}_{what}");
        show(Figure::new(figure("cost"), m.cost(), "cpu-s/GB", target));
        show(Figure::new(figure("rate"), m.bytes as f64 / 1e6 / m.seconds, "MB/s", Target::Shown));
        let one = if name == "floor" { Target::Shown } else { Target::Exactly(1.0) };
        show(Figure::new(figure("extents_median"), m.extents, "extents", one));
        std::fs::remove_dir_all(dir)
    };
    measure("floor", Target::Shown, &|dir| floor(dir, files, mib))?;
    measure("plain", Target::AtMost(0.6), &|dir| plain(dir, files, mib))?;
    let group = MIB / PICTURE_BYTES;
    measure("segments", Target::AtMost(1.2), &|dir| segments(dir, files, mib, group))?;
    measure("segments_2mbit", Target::Shown, &|dir| segments(dir, files, mib, SMALL_GROUP))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark driver measures real time")]
fn measured(dir: &Path, write: &dyn Fn(&Path) -> io::Result<Vec<PathBuf>>) -> io::Result<Measured> {
    // What earlier runs left to be written back is not this run's.
    RealFs.sync_volume(dir)?;
    let (cpu, start) = (procstat::own_cpu_seconds()?, Instant::now());
    let files = write(dir)?;
    let (cpu_seconds, seconds) = (procstat::own_cpu_seconds()? - cpu, start.elapsed().as_secs_f64());
    let bytes = files.iter().map(|f| std::fs::metadata(f).map(|m| m.len())).sum::<io::Result<u64>>()?;
    Ok(Measured { bytes, cpu_seconds, seconds, extents: median_extents(&files)? })
}

/// Syncs a volume as its writer does.
struct Syncs<'a> {
    dir: &'a Path,
    last: Instant,
}

impl<'a> Syncs<'a> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark driver measures real time")]
    fn new(dir: &'a Path) -> Self {
        Self { dir, last: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark driver measures real time")]
    fn when_due(&mut self) -> io::Result<()> {
        if self.last.elapsed() >= limits::VOLUME_SYNC_INTERVAL {
            RealFs.sync_volume(self.dir)?;
            self.last = Instant::now();
        }
        Ok(())
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut x = 88_172_645_463_325_252u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        out.extend_from_slice(&next());
    }
    out.truncate(bytes);
    out
}

fn floor(dir: &Path, files: u32, mib: usize) -> io::Result<Vec<PathBuf>> {
    let mut pages = PageBuf::new();
    pages.extend(&noise(MIB));
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or(0);
    let paths: Vec<PathBuf> = (0..files).map(|n| dir.join(format!("{n}.raw"))).collect();
    let open =
        |p: &PathBuf| std::fs::OpenOptions::new().write(true).create_new(true).custom_flags(direct).open(p);
    let open = paths.iter().map(open).collect::<io::Result<Vec<_>>>()?;
    for at in 0..mib as u64 {
        for file in &open {
            std::os::unix::fs::FileExt::write_all_at(file, pages.as_slice(), at * MIB as u64)?;
        }
    }
    Ok(paths)
}

fn plain(dir: &Path, files: u32, mib: usize) -> io::Result<Vec<PathBuf>> {
    let mut pages = PageBuf::new();
    pages.extend(&noise(MIB));
    let path = |n: u32| dir.join(format!("{n}.open"));
    let open = (0..files)
        .map(|n| {
            let file = RealFs.open(&path(n), OpenOptions::NEW_DIRECT)?;
            file.allocate_keep_size((mib * MIB) as u64)?;
            Ok(file)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut syncs = Syncs::new(dir);
    for at in 0..mib as u64 {
        for file in &open {
            file.write_at(at * MIB as u64, pages.as_slice())?;
            syncs.when_due()?;
        }
    }
    let mut done = Vec::new();
    for (n, file) in (0..files).zip(open) {
        file.truncate((mib * MIB) as u64)?;
        file.sync_all()?;
        let to = dir.join(format!("{n}.raw"));
        RealFs.rename(&path(n), &to)?;
        RealFs.sync_dir(dir)?;
        done.push(to);
    }
    Ok(done)
}

fn info() -> StreamInfo {
    // Parameters of a small H.264 stream; what the pictures hold is of no account here.
    let extra = "0142c01effe1001a6742c01edb02805bf97016a020203020000003002000000641e2c5d401000468ce3c80";
    StreamInfo {
        video: Some(VideoParams {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            extra: Bytes::from(hex::decode(extra).unwrap_or_default()),
            rfc6381: "avc1.42C01E".into(),
        }),
        audio: None,
        start: StartReason::Connected,
    }
}

fn segments(dir: &Path, files: u32, mib: usize, group: usize) -> io::Result<Vec<PathBuf>> {
    let wrong = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    let (key, info) = (Arc::new(NodeKey::from_seed([7; 32])), Arc::new(info()));
    let start = UtcMicros(1_790_000_000_000_000);
    let mut writers = Vec::new();
    for n in 0..files {
        let head = SegmentHead {
            node: "centre".parse().map_err(|_| wrong(&"a node's name"))?,
            volume: "v1".parse().map_err(|_| wrong(&"a volume's name"))?,
            key: fengsui_config::ids::StreamKey {
                camera: format!("33080200001320{n:06}").parse().map_err(|_| wrong(&"a code"))?,
                stream: fengsui_config::ids::StreamKind::Main,
            },
            number: 1,
            start,
            info: info.clone(),
            previous: [0; 32],
        };
        let reserve = (mib * MIB + MIB) as u64;
        let writer = SegmentWriter::create(&RealFs, dir, head, reserve, key.clone());
        writers.push(writer.map_err(|e| wrong(&e))?);
    }
    let data = Bytes::from(noise(PICTURE_BYTES));
    let (mut buf, mut syncs) = (PageBuf::new(), Syncs::new(dir));
    let pictures = mib * MIB / PICTURE_BYTES;
    for first in (0..pictures).step_by(group) {
        for writer in &mut writers {
            for n in first..(first + group).min(pictures) {
                writer.push(picture(n, start, &data));
            }
            while writer.flush(&mut buf).map_err(|e| wrong(&e))?.more {}
            syncs.when_due()?;
        }
    }
    let close = |w: SegmentWriter| {
        let closed = w.close(&RealFs, EndReason::Rotation, &mut buf);
        closed.map(|c| c.path).map_err(|e| wrong(&e))
    };
    writers.into_iter().map(close).collect()
}

/// Picture `n` of 25 a second, a key frame every second.
fn picture(n: usize, start: UtcMicros, data: &Bytes) -> AccessUnit {
    let n = i64::try_from(n).unwrap_or(0);
    let utc = start + Duration::from_micros(u64::try_from(n).unwrap_or(0) * 40_000);
    AccessUnit {
        track: Track::Video,
        key: n % 25 == 0,
        pts: n * 3600,
        utc,
        camera_utc: None,
        arrived: utc,
        lost_before: 0,
        data: data.clone(),
    }
}

/// Median of the files' extents, by `filefrag`.
fn median_extents(files: &[PathBuf]) -> io::Result<f64> {
    let mut extents: Vec<u32> = Vec::new();
    for some in files.chunks(200) {
        let output = Command::new("filefrag")
            .args(some)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| io::Error::new(e.kind(), format!("run filefrag (package e2fsprogs): {e}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // "<path>: 1 extent found"
        extents.extend(
            text.lines().filter_map(|l| l.rsplit_once(": ")?.1.split(' ').next()?.parse::<u32>().ok()),
        );
    }
    if extents.len() != files.len() {
        return Err(io::Error::other(format!("filefrag told of {} of {} files", extents.len(), files.len())));
    }
    extents.sort_unstable();
    Ok(extents.get(extents.len() / 2).copied().map_or(f64::NAN, f64::from))
}
