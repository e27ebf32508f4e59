//! Listings over a day with and without the derived facets of closed segments, and what the store of them costs.
//!
//! One camera's day is 288 segments of five minutes with a fragment every two seconds, all in the page cache: what a
//! listing costs the program, not what a disk's arm does. A disk asks for a seek for most of the reads counted here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use fengsui_config::clock::{Clock, SystemClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind, VolumeId};
use fengsui_config::limits;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::facets::{
    FacetHome as _, FacetState, Facets, FillOptions, SledHome, period, place, seal,
};
use fengsui_storage::frame::{AccessUnit, StartReason, StreamInfo, Track, VideoCodec, VideoParams};
use fengsui_storage::fs::{DirEntry, Fs, FsFile, Metadata, OpenOptions, PageBuf, RealFs, Space};
use fengsui_storage::playback::Footage;
use fengsui_storage::scrub::{Reporter, Surroundings};
use fengsui_storage::segment::{EndReason, NodeKey, SegmentHead, SegmentReader, SegmentRow, SegmentWriter};

use crate::figure::{Figure, Target};

/// 2026-01-01T00:00:00Z.
const START_US: i64 = 1_767_225_600_000_000;
const SEGMENT_US: i64 = 300_000_000;
/// Pictures a second: few, so that a day of them is soon made. A listing sees fragments, not pictures.
const FPS: i64 = 2;

/// Options of `figures facets`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Segments of the listing; 288 are a day
    #[arg(long, default_value_t = 288)]
    pub segments: u32,
    /// Rows put one by one to measure memory and room; 0 leaves that out
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: u32,
    /// Where to put everything; a temporary directory when not given
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

/// Counts files opened and reads.
#[derive(Debug, Default)]
struct Counted {
    opens: AtomicU64,
    reads: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountedFile(Box<dyn FsFile>, Arc<AtomicU64>);

impl Fs for Counted {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn FsFile>> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(CountedFile(RealFs.open(path, options)?, self.reads.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFs.create_dir_all(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealFs.read_dir(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        RealFs.metadata(path)
    }
    fn sync_volume(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_volume(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealFs.space(path)
    }
}

impl FsFile for CountedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_at(offset, out)
    }
    fn allocate_keep_size(&self, len: u64) -> io::Result<()> {
        self.0.allocate_keep_size(len)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

struct Nothing;

impl Surroundings for Nothing {}

impl Reporter for Nothing {
    fn report(&self, _: &'static str, _: serde_json::Value) -> Result<(), String> {
        Ok(())
    }
}

/// Measures and prints.
///
/// # Errors
/// When the directory cannot be used, storage fails, or listings differ.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let held = tempfile::tempdir()?;
    let dir = options.directory.clone().unwrap_or_else(|| held.path().to_path_buf());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let fs = Arc::new(Counted::default());
    let volumes: Vec<(VolumeId, PathBuf)> = vec![("v1".parse().map_err(io::Error::other)?, dir.join("v1"))];
    let catalogue = Catalogue::open(fs.clone(), &dir.join("catalogue"), clock.clone()).map_err(other)?;
    let rows = footage(options, &*fs, &dir.join("v1"), &catalogue)?;
    let bench = Bench { options, dir, clock, fs, volumes, catalogue };
    bench.listings(show)?;
    match rows.first() {
        Some(row) if options.rows > 0 => bench.store(row, show),
        _ => Ok(()),
    }
}

fn other(e: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(e)
}

struct Bench<'a> {
    options: &'a Options,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    fs: Arc<Counted>,
    volumes: Vec<(VolumeId, PathBuf)>,
    catalogue: Arc<Catalogue>,
}

/// One whole listing: seconds, files opened, reads, and the fragments found.
struct Listing {
    seconds: f64,
    opens: f64,
    reads: f64,
    found: Vec<fengsui_storage::playback::HlsSegment>,
}

impl Bench<'_> {
    fn footage(&self) -> Footage {
        Footage::new(self.fs.clone(), self.catalogue.clone(), self.volumes.clone())
    }

    /// The playlist of the whole time, by a process that has nothing open yet.
    fn list(&self, footage: &Footage) -> io::Result<Listing> {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
        let (opens, reads) = (count(&self.fs.opens), count(&self.fs.reads));
        let to = START_US + i64::from(self.options.segments) * SEGMENT_US;
        let start = self.clock.mono();
        let found = footage.hls(key()?, UtcMicros(START_US), UtcMicros(to)).map_err(other)?;
        let seconds = self.clock.mono().since(start).as_secs_f64();
        let (opens, reads) = (count(&self.fs.opens) - opens, count(&self.fs.reads) - reads);
        Ok(Listing { seconds, opens, reads, found })
    }

    /// The best of five, each with fresh readers.
    fn best(&self, facets: Option<&Arc<Facets>>) -> io::Result<Listing> {
        let mut best: Option<Listing> = None;
        for _ in 0..5 {
            let footage = self.footage();
            let footage = match facets {
                Some(f) => footage.with_facets(f.clone()),
                None => footage,
            };
            let one = self.list(&footage)?;
            if best.as_ref().is_none_or(|b| one.seconds < b.seconds) {
                best = Some(one);
            }
        }
        best.ok_or_else(|| io::Error::other("nothing was listed"))
    }

    fn listings(&self, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let without = self.best(None)?;
        let figure =
            |name: &str, value: f64, unit, target| Figure::new(format!("facets.{name}"), value, unit, target);
        show(figure("listing_24h_ms_without", without.seconds * 1e3, "ms", Target::Shown));
        show(figure("listing_24h_file_opens_without", without.opens, "opens", Target::Shown));
        show(figure("listing_24h_file_reads_without", without.reads, "reads", Target::Shown));
        let facets = Facets::new(Box::new(SledHome::new(Arc::new(RealFs), self.dir.join("facets"))));
        let start = self.clock.mono();
        facets
            .start(FillOptions {
                fs: self.fs.clone(),
                clock: self.clock.clone(),
                catalogue: self.catalogue.clone(),
                volumes: self.volumes.clone(),
                data: self.dir.clone(),
                surroundings: Arc::new(Nothing),
                reporter: Arc::new(Nothing),
            })
            .map_err(other)?;
        while facets.status().state != FacetState::Ready {
            if self.clock.mono().since(start) > Duration::from_secs(120) {
                return Err(io::Error::other(format!("not filled: {:?}", facets.status())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let filled = facets.status().rows as f64 / self.clock.mono().since(start).as_secs_f64();
        show(figure("filled_per_s", filled, "segments/s", Target::Shown));
        let with = self.best(Some(&facets))?;
        show(figure("listing_24h_ms", with.seconds * 1e3, "ms", Target::Shown));
        show(figure("listing_24h_file_opens", with.opens, "opens", Target::AtMost(0.0)));
        show(figure("listing_24h_file_reads", with.reads, "reads", Target::AtMost(0.0)));
        show(figure("listing_ratio", with.seconds / without.seconds, "x", Target::AtMost(0.5)));
        facets.stop();
        if with.found != without.found {
            return Err(io::Error::other("listings with and without facets differ"));
        }
        Ok(())
    }

    /// Rows of many segments, one by one, into a store of its own.
    fn store(&self, row: &SegmentRow, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
        let file = self.dir.join("v1").join(row.path());
        let reader = SegmentReader::open(&RealFs, &file, None).map_err(other)?;
        let init = "0".repeat(24);
        let facet = fengsui_storage::facets::Facet {
            info: reader.info().clone(),
            init,
            fragments: reader.fragments().to_vec(),
        };
        let sealed = seal(row, &facet).ok_or_else(|| io::Error::other("a row that cannot be made"))?;
        show(Figure::new("facets.row_bytes", sealed.len() as f64, "B", Target::Shown));
        let home = SledHome::new(Arc::new(RealFs), self.dir.join("store"));
        let store = home.open().map_err(other)?;
        let (before, start) = (resident()?, self.clock.mono());
        // A day of a city of 1,400 cameras has 400,000 rows.
        for n in 0..self.options.rows {
            let one = SegmentRow { number: u64::from(n % 400_000), ..row.clone() };
            let day = period(row.start_ms) + i64::from(n / 400_000);
            store.put(day, &place(&one), &sealed).map_err(other)?;
        }
        let million = f64::from(self.options.rows) / 1e6;
        let took = self.clock.mono().since(start).as_secs_f64();
        let grown = resident()?.saturating_sub(before) as f64;
        show(Figure::new("facets.puts_per_s", f64::from(self.options.rows) / took, "rows/s", Target::Shown));
        let rss = grown / million / 1e6;
        show(Figure::new("facets.rss_per_million_rows", rss, "MB", Target::AtMost(400.0)));
        let size = |when: &str| -> io::Result<Figure> {
            let bytes = store.size().map_err(other)? as f64;
            let each = bytes / f64::from(self.options.rows);
            Ok(Figure::new(format!("facets.disk_bytes_per_row{when}"), each, "B", Target::Shown))
        };
        show(size("")?);
        for day in store.periods().map_err(other)? {
            store.drop_period(day).map_err(other)?;
        }
        std::thread::sleep(limits::FACET_FLUSH_INTERVAL * 2);
        show(size("_after_drop")?);
        Ok(())
    }
}

fn key() -> io::Result<StreamKey> {
    let camera = "33080000001320000001".parse().map_err(io::Error::other)?;
    Ok(StreamKey { camera, stream: StreamKind::Main })
}

/// Real segments, one after the other.
fn footage(
    options: &Options,
    fs: &dyn Fs,
    root: &Path,
    catalogue: &Catalogue,
) -> io::Result<Vec<SegmentRow>> {
    let extra =
        b"\x01\x42\xc0\x0a\xff\xe1\x00\x09\x67\x42\xc0\x0a\xdb\x04\x24\x20\x90\x01\x00\x04\x68\xce\x0f\xc8";
    let video = VideoParams {
        codec: VideoCodec::H264,
        width: 64,
        height: 64,
        extra: Bytes::from_static(extra),
        rfc6381: "avc1.42C00A".into(),
    };
    let info = Arc::new(StreamInfo { video: Some(video), audio: None, start: StartReason::Rotation });
    let signer = Arc::new(NodeKey::from_seed([7; 32]));
    let (mut previous, mut rows, mut buf) = ([0; 32], Vec::new(), PageBuf::new());
    for n in 0..i64::from(options.segments) {
        let start = START_US + n * SEGMENT_US;
        let head = SegmentHead {
            node: "centre".parse().map_err(io::Error::other)?,
            volume: "v1".parse().map_err(io::Error::other)?,
            key: key()?,
            number: u64::try_from(n).unwrap_or(0) + 1,
            start: UtcMicros(start),
            info: info.clone(),
            previous,
        };
        let mut w = SegmentWriter::create(fs, root, head, 0, signer.clone()).map_err(other)?;
        for i in 0..FPS * 300 {
            let unit = picture(start, i);
            let arrived = unit.arrived;
            w.push(unit);
            while w.due(arrived) {
                w.flush(&mut buf).map_err(other)?;
            }
        }
        let closed = w.close(fs, EndReason::Rotation, &mut buf).map_err(other)?;
        previous = closed.hash;
        catalogue.closed(&closed.row, closed.hash);
        rows.push(closed.row);
    }
    Ok(rows)
}

/// Sizes and times differ a little, as they do in life: a row must not be shorter than real ones.
fn picture(start: i64, i: i64) -> AccessUnit {
    let wobble = i.wrapping_mul(7919) % 997;
    let utc = UtcMicros(start + i * 1_000_000 / FPS + wobble);
    AccessUnit {
        track: Track::Video,
        key: i % (FPS * 2) == 0,
        pts: i * 90_000 / FPS + wobble / 12,
        utc,
        camera_utc: Some(UtcMicros(utc.0 + 250_000 - wobble)),
        arrived: utc,
        lost_before: 0,
        data: Bytes::from(vec![1; usize::try_from(150 + wobble).unwrap_or(150)]),
    }
}

/// Resident bytes of this process.
fn resident() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
    Ok(kib << 10)
}
