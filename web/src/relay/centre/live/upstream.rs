//! One stream of another node, fetched for as long as it has a place: again and again, with pauses that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use fengsui_config::ids::{NodeId, StreamKey};
use fengsui_config::limits;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::picture::{Item, Reader};
use fengsui_storage::frame::{GapReason, StreamInfo};
use futures::StreamExt as _;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Below, FarLive, count};
use crate::app::App;
use crate::live::protocol::TileState;
use crate::live::standing::{LinkTrouble, Standing, Why};
use crate::media::Feed;
use crate::relay::calls::{Call, CallError};

/// What one upstream is made of.
pub(super) struct Upstream {
    pub app: Arc<App>,
    pub far: Arc<FarLive>,
    pub below: Arc<dyn Below>,
    pub node: NodeId,
    pub key: StreamKey,
    /// Which upstream of the stream it is.
    pub turn: u64,
    /// Whoever looked first.
    pub by: OnBehalf,
    pub stop: CancellationToken,
    /// The one before it, which may still be ending.
    pub before: Option<JoinHandle<()>>,
    /// Bytes that came.
    pub bytes: Arc<AtomicU64>,
    /// Parameters of the run in progress.
    pub info: Option<StreamInfo>,
}

/// Why an attempt ended.
struct Trouble {
    why: LinkTrouble,
    detail: String,
}

impl Upstream {
    /// Fetches until it is told to stop.
    pub async fn run(mut self) {
        if let Some(before) = self.before.take() {
            // A panic of it was told where it happened.
            let _ended = before.await;
        }
        let feed = self.app.media.feed(self.key);
        let stop = self.stop.clone();
        let (first, most) = limits::RELAY_LIVE_RETRY;
        let mut pause = first;
        loop {
            let began = self.app.clock.mono();
            let trouble = tokio::select! {
                () = stop.cancelled() => break,
                trouble = self.attempt(&feed) => trouble,
            };
            count(&self.far.counters.broken);
            tracing::debug!(node = %self.node, stream = %self.key, detail = %trouble.detail, "a live stream broke");
            self.stand(Standing {
                reason: Some(Why::Link(trouble.why)),
                detail: Some(trouble.detail),
                ..TileState::Offline.into()
            });
            feed.end(GapReason::Network);
            if self.app.clock.mono().since(began) >= limits::RELAY_LIVE_STEADY {
                pause = first;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(jittered(pause)) => {}
            }
            pause = (pause * 2).min(most);
        }
        feed.end(GapReason::Policy);
    }

    fn stand(&self, standing: Standing) {
        let node = standing.node.clone().unwrap_or_else(|| self.node.to_string());
        self.far.stand(&self.key, self.turn, Standing { node: Some(node), ..standing });
    }

    async fn attempt(&mut self, feed: &Feed) -> Trouble {
        if let Some(by) = self.far.first_viewer(&self.key) {
            self.by = by;
        }
        let path = format!("/api/v1/node/live/{}/{}", self.key.camera, self.key.stream);
        match self.below.call(&self.node, Call::get(path, self.by.clone())).await {
            Ok(response) if response.status() == StatusCode::OK => {
                self.read(response.into_body(), feed).await
            }
            Ok(response) => self.refused(response).await,
            Err(error) => Trouble { why: trouble_of(&error), detail: format!("{error}.") },
        }
    }

    /// What the node says when it does not give the stream.
    async fn refused(&self, response: Response) -> Trouble {
        let status = response.status();
        let body = Limited::new(response.into_body(), limits::RELAY_LIVE_WORDS_BYTES_MAX);
        let body = tokio::time::timeout(limits::RELAY_LIVE_SILENCE_MAX, body.collect()).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        let said: Option<Value> = serde_json::from_slice(&body).ok();
        let said = said.as_ref().and_then(|problem| problem.get("detail")?.as_str()).unwrap_or("no reason");
        let detail = format!("{} does not give this stream ({}): {said}", self.node, status.as_u16());
        Trouble { why: LinkTrouble::NodeRefuses, detail }
    }

    async fn read(&mut self, body: Body, feed: &Feed) -> Trouble {
        let (mut body, mut reader) = (body.into_data_stream(), Reader::default());
        let gone = |detail: String| Trouble { why: LinkTrouble::NodeUnreachable, detail };
        loop {
            let more = match tokio::time::timeout(limits::RELAY_LIVE_SILENCE_MAX, body.next()).await {
                Ok(Some(Ok(more))) => more,
                Ok(Some(Err(error))) => return gone(format!("What {} sends broke off: {error}.", self.node)),
                Ok(None) => return gone(format!("{} ended the stream.", self.node)),
                Err(_) => return gone(format!("{} went silent.", self.node)),
            };
            self.bytes.fetch_add(more.len() as u64, Ordering::Relaxed);
            self.far.counters.bytes.fetch_add(more.len() as u64, Ordering::Relaxed);
            reader.take(&more);
            loop {
                match reader.next_item() {
                    Ok(Some(item)) => self.take(item, feed),
                    Ok(None) => break,
                    Err(error) => {
                        let detail = format!("What {} sends cannot be read: {error}.", self.node);
                        return Trouble { why: LinkTrouble::NodeRefuses, detail };
                    }
                }
            }
        }
    }

    fn take(&mut self, item: Item, feed: &Feed) {
        match item {
            Item::Hello => self.stand(TileState::Opening.into()),
            Item::Begin(info) => {
                self.stand(TileState::Opening.into());
                self.info = Some(info.clone());
                feed.begin(info);
            }
            Item::Unit { mut unit, .. } => {
                // A reload that touches the camera's row ends the stream here, and the node knows nothing of it.
                if unit.key
                    && !feed.is_running()
                    && let Some(info) = &self.info
                {
                    feed.begin(info.clone());
                }
                // Here it arrives now: how long viewers here may be behind counts from now.
                unit.arrived = self.app.clock.utc();
                feed.push(unit);
            }
            Item::Dropped(units) => {
                self.far.counters.dropped.fetch_add(units, Ordering::Relaxed);
            }
            Item::Standing(words) => self.stand(Standing::told_by(self.node.as_str(), words)),
            Item::End(reason) => {
                self.info = None;
                feed.end(reason);
            }
            Item::Here => {}
        }
    }
}

fn trouble_of(error: &CallError) -> LinkTrouble {
    match error {
        CallError::Gone(_) | CallError::Failed(..) => LinkTrouble::NodeUnreachable,
        CallError::Stranger(_) | CallError::Unreadable(..) | CallError::TooLarge(_) => {
            LinkTrouble::NodeRefuses
        }
    }
}

/// Between half of a pause and all of it: many streams of a node that comes back do not come at once.
fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or(u32::MAX) % 1024;
    pause / 2 + pause * share / 2048
}
