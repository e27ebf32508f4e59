//! Decides which streams of other nodes come, and begins and ends their upstreams. One task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fengsui_config::Topology;
use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::{NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_relay::budget::{Change, LinkBudget, Rank};
use fengsui_relay::call::OnBehalf;
use http::Method;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::upstream::Upstream;
use super::{Below, FarLive, Inner, Line, count};
use crate::app::App;
use crate::live::protocol::TileState;
use crate::live::standing::{LinkTrouble, Standing, Why};
use crate::relay::calls::Call;

/// An upstream that runs.
struct Running {
    node: NodeId,
    stop: CancellationToken,
    done: JoinHandle<()>,
    bytes: Arc<AtomicU64>,
    /// When it was measured last, and the bytes until then.
    metered: (MonoMicros, u64),
    /// The first measure holds the cached pictures too, and does not count.
    warm: bool,
    /// Of whom the node knows that they look.
    known: BTreeSet<String>,
}

/// A stream that is wanted: from where, how much, and who looks.
struct Wish {
    node: NodeId,
    rank: Rank,
    viewers: Vec<OnBehalf>,
}

/// Decides for all nodes.
pub struct Manager {
    app: Arc<App>,
    far: Arc<FarLive>,
    below: Arc<dyn Below>,
    lines: BTreeMap<NodeId, LinkBudget<StreamKey>>,
    running: BTreeMap<StreamKey, Running>,
    ending: BTreeMap<StreamKey, JoinHandle<()>>,
}

impl Manager {
    /// Wakes the app's live pictures of other nodes.
    #[must_use]
    pub fn new(app: &Arc<App>, below: Arc<dyn Below>) -> Self {
        let far = app.far.clone();
        far.awake.store(true, Ordering::Relaxed);
        let (lines, running, ending) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { app: app.clone(), far, below, lines, running, ending }
    }

    /// Decides whenever something changed, until the node stops.
    pub async fn run(mut self) {
        loop {
            self.pass();
            let quiet = self.running.is_empty() && self.far.inner.lock().streams.is_empty();
            let far = self.far.clone();
            tokio::select! {
                () = self.app.stop.cancelled() => break,
                () = far.news.notified() => {}
                () = tokio::time::sleep(limits::RELAY_LIVE_TICK), if !quiet => {}
            }
        }
        for running in self.running.into_values() {
            running.stop.cancel();
        }
    }

    /// Looks at what is wanted and does what follows from it.
    fn pass(&mut self) {
        let now = self.app.clock.mono();
        let wishes = self.wishes(now);
        self.ending.retain(|_, done| !done.is_finished());
        let held = self.lines.iter().flat_map(|(node, line)| line.keys().map(move |key| (node.clone(), key)));
        for (node, key) in held.collect::<Vec<_>>() {
            if wishes.get(&key).is_none_or(|wish| wish.node != node) {
                if let Some(line) = self.lines.get_mut(&node) {
                    line.leave(&key);
                }
                self.close(&key);
            }
        }
        for (key, wish) in &wishes {
            let line = self.lines.entry(wish.node.clone());
            let line = line.or_insert_with(|| LinkBudget::new(self.below.budget_bits(&wish.node)));
            line.want(*key, wish.rank, nominal(*key));
        }
        self.measure(now);
        let settled: Vec<_> =
            self.lines.iter_mut().map(|(node, line)| (node.clone(), line.settle(now))).collect();
        for (node, changes) in settled {
            for change in changes {
                self.change(now, &node, change, &wishes);
            }
        }
        for (key, wish) in &wishes {
            self.tell_viewers(key, wish);
        }
        let line = |line: &LinkBudget<StreamKey>| Line {
            streams: line.open_count(),
            bits: line.open_bits(),
            budget_bits: line.capacity(),
        };
        let lines = self.lines.iter().map(|(node, budget)| (node.clone(), line(budget))).collect();
        self.far.inner.lock().lines = lines;
    }

    /// What is wanted. Forgets what nobody wants any more.
    fn wishes(&self, now: MonoMicros) -> BTreeMap<StreamKey, Wish> {
        let topology = self.app.topology();
        let mut wishes = BTreeMap::new();
        let mut inner = self.far.inner.lock();
        let Inner { streams, .. } = &mut *inner;
        streams.retain(|key, stream| {
            if !stream.viewers.is_empty() {
                stream.left = None;
                return true;
            }
            let left = *stream.left.get_or_insert(now);
            self.running.contains_key(key) && now.since(left) < limits::RELAY_LIVE_LINGER
        });
        for (key, stream) in streams {
            if !is_far(&topology, *key) {
                continue;
            }
            let Some(node) = self.below.owner(&key.camera) else {
                stream.standing =
                    Some(Standing::ended("The camera is disabled here, and it is the camera of no node."));
                continue;
            };
            let viewers = stream.viewers.values().map(|viewer| viewer.by.clone()).collect();
            wishes.insert(*key, Wish { node, rank: stream.rank(key.stream), viewers });
        }
        wishes
    }

    /// Tells the lines what came.
    fn measure(&mut self, now: MonoMicros) {
        for (key, running) in &mut self.running {
            let (at, before) = running.metered;
            let passed = now.since(at);
            if passed < limits::RELAY_LIVE_METER {
                continue;
            }
            let bytes = running.bytes.load(Ordering::Relaxed);
            running.metered = (now, bytes);
            if std::mem::take(&mut running.warm) {
                continue;
            }
            let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            let bits = bytes.saturating_sub(before).saturating_mul(8_000) / ms;
            if let Some(line) = self.lines.get_mut(&running.node) {
                line.measured(*key, bits);
            }
        }
    }

    fn change(
        &mut self,
        now: MonoMicros,
        node: &NodeId,
        change: Change<StreamKey>,
        wishes: &BTreeMap<StreamKey, Wish>,
    ) {
        let counters = &self.far.counters;
        match change {
            Change::Open(key) => {
                count(&counters.opened);
                let by = wishes.get(&key).and_then(|wish| wish.viewers.first().cloned());
                if let Some(by) = by {
                    self.open(now, key, node, by);
                }
            }
            Change::Lost(key) => {
                count(&counters.lost);
                let detail =
                    format!("The line to {node} is full; a picture of higher priority took the place.");
                self.without_place(&key, node, LinkTrouble::Preempted, detail);
                self.close(&key);
            }
            Change::Refused(key) => {
                count(&counters.refused);
                let detail =
                    format!("The line to {node} is full with pictures of the same or higher priority.");
                self.without_place(&key, node, LinkTrouble::LinkFull, detail);
            }
        }
    }

    /// From here on another upstream, or none, says how a stream stands.
    fn next_turn(&self, key: &StreamKey, standing: Standing) -> u64 {
        let mut inner = self.far.inner.lock();
        inner.numbers += 1;
        let turn = inner.numbers;
        if let Some(stream) = inner.streams.get_mut(key) {
            stream.turn = turn;
            stream.standing = Some(standing);
        }
        turn
    }

    fn without_place(&self, key: &StreamKey, node: &NodeId, why: LinkTrouble, detail: String) {
        let (reason, detail, node) = (Some(Why::Link(why)), Some(detail), Some(node.to_string()));
        self.next_turn(key, Standing { reason, detail, node, ..TileState::Offline.into() });
    }

    fn open(&mut self, now: MonoMicros, key: StreamKey, node: &NodeId, by: OnBehalf) {
        let standing = Standing { node: Some(node.to_string()), ..TileState::Opening.into() };
        let (stop, bytes) = (self.app.stop.child_token(), Arc::<AtomicU64>::default());
        let known = BTreeSet::from([by.user.clone()]);
        let upstream = Upstream {
            app: self.app.clone(),
            far: self.far.clone(),
            below: self.below.clone(),
            node: node.clone(),
            key,
            turn: self.next_turn(&key, standing),
            by,
            stop: stop.clone(),
            before: self.ending.remove(&key),
            bytes: bytes.clone(),
            info: None,
        };
        let done = self.app.tasks.spawn(upstream.run());
        let (node, metered, warm) = (node.clone(), (now, 0), true);
        self.running.insert(key, Running { node, stop, done, bytes, metered, warm, known });
        self.far.counters.open.store(self.running.len(), Ordering::Relaxed);
    }

    fn close(&mut self, key: &StreamKey) {
        if let Some(running) = self.running.remove(key) {
            running.stop.cancel();
            self.ending.insert(*key, running.done);
        }
        self.far.counters.open.store(self.running.len(), Ordering::Relaxed);
    }

    /// The register of viewings of the node names everybody who looks, not only the one for whom the stream was fetched.
    fn tell_viewers(&mut self, key: &StreamKey, wish: &Wish) {
        let Some(running) = self.running.get_mut(key) else { return };
        for by in &wish.viewers {
            if !running.known.insert(by.user.clone()) {
                continue;
            }
            let path = format!("/api/v1/node/live/{}/{}/viewers", key.camera, key.stream);
            let call = Call { method: Method::POST, ..Call::get(path, by.clone()) };
            let (below, node) = (self.below.clone(), wish.node.clone());
            self.app.tasks.spawn(async move {
                match below.call(&node, call).await {
                    Ok(response) if response.status().is_success() => {}
                    Ok(response) => {
                        tracing::warn!(%node, status = %response.status(), "a node did not note a viewer");
                    }
                    Err(error) => tracing::warn!(%node, %error, "a node could not be told of a viewer"),
                }
            });
        }
    }
}

/// A stream that this node knows and does not read itself.
fn is_far(topology: &Topology, key: StreamKey) -> bool {
    topology.cameras.get(&key.camera).is_some_and(|c| !c.enabled && c.source(key.stream).is_some())
}

fn nominal(key: StreamKey) -> u64 {
    match key.stream {
        StreamKind::Main => limits::RELAY_LIVE_MAIN_BITS,
        StreamKind::Sub => limits::RELAY_LIVE_SUB_BITS,
    }
}
