//! Listens to what each node tells of its cameras, and tells browsers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::response::Response;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::inbox::Rules as _;
use futures::StreamExt as _;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::states::Reader;
use crate::api::view;
use crate::app::App;
use crate::relay::calls::Call;
use crate::relay::centre::Centre;
use crate::relay::presence::Silence;

/// Where a node tells of its cameras.
pub const STATES_PATH: &str = "/api/v1/cameras/states";

/// Listens to every node that works, until this one stops.
pub async fn run(app: Arc<App>, centre: Arc<Centre>) {
    let mut changes = centre.roll.changes();
    let mut listening: BTreeMap<NodeId, CancellationToken> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        let nodes: BTreeSet<NodeId> =
            centre.roll.senders().into_iter().filter(|node| centre.roll.works(node)).collect();
        listening.retain(|node, stop| {
            let works = nodes.contains(node);
            if !works {
                stop.cancel();
            }
            works
        });
        for node in nodes {
            listening.entry(node.clone()).or_insert_with(|| {
                let stop = app.stop.child_token();
                app.tasks.spawn(listen(app.clone(), centre.clone(), node, stop.clone()));
                stop
            });
        }
        centre.states.keep(&|node, camera| centre.roll.owner(camera).as_ref() == Some(node), &|node| {
            centre.roll.works(node)
        });
        // Cameras may have got another node, or one at all.
        app.events.resync();
        tokio::select! {
            () = app.stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Listens to one node, again and again.
async fn listen(app: Arc<App>, centre: Arc<Centre>, node: NodeId, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let by = OnBehalf { user: app.node.id.clone(), roles: Vec::new() };
        let asked = centre.call(&node, Call::get(STATES_PATH, by), limits::RELAY_CALL_TIMEOUT);
        let answer = tokio::select! {
            () = stop.cancelled() => break,
            answer = asked => answer,
        };
        match answer {
            Ok(answer) if answer.status() == StatusCode::OK => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = gone(&centre, &node) => {}
                    () = take(&app, &centre, &node, answer) => {}
                }
                let heard = centre.presence.lock().of(&node).map(|last| last.heard);
                let at = heard.unwrap_or_default().min(app.clock.utc());
                tell(&app, &centre.states.lose(&node, at));
            }
            Ok(answer) => {
                tracing::debug!(%node, status = %answer.status(), "a node does not tell of its cameras")
            }
            Err(error) => tracing::debug!(%error, "a node does not tell of its cameras"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(limits::RELAY_AGAIN_PAUSE) => {}
        }
    }
}

/// Returns once `node` is not heard.
async fn gone(centre: &Centre, node: &NodeId) {
    while !centre.presence.lock().of(node).is_some_and(|last| last.silence == Silence::Gone) {
        tokio::time::sleep(limits::RELAY_TELL_INTERVAL).await;
    }
}

/// Takes in what comes, until it ends.
async fn take(app: &App, centre: &Centre, node: &NodeId, answer: Response) {
    let (mut body, mut reader, mut first) = (answer.into_body().into_data_stream(), Reader::default(), true);
    while let Some(Ok(bytes)) = body.next().await {
        reader.push(&bytes);
        loop {
            match reader.read() {
                Ok(Some(rows)) => {
                    let owns = |camera: &CameraId| centre.roll.owns(node, &camera.to_string());
                    let changed = centre.states.take(node, rows, std::mem::take(&mut first), &owns);
                    tell(app, &changed);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%node, %error, "what a node tells of its cameras cannot be read");
                    return;
                }
            }
        }
        centre.states.count_unread(std::mem::take(&mut reader.unread));
    }
}

/// Tells browsers of cameras of other nodes.
fn tell(app: &App, cameras: &BTreeSet<CameraId>) {
    let topology = app.topology();
    for camera in cameras.iter().filter_map(|code| topology.cameras.get(code)) {
        let shown = view::camera(app, &topology, camera);
        if shown.node.is_some() {
            app.events.push("camera", serde_json::to_string(&shown).unwrap_or_default());
        }
    }
}
