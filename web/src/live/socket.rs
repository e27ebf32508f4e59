//! The driver of one wall socket: one task reads the browser's requests and writes everything the tiles have.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use fengsui_config::limits;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::wall::Wall;
use crate::app::App;
use crate::auth::access::{Principal, Via};
use crate::http::problem::{ApiError, ApiResult, Problem, Refusal};

/// Longest text a browser may send.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Requests handled before pictures are sent again.
const REQUESTS_IN_A_ROW_MAX: usize = 64;
/// Bytes kept back before they go to the kernel.
const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// A write that takes longer means that nobody reads.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often states of waiting tiles are looked at.
const STATES_EVERY: Duration = Duration::from_millis(200);
/// How often the browser is asked whether it is there, and how long it may be silent.
const PING: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(45));

/// Close codes (RFC 6455 section 7.4).
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;

/// The wall socket: live pictures of many cameras on one connection.
#[utoipa::path(get, path = "/api/v1/live/ws", tag = "live", responses(
    (status = 101, description = "The wall socket"), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub async fn upgrade(
    State(app): State<Arc<App>>,
    principal: Principal,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let upgrade = upgrade.map_err(|e| {
        ApiError::bad("upgrade", e.body_text()).remedy("Open this address as a WebSocket over HTTP/1.1.")
    })?;
    if !app.live.open_socket(limits::LIVE_SOCKETS_MAX) {
        return Err(ApiError::new(Refusal::Unavailable, "Too many walls are open.")
            .retry_after(Duration::from_secs(10)));
    }
    let place = Place(app.clone());
    let held = app.tasks.token();
    Ok(upgrade
        .max_message_size(REQUEST_BYTES_MAX)
        .max_frame_size(REQUEST_BYTES_MAX)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::ACCESS_UNIT_BYTES_MAX * 2)
        .on_upgrade(move |socket| async move {
            let _held = (place, held);
            let session = principal.via();
            let (sink, stream) = socket.split();
            Socket { sink, stream, wall: Wall::new(app.clone(), principal), app, session }.run().await;
        }))
}

/// A socket's place among `limits::LIVE_SOCKETS_MAX`; given back when it goes.
struct Place(Arc<App>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.close_socket();
    }
}

struct Socket {
    app: Arc<App>,
    session: Via,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    wall: Wall,
}

/// Why a socket ends.
enum End {
    /// The browser went, or reads no more.
    Gone,
    /// The browser closed it; the answer is still to be sent.
    Closed,
    /// We close it, with code and reason.
    Close(u16, &'static str),
}

/// What happened next.
enum Woken {
    Stop,
    Browser(Option<Result<Message, axum::Error>>),
    Wall,
    Look,
    Ping,
}

impl Socket {
    async fn run(mut self) {
        let last = match self.serve().await {
            Err(End::Close(code, reason)) => Message::Close(Some(CloseFrame { code, reason: reason.into() })),
            Err(End::Closed) => Message::Close(None),
            Ok(()) | Err(End::Gone) => return,
        };
        // After this the browser has nothing more to expect, whether it got it or not.
        let _ = in_time(self.sink.send(last)).await;
    }

    async fn serve(&mut self) -> Result<(), End> {
        let mut look = ticks(STATES_EVERY);
        let mut ping = ticks(PING.0);
        let mut heard = Instant::now();
        loop {
            self.send_ready().await?;
            let app = self.app.clone();
            let woken = tokio::select! {
                () = app.stop.cancelled() => Woken::Stop,
                message = self.stream.next() => Woken::Browser(message),
                () = self.wall.wait() => Woken::Wall,
                _ = look.tick() => Woken::Look,
                _ = ping.tick() => Woken::Ping,
            };
            match woken {
                Woken::Stop => return Err(End::Close(GOING_AWAY, "the node stops")),
                Woken::Wall => {}
                Woken::Browser(message) => {
                    heard = Instant::now();
                    self.requests(message).await?;
                }
                Woken::Look => {
                    if !self.still_open() {
                        return Err(End::Close(POLICY, "logged out"));
                    }
                    for message in self.wall.states() {
                        self.feed(message).await?;
                    }
                    self.flush().await?;
                }
                Woken::Ping => {
                    if heard.elapsed() > PING.1 {
                        return Err(End::Gone);
                    }
                    self.feed(Message::Ping(bytes::Bytes::new())).await?;
                    self.flush().await?;
                }
            }
        }
    }

    /// Sends what the tiles have, with a look at the browser's requests in between.
    async fn send_ready(&mut self) -> Result<(), End> {
        let mut sent = false;
        while let Some(messages) = self.wall.take() {
            sent = true;
            for message in messages {
                self.feed(message).await?;
            }
            if let Some(message) = futures::FutureExt::now_or_never(self.stream.next()) {
                self.requests(message).await?;
            }
            if self.app.stop.is_cancelled() {
                return Ok(());
            }
        }
        if sent { self.flush().await } else { Ok(()) }
    }

    /// Handles a message and those that wait behind it.
    async fn requests(&mut self, first: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let mut next = Some(first);
        for _ in 0..REQUESTS_IN_A_ROW_MAX {
            let Some(message) = next.take() else { break };
            match message {
                None | Some(Err(_)) => return Err(End::Gone),
                Some(Ok(Message::Close(_))) => return Err(End::Closed),
                Some(Ok(Message::Text(text))) => {
                    if let Some(answer) = self.wall.request(&text) {
                        self.feed(Message::Text(answer.text().into())).await?;
                        self.flush().await?;
                    }
                }
                Some(Ok(_)) => {}
            }
            next = futures::FutureExt::now_or_never(self.stream.next());
        }
        Ok(())
    }

    fn still_open(&self) -> bool {
        match self.session {
            Via::Session(key) => self.app.auth.sessions.is_open(&key),
            Via::Ticket(_) | Via::Centre(_) => false,
        }
    }

    async fn feed(&mut self, message: Message) -> Result<(), End> {
        in_time(self.sink.feed(message)).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        in_time(self.sink.flush()).await
    }
}

async fn in_time(write: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
