//! The recorder beside its peers: one simulator, and on its streams in turn the bare floor, `ffmpeg -c copy` (one
//! process a camera) and Fengsui. Costs are CPU seconds of all threads of the recording processes per 10^9 bytes
//! that the simulator sent them in the measured time; the simulator's own CPU is shown apart.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::child::{Running, sister};
use super::floor::FloorResult;
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Cameras that Fengsui and the floor record
    #[arg(long, default_value_t = 400)]
    pub cameras: u32,
    /// Cameras that ffmpeg records, one process each (0: leave ffmpeg out)
    #[arg(long, default_value_t = 40)]
    pub ffmpeg: u32,
    /// Seconds measured of each recorder
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Directory for footage and logs; default: a new one in the system's place for temporary files
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Directory of the simulator's clips
    #[arg(long, default_value = ".cache/camsim")]
    pub cache: PathBuf,
}

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
}

struct Bench {
    simulator: Running,
    control: String,
    rtsp: SocketAddr,
    out: PathBuf,
}

/// Runs the benchmark; hands each figure to `show` as soon as it is known.
///
/// # Errors
/// A program is missing, ends early, or records nothing.
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
    let bench = start_simulator(options, &out)?;
    let n = options.cameras;
    let time = Duration::from_secs(options.seconds);

    let floor = bench.floor(n, time)?;
    show(Figure::new(format!("floor_{n}_cost"), floor.cost(), "cpu-s/GB", Target::Shown));
    let ffmpeg = if options.ffmpeg > 0 { Some(bench.ffmpeg(options.ffmpeg, time)?) } else { None };
    if let Some(f) = &ffmpeg {
        show(Figure::new(format!("ffmpeg_{}_cost", options.ffmpeg), f.cost(), "cpu-s/GB", Target::Shown));
        let each = f.rss_bytes as f64 / f64::from(1 << 20) / f64::from(options.ffmpeg);
        show(Figure::new(format!("ffmpeg_{}_rss_per_camera", options.ffmpeg), each, "MiB", Target::Shown));
    }
    let ours = bench.fengsui(n, time)?;
    show(Figure::new(format!("fengsui_{n}_cost"), ours.cost(), "cpu-s/GB", Target::Shown));
    let rss = ours.rss_bytes as f64 / f64::from(1 << 20) / f64::from(n);
    show(Figure::new(format!("fengsui_{n}_rss_per_camera"), rss, "MiB", Target::Shown));
    show(Figure::new(format!("fengsui_{n}_core"), ours.cpu_seconds / ours.seconds, "core", Target::Shown));
    show(Figure::new(format!("fengsui_{n}_against_floor"), ours.cost() / floor.cost(), "x", Target::Shown));
    if let Some(f) = &ffmpeg {
        show(Figure::new(format!("ffmpeg_against_fengsui_{n}"), f.cost() / ours.cost(), "x", Target::Shown));
    }
    let simulator = ours.simulator_cpu_seconds / ours.seconds;
    show(Figure::new(format!("camsim_{n}_core"), simulator, "core", Target::Shown));
    Ok(())
}

fn start_simulator(options: &Options, out: &Path) -> io::Result<Bench> {
    let arguments = [
        "--cameras",
        &options.cameras.max(options.ffmpeg).to_string(),
        "--clips",
        "2",
        "--rtsp",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--cache",
        &options.cache.to_string_lossy(),
    ]
    .map(str::to_owned);
    let simulator = Running::start(&sister("camsim")?, &arguments, &out.join("camsim.log"))?;
    let rtsp = simulator.line_after("LISTENING rtsp://", Duration::from_secs(300))?;
    let control = simulator.line_after("CONTROL ", Duration::from_secs(10))?;
    let rtsp = rtsp.parse().map_err(|e| io::Error::other(format!("'{rtsp}': {e}")))?;
    Ok(Bench { simulator, control, rtsp, out: out.to_owned() })
}

impl Bench {
    fn sent_bytes(&self) -> io::Result<u64> {
        let stats = get_json(&format!("{}/stats", self.control))?;
        stats
            .get("bytes")
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| io::Error::other("no 'bytes' in /stats"))
    }

    fn floor(&self, cameras: u32, time: Duration) -> io::Result<Measured> {
        let out = self.out.join("floor");
        let arguments = [
            "floor".to_owned(),
            "--address".to_owned(),
            self.rtsp.to_string(),
            "--cameras".to_owned(),
            cameras.to_string(),
            "--seconds".to_owned(),
            time.as_secs().to_string(),
            "--out".to_owned(),
            out.to_string_lossy().into_owned(),
        ];
        let simulator_before = self.simulator.usage()?.cpu_seconds;
        let floor = Running::start(&std::env::current_exe()?, &arguments, &self.out.join("floor.log"))?;
        let line = floor.line_after("FLOOR ", time + Duration::from_secs(120))?;
        let result: FloorResult = serde_json::from_str(&line).map_err(io::Error::other)?;
        std::fs::remove_dir_all(&out)?;
        Ok(Measured {
            bytes: result.bytes,
            cpu_seconds: result.cpu_seconds,
            seconds: result.seconds,
            rss_bytes: 0,
            simulator_cpu_seconds: self.simulator.usage()?.cpu_seconds - simulator_before,
        })
    }

    fn ffmpeg(&self, cameras: u32, time: Duration) -> io::Result<Measured> {
        let out = self.out.join("ffmpeg");
        std::fs::create_dir_all(&out)?;
        let mut peers = Vec::new();
        for n in 1..=cameras {
            let arguments = ffmpeg_arguments(&format!("rtsp://{}/cam/{n}/main", self.rtsp), &out, n);
            peers.push(Running::start(Path::new("ffmpeg"), &arguments, &out.join(format!("{n}.log")))?);
        }
        wait_until("every ffmpeg writes", Duration::from_secs(120), || {
            Ok((1..=cameras).all(|n| file_size(&out.join(format!("{n}_000.mp4"))) > 0))
        })?;
        let measured = self.measure(&peers, time)?;
        for peer in peers {
            peer.stop(Duration::from_secs(5));
        }
        std::fs::remove_dir_all(&out)?;
        Ok(measured)
    }

    fn fengsui(&self, cameras: u32, time: Duration) -> io::Result<Measured> {
        let out = self.out.join("fengsui");
        std::fs::create_dir_all(&out)?;
        let config = out.join("fengsui.toml");
        std::fs::write(&config, fengsui_config(self.rtsp, cameras))?;
        let arguments = ["run".to_owned(), "--config".to_owned(), config.to_string_lossy().into_owned()];
        let node = Running::start(&sister("fengsui")?, &arguments, &self.out.join("fengsui.log"))?;
        let address = node.line_after("LISTENING ", Duration::from_secs(60))?;
        wait_until("every camera is recorded", Duration::from_secs(180), || {
            Ok(metric(&address, "fengsui_cameras_recording")? >= f64::from(cameras))
        })?;
        // Starting costs are not steady costs: one whole flush round passes before the measured time.
        std::thread::sleep(Duration::from_secs(10));
        let peers = [node];
        let measured = self.measure(&peers, time)?;
        for node in peers {
            if !node.stop(Duration::from_secs(60)) {
                return Err(io::Error::other("fengsui did not stop within 60 s"));
            }
        }
        std::fs::remove_dir_all(&out)?;
        Ok(measured)
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark driver measures real time")]
    fn measure(&self, recorders: &[Running], time: Duration) -> io::Result<Measured> {
        let cpu = || recorders.iter().map(|r| r.usage().map(|u| u.cpu_seconds)).sum::<io::Result<f64>>();
        let (sim_before, cpu_before, bytes_before) =
            (self.simulator.usage()?.cpu_seconds, cpu()?, self.sent_bytes()?);
        let start = Instant::now();
        std::thread::sleep(time);
        let (sim_after, cpu_after, bytes_after) =
            (self.simulator.usage()?.cpu_seconds, cpu()?, self.sent_bytes()?);
        Ok(Measured {
            bytes: bytes_after - bytes_before,
            cpu_seconds: cpu_after - cpu_before,
            seconds: start.elapsed().as_secs_f64(),
            rss_bytes: recorders.iter().map(|r| r.usage().map(|u| u.rss_bytes)).sum::<io::Result<u64>>()?,
            simulator_cpu_seconds: sim_after - sim_before,
        })
    }
}

fn ffmpeg_arguments(url: &str, out: &Path, n: u32) -> Vec<String> {
    let target = out.join(format!("{n}_%03d.mp4")).to_string_lossy().into_owned();
    [
        "-nostdin",
        "-v",
        "error",
        "-rtsp_transport",
        "tcp",
        "-i",
        url,
        "-c",
        "copy",
        "-f",
        "segment",
        "-segment_time",
    ]
    .into_iter()
    .chain(["300", "-segment_format_options", "movflags=frag_keyframe+empty_moov", &target])
    .map(str::to_owned)
    .collect()
}

/// A configuration that records `cameras` main streams of a simulator at `rtsp`, with data beside the file.
#[must_use]
pub fn fengsui_config(rtsp: SocketAddr, cameras: u32) -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "[node]\nid = \"bench\"\ndata = \"data\"\n[web]\nlisten = [\"127.0.0.1:0\"]\ntls_listen = []\n\
         [[storage.volume]]\nid = \"v1\"\npath = \"footage\"\nreserve_mib = 256\n\
         [city]\ncode = \"33080000002000000001\"\nname = \"Bench\"\n\
         [[sub_centre]]\ncode = \"33080200002000000001\"\nname = \"S\"\n\
         [[station]]\ncode = \"33080201002160000001\"\nname = \"P\"\nsub_centre = \"33080200002000000001\"\n\
         [[site]]\ncode = \"33080201002150000001\"\nname = \"J\"\nstation = \"33080201002160000001\"\nkind = \"road\"\n",
    );
    for n in 1..=cameras {
        // Writing to a String cannot fail.
        let _ok = write!(
            text,
            "[[camera]]\ncode = \"330802010013200{n:05}\"\nname = \"camera {n}\"\nsite = \"33080201002150000001\"\n\
             main = \"rtsp://{rtsp}/cam/{n}/main\"\nsub = \"rtsp://{rtsp}/cam/{n}/sub\"\n"
        );
    }
    text
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let step = Duration::from_millis(200);
    let mut left = patience;
    while !holds()? {
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not within {patience:?}: {what}")));
        }
        std::thread::sleep(step);
        left = left.saturating_sub(step);
    }
    Ok(())
}

fn get(url: &str) -> io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(async { reqwest::get(url).await?.error_for_status()?.text().await })
        .map_err(|e| io::Error::other(format!("{url}: {e}")))
}

fn get_json(url: &str) -> io::Result<serde_json::Value> {
    serde_json::from_str(&get(url)?).map_err(io::Error::other)
}

/// Value of the metric `name` without labels at the node at `address`.
fn metric(address: &str, name: &str) -> io::Result<f64> {
    let text = get(&format!("{}/metrics", address.trim_end_matches('/')))?;
    text.lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("no metric {name}")))
}
