//! A node without disks and cameras, for the tests of this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fengsui_config::clock::{Clock, ManualClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::{Config, Topology};
use fengsui_duty::book::Book;
use fengsui_relay::event::rows::EventRows;
use fengsui_storage::board::Board;
use fengsui_storage::catalogue::{CatalogueStats, DayStrip, Span as StoredSpan, SpanKind};
use fengsui_storage::frame::{
    AccessUnit, GapReason, StartReason, StreamInfo, Track, VideoCodec, VideoParams,
};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::hub::Hub;
use fengsui_storage::journal::{JournalPage, JournalRecord};
use fengsui_storage::playback::{Footage, SegmentIndex};
use fengsui_storage::segment::SegmentRow;
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::api;
use crate::app::{App, AppParts, NodeFacts};
use crate::auth::Auth;
use crate::auth::accounts::Accounts;
use crate::auth::register::{Register, RegisterError, Wanted};
use crate::desk::Desk;
use crate::duty::Duty;
use crate::http::accept::Peer;
use crate::http::policy::Entry;
use crate::media::{FootageIndex, Media, Span, Stretch};
use crate::recordings::{
    OrderRefused, RecordingNow, Recordings, VolumeDetail, VolumeNow, VolumeOrder, VolumeState, VolumeUse,
};
use crate::standby::Standby;

/// Noon of some day.
pub const NOW: UtcMicros = UtcMicros(1_790_000_000_000_000);
pub const CAMERA: &str = "33080200001320000001";
pub const NAME: &str = "li";
pub const PASSWORD: &str = "correct horse";

/// Rows in memory; refuses when told to.
#[derive(Default)]
pub struct MemoryRegister {
    pub rows: Mutex<Vec<(String, Value)>>,
    pub broken: AtomicBool,
}

impl MemoryRegister {
    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.rows.lock().iter().filter(|(k, _)| k == kind).map(|(_, v)| v.clone()).collect()
    }
}

impl Register for MemoryRegister {
    fn append(&self, kind: &'static str, body: Value) -> BoxFuture<'_, Result<u64, RegisterError>> {
        Box::pin(async move {
            if self.broken.load(Ordering::SeqCst) {
                return Err(RegisterError("the disk is gone".into()));
            }
            let mut rows = self.rows.lock();
            rows.push((kind.to_owned(), body));
            Ok(rows.len() as u64)
        })
    }

    fn page(
        &self,
        before: u64,
        limit: usize,
        wanted: Wanted,
    ) -> BoxFuture<'_, Result<JournalPage, RegisterError>> {
        let records = (1_u64..).zip(self.rows.lock().clone()).map(|(seq, (kind, body))| JournalRecord {
            node: "centre".into(),
            epoch: 1,
            seq,
            at: UtcMicros(NOW.0 + i64::try_from(seq).unwrap()),
            kind,
            body,
            previous: [0; 32],
            hash: [1; 32],
        });
        let mut records: Vec<_> = records.filter(|r| r.seq < before && wanted(r)).collect();
        records.reverse();
        records.truncate(limit);
        let next_before = records.last().map(|r| r.seq).filter(|seq| *seq > 1);
        Box::pin(async move { Ok(JournalPage { records, next_before }) })
    }
}

/// Segments and spans set by hand.
#[derive(Default)]
pub struct FakeIndex {
    pub rows: Mutex<Vec<SegmentRow>>,
    pub spans: Mutex<Vec<Span>>,
}

impl SegmentIndex for FakeIndex {
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        let rows = self.rows.lock();
        rows.iter().filter(|r| r.key == key && r.start() < to && from < r.end()).cloned().collect()
    }
}

impl FootageIndex for FakeIndex {
    fn spans(&self, _: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<Span> {
        self.spans.lock().iter().filter(|(a, b, _)| *a < to && from < *b).copied().collect()
    }
    fn day_strip(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> DayStrip {
        let kind = |what| match what {
            Stretch::Footage { open, .. } => SpanKind::Footage { open },
            Stretch::Gap(reason) => SpanKind::Gap(reason),
        };
        let spans = self.spans(key, from, to);
        let spans: Vec<StoredSpan> =
            spans.into_iter().map(|(from, to, what)| StoredSpan { from, to, kind: kind(what) }).collect();
        DayStrip::of(key, from, to, &spans)
    }
    fn stats(&self) -> CatalogueStats {
        CatalogueStats { segments: 7, unexplained_us: 2_500_000, ..CatalogueStats::default() }
    }
    fn extent(&self, _: StreamKey) -> (Option<UtcMicros>, Option<UtcMicros>) {
        let spans = self.spans.lock();
        let footage = || spans.iter().filter(|(_, _, s)| matches!(s, Stretch::Footage { .. }));
        (footage().map(|s| s.0).min(), footage().map(|s| s.1).max())
    }
}

#[derive(Default)]
pub struct FakeRecordings {
    pub now: Mutex<BTreeMap<StreamKey, RecordingNow>>,
    pub orders: Mutex<Vec<(String, VolumeOrder)>>,
    pub refuse_orders: AtomicBool,
}

impl Recordings for FakeRecordings {
    fn stream(&self, key: &StreamKey) -> Option<RecordingNow> {
        self.now.lock().get(key).copied()
    }
    fn volume_details(&self) -> Vec<VolumeDetail> {
        vec![VolumeDetail {
            id: "v1".into(),
            state: VolumeState::Ok,
            detail: None,
            since_us: NOW.0,
            mode: VolumeUse::Use,
            weight: 100,
            stage: None,
            is_stage: false,
            total_bytes: 1000,
            free_bytes: 400,
            reserve_bytes: 100,
            segments: 3,
            bytes: 500,
            oldest_us: Some(NOW.0 - 3_600_000_000),
            open_segments: 1,
            waiting_segments: 0,
            waiting_bytes: 0,
            moved_segments: 0,
            moved_bytes: 0,
            move_failures: 0,
            alarm: None,
            round_us: 120_000,
        }]
    }
    fn order(&self, volume: &str, order: VolumeOrder) -> Result<(), OrderRefused> {
        if self.refuse_orders.load(Ordering::SeqCst) {
            return Err(OrderRefused("another disk is there; fengsui volume adopt v1".into()));
        }
        self.orders.lock().push((volume.to_owned(), order));
        Ok(())
    }
    fn volumes(&self) -> Vec<VolumeNow> {
        vec![VolumeNow {
            id: "v1".into(),
            state: VolumeState::Ok,
            detail: None,
            total_bytes: 1000,
            free_bytes: 400,
        }]
    }
}

pub struct Node {
    pub app: Arc<App>,
    pub router: Router,
    pub table: Vec<Entry>,
    pub clock: Arc<ManualClock>,
    pub register: Arc<MemoryRegister>,
    pub hub: Arc<Hub>,
    pub index: Arc<FakeIndex>,
    pub recordings: Arc<FakeRecordings>,
}

pub fn config() -> Config {
    let text = r#"
        [node]
        id = "centre"
        data = "data"
        [web]
        listen = ["127.0.0.1:8080"]
        [[storage.volume]]
        id = "v1"
        path = "footage"
        [city]
        code = "33080000002000000001"
        name = "衢州市"
        [[sub_centre]]
        code = "33080200002000000001"
        name = "柯城分中心"
        [[station]]
        code = "33080200002150000001"
        name = "府山派出所"
        sub_centre = "33080200002000000001"
        [[site]]
        code = "33080200002160000001"
        name = "水亭门"
        station = "33080200002150000001"
        kind = "square"
        lat = 28.97
        lon = 118.86
        [[camera]]
        code = "33080200001320000001"
        name = "水亭门东"
        site = "33080200002160000001"
        main = "rtsp://127.0.0.1:8554/cam/1/main"
        sub = "rtsp://127.0.0.1:8554/cam/1/sub"
        [[camera]]
        code = "33080200001320000002"
        name = "水亭门西"
        site = "33080200002160000001"
        main = "rtsp://127.0.0.1:8554/cam/2/main"
        enabled = false
    "#;
    let env = BTreeMap::<String, String>::new();
    Config::parse(text, Path::new("/nowhere/fengsui.toml"), &env).expect("sample configuration").0
}

pub fn node() -> Node {
    node_with_volume(Path::new("/nowhere/footage"))
}

/// A node whose only volume is `root`.
pub fn node_with_volume(root: &Path) -> Node {
    node_named("centre", config().topology, root)
}

/// A node with another name and other cameras.
pub fn node_named(name: &str, topology: Topology, root: &Path) -> Node {
    let clock = Arc::new(ManualClock::at(NOW));
    let shared: Arc<dyn Clock> = clock.clone();
    let register = Arc::new(MemoryRegister::default());
    let hub = Hub::new(shared.clone(), 64 << 20);
    let index = Arc::new(FakeIndex::default());
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let footage = Footage::new(fs, index.clone(), vec![("v1".parse().unwrap(), root.to_owned())]);
    let recordings = Arc::new(FakeRecordings::default());
    let auth = Auth::new(Accounts::default(), register.clone(), &shared).unwrap();
    let app = App::new(AppParts {
        clock: shared,
        node: NodeFacts { id: name.into(), version: "0.0.0", started: NOW },
        auth,
        board: Arc::new(Board::default()),
        media: Media::new(hub.clone(), Arc::new(footage), index.clone()),
        recordings: recordings.clone(),
        archives: Arc::default(),
        topology: Arc::new(topology),
        desk: Desk::new(name.parse().unwrap(), 1, EventRows::default()),
        duty: Duty::new(name.parse().unwrap(), 1, Book::default()),
        standby: Standby::default(),
        stop: CancellationToken::new(),
    });
    let (router, table) = api::router(app.clone());
    Node { app, router, table, clock, register, hub, index, recordings }
}

pub fn key(stream: StreamKind) -> StreamKey {
    StreamKey { camera: CAMERA.parse().unwrap(), stream }
}

/// A request as a browser on our own page sends it.
pub fn request(method: Method, path: &str, cookie: Option<&str>, body: Option<&Value>) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path).header("host", "fengsui.test");
    builder = builder.header("origin", "http://fengsui.test");
    if let Some(cookie) = cookie {
        builder = builder.header("cookie", cookie);
    }
    let sent = match body {
        Some(body) => {
            builder = builder.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    builder.body(sent).unwrap()
}

/// A remote peer over plain HTTP.
pub fn from_afar(mut request: Request<Body>) -> Request<Body> {
    let address: SocketAddr = "10.1.2.3:5555".parse().unwrap();
    request.extensions_mut().insert(Peer { address, tls: false, port: 8080 });
    request
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("").to_owned()
    }
    pub fn cookie(&self) -> String {
        let header = self.headers.get("set-cookie").expect("a cookie").to_str().unwrap();
        header.split(';').next().unwrap().to_owned()
    }
}

impl Node {
    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(from_afar(request)).await.unwrap()).await
    }
    /// As [`Node::send`], for an answer that does not end.
    pub async fn send_streaming(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(from_afar(request)).await.unwrap()
    }
    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(request(Method::GET, path, Some(cookie), None)).await
    }
    /// Makes the first administrator; returns the cookie.
    pub async fn set_up(&self) -> String {
        let token = self.app.auth.setup.take_for_console().expect("a token");
        let body = json!({"token": token, "name": NAME, "password": PASSWORD});
        let answer = self.send(request(Method::POST, "/api/v1/setup", None, Some(&body))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        answer.cookie()
    }
}

/// Parameters of a small H.264 stream (baseline, 640x360).
pub fn info() -> StreamInfo {
    let extra =
        hex::decode("0142c01effe1001a6742c01edb02805bf97016a020203020000003002000000641e2c5d401000468ce3c80");
    StreamInfo {
        video: Some(VideoParams {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            extra: Bytes::from(extra.unwrap()),
            rfc6381: "avc1.42C01E".into(),
        }),
        audio: None,
        start: StartReason::Connected,
    }
}

/// Picture `n` of a stream of 25 pictures a second; every tenth is a key frame.
pub fn picture(n: i64, arrived: UtcMicros) -> AccessUnit {
    let key = n % 10 == 0;
    AccessUnit {
        track: Track::Video,
        key,
        pts: n * 3600,
        utc: UtcMicros(NOW.0 + n * 40_000),
        camera_utc: None,
        arrived,
        lost_before: 0,
        data: Bytes::from(vec![0, 0, 0, 2, if key { 0x65 } else { 0x41 }, u8::try_from(n % 256).unwrap()]),
    }
}

pub const OFFLINE: GapReason = GapReason::CameraOffline;
