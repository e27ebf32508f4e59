//! The simulator's own cost: all main streams of a city drained by one reader, CPU of the simulator alone. It has to
//! be cheap, or every other figure measures the simulator.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::child::{Running, sister};
use crate::camsim::world::Stats;
use crate::figure::{Figure, Target};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Cameras whose main streams are drained
    #[arg(long, default_value_t = 1400)]
    pub cameras: u32,
    /// Seconds measured
    #[arg(long, default_value_t = 20)]
    pub seconds: u32,
    /// Directory of the simulator's clips
    #[arg(long, default_value = ".cache/camsim")]
    pub cache: PathBuf,
}

/// Core that 1,400 main streams of 2 Mbit/s and 25 pictures a second may take.
const CORE_MAX: f64 = 0.6;

/// Runs the measurement; hands each figure to `show`.
///
/// # Errors
/// A program is missing or ends early.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let logs = tempfile::tempdir()?;
    let (cameras, cache) = (options.cameras.to_string(), options.cache.to_string_lossy().into_owned());
    let arguments = ["-n", &cameras, "--rtsp", "127.0.0.1:0", "--control", "127.0.0.1:0", "--cache", &cache];
    let simulator =
        Running::start(&sister("camsim")?, &arguments.map(str::to_owned), &logs.path().join("camsim.log"))?;
    let rtsp = simulator.line_after("LISTENING rtsp://", Duration::from_secs(300))?;
    let control = simulator.line_after("CONTROL ", Duration::from_secs(10))?;
    let seconds = options.seconds.to_string();
    // The reader stays a little longer than the measurement, so that the streams run at both looks.
    let arguments = ["-n", &cameras, "--rtsp", &rtsp, "--seconds", &(options.seconds + 2).to_string()];
    let reader = Running::start(
        &sister("camdrain")?,
        &arguments.map(str::to_owned),
        &logs.path().join("camdrain.log"),
    )?;
    reader.line_after("OPEN ", Duration::from_secs(60))?;
    let before = stats(&control)?;
    std::thread::sleep(Duration::from_secs(options.seconds.into()));
    let after = stats(&control)?;
    let passed = after.uptime_s - before.uptime_s;
    let name = |what: &str| format!("camsim_{cameras}_main_{what}");
    show(Figure::new(name("core"), (after.cpu_s - before.cpu_s) / passed, "core", Target::AtMost(CORE_MAX)));
    let rate = (after.bytes - before.bytes) as f64 * 8.0 / passed / f64::from(options.cameras) / 1e6;
    show(Figure::new(name("rate_per_camera"), rate, "Mbit/s", Target::Shown));
    let drops = (after.drops - before.drops) as f64;
    show(Figure::new(name(&format!("drops_in_{seconds}_s")), drops, "pictures", Target::Shown));
    drop(reader);
    simulator.stop(Duration::from_secs(5));
    Ok(())
}

fn stats(control: &str) -> io::Result<Stats> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("{control}/stats");
    runtime
        .block_on(async {
            reqwest::Client::builder().no_proxy().build()?.get(url).send().await?.json().await
        })
        .map_err(io::Error::other)
}
