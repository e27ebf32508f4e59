//! Nodes in a test: what people do there, an oracle that works out what should be, and links that fail. `FENGSUI_SEED` is the
//! first seed, `FENGSUI_SEEDS` how many; a seed that fails is printed, and the same seed does the same.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests"
)]

mod compare;
mod deeds;
mod model;
mod oracle;
mod site;
mod split;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::env::{Env, ProcessEnv};

use crate::figure::{Figure, Target};

fn number(name: &str) -> Option<u64> {
    ProcessEnv.get(name).and_then(|n| n.parse().ok())
}

fn add(to: &AtomicU64, n: usize) {
    to.fetch_add(n as u64, Ordering::Relaxed);
}

fn figure(name: &str, value: u64, target: Target) {
    println!("{}", Figure::new(name, value as f64, "count", target));
}

/// Runs seeds on every core until `enough` says so, and names those that fail.
fn campaign(name: &str, enough: impl Fn(u64) -> bool + Sync, one: impl Fn(u64) + Sync) {
    let first = number("FENGSUI_SEED").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if enough(seed - first) || !failed.lock().unwrap().is_empty() {
                        break;
                    }
                    // The panic hook has said what did not hold.
                    if catch_unwind(AssertUnwindSafe(|| one(seed))).is_err() {
                        failed.lock().unwrap().push(seed);
                        println!("{name}: replay with FENGSUI_SEED={seed} FENGSUI_SEEDS=1");
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    // The name of the test may stand on this line.
    println!();
    figure(&format!("{name}.violations"), failed.len() as u64, Target::Exactly(0.0));
    assert!(failed.is_empty(), "see the seeds above");
}
