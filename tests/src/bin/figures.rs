//! `figures`: measures and prints `FIGURE <name> <value> <unit> target <target> ok|short`. `make figures` and
//! `make bench` call it.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks on its terminal"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fengsui_tests::bench;

#[derive(Debug, Parser)]
#[command(name = "figures", version, about = "Measures the figures of Fengsui")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cost of the simulator itself
    Camsim(bench::camsim::Options),
    /// Recording cost beside ffmpeg and the floor
    Recorder(bench::recorder::Options),
    /// The floor alone: receive and write
    Floor {
        /// RTSP address of the simulator
        #[arg(long)]
        address: SocketAddr,
        /// Number of cameras
        #[arg(long)]
        cameras: u32,
        /// Seconds measured
        #[arg(long)]
        seconds: u64,
        /// Milliseconds from sweep to sweep
        #[arg(long, default_value_t = 100)]
        sweep_ms: u64,
        /// Directory of the files written
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Camsim(options) => bench::camsim::run(&options, &mut |figure| println!("{figure}")),
        Command::Recorder(options) => bench::recorder::run(&options, &mut |figure| println!("{figure}")),
        Command::Floor { address, cameras, seconds, sweep_ms, out } => {
            let (time, sweep) = (Duration::from_secs(seconds), Duration::from_millis(sweep_ms));
            bench::floor::run(address, cameras, time, sweep, &out)
                .and_then(|r| serde_json::to_string(&r).map_err(Into::into))
                .map(|r| println!("FLOOR {r}"))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("figures: {e}");
            ExitCode::FAILURE
        }
    }
}
