//! Search over a city of nodes of which some are dead: a real centre and a real message server; the nodes are answering ends
//! in this process, each enrolled and on a connection of its own, whose CPU is not the product's.

mod stand;

use std::io;
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::figure::{Figure, Target};
use crate::harness::{HarnessError, Outcome, wait_for};
use crate::nats::NatsServer;
pub use stand::Stand;
use stand::{End, HITS};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Nodes below the centre
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u16).range(3..=90))]
    pub nodes: u16,
    /// Searches measured, one after the other
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub searches: u32,
    /// Hits of each page
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub limit: u16,
}

/// Milliseconds within which the answer has to be there, whoever is dead.
const SEARCH_MS_MAX: f64 = 1000.0;
/// Longest that anything else may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures searches with all nodes there, and with two dead: one that is not heard any more, and one that is heard and
/// answers nothing. Fails when an answer does not name exactly them.
///
/// # Errors
/// A program is missing or ends early, or an answer is not what it has to be.
pub fn run(options: &Options, show: &mut dyn FnMut(Figure)) -> io::Result<()> {
    let program = NatsServer::program()
        .ok_or_else(|| io::Error::other("nats-server is missing; tests/scripts/setup.sh test installs it"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(options, &program, show)).map_err(io::Error::other)
}

async fn measure(options: &Options, program: &std::path::Path, show: &mut dyn FnMut(Figure)) -> Outcome<()> {
    let stand = Stand::start(program).await?;
    let mut ends = Vec::new();
    for n in 1..=options.nodes {
        ends.push(End::start(&stand, n).await?);
    }
    all_are(&stand, &ends, "here").await?;
    let took = searches(&stand, options, &[]).await?;
    let nodes = options.nodes;
    show(Figure::new(format!("search_{nodes}_nodes"), worst(&took), "ms", Target::Shown));
    let [gone, hole, ..] = ends.as_slice() else {
        return Err(HarnessError("a city has at least three nodes".into()));
    };
    gone.fall_silent();
    hole.swallow();
    all_are(&stand, std::slice::from_ref(gone), "gone").await?;
    let dead = [(gone.name(), "gone"), (hole.name(), "no_answer")];
    let mut took = searches(&stand, options, &dead).await?;
    took.sort();
    let middle = took.get(took.len() / 2).copied().unwrap_or_default();
    let name = format!("search_{nodes}_nodes_2_dead");
    show(Figure::new(format!("{name}_p50"), middle.as_secs_f64() * 1000.0, "ms", Target::Shown));
    show(Figure::new(name, worst(&took), "ms", Target::AtMost(SEARCH_MS_MAX)));
    stand.stop().await
}

fn worst(took: &[Duration]) -> f64 {
    took.iter().max().map_or(f64::NAN, |t| t.as_secs_f64() * 1000.0)
}

fn list<'a>(view: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    view.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn word<'a>(view: &'a Value, pointer: &str) -> Option<&'a str> {
    view.pointer(pointer).and_then(Value::as_str)
}

async fn all_are(stand: &Stand, ends: &[End], wanted: &str) -> Outcome<()> {
    wait_for(&format!("all nodes are {wanted}"), PATIENCE, || async {
        let view: Value = stand.api.get("/nodes").await?;
        let is = |end: &End| {
            let mut own = list(&view, "items").filter(|item| word(item, "/id") == Some(end.name()));
            own.any(|item| word(item, "/presence/link") == Some(wanted))
        };
        Ok(ends.iter().all(is).then_some(()))
    })
    .await
}

/// Times from each question to the end of its answer, which names exactly the dead.
async fn searches(stand: &Stand, options: &Options, dead: &[(&str, &str)]) -> Outcome<Vec<Duration>> {
    let (mut took, clock) = (Vec::new(), SystemClock::new());
    let mut wanted: Vec<(&str, &str)> = dead.to_vec();
    wanted.sort_unstable();
    for _ in 0..options.searches {
        let began = clock.mono();
        let page: Value = stand.api.get(&format!("/search?what=events&limit={}", options.limit)).await?;
        took.push(clock.mono().since(began));
        let missing = list(&page, "missing");
        let named: Vec<(&str, &str)> =
            missing.filter_map(|one| Some((word(one, "/node")?, word(one, "/why")?))).collect();
        let (hits, asked) = (list(&page, "items").count(), list(&page, "asked").count());
        let due = usize::from(options.limit).min(HITS * (usize::from(options.nodes) - dead.len()));
        if named != wanted || hits < due || asked != usize::from(options.nodes) + 1 {
            return Err(HarnessError(format!(
                "{hits} hits of {asked} nodes, missing {named:?} instead of {wanted:?}"
            )));
        }
    }
    Ok(took)
}
