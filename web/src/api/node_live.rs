//! Live pictures for this node's centre: an answer without end; `web/relay/src/picture.rs` has its form.
//!
//! The answer is a cursor into the ring of the stream, so it queues nothing: while the line is slow the cursor falls behind, and
//! the hub moves it to the next key frame.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use fengsui_relay::picture::Item;
use fengsui_storage::hub::{LiveItem, LiveTap};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::app::App;
use crate::auth::access::CameraAccess;
use crate::http::problem::{ApiError, ApiResult, Problem};
use crate::live::standing::Standing;
use crate::relay::centre::live::Asked;

/// What the body is.
const MEDIA_TYPE: &str = "application/vnd.fengsui.live";
/// Priority with which a county asks its own nodes for what its centre asks it: somebody there chose it.
const PRIORITY: i32 = 10;

fn check(app: &App, key: StreamKey) -> ApiResult<()> {
    match app.topology().cameras.get(&key.camera) {
        None => Err(ApiError::not_found(format!("There is no camera {}.", key.camera))),
        Some(c) if c.source(key.stream).is_none() => {
            Err(ApiError::not_found(format!("Camera {} has no {} stream.", key.camera, key.stream)))
        }
        Some(_) => Ok(()),
    }
}

/// The live pictures of one stream, for the node's centre alone.
#[utoipa::path(get, path = "/api/v1/node/live/{camera}/{stream}", tag = "nodes",
    params(("camera" = String, Path, description = "National 20-digit code"), ("stream" = String, Path)), responses(
    (status = 200, content_type = "application/vnd.fengsui.live", body = Vec<u8>), (status = 403, body = Problem),
    (status = 404, body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, access: CameraAccess) -> ApiResult<Response> {
    let key = access.key();
    check(&app, key)?;
    let (tap, far) = (app.media.live(&access), app.far.ask(&access, PRIORITY));
    note(&app, access);
    let sending = Sending { app, key, tap, _far: far, told: None, playing: false, silent: Duration::ZERO };
    let first = futures::stream::iter([Ok::<Bytes, Infallible>(Item::Hello.encode())]);
    let rest = futures::stream::unfold(sending, |mut sending| async move {
        let said = sending.next().await?;
        Some((Ok(said), sending))
    });
    let body = Body::from_stream(futures::StreamExt::chain(first, rest));
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], body).into_response())
}

/// One more person at the centre looks at a stream that it has already.
#[utoipa::path(post, path = "/api/v1/node/live/{camera}/{stream}/viewers", tag = "nodes",
    params(("camera" = String, Path, description = "National 20-digit code"), ("stream" = String, Path)), responses(
    (status = 204, description = "It is in the register of viewings"), (status = 403, body = Problem),
    (status = 404, body = Problem)))]
pub async fn viewer(State(app): State<Arc<App>>, access: CameraAccess) -> ApiResult<StatusCode> {
    check(&app, access.key())?;
    app.auth.viewing.live(&access).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Live pictures never wait for a disk: the row of the register is written beside them.
fn note(app: &Arc<App>, access: CameraAccess) {
    let noting = app.clone();
    app.tasks.spawn(async move {
        let _ = noting.auth.viewing.live(&access).await;
    });
}

struct Sending {
    app: Arc<App>,
    key: StreamKey,
    tap: LiveTap,
    /// Asks the nodes below this one, when the camera is of one of them.
    _far: Option<Asked>,
    /// What was told last.
    told: Option<Standing>,
    playing: bool,
    /// For how long nothing was said.
    silent: Duration,
}

impl Sending {
    /// What is said next; `None` when the node stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(standing) = self.standing() {
                self.silent = Duration::ZERO;
                return Some(standing);
            }
            let wait = if self.playing { limits::RELAY_LIVE_KEEP_ALIVE } else { limits::RELAY_LIVE_LOOK };
            let stop = self.app.stop.clone();
            let came = tokio::select! {
                () = stop.cancelled() => return None,
                came = tokio::time::timeout(wait, self.tap.next()) => came,
            };
            match came {
                Ok(item) => {
                    self.silent = Duration::ZERO;
                    return Some(self.say(item));
                }
                Err(_) => self.silent += wait,
            }
            if self.silent >= limits::RELAY_LIVE_KEEP_ALIVE {
                self.silent = Duration::ZERO;
                return Some(Item::Here.encode());
            }
        }
    }

    /// How the stream stands, when it does not play and that is news.
    fn standing(&mut self) -> Option<Bytes> {
        if self.playing {
            return None;
        }
        let standing = Standing::of(&self.app, self.key);
        if self.told.as_ref() == Some(&standing) {
            return None;
        }
        let said = Item::Standing(standing.words()).encode();
        self.told = Some(standing);
        Some(said)
    }

    fn say(&mut self, item: LiveItem) -> Bytes {
        match item {
            LiveItem::Begin(info) => Item::Begin(info.as_ref().clone()).encode(),
            LiveItem::Unit { unit, warm } => {
                self.playing = true;
                self.told = None;
                Item::Unit { unit: unit.unit.clone(), warm }.encode()
            }
            LiveItem::Dropped { units } => Item::Dropped(units).encode(),
            LiveItem::End { reason } => {
                self.playing = false;
                // First how it stands: whoever hears of the end is told that.
                let mut said = BytesMut::new();
                said.extend_from_slice(&self.standing().unwrap_or_default());
                said.extend_from_slice(&Item::End(reason).encode());
                said.freeze()
            }
        }
    }
}
