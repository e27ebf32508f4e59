//! `fengsui run`: the node.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use fengsui_config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check::{complain, say};
use crate::node::Node;

/// Options of `fengsui run`.
#[derive(Debug, Args)]
pub struct RunArgs {}

/// Exit code after a second signal: the node was told twice.
const IMPATIENT: u8 = 130;
/// Threads of the API; cameras and disks have their own.
const WEB_THREADS_MAX: usize = 4;

/// Runs the node until SIGINT or SIGTERM. Exit code 0: stopped in good order; 1: it did not start.
#[must_use]
pub fn run(path: &Path, _: &RunArgs) -> ExitCode {
    let config = match super::load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, WEB_THREADS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("web")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(until_told(config, path));
    // Whatever still runs was given its time.
    runtime.shutdown_background();
    code
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

enum Told {
    Stop,
    Reload,
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}

async fn until_told(config: Config, path: &Path) -> ExitCode {
    let mut signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("cannot wait for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let node = match Node::start(config, path.to_owned()).await {
        Ok(node) => node,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    for url in node.urls() {
        say(&format!("LISTENING {url}"));
    }
    if let Some(token) = node.setup_token() {
        say(&format!("SETUP TOKEN {token}"));
    }
    while let Told::Reload = signals.next().await {
        node.reload().await;
    }
    tracing::info!("stopping; a second signal ends the program at once");
    tokio::select! {
        () = node.stop() => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        () = again(&mut signals) => {
            tracing::warn!("told twice; leaving at once");
            ExitCode::from(IMPATIENT)
        }
    }
}

async fn again(signals: &mut Signals) {
    while let Told::Reload = signals.next().await {}
}
