//! What an archive costs: storing with proof beside a plain copy, and what one seek fetches.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use fengsui_config::archive::{ArchiveChoice, ArchiveConfig, ArchivePlace};
use fengsui_config::clock::{Clock, MonoMicros, SystemClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_storage::archive::{Archive, ArchiveOptions, DirectoryStore, LocalFootage, Note, Wanted};
use fengsui_storage::frame::{AccessUnit, StartReason, StreamInfo, Track, VideoCodec, VideoParams};
use fengsui_storage::fs::{PageBuf, RealFs};
use fengsui_storage::segment::{EndReason, NodeKey, SegmentHead, SegmentName, SegmentRow, SegmentWriter};
use serde_json::Value;

use crate::figure::{Figure, Target};
use crate::harness::config::camera_id;

/// What to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Segments stored
    #[arg(long, default_value_t = 4)]
    pub segments: u64,
    /// Seconds of 2 Mbit/s in each
    #[arg(long, default_value_t = 300)]
    pub seconds: u64,
    /// Directory of volume and archive; a temporary one by default
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

const FPS: u64 = 25;

fn other(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}

fn key() -> StreamKey {
    StreamKey { camera: camera_id(1), stream: StreamKind::Main }
}

fn info() -> Arc<StreamInfo> {
    let extra =
        b"\x01\x42\xc0\x0a\xff\xe1\x00\x09\x67\x42\xc0\x0a\xdb\x04\x24\x20\x90\x01\x00\x04\x68\xce\x0f\xc8";
    Arc::new(StreamInfo {
        video: Some(VideoParams {
            codec: VideoCodec::H264,
            width: 64,
            height: 64,
            extra: Bytes::from_static(extra),
            rfc6381: "avc1.42C00A".into(),
        }),
        audio: None,
        start: StartReason::Connected,
    })
}

/// Writes one closed segment that ends at `end`.
fn segment(root: &Path, number: u64, seconds: u64, end: UtcMicros) -> io::Result<SegmentRow> {
    let start = end - Duration::from_secs(seconds);
    let head = SegmentHead {
        node: "centre".parse().map_err(other)?,
        volume: "v1".parse().map_err(other)?,
        key: key(),
        number,
        start,
        info: info(),
        previous: [0; 32],
    };
    let signer = Arc::new(NodeKey::from_seed([7; 32]));
    let mut writer = SegmentWriter::create(&RealFs, root, head, 0, signer).map_err(other)?;
    let mut room = PageBuf::new();
    let mut noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for n in 0..seconds * FPS {
        let utc = start + Duration::from_micros(n * 1_000_000 / FPS);
        // 2 Mbit/s: a large key picture each second, small ones between.
        let length = if n % FPS == 0 { 58_000 } else { 8_000 };
        let data: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise.to_le_bytes()
        })
        .take(length / 8)
        .flatten()
        .collect();
        writer.push(AccessUnit {
            track: Track::Video,
            key: n % FPS == 0,
            pts: (n * 90_000 / FPS) as i64,
            utc,
            camera_utc: None,
            arrived: utc,
            lost_before: 0,
            data: data.into(),
        });
        while writer.due(utc) {
            writer.flush(&mut room).map_err(other)?;
        }
    }
    let closed =
        writer.close(&RealFs, EndReason::Rotation, &mut room).map_err(|e| other(format!("{e:?}")))?;
    let name = closed.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name: SegmentName = name.parse().map_err(other)?;
    let (duration_ms, flags) = name.closed.unwrap_or_default();
    let bytes = std::fs::metadata(&closed.path)?.len();
    let start_ms = start.millis();
    let volume = "v1".parse().map_err(other)?;
    Ok(SegmentRow { volume, key: key(), number, start_ms, duration_ms, flags, bytes, closed: true })
}

struct Local(Vec<SegmentRow>);

impl LocalFootage for Local {
    fn keys(&self) -> Vec<StreamKey> {
        vec![key()]
    }
    fn segments(&self, _: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.0.iter().filter(|r| r.start() <= to && r.end() > from).cloned().collect()
    }
}

struct All;

impl Wanted for All {
    fn takes(&self, _: StreamKey) -> bool {
        true
    }
    fn held(&self, _: StreamKey, _: UtcMicros, _: UtcMicros) -> bool {
        false
    }
    fn generation(&self) -> u64 {
        0
    }
}

impl Note for All {
    fn note(&self, _: &'static str, _: Value) {}
}

/// A plain copy of the same files, each synced, as `cp` and `sync` would make it.
fn plain_copy(clock: &SystemClock, from: &Path, rows: &[SegmentRow], to: &Path) -> io::Result<Duration> {
    let begin = clock.mono();
    for row in rows {
        let target = to.join(row.name().to_string());
        std::fs::copy(from.join(row.path()), &target)?;
        std::fs::File::open(&target)?.sync_all()?;
    }
    Ok(clock.mono().since(begin))
}

/// Measures, and hands each figure to `show`.
///
/// # Errors
/// When a file cannot be written or the archive fails.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = options.directory.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let (volume, cold, plain) = (root.join("v1"), root.join("cold"), root.join("plain"));
    for directory in [&volume, &cold, &plain] {
        std::fs::create_dir_all(directory)?;
    }
    let clock = Arc::new(SystemClock::new());
    let now = clock.utc();
    let mut rows = Vec::new();
    for n in 1..=options.segments {
        let ago = Duration::from_secs((options.segments - n + 1) * options.seconds + 60);
        rows.push(segment(&volume, n, options.seconds, now - ago)?);
    }
    let bytes: u64 = rows.iter().map(|r| r.bytes).sum();
    let archive = open(&root, &volume, &cold, &rows, &clock)?;
    let copied = plain_copy(&clock, &volume, &rows, &plain)?;
    let begin: MonoMicros = clock.mono();
    while archive.step().map_err(other)? > 0 {}
    let stored = clock.mono().since(begin);
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64().max(1e-9) / f64::from(1 << 20);
    show(Figure::new("archive_plain_copy", rate(copied), "MiB/s", Target::Shown));
    show(Figure::new("archive_store_and_prove", rate(stored), "MiB/s", Target::Shown));
    show(Figure::new("archive_store_to_copy", rate(stored) / rate(copied), "ratio", Target::AtLeast(0.2)));
    let counters = archive.status().counters;
    let share = 100.0 * counters.verified as f64 / counters.stored.max(1) as f64;
    show(Figure::new("archive_verified_share", share, "percent", Target::Exactly(100.0)));
    let Some(row) = rows.first() else { return Ok(()) };
    std::fs::remove_file(volume.join(row.path()))?;
    let reader = archive.reader(row).map_err(other)?;
    let middle = u32::try_from(reader.fragments().len() / 2).unwrap_or(0);
    reader.read_fragment(middle).map_err(other)?;
    let fetched = archive.read_stats().fetched_bytes;
    show(Figure::new("archive_seek_fetched", fetched as f64 / 1024.0, "KiB", Target::Shown));
    let part = 100.0 * fetched as f64 / row.bytes as f64;
    show(Figure::new("archive_seek_share", part, "percent", Target::AtMost(3.0)));
    show(Figure::new(
        "archive_seek_requests",
        archive.read_stats().requests as f64,
        "requests",
        Target::AtMost(6.0),
    ));
    Ok(())
}

fn open(
    root: &Path,
    volume: &Path,
    cold: &Path,
    rows: &[SegmentRow],
    clock: &Arc<SystemClock>,
) -> io::Result<Arc<Archive>> {
    let config = ArchiveConfig {
        id: "cold".parse().map_err(other)?,
        place: ArchivePlace::Folder(cold.to_path_buf()),
        choice: ArchiveChoice::default(),
        after: Duration::ZERO,
        max: None,
        rate_bytes: None,
        uploads: 2,
        verify_percent: 100,
        cache_bytes: 64 << 20,
        lock: None,
    };
    Archive::open(ArchiveOptions {
        fs: Arc::new(RealFs),
        clock: clock.clone(),
        store: Arc::new(DirectoryStore::new(Arc::new(RealFs), cold.to_path_buf())),
        config,
        footage: Arc::new(Local(rows.to_vec())),
        volumes: vec![("v1".parse().map_err(other)?, volume.to_path_buf())],
        wanted: Arc::new(All),
        note: Arc::new(All),
        dir: root.join("index"),
        node: "centre".parse().map_err(other)?,
    })
    .map_err(other)
}
