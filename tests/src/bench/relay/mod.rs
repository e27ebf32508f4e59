//! The way of events to the centre: how much goes through it and what that costs, how fast a backlog is caught up, how old
//! an operator's view is while a whole city changes, and how soon an alarm is seen. Centre, sub-centre and message server
//! are real processes; the eighteen of the city are senders within this one, whose CPU is not the product's.

mod city;
mod one;

use std::io;
use std::path::Path;

use crate::figure::Figure;
use crate::harness::{Api, Doing as _, Fengsui, HarnessError, Outcome};
use crate::nats::NatsServer;
use crate::procstat;
use crate::scenario::city::City;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Events in the journal of one node, which go up at once
    #[arg(long, default_value_t = 50_000)]
    pub events: u32,
    /// Alarms of a device at that node, one after another
    #[arg(long, default_value_t = 200)]
    pub alarms: u32,
    /// Nodes of the city
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub nodes: u16,
    /// Cameras of the city, all nodes together
    #[arg(long, default_value_t = 1400, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pub cameras: u16,
    /// Changes of state a second, all nodes together
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Seconds of changes that wait at the city's nodes when their links come up
    #[arg(long, default_value_t = 300)]
    pub backlog: u32,
    /// Seconds measured
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
}

/// How much faster than live a backlog has to be caught up.
const CATCH_UP_MIN: f64 = 10.0;
/// Changes a second of the whole reference city, and its nodes.
const CITY_RATE: f64 = 200.0;
const CITY_NODES: f64 = 18.0;
/// Milliseconds within which 95 of 100 alarms are seen, and within which 95 of 100 events are in the view.
const AGE_P95_MS: f64 = 500.0;

/// Measures everything.
///
/// # Errors
/// A program is missing or ends early, or events do not come.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    if options.cameras < options.nodes {
        return Err(io::Error::other("--cameras is less than --nodes; give each node one camera at least"));
    }
    let program = NatsServer::program()
        .ok_or_else(|| io::Error::other("nats-server is missing; tests/scripts/setup.sh test installs it"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime
        .block_on(async {
            one::measure(options, &program, show).await?;
            city::measure(options, &program, show).await
        })
        .map_err(io::Error::other)
}

/// A centre with its server, and what the processes use.
struct Stand {
    city: City,
    centre: Fengsui,
    /// An operator at the centre.
    above: Api,
}

/// CPU seconds of centre and message server so far.
#[derive(Debug, Clone, Copy)]
struct Cpu {
    centre: f64,
    nats: f64,
}

impl Stand {
    async fn start(program: &Path) -> Outcome<Self> {
        let (city, centre, above) = City::start(program, 1).await?;
        Ok(Self { city, centre, above })
    }

    fn cpu(&self) -> Outcome<Cpu> {
        let of = |pid| procstat::of(pid).map(|used| used.cpu_seconds).doing("read the use of a process");
        Ok(Cpu { centre: of(self.centre.pid())?, nats: of(self.city.nats.pid())? })
    }

    /// Frames that the centre's journal took, by its metrics.
    async fn applied(&self) -> Outcome<u64> {
        let page = crate::harness::api::page(&format!("{}/metrics", self.centre.url())).await?;
        let line = page.lines().find_map(|line| line.strip_prefix("fengsui_relay_applied_total "));
        let count = line.and_then(|count| count.trim().parse().ok());
        count.ok_or_else(|| HarnessError("the centre counts no frames".to_owned()))
    }
}

/// Milliseconds at a percentile of microseconds.
fn percentile(micros: &mut [i64], percent: usize) -> f64 {
    micros.sort_unstable();
    let at = (micros.len() * percent / 100).min(micros.len().saturating_sub(1));
    micros.get(at).map_or(f64::NAN, |us| *us as f64 / 1000.0)
}
