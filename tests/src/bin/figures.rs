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
use fengsui_tests::figure::{Figure, Target};
use fengsui_tests::harness::Outcome;
use fengsui_tests::scenario::{kill, power, record};

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
    /// The catalogue of a whole city: 12.1 million segments
    Catalogue(bench::catalogue::Options),
    /// Storing in an archive beside a plain copy, and what a seek fetches
    Archive(bench::archive::Options),
    /// Listings over a day with and without derived facets, and what their store costs
    Facets(bench::facets::Options),
    /// Recording cost beside ffmpeg and the floor
    Recorder(bench::recorder::Options),
    /// Time until a whole city is recorded after the start of a node, and how its devices are asked
    ColdStart(bench::start::Options),
    /// The same after all cameras were cut off for a while
    Reconnect(bench::start::Options),
    /// The parser of interleaved sessions beside a bare copy
    Wire(bench::wire::Options),
    /// A volume that takes nothing for a while: what is lost is listed, and memory is bounded
    Stall(bench::stall::Options),
    /// Latency of watched streams while a city is recorded
    Latency(bench::latency::Options),
    /// Many viewers by TLS, and bad ones
    FanOut(bench::fan_out::Options),
    /// Memory of a node over time
    Memory(bench::memory::Options),
    /// Search over a city of nodes of which two are dead
    Search(bench::search::Options),
    /// The way of events to the centre: throughput, cost, catching up, age of the view, alarms
    Relay(bench::relay::Options),
    /// The write path alone: cost and extents of many files beside the bare floor
    WritePath(bench::write_path::Options),
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
    /// Records cameras for some time: every frame sent is stored, without a gap, and decodes
    Record {
        /// Number of cameras
        #[arg(long, default_value_t = 16)]
        cameras: u16,
        /// Minutes recorded
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Small pictures instead of 1280x720 at 2 Mbit/s
        #[arg(long)]
        small: bool,
    },
    /// Kills a recording node at random moments: what is lost, and whether anything committed changed
    Kill {
        /// Number of kills
        #[arg(long, default_value_t = 50)]
        runs: u32,
        /// Number of cameras
        #[arg(long, default_value_t = 4)]
        cameras: u16,
        /// Start of the random moments
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Cuts the power under a recording node on a disk that forgets what was not flushed
    Power {
        /// Number of power cuts
        #[arg(long, default_value_t = 20)]
        runs: u32,
        /// Number of cameras
        #[arg(long, default_value_t = 4)]
        cameras: u16,
        /// Start of the random moments, and of what the disk forgets
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Camsim(options) => bench::camsim::run(&options, &mut |figure| println!("{figure}")),
        Command::Catalogue(options) => bench::catalogue::run(&options, &mut |figure| println!("{figure}")),
        Command::Archive(options) => bench::archive::run(&options, &mut |figure| println!("{figure}")),
        Command::Facets(options) => bench::facets::run(&options, &mut |figure| println!("{figure}")),
        Command::Recorder(options) => bench::recorder::run(&options, &mut |figure| println!("{figure}")),
        Command::ColdStart(options) => bench::start::cold_start(&options, &mut |figure| println!("{figure}")),
        Command::Reconnect(options) => bench::start::reconnect(&options, &mut |figure| println!("{figure}")),
        Command::Wire(options) => bench::wire::run(&options, &mut |figure| println!("{figure}")),
        Command::Stall(options) => bench::stall::run(&options, &mut |figure| println!("{figure}")),
        Command::Latency(options) => bench::latency::run(&options, &mut |figure| println!("{figure}")),
        Command::FanOut(options) => bench::fan_out::run(&options, &mut |figure| println!("{figure}")),
        Command::Memory(options) => bench::memory::run(&options, &mut |figure| println!("{figure}")),
        Command::Search(options) => bench::search::run(&options, &mut |figure| println!("{figure}")),
        Command::Relay(options) => bench::relay::run(&options, &mut |figure| println!("{figure}")),
        Command::WritePath(options) => bench::write_path::run(&options, &mut |figure| println!("{figure}")),
        Command::Floor { address, cameras, seconds, sweep_ms, out } => {
            let (time, sweep) = (Duration::from_secs(seconds), Duration::from_millis(sweep_ms));
            bench::floor::run(address, cameras, time, sweep, &out)
                .and_then(|r| serde_json::to_string(&r).map_err(Into::into))
                .map(|r| println!("FLOOR {r}"))
        }
        Command::Record { cameras, minutes, small } => {
            let time = Duration::from_secs_f64(minutes * 60.0);
            let options = if small {
                record::RecordOptions::short(cameras, time)
            } else {
                record::RecordOptions::full(cameras, time)
            };
            scenario(async move { record::run(&options).await.map(|r| (r.figures(), r.details)) }).map(drop)
        }
        Command::Kill { runs, cameras, seed } => {
            let options = kill::KillOptions::small(cameras, runs, seed);
            campaign(async move { kill::run(&options).await.map(|r| (r.figures(), r.details)) })
        }
        Command::Power { runs, cameras, seed } => {
            let options = power::PowerOptions::small(cameras, runs, seed);
            campaign(async move {
                Ok(match power::run(&options).await? {
                    Ok(report) => (report.figures(), report.footage.details),
                    Err(reason) => {
                        let none = Figure::new("power_process_SKIPPED", 0.0, "runs", Target::AtLeast(1.0));
                        (vec![none], vec![format!("no power was cut: {reason}")])
                    }
                })
            })
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

/// As [`scenario`]; fails when a figure is short.
fn campaign(run: impl Future<Output = Outcome<(Vec<Figure>, Vec<String>)>>) -> std::io::Result<()> {
    let figures = scenario(run)?;
    match figures.iter().filter(|f| !f.holds()).count() {
        0 => Ok(()),
        short => Err(std::io::Error::other(format!("{short} figures are short; --seed replays the run"))),
    }
}

/// Runs a scenario; prints its figures, and what is wrong in words.
fn scenario(run: impl Future<Output = Outcome<(Vec<Figure>, Vec<String>)>>) -> std::io::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (figures, details) = runtime.block_on(run).map_err(std::io::Error::other)?;
    for detail in details {
        eprintln!("figures: {detail}");
    }
    for figure in &figures {
        println!("{figure}");
    }
    Ok(figures)
}
