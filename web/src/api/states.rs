//! What this node tells its centre of its cameras, for as long as that listens.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use fengsui_config::Topology;
use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use http::header::CONTENT_TYPE;

use super::events::significant;
use super::view::{self, CameraView};
use crate::app::App;
use crate::command::states::{self, CameraRow};
use crate::http::problem::Problem;

/// States of all cameras, and of each that changes after that: a line of JSON each time, without end. For the node's centre.
#[utoipa::path(get, path = "/api/v1/cameras/states", tag = "cameras", responses(
    (status = 200, content_type = "application/x-ndjson", body = String), (status = 403, body = Problem)))]
pub async fn stream(State(app): State<Arc<App>>) -> Response {
    let teller = Teller { topology: app.topology(), app, told: HashMap::new(), begun: false };
    let lines = futures::stream::unfold(teller, Teller::next);
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// What was told of a camera last.
struct Told {
    camera: CameraView,
    /// When its counters are due to be told.
    refresh: MonoMicros,
}

struct Teller {
    app: Arc<App>,
    topology: Arc<Topology>,
    told: HashMap<CameraId, Told>,
    begun: bool,
}

impl Teller {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if self.begun {
                tokio::select! {
                    () = self.app.stop.cancelled() => return None,
                    () = tokio::time::sleep(limits::STATES_LOOK_INTERVAL) => {}
                }
            }
            // With other cameras all is told anew, to whoever asks again.
            if self.app.stop.is_cancelled() || !Arc::ptr_eq(&self.topology, &self.app.topology()) {
                return None;
            }
            let rows = self.look();
            if !std::mem::replace(&mut self.begun, true) || !rows.is_empty() {
                return Some((Ok(states::write(&rows)), self));
            }
        }
    }

    fn look(&mut self) -> Vec<CameraRow> {
        let now = self.app.clock.mono();
        let (soon, later) = limits::STATES_REFRESH;
        let mut rows = Vec::new();
        for camera in self.topology.cameras.values() {
            let shown = view::camera(&self.app, &self.topology, camera);
            let refresh = match self.told.get(&camera.id) {
                None => soon,
                Some(told) if significant(&told.camera, &shown) => soon,
                Some(told) if now >= told.refresh && told.camera != shown => later,
                Some(_) => continue,
            };
            rows.push(CameraRow::of(camera.id, &shown));
            self.told.insert(camera.id, Told { camera: shown, refresh: now + refresh });
        }
        rows
    }
}
