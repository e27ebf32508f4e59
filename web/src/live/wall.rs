//! What one wall socket shows: its tiles, what is ready for each, and in which order it goes out.
//!
//! A tile is a cursor into the ring of its stream, so it queues nothing: at most one item of a tile is in hand. While
//! the socket is slow the cursors fall behind and the hub moves them to the next key frame; the tile of the highest
//! priority is always served first, so the others thin first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::ws::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use fengsui_storage::frame::StreamInfo;
use fengsui_storage::hub::{HubUnit, LiveItem, LiveTap};
use fengsui_storage::segment::mux::{Audience, init_segment};
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::ViewerCounters;
use super::protocol::{self, FLAG_FIRST, FLAG_KEY, FLAG_WARM, Header, Notice, Request, TileState};
use super::standing::Standing;
use crate::app::App;
use crate::auth::access::Principal;
use crate::relay::centre::live::Asked;

/// One tile.
struct Tile {
    key: StreamKey,
    priority: i32,
    /// Tells this subscription from an earlier one of the same number.
    turn: u64,
    wait: AbortHandle,
    /// The next picture is the first after a start or a drop.
    first: bool,
    playing: bool,
    /// What it was told last about its stream.
    told: Option<Standing>,
    /// Asks for the stream below this node, when this is a centre.
    far: Option<Asked>,
}

/// Something for a tile.
struct Arrival {
    sub: u32,
    turn: u64,
    tap: LiveTap,
    item: LiveItem,
}

/// All tiles of one socket.
pub struct Wall {
    app: Arc<App>,
    viewer: Arc<ViewerCounters>,
    principal: Principal,
    tiles: BTreeMap<u32, Tile>,
    waits: FuturesUnordered<BoxFuture<'static, Option<Arrival>>>,
    ready: Vec<Arrival>,
    turns: u64,
}

impl Drop for Wall {
    fn drop(&mut self) {
        for _ in &self.tiles {
            self.app.live.unsubscribed(&self.viewer);
        }
    }
}

impl Wall {
    /// A wall without tiles.
    #[must_use]
    pub fn new(app: Arc<App>, principal: Principal) -> Self {
        Self {
            viewer: app.live.viewer(),
            app,
            principal,
            tiles: BTreeMap::new(),
            waits: FuturesUnordered::new(),
            ready: Vec::new(),
            turns: 0,
        }
    }

    /// Waits until some tile has something. Does not end while there is no tile.
    pub async fn wait(&mut self) {
        if !self.ready.is_empty() {
            return;
        }
        loop {
            match self.waits.next().await {
                Some(Some(arrival)) => return self.ready.push(arrival),
                Some(None) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Does what the browser asks; the answer, if there is one at once.
    pub fn request(&mut self, text: &str) -> Option<Notice> {
        match serde_json::from_str::<Request>(text) {
            Ok(Request::Subscribe { sub, camera, stream, priority }) => {
                let refused = self.subscribe(sub, &camera, &stream, priority).err();
                refused.map(|(code, detail)| Notice::Error { sub: Some(sub), code, detail })
            }
            Ok(Request::Unsubscribe { sub }) => {
                self.unsubscribe(sub);
                None
            }
            Ok(Request::Priority { sub, priority }) => {
                if let Some(tile) = self.tiles.get_mut(&sub) {
                    tile.priority = priority;
                    if let Some(far) = &tile.far {
                        far.set_priority(priority);
                    }
                }
                None
            }
            Ok(Request::Stat { latency_ms, .. }) => {
                if let Some(ms) = latency_ms.filter(|ms| ms.is_finite() && (0.0..600_000.0).contains(ms)) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "checked just above"
                    )]
                    self.app.live.viewer_latency_ms.fetch_add(ms as u64, Ordering::Relaxed);
                    self.app.live.viewer_reports.fetch_add(1, Ordering::Relaxed);
                }
                None
            }
            Err(error) => Some(Notice::Error { sub: None, code: "bad_request", detail: error.to_string() }),
        }
    }

    fn subscribe(
        &mut self,
        sub: u32,
        camera: &str,
        stream: &str,
        priority: i32,
    ) -> Result<(), (&'static str, String)> {
        self.unsubscribe(sub);
        if self.tiles.len() >= limits::LIVE_SUBSCRIPTIONS_PER_SOCKET_MAX {
            let most = limits::LIVE_SUBSCRIPTIONS_PER_SOCKET_MAX;
            return Err(("too_many", format!("One socket shows at most {most} streams.")));
        }
        let key = StreamKey {
            camera: camera.parse().map_err(|e| ("bad_request", format!("The code {e}.")))?,
            stream: stream.parse().map_err(|e| ("bad_request", e))?,
        };
        let access = self.principal.camera(key).map_err(|e| (e.code(), e.detail().to_owned()))?;
        let topology = self.app.topology();
        match topology.cameras.get(&key.camera) {
            None => return Err(("not_found", format!("There is no camera {}.", key.camera))),
            Some(c) if c.source(key.stream).is_none() => {
                return Err(("not_found", format!("Camera {} has no {} stream.", key.camera, key.stream)));
            }
            Some(_) => {}
        }
        let tap = self.app.media.live(&access);
        let far = self.app.far.ask(&access, priority);
        self.turns += 1;
        let wait = self.arm(sub, self.turns, tap);
        let (first, playing, told) = (true, false, None);
        let tile = Tile { key, priority, turn: self.turns, wait, first, playing, told, far };
        self.tiles.insert(sub, tile);
        self.app.live.subscribed(&self.viewer);
        // Live pictures never wait for a disk: the row of the register is written beside them.
        let app = self.app.clone();
        self.app.tasks.spawn(async move {
            let _ = app.auth.viewing.live(&access).await;
        });
        Ok(())
    }

    fn unsubscribe(&mut self, sub: u32) {
        if let Some(tile) = self.tiles.remove(&sub) {
            tile.wait.abort();
            self.ready.retain(|a| a.turn != tile.turn);
            self.app.live.unsubscribed(&self.viewer);
        }
    }

    /// Lets a tile wait for its next item.
    fn arm(&self, sub: u32, turn: u64, mut tap: LiveTap) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let wait = async move {
            let item = tap.next().await;
            Arrival { sub, turn, tap, item }
        };
        self.waits.push(Abortable::new(wait, registration).map(Result::ok).boxed());
        handle
    }

    /// The next messages to send, of the tile with the highest priority; `None` when nothing is ready.
    pub fn take(&mut self) -> Option<Vec<Message>> {
        loop {
            while let Some(Some(done)) = self.waits.next().now_or_never() {
                self.ready.extend(done);
            }
            let priority = |a: &Arrival| self.tiles.get(&a.sub).map_or(i32::MIN, |t| t.priority);
            let (best, _) =
                self.ready.iter().enumerate().max_by_key(|(i, a)| (priority(a), std::cmp::Reverse(*i)))?;
            let Arrival { sub, turn, mut tap, item } = self.ready.remove(best);
            if self.tiles.get(&sub).is_none_or(|t| t.turn != turn) {
                continue;
            }
            let messages = self.messages(sub, item);
            match tap.try_next() {
                Some(item) => self.ready.push(Arrival { sub, turn, tap, item }),
                None => {
                    let wait = self.arm(sub, turn, tap);
                    if let Some(tile) = self.tiles.get_mut(&sub) {
                        tile.wait = wait;
                    }
                }
            }
            return Some(messages);
        }
    }

    fn messages(&mut self, sub: u32, item: LiveItem) -> Vec<Message> {
        let Some(tile) = self.tiles.get_mut(&sub) else { return Vec::new() };
        let now = self.app.clock.utc();
        match item {
            LiveItem::Begin(info) => {
                tile.first = true;
                vec![text(&init(sub, &info))]
            }
            LiveItem::Dropped { units } => {
                tile.first = true;
                self.app.live.dropped.fetch_add(units, Ordering::Relaxed);
                self.viewer.dropped.fetch_add(units, Ordering::Relaxed);
                vec![text(&Notice::Drop { sub, units })]
            }
            LiveItem::End { .. } => {
                tile.playing = false;
                tile.first = true;
                let standing = Standing::of(&self.app, tile.key);
                tell(tile, sub, standing).into_iter().collect()
            }
            LiveItem::Unit { unit, warm } => {
                let mut out = Vec::with_capacity(2);
                if !tile.playing {
                    tile.playing = true;
                    out.extend(tell(tile, sub, TileState::Playing.into()));
                }
                let first = std::mem::take(&mut tile.first);
                out.push(picture((&self.app, &self.viewer), sub, &unit, (first, warm), now));
                out
            }
        }
    }

    /// States that changed of the tiles that do not play.
    pub fn states(&mut self) -> Vec<Message> {
        let app = self.app.clone();
        let waiting = self.tiles.iter_mut().filter(|(_, t)| !t.playing);
        waiting.filter_map(|(sub, tile)| tell(tile, *sub, Standing::of(&app, tile.key))).collect()
    }
}

fn text(notice: &Notice) -> Message {
    Message::Text(notice.text().into())
}

/// A message, when the tile was not told the same before.
fn tell(tile: &mut Tile, sub: u32, told: Standing) -> Option<Message> {
    if tile.told.as_ref() == Some(&told) {
        return None;
    }
    tile.told = Some(told.clone());
    let Standing { state, reason, detail, node } = told;
    Some(text(&Notice::State { sub, state, reason, detail, node }))
}

fn init(sub: u32, info: &StreamInfo) -> Notice {
    let Some(video) = &info.video else {
        return Notice::Error {
            sub: Some(sub),
            code: "no_video",
            detail: "The stream has no pictures.".to_owned(),
        };
    };
    match init_segment(info, Audience::Browser) {
        Ok(bytes) => Notice::Init {
            sub,
            codec: video.rfc6381.clone(),
            width: video.width,
            height: video.height,
            init: STANDARD.encode(&bytes),
        },
        Err(error) => Notice::Error { sub: Some(sub), code: "unsupported_media", detail: error.to_string() },
    }
}

fn picture(
    (app, viewer): (&App, &ViewerCounters),
    sub: u32,
    unit: &HubUnit,
    (first, warm): (bool, bool),
    now: UtcMicros,
) -> Message {
    let fragment = unit.live_fragment();
    let server_us = u32::try_from(now.since(unit.unit.arrived).max(0)).unwrap_or(u32::MAX);
    let mut flags = 0;
    for (set, flag) in [(unit.unit.key, FLAG_KEY), (first, FLAG_FIRST), (warm, FLAG_WARM)] {
        flags |= if set { flag } else { 0 };
    }
    let seq = u32::try_from(unit.seq & u64::from(u32::MAX)).unwrap_or(0);
    let live = &app.live;
    live.units.fetch_add(1, Ordering::Relaxed);
    live.bytes.fetch_add(fragment.len() as u64, Ordering::Relaxed);
    viewer.units.fetch_add(1, Ordering::Relaxed);
    viewer.bytes.fetch_add(fragment.len() as u64, Ordering::Relaxed);
    if !warm {
        live.latency_us.fetch_add(u64::from(server_us), Ordering::Relaxed);
        live.latency_units.fetch_add(1, Ordering::Relaxed);
    }
    Message::Binary(protocol::picture(Header { flags, sub, utc: unit.unit.utc, seq, server_us }, fragment))
}
