//! Footage that others recorded in the place of a node that is back is brought to it: whole segment files, a piece at a time, at a
//! bounded rate. The node proves each before it is footage there.
//!
//! Nothing is remembered of what is to be brought: what an owner lacks and another node has is looked up, when cameras were given
//! back, and once an hour. So a centre that was killed in between, or a half copy, costs a look and no footage.
//!
//! - What is missing at the owner is there afterwards: `cameras_of_a_dead_node_are_recorded_elsewhere_and_come_back` (tests).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_storage::gaps::{Interval, merge, subtract, total_us};
use fengsui_storage::segment::{SegmentName, is_stand_in};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use http::header::{CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::Centre;
use super::standby::{answer, cause, own_behalf};
use crate::api::footage::SEGMENTS_RANGE_MAX;
use crate::api::standby::PieceView;
use crate::app::App;
use crate::relay::calls::Call;

/// How long the newest footage is left alone: it is on its way to the disk.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// Pause between looks at whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Tries with one segment that its owner refused.
const TRIES_MAX: u32 = 2;

/// What bringing back cost and came to, since the start.
#[derive(Debug, Default)]
pub struct BackfillCounters {
    owners: AtomicUsize,
    waiting: AtomicU64,
    segments: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl BackfillCounters {
    /// Owners to which footage is brought now, or that are asked what they lack.
    #[must_use]
    pub fn owners(&self) -> usize {
        self.owners.load(Ordering::Relaxed)
    }

    /// Segments found missing at these owners that were not tried yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counters: a name, what it counts, how many.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &'static str, u64); 4] {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("segments", "Segments brought back to their owners, proved there.", get(&self.segments)),
            ("bytes", "Bytes of segments sent to their owners, of those not finished too.", get(&self.bytes)),
            ("refused", "Tries with a segment that its owner refused: it does not hold.", get(&self.refused)),
            ("failed", "Tries with a segment that broke off; they are made again.", get(&self.failed)),
        ]
    }
}

/// Segments that one look found missing; what is not tried when the look ends does not wait any more.
struct Waiting<'a>(&'a BackfillCounters, u64);

impl<'a> Waiting<'a> {
    fn new(counters: &'a BackfillCounters, segments: usize) -> Self {
        counters.waiting.fetch_add(segments as u64, Ordering::Relaxed);
        Self(counters, segments as u64)
    }

    fn tried(&mut self) {
        self.1 = self.1.saturating_sub(1);
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// When an owner is looked at next.
#[derive(Debug, Default)]
struct Plan {
    due: MonoMicros,
    /// Looks in a row that left something.
    again: u32,
    is_running: bool,
    /// What the owner refused, and how often.
    refused: BTreeMap<(CameraId, String), u32>,
}

/// What came of one look at an owner.
#[derive(Debug, Default)]
struct Outcome {
    segments: u64,
    bytes: u64,
    refused: Vec<(CameraId, String)>,
    /// Something is to be brought that was not.
    left: bool,
}

#[derive(Deserialize)]
struct Timeline {
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    kind: String,
    from_us: i64,
    to_us: i64,
}

#[derive(Deserialize)]
struct Segments {
    items: Vec<Segment>,
}

#[derive(Debug, Clone, Deserialize)]
struct Segment {
    name: String,
    start_us: i64,
    duration_us: i64,
    bytes: u64,
    closed: bool,
}

impl Segment {
    fn interval(&self) -> Interval {
        Interval::new(UtcMicros(self.start_us), UtcMicros(self.start_us.saturating_add(self.duration_us)))
    }

    fn is_stand_in(&self) -> bool {
        self.name.parse::<SegmentName>().is_ok_and(|name| is_stand_in(name.number))
    }
}

/// Brings back until the node stops.
pub(super) async fn run(app: Arc<App>, centre: Arc<Centre>) {
    let (mut plans, mut running) = (BTreeMap::<NodeId, Plan>::new(), 0);
    let mut jobs: FuturesUnordered<BoxFuture<'static, (NodeId, Outcome)>> = FuturesUnordered::new();
    loop {
        let now = app.clock.mono();
        for owner in std::mem::take(&mut *centre.given_back.lock()) {
            let plan = plans.entry(owner).or_default();
            (plan.due, plan.again) = (now, 0);
        }
        for (owner, by) in centre.roll.nodes().duty() {
            let first = Plan { due: now + limits::STANDBY_BACK, ..Plan::default() };
            let plan = plans.entry(owner.clone()).or_insert(first);
            let taken = centre.leases.lock().get(&owner).is_some_and(|lease| !lease.takers.is_empty());
            let due = !plan.is_running && plan.due <= now && !taken && is_here(&centre, &owner);
            if due && running < limits::BACKFILL_OWNERS_MAX {
                (plan.is_running, running) = (true, running + 1);
                centre.backfill.owners.store(running, Ordering::Relaxed);
                let given_up = plan.refused.iter().filter(|(_, tries)| **tries >= TRIES_MAX);
                let skip = given_up.map(|(what, _)| what.clone()).collect();
                let (app, centre) = (app.clone(), centre.clone());
                jobs.push(Box::pin(async move {
                    let outcome = bring_back(&app, &centre, &owner, &by, &skip).await;
                    (owner, outcome)
                }));
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            Some((owner, outcome)) = jobs.next(), if !jobs.is_empty() => {
                running -= 1;
                centre.backfill.owners.store(running, Ordering::Relaxed);
                tell(&app, &centre, &owner, &outcome);
                if let Some(plan) = plans.get_mut(&owner) {
                    settle(plan, app.clock.mono(), outcome);
                }
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn is_here(centre: &Centre, node: &NodeId) -> bool {
    use crate::relay::presence::Silence;
    centre.presence.lock().of(node).is_some_and(|last| last.silence == Silence::Here)
}

/// When an owner is looked at again.
fn settle(plan: &mut Plan, now: MonoMicros, outcome: Outcome) {
    plan.is_running = false;
    for what in outcome.refused {
        *plan.refused.entry(what).or_default() += 1;
    }
    let soon = outcome.left && plan.again < limits::BACKFILL_AGAIN_MAX;
    plan.again = if soon { plan.again + 1 } else { 0 };
    plan.due = now + if soon { limits::BACKFILL_AGAIN } else { limits::BACKFILL_INTERVAL };
}

/// Tells what was brought back, or refused.
fn tell(app: &App, centre: &Centre, owner: &NodeId, outcome: &Outcome) {
    let Outcome { segments, bytes, refused, .. } = outcome;
    if *segments == 0 && refused.is_empty() {
        return;
    }
    tracing::info!(%owner, segments, bytes, refused = refused.len(), "brought footage back to its node");
    let priority = if refused.is_empty() { Priority::Normal } else { Priority::Alarm };
    let (at, source) = (app.clock.utc(), Source::node(centre.own.clone()));
    let event = Event::new(EventKind::StandbyReturned, priority, cause(owner), Phase::Point, at, source);
    let event = event.fact("node", owner.to_string()).fact("segments", *segments).fact("bytes", *bytes);
    let refused = refused.len();
    app.desk.put_own(vec![if refused > 0 { event.fact("refused", json!(refused)) } else { event }]);
}

/// Brings to one owner what it lacks and others have.
async fn bring_back(
    app: &App,
    centre: &Centre,
    owner: &NodeId,
    by: &BTreeMap<NodeId, BTreeSet<CameraId>>,
    skip: &BTreeSet<(CameraId, String)>,
) -> Outcome {
    let (counters, mut outcome) = (&centre.backfill, Outcome::default());
    let now = app.clock.utc();
    let window = Interval::new(now - limits::BACKFILL_REACH, now - SETTLED_AFTER);
    for (node, cameras) in by {
        if !is_here(centre, node) {
            continue;
        }
        for camera in cameras {
            let wanted = match lacking(centre, (owner, node), *camera, window).await {
                Ok((wanted, open)) => {
                    outcome.left |= open;
                    wanted
                }
                Err(why) => {
                    tracing::warn!(%owner, %node, %camera, why, "cannot tell what footage is missing");
                    outcome.left = true;
                    continue;
                }
            };
            let mut waiting = Waiting::new(counters, wanted.len());
            for segment in wanted {
                waiting.tried();
                let what = (*camera, segment.name.clone());
                if skip.contains(&what) || app.stop.is_cancelled() {
                    continue;
                }
                match bring(centre, (owner, node), *camera, &segment).await {
                    Ok(None) => {
                        counters.segments.fetch_add(1, Ordering::Relaxed);
                        outcome.segments += 1;
                        outcome.bytes += segment.bytes;
                    }
                    Ok(Some(why)) => {
                        counters.refused.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(%owner, %node, %camera, segment = segment.name, why,
                            "a node refuses footage that was recorded in its place");
                        outcome.refused.push(what);
                        outcome.left = true;
                    }
                    Err(why) => {
                        counters.failed.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(%owner, %node, %camera, segment = segment.name, why,
                            "footage is not brought back yet");
                        outcome.left = true;
                    }
                }
            }
        }
    }
    outcome
}

/// The closed segments of `node` that fill what `owner` lacks; and whether one is still open that will.
async fn lacking(
    centre: &Centre,
    (owner, node): (&NodeId, &NodeId),
    camera: CameraId,
    window: Interval,
) -> Result<(Vec<Segment>, bool), String> {
    let has = footage(centre, node, camera, window).await?;
    if has.is_empty() {
        return Ok((Vec::new(), false));
    }
    let lacks = subtract(&has, &footage(centre, owner, camera, window).await?);
    let least = i64::try_from(limits::BACKFILL_GAP_MIN.as_micros()).unwrap_or(i64::MAX);
    let lacks: Vec<Interval> = lacks.into_iter().filter(|gap| gap.length_us() >= least).collect();
    let (mut wanted, mut open) = (BTreeMap::new(), false);
    for gap in lacks {
        let mut from = gap.from;
        while from < gap.to {
            let to = (from + SEGMENTS_RANGE_MAX).min(gap.to);
            let path = format!("/api/v1/footage/{camera}/main/segments?from_us={}&to_us={}", from.0, to.0);
            let list: Segments = ask(centre, node, &path).await?;
            for segment in list.items.into_iter().filter(Segment::is_stand_in) {
                let of_use = total_us(&[segment.interval().within(&gap)]) >= least;
                open |= !segment.closed;
                if segment.closed && of_use {
                    wanted.insert((segment.start_us, segment.name.clone()), segment);
                }
            }
            from = to;
        }
    }
    Ok((wanted.into_values().collect(), open))
}

/// The times of which a node has footage of a camera.
async fn footage(
    centre: &Centre,
    node: &NodeId,
    camera: CameraId,
    window: Interval,
) -> Result<Vec<Interval>, String> {
    let (from, to) = (window.from.0, window.to.0);
    let path = format!("/api/v1/footage/{camera}/main/timeline?from_us={from}&to_us={to}");
    let line: Timeline = ask(centre, node, &path).await?;
    let spans = line.spans.into_iter().filter(|span| span.kind == "footage");
    let spans =
        spans.map(|span| Interval::new(UtcMicros(span.from_us), UtcMicros(span.to_us)).within(&window));
    Ok(merge(spans.collect(), 0))
}

/// Brings one segment from `node` to `owner`; gives why the owner refuses it.
async fn bring(
    centre: &Centre,
    (owner, node): (&NodeId, &NodeId),
    camera: CameraId,
    segment: &Segment,
) -> Result<Option<String>, String> {
    let key =
        centre.roll.nodes().get(node).map(|node| node.key.to_string()).ok_or("it is no node any more")?;
    let put = |offset: u64, piece: Bytes| {
        let (name, bytes) = (&segment.name, segment.bytes);
        let path = format!(
            "/api/v1/node/backfill/{camera}/main/{name}?offset={offset}&bytes={bytes}&node={node}&key={key}"
        );
        let call = Call {
            method: Method::PUT,
            path_and_query: path,
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )]),
            body: piece,
            by: own_behalf(centre),
        };
        async move { answer::<PieceView>(centre, owner, call, limits::BACKFILL_TIMEOUT).await }
    };
    let mut view = put(0, Bytes::new()).await?;
    if view.state == "part" {
        let mut at = view.have;
        let path = format!("/api/v1/footage/{camera}/main/segments/{}", segment.name);
        let mut call = Call::get(path, own_behalf(centre));
        let range = HeaderValue::from_str(&format!("bytes={at}-")).map_err(|e| e.to_string())?;
        call.headers.insert(RANGE, range);
        let file = centre.call(node, call, limits::BACKFILL_TIMEOUT).await.map_err(|e| e.to_string())?;
        if file.status() != StatusCode::PARTIAL_CONTENT && !(at == 0 && file.status().is_success()) {
            return Err(format!("{node} answers {}", file.status()));
        }
        let mut body = file.into_body().into_data_stream();
        let mut waiting = BytesMut::new();
        while view.state == "part" {
            let next = timeout(limits::BACKFILL_TIMEOUT, body.next()).await.map_err(|e| e.to_string())?;
            let is_last = next.is_none();
            if let Some(part) = next {
                waiting.extend_from_slice(&part.map_err(|e| e.to_string())?);
            }
            while view.state == "part"
                && (waiting.len() >= limits::BACKFILL_PIECE_BYTES || (is_last && !waiting.is_empty()))
            {
                let piece = waiting.split_to(waiting.len().min(limits::BACKFILL_PIECE_BYTES)).freeze();
                let length = piece.len() as u64;
                view = put(at, piece).await?;
                centre.backfill.bytes.fetch_add(length, Ordering::Relaxed);
                at += length;
                if view.state == "part" && view.have != at {
                    return Err(format!("{owner} has {} bytes of it, not {at}", view.have));
                }
                tokio::time::sleep(pause(length)).await;
            }
            if is_last && view.state == "part" {
                return Err(format!("{node} gave {at} of {} bytes", segment.bytes));
            }
        }
    }
    Ok(if view.state == "refused" { Some(view.why.unwrap_or_default()) } else { None })
}

/// How long to rest after so many bytes; each of the owners has its part of the rate.
fn pause(bytes: u64) -> Duration {
    let rate = limits::BACKFILL_BYTES_PER_S / limits::BACKFILL_OWNERS_MAX as u64;
    Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1))
}

async fn ask<T: DeserializeOwned>(centre: &Centre, node: &NodeId, path: &str) -> Result<T, String> {
    answer(centre, node, Call::get(path, own_behalf(centre)), limits::BACKFILL_TIMEOUT).await
}
