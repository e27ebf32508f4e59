//! Model, limiter, rows and watching, each without a clock, a disk or a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod flood;
mod model;
mod reduction;
mod watching;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_storage::journal::JournalRecord;
use serde_json::Value;

use super::*;

/// Some day in 2026.
const NOW: UtcMicros = UtcMicros(1_790_000_000_000_000);
const SECOND: i64 = 1_000_000;

fn camera(n: u32) -> CameraId {
    format!("33080200001320{n:06}").parse().unwrap()
}

fn node() -> NodeId {
    "centre".parse().unwrap()
}

fn token(name: &str) -> Source {
    Source { node: node(), token: Some(name.into()), operator: None }
}

fn input(camera_number: u32, name: &str, phase: Phase, at: UtcMicros) -> Event {
    let cause = format!("token/t1/{}/device.input/{name}", camera(camera_number));
    Event::new(EventKind::DeviceInput, Priority::Normal, cause, phase, at, token("gate"))
        .camera(camera(camera_number))
}

fn record(seq: u64, kind: &str, body: Value) -> JournalRecord {
    let (node, at) = ("centre".to_owned(), UtcMicros(NOW.0 + i64::try_from(seq).unwrap()));
    JournalRecord { node, epoch: 1, seq, at, kind: kind.to_owned(), body, previous: [0; 32], hash: [0; 32] }
}

fn noted(seq: u64, event: &Event) -> JournalRecord {
    record(seq, kinds::EVENT_NOTED, event.body())
}
