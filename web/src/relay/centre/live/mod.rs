//! Live pictures of the nodes below: one upstream for each stream that somebody here looks at, however many do.
//!
//! A tile of a wall, or a centre further above, asks with [`FarLive::ask`] and reads the stream of this node's own hub as if the
//! camera were this node's: warm start, drops and counters are the same. [`manager`] decides by the budget of each line what
//! comes; [`upstream`] fetches one stream and feeds it into the hub. Nothing of it is recorded here.
//!
//! - One upstream for a stream however many look, and none when nobody does: `many_viewers_have_one_upstream_which_ends_after_the_last`.
//! - Who loses a picture to another is told: `a_full_line_gives_its_place_to_the_picture_that_somebody_looks_at_and_tells_the_loser`.

pub mod manager;
#[cfg(test)]
mod tests;
mod upstream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use axum::response::Response;
use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::{CameraId, NodeId, StreamKey, StreamKind};
use fengsui_config::limits;
use fengsui_relay::budget::Rank;
use fengsui_relay::call::OnBehalf;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Centre;
use crate::auth::access::CameraAccess;
use crate::live::protocol::TileState;
use crate::live::standing::Standing;
use crate::relay::calls::{Call, CallError};

/// Priority of a tile from which on somebody chose it; see the wall of `web/ui`.
const CHOSEN: i32 = 10;

/// The nodes below, as far as live pictures need them.
pub trait Below: Send + Sync + 'static {
    /// The node that reads a camera.
    fn owner(&self, camera: &CameraId) -> Option<NodeId>;
    /// What live pictures may take of the line to a node, in bits a second.
    fn budget_bits(&self, node: &NodeId) -> u64;
    /// Asks a node's API.
    fn call<'a>(&'a self, node: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Response, CallError>>;
}

impl Below for Centre {
    fn owner(&self, camera: &CameraId) -> Option<NodeId> {
        self.whom(camera)
    }
    fn budget_bits(&self, node: &NodeId) -> u64 {
        self.role.links.bits(node)
    }
    fn call<'a>(&'a self, node: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Response, CallError>> {
        Box::pin(Centre::call(self, node, call, limits::RELAY_CALL_TIMEOUT))
    }
}

/// Counted since the start.
#[derive(Debug, Default)]
pub struct FarCounters {
    open: AtomicUsize,
    opened: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
}

impl FarCounters {
    /// Upstreams there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
    /// Name, help and value of each counter.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &'static str, u64); 6] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("opened", "Upstreams opened.", read(&self.opened)),
            ("preempted", "Upstreams that lost their place on a line.", read(&self.lost)),
            ("refused", "Streams for which a line had no place.", read(&self.refused)),
            ("broken", "Upstreams that broke, or that a node did not give.", read(&self.broken)),
            (
                "dropped",
                "Pictures that nodes did not send because the line was too slow.",
                read(&self.dropped),
            ),
            ("bytes", "Bytes of upstreams.", read(&self.bytes)),
        ]
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Somebody who looks.
#[derive(Debug, Clone)]
struct Viewer {
    by: OnBehalf,
    priority: i32,
}

/// A stream that somebody asked for.
#[derive(Debug, Default)]
struct Stream {
    /// In the order in which they came.
    viewers: BTreeMap<u64, Viewer>,
    /// When the last one left.
    left: Option<MonoMicros>,
    /// How it stands, and which of its upstreams says so.
    standing: Option<Standing>,
    turn: u64,
}

impl Stream {
    /// How much it matters to those who look.
    fn rank(&self, kind: StreamKind) -> Rank {
        match (kind, self.viewers.values().map(|viewer| viewer.priority).max()) {
            (_, None) => Rank::Idle,
            (StreamKind::Sub, Some(priority)) if priority < CHOSEN => Rank::Wall,
            (StreamKind::Sub, Some(_)) => Rank::Chosen,
            (StreamKind::Main, Some(priority)) if priority < CHOSEN => Rank::Full,
            (StreamKind::Main, Some(_)) => Rank::Watched,
        }
    }
}

/// How the line to a node is used by live pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Streams that come.
    pub streams: usize,
    /// What they are reckoned to, in bits a second.
    pub bits: u64,
    /// What they may be.
    pub budget_bits: u64,
}

#[derive(Debug, Default)]
struct Inner {
    numbers: u64,
    streams: BTreeMap<StreamKey, Stream>,
    /// As the manager saw them last.
    lines: BTreeMap<NodeId, Line>,
}

/// What is asked of other nodes, and how it stands. Bounded by the tiles of the walls there are.
#[derive(Debug, Default)]
pub struct FarLive {
    awake: AtomicBool,
    inner: Mutex<Inner>,
    news: Notify,
    /// Counters.
    pub counters: FarCounters,
}

impl FarLive {
    /// Asks for a stream for as long as the result is held; none where there are no nodes below.
    #[must_use]
    pub fn ask(self: &Arc<Self>, access: &CameraAccess, priority: i32) -> Option<Asked> {
        if !self.awake.load(Ordering::Relaxed) {
            return None;
        }
        let (key, by) = (access.key(), access.principal().on_behalf());
        let mut inner = self.inner.lock();
        inner.numbers += 1;
        let number = inner.numbers;
        inner.streams.entry(key).or_default().viewers.insert(number, Viewer { by, priority });
        drop(inner);
        self.news.notify_one();
        Some(Asked { far: self.clone(), key, number })
    }

    /// How a stream of another node stands; none where there are no nodes below.
    #[must_use]
    pub fn standing(&self, key: &StreamKey) -> Option<Standing> {
        if !self.awake.load(Ordering::Relaxed) {
            return None;
        }
        let inner = self.inner.lock();
        let standing = inner.streams.get(key).and_then(|stream| stream.standing.clone());
        Some(standing.unwrap_or_else(|| TileState::Waiting.into()))
    }

    /// How the lines are used to the nodes of which something was asked since the start.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<NodeId, Line> {
        self.inner.lock().lines.clone()
    }

    /// Says how a stream stands, on behalf of one of its upstreams; an earlier one has no say any more.
    fn stand(&self, key: &StreamKey, turn: u64, standing: Standing) {
        if let Some(stream) = self.inner.lock().streams.get_mut(key).filter(|stream| stream.turn == turn) {
            stream.standing = Some(standing);
        }
    }

    /// Whoever looks longest at a stream.
    fn first_viewer(&self, key: &StreamKey) -> Option<OnBehalf> {
        let inner = self.inner.lock();
        inner.streams.get(key)?.viewers.values().next().map(|viewer| viewer.by.clone())
    }

    fn with<T>(&self, key: &StreamKey, number: u64, f: impl FnOnce(&mut BTreeMap<u64, Viewer>, u64) -> T) {
        if let Some(stream) = self.inner.lock().streams.get_mut(key) {
            f(&mut stream.viewers, number);
        }
        self.news.notify_one();
    }
}

/// Asks for a stream of another node until it is dropped.
#[derive(Debug)]
pub struct Asked {
    far: Arc<FarLive>,
    key: StreamKey,
    number: u64,
}

impl Asked {
    /// Higher matters more.
    pub fn set_priority(&self, priority: i32) {
        self.far.with(&self.key, self.number, |viewers, number| {
            viewers.entry(number).and_modify(|viewer| viewer.priority = priority);
        });
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.far.with(&self.key, self.number, |viewers, number| viewers.remove(&number));
    }
}
