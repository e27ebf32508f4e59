//! `camsim`: the camera simulator as a program. See `--help` and `CAMSIM.md`.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks on its terminal"
)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use fengsui_tests::camsim::{CamSim, Options, world::Stats};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let every = options.print_stats;
    eprintln!("camsim: making or loading clips for {} cameras", options.cameras);
    let sim = match CamSim::start(options) {
        Ok(sim) => sim,
        Err(e) => {
            eprintln!("camsim: {e}");
            return ExitCode::FAILURE;
        }
    };
    println!("LISTENING rtsp://{}", sim.rtsp_address());
    println!("CONTROL http://{}", sim.control_address());
    if let Err(e) = wait_for_end(&sim, every) {
        eprintln!("camsim: wait for a signal: {e}");
        return ExitCode::FAILURE;
    }
    let stats = sim.stop().stats();
    print_stats(&stats);
    ExitCode::SUCCESS
}

/// Returns on Ctrl-C or SIGTERM; prints statistics meanwhile.
fn wait_for_end(sim: &CamSim, every_s: u32) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut int = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let period =
            if every_s == 0 { Duration::from_secs(86_400) } else { Duration::from_secs(every_s.into()) };
        loop {
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                () = tokio::time::sleep(period) => if every_s > 0 { print_stats(&sim.stats()) },
            }
        }
    })
}

fn print_stats(s: &Stats) {
    println!(
        "STATS uptime {:.1} s, cpu {:.2} s ({:.3} core), media thread {:.2} s, {} playing, {} connections, {} frames, {} dropped, {:.3} GB, latest {} us",
        s.uptime_s,
        s.cpu_s,
        s.cpu_s / s.uptime_s.max(0.001),
        s.media_cpu_s,
        s.playing,
        s.connections,
        s.frames,
        s.drops,
        s.bytes as f64 / 1e9,
        s.lateness_us_max,
    );
}
