//! Readers of the stream, one task for each node: what waits of one holds up no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::link::{ConsumerSettings, Delivery, Link as _, LinkError, StreamSettings};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Centre;
use crate::app::App;

/// How long a reader waits for a frame before it looks around.
const WAIT: Duration = Duration::from_secs(5);

/// What comes from a reader.
#[derive(Debug)]
pub enum Came {
    /// A node's frames are read from here on: it may be told where to go on.
    Ready(NodeId),
    /// They are not.
    NotReady(NodeId),
    /// Frames, in the order of the stream.
    Frames(NodeId, Vec<Delivery>),
}

/// Has the stream as it should be on every new connection.
pub(super) async fn prepare(app: Arc<App>, centre: Arc<Centre>) {
    let mut state = centre.link.state();
    loop {
        let session = state.borrow_and_update().session();
        let ready = match session {
            Some(_) => ensure(&centre).await,
            None => true,
        };
        centre.stream_ready.send_replace(session.filter(|_| ready));
        tokio::select! {
            () = app.stop.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(limits::RELAY_AGAIN_PAUSE), if !ready => {}
        }
    }
}

async fn ensure(centre: &Centre) -> bool {
    let settings = StreamSettings { bytes_max: centre.role.stream_bytes, replicas: centre.role.replicas };
    let senders = centre.roll.senders();
    match centre.link.ensure_stream(settings, ConsumerSettings::default(), &senders).await {
        Ok(plan) => {
            tracing::info!(?plan, senders = senders.len(), "the stream between nodes is as it should be");
            true
        }
        Err(error) => {
            tracing::error!(%error, "the stream between nodes is not as it should be; no node is read");
            false
        }
    }
}

/// Keeps a reader for every node until this one stops.
pub(super) async fn run(app: Arc<App>, centre: Arc<Centre>, came: mpsc::Sender<Came>) {
    let (mut changes, tasks) = (centre.roll.changes(), TaskTracker::new());
    let mut readers: BTreeMap<NodeId, CancellationToken> = BTreeMap::new();
    loop {
        changes.borrow_and_update();
        for sender in centre.roll.senders() {
            readers.entry(sender.clone()).or_insert_with(|| {
                let stop = app.stop.child_token();
                tasks.spawn(read(stop.clone(), centre.clone(), sender, came.clone()));
                stop
            });
        }
        tokio::select! {
            () = app.stop.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Reads one node's frames, across connections.
async fn read(stop: CancellationToken, centre: Arc<Centre>, sender: NodeId, came: mpsc::Sender<Came>) {
    loop {
        let end = tokio::select! {
            () = stop.cancelled() => return,
            end = read_once(&centre, &sender, &came) => end,
        };
        if came.send(Came::NotReady(sender.clone())).await.is_err() {
            return;
        }
        if let Err(error) = end {
            tracing::debug!(node = %sender, %error, "reading of a node's frames ended; it begins again");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(limits::RELAY_RETRY_FLOOR * 5) => {}
            }
        }
    }
}

/// Reads until the connection is another one, or something fails.
async fn read_once(centre: &Centre, sender: &NodeId, came: &mpsc::Sender<Came>) -> Result<(), LinkError> {
    let mut ready = centre.stream_ready.subscribe();
    let session = *ready.wait_for(Option::is_some).await.map_err(|_| LinkError::Lost)?;
    centre.link.ensure_consumer(sender, ConsumerSettings::default()).await?;
    let mut frames = centre.link.frames(sender).await?;
    came.send(Came::Ready(sender.clone())).await.map_err(|_| LinkError::Lost)?;
    loop {
        let batch = tokio::select! {
            changed = ready.changed() => {
                if changed.is_err() || *ready.borrow_and_update() != session {
                    return Ok(());
                }
                Vec::new()
            }
            batch = frames.batch(WAIT) => batch?,
        };
        if !batch.is_empty() {
            came.send(Came::Frames(sender.clone(), batch)).await.map_err(|_| LinkError::Lost)?;
        }
    }
}
